#include "kafka/wire.h"

#include "base/mem.h"
#include "base/test.h"
#include "kafka/messages.h"
#include "os/os.h"

struct row {
    const struct wire_msg *msg;
    int first, last, flexible;
};

static const struct row rows[] = {
#define X(NAME, key, message, told, first, last, flexible, handler) \
    {&k_##message##_req_msg, first, last, flexible}, {&k_##message##_res_msg, first, last, flexible},
#include "kafka/api.def"
#undef X
};

/* ---- every message in every version, filled from its table ---- */

static uint32_t seed;

static uint32_t any(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

static struct str any_str(struct arena *a, bool null_ok)
{
    size_t n = any(9);
    char *p = arena_alloc(a, n + 1);

    if (null_ok && any(3) == 0)
        return STR_NULL;
    for (size_t i = 0; i < n; i++)
        p[i] = (char)('a' + any(26));
    return str_from(p, n);
}

static void fill(struct arena *a, const struct wire_msg *m, int version, char *out);

static void fill_list(struct arena *a, const struct wire_field *f, int version, char *out)
{
    bool null_ok = f->kind == WIRE_LIST_N || f->kind == WIRE_STRS_N || f->kind == WIRE_ONE_N;
    int32_t n = null_ok && any(3) == 0 ? -1 : f->kind == WIRE_ONE_N ? 1 : (int32_t)any(4);
    size_t size = f->of                   ? f->of->size
                  : f->kind == WIRE_INTS  ? sizeof(int32_t)
                  : f->kind == WIRE_LONGS ? sizeof(int64_t)
                                          : sizeof(struct str);
    char *list = arena_alloc(a, size * 4);

    for (int32_t i = 0; i < n; i++) {
        if (f->of)
            fill(a, f->of, version, list + size * (size_t)i);
        else if (f->kind == WIRE_INTS)
            ((int32_t *)(void *)list)[i] = (int32_t)any(1u << 24);
        else if (f->kind == WIRE_LONGS)
            ((int64_t *)(void *)list)[i] = (int64_t)any(1u << 24) << 30;
        else
            ((struct str *)(void *)list)[i] = any_str(a, false);
    }
    memcpy(out + f->at, &list, sizeof list);
    memcpy(out + f->at_n, &n, sizeof n);
}

static void fill(struct arena *a, const struct wire_msg *m, int version, char *out)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct wire_field *f = &m->fields[i];
        void *p = out + f->at;
        bool null_ok = version >= f->otherwise;

        switch (f->kind) {
        case WIRE_BOOL:
            *(bool *)p = any(2) == 1;
            break;
        case WIRE_I8:
            *(int8_t *)p = (int8_t)any(256);
            break;
        case WIRE_I16:
            *(int16_t *)p = (int16_t)any(65536);
            break;
        case WIRE_I32:
            *(int32_t *)p = (int32_t)any(1u << 24) - (1 << 23);
            break;
        case WIRE_I64:
            *(int64_t *)p = ((int64_t)any(1u << 24) << 33) - 12345;
            break;
        case WIRE_UUID:
            for (int b = 0; b < 16; b++)
                ((uint8_t *)p)[b] = (uint8_t)any(256);
            break;
        case WIRE_STR:
        case WIRE_BYTES:
            *(struct str *)p = any_str(a, null_ok);
            break;
        case WIRE_RECORDS:
            ((struct wire_records *)p)->bytes = any_str(a, null_ok);
            break;
        default:
            fill_list(a, f, version, out);
        }
    }
}

static bool round_trip(struct arena *a, const struct row *r, int version)
{
    bool flexible = version >= r->flexible;
    struct wire_out one = {.buf = buf_make(1 << 20)}, two = {.buf = buf_make(1 << 20)};
    void *in = arena_alloc(a, r->msg->size), *back = arena_alloc(a, r->msg->size);
    struct wire_in from = {.arena = a, .version = version, .flexible = flexible};
    struct err e;
    bool ok;

    fill(a, r->msg, version, in);
    wire_write(&one, r->msg, version, flexible, in);
    from.bytes = buf_view(&one.buf);
    ok = wire_read(&from, r->msg, back, &e);
    wire_write(&two, r->msg, version, flexible, back);
    ok = ok && str_eq(buf_view(&one.buf), buf_view(&two.buf));
    for (size_t n = 0; ok && n < one.buf.n; n += 1 + n / 16) { // cut short anywhere it is refused
        from.bytes = str_from(one.buf.p, n);
        ok = !wire_read(&from, r->msg, back, &e);
    }
    if (!ok)
        printf("# %s version %d\n", r->msg->name, version);
    wire_out_fini(&one);
    wire_out_fini(&two);
    return ok;
}

TEST(every_message_in_every_version)
{
    struct arena a = {0};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (int version = rows[i].first; version <= rows[i].last; version++) {
            for (int round = 0; round < 20; round++) {
                OK(round_trip(&a, &rows[i], version));
                arena_reset(&a);
            }
        }
    }
    arena_fini(&a);
}

/* ---- golden bytes, from the protocol's description ---- */

static bool written(const struct wire_msg *m, int version, bool flexible, const void *in, const char *hex)
{
    struct wire_out o = {.buf = buf_make(4096)};
    struct buf h = buf_make(8192);
    bool same;

    wire_write(&o, m, version, flexible, in);
    buf_hex(&h, o.buf.p, o.buf.n);
    same = str_is(buf_view(&h), hex);
    if (!same)
        printf("# %.*s\n", STR_ARG(buf_view(&h)));
    buf_fini(&h);
    wire_out_fini(&o);
    return same;
}

TEST(api_versions_bytes)
{
    struct k_api_versions_res_api api = {18, 0, 4};
    struct k_api_versions_res res = {.error = 35, .apis = &api, .apis_n = 1};

    OK(written(&k_api_versions_res_msg, 0, false, &res,
               "0023"
               "00000001"
               "0012"
               "0000"
               "0004"));
    OK(written(&k_api_versions_res_msg, 1, false, &res,
               "0023"
               "00000001"
               "0012"
               "0000"
               "0004"
               "00000000"));
    OK(written(&k_api_versions_res_msg, 3, true, &res,
               "0023"
               "02"
               "0012"
               "0000"
               "0004"
               "00"
               "00000000"
               "00"));
}

TEST(find_coordinator_bytes)
{
    struct k_find_coordinator_res_one one = {.key = STR("g"), .node_id = 1, .host = STR("h"), .port = 9092};
    struct k_find_coordinator_res res = {
        .node_id = 1, .host = STR("h"), .port = 9092, .coordinators = &one, .coordinators_n = 1};

    OK(written(&k_find_coordinator_res_msg, 0, false, &res,
               "0000"
               "00000001"
               "000168"
               "00002384"));
    OK(written(&k_find_coordinator_res_msg, 1, false, &res,
               "00000000"
               "0000"
               "ffff"
               "00000001"
               "000168"
               "00002384"));
    OK(written(&k_find_coordinator_res_msg, 4, true, &res,
               "00000000"
               "02"
               "0267"
               "00000001"
               "0268"
               "00002384"
               "0000"
               "00"
               "00"
               "00"));
}

TEST(records_are_never_null_in_a_fetch_answer)
{
    struct k_fetch_res_partition p = {.partition = 2, .error = 1, .high_watermark = -1, .aborted_n = -1};
    struct k_fetch_res_topic t = {.name = STR("t"), .partitions = &p, .partitions_n = 1};
    struct k_fetch_res res = {.topics = &t, .topics_n = 1};

    OK(written(&k_fetch_res_msg, 4, false, &res,
               "00000000"
               "00000001"
               "000174"
               "00000001"
               "00000002"
               "0001"
               "ffffffffffffffff"
               "0000000000000000"
               "ffffffff"
               "00000000"));
    OK(written(&k_fetch_res_msg, 12, true, &res,
               "00000000"
               "0000"
               "00000000"
               "02"
               "0274"
               "02"
               "00000002"
               "0001"
               "ffffffffffffffff"
               "0000000000000000"
               "0000000000000000"
               "00"
               "00000000"
               "01"
               "00"
               "00"
               "00"));
}

/* ---- what strangers may send ---- */

static bool reads(const struct wire_msg *m, int version, bool flexible, struct str bytes, void *out,
                  struct arena *a)
{
    struct err e;

    return wire_read(&(struct wire_in){.bytes = bytes, .arena = a, .version = version, .flexible = flexible},
                     m, out, &e);
}

TEST(defaults_of_fields_a_version_does_not_have)
{
    struct k_join_group_req in;
    struct arena a = {0};

    OK(reads(&k_join_group_req_msg, 0, false, STR("\0\1g\0\0\0\5\0\0\0\1c\0\0\0\0"), &in, &a));
    OK(in.rebalance_timeout_ms == -1 && in.session_timeout_ms == 5);
    OK(!in.instance_id.p && !in.reason.p && in.member_id.p && in.member_id.n == 0);
    arena_fini(&a);
}

TEST(tags_are_passed_over)
{
    struct k_heartbeat_req in;
    struct arena a = {0};

    OK(reads(&k_heartbeat_req_msg, 4, true, STR("\2g\0\0\0\1\2m\0\2\0\1x\7\2yz"), &in, &a));
    OK(str_is(in.group, "g") && in.generation == 1 && !in.instance_id.p);
    OK(!reads(&k_heartbeat_req_msg, 4, true, STR("\2g\0\0\0\1\2m\0\2\0\1x\7\3yz"), &in, &a));
    arena_fini(&a);
}

TEST(counts_are_checked_before_memory_is_taken)
{
    struct k_describe_groups_req groups;
    struct k_metadata_req metadata;
    struct arena a = {0};
    struct buf b = buf_make(64 << 20);
    int64_t before;

    OK(!reads(&k_describe_groups_req_msg, 0, false, STR("\x7f\xff\xff\xff"), &groups, &a));
    OK(!reads(&k_describe_groups_req_msg, 0, false, STR("\xff\xff\xff\xff"), &groups, &a)); // null
    OK(!reads(&k_describe_groups_req_msg, 0, false, STR("\xff\xff\xff\xfe"), &groups, &a));
    OK(reads(&k_metadata_req_msg, 1, false, STR("\xff\xff\xff\xff"), &metadata, &a) &&
       metadata.topics_n == -1);
    buf_i32(&b, 16 << 20); // two bytes each on the wire, sixteen here
    buf_zero(&b, (size_t)2 * (16 << 20));
    before = os_rss_bytes();
    OK(!reads(&k_describe_groups_req_msg, 0, false, buf_view(&b), &groups, &a));
    OK(os_rss_bytes() - before < 64 << 20);
    buf_fini(&b);
    arena_fini(&a);
}

TEST(bad_strings)
{
    struct k_find_coordinator_req in;
    struct arena a = {0};
    struct buf b = buf_make(1 << 20);
    struct err e;

    OK(reads(&k_find_coordinator_req_msg, 0, false, STR("\0\1g"), &in, &a));
    OK(!reads(&k_find_coordinator_req_msg, 0, false, STR("\xff\xff"), &in, &a)); // null where it may not be
    OK(!reads(&k_find_coordinator_req_msg, 0, false, STR("\xff\xfe"), &in, &a));
    OK(!reads(&k_find_coordinator_req_msg, 0, false, STR("\0\1g!"), &in, &a)); // bytes behind the end
    OK(wire_read(&(struct wire_in){.bytes = STR("\0\1g!"), .arena = &a, .rest_ok = true},
                 &k_find_coordinator_req_msg, &in, &e));
    buf_uvarint(&b, 32769); // compact, and longer than a Kafka string may be
    buf_zero(&b, 32768 + 2);
    OK(!reads(&k_find_coordinator_req_msg, 3, true, buf_view(&b), &in, &a));
    buf_fini(&b);
    arena_fini(&a);
}

TEST_MAIN
