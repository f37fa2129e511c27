/*
 * secret_file.h - reads the files that secure the control plane.
 *
 * Purpose: tokens, keys and certificates into memory, with one wording of what may
 *   be wrong with them; what is secret must be its owner's alone.
 * Threads: main thread at start. Memory: the caller gives the text back.
 * Bounds: SECRET_FILE_MAX bytes, no NUL among them.
 */
#ifndef CONTROL_SECRET_FILE_H
#define CONTROL_SECRET_FILE_H

#include <stdbool.h>

#include "base/status.h"

enum { SECRET_FILE_MAX = 64 * 1024 };

/* The file's text, NUL-ended, or NULL and *error, which names `key`. secret: others may not read it. */
char *secret_file_read(const char *key, const char *path, bool secret, struct error *error) MUST_USE;
/* Overwrites and frees; NULL is nothing. */
void secret_file_free(char *text);

#endif
