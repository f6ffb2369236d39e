/*
 * registry: the Schema Registry door, Confluent's REST interface to the schema store.
 *
 *     registry_start(&(struct registry_options){.net = net, .schemas = store, .host = "127.0.0.1", .port = 8081}, &r, e)
 *
 * What Confluent's and other serializers, consoles and scripts use: subjects and their versions, schemas by id, look-up,
 * compatibility checks, levels, modes, soft and permanent deletes; with Confluent's error numbers and bodies. The only type
 * is AVRO: /schemas/types says so, and registering another is refused. Modes are READWRITE and READONLY; contexts,
 * metadata, rules and associations are absent.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>

struct net;
struct registry;
struct schema_store;

struct registry_options {
    struct net *net;
    struct schema_store *schemas; // borrowed until registry_free()
    const char *host;
    int port; // 0: any free one
    bool tls;
};

bool registry_start(const struct registry_options *o, struct registry **out, struct err *e) MUST_CHECK;
int registry_port(const struct registry *r);
void registry_free(struct registry *r); // after net_stop(); NULL does nothing
