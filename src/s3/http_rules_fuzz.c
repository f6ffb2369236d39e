/* Range, date and ETag headers: whatever they say, a range lies within the object. */
#include "s3/http_rules.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = str_from(data, size);
    struct conditions c = {s, s, s, s};
    struct range r;
    int64_t us;

    for (int64_t length = 0; length < 200; length += 99)
        if (range_read(s, length, &r) == S3_OK)
            assert(r.at >= 0 && r.n >= 0 && r.at + r.n <= length);
    (void)http_date_read(s, &us);
    (void)conditions_check(&c, STR("etag"), 0);
    return 0;
}
