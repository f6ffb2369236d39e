/* Fuzz target: the first byte is a type, the rest any text of a value. What is put must be a value or an error, never a crash. */
#include "connect/postgres/pgvalue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct type element = {.conv = CONV_DECIMAL, .precision = 10, .scale = 2};
    struct type t = {.element = &element, .scale = 3, .digits = 6, .length = 64};
    struct buf out = buf_make(1 << 20);
    struct arena a = {0};
    struct str text;
    struct err e;

    if (size == 0)
        return 0;
    t.conv = (enum conv)(1 + data[0] % CONV_ARRAY);
    text = str_from(data + 1, size - 1);
    (void)pgvalue_default_text(&t, text, &a);
    if (pgvalue_avro(&out, &t, text, &e))
        buf_reset(&out);
    if (pgvalue_json(&out, &t, text, &e))
        buf_reset(&out);
    if (t.conv != CONV_ARRAY && pgvalue_avro_default(&out, &t, text, &e))
        buf_reset(&out);
    buf_fini(&out);
    arena_fini(&a);
    return 0;
}
