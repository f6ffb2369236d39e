#include "ingest/openapi.h"

#define ANSWER(code, text)                  \
    "\"" code "\":{\"description\":\"" text \
    "\",\"content\":{\"application/json\":{\"schema\":{\"type\":\"object\"}}}}"
#define QUERY(name, kind, otherwise, text)                                               \
    "{\"name\":\"" name "\",\"in\":\"query\",\"required\":false,\"description\":\"" text \
    "\",\"schema\":{\"type\":\"" kind "\",\"default\":" otherwise "}}"
#define OPERATION(method, id, text, params, answers)                                               \
    "{\"" method "\":{\"operationId\":\"" id "\",\"summary\":\"" text "\",\"parameters\":[" params \
    "],\"responses\":{" answers "}}}"

const char OPENAPI_JSON[] =
    "{\"openapi\":\"3.0.3\",\"info\":{\"title\":\"tarn seeder\",\"version\":\"1\",\"description\":"
    "\"Fills the storefront's tables and keeps the shop alive.\"},\"paths\":{"
    "\"/seed/full\":" OPERATION(
        "post", "seed_full", "Make a whole shop at once",
        QUERY("count", "integer", "10000", "orders to make") "," QUERY("batch_size", "integer", "1000",
                                                                       "orders in one transaction"),
        ANSWER("200", "Made") "," ANSWER("422", "A parameter is wrong") "," ANSWER(
            "409",
            "The storefront's tables are not there")) ","
                                                      "\"/seed/start\":" OPERATION(
                                                          "post", "seed_start", "Start live traffic",
                                                          QUERY("rate", "number", "1.0",
                                                                "ticks a second, at most 1000"),
                                                          ANSWER("200", "Started, or already running") "," ANSWER(
                                                              "422",
                                                              "The rate is wrong")) ","
                                                                                    "\"/seed/"
                                                                                    "stop\":" OPERATION(
                                                                                        "post", "seed_stop",
                                                                                        "Stop live traffic",
                                                                                        "",
                                                                                        ANSWER(
                                                                                            "200",
                                                                                            "Stopped, or not "
                                                                                            "running")) ","
                                                                                                        "\"/"
                                                                                                        "stat"
                                                                                                        "us\""
                                                                                                        ":" OPERATION(
                                                                                                            "get",
                                                                                                            "status",
                                                                                                            "Is live traffic running, and how far is it",
                                                                                                            "",
                                                                                                            ANSWER(
                                                                                                                "200",
                                                                                                                "Status")) ","
                                                                                                                           "\"/health\":" OPERATION(
                                                                                                                               "get",
                                                                                                                               "health",
                                                                                                                               "Is the seeder up",
                                                                                                                               "",
                                                                                                                               ANSWER(
                                                                                                                                   "200",
                                                                                                                                   "Up")) "}}";

const char OPENAPI_PAGE[] =
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
    "content='width=device-width'><title>tarn seeder</title>"
    "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 "
    "1rem;color:#123;background:#f7fafb}"
    "section{background:#fff;border:1px solid #cfdde2;border-radius:8px;padding:1rem;margin:1rem 0}"
    "b{display:inline-block;min-width:3.5rem;color:#fff;background:#1b6f8a;border-radius:4px;padding:0 "
    ".4rem;text-align:center}"
    "b.get{background:#4b8b3b}input{width:7rem;margin:0 1rem 0 .4rem}button{padding:.2rem .9rem}"
    "pre{background:#eef4f6;padding:.6rem;white-space:pre-wrap;margin-bottom:0}code{font-size:105%}</style>"
    "<h1>tarn seeder</h1><p id=about></p><div id=list></div><p><a "
    "href=openapi.json>openapi.json</a></p><script>"
    "fetch('openapi.json').then(r=>r.json()).then(d=>{document.title=d.info.title;about.textContent=d.info."
    "description;"
    "for(const[path,ops]of Object.entries(d.paths))for(const[method,op]of Object.entries(ops)){"
    "const "
    "s=document.createElement('section'),h=document.createElement('div'),b=document.createElement('b'),c="
    "document.createElement('code'),"
    "p=document.createElement('p'),go=document.createElement('button'),out=document.createElement('pre'),ins="
    "[];"
    "b.textContent=method.toUpperCase();b.className=method;c.textContent=' "
    "'+path;p.textContent=op.summary;go.textContent='Try it';out.hidden=true;"
    "h.append(b,c);s.append(h,p);for(const q of op.parameters){const "
    "l=document.createElement('label'),i=document.createElement('input');"
    "i.value=q.schema.default;i.title=q.description;l.append(q.name,i);ins.push([q.name,i]);s.append(l)}"
    "go.onclick=async()=>{go.disabled=true;out.hidden=false;out.textContent='...';const u=new "
    "URL(path,location);"
    "for(const[n,i]of ins)u.searchParams.set(n,i.value);const r=await "
    "fetch(u,{method});out.textContent=r.status+' '+await r.text();go.disabled=false};"
    "s.append(go,out);list.append(s)}})</script></html>";
