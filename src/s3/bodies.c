#include "s3/bodies.h"

#include "base/xml.h"
#include "s3/http_rules.h"

enum s3_code s3_read_delete(struct arena *a, struct str text, struct str *keys, size_t *count, bool *quiet)
{
    struct xml x = xml_from(a, text);
    struct str key = STR_NULL;
    size_t n = 0;

    *quiet = false;
    while (xml_next(&x)) {
        if (x.kind == XML_OPEN)
            continue;
        if (xml_at(&x, "Delete/Object/Key"))
            key = x.text;
        else if (xml_at(&x, "Delete/Object/VersionId") || xml_at(&x, "Delete/Object/ETag"))
            return S3_NOT_IMPLEMENTED;
        else if (xml_at(&x, "Delete/Quiet"))
            *quiet = str_is(str_trim(x.text), "true");
        else if (xml_at(&x, "Delete/Object")) {
            if (!key.p || key.n == 0 || n == S3_DELETE_MAX)
                return S3_MALFORMED_XML;
            keys[n++] = key;
            key = STR_NULL;
        }
    }
    *count = n;
    return xml_ok(&x) && n > 0 ? S3_OK : S3_MALFORMED_XML;
}

enum s3_code s3_read_complete(struct arena *a, struct str text, struct object_part *parts, size_t *count)
{
    struct xml x = xml_from(a, text);
    struct object_part p = {0};
    int64_t number;
    size_t n = 0;

    while (xml_next(&x)) {
        if (x.kind == XML_OPEN)
            continue;
        if (xml_at(&x, "CompleteMultipartUpload/Part/PartNumber")) {
            if (!str_i64(str_trim(x.text), &number) || number < 1 || number > OBJECT_PARTS)
                return S3_MALFORMED_XML;
            p.number = (int)number;
        } else if (xml_at(&x, "CompleteMultipartUpload/Part/ETag")) {
            p.etag = etag_bare(x.text);
        } else if (xml_at(&x, "CompleteMultipartUpload/Part")) {
            if (p.number == 0 || !p.etag.p || n == OBJECT_PARTS)
                return S3_MALFORMED_XML;
            if (n > 0 && p.number <= parts[n - 1].number)
                return S3_INVALID_PART_ORDER;
            parts[n++] = p;
            p = (struct object_part){0};
        }
    }
    *count = n;
    return xml_ok(&x) && n > 0 ? S3_OK : S3_MALFORMED_XML;
}
