#include "control/tokens.h"

#include <ctype.h>
#include <string.h>

#include "control/secret_file.h"

enum { LINE_WORDS = 3 };

static bool
is_printable(const char *text)
{
	for (; *text; text++)
		if (!isgraph((unsigned char)*text))
			return false;
	return true;
}

static const struct token *
by_name(const struct tokens *tokens, const char *name)
{
	for (uint32_t i = 0; i < tokens->count; i++)
		if (strcmp(tokens->list[i].name, name) == 0)
			return &tokens->list[i];
	return NULL;
}

/* What is wrong with a line, or NULL and the entry is there. The token never stands in a message. */
static const char *
add(struct tokens *tokens, char *words[LINE_WORDS])
{
	struct token *token = &tokens->list[tokens->count];
	size_t len = strlen(words[2]);

	if (tokens->count == TOKENS_MAX)
		return "more lines than the 64 that are allowed";
	if (strlen(words[0]) >= TOKEN_NAME_SIZE || !is_printable(words[0]))
		return "the name must be 1..63 printable characters";
	if (by_name(tokens, words[0]))
		return "the name stands on an earlier line, too";
	if (!scope_parse(words[1], &token->scope))
		return "the scope must be read, write or admin";
	token->certificate = strcmp(words[2], "-") == 0;
	if (!token->certificate && (len < TOKEN_LEN_MIN || len > TOKEN_LEN_MAX || !is_printable(words[2])))
		return "the token must be 8..256 printable characters, or - for a client certificate";
	if (!token->certificate && tokens_find(tokens, words[2]))
		return "the token stands on an earlier line, too";
	memcpy(token->name, words[0], strlen(words[0]) + 1);
	seal_tag(&tokens->key, words[2], len, token->tag);
	tokens->count++;
	return NULL;
}

static const char *
add_line(struct tokens *tokens, char *line)
{
	char *words[LINE_WORDS], *rest;

	line[strcspn(line, "#")] = '\0';
	words[0] = strtok_r(line, " \t\r", &rest);
	if (!words[0])
		return NULL;
	words[1] = strtok_r(NULL, " \t\r", &rest);
	words[2] = strtok_r(NULL, " \t\r", &rest);
	if (!words[1] || !words[2] || strtok_r(NULL, " \t\r", &rest))
		return "a line is: NAME SCOPE TOKEN";
	return add(tokens, words);
}

static enum status
add_lines(struct tokens *tokens, const char *path, char *text, struct error *error)
{
	uint32_t number = 1;

	for (char *line = text; line; number++) {
		char *end = strchr(line, '\n');

		if (end)
			*end = '\0';
		const char *wrong = add_line(tokens, line);
		if (wrong)
			return error_set(error, STATUS_INVALID, "control.tokens_file %s:%u: %s", path, number, wrong);
		line = end ? end + 1 : NULL;
	}
	if (tokens->count == 0)
		return error_set(error, STATUS_INVALID, "control.tokens_file %s: no line in it, so nobody could be let in; "
		    "a line is: NAME SCOPE TOKEN", path);
	return STATUS_OK;
}

enum status
tokens_load(struct tokens *tokens, const char *path, struct error *error)
{
	char *text = secret_file_read("control.tokens_file", path, true, error);

	if (!text)
		return error->status;
	memset(tokens, 0, sizeof *tokens);
	seal_random(&tokens->key, sizeof tokens->key);
	enum status status = add_lines(tokens, path, text, error);
	secret_file_free(text);
	return status;
}

const struct token *
tokens_find(const struct tokens *tokens, const char *token)
{
	const struct token *found = NULL;
	uint8_t tag[SEAL_TAG_LEN];

	seal_tag(&tokens->key, token, strlen(token), tag);
	for (uint32_t i = 0; i < tokens->count; i++)
		if (seal_equal(tag, tokens->list[i].tag, sizeof tag) && !tokens->list[i].certificate)
			found = &tokens->list[i];
	return found;
}

const struct token *
tokens_certificate(const struct tokens *tokens, const char *name)
{
	const struct token *token = by_name(tokens, name);

	return token && token->certificate ? token : NULL;
}
