#include "connect/s3/s3_sink.h"

#include "connect/s3/s3_sink_int.h"

static bool class_open(struct task *t, const struct config *c, struct sink_partition *parts, size_t count,
                       void **state, struct err *e)
{
    struct s3_sink *s;

    if (!s3_sink_open(task_env(t), c, parts, count, &s, e))
        return false;
    *state = s;
    return true;
}

static const char *const names[] = {"io.confluent.connect.s3.S3SinkConnector", "S3SinkConnector", "S3Sink",
                                    NULL};

static const struct sink_class ops = {
    .open = class_open,
    .put = s3_sink_put,
    .flush = s3_sink_flush,
    .next_flush_ms = s3_sink_next_flush_ms,
    .close = s3_sink_close,
};

const struct connector_class s3_sink_class = {
    .names = names,
    .step = CONNECT_STEP_RAW,
    .version = "10.6.3",
    .keys = s3_sink_keys,
    .key_count = S3_SINK_KEYS,
    .check = s3_sink_settings_check,
    .sink_ops = &ops,
};
