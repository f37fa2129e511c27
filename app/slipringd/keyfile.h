/*
 * keyfile.h - reads a key that both sides share.
 *
 * Purpose: 64 hex digits in a file that only its owner may read; white space
 *   around them is skipped. A key that others can read is no secret, and refused.
 * Threads: main thread at start. Memory: the caller's.
 */
#ifndef SLIPRINGD_KEYFILE_H
#define SLIPRINGD_KEYFILE_H

#include <stdint.h>

#include "base/status.h"

enum { KEYFILE_KEY_LEN = 32 };

/* name: of the configuration key that gave the path, for errors. */
enum status keyfile_read(const char *name, const char *path, uint8_t key[KEYFILE_KEY_LEN], struct error *error) MUST_USE;

#endif
