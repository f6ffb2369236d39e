/*
 * s3_sink_int: what the files of this folder share.
 *
 * settings.c  the keys, what is wrong with them, and what they mean
 * path.c      where a record goes: partitioners and their date patterns
 * format.c    how records become bytes
 * sink.c      files, rotation, positions
 * s3_sink.c   all of it as a connector class
 */
#pragma once

#include "connect/s3/s3_sink.h"
#include "object/object.h"

/* ---- path.c ---- */

enum extractor { EXTRACT_WALLCLOCK, EXTRACT_RECORD };

struct path_rule {
    bool timed;          // else "partition=N"
    struct str format;   // Joda: 'year'=YYYY/'month'=MM/'day'=dd
    int64_t duration_ms; // times are cut down to a multiple of it
    enum extractor extractor;
};

/* Is it a pattern this program can write? Letters it knows: Y y M d H m s, and 'quoted text'. */
bool path_check(struct str format, struct err *e) MUST_CHECK;
/* What is told apart: two times with the same answer have the same path. */
int64_t path_time(const struct path_rule *rule, int64_t time_ms);
void path_write(const struct path_rule *rule, int32_t partition, int64_t path_time, struct buf *out);

/* ---- format.c ---- */

struct s3_sink_file;

struct sink_format {
    const char *name;      // its class
    const char *converter; // the value.converter it copies from, last word
    const char *extension; // ".avro"; NULL: format.bytearray.extension
    bool has_schema;       // records begin with a schema's id, and a file has one
    bool (*begin)(struct s3_sink_file *f, struct err *e);
    bool (*add)(struct s3_sink_file *f, struct str value, struct err *e);
    bool (*end)(struct s3_sink_file *f, struct err *e);
};

const struct sink_format *format_find(struct str class_name); // NULL: not supported
/* Id of the schema a value was written with. False: not in Confluent's wire format. */
bool format_schema_id(struct str value, int *id);

/* ---- settings.c ---- */

struct s3_sink_settings {
    struct str bucket, topics_dir, dir_delim, file_delim, codec, extension, separator;
    int pad;
    const struct sink_format *format;
    struct path_rule path;
    int64_t flush_size;
    int64_t rotate_ms, schedule_ms; // -1: not
    bool skip_nulls;
};

enum { S3_SINK_KEYS = 32 };
extern const struct config_key s3_sink_keys[S3_SINK_KEYS];
bool s3_sink_settings_check(const struct config *c, struct err *e);
/* Of a configuration that was checked. Strings are the configuration's. */
void s3_sink_settings_read(const struct config *c, struct s3_sink_settings *out);
/* Where the objects go. *own: to be closed by the sink. */
bool s3_sink_open_store(const struct config *c, const struct connect_env *env, struct blobs **out, bool *own,
                        struct err *e) MUST_CHECK;

/* ---- sink.c ---- */

/* An object that is being written. */
struct s3_sink_file {
    struct s3_sink *sink;
    char *path; // of its records; what tells the open files of a partition apart
    struct object_put *put;
    struct buf block; // bytes not given to put yet
    int64_t records;  // of them, in the block (Avro counts them)
    int schema_id;
    uint8_t sync[16]; // Avro's marker: from the name, so that a repeated file has the same bytes
    struct s3_sink_file *next;
};

struct s3_sink {
    const struct connect_env *env;
    struct s3_sink_settings set;
    struct blobs *blobs;
    bool own_blobs;
    struct s3_sink_part *parts;
    size_t count;
    struct buf name; // scratch
};

/* All of it but the task, for tests. */
bool s3_sink_open(const struct connect_env *env, const struct config *c, const struct sink_partition *parts,
                  size_t count, struct s3_sink **out, struct err *e) MUST_CHECK;
bool s3_sink_put(void *state, const struct sink_record *records, size_t count, struct err *e);
bool s3_sink_flush(void *state, bool all, int64_t *safe, struct err *e);
int64_t s3_sink_next_flush_ms(void *state);
void s3_sink_close(void *state);
