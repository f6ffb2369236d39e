/*
 * testcoord: what the tests of both coordinators of groups give them: a clock that the test turns, ids in their order, and
 * chance that a seed decides.
 */
#pragma once

#include "base/test.h"
#include "kafka/kafka_int.h"

static int64_t clock_ms;
static int ids;         // given so far
static uint64_t chance; // not 0

static inline int64_t now_ms(void *arg)
{
    (void)arg;
    return clock_ms;
}

static inline void random_id(void *arg, char out[COORD_MEMBER_ID])
{
    (void)arg;
    (void)snprintf(out, COORD_MEMBER_ID, "%d", ++ids);
}

/* From 0 to n - 1. */
static inline uint64_t roll(uint64_t n)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return chance % n;
}
