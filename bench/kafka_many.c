/*
 * kafka_many: many connections that produce a little each, at a fixed rate in all.
 *
 *     kafka_many ADDRESS PORT TOPIC PARTITIONS CONNECTIONS RATE SECONDS
 *
 * Connection i sends batches of ten records of 1 KB to partition i mod PARTITIONS, acks=all, one request on its way, in even turns so that
 * all together make RATE records a second; who is behind sends at once. Prints: records acknowledged a second, and the
 * median and the 99th percentile of milliseconds from the moment a request was due to its answer.
 */
#include "base/mem.h"
#include "bench.h"
#include "kafka_raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { RECORDS = 10, RECORD_BYTES = 1024, ANSWER_MAX = 512, EVENTS = 256 };

struct connection {
    int fd;
    struct buf request;
    size_t sent;
    char answer[ANSWER_MAX];
    size_t got;
    int64_t due_ns;
    bool flying;
};

static const char *topic;
static size_t topic_bytes;
static int64_t *latency_ns, answered, answers_cap;

static void open_connection(struct connection *c, const struct sockaddr_in *at, int epoll, int32_t partition)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    int one = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)at, sizeof *at) != 0)
        fail_call("connect");
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &ev) != 0)
        fail_call("epoll_ctl");
    c->request = raw_produce(str_from(topic, topic_bytes), partition, RECORDS, RECORD_BYTES);
}

static void send_request(struct connection *c)
{
    struct str bytes = buf_view(&c->request);
    size_t sent = 0;

    while (sent < bytes.n) { // at most 10 KB are on their way: the socket takes them at once
        ssize_t n = send(c->fd, bytes.p + sent, bytes.n - sent, MSG_NOSIGNAL);

        if (n <= 0)
            fail_call("send");
        sent += (size_t)n;
    }
    c->flying = true;
}

/* What has come; true when it is a whole answer. */
static bool take_answer(struct connection *c)
{
    ssize_t n = recv(c->fd, c->answer + c->got, sizeof c->answer - c->got, 0);
    uint32_t size;
    uint16_t error;

    if (n <= 0)
        fail_call("the broker closed a connection");
    c->got += (size_t)n;
    if (c->got < 4)
        return false;
    memcpy(&size, c->answer, 4);
    size = ntohl(size);
    if (size > sizeof c->answer - 4)
        fail_call("too long an answer");
    if (c->got < size + 4)
        return false;
    memcpy(&error, c->answer + RAW_ERROR_AT + topic_bytes, 2);
    if (error != 0) {
        (void)fprintf(stderr, "kafka_many: error %u\n", ntohs(error));
        exit(1); // NOLINT(concurrency-mt-unsafe): the bench is over
    }
    c->got = 0;
    c->flying = false;
    return true;
}

static int by_size(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;

    return (a > b) - (a < b);
}

/* Connections take their turns in order: number `turn` is due at begun + turn * step_ns. */
static void run(struct connection *all, size_t count, int epoll, int64_t step_ns, int64_t seconds)
{
    struct epoll_event ev[EVENTS];
    int64_t begun = now_ns(), end = begun + seconds * 1000000000, now = begun, turn = 0;

    while (now < end) {
        struct connection *next = &all[turn % (int64_t)count];
        int64_t due = begun + turn * step_ns;
        int n, wait_ms;

        if (!next->flying && due <= now) {
            next->due_ns = due;
            send_request(next);
            turn++;
            continue;
        }
        wait_ms = next->flying ? 100 : (int)((due - now) / 1000000);
        n = epoll_wait(epoll, ev, EVENTS, wait_ms);
        now = now_ns();
        for (int i = 0; i < n; i++) {
            struct connection *c = ev[i].data.ptr;

            if (take_answer(c) && answered < answers_cap)
                latency_ns[answered++] = now - c->due_ns;
        }
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    struct connection *all;
    int64_t rate, seconds;
    size_t count;
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    if (argc != 8 || inet_pton(AF_INET, argv[1], &at.sin_addr) != 1) {
        (void)fprintf(stderr, "usage: kafka_many ADDRESS PORT TOPIC PARTITIONS CONNECTIONS RATE SECONDS\n");
        return 2;
    }
    at.sin_port = htons((uint16_t)strtol(argv[2], NULL, 10));
    topic = argv[3];
    topic_bytes = strlen(topic);
    count = (size_t)strtol(argv[5], NULL, 10);
    rate = strtol(argv[6], NULL, 10);
    seconds = strtol(argv[7], NULL, 10);
    answers_cap = rate / RECORDS * (seconds + 1);
    latency_ns = MEM_ARRAY(int64_t, answers_cap);
    all = MEM_ARRAY(struct connection, count);
    for (size_t i = 0; i < count; i++)
        open_connection(&all[i], &at, epoll, (int32_t)((long)i % strtol(argv[4], NULL, 10)));
    run(all, count, epoll, INT64_C(1000000000) * RECORDS / rate, seconds);
    if (answered == 0)
        fail_call("nothing was acknowledged");
    qsort(latency_ns, (size_t)answered, sizeof *latency_ns, by_size);
    (void)printf("%.0f %.3f %.3f\n", (double)answered * RECORDS / (double)seconds,
                 (double)latency_ns[answered / 2] / 1e6, (double)latency_ns[answered * 99 / 100] / 1e6);
    return 0;
}
