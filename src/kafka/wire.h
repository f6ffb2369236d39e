/*
 * wire: Kafka messages between bytes and structs, driven by tables.
 *
 * A message is a struct and a table of its fields, both made from one list in messages.def; a field says in which versions it
 * is there. wire_read() and wire_write() walk the table, so a new version or a new message is a row, and the fuzzer and the
 * round-trip test see all of them. Flexible versions (KIP-482) have compact lengths and tagged fields behind each struct;
 * the tagged fields known so far are optional for both sides, so they are passed over when read and none is written.
 *
 *     struct k_heartbeat_req in;
 *     if (!wire_read(&(struct wire_in){.bytes = body, .arena = &a, .version = 3}, &k_heartbeat_req_msg, &in, e))
 *
 * Strings that were read point into the bytes; lists are in the arena. Lists cost more memory here than on the wire, so what
 * one message may take is bounded by WIRE_LISTS_MAX, and a count is checked against the bytes that are left first.
 * A field that a version does not have reads as its default. Null is p == NULL, and n == -1 for a list.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/rd.h"
#include "log/log.h"

enum wire_kind {
    WIRE_BOOL,
    WIRE_I8,
    WIRE_I16,
    WIRE_I32,
    WIRE_I64,
    WIRE_UUID,
    WIRE_STR,
    WIRE_BYTES,
    WIRE_RECORDS,
    WIRE_LIST,   // of structs
    WIRE_LIST_N, // of structs, or null
    WIRE_STRS,   // of strings
    WIRE_STRS_N, // of strings, or null
    WIRE_INTS,   // of 32-bit integers
    WIRE_LONGS,  // of 64-bit integers
    WIRE_ONE_N   // a struct, or null: a list of one to the program
};

enum { WIRE_LAST = 99, WIRE_NEVER = 100 }; // versions: "and all later ones", "in none"
#define WIRE_LISTS_MAX (32u << 20)

/* Bytes that somebody has until release(arg), called once, on any thread. */
struct wire_lent {
    uint8_t *p;
    size_t n;
    void (*release)(void *arg);
    void *arg;
};

/* Record batches: bytes in memory; or, in answers, what is sent without a copy: lent bytes, or a piece of an open file. */
struct wire_records {
    struct str bytes;
    struct wire_lent *lent; // lent_n > 0: instead of bytes; the message that is written gives them back
    size_t lent_n;
    struct log_piece piece; // n > 0: instead of bytes; the message that is written takes its descriptor
};

struct wire_msg;
struct wire_field {
    const char *name;
    enum wire_kind kind;
    int16_t first, last; // versions that have it
    uint16_t at, at_n;   // where in the struct; of a list also its count
    int64_t otherwise;   // value in versions without it; of strings and bytes: first version that allows null
    const struct wire_msg *of; // elements of a list of structs
};

struct wire_msg {
    const char *name;
    const struct wire_field *fields;
    size_t count, size; // size: of the struct
};

struct wire_in {
    struct str bytes;
    struct arena *arena;
    int version;
    bool flexible;
    bool rest_ok; // bytes behind the message are passed over
};

/* What messages are made of, for who reads a part of one: a length or count, -1 is null; tags that nobody looks at (KIP-482). */
int64_t wire_length(struct rd *r, bool flexible, bool is_short);
void wire_skip_tags(struct rd *r, bool flexible);

/* Every field has the value of a version without it; lists are empty. */
void wire_default(const struct wire_msg *m, void *out);
/* The whole of in->bytes must be one message, unless rest_ok. */
bool wire_read(const struct wire_in *in, const struct wire_msg *m, void *out, struct err *e) MUST_CHECK;

/* What goes between the bytes of an answer. */
struct wire_splice {
    size_t at; // in the bytes
    struct wire_lent lent;
    struct log_piece piece; // when nothing is lent
};

struct wire_out {
    struct buf buf;
    struct wire_splice *splices;
    size_t splice_count, splice_cap;
    size_t spliced; // bytes of all pieces
};

void wire_out_fini(struct wire_out *o); // closes the pieces and gives back the loans that were not taken
void wire_write(struct wire_out *o, const struct wire_msg *m, int version, bool flexible, const void *in);
