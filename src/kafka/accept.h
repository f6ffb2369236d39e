/*
 * accept: what a broker asks of a batch before it keeps it, by the settings of its topic.
 *
 * A batch is kept as it came, and not opened, unless a setting asks for it: a compacted topic wants a key in each record, a
 * compression.type of its own wants other batches packed anew, message.timestamp.before.max.ms wants to see each record's time. (The other
 * bound, which is on by default, goes by the header's largest time.) The rules are those of Kafka's LogValidator.
 */
#pragma once

#include "kafka/kafka_int.h"

struct accepted {
    struct str bytes; // what to keep: what was given, or packed anew, in the request's arena
    int32_t
        *bad; // the records that are to blame, counted from 0; the first of them, when there are very many
    int32_t bad_count;
};

/* K_NONE, or the code and in e the text for the client. `bytes` is all that a produce request has for a partition. */
int16_t kafka_accept(struct kafka_req *q, const struct log_topic *t, struct str bytes, struct accepted *out,
                     struct err *e);
