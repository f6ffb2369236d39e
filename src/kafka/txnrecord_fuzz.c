/*
 * Any bytes as keys and values of __transaction_state: what can be read is written and read again as the same, and loaded as when the
 * program starts.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "kafka/txn.h"

#include <assert.h>

enum { ROOM = 1 << 22 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void load(const struct txn_record *r)
{
    struct txn_clock now = {.now_ms = 1000, .wall_ms = 1000000};
    struct txn_part part = {STR("t"), 0};
    struct txn_step step = {0};
    struct txn_who who = {STR("id"), r->producer_id, r->epoch};
    struct txns t;

    txns_init(&t, 900000);
    txns_load(&t, STR("id"), r, &now);
    if (txns_overdue(&t, &now, &step)) {
        txns_begin(&step);
        txns_done(&t, &step, &now, true);
    }
    step = (struct txn_step){0};
    if (txns_add(&t, &who, &part, 1, &now, &step) == 0 && step.txn) {
        txns_begin(&step);
        txns_done(&t, &step, &now, true);
        assert(txns_may_write(&t, &who, STR("t"), 0) == 0);
    }
    txns_load(&t, STR("id"), NULL, &now);
    txns_fini(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct buf one = buf_make(ROOM), two = buf_make(ROOM);
    struct str bytes = str_from(data, n), id;
    struct txn_record r, again;
    struct arena a = {0};
    struct err e;

    if (txn_key_read(bytes, &id, &e) && id.p) {
        struct str same;
        bool ok;

        txn_key_write(&one, id);
        ok = txn_key_read(buf_view(&one), &same, &e);
        assert(ok && str_eq(id, same));
        buf_reset(&one);
    }
    if (txn_value_read(bytes, &a, &r, &e)) {
        bool ok;

        txn_value_write(&one, &r);
        ok = txn_value_read(buf_view(&one), &a, &again, &e);
        assert(ok && again.part_n == r.part_n && again.state == r.state);
        txn_value_write(&two, &again);
        assert(str_eq(buf_view(&one), buf_view(&two)));
        load(&r);
    }
    arena_fini(&a);
    buf_fini(&one);
    buf_fini(&two);
    return 0;
}
