#include "ingest/openapi.h"

static const char ABOUT[] = "Fills the storefront's tables and keeps the shop alive; and topics as Kafka's "
                            "REST proxies have them (v2, and a part of v3).";

/* ---- one operation ---- */

static void put_word(struct buf *out, const char *word) // lower case, and what is no letter or digit as _
{
    for (; *word; word++) {
        bool good = (*word >= '0' && *word <= '9') || ((*word | 32) >= 'a' && (*word | 32) <= 'z');

        buf_u8(out, good ? (uint8_t)(*word >= 'A' && *word <= 'Z' ? *word | 32 : *word) : '_');
    }
}

static void put_text(struct buf *out, const char *name, const char *text)
{
    buf_fmt(out, "\"%s\":", name);
    buf_json(out, str_of(text));
}

static void put_path_params(struct buf *out, const char *path, bool *first)
{
    for (const char *open = strchr(path, '{'); open; open = strchr(open + 1, '{')) {
        const char *close = strchr(open, '}');

        buf_fmt(out,
                "%s{\"name\":\"%.*s\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":\"string\"}}",
                *first ? "" : ",", (int)(close - open - 1), open + 1);
        *first = false;
    }
}

static void put_op(struct buf *out, const struct openapi_op *op)
{
    const char *type = op->answer ? op->answer : "application/json";
    bool first = true;

    buf_u8(out, '"');
    put_word(out, op->path.method);
    buf_str(out, STR("\":{\"operationId\":\""));
    put_word(out, op->path.method);
    put_word(out, op->path.pattern);
    buf_str(out, STR("\","));
    put_text(out, "summary", op->sentence);
    buf_str(out, STR(",\"parameters\":["));
    put_path_params(out, op->path.pattern, &first);
    for (size_t i = 0; i < OPENAPI_QUERIES && op->query[i].name; i++) {
        const struct openapi_query *q = &op->query[i];

        buf_fmt(out, "%s{\"name\":\"%s\",\"in\":\"query\",\"required\":false,", first ? "" : ",", q->name);
        put_text(out, "description", q->sentence);
        buf_fmt(out, ",\"schema\":{\"type\":\"%s\",\"default\":%s}}", q->type, q->otherwise);
        first = false;
    }
    buf_u8(out, ']');
    if (op->type)
        buf_fmt(out,
                ",\"requestBody\":{\"required\":true,\"content\":{\"%s\":{\"schema\":{\"type\":\"object\"},"
                "\"example\":%s}}}",
                op->type, op->example);
    buf_fmt(out,
            ",\"responses\":{\"200\":{\"description\":\"Done\",\"content\":{\"%s\":{\"schema\":{}}}},"
            "\"default\":{\"description\":\"Refused, with the reason\"}}}",
            type);
}

/* ---- the document ---- */

static bool is_first_of_path(openapi_fn *ops, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (strcmp(ops(i)->path.pattern, ops(at)->path.pattern) == 0)
            return false;
    return true;
}

void openapi_json(struct buf *out, openapi_fn *ops)
{
    buf_str(out, STR("{\"openapi\":\"3.0.3\",\"info\":{\"title\":\"tarn ingest\",\"version\":\"1\","));
    put_text(out, "description", ABOUT);
    buf_str(out, STR("},\"paths\":{"));
    for (size_t i = 0; ops(i); i++) {
        if (!is_first_of_path(ops, i))
            continue;
        buf_fmt(out, "%s\"%s\":{", i > 0 ? "," : "", ops(i)->path.pattern);
        for (size_t j = i; ops(j); j++) {
            if (strcmp(ops(j)->path.pattern, ops(i)->path.pattern) != 0)
                continue;
            if (j > i)
                buf_u8(out, ',');
            put_op(out, ops(j));
        }
        buf_u8(out, '}');
    }
    buf_str(out, STR("}}"));
}

/* ---- the page ---- */

const char OPENAPI_PAGE[] =
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    "<title>tarn ingest</title><style>"
    ":root{color-scheme:light dark;--ink:#123;--page:#f7fafb;--card:#fff;--line:#cfdde2;--told:#eef4f6}"
    "@media(prefers-color-scheme:dark){:root{--ink:#dbe6ea;--page:#10181c;--card:#18242a;--line:#31444d;--"
    "told:#0c1215}}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 "
    "1rem;color:var(--ink);"
    "background:var(--page)}"
    "section{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.6rem "
    "1rem;margin:.6rem 0}"
    "b{display:inline-block;min-width:4.2rem;color:#fff;background:#1b6f8a;border-radius:4px;padding:0 .4rem;"
    "text-align:center}b.get{background:#3f772f}b.delete{background:#a3423a}"
    "label{display:inline-block;white-space:nowrap}input{width:8rem;margin:0 1rem 0 .4rem}"
    "textarea{display:block;width:100%;box-sizing:border-box;height:4.5rem;font:13px/1.4 "
    "monospace;margin:.3rem 0}"
    "button{padding:.2rem .9rem}p{margin:.3rem "
    "0}pre{background:var(--told);padding:.6rem;white-space:pre-wrap;"
    "margin-bottom:0}code{font-size:105%}code,pre{overflow-wrap:anywhere}</style>"
    "<h1>tarn ingest</h1><p id=about></p><div id=list></div><p><a "
    "href=openapi.json>openapi.json</a></p><script>"
    "const make=(tag,text)=>{const x=document.createElement(tag);if(text)x.textContent=text;return x};"
    "function show(path,method,op){const s=make('section'),h=make('div'),b=make('b',method.toUpperCase()),"
    "go=make('button','Try it'),out=make('pre'),ins=[];b.className=method;out.hidden=true;"
    "h.append(b,make('code',' '+path));s.append(h,make('p',op.summary));"
    "for(const q of op.parameters){const l=make('label',q.name),i=make('input');i.value=q.schema.default||'';"
    "i.title=q.description||'';l.append(i);ins.push([q,i]);s.append(l)}"
    "const body=op.requestBody&&Object.entries(op.requestBody.content)[0];let area;"
    "if(body){area=make('textarea');area.value=JSON.stringify(body[1].example);s.append(area)}"
    "go.onclick=async()=>{go.disabled=true;out.hidden=false;out.textContent='...';let p=path;"
    "for(const[q,i]of ins)if(q.in=='path')p=p.replace('{'+q.name+'}',encodeURIComponent(i.value));"
    "const u=new URL(p,location);for(const[q,i]of "
    "ins)if(q.in=='query'&&i.value!=='')u.searchParams.set(q.name,i.value);"
    "const headers={Accept:Object.keys(op.responses['200'].content)[0]+', application/json;q=0.5'};"
    "if(body)headers['Content-Type']=body[0];"
    "try{const r=await fetch(u,{method:method.toUpperCase(),headers,body:area&&area.value});"
    "out.textContent=r.status+' '+await r.text()}catch(e){out.textContent=e}go.disabled=false};"
    "s.append(go,out);list.append(s)}"
    "fetch('openapi.json').then(r=>r.json()).then(d=>{document.title=d.info.title;about.textContent=d.info."
    "description;"
    "for(const[path,ops]of Object.entries(d.paths))for(const[method,op]of "
    "Object.entries(ops))show(path,method,op)})"
    "</script></html>";
