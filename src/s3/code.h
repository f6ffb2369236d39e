/*
 * code: the errors of S3, by name.
 *
 * Parsers and checks of this folder answer with one of these, S3_OK when all is well; door.c turns it into a status and
 * XML. The table is error.def.
 */
#pragma once

enum s3_code {
    S3_OK,
#define X(name, code, status, message) S3_##name,
#include "s3/error.def"
#undef X
    S3_CODES
};
