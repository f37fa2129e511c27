/*
 * percent.h - percent-encoding of RFC 3986, section 2.1.
 *
 * Threads: any. Memory: the caller's. Pure.
 */
#ifndef CONTROL_PERCENT_H
#define CONTROL_PERCENT_H

#include <stdbool.h>
#include <stddef.h>

#define PERCENT_BAD ((size_t)-1)

/*
 * Decodes len bytes; with `plus` a '+' is a blank, as in queries. Returns the bytes
 * written, or PERCENT_BAD: a '%' without two hex digits, or more than size bytes.
 */
size_t percent_decode(const char *text, size_t len, bool plus, void *out, size_t size);

#endif
