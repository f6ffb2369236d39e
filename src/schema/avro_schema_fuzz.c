/* Fuzz target: any bytes as a schema.  What is accepted is written as Java would, reads back as the same, and fits itself. */
#include "schema/avro.h"

#include <stdlib.h>

static void must(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf first = buf_make(16 << 20), second = buf_make(16 << 20);
    struct avro *s, *again;
    struct arena a = {0};
    struct err e;

    if (avro_parse(&a, str_from(data, size), &s, &e)) {
        avro_text(s, &first);
        avro_text(s, &second);
        must(str_eq(buf_view(&first), buf_view(&second)));
        must(avro_parse(&a, buf_view(&first), &again, &e));
        buf_reset(&second);
        avro_text(again, &second);
        must(str_eq(buf_view(&first), buf_view(&second)));
        buf_reset(&second);
        avro_canonical(s, &second);
        must(avro_parse(&a, buf_view(&second), &again, &e));
        buf_reset(&second);
        must(avro_can_read(s, again, &second) || size > 100);
    }
    buf_fini(&first);
    buf_fini(&second);
    arena_fini(&a);
    return 0;
}
