/* The XML of DeleteObjects and CompleteMultipartUpload. */
#include "base/mem.h"
#include "s3/bodies.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct object_part *parts = MEM_ARRAY(struct object_part, OBJECT_PARTS);
    struct str *keys = MEM_ARRAY(struct str, S3_DELETE_MAX), text = str_from(data, size);
    struct arena a = {0};
    size_t n;
    bool quiet;

    (void)s3_read_delete(&a, text, keys, &n, &quiet);
    (void)s3_read_complete(&a, text, parts, &n);
    arena_fini(&a);
    mem_free(parts);
    mem_free(keys);
    return 0;
}
