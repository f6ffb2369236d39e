/*
 * http_rules: ranges, dates and conditions, as HTTP has them and S3 reads them.
 *
 * Range: RFC 9110, 14.1 and 14.2 (one range of bytes; several are read as none, as S3 does). Dates: 5.6.7, the fixed
 * form. Conditions: 13.2.2, the order of evaluation.
 */
#pragma once

#include "base/str.h"
#include "s3/code.h"

struct range {
    bool given; // else all of it
    int64_t at, n;
};

/* S3_INVALID_RANGE: it lies behind the end. A header that is no range of bytes is passed over. */
enum s3_code range_read(struct str header, int64_t size, struct range *out);

enum { HTTP_DATE = 40 };
const char *http_date(int64_t us, char out[HTTP_DATE]); // "Sun, 06 Nov 1994 08:49:37 GMT"
bool http_date_read(struct str s, int64_t *us);

struct conditions {
    struct str if_match, if_none_match, if_modified_since,
        if_unmodified_since; // header values, p NULL when absent
};
/* S3_OK, S3_PRECONDITION or S3_NOT_MODIFIED, for a GET or HEAD of what has this ETag and time. */
enum s3_code conditions_check(const struct conditions *c, struct str etag, int64_t modified_us);
/* Is the ETag one of a list like `"a", W/"b"` or *? Quotes may be missing, as with some clients. */
bool etag_listed(struct str list, struct str etag);
struct str etag_bare(struct str s); // without W/ and quotes
