/*
 * bodies: what clients send as XML, read: the keys of DeleteObjects, the parts of CompleteMultipartUpload.
 *
 * Text in, S3_OK or the error to answer with. Strings lie in the arena.
 */
#pragma once

#include "object/object.h"
#include "s3/code.h"

enum { S3_DELETE_MAX = 1000 };

/* keys has room for S3_DELETE_MAX. S3_NOT_IMPLEMENTED: it asks for a version or a condition. */
enum s3_code s3_read_delete(struct arena *a, struct str text, struct str *keys, size_t *count, bool *quiet);
/* parts has room for OBJECT_PARTS. */
enum s3_code s3_read_complete(struct arena *a, struct str text, struct object_part *parts, size_t *count);
