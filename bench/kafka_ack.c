/*
 * kafka_ack: how long a broker takes to acknowledge, at a fixed rate.
 *
 *     kafka_ack ADDRESS:PORT TOPIC PARTITIONS RATE SECONDS BYTES
 *     kafka_ack disk FILE RATE SECONDS BYTES
 *
 * One connection; RATE requests a second, each with one record of BYTES for the next partition, acks=all, as many on their way as it
 * takes. Prints the median and the 99th percentile of milliseconds from the moment a record was due to its acknowledgement, so a
 * request that could not be sent in time counts as late. The first second does not count: a broker makes its files then.
 *
 * The second is the same without a broker: what is due is written over a file of real blocks, and one fdatasync later all of that is
 * acknowledged. No broker that syncs can do better on this disk, and whoever waits in a thread that must be woken at a time does
 * no better on this machine.
 *
 * It is one thread that sleeps until something is due or has come, and the requests are made beforehand: a client library hands
 * each record from thread to thread and takes more of the machine than a broker does, so that where cores are few its own wait
 * for one is what would be measured.
 */
#include "base/mem.h"
#include "bench.h"
#include "kafka_raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { NS = 1000000000, ANSWERS = 64 * 1024, SEND_BYTES = 32 << 20, FILE_BYTES = 64 << 20 };

struct run {
    int fd;
    struct buf *request; // [partitions]
    int64_t partitions, rate, total;
    size_t error_at;
    int64_t begun_ns, sent, answered;
    int64_t *latency_ns; // [total]
    uint8_t answers[ANSWERS];
    size_t got;
};

static int64_t due_ns(const struct run *r, int64_t i)
{
    return r->begun_ns + i * NS / r->rate;
}

static int connect_to(char *address)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    char *port = strchr(address, ':');
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, room = SEND_BYTES;

    if (!port || fd < 0)
        fail_call(address);
    *port++ = '\0';
    at.sin_port = htons((uint16_t)number(port));
    if (inet_pton(AF_INET, address, &at.sin_addr) != 1)
        fail_call(address);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room); // so that it never waits to send
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (const struct sockaddr *)&at, sizeof at) != 0)
        fail_call("connect");
    return fd;
}

static void send_due(struct run *r)
{
    while (r->sent < r->total && due_ns(r, r->sent) <= now_ns()) {
        struct str bytes = buf_view(&r->request[r->sent % r->partitions]);

        for (ssize_t n; bytes.n > 0; bytes = str_from(bytes.p + n, bytes.n - (size_t)n))
            if ((n = send(r->fd, bytes.p, bytes.n, MSG_NOSIGNAL)) <= 0)
                fail_call("send");
        r->sent++;
    }
}

/* Answers come in the order of their requests. */
static void take_answers(struct run *r)
{
    ssize_t n = recv(r->fd, r->answers + r->got, sizeof r->answers - r->got, 0);
    int64_t now = now_ns();
    size_t at = 0;

    if (n <= 0)
        fail_call("the broker closed the connection");
    r->got += (size_t)n;
    while (r->got - at >= 4) {
        const uint8_t *answer = r->answers + at;
        uint32_t size;

        memcpy(&size, answer, 4);
        size = ntohl(size);
        if (r->got - at - 4 < size)
            break;
        if (size < r->error_at + 2 - 4 || answer[r->error_at] != 0 || answer[r->error_at + 1] != 0)
            fail("record %lld was refused with error %d", (long long)r->answered, answer[r->error_at + 1]);
        r->latency_ns[r->answered] = now - due_ns(r, r->answered);
        r->answered++;
        at += size + 4;
    }
    r->got -= at;
    memmove(r->answers, r->answers + at, r->got);
}

static void run(struct run *r)
{
    struct pollfd p = {.fd = r->fd, .events = POLLIN};

    r->begun_ns = now_ns();
    while (r->answered < r->total) {
        int64_t left = 60 * (int64_t)NS;
        struct timespec t;
        int n;

        send_due(r);
        if (r->sent < r->total)
            left = due_ns(r, r->sent) - now_ns();
        left = left > 0 ? left : 0;
        t = (struct timespec){left / NS, left % NS};
        n = ppoll(&p, 1, &t, NULL);
        if (n < 0 || (n == 0 && r->sent == r->total))
            fail_call("no answer for a minute");
        if (n > 0)
            take_answers(r);
    }
}

/* ---- the disk alone ---- */

static int open_blocks(const char *path, size_t bytes)
{
    char *zeros = mem_zero(bytes);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || pwrite(fd, zeros, bytes, 0) != (ssize_t)bytes || fsync(fd) != 0)
        fail_call(path);
    mem_free(zeros);
    return fd;
}

static void sleep_until_due(const struct run *r)
{
    int64_t left = due_ns(r, r->sent) - now_ns();
    struct timespec t = {left / NS, left % NS};

    if (left > 0)
        (void)nanosleep(&t, NULL);
}

static void run_disk(struct run *r, size_t bytes)
{
    size_t most = FILE_BYTES / bytes, at = 0;
    char *data = mem_zero(FILE_BYTES);

    r->begun_ns = now_ns();
    while (r->answered < r->total) {
        int64_t now = now_ns();
        size_t n;

        while (r->sent < r->total && due_ns(r, r->sent) <= now)
            r->sent++;
        n = (size_t)(r->sent - r->answered);
        n = n < most ? n : most;
        if (n == 0) {
            sleep_until_due(r);
            continue;
        }
        at = at + n <= most ? at : 0;
        if (pwrite(r->fd, data, n * bytes, (off_t)(at * bytes)) != (ssize_t)(n * bytes) ||
            fdatasync(r->fd) != 0)
            fail_call("write");
        at += n;
        now = now_ns();
        for (; n > 0; n--, r->answered++)
            r->latency_ns[r->answered] = now - due_ns(r, r->answered);
    }
    mem_free(data);
}

/* ---- the figures ---- */

static int by_size(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;

    return (a > b) - (a < b);
}

static void plan(struct run *r, const char *rate, const char *seconds)
{
    r->rate = number(rate);
    r->total = r->rate + r->rate * number(seconds);
    r->latency_ns = MEM_ARRAY(int64_t, r->total);
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
}

static void tell(const struct run *r)
{
    int64_t *counted = r->latency_ns + r->rate, count = r->total - r->rate;

    qsort(counted, (size_t)count, sizeof *counted, by_size);
    (void)printf("%.3f %.3f\n", (double)counted[count / 2] / 1e6, (double)counted[count * 99 / 100] / 1e6);
}

int main(int argc, char **argv)
{
    static struct run r;
    struct str topic;

    if (argc == 6 && strcmp(argv[1], "disk") == 0) {
        plan(&r, argv[3], argv[4]);
        r.fd = open_blocks(argv[2], FILE_BYTES);
        run_disk(&r, (size_t)number(argv[5]));
        tell(&r);
        return 0;
    }
    if (argc != 7) {
        (void)fprintf(stderr, "usage: kafka_ack ADDRESS:PORT TOPIC PARTITIONS RATE SECONDS BYTES\n"
                              "       kafka_ack disk FILE RATE SECONDS BYTES\n");
        return 2;
    }
    topic = str_of(argv[2]);
    r.partitions = number(argv[3]);
    r.error_at = RAW_ERROR_AT + topic.n;
    r.request = MEM_ARRAY(struct buf, r.partitions);
    for (int64_t i = 0; i < r.partitions; i++)
        r.request[i] = raw_produce(topic, (int32_t)i, 1, (size_t)number(argv[6]));
    plan(&r, argv[4], argv[5]);
    r.fd = connect_to(argv[1]);
    run(&r);
    tell(&r);
    return 0;
}
