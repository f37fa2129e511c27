/*
 * tokens.h - who may do what: the tokens file.
 *
 * Purpose: one line a caller, "NAME SCOPE TOKEN"; '#' starts a comment. A line whose
 *   token is "-" gives a scope to a client certificate whose common name is NAME.
 *   The file must be its owner's alone: a token that others can read is no secret.
 * Threads: loaded on the main thread, then read-only.
 * Memory: TOKENS_MAX entries of fixed size. Tokens themselves are not kept, but
 *   their tags (SipHash, 128 bits, under a key drawn at the start): comparing takes
 *   the same time whatever was sent, and looks at every entry.
 * Bounds: TOKEN_LEN_MIN..TOKEN_LEN_MAX bytes a token.
 */
#ifndef CONTROL_TOKENS_H
#define CONTROL_TOKENS_H

#include "base/status.h"
#include "control/route.h"
#include "seal/seal.h"

enum { TOKENS_MAX = 64, TOKEN_NAME_SIZE = 64, TOKEN_LEN_MIN = 8, TOKEN_LEN_MAX = 256 };

struct token {
	char name[TOKEN_NAME_SIZE];
	enum control_scope scope;
	bool certificate; /* no token: the name is a certificate's */
	uint8_t tag[SEAL_TAG_LEN];
};

struct tokens {
	struct seal_key key;
	uint32_t count;
	struct token list[TOKENS_MAX];
};

/* Reads and checks the file; errors name file, line and what is wrong with it. */
enum status tokens_load(struct tokens *tokens, const char *path, struct error *error) MUST_USE;

/* The entry with this token, or NULL. */
const struct token *tokens_find(const struct tokens *tokens, const char *token);
/* The entry for certificates with this common name, or NULL. */
const struct token *tokens_certificate(const struct tokens *tokens, const char *name);

#endif
