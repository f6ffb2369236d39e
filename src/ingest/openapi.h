/*
 * openapi: the seeder's endpoints as an OpenAPI 3.0 document, and a page that shows and tries them.
 *
 * Neither asks another host.
 */
#pragma once

extern const char OPENAPI_JSON[];
extern const char OPENAPI_PAGE[];
