/*
 * ask: the console's endpoints that stand on more than a door may know.
 *
 *     POST /api/sql      {"sql":"...","committed_only":false,"numbers_as_text":false}
 *                        -> {"columns":[{"name","type"}],"rows":[[...]],"reads":[{"table","snapshot_id","tail_records","left_out"}]}
 *     POST /api/verify   -> the report of verify/verify.h
 *     GET  /api/tables   -> {"tables":[{"name","topic","location","metadata_location","snapshot_id","rows","files","bytes",...}]}
 *
 * Rows of SQL are sent as they come. A query that fails after its first rows ends the answer with "error" in place of "reads".
 */
#pragma once

#include "console/console.h"

extern const struct console_endpoint ask_endpoints[];
extern const size_t ask_endpoint_count;
