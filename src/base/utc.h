/*
 * utc: days, civil dates and ISO 8601, without the C library's time zones and locks.
 *
 * Instants are microseconds since 1970-01-01T00:00:00Z unless the name says otherwise. The calendar is the proleptic
 * Gregorian one. Source of the day arithmetic: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
 */
#pragma once

#include "base/str.h"

struct utc {
    int64_t year;
    unsigned month, day; // from 1
    unsigned hour, minute, second;
    unsigned micro;
};

enum { UTC_SECOND = 1000000 };
#define UTC_DAY (86400 * (int64_t)UTC_SECOND)

int64_t utc_days(int64_t year, unsigned month, unsigned day); // days since 1970-01-01
int64_t utc_micros(const struct utc *t);
struct utc utc_split(int64_t micros);

enum { UTC_TEXT = 40 };
/* "2026-11-21T08:00:00Z", with `digits` (0, 3 or 6) digits of the second's fraction. out has UTC_TEXT bytes. */
const char *utc_iso(int64_t micros, int digits, char *out);
/* The way back, with any number of fraction digits and "Z" or an offset of "+hh:mm"; years 0 to 9999. False: it is no such text. */
bool utc_parse(struct str text, int64_t *micros) __attribute__((warn_unused_result));
