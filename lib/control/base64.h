/*
 * base64.h - RFC 4648, section 4, with padding.
 *
 * Threads: any. Memory: the caller's. Pure.
 */
#ifndef CONTROL_BASE64_H
#define CONTROL_BASE64_H

#include <stddef.h>

#define BASE64_BAD ((size_t)-1)

/* Characters that len bytes become, without a NUL. */
#define BASE64_LEN(len) (((len) + 2) / 3 * 4)

void base64_encode(const void *data, size_t len, char *out);
/* Returns the bytes written, at most len / 4 * 3; BASE64_BAD when it is not canonical base64. */
size_t base64_decode(const char *text, size_t len, void *out);

#endif
