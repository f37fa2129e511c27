/*
 * profile.h - reads a drivers-config profile by name into struct io_profile.
 *
 * Purpose: what is particular to a NIC family stands in a commented YAML file,
 *   checked as strictly as the configuration (profile.def is its table).
 * Threads: main thread at start. Memory: by value.
 */
#ifndef SLIPRINGD_PROFILE_H
#define SLIPRINGD_PROFILE_H

#include "io/io.h"
#include "schema.h"

struct schema profile_schema(void);

/* Reads a profile from bytes; `file` names them in problems. */
void profile_read(struct io_profile *profile, const char *name, const char *file, const void *bytes,
    size_t len, struct problems *problems);

/*
 * Finds NAME.yaml in $SLIPRING_PROFILES, then in a drivers-config directory in
 * the program's own directory or one of the five above (a source tree), then in
 * the installed one (PREFIX/share/slipring/drivers-config), and reads it.
 */
void profile_load(struct io_profile *profile, const char *name, struct problems *problems);

#endif
