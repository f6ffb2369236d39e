/* The door over real HTTP: libcurl signs and sends. */
#include "s3/s3.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/test.h"
#include "net/net.h"
#include "object/object.h"
#include "os/os.h"
#include "os/tempdir.h"

#include <curl/curl.h>

static char dir[TEMPDIR_MAX];
static struct arena a;
static struct err e;
static struct net *net;
static struct blobs *blobs;
static struct s3 *s3;

static void start(int64_t put_max_bytes)
{
    struct s3_options o = {
        .os = os_real(), .host = "127.0.0.1", .access_key = "KEY/1", .secret_key = "secret"};

    OK(tempdir_make(dir));
    OK(net_start(&(struct net_options){.loops = 1, .job_threads = 2}, &net, &e));
    OK(object_open_local(os_real(), dir, &blobs, &e));
    o.net = net;
    o.blobs = blobs;
    o.put_max_bytes = put_max_bytes;
    OK(s3_start(&o, &s3, &e));
    OK(bucket_create(blobs, STR("raw"), &e));
}

static void stop(void)
{
    net_stop(net);
    s3_free(s3);
    object_close(blobs);
    OK(os_remove_tree(os_real(), dir, &e));
    arena_fini(&a);
}

struct answer {
    long status;
    struct buf body, head;
};

static size_t gather(char *p, size_t one, size_t n, void *to)
{
    buf_put(to, p, one * n);
    return one * n;
}

struct ask {
    const char *method, *path, *user, *header, *header2;
    struct str body;
};

static struct answer ask(struct ask q)
{
    struct answer got = {0, buf_make(8 * MIB), buf_make(MIB)};
    struct curl_slist *headers = q.header ? curl_slist_append(NULL, q.header) : NULL;
    CURL *c = curl_easy_init();

    if (q.header2)
        headers = curl_slist_append(headers, q.header2);
    (void)curl_easy_setopt(c, CURLOPT_URL, arena_fmt(&a, "http://127.0.0.1:%d%s", s3_port(s3), q.path));
    (void)curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q.method);
    (void)curl_easy_setopt(c, CURLOPT_NOBODY, (long)(strcmp(q.method, "HEAD") == 0));
    (void)curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    if (!q.user || *q.user) {
        (void)curl_easy_setopt(c, CURLOPT_AWS_SIGV4, "aws:amz:us-east-1:s3");
        (void)curl_easy_setopt(c, CURLOPT_USERPWD, q.user ? q.user : "KEY/1:secret");
    }
    if (q.body.p) {
        (void)curl_easy_setopt(c, CURLOPT_POSTFIELDS, q.body.p);
        (void)curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)q.body.n);
    }
    (void)curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, gather);
    (void)curl_easy_setopt(c, CURLOPT_WRITEDATA, &got.body);
    (void)curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, gather);
    (void)curl_easy_setopt(c, CURLOPT_HEADERDATA, &got.head);
    (void)curl_easy_perform(c);
    (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &got.status);
    curl_easy_cleanup(c);
    curl_slist_free_all(headers);
    return got;
}

/* The answer has this status, and its body or headers hold this text. */
static bool says(struct answer got, long status, const char *text)
{
    bool ok =
        got.status == status && (!text || strstr(buf_z(&got.body), text) || strstr(buf_z(&got.head), text));

    if (!ok)
        printf("# status %ld\n# %s\n# %s\n", got.status, buf_z(&got.head), buf_z(&got.body));
    buf_fini(&got.body);
    buf_fini(&got.head);
    return ok;
}
#define ASK(...) ask((struct ask){__VA_ARGS__})

#define EMPTY_HASH "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define UNSIGNED   "x-amz-content-sha256: UNSIGNED-PAYLOAD"

TEST(objects_go_in_and_out)
{
    start(0);
    OK(says(ASK("PUT", "/raw/a%20b/../c", NULL, UNSIGNED, "x-amz-meta-who: me", STR("hello world")), 200,
            "5eb63bbbe01eeed093cb22bb8f5acdc3"));
    OK(says(ASK("GET", "/raw/a%20b/../c", NULL, EMPTY_HASH, NULL, STR_NULL), 200, "hello world"));
    OK(says(ASK("GET", "/raw/a%20b/../c", NULL, EMPTY_HASH, "Range: bytes=6-", STR_NULL), 206,
            "Content-Range: bytes 6-10/11"));
    OK(says(ASK("GET", "/raw/a%20b/../c", NULL, EMPTY_HASH, "Range: bytes=11-", STR_NULL), 416,
            "InvalidRange"));
    OK(says(ASK("GET", "/raw/a%20b/../c", NULL, EMPTY_HASH,
                "If-None-Match: \"5eb63bbbe01eeed093cb22bb8f5acdc3\"", STR_NULL),
            304, NULL));
    OK(says(ASK("HEAD", "/raw/a%20b/../c", NULL, EMPTY_HASH, NULL, STR_NULL), 200, "x-amz-meta-who: me"));
    OK(says(ASK("HEAD", "/raw/a%20b/../c", NULL, EMPTY_HASH, NULL, STR_NULL), 200, "Content-Length: 11"));
    OK(says(ASK("GET", "/raw/none", NULL, EMPTY_HASH, NULL, STR_NULL), 404, "<Code>NoSuchKey</Code>"));
    OK(says(ASK("GET", "/none/none", NULL, EMPTY_HASH, NULL, STR_NULL), 404, "<Code>NoSuchBucket</Code>"));
    OK(says(ASK("PUT", "/none/k", NULL, UNSIGNED, NULL, STR("x")), 404, "<Code>NoSuchBucket</Code>"));
    OK(says(ASK("GET", "/raw?encoding-type=url&list-type=2&prefix=a", NULL, EMPTY_HASH, NULL, STR_NULL), 200,
            "<Key>a+b/../c</Key>"));
    OK(says(ASK("DELETE", "/raw/a%20b/../c", NULL, EMPTY_HASH, NULL, STR_NULL), 204, NULL));
    OK(says(ASK("GET", "/", NULL, EMPTY_HASH, NULL, STR_NULL), 200, "<Name>raw</Name>"));
    stop();
}

TEST(strangers_are_refused)
{
    start(0);
    OK(says(ASK("GET", "/raw", "", NULL, NULL, STR_NULL), 403, "<Code>AccessDenied</Code>"));
    OK(says(ASK("GET", "/raw", "OTHER:secret", EMPTY_HASH, NULL, STR_NULL), 403,
            "<Code>InvalidAccessKeyId</Code>"));
    OK(says(ASK("GET", "/raw", "KEY/1:wrong", EMPTY_HASH, NULL, STR_NULL), 403,
            "<Code>SignatureDoesNotMatch</Code>"));
    OK(says(ASK("PUT", "/raw/k", "", NULL, NULL, STR("x")), 403, "<Code>AccessDenied</Code>"));
    OK(says(ASK("PUT", "/raw/k", NULL, "x-amz-date: 20130524T000000Z", UNSIGNED, STR("x")), 403,
            "<Code>RequestTimeTooSkewed</Code>"));
    OK(says(ASK("GET", "/raw/k", NULL, EMPTY_HASH, NULL, STR_NULL), 404, "NoSuchKey"));
    stop();
}

TEST(what_does_not_fit_is_said)
{
    char *big = mem_alloc(2 * MIB);

    start(MIB);
    memset(big, 'x', 2 * MIB);
    OK(says(ASK("PUT", "/raw/k", NULL, UNSIGNED, NULL, str_from(big, 2 * MIB)), 400,
            "<Code>EntityTooLarge</Code>"));
    OK(says(ASK("PUT", "/raw/k", NULL, UNSIGNED, NULL, str_from(big, MIB)), 200, NULL));
    OK(says(ASK("PUT", "/raw/k", NULL, EMPTY_HASH, NULL, STR("not empty")), 400,
            "<Code>XAmzContentSHA256Mismatch</Code>"));
    OK(says(ASK("PUT", "/raw/k", NULL, UNSIGNED, "Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==", STR("x")), 400,
            "<Code>BadDigest</Code>"));
    OK(says(ASK("PUT", "/raw/k", NULL, UNSIGNED, "Content-MD5: nonsense", STR("x")), 400,
            "<Code>InvalidDigest</Code>"));
    OK(says(ASK("PUT", "/raw/k", NULL, UNSIGNED, "x-amz-checksum-crc32c: AAAAAA==", STR("x")), 400,
            "<Code>BadDigest</Code>"));
    OK(says(ASK("PUT", "/raw/k", NULL, UNSIGNED, "If-None-Match: *", STR("x")), 412,
            "<Code>PreconditionFailed</Code>"));
    OK(says(ASK("PUT", "/raw/k", NULL, UNSIGNED, "x-amz-tagging: a=b", STR("x")), 501,
            "<Code>NotImplemented</Code>"));
    OK(says(ASK("GET", "/raw/k?acl=", NULL, EMPTY_HASH, NULL, STR_NULL), 501, "<Code>NotImplemented</Code>"));
    OK(says(ASK("PUT", "/Raw", NULL, UNSIGNED, NULL, STR("")), 400, "<Code>InvalidBucketName</Code>"));
    OK(says(ASK("PUT", "/raw", NULL, UNSIGNED, NULL, STR("")), 409, "<Code>BucketAlreadyOwnedByYou</Code>"));
    OK(says(ASK("DELETE", "/raw", NULL, EMPTY_HASH, NULL, STR_NULL), 409, "<Code>BucketNotEmpty</Code>"));
    OK(says(ASK("PATCH", "/raw", NULL, UNSIGNED, NULL, STR("")), 405, "<Code>MethodNotAllowed</Code>"));
    OK(says(
        ASK("POST", "/raw?delete=", NULL, UNSIGNED, "Content-MD5: xTGSKEfZRBiFbphl7sJ4gQ==", STR("<Delete")),
        400, "<Code>"));
    OK(says(ASK("POST", "/raw/k?uploadId=none", NULL, UNSIGNED, NULL,
                STR("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part>"
                    "</CompleteMultipartUpload>")),
            404, "<Code>NoSuchUpload</Code>"));
    OK(says(ASK("POST", "/raw/k?uploadId=none", NULL, UNSIGNED, NULL, STR("<a/>")), 400,
            "<Code>MalformedXML</Code>"));
    mem_free(big);
    stop();
}

TEST_MAIN
