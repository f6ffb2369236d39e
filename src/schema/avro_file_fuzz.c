/* Fuzz target: any bytes as an object container file, its records passed over one by one. */
#include "schema/avro.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = {0};
    struct avro_file f;
    struct avro *s;
    struct str block;
    int64_t count;
    struct err e;

    if (avro_file_open(&f, &a, str_from(data, size), &e) && avro_parse(&a, f.schema_text, &s, &e)) {
        while (avro_file_next(&f, &count, &block, &e)) {
            struct rd r = rd_str(block);

            for (; count > 0 && rd_ok(&r); count--)
                avro_skip(s, &r);
        }
    }
    arena_fini(&a);
    return 0;
}
