/*
 * moment: PostgreSQL's text of dates and times, read.
 *
 * Styles: datestyle ISO, intervalstyle postgres, timezone UTC. Years may have more than four digits and "BC". infinity
 * becomes what Debezium's drivers make of it. Microseconds too many for an int64_t (years after 294246, long intervals) are its
 * least or most. False: the text is not one of these.
 */
#pragma once

#include "base/str.h"

enum { PGMOMENT_TEXT = 64 }; // the longest text of a moment, NUL included

bool pgmoment_date(struct str text, int64_t *days);        // since 1970-01-01
bool pgmoment_time(struct str text, int64_t *micros);      // since midnight; 24:00:00 is a day
bool pgmoment_timestamp(struct str text, int64_t *micros); // since 1970-01-01
bool pgmoment_interval(struct str text, int64_t *micros);  // a month is 30.4375 days
/* ISO text in UTC: "11:51:30.123789Z", the fraction as long as it must be. */
bool pgmoment_timetz(struct str text, char out[PGMOMENT_TEXT]);
/* ISO text in UTC: "2016-11-04T11:51:30.123456Z", `digits` of the fraction; 0: as many as there are. infinity stays. */
bool pgmoment_timestamptz(struct str text, int digits, char out[PGMOMENT_TEXT]);
