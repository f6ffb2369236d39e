/*
 * proxy: topics over HTTP, as Confluent's REST Proxy has them (API v2, and of v3 what its quick starts use).
 *
 *     GET  /topics  /topics/T  /topics/T/partitions[/P[/offsets]]  /brokers
 *     POST /topics/T  /topics/T/partitions/P        records as JSON, base64 or Avro; their offsets in the answer
 *     POST /consumers/G ...                          consumers that live between requests (consumers.h)
 *     GET  /v3/clusters/C/topics ...                 v3: clusters, brokers, topics, partitions, records
 *
 * Paths, bodies, content types and error codes are those of kafka-rest 7 and 8 (docs.confluent.io, "REST Proxy API Reference"). An
 * answer to a produce request comes when its records are on disk.
 *
 *     proxy.c          paths, what clients accept, errors
 *     metadata.c       topics and partitions of v2         clusters.c   the same and creating of v3
 *     values.c         keys and values in each format
 *     records.c        placing records and appending them
 *     produce.c        requests of v2                      stream.c     of v3
 *     consumers.h      consumers.c, positions.c, reads.c
 *
 * When the project has users a request needs HTTP's Basic authentication with the name and password of one.
 *
 * Threads: requests run as jobs; a proxy may be used from any thread.
 */
#pragma once

#include "ingest/ingest.h"
#include "ingest/openapi.h"
#include "net/http.h"

struct proxy;

struct proxy *proxy_new(const struct ingest_options *o);
void proxy_stop(struct proxy *p); // ends all consumers; before net_shut()
/* After net_shut(); waits for requests whose records are still on their way to the disk. NULL does nothing. */
void proxy_free(struct proxy *p);

/* Is the path one of the proxy's? Then its requests go to this route, with q->user set to the proxy. */
bool proxy_owns(struct str path);
extern const struct http_route proxy_route;
/* What it answers, for the documents; NULL behind the last. */
const struct openapi_op *proxy_operation(size_t i);
