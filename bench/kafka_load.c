/*
 * kafka_load: what a broker takes and gives, seen by librdkafka. Any broker: tarn, Apache Kafka, librdkafka's own mock.
 *
 *     kafka_load mock PARTITIONS                         librdkafka's broker in memory; prints its address, ends with stdin
 *     kafka_load produce ADDRESS TOPIC COUNT BYTES       acks=all, as fast as they go; prints messages a second
 *     kafka_load consume ADDRESS TOPIC PARTITIONS COUNT  all partitions from their beginning; prints messages a second, from the
 *                                                        first on
 *
 * A message that was not acknowledged ends it with status 1: what is counted is durable as far as the broker keeps its word.
 */
#include "bench.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <stdio.h>
#include <string.h>

enum { MESSAGE_MAX = 1 << 20 };

static int64_t acked;
static char message[MESSAGE_MAX];

static void set(rd_kafka_conf_t *c, const char *key, const char *value)
{
    char why[200];

    if (rd_kafka_conf_set(c, key, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        fail("%s", why);
}

static rd_kafka_t *client(rd_kafka_type_t type, rd_kafka_conf_t *c)
{
    char why[200];
    rd_kafka_t *rk = rd_kafka_new(type, c, why, sizeof why);

    if (!rk)
        fail("%s", why);
    return rk;
}

/* ---- mock ---- */

static void mock(char **arg)
{
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, rd_kafka_conf_new());
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(rk, 1);

    if (rd_kafka_mock_topic_create(cluster, "load", (int)number(arg[0]), 1) != RD_KAFKA_RESP_ERR_NO_ERROR)
        fail("the mock made no topic");
    (void)printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
    (void)fflush(stdout);
    while (getchar() != EOF)
        ;
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(rk);
}

/* ---- producing ---- */

static void on_ack(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    (void)rk;
    (void)opaque;
    if (m->err)
        fail("not delivered: %s", rd_kafka_err2str(m->err));
    acked++;
}

static rd_kafka_t *producer(const char *address, const char *linger_ms)
{
    rd_kafka_conf_t *c = rd_kafka_conf_new();

    set(c, "bootstrap.servers", address);
    set(c, "acks", "all");
    set(c, "linger.ms", linger_ms);
    set(c, "queue.buffering.max.messages", "200000");
    set(c, "queue.buffering.max.kbytes", "1000000");
    rd_kafka_conf_set_dr_msg_cb(c, on_ack);
    return client(RD_KAFKA_PRODUCER, c);
}

static rd_kafka_topic_t *topic_of(rd_kafka_t *rk, const char *name)
{
    rd_kafka_topic_t *t = rd_kafka_topic_new(rk, name, NULL);
    int64_t until = now_ns() + 30000000000;
    int partitions = 0;

    while (partitions == 0) { // who makes a topic when it is asked for may take a moment
        const struct rd_kafka_metadata *meta;

        if (now_ns() > until || rd_kafka_metadata(rk, 0, t, &meta, 30000) != RD_KAFKA_RESP_ERR_NO_ERROR)
            fail("topic %s is not there", name);
        partitions = meta->topics[0].partition_cnt;
        rd_kafka_metadata_destroy(meta);
    }
    return t;
}

static void send_one(rd_kafka_t *rk, rd_kafka_topic_t *t, size_t bytes)
{
    while (rd_kafka_produce(t, RD_KAFKA_PARTITION_UA, 0, message, bytes, NULL, 0, NULL) != 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            fail("%s", rd_kafka_err2str(rd_kafka_last_error()));
        (void)rd_kafka_poll(rk, 10);
    }
    (void)rd_kafka_poll(rk, 0);
}

static void wait_acks(rd_kafka_t *rk, int64_t count)
{
    int64_t until = now_ns() + 60000000000;

    while (acked < count && now_ns() < until)
        (void)rd_kafka_poll(rk, 100);
    if (acked < count)
        fail("%lld of %lld messages were acknowledged in a minute", (long long)acked, (long long)count);
}

static void produce(char **arg)
{
    rd_kafka_t *rk = producer(arg[0], "5");
    rd_kafka_topic_t *t = topic_of(rk, arg[1]);
    int64_t count = number(arg[2]), begun = now_ns();

    for (int64_t i = 0; i < count; i++)
        send_one(rk, t, (size_t)number(arg[3]));
    wait_acks(rk, count);
    (void)printf("%.0f\n", (double)count / ((double)(now_ns() - begun) / 1e9));
    rd_kafka_topic_destroy(t);
    rd_kafka_destroy(rk);
}

/* ---- consuming ---- */

static rd_kafka_t *consumer(const char *address)
{
    rd_kafka_conf_t *c = rd_kafka_conf_new();

    set(c, "bootstrap.servers", address);
    set(c, "group.id", "load");
    set(c, "enable.auto.commit", "false");
    set(c, "fetch.message.max.bytes", "4194304");
    set(c, "queued.max.messages.kbytes", "2000000"); // what is over these two waits a second
    set(c, "queued.min.messages", "10000000");
    return client(RD_KAFKA_CONSUMER, c);
}

static void consume(char **arg)
{
    enum { AT_ONCE = 4096 };
    rd_kafka_t *rk = consumer(arg[0]);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    rd_kafka_message_t *m[AT_ONCE];
    rd_kafka_queue_t *q;
    int64_t count = number(arg[3]), got = 0, first = 0, begun = 0;

    for (int p = 0; p < (int)number(arg[2]); p++)
        rd_kafka_topic_partition_list_add(list, arg[1], p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    if (rd_kafka_assign(rk, list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        fail("not assigned");
    q = rd_kafka_queue_get_consumer(rk);
    while (got < count) {
        size_t most = count - got < AT_ONCE ? (size_t)(count - got) : AT_ONCE; // it waits for as many
        ssize_t n = rd_kafka_consume_batch_queue(q, 10000, m, most);

        if (n <= 0)
            fail("nothing came for ten seconds after %lld messages", (long long)got);
        for (ssize_t i = 0; i < n; i++) {
            if (m[i]->err)
                fail("%s", rd_kafka_message_errstr(m[i]));
            rd_kafka_message_destroy(m[i]);
        }
        if (got == 0) {
            first = n;
            begun = now_ns();
        }
        got += n;
    }
    (void)printf("%.0f\n", (double)(got - first) / ((double)(now_ns() - begun) / 1e9));
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_queue_destroy(q);
    (void)rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int args;
        void (*run)(char **arg);
    } modes[] = {{"mock", 1, mock}, {"produce", 4, produce}, {"consume", 4, consume}};

    memset(message, 'x', sizeof message);
    for (size_t i = 0; argc > 1 && i < sizeof modes / sizeof *modes; i++)
        if (strcmp(argv[1], modes[i].name) == 0 && argc == modes[i].args + 2) {
            modes[i].run(argv + 2);
            return 0;
        }
    fail("usage: see the head of bench/kafka_load.c");
}
