/*
 * api_json.h - keys and values in JSON, which holds text only; private to the control plane.
 *
 * Threads: any. Memory: each returns a new json_t, or NULL when memory is out.
 */
#ifndef SLIPRINGD_API_JSON_H
#define SLIPRINGD_API_JSON_H

#include <jansson.h>

#include "base/limits.h"
#include "base/view.h"
#include "control/http.h"

/* A text where the bytes are UTF-8, else base64; *encoding says which. */
json_t *api_bytes_json(struct view bytes, const char **encoding);
/* The same as a member, and its encoding as another. */
void api_set_bytes(json_t *object, const char *name, const char *encoding_name, struct view bytes);
/* Digits only, up to max. */
bool api_parse_number(const char *text, uint64_t max, uint64_t *number);

/* The key in a request's path, 1..KEY_LEN_MAX bytes into room for one more; false: refused with bad_key. */
bool api_path_key(const struct http_request *request, struct http_reply *reply, uint8_t room[KEY_LEN_MAX + 1],
    struct view *key);

#endif
