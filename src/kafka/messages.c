#include "kafka/messages.h"

#define LAST  WIRE_LAST
#define NEVER WIRE_NEVER

/* One row of a table: ROW_kind gives what only that kind needs. */
#define ROW_BOOL(T, name, x)    .otherwise = x
#define ROW_I8(T, name, x)      .otherwise = x
#define ROW_I16(T, name, x)     .otherwise = x
#define ROW_I32(T, name, x)     .otherwise = x
#define ROW_I64(T, name, x)     .otherwise = x
#define ROW_UUID(T, name, x)    .otherwise = x
#define ROW_STR(T, name, x)     .otherwise = x
#define ROW_BYTES(T, name, x)   .otherwise = x
#define ROW_RECORDS(T, name, x) .otherwise = x
#define ROW_LIST(T, name, x)    .at_n = offsetof(struct k_##T, name##_n), .of = &k_##x##_msg
#define ROW_LIST_N(T, name, x)  ROW_LIST(T, name, x)
#define ROW_ONE_N(T, name, x)   ROW_LIST(T, name, x)
#define ROW_STRS(T, name, x)    .at_n = offsetof(struct k_##T, name##_n)
#define ROW_STRS_N(T, name, x)  ROW_STRS(T, name, x)
#define ROW_INTS(T, name, x)    .at_n = offsetof(struct k_##T, name##_n)
#define ROW_LONGS(T, name, x)   ROW_INTS(T, name, x)

#define ROW(T, kind, name, first, last, x) \
    {#name, WIRE_##kind, first, last, offsetof(struct k_##T, name), ROW_##kind(T, name, x)},
#define TABLE(T, FIELDS)                                                                    \
    static const struct wire_field T##_fields[] = {FIELDS(ROW, T)};                         \
    const struct wire_msg k_##T##_msg = {.name = #T,                                        \
                                         .fields = T##_fields,                              \
                                         .count = sizeof T##_fields / sizeof T##_fields[0], \
                                         .size = sizeof(struct k_##T)};
K_STRUCTS(TABLE)
K_TXN_STRUCTS(TABLE)
K_GROUP_STRUCTS(TABLE)
