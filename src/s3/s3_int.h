/*
 * s3_int: one request of the S3 door, and what the files of this folder do with it.
 *
 * On the loop: door.c finds the operation (ops.def, one row each), checks the signature, and knows from the headers how the
 * body is framed. Then as jobs: op->begin() before the first byte of a body, body.c takes off framing and verifies, and
 * op->run() answers. An operation answers S3_OK when it has sent its answer, else the error that door.c is to send.
 */
#pragma once

#include "base/buf.h"
#include "base/xml.h"
#include "net/http.h"
#include "object/object.h"
#include "s3/checksum.h"
#include "s3/chunked.h"
#include "s3/code.h"
#include "s3/s3.h"

#define S3_XML_MAX ((size_t)4 * 1024 * 1024) // 10,000 parts of a CompleteMultipartUpload fit
enum { S3_COPY = 256 * 1024 };

struct s3 {
    struct s3_options o;
    char *access_key, *secret_key, *region, *domain;
    struct http_server server;
    int port;
    uint64_t requests; // for request ids
};

enum s3_level { S3_SERVICE, S3_BUCKET, S3_OBJECT };
enum s3_body_kind { S3_NO_BODY, S3_XML, S3_DATA };

struct s3_req;
typedef enum s3_code s3_op_fn(struct s3_req *r);

struct s3_op {
    const char *name;   // "PutObject"
    const char *method; //
    enum s3_level level;
    const char *param;  // only when the query has it; NULL: whatever it has
    const char *header; // only with this header; NULL: without looking
    enum s3_body_kind body;
    s3_op_fn *begin; // before the body; may be NULL
    s3_op_fn *run;
};

struct s3_body {
    bool begun;
    int64_t content_bytes; // announced, without framing
    int64_t got;
    bool has_sum;                // a checksum came or will come
    enum checksum_kind sum_kind; //
    struct str sum_want;         // base64; p NULL: it comes as a trailer
    struct checksum sum;
    EVP_MD_CTX *sha256;      // x-amz-content-sha256 is a hash
    struct chunked *chunked; // it is a framing
    struct buf text;         // S3_XML: the body
    struct str sum_got;      // verified, base64
};

struct s3_req {
    struct s3 *s;
    struct http_req *q;
    uint64_t id;
    const struct s3_op *op;
    struct str bucket, key;
    struct object_upload upload; // id p NULL: not about one
    int part;
    struct sigv4 auth;
    enum s3_code code; // what went wrong so far
    const char *why;   // more about it, or NULL
    bool refused;      // answered before the body was read
    struct s3_body body;
    struct object_put *put; // S3_DATA: where the bytes go
};

/* ---- answer.c ---- */

/* What the store's error is in S3's words; its text becomes the message. */
enum s3_code s3_failed(struct s3_req *r, const struct err *e);
/* code, with a message of its own. */
#define s3_error(r, code, ...) (s3_say((r), __VA_ARGS__), (code))
void s3_say(struct s3_req *r, const char *fmt, ...) PRINTF(2, 3);
void s3_answer_xml(struct s3_req *r, int status, struct buf *xml); // takes the memory
/* The error of r->code, with r->why; refuse: the rest of the body is not read. */
void s3_answer_error(struct s3_req *r, bool refuse);
struct buf s3_xml(void);                                  // a buffer that begins with XML's first line
struct str s3_header(struct s3_req *r, const char *name); // trimmed; p NULL when absent

/* ---- body.c ---- */

enum s3_code s3_body_check(struct s3_req *r); // on the loop: what the headers say of the body
enum s3_code s3_body_begin(struct s3_req *r); // a job, before the first byte; calls op->begin
enum s3_code s3_body_feed(struct s3_req *r, struct str in);
enum s3_code s3_body_end(struct s3_req *r); // all that was announced is verified
void s3_body_fini(struct s3_req *r);
/* 16 bytes of a Content-MD5 header, in the arena; p NULL when there is none. */
enum s3_code s3_content_md5(struct s3_req *r, struct str *out);

/* ---- operations ---- */

#define X(name, method, level, param, header, body, begin, run) s3_op_fn run;
#include "s3/ops.def"
#undef X
s3_op_fn s3_put_object_begin, s3_upload_part_begin;

/* Headers to keep with an object, from the request, in the arena. */
enum s3_code s3_meta(struct s3_req *r, struct object_meta **meta, size_t *count);
/* "If-None-Match: *" and "If-Match" of a write. */
enum s3_code s3_write_conditions(struct s3_req *r, struct object_put_options *o);
enum s3_code s3_put_commit(struct s3_req *r); // what was put becomes an object or a part, and is answered
void s3_set_etag(struct s3_req *r, struct str etag);
