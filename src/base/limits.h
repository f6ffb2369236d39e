/*
 * limits: the most that a stranger may ask for, in one place.
 *
 * Whatever is sized by a client is checked against its limit here before memory is taken; past it the answer is the
 * protocol's own error for "too large" (ERR_LIMIT).
 */
#pragma once

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

#define LIMIT_KAFKA_FRAME (100 * MIB) // one Kafka frame (socket.request.max.bytes)
#define LIMIT_KAFKA_LOGIN \
    (512 * KIB)                     // the same before its sender has logged in (sasl.server.max.receive.size)
#define LIMIT_ACLS       (8 * MIB)  // the file of users and ACLs
#define LIMIT_BATCH      (64 * MIB) // one record batch; max.message.bytes is usually lower
#define LIMIT_HTTP_HEAD  (64 * KIB) // request line and headers
#define LIMIT_HTTP_BODY  (8 * MIB)  // a body held in memory; S3 objects are streamed
#define LIMIT_SCHEMA     (1 * MIB)  // one schema's text
#define LIMIT_SETTINGS   (1 * MIB)  // one settings, connector or migration file
#define LIMIT_NAME       249        // a topic's name (Kafka's own limit)
#define LIMIT_KEY        1024       // an object's key (S3's own limit)
#define LIMIT_JSON_DEPTH 64         // nesting of any JSON or Avro text
