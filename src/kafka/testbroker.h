/*
 * testbroker: a broker on a folder of its own, and a client of it, for kafka_test.c.
 *
 * The client writes requests and reads answers with the tables of messages.h, in any version, over a real socket.
 * A failed read or write ends the test that asked.
 */
#pragma once

#include "kafka/kafka.h"

#include "base/be.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/test.h"
#include "group/offsets.h"
#include "kafka/kafka_int.h"
#include "log/batch.h"
#include "os/fault.h"
#include "os/os.h"
#include "os/tempdir.h"

#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the broker ---- */

static char dir[TEMPDIR_MAX];
static struct net *net;
static struct log *wal;
static struct offsets *offsets;
static struct kafka *kafka;
static struct auth *users; // set by a test before begin(): clients must log in
static int64_t reauth_ms;  // and this: anew after so long
static struct os *door_os; // what the door itself works with; NULL: the real one
static int port;
static struct arena mem;

static int64_t keep_positions_ms; // of groups without members; 0: as long as usual
static struct os_fault disk;      // fails when a test says so

static const char *super_user = "admin", *held_topic = "held";

static const char *acl_file(void)
{
    static char path[TEMPDIR_MAX + 20];

    (void)snprintf(path, sizeof path, "%s/security.json", dir);
    return path;
}

static void start(void)
{
    struct err e;

    os_fault_init(&disk, os_real(), OS_FAULT_ENOSPC, UINT_MAX, true);
    disk.writes_only = true;
    OK(log_open(&(struct log_options){.os = &disk.os, .dir = dir}, &wal, &e));
    OK(offsets_open(&(struct offsets_options){.os = os_real(), .log = wal}, &offsets, &e));
    OK(net_start(&(struct net_options){.loops = 2}, &net, &e));
    OK(kafka_start(&(struct kafka_options){.os = door_os ? door_os : os_real(),
                                           .net = net,
                                           .log = wal,
                                           .offsets = offsets,
                                           .plain = {.host = "127.0.0.1"},
                                           .users = users,
                                           .reauth_ms = reauth_ms,
                                           .acl_file = acl_file(),
                                           .super_users = &super_user,
                                           .super_count = 1,
                                           .held = &held_topic,
                                           .held_count = 1,
                                           .auto_create = true,
                                           .partitions = 2,
                                           .replication_max = 2,
                                           .offsets_retention_ms = keep_positions_ms},
                   &kafka, &port, &e));
}

static void stop(void)
{
    net_shut(net, 2000);
    kafka_stop(kafka);
    net_stop(net);
    offsets_close(offsets);
    log_close(wal);
}

static void begin(void)
{
    OK(tempdir_make(dir));
    start();
}

static void end(void)
{
    struct err e;

    stop();
    OK(os_remove_tree(os_real(), dir, &e));
    arena_fini(&mem);
}

/* ---- a client ---- */

static int dial(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    OK(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
    return fd;
}

struct api {
    int16_t key;
    int flexible;
    const struct wire_msg *req, *res;
};

#define X(NAME, key, message, told, first, last, flexible, handler) \
    static const struct api NAME = {key, flexible, &k_##message##_req_msg, &k_##message##_res_msg};
#include "kafka/api.def"
#undef X

static int32_t correlation;

static void send_all(int fd, const void *p, size_t n)
{
    OK(send(fd, p, n, MSG_NOSIGNAL) == (ssize_t)n);
}

static void ask(int fd, const struct api *a, int version, const void *req)
{
    struct wire_out o = {.buf = buf_make(64 << 20)};

    buf_i32(&o.buf, 0);
    buf_i16(&o.buf, a->key);
    buf_i16(&o.buf, (int16_t)version);
    buf_i32(&o.buf, ++correlation);
    buf_i16(&o.buf, 4);
    buf_str(&o.buf, STR("test"));
    if (version >= a->flexible)
        buf_u8(&o.buf, 0);
    wire_write(&o, a->req, version, version >= a->flexible, req);
    buf_set_i32(&o.buf, 0, (int32_t)o.buf.n - 4);
    send_all(fd, o.buf.p, o.buf.n);
    wire_out_fini(&o);
}

static bool receive(int fd, void *p, size_t n)
{
    for (size_t got = 0; got < n;) {
        struct pollfd w = {.fd = fd, .events = POLLIN};
        ssize_t k = poll(&w, 1, 20000) == 1 ? recv(fd, (char *)p + got, n - got, 0) : -1;

        if (k <= 0)
            return false;
        got += (size_t)k;
    }
    return true;
}

/* The next answer; false when the connection was closed. */
static bool hear(int fd, const struct api *a, int version, int32_t id, void *res)
{
    uint8_t head[8];
    bool tags = version >= a->flexible && a->key != 18;
    struct wire_in in = {.arena = &mem, .version = version, .flexible = version >= a->flexible};
    struct err e;
    size_t n;
    char *p;

    if (!receive(fd, head, sizeof head))
        return false;
    OK((int32_t)be_get32(head + 4) == id);
    n = be_get32(head) - 4;
    p = arena_alloc(&mem, n);
    OK(receive(fd, p, n));
    OK(!tags || p[0] == 0);
    in.bytes = str_from(p + tags, n - tags);
    if (!wire_read(&in, a->res, res, &e)) {
        printf("# %s\n", e.msg);
        OK(!"the answer can be read");
    }
    return true;
}

static void call(int fd, const struct api *a, int version, const void *req, void *res)
{
    ask(fd, a, version, req);
    OK(hear(fd, a, version, correlation, res));
}

static inline bool hung_up(int fd)
{
    char c;

    return !receive(fd, &c, 1);
}

/* A connection that has logged in, with PLAIN. */
static inline int dial_as(const char *user, const char *password)
{
    struct k_sasl_handshake_res hands;
    struct k_sasl_authenticate_res done;
    struct buf token = buf_make(1000);
    int fd = dial();

    buf_u8(&token, 0);
    buf_str(&token, str_of(user));
    buf_u8(&token, 0);
    buf_str(&token, str_of(password));
    call(fd, &SASL_HANDSHAKE, 1, &(struct k_sasl_handshake_req){STR("PLAIN")}, &hands);
    call(fd, &SASL_AUTHENTICATE, 1, &(struct k_sasl_authenticate_req){buf_view(&token)}, &done);
    OK(hands.error == K_NONE && done.error == K_NONE);
    buf_fini(&token);
    return fd;
}

/* The same after a restart of the broker. */
static inline int redial(int fd)
{
    close(fd);
    stop();
    start();
    return dial();
}

/* ---- shorthands ---- */

static inline struct str batch_of(struct batch_writer *w, int records, int64_t time_ms, struct str key)
{
    batch_begin(w, LIMIT_BATCH);
    for (int i = 0; i < records; i++)
        batch_add(w, time_ms + i, key, STR("value"), NULL, 0);
    return batch_end(w);
}

static inline struct k_produce_res_partition produce(int fd, int version, const char *topic,
                                                     struct str records)
{
    struct k_produce_req_partition p = {.records.bytes = records};
    struct k_produce_req_topic t = {.name = str_of(topic), .partitions = &p, .partitions_n = 1};
    struct k_produce_req req = {.acks = -1, .timeout_ms = 1000, .topics = &t, .topics_n = 1};
    struct k_produce_res res;

    call(fd, &PRODUCE, version, &req, &res);
    OK(res.topics_n == 1 && res.topics[0].partitions_n == 1);
    return res.topics[0].partitions[0];
}

static inline struct k_metadata_res_topic ensure(int fd, const char *topic)
{
    struct k_metadata_req_topic t = {.name = str_of(topic)};
    struct k_metadata_req req = {.topics = &t, .topics_n = 1, .auto_create = true};
    struct k_metadata_res res;

    call(fd, &METADATA, 12, &req, &res);
    OK(res.topics_n == 1 && res.topics[0].error == K_NONE);
    return res.topics[0];
}

struct wish {
    int64_t offset;
    int32_t max_wait_ms, min_bytes, max_bytes, partition_max_bytes;
    struct log_uuid id;
};

static inline void ask_fetch(int fd, int version, const char *topic, struct wish w)
{
    struct k_fetch_req_partition p = {.leader_epoch = -1,
                                      .offset = w.offset,
                                      .max_bytes = w.partition_max_bytes ? w.partition_max_bytes : 1 << 20};
    struct k_fetch_req_topic t = {.name = str_of(topic), .id = w.id, .partitions = &p, .partitions_n = 1};
    struct k_fetch_req req = {.replica_id = -1,
                              .max_wait_ms = w.max_wait_ms,
                              .min_bytes = w.min_bytes,
                              .max_bytes = w.max_bytes ? w.max_bytes : 1 << 20,
                              .session_epoch = -1,
                              .topics = &t,
                              .topics_n = 1};

    ask(fd, &FETCH, version, &req);
}

static inline struct k_fetch_res_partition hear_fetch(int fd, int version)
{
    struct k_fetch_res res;

    OK(hear(fd, &FETCH, version, correlation, &res));
    OK(res.error == K_NONE && res.session_id == 0 && res.topics_n == 1 && res.topics[0].partitions_n == 1);
    OK(res.topics[0].partitions[0].records.bytes.p != NULL);
    return res.topics[0].partitions[0];
}

static inline struct k_fetch_res_partition fetch(int fd, int version, const char *topic, struct wish w)
{
    ask_fetch(fd, version, topic, w);
    return hear_fetch(fd, version);
}

/* A request with one element in each list, in each string `name`, as each id this one. */
static inline void fill_request(const struct wire_msg *m, char *out, struct str name,
                                const struct log_uuid *id)
{
    wire_default(m, out);
    for (size_t i = 0; i < m->count; i++) {
        const struct wire_field *f = &m->fields[i];
        void *list = NULL;

        if (f->kind == WIRE_STR)
            memcpy(out + f->at, &name, sizeof name);
        if (f->kind == WIRE_UUID)
            memcpy(out + f->at, id, sizeof *id);
        if (strcmp(f->name, "acks") == 0)
            memcpy(out + f->at, &(int16_t){-1}, 2);
        if (strcmp(f->name, "type") == 0)
            memcpy(out + f->at, &(int8_t){2}, 1);
        if (f->kind == WIRE_LIST || f->kind == WIRE_LIST_N) {
            list = arena_alloc(&mem, f->of->size);
            fill_request(f->of, list, name, id);
        } else if (f->kind == WIRE_STRS || f->kind == WIRE_STRS_N) {
            list = arena_copy(&mem, &name, sizeof name);
        } else if (f->kind == WIRE_INTS) {
            list = arena_alloc(&mem, sizeof(int32_t));
        }
        if (list) {
            memcpy(out + f->at, &list, sizeof list);
            memcpy(out + f->at_n, &(int32_t){1}, 4);
        }
    }
}
