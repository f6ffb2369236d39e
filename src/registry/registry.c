#include "base/limits.h"
#include "base/mem.h"
#include "net/http_path.h"
#include "registry/registry_int.h"

#include <limits.h>

struct registry {
    struct schema_store *schemas;
    int port;
};

static const char v1[] = "application/vnd.schemaregistry.v1+json";
static const char *const types[] = {v1, "application/vnd.schemaregistry+json", "application/json"};

/* ---- answering ---- */

struct buf call_buf(void)
{
    return buf_make(SIZE_MAX / 4); // bounded by what the store holds
}

/* What the client asked for, if it is one of ours. */
static const char *answer_type(const struct call *c)
{
    struct str accept = http_header(c->q, "Accept"), one;

    while (str_cut(&accept, ',', &one)) {
        struct str type;
        const char *ours;

        (void)str_cut(&one, ';', &type);
        ours = http_type_in(str_trim(type), types, ARRAY_LEN(types));
        if (ours)
            return ours;
    }
    return v1;
}

static void answer(struct call *c, int status, struct buf *b)
{
    http_answer_buf(c->q, status, answer_type(c), b);
}

void call_json(struct call *c, struct buf *b)
{
    answer(c, 200, b);
}

void call_error(struct call *c, int code, const char *message)
{
    struct buf b = call_buf();

    buf_fmt(&b, "{\"error_code\":%d,\"message\":", code);
    buf_json(&b, str_of(message));
    buf_u8(&b, '}');
    answer(c, code > 1000 ? code / 100 : code, &b);
}

bool call_ok(struct call *c, enum schema_code code, const struct err *e)
{
    if (code == SCHEMA_OK)
        return true;
    call_error(c, (int)code, e->msg);
    return false;
}

/* ---- reading ---- */

bool call_flag(struct call *c, const char *name)
{
    return str_eq_nocase(http_param(c->q, name), STR("true"));
}

void call_page(struct call *c, size_t n, size_t *from, size_t *to)
{
    int64_t offset = http_param_i64(c->q, "offset", 0), limit = http_param_i64(c->q, "limit", -1);

    *from = offset < 0 ? 0 : (uint64_t)offset < n ? (size_t)offset : n;
    *to = limit >= 0 && (uint64_t)limit < n - *from ? *from + (size_t)limit : n;
}

bool call_version(struct call *c, struct str text, int *version)
{
    int64_t n;

    *version = SCHEMA_LATEST;
    if (str_is(text, "latest"))
        return true;
    if (str_i64(text, &n) && ((n >= 1 && n <= INT_MAX) || n == SCHEMA_LATEST)) {
        *version = (int)n;
        return true;
    }
    call_error(
        c, SCHEMA_BAD_VERSION,
        arena_fmt(
            c->a,
            "The specified version '%.*s' is not a valid version id. Allowed values are between [1, 2^31-1] "
            "and the string \"latest\"",
            STR_ARG(text)));
    return false;
}

/* Content types that a body may have; none is JSON too. */
static bool good_type(const struct call *c)
{
    struct str type = http_content_type(c->q);

    return !type.p || http_type_in(type, types, ARRAY_LEN(types)) ||
           str_eq_nocase(type, STR("application/octet-stream"));
}

json_t *call_body(struct call *c)
{
    json_error_t why;
    json_t *j;

    if (!good_type(c)) {
        call_error(c, 415, "HTTP 415 Unsupported Media Type");
        return NULL;
    }
    j = json_loadb(c->q->body.p ? c->q->body.p : "", c->q->body.n, 0, &why);
    if (json_is_object(j))
        return j;
    call_error(c, 400,
               j ? "the body is not a JSON object" : arena_fmt(c->a, "the body is not JSON: %s", why.text));
    json_decref(j);
    return NULL;
}

static struct str member(struct call *c, const json_t *object, const char *name)
{
    const json_t *j = json_object_get(object, name);

    return json_is_string(j) ? arena_str(c->a, str_from(json_string_value(j), json_string_length(j)))
                             : STR_NULL;
}

static bool read_references(struct call *c, const json_t *list, struct schema_text *out)
{
    out->reference_count = json_array_size(list);
    out->references = ARENA_ARRAY(c->a, struct schema_reference, out->reference_count);
    for (size_t i = 0; i < out->reference_count; i++) {
        const json_t *j = json_array_get(list, i), *version = json_object_get(j, "version");
        struct schema_reference *r = &out->references[i];

        *r = (struct schema_reference){.name = member(c, j, "name"), .subject = member(c, j, "subject")};
        r->version = json_is_integer(version) && json_integer_value(version) <= INT_MAX
                         ? (int)json_integer_value(version)
                         : 0;
        if (!r->name.p || !r->subject.p || r->version < 1) {
            call_error(c, SCHEMA_BAD_SCHEMA, "a reference needs name, subject and version");
            return false;
        }
    }
    return true;
}

bool call_schema(struct call *c, struct schema_text *out)
{
    json_t *body = call_body(c);
    const json_t *id;
    bool ok = body != NULL;

    if (!body)
        return false;
    *out = (struct schema_text){.type = member(c, body, "schemaType"), .text = member(c, body, "schema")};
    id = json_object_get(body, "id");
    if (json_is_integer(id) && json_integer_value(id) >= 0) {
        call_error(c, SCHEMA_READ_ONLY, "Subject is not in import mode: the registry gives the ids");
        ok = false;
    } else if (!out->text.p || out->text.n == 0) {
        call_error(c, SCHEMA_BAD_SCHEMA, "Empty schema");
        ok = false;
    } else {
        ok = read_references(c, json_object_get(body, "references"), out);
    }
    json_decref(body);
    return ok;
}

/* ---- paths ---- */

static void root(struct call *c)
{
    struct buf b = call_buf();

    buf_str(&b, STR("{}"));
    call_json(c, &b);
}

static void contexts(struct call *c)
{
    struct buf b = call_buf();

    buf_str(&b, STR("[\".\"]"));
    call_json(c, &b);
}

static void schema_types(struct call *c)
{
    struct buf b = call_buf();

    buf_str(&b, STR("[\"AVRO\"]"));
    call_json(c, &b);
}

static const struct route {
    struct http_path path;
    call_fn *fn;
} routes[] = {
    {{"GET", "/"}, root},
    {{"GET", "/contexts"}, contexts},
    {{"GET", "/subjects"}, call_subjects},
    {{"POST", "/subjects/{subject}"}, call_lookup},
    {{"DELETE", "/subjects/{subject}"}, call_delete_subject},
    {{"GET", "/subjects/{subject}/versions"}, call_versions},
    {{"POST", "/subjects/{subject}/versions"}, call_register},
    {{"GET", "/subjects/{subject}/versions/{version}"}, call_version_get},
    {{"DELETE", "/subjects/{subject}/versions/{version}"}, call_version_delete},
    {{"GET", "/subjects/{subject}/versions/{version}/schema"}, call_version_schema},
    {{"GET", "/subjects/{subject}/versions/{version}/referencedby"}, call_version_referenced_by},
    {{"GET", "/schemas"}, call_schemas},
    {{"GET", "/schemas/types"}, schema_types},
    {{"GET", "/schemas/ids/{id}"}, call_id},
    {{"GET", "/schemas/ids/{id}/schema"}, call_id_schema},
    {{"GET", "/schemas/ids/{id}/subjects"}, call_id_subjects},
    {{"GET", "/schemas/ids/{id}/versions"}, call_id_versions},
    {{"POST", "/compatibility/subjects/{subject}/versions"}, call_check},
    {{"POST", "/compatibility/subjects/{subject}/versions/{version}"}, call_check_version},
    {{"GET", "/config"}, call_level_get},
    {{"PUT", "/config"}, call_level_put},
    {{"DELETE", "/config"}, call_level_delete},
    {{"GET", "/config/{subject}"}, call_level_get},
    {{"PUT", "/config/{subject}"}, call_level_put},
    {{"DELETE", "/config/{subject}"}, call_level_delete},
    {{"GET", "/mode"}, call_mode_get},
    {{"PUT", "/mode"}, call_mode_put},
    {{"DELETE", "/mode"}, call_mode_delete},
    {{"GET", "/mode/{subject}"}, call_mode_get},
    {{"PUT", "/mode/{subject}"}, call_mode_put},
    {{"DELETE", "/mode/{subject}"}, call_mode_delete},
};
static const struct http_paths paths = HTTP_PATHS(routes, path);

static void run(struct http_req *q)
{
    struct registry *r = q->arg;
    struct call c = {.q = q, .s = r->schemas, .a = q->arena};
    struct str names[HTTP_PATH_NAMES];
    int i = http_find(&paths, q, names);

    c.subject = names[0];
    c.part = names[1];
    if (i >= 0)
        routes[i].fn(&c);
    else
        call_error(&c, -i, i == -405 ? "HTTP 405 Method Not Allowed" : "HTTP 404 Not Found");
}

static const struct http_route *head(struct http_req *q, void *arg)
{
    static const struct http_route route = {.run = run};

    (void)q;
    (void)arg;
    return &route;
}

/* ---- */

bool registry_start(const struct registry_options *o, struct registry **out, struct err *e)
{
    struct registry *r = MEM_NEW(struct registry);
    struct http_server server = {.name = "registry", .head = head, .arg = r};

    r->schemas = o->schemas;
    if (!http_listen(o->net, o->host, o->port, o->tls, &server, &r->port, e)) {
        mem_free(r);
        return false;
    }
    *out = r;
    return true;
}

int registry_port(const struct registry *r)
{
    return r->port;
}

void registry_free(struct registry *r)
{
    mem_free(r);
}
