/* The report as JSON. */
#include "verify/verify.h"

static void put_count(struct buf *out, const struct verify_count *c)
{
    if (!c->present) {
        buf_str(out, STR("null"));
        return;
    }
    buf_fmt(out, "{\"rows\":%lld,\"checksum\":\"%s\"", (long long)c->rows, c->checksum);
    if (c->events >= 0)
        buf_fmt(out, ",\"events\":%lld,\"repeated\":%lld", (long long)c->events, (long long)c->repeated);
    buf_u8(out, '}');
}

static void put_table(struct buf *out, const struct verify_table *t)
{
    buf_str(out, STR("{\"table\":"));
    buf_json(out, t->name);
    buf_str(out, STR(",\"topic_name\":"));
    buf_json(out, t->topic);
    buf_fmt(out, ",\"equal\":%s", t->equal ? "true" : "false");
    for (int p = 0; p < VERIFY_PLACES; p++) {
        buf_fmt(out, ",\"%s\":", verify_place_name((enum verify_place)p));
        put_count(out, &t->place[p]);
    }
    buf_str(out, STR(",\"differences\":["));
    for (size_t i = 0; i < t->difference_count; i++) {
        if (i > 0)
            buf_u8(out, ',');
        buf_json(out, t->differences[i]);
    }
    buf_str(out, STR("]}"));
}

void verify_json(const struct verify_report *r, struct buf *out)
{
    buf_fmt(out, "{\"equal\":%s,\"lsn\":\"%s\",\"tables\":[", r->equal ? "true" : "false", r->lsn);
    for (size_t i = 0; i < r->count; i++) {
        if (i > 0)
            buf_u8(out, ',');
        put_table(out, &r->tables[i]);
    }
    buf_str(out, STR("]}"));
}
