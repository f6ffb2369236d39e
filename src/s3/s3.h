/*
 * s3: the S3 REST door to object/.
 *
 *     s3_start(&(struct s3_options){.os = os, .net = net, .blobs = blobs, .host = "127.0.0.1", .port = 9000,
 *                                   .access_key = "...", .secret_key = "..."}, &s3, e)
 *
 * What clients know as S3: path style and virtual-host style; signature version 4 in headers and in presigned URLs;
 * bodies hashed, unsigned, or in one of the three aws-chunked framings with their chunk signatures and trailing checksums;
 * buckets; put, get (ranges, conditions), head, copy and delete of objects; both listings; DeleteObjects; multipart
 * uploads. What is absent (versions, ACLs, tags, policies, encryption, ...) answers NotImplemented and is never
 * accepted silently when that would promise something.
 *
 * One user: the key pair of the options. Nothing is answered to a request that is not signed with it.
 * Bodies stream through to the disk; a request holds at most S3_XML_MAX bytes of a body in memory, and only for XML.
 */
#pragma once

#include "base/err.h"

#include <stdint.h>

struct blobs;
struct net;
struct os;
struct s3;

struct s3_options {
    struct os *os;
    struct net *net;
    struct blobs *blobs;
    const char *host;
    int port; // 0: any free one
    bool tls;
    const char *access_key, *secret_key;
    const char *region;    // what clients are told; any region is accepted in signatures. NULL: us-east-1
    const char *domain;    // BUCKET.domain is virtual-host style. NULL: localhost
    int64_t put_max_bytes; // of one PUT; 0: 5 GiB, S3's own limit
};

bool s3_start(const struct s3_options *o, struct s3 **out, struct err *e) MUST_CHECK;
int s3_port(const struct s3 *s);
void s3_free(struct s3 *s); // after net_stop(); NULL does nothing
