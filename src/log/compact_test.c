/* Compaction: what it keeps, also under every fault. */
#include "log/testlog.h"
#include "os/ram.h"

enum { KEYS = 4 };

struct keyed {
    struct testlog t;
    int64_t last[KEYS]; // the value acknowledged last for each key
    int64_t maybe;      // a value that may be there, or -1
    int64_t next;
};

static bool keyed_append(struct keyed *k)
{
    struct log_part_write p = {.topic = STR("c")};
    char key[16], value[64];
    int which = (int)(k->next % KEYS);
    bool ok;

    (void)snprintf(key, sizeof key, "key-%d", which);
    (void)snprintf(value, sizeof value, "%lld of a value that has some length", (long long)k->next);
    batch_begin(&k->t.w, MIB);
    batch_add(&k->t.w, 1700000000000, str_of(key), str_of(value), NULL, 0);
    p.batches = batch_end(&k->t.w);
    ok = log_append(k->t.l, &p, 1, &k->t.e);
    if (ok)
        k->last[which] = k->next;
    else if (k->t.e.kind == ERR_IO && k->maybe < 0)
        k->maybe = k->next; // later ones are refused by a log that has failed
    k->next++;
    return ok;
}

/* Reads it all: the last value of each key, and that offsets grow. -1: something is wrong. */
static int64_t keyed_read(struct keyed *k, int64_t last[KEYS])
{
    struct buf b = buf_make(64 * MIB);
    struct arena a = {0};
    struct batch_reader r;
    struct record rec;
    struct log_range range = {0};
    int64_t offset = 0, n = 0;

    for (int i = 0; i < KEYS; i++)
        last[i] = -1;
    (void)log_range(k->t.l, STR("c"), 0, &range);
    for (bool more = true; more && n >= 0 && offset < range.end;) {
        buf_reset(&b);
        arena_reset(&a);
        if (!log_fetch(k->t.l, STR("c"), 0, offset, 200, &b, &k->t.e)) {
            n = -1;
            break;
        }
        more = b.n > 0;
        batch_open(&r, &a, buf_view(&b));
        r.skip_below = offset;
        while (n >= 0 && batch_next(&r, &rec)) {
            struct str rest = rec.value, number = STR_NULL;
            int64_t value = -1;

            n = rec.offset >= offset && str_cut(&rest, ' ', &number) && str_i64(number, &value) ? n + 1 : -1;
            last[rec.key.p[4] - '0'] = value;
            offset = rec.offset + 1;
        }
        n = batch_ok(&r, &k->t.e) ? n : -1;
    }
    arena_fini(&a);
    buf_fini(&b);
    return n;
}

static bool keyed_holds(struct keyed *k)
{
    int64_t last[KEYS];

    if (keyed_read(k, last) < 0)
        return false;
    for (int i = 0; i < KEYS; i++)
        if (last[i] != k->last[i] && (k->maybe < 0 || last[i] != k->maybe))
            return false;
    return true;
}

static bool keyed_open(struct keyed *k, struct os *os)
{
    k->t.o.os = os;
    return log_open(&k->t.o, &k->t.l, &k->t.e);
}

static bool keyed_prepare(struct keyed *k, struct os *os)
{
    struct log_settings s;
    bool ok = tempdir_make(k->t.dir) && os_make_dirs(os, k->t.dir, &k->t.e);

    k->maybe = -1;
    k->t.o = (struct log_options){.dir = k->t.dir, .journal_bytes = 64 * KIB};
    if (!ok || !keyed_open(k, os))
        return false;
    log_settings_default(k->t.l, &s);
    s.compact = true;
    s.remove = false;
    s.segment_bytes = 700;
    ok = log_create_topic(k->t.l, STR("c"), 1, &s, &k->t.e);
    for (int i = 0; ok && i < 30; i++)
        ok = keyed_append(k);
    log_close(k->t.l);
    return ok;
}

static bool compact_scenario(struct os *os, void *arg)
{
    struct keyed k = {0};
    bool ok = keyed_prepare(&k, os_real());

    (void)arg;
    if (ok && keyed_open(&k, os)) {
        for (int i = 0; i < 2; i++) {
            (void)(log_maintain(k.t.l, &k.t.e) || k.t.e.kind);
            for (int j = 0; j < 10; j++)
                (void)keyed_append(&k);
        }
        log_close(k.t.l);
    }
    ok = ok && keyed_open(&k, os_real());
    if (ok) {
        ok = keyed_holds(&k);
        k.maybe = ok && k.maybe >= 0 ? -2 : k.maybe;
        ok = ok && (log_maintain(k.t.l, &k.t.e)) && (k.maybe == -2 || keyed_holds(&k));
        log_close(k.t.l);
    }
    if (!ok)
        printf("# %s\n", k.t.e.msg);
    batch_fini(&k.t.w);
    return os_remove_tree(os_real(), k.t.dir, &k.t.e) && ok;
}

TEST(compaction_holds_under_every_fault)
{
    unsigned faults;

    OK(os_fault_walk(compact_scenario, NULL, &faults));
    printf("# %u faults\n", faults);
    OK(faults > 300);
}

TEST(compaction_keeps_the_last_of_each_key)
{
    struct keyed k = {0};
    int64_t last[KEYS];

    OK(keyed_prepare(&k, os_real()) && keyed_open(&k, os_real()));
    OK(keyed_read(&k, last) == 30);
    OK(log_maintain(k.t.l, &k.t.e));
    OK(keyed_read(&k, last) < 15);
    OK(keyed_holds(&k));
    log_close(k.t.l);
    OK(keyed_open(&k, os_real()) && keyed_holds(&k));
    log_close(k.t.l);
    batch_fini(&k.t.w);
    OK(os_remove_tree(os_real(), k.t.dir, &k.t.e));
}

/* The power is cut at each call of a compaction. */
TEST(compaction_survives_power_cuts)
{
    bool more = true;
    uint64_t cuts = 0;

    for (uint64_t n = 0; more; n++)
        for (uint64_t seed = 1; seed <= 8; seed++) {
            struct ram *r = ram_new(seed * 1000 + n);
            struct keyed k = {0};
            uint64_t before;

            OK(keyed_prepare(&k, ram_os(r)));
            ram_sync(r);
            OK(keyed_open(&k, ram_os(r)));
            before = ram_changes(r);
            ram_die_after(r, n);
            more = !log_maintain(k.t.l, &k.t.e);
            cuts += more;
            OK(!more || ram_changes(r) - before <= n);
            log_close(k.t.l);
            ram_crash(r);
            OK(keyed_open(&k, ram_os(r)));
            OK(keyed_holds(&k));
            OK(log_maintain(k.t.l, &k.t.e) && keyed_holds(&k));
            log_close(k.t.l);
            batch_fini(&k.t.w);
            OK(os_remove_tree(os_real(), k.t.dir, &k.t.e));
            ram_free(r);
        }
    printf("# %llu cuts\n", (unsigned long long)cuts);
    OK(cuts > 100);
}

TEST_MAIN
