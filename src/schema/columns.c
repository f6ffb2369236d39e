#include "schema/columns.h"

#include <assert.h>

static const struct {
    size_t width;
    const char *name;
} types[] = {
    [COLUMN_BOOL] = {sizeof(bool), "BOOLEAN"},
    [COLUMN_I32] = {sizeof(int32_t), "INTEGER"},
    [COLUMN_I64] = {sizeof(int64_t), "BIGINT"},
    [COLUMN_F32] = {sizeof(float), "REAL"},
    [COLUMN_F64] = {sizeof(double), "DOUBLE"},
    [COLUMN_TEXT] = {sizeof(struct str), "VARCHAR"},
    [COLUMN_BYTES] = {sizeof(struct str), "BLOB"},
    [COLUMN_DECIMAL] = {sizeof(i128), "DECIMAL"},
    [COLUMN_DATE] = {sizeof(int32_t), "DATE"},
    [COLUMN_TIME] = {sizeof(int64_t), "TIME"},
    [COLUMN_TIMESTAMP] = {sizeof(int64_t), "TIMESTAMP"},
    [COLUMN_TIMESTAMPTZ] = {sizeof(int64_t), "TIMESTAMPTZ"},
    [COLUMN_UUID] = {sizeof(struct str), "UUID"},
};

size_t column_width(enum column_type t)
{
    assert(t <= COLUMN_UUID);
    return types[t].width;
}

const char *column_type_name(enum column_type t)
{
    assert(t <= COLUMN_UUID);
    return types[t].name;
}

void columns_init(struct columns *c, struct arena *a, const struct column *like, size_t count,
                  size_t capacity)
{
    *c = (struct columns){.arena = a, .count = count, .capacity = capacity};
    c->column = ARENA_ARRAY(a, struct column, count);
    for (size_t i = 0; i < count; i++) {
        struct column *to = &c->column[i];

        *to = like[i];
        to->name = arena_str(a, like[i].name);
        to->nulls = ARENA_ARRAY(a, bool, capacity);
        to->any = arena_alloc(a, column_width(to->type) * capacity);
    }
}
