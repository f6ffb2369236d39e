/*
 * settings: what a topic may be told, by Kafka's names.
 *
 * One table (settings.c) has each setting's name, the broker's setting it defaults to, type, bounds, default and a sentence for people;
 * whoever tells settings or takes them as text goes through it, so a setting is one row. Names, bounds and defaults are those of
 * Kafka 4 (LogConfig.java, TopicConfig.java), but segment.bytes, which Kafka 4 wants to be 1 MiB at least and Kafka 3 did not.
 *
 * There are three kinds of rows. Most do what they say. Of some every value is fine, kept and told, and changes nothing, because
 * there is one broker or because tarn always does better than any value asks; the row's sentence says why:
 *
 *     min.insync.replicas, unclean.leader.election.enable     there is one replica
 *     flush.messages, flush.ms                                every append is on disk before it is acknowledged
 *     preallocate, segment.index.bytes, file.delete.delay.ms  files grow in reserved steps; the index is in memory, its file is as long
 *                                                             as it must be; who reads a file that goes holds it open
 *
 * And some have one value here (tiered storage, throttled replicas); any other is refused.
 *
 *     const struct log_setting *row = log_setting_find(STR("retention.ms"));
 *     if (!log_setting_parse(row, STR("60000"), &settings, e) || !log_settings_check(&settings, e)) ...
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

/* As Kafka numbers them in DescribeConfigs (DescribeConfigsResponse.ConfigType). */
enum log_setting_type {
    LOG_BOOL = 1,
    LOG_STRING = 2,
    LOG_INT = 3,
    LOG_LONG = 5,
    LOG_DOUBLE = 6,
    LOG_LIST = 7,
};

/* compression.type; those behind UNCOMPRESSED in the order of enum batch_codec. */
enum log_compression {
    LOG_COMPRESSION_PRODUCER,
    LOG_COMPRESSION_UNCOMPRESSED,
    LOG_COMPRESSION_GZIP,
    LOG_COMPRESSION_SNAPPY,
    LOG_COMPRESSION_LZ4,
    LOG_COMPRESSION_ZSTD,
};

/*
 * Settings of a topic. -1: without limit. Only closed segments are compacted, so a compacted
 * topic that is replayed at every start wants a small segment_bytes (Kafka gives __consumer_offsets 100 MiB; 4 MiB is plenty
 * here). Retention by time goes by the wall clock as it was when the log was opened: setting the clock deletes nothing.
 */
struct log_settings {
    int64_t retention_ms;          // 604800000
    int64_t retention_bytes;       // -1
    int64_t segment_bytes;         // the log's default
    int64_t segment_ms;            // 604800000
    int64_t segment_jitter_ms;     // 0
    int64_t max_message_bytes;     // 1048588
    bool compact;                  // cleanup.policy has compact
    bool remove;                   // cleanup.policy has delete
    bool remove_first;             // ... and names it first, when it has both
    bool append_time;              // message.timestamp.type=LogAppendTime
    int64_t timestamp_before_ms;   // INT64_MAX: how much older than the clock a record's time may be
    int64_t timestamp_after_ms;    // 3600000: and how much newer
    int64_t min_compaction_lag_ms; // 0
    int64_t max_compaction_lag_ms; // INT64_MAX
    int64_t delete_retention_ms;   // 86400000
    double min_dirty_ratio;        // 0.5
    int64_t compression;           // enum log_compression
    int64_t gzip_level;            // -1
    int64_t lz4_level;             // 9
    int64_t zstd_level;            // 3
    int64_t index_interval_bytes;  // 4096
    /* Kept and told, without effect (see above). */
    int64_t min_insync_replicas, unclean_election, flush_messages, flush_ms, preallocate, segment_index_bytes,
        file_delete_delay_ms;

    uint64_t set; // bit i: row i of the table was set for this topic, perhaps to what is the default anyway
};

struct log_setting {
    const char *name;
    const char *broker_name; // of the broker's setting that is its default; NULL: there is none
    enum log_setting_type type;
    bool fixed; // it has one value
    const char *sentence;
    /* settings.c's own */
    uint8_t _kind;
    uint16_t _at;
    int64_t _least, _most, _otherwise;
    const char *_words; // what it may be, with bars between
};

const struct log_setting *log_setting(size_t i); // row i, by name; NULL behind the last
const struct log_setting *log_setting_find(struct str name);
const struct log_setting *log_setting_of_broker(struct str name); // by broker_name

struct str log_setting_text(const struct log_setting *row, const struct log_settings *s, struct arena *a);
/* Was it set for the topic? If not it follows the default. */
bool log_setting_is_set(const struct log_setting *row, const struct log_settings *s);
/* Takes a value as text and marks the row as set. ERR_INVALID with a message for the client. */
bool log_setting_parse(const struct log_setting *row, struct str text, struct log_settings *s,
                       struct err *e) MUST_CHECK;
/* Back to the default. */
void log_setting_reset(const struct log_setting *row, const struct log_settings *defaults,
                       struct log_settings *s);

/* Bounds of each and what holds between them. */
bool log_settings_check(const struct log_settings *s, struct err *e) MUST_CHECK;
/* Marks as set what differs from the defaults, for who fills in the struct itself. */
void log_settings_mark(const struct log_settings *defaults, struct log_settings *s);
/* What a producer's batch of a codec (enum batch_codec) is kept in by compression.type; *level of that codec, 0: its default. */
int log_settings_codec(const struct log_settings *s, int given, int *level);
/*
 * May a record that says it was created then (-1: it does not say) be kept at `now_ms`, by message.timestamp.type and its bounds? Kafka's
 * LogValidator.recordHasInvalidTimestamp. ERR_INVALID with a message for the client.
 */
bool log_settings_time_ok(const struct log_settings *s, int64_t now_ms, int64_t time_ms,
                          struct err *e) MUST_CHECK;
/* The table's defaults. */
void log_settings_init(struct log_settings *s);
/* All rows for people: docs/topics.md, or plain text. */
void log_settings_page(struct buf *b, bool markdown);
