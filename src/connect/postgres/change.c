/* One change of a row to the records that tell of it. */
#include "base/mem.h"
#include "connect/postgres/capture.h"

#include <stdio.h>

bool pgchange_topic(struct capture *c, struct pg_table *t, struct err *e)
{
    if (t->ready)
        return true;
    if (!source_ensure_topic(c->task, t->topic, c->settings.partitions, e))
        return false;
    t->out = pggroups_topic(&c->groups, t->topic);
    t->ready = true;
    return true;
}

enum { HEADERS_MAX = 4 };

/* Headers of a record: Debezium's context, and what a changed key was or became. */
static int put_headers(struct capture *c, struct record_header *h, const char *key_header,
                       struct str key_text)
{
    const char *connector = task_name(c->task);
    size_t n = strlen(connector);
    int count = 0;

    if (key_header)
        h[count++] = (struct record_header){str_of(key_header), key_text};
    if (c->settings.headers) {
        while (n > 0 && connector[n - 1] != '-')
            n--;
        h[count++] =
            (struct record_header){STR("__debezium.context.connectorLogicalName"), c->settings.prefix};
        h[count++] = (struct record_header){STR("__debezium.context.taskId"), str_of(connector + n)};
        h[count++] = (struct record_header){STR("__debezium.context.connectorName"), STR("postgresql")};
    }
    return count;
}

/* key_header NULL: none. `key_row` is the row whose key is that header's value. */
static bool add(struct capture *c, struct pggroup *g, struct pgchange *ch, const char *key_header,
                const struct pgout_row *key_row, struct err *e)
{
    struct record_header headers[HEADERS_MAX];
    struct events *x = &c->events;
    const struct pgout_row *row = ch->after ? ch->after : ch->before;
    struct event ev = {ch->op, ch->table, ch->before, ch->after, ch->source, c->now_us};
    bool keyed = ch->table->key_count > 0 && row;
    struct record r = {.timestamp_ms = ev.now_us / 1000, .headers = headers};

    if (!pgchange_topic(c, ch->table, e) || !pgevent_value(x, &ev, e) ||
        (keyed && !pgevent_key(x, ch->table, row, e)))
        return false;
    buf_reset(&c->key_text);
    if (key_header && !pgevent_key_text(ch->table, key_row, &c->key_text, e))
        return false;
    r.key = keyed ? buf_view(&x->key) : STR_NULL;
    r.value = buf_view(&x->value);
    r.header_count = put_headers(c, headers, key_header, buf_view(&c->key_text));
    if (!pggroup_add(g, ch->table->out, &r, e))
        return false;
    c->stats.records++;
    c->stats.bytes += r.key.n + r.value.n;
    if (ch->op != 'd' || !keyed || !c->settings.tombstones)
        return true;
    r.value = STR_NULL;
    r.header_count = put_headers(c, headers, NULL, STR_NULL);
    return pggroup_add(g, ch->table->out, &r, e);
}

bool pgchange_add(struct capture *c, struct pggroup *g, struct pgchange *ch, struct err *e)
{
    return add(c, g, ch, NULL, NULL, e);
}

bool pgchange_insert(struct capture *c, struct pggroup *g, struct pg_table *t, const struct pgout_msg *m,
                     const struct event_source *src, struct err *e)
{
    struct pgchange ch = {.op = 'c', .table = t, .after = &m->row.new, .source = *src};

    return c->settings.skip_create || add(c, g, &ch, NULL, NULL, e);
}

bool pgchange_delete(struct capture *c, struct pggroup *g, struct pg_table *t, const struct pgout_msg *m,
                     const struct event_source *src, struct err *e)
{
    struct pgchange ch = {.op = 'd', .table = t, .before = &m->row.old, .source = *src};

    return c->settings.skip_delete || add(c, g, &ch, NULL, NULL, e);
}

static bool key_changed(const struct pg_table *t, const struct pgout_row *old, const struct pgout_row *new)
{
    for (size_t i = 0; i < t->key_count; i++) {
        size_t k = t->key[i];
        struct pgout_cell a, b;

        if (k >= old->count || k >= new->count)
            continue;
        a = old->cells[k];
        b = new->cells[k];
        if (b.kind != PGOUT_UNCHANGED && (a.kind != b.kind || !str_eq(a.text, b.text)))
            return true;
    }
    return false;
}

/* Large values the new row does not have are in the old one when that is whole. */
static void fill_unchanged(const struct pgout_row *old, const struct pgout_row *new)
{
    for (size_t i = 0; i < new->count &&i < old->count; i++)
        if (new->cells[i].kind == PGOUT_UNCHANGED && old->cells[i].kind == PGOUT_TEXT)
            new->cells[i] = old->cells[i];
}

/* A new key is another row to those who read by key: the old one goes, the new one comes. */
static bool replace_row(struct capture *c, struct pggroup *g, struct pg_table *t, const struct pgout_msg *m,
                        const struct event_source *src, struct err *e)
{
    struct pgchange gone = {.op = 'd', .table = t, .before = &m->row.old, .source = *src};
    struct pgchange come = {.op = 'c', .table = t, .after = &m->row.new, .source = *src};

    return add(c, g, &gone, "__debezium.newkey", &m->row.new, e) &&
           add(c, g, &come, "__debezium.oldkey", &m->row.old, e);
}

bool pgchange_update(struct capture *c, struct pggroup *g, struct pg_table *t, const struct pgout_msg *m,
                     const struct event_source *src, struct err *e)
{
    struct pgchange ch = {.op = 'u', .table = t, .after = &m->row.new, .source = *src};

    if (c->settings.skip_update)
        return true;
    if (m->row.old_kind)
        fill_unchanged(&m->row.old, &m->row.new);
    if (m->row.old_kind && t->key_count > 0 && key_changed(t, &m->row.old, &m->row.new))
        return replace_row(c, g, t, m, src, e);
    if (m->row.old_kind)
        ch.before = &m->row.old;
    return add(c, g, &ch, NULL, NULL, e);
}
