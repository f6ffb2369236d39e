/*
 * messages: one struct and one table a Kafka message, made from messages.def and its neighbours.
 *
 * struct k_produce_req is what came, k_produce_req_msg tells wire how it is written. A list `topics` is a pointer and its
 * count `topics_n` (-1: null). Numbers and strings have the meaning of Kafka's field of (nearly) the same name.
 */
#pragma once

#include "kafka/admin.def"
#include "kafka/messages.def"
#include "kafka/messages_group.def"
#include "kafka/messages_txn.def"
#include "kafka/security.def"
#include "kafka/wire.h"

#define K_DECL_BOOL(name, x)    bool name;
#define K_DECL_I8(name, x)      int8_t name;
#define K_DECL_I16(name, x)     int16_t name;
#define K_DECL_I32(name, x)     int32_t name;
#define K_DECL_I64(name, x)     int64_t name;
#define K_DECL_UUID(name, x)    struct log_uuid name;
#define K_DECL_STR(name, x)     struct str name;
#define K_DECL_BYTES(name, x)   struct str name;
#define K_DECL_RECORDS(name, x) struct wire_records name;
#define K_DECL_LIST(name, x) \
    struct k_##x *name;      \
    int32_t name##_n;
#define K_DECL_LIST_N(name, x) K_DECL_LIST(name, x)
#define K_DECL_ONE_N(name, x)  K_DECL_LIST(name, x)
#define K_DECL_STRS(name, x) \
    struct str *name;        \
    int32_t name##_n;
#define K_DECL_STRS_N(name, x) K_DECL_STRS(name, x)
#define K_DECL_INTS(name, x) \
    int32_t *name;           \
    int32_t name##_n;
#define K_DECL_LONGS(name, x) \
    int64_t *name;            \
    int32_t name##_n;

#define K_FIELD(T, kind, name, first, last, x) K_DECL_##kind(name, x)
#define K_STRUCT(T, FIELDS) \
    struct k_##T {          \
        FIELDS(K_FIELD, T)  \
    };                      \
    extern const struct wire_msg k_##T##_msg;
K_STRUCTS(K_STRUCT)
K_TXN_STRUCTS(K_STRUCT)
K_GROUP_STRUCTS(K_STRUCT)
#undef K_FIELD
#undef K_STRUCT
