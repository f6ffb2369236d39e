/*
 * auth_int: the hashes of SCRAM, for the files of this room.
 */
#pragma once

#include "auth/auth.h"

/* HMAC with the mechanism's hash over up to two pieces; `to` takes scram_key_bytes(). */
void auth_hmac(enum auth_mechanism m, struct str key, struct str data, uint8_t *to);
void auth_hash(enum auth_mechanism m, const uint8_t *p, uint8_t *to); // of scram_key_bytes() bytes
/* Base64 with padding, nothing else between; false when it is not or does not fit. */
bool auth_base64(struct str text, uint8_t *to, size_t room, size_t *n);
void auth_random(struct auth *a, void *p, size_t n);
