/*
 * security.h - what secures the control plane over TCP, read and checked before anything starts.
 *
 * Threads: main thread at start and at the end; read-only between, but for the tokens: the main thread
 *   leaves a new list (security_reload), and the server's thread takes it before it looks at one (security_tokens).
 * Memory: the files' texts and one or two lists of tokens, overwritten when given back.
 */
#ifndef CONTROL_SECURITY_H
#define CONTROL_SECURITY_H

#include "control/tokens.h"

enum { SECURITY_FILES = 4 };

struct security {
	struct tokens *tokens;               /* the server's thread's */
	struct tokens *_Atomic tokens_next;  /* to be taken; NULL: none */
	char *cert, *key, *client_ca; /* PEM, or NULL */
};

/* Names of files; "" for none. cert and key come together; client_ca only with them. */
struct security_files {
	const char *tokens, *cert, *key, *client_ca;
};

/* NULL and *error when a file is missing, readable by others where secret, or not what it should be. */
struct security *security_load(const struct security_files *files, struct error *error) MUST_USE;
/* The same for a look before a start: keeps nothing, and no file's mistake hides another's. Returns errors filled. */
uint32_t security_check(const struct security_files *files, struct error errors[SECURITY_FILES]) MUST_USE;
/*
 * Reads the tokens file again; from the next request on it holds. When it is not what it should be, *error says so and
 * the former list stays. Certificates stay in any case.
 */
enum status security_reload(struct security *security, const struct security_files *files, struct error *error) MUST_USE;
/* The list in force, until the next call. */
const struct tokens *security_tokens(struct security *security);
void security_free(struct security *security); /* NULL is nothing */

#endif
