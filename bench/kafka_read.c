/*
 * kafka_read: what a broker gives to one connection, seen by a consumer that costs next to nothing.
 *
 *     kafka_read ADDRESS PORT TOPIC PARTITIONS COUNT ROUNDS
 *
 * Reads all COUNT records of a topic ROUNDS times and prints how many a second each time. It asks as Java's consumer does (Fetch of
 * 50 MB, 1 MB a partition, one byte is enough) in two requests for half of the partitions each, one of which is on its way while
 * the answer to the other is read, so that the broker never waits for the client to make up its mind. Every batch's checksum and
 * offsets are checked, records are counted by the batches' headers; librdkafka and Java go on to make an object a record.
 */
#include "base/be.h"
#include "base/buf.h"
#include "base/crc.h"
#include "base/mem.h"
#include "bench.h"
#include "log/batch.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { WINDOW = 256 << 10, ANSWER_BYTES = 50 << 20, PARTITION_BYTES = 1 << 20, WAIT_MS = 500, FLYING = 2 };

/* What has come and was not taken yet. */
static struct {
    int fd;
    size_t at, n;
    uint8_t bytes[WINDOW];
} in;

struct partition {
    int64_t next, end; // offsets
    int32_t request;   // that is on its way for it; 0: none
};

static struct str topic;
static struct partition *part;
static int32_t partitions, requests, flying;
static int64_t records;

static void connect_to(const char *address, const char *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtol(port, NULL, 10))};
    int one = 1;

    in.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1 || in.fd < 0 ||
        connect(in.fd, (const struct sockaddr *)&to, sizeof to) != 0)
        fail("no connection to %s:%s", address, port);
    (void)setsockopt(in.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* ---- reading ---- */

/* At least n bytes (n is small) are there to be looked at. */
static const uint8_t *peek(size_t n)
{
    if (in.n - in.at < n) {
        memmove(in.bytes, in.bytes + in.at, in.n - in.at);
        in.n -= in.at;
        in.at = 0;
    }
    while (in.n < n) {
        ssize_t got = recv(in.fd, in.bytes + in.n, sizeof in.bytes - in.n, 0);

        if (got <= 0)
            fail("the broker closed the connection");
        in.n += (size_t)got;
    }
    return in.bytes + in.at;
}

static const uint8_t *take(size_t n)
{
    const uint8_t *p = peek(n);

    in.at += n;
    return p;
}

/* Takes n bytes, however many they are; their checksum. */
static uint32_t take_crc(size_t n)
{
    uint32_t crc = 0;

    while (n > 0) {
        const uint8_t *p = peek(1);
        size_t k = in.n - in.at < n ? in.n - in.at : n;

        crc = crc32c(crc, p, k);
        in.at += k;
        n -= k;
    }
    return crc;
}

static void take_batch(struct partition *p, const struct batch_header *h)
{
    int64_t last = h->base_offset + h->last_offset_delta;
    int partition = (int)(p - part);

    (void)take(BATCH_CRC_FROM);
    if (take_crc((size_t)h->length + 12 - BATCH_CRC_FROM) != h->crc)
        fail("a wrong checksum at offset %lld of partition %d", (long long)h->base_offset, partition);
    if (h->base_offset > p->next || last < p->next)
        fail("offset %lld of partition %d was asked for, %lld came", (long long)p->next, partition,
             (long long)h->base_offset);
    records += last + 1 - p->next;
    p->next = last + 1;
}

static void take_records(struct partition *p, size_t n)
{
    struct batch_header h;

    while (n >= BATCH_HEADER) {
        if (!batch_header(str_from(peek(BATCH_HEADER), BATCH_HEADER), &h))
            fail("no batch where one must be");
        if ((size_t)h.length + 12 > n)
            break; // Kafka gives what fits, the last batch may be cut
        n -= (size_t)h.length + 12;
        take_batch(p, &h);
    }
    (void)take_crc(n);
}

/* ---- Fetch, version 11 ---- */

static bool wanted(const struct partition *p)
{
    return p->request == 0 && p->next < p->end;
}

/* For n of the partitions that nothing is on its way for. */
static void send_request(int32_t n)
{
    struct buf b = buf_make(1 << 20);

    buf_i32(&b, 0); // length, below
    buf_i16(&b, 1);
    buf_i16(&b, 11);
    buf_i32(&b, ++requests);
    buf_i16(&b, -1); // no client id
    buf_i32(&b, -1); // no replica
    buf_i32(&b, WAIT_MS);
    buf_i32(&b, 1);
    buf_i32(&b, ANSWER_BYTES);
    buf_u8(&b, 0);   // uncommitted
    buf_i32(&b, 0);  // no session
    buf_i32(&b, -1); //
    buf_i32(&b, 1);
    buf_i16(&b, (int16_t)topic.n);
    buf_str(&b, topic);
    buf_i32(&b, n);
    for (int32_t i = 0; n > 0; i++)
        if (wanted(&part[i])) {
            buf_i32(&b, i);
            buf_i32(&b, -1);
            buf_i64(&b, part[i].next);
            buf_i64(&b, -1);
            buf_i32(&b, PARTITION_BYTES);
            part[i].request = requests;
            n--;
        }
    buf_i32(&b, 0); // nothing forgotten
    buf_i16(&b, 0); // no rack
    be_put32(b.p, (uint32_t)b.n - 4);
    if (send(in.fd, b.p, b.n, MSG_NOSIGNAL) !=
        (ssize_t)b.n) // a few hundred bytes: the socket takes them at once
        fail("a request cannot be sent");
    buf_fini(&b);
    flying++;
}

/* Partitions that are read to their end are asked for no more: a broker would wait for what may come. */
static void send_requests(void)
{
    int32_t n = 0;

    for (int32_t i = 0; i < partitions; i++)
        n += wanted(&part[i]);
    while (n > 0 && flying < FLYING) {
        int32_t k = (n + FLYING - flying - 1) / (FLYING - flying);

        send_request(k);
        n -= k;
    }
}

static void take_partition(void)
{
    int32_t index = (int32_t)be_get32(take(4)), aborted, n;
    int16_t error = (int16_t)be_get16(take(2));
    struct partition *p = &part[index];

    if (error != 0 || index < 0 || index >= partitions)
        fail("error %d for partition %d", error, index);
    p->end = (int64_t)be_get64(take(8));
    (void)take(16); // last stable offset, first offset
    aborted = (int32_t)be_get32(take(4));
    for (int32_t i = 0; i < aborted; i++)
        (void)take(16);
    (void)take(4); // preferred replica
    n = (int32_t)be_get32(take(4));
    take_records(p, n > 0 ? (size_t)n : 0);
    p->request = 0;
}

static void take_answer(void)
{
    int32_t topics, n;

    (void)take(4 + 4 + 4); // length, number of the request, throttled
    if (be_get16(take(2)) != 0)
        fail("the fetch was refused");
    (void)take(4); // session
    topics = (int32_t)be_get32(take(4));
    for (int32_t t = 0; t < topics; t++) {
        (void)take(be_get16(take(2)));
        n = (int32_t)be_get32(take(4));
        for (int32_t i = 0; i < n; i++)
            take_partition();
    }
    flying--;
}

/* Records a second. */
static double read_all(int64_t count)
{
    int64_t begun = now_ns();

    records = 0;
    for (int32_t i = 0; i < partitions; i++)
        part[i] = (struct partition){.end = 1};
    for (send_requests(); flying > 0; send_requests())
        take_answer();
    if (records != count)
        fail("%lld records came, not %lld", (long long)records, (long long)count);
    return (double)count / ((double)(now_ns() - begun) / 1e9);
}

int main(int argc, char **argv)
{
    if (argc != 7)
        fail("usage: see the head of bench/kafka_read.c");
    topic = str_of(argv[3]);
    partitions = (int32_t)strtol(argv[4], NULL, 10);
    part = MEM_ARRAY(struct partition, partitions);
    connect_to(argv[1], argv[2]);
    for (long round = 0; round < strtol(argv[6], NULL, 10); round++)
        (void)printf("%.0f\n", read_all(strtoll(argv[5], NULL, 10)));
    return 0;
}
