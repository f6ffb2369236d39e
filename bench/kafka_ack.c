/*
 * kafka_ack: how long a broker takes to acknowledge, at a fixed rate; and the disk alone.
 *
 *     kafka_ack ADDRESS:PORT TOPIC PARTITIONS RATE SECONDS BYTES [FILE]
 *
 * One connection; RATE requests a second, each with one record of BYTES for the next partition, acks=all, as many on their way as it
 * takes. Prints the median and the 99th percentile of milliseconds from the moment a request is given to the system to its
 * acknowledgement, and how late the 99th percentile of them was given: requests never wait for answers, so that is the client's own wait for
 * a processor. The first second does not count: a broker makes its files then.
 *
 * With FILE the same three of the disk alone: what is due is written over whole pages of a file of real blocks, and one fdatasync later
 * all of that is acknowledged; what came due meanwhile has waited since then. No broker that syncs can do better on this disk. The two take
 * turns of a quarter of a second: a disk that others use is quick in one second and slow in the next, and so is a processor. Before
 * all that then a line for each pair of turns: the median and the 99th percentile of the broker's, and those of the disk's.
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

enum {
    NS = 1000000000,
    ANSWERS = 64 * 1024,
    SEND_BYTES = 32 << 20,
    FILE_BYTES = 64 << 20,
    TURNS_A_SECOND = 4,
    PAGE = 4096
};

struct run {
    int fd;
    struct buf *request; // [partitions]
    int64_t partitions, rate, total;
    size_t bytes, error_at;
    int64_t begun_ns, first, until; // this turn: when it began, with which record; the one behind its last
    int64_t sent, answered;
    int64_t *latency_ns; // [total]; until it is answered, when it was given to the system
    int64_t *late_ns;    // [total]
    uint8_t answers[ANSWERS];
    size_t got;
    char *data; // of the disk alone: [FILE_BYTES]
    size_t at;  // in the file
};

static int64_t due_ns(const struct run *r, int64_t i)
{
    return r->begun_ns + (i - r->first) * NS / r->rate;
}

static void begin_turn(struct run *r)
{
    r->first = r->answered;
    r->until = r->first + r->rate / TURNS_A_SECOND;
    r->begun_ns = now_ns();
}

static void give(struct run *r, int64_t now)
{
    r->late_ns[r->sent] = now - due_ns(r, r->sent);
    r->latency_ns[r->sent++] = now;
}

static void answered(struct run *r, int64_t now)
{
    r->latency_ns[r->answered] = now - r->latency_ns[r->answered];
    r->answered++;
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
    while (r->sent < r->until && due_ns(r, r->sent) <= now_ns()) {
        struct str bytes = buf_view(&r->request[r->sent % r->partitions]);

        give(r, now_ns());
        for (ssize_t n; bytes.n > 0; bytes = str_from(bytes.p + n, bytes.n - (size_t)n))
            if ((n = send(r->fd, bytes.p, bytes.n, MSG_NOSIGNAL)) <= 0)
                fail_call("send");
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
        answered(r, now);
        at += size + 4;
    }
    r->got -= at;
    memmove(r->answers, r->answers + at, r->got);
}

static void run_broker(struct run *r)
{
    struct pollfd p = {.fd = r->fd, .events = POLLIN};

    begin_turn(r);
    while (r->answered < r->until) {
        int64_t left = 60 * (int64_t)NS;
        struct timespec t;
        int n;

        send_due(r);
        if (r->sent < r->until)
            left = due_ns(r, r->sent) - now_ns();
        left = left > 0 ? left : 0;
        t = (struct timespec){left / NS, left % NS};
        n = ppoll(&p, 1, &t, NULL);
        if (n < 0 || (n == 0 && r->sent == r->until))
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

/* When it went on: what came due in its sleep is given then. */
static int64_t sleep_until_due(const struct run *r)
{
    int64_t left = due_ns(r, r->sent) - now_ns();
    struct timespec t = {left / NS, left % NS};

    if (left > 0)
        (void)nanosleep(&t, NULL);
    return now_ns();
}

static void write_and_sync(struct run *r, size_t records)
{
    size_t n = (records * r->bytes + PAGE - 1) / PAGE * PAGE;

    r->at = r->at + n <= FILE_BYTES ? r->at : 0;
    if (n > FILE_BYTES || pwrite(r->fd, r->data, n, (off_t)r->at) != (ssize_t)n || fdatasync(r->fd) != 0)
        fail_call("write");
    r->at += n;
}

static void run_disk(struct run *r)
{
    int64_t awake;

    begin_turn(r);
    awake = r->begun_ns;
    while (r->answered < r->until) {
        int64_t now = now_ns();

        for (int64_t due; r->sent < r->until && (due = due_ns(r, r->sent)) <= now;)
            give(r, due > awake ? due : awake);
        if (r->sent == r->answered) {
            awake = sleep_until_due(r);
            continue;
        }
        write_and_sync(r, (size_t)(r->sent - r->answered));
        now = now_ns();
        while (r->answered < r->sent)
            answered(r, now);
    }
}

/* ---- the figures ---- */

static int by_size(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;

    return (a > b) - (a < b);
}

static void plan(struct run *r, char **arg)
{
    r->partitions = number(arg[3]);
    r->rate = number(arg[4]) / TURNS_A_SECOND * TURNS_A_SECOND;
    r->total = r->rate * (1 + number(arg[5]));
    r->bytes = (size_t)number(arg[6]);
    r->latency_ns = MEM_ARRAY(int64_t, r->total);
    r->late_ns = MEM_ARRAY(int64_t, r->total);
}

/* The percentile of so many, in milliseconds. */
static double part(int64_t *ns, int64_t count, int64_t percent)
{
    qsort(ns, (size_t)count, sizeof *ns, by_size);
    return (double)ns[count * percent / 100] / 1e6;
}

/* Of all but the first second. */
static void tell(const struct run *r)
{
    int64_t count = r->total - r->rate, *latency = r->latency_ns + r->rate, *late = r->late_ns + r->rate;

    (void)printf("%.3f %.3f %.3f\n", part(latency, count, 50), part(latency, count, 99),
                 part(late, count, 99));
}

static void tell_turns(const struct run *broker, const struct run *disk)
{
    int64_t count = broker->rate / TURNS_A_SECOND;

    for (int64_t i = broker->rate; i < broker->total; i += count) {
        int64_t *a = broker->latency_ns + i, *b = disk->latency_ns + i;

        (void)printf("%.3f %.3f %.3f %.3f\n", part(a, count, 50), part(a, count, 99), part(b, count, 50),
                     part(b, count, 99));
    }
}

int main(int argc, char **argv)
{
    static struct run broker, disk;
    struct str topic;

    if (argc != 7 && argc != 8) {
        (void)fprintf(stderr, "usage: kafka_ack ADDRESS:PORT TOPIC PARTITIONS RATE SECONDS BYTES [FILE]\n");
        return 2;
    }
    topic = str_of(argv[2]);
    plan(&broker, argv);
    plan(&disk, argv);
    broker.error_at = RAW_ERROR_AT + topic.n;
    broker.request = MEM_ARRAY(struct buf, broker.partitions);
    for (int64_t i = 0; i < broker.partitions; i++)
        broker.request[i] = raw_produce(topic, (int32_t)i, 1, broker.bytes);
    if (argc == 8) {
        disk.fd = open_blocks(argv[7], FILE_BYTES);
        disk.data = mem_zero(FILE_BYTES);
    }
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    broker.fd = connect_to(argv[1]);
    while (broker.answered < broker.total) {
        run_broker(&broker);
        if (argc == 8)
            run_disk(&disk);
    }
    if (argc == 8)
        tell_turns(&broker, &disk); // first: the other lines sort all together
    tell(&broker);
    if (argc == 8)
        tell(&disk);
    return 0;
}
