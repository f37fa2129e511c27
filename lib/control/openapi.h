/*
 * openapi.h - the route table as documents: OpenAPI 3.0 and doc/HTTP.md.
 *
 * Threads: any. Memory: the caller's.
 */
#ifndef CONTROL_OPENAPI_H
#define CONTROL_OPENAPI_H

#include <jansson.h>
#include <stdio.h>

/* A new object; NULL when memory is out. */
json_t *openapi_document(const char *version);
/* The same as YAML: a text to be freed and its length; NULL when memory is out. */
char *openapi_yaml(const char *version, size_t *len);
/* doc/HTTP.md. */
void openapi_reference(FILE *out);

#endif
