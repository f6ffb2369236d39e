#include "conf/conf_int.h"

static struct str section_of(const struct setting *row)
{
    struct str name = str_of(row->name);
    ptrdiff_t dot = str_find(name, '.');

    return dot < 0 ? STR("") : str_from(name.p, (size_t)dot);
}

static const char *shown_default(const struct setting *row)
{
    return row->type == SETTING_LIST ? "[]" : row->otherwise;
}

void conf_help(struct buf *b)
{
    buf_str(b,
            STR("Settings of tarn.yaml (or --set name=value). In values ${NAME} is the environment's NAME,\n"
                "${NAME:-text} is text when there is none.\n"));
    for (size_t i = 0; i < conf_row_count; i++) {
        const struct setting *row = &conf_rows[i];
        if (i == 0 || !str_eq(section_of(row), section_of(row - 1)))
            buf_u8(b, '\n');
        buf_fmt(b, "%s: %s\n    %s Allowed: ", row->name, shown_default(row), row->sentence);
        conf_allowed(row, b);
        buf_str(b, STR(".\n"));
    }
}

void conf_markdown(struct buf *b)
{
    buf_str(b,
            STR("# Settings\n\n"
                "This page is made from `src/conf/settings.def` by `tarn help settings --markdown`; a test "
                "keeps it current.\n\n"
                "A project's settings stand in its `tarn.yaml`; a name with a dot is a section and a key in "
                "it. `tarn up --set "
                "name=value` sets one for a run. In values `${NAME}` is replaced by the environment's `NAME` "
                "(or that of the "
                "project's `.env`), and `${NAME:-text}` by `text` when there is none.\n\n"
                "```yaml\nkafka:\n  port: 9092\ns3:\n  port: off        # this role is not started\n```\n"));
    for (size_t i = 0; i < conf_row_count; i++) {
        const struct setting *row = &conf_rows[i];
        struct str section = section_of(row);
        if (i == 0 || !str_eq(section, section_of(row - 1))) {
            buf_fmt(b, "\n## %.*s\n\n", STR_ARG(section.n > 0 ? section : STR("The project")));
            buf_str(b, STR("| setting | default | allowed | |\n|---|---|---|---|\n"));
        }
        buf_fmt(b, "| `%s` | %s%s%s | ", row->name, *shown_default(row) ? "`" : "", shown_default(row),
                *shown_default(row) ? "`" : "");
        conf_allowed(row, b);
        buf_fmt(b, " | %s |\n", row->sentence);
    }
}

static void put_list(const struct conf_list *list, struct buf *b)
{
    buf_u8(b, '[');
    for (size_t i = 0; i < list->n; i++) {
        if (i > 0)
            buf_u8(b, ',');
        buf_json(b, str_of(list->v[i]));
    }
    buf_u8(b, ']');
}

void conf_json(const struct settings *s, struct buf *b)
{
    const char *sep = "{";

    for (size_t i = 0; i < conf_row_count; i++) {
        const struct setting *row = &conf_rows[i];
        const void *field = (const char *)s + row->at;
        if (row->type == SETTING_SECRET || row->of_user)
            continue;
        buf_fmt(b, "%s\"%s\":", sep, row->name);
        sep = ",";
        if (row->type == SETTING_LIST)
            put_list(field, b);
        else if (row->type == SETTING_STRING || row->type == SETTING_CHOICE)
            buf_json(b, str_of(*(const char *const *)field));
        else if (*(const int64_t *)field == CONF_OFF && row->type == SETTING_PORT)
            buf_str(b, STR("\"off\""));
        else
            buf_fmt(b, "%lld", (long long)*(const int64_t *)field);
    }
    buf_fmt(b, "%s\"users\":[", sep);
    for (size_t i = 0; i < s->user_count; i++) {
        if (i > 0)
            buf_u8(b, ',');
        buf_json(b, str_of(s->users[i].name));
    }
    buf_u8(b, ']');
    buf_u8(b, '}');
}
