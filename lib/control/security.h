/*
 * security.h - what secures the control plane over TCP, read and checked before anything starts.
 *
 * Threads: main thread at start and at the end; read-only between.
 * Memory: the files' texts, overwritten when given back.
 */
#ifndef CONTROL_SECURITY_H
#define CONTROL_SECURITY_H

#include "control/tokens.h"

struct security {
	struct tokens tokens;
	char *cert, *key, *client_ca; /* PEM, or NULL */
};

/* Names of files; "" for none. cert and key come together; client_ca only with them. */
struct security_files {
	const char *tokens, *cert, *key, *client_ca;
};

/* NULL and *error when a file is missing, readable by others where secret, or not what it should be. */
struct security *security_load(const struct security_files *files, struct error *error) MUST_USE;
void security_free(struct security *security); /* NULL is nothing */

#endif
