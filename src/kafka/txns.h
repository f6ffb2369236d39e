/*
 * txns: transactions between the coordinator (txn.h) and the log.
 *
 * The coordinator's table lives on the home loop, where every request about a transaction is posted: what it allows is handed to the log
 * before the next one is looked at, so a record is never written behind the marker that ends its transaction.
 */
#pragma once

#include "kafka/kafka_int.h"
#include "kafka/txn.h"

/* All of this on the home loop. */
struct txns *kafka_txns(struct kafka *k);
struct txn_clock kafka_txn_clock(struct kafka *k);

/* Makes a step durable: markers, what they end and the record, in one append. Then `then` (may be NULL) hears how it went. */
typedef void kafka_txn_then(struct kafka_req *q, int16_t error);
void kafka_txn_store(struct kafka *k, const struct txn_step *s, struct kafka_req *q, kafka_txn_then *then);

/* A job: makes the topic. Its partitions, or 0 and e. kafka_txns_made() tells the home loop. */
int32_t kafka_txns_make(struct kafka *k, struct err *e);
void kafka_txns_made(struct kafka *k, int32_t partitions);
