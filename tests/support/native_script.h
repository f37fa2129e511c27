/*
 * native_script.h - request operations written as text, the way back of native_text.h.
 *
 *   set greeting flags=7 ttl=60000 value="hello" cas=$v
 *
 * Words are separated by spaces; "..." is a word with \n and \xHH in it; @LEN or
 * @LEN+FROM is LEN bytes of a pattern from byte FROM on; $name stands for what an
 * answer bound it to. A key's slot is computed unless slot= says another; upload
 * operations without a key take the slot of the key in of=.
 */
#ifndef TESTS_SUPPORT_NATIVE_SCRIPT_H
#define TESTS_SUPPORT_NATIVE_SCRIPT_H

#include <ctype.h>
#include <stdlib.h>

#include "tests/support/native_text.h"

enum { SCRIPT_NAMES_MAX = 64, SCRIPT_BYTES_MAX = VALUE_LEN_MAX };

/* Names bound to numbers by the answers of one conversation. */
struct script_names {
	struct {
		char name[32];
		uint64_t value;
	} entries[SCRIPT_NAMES_MAX];
	uint32_t count;
};

/* A word's bytes; `complaint` says what is wrong with a script. */
struct script {
	struct script_names names;
	char complaint[200];
	uint8_t *bytes; /* room for the bytes of one operation's words */
	uint32_t used;
};

static inline uint8_t
script_pattern(uint32_t i)
{
	return (uint8_t)(i * 31 + i / 256 * 7);
}

static inline bool
script_complain(struct script *script, const char *what, const char *about)
{
	snprintf(script->complaint, sizeof script->complaint, "%s: %s", what, about);
	return false;
}

/* The number a name is bound to, or NULL. */
static inline uint64_t *
script_lookup(struct script_names *names, const char *name, size_t len)
{
	for (uint32_t i = 0; i < names->count; i++)
		if (strlen(names->entries[i].name) == len && memcmp(names->entries[i].name, name, len) == 0)
			return &names->entries[i].value;
	return NULL;
}

static inline size_t
script_name_len(const char *at)
{
	size_t len = 0;

	while (isalnum((unsigned char)at[len]) || at[len] == '_')
		len++;
	return len;
}

/* Binds a name, or says whether it is bound to this number already. */
static inline bool
script_bind(struct script_names *names, const char *name, size_t len, uint64_t value)
{
	uint64_t *bound = script_lookup(names, name, len);

	if (bound)
		return *bound == value;
	if (names->count == SCRIPT_NAMES_MAX || len >= sizeof names->entries[0].name)
		return false;
	memcpy(names->entries[names->count].name, name, len);
	names->entries[names->count].name[len] = 0;
	names->entries[names->count++].value = value;
	return true;
}

/* Number at *at, decimal, 0x or $name; moves behind it. */
static inline bool
script_number(struct script *script, const char **at, uint64_t *value)
{
	char *end;

	if (**at == '$') {
		size_t len = script_name_len(*at + 1);
		uint64_t *bound = script_lookup(&script->names, *at + 1, len);

		if (!bound)
			return script_complain(script, "not bound", *at);
		*value = *bound;
		*at += 1 + len;
		return true;
	}
	if (!isdigit((unsigned char)**at))
		return script_complain(script, "not a number", *at);
	*value = strtoull(*at, &end, 0);
	*at = end;
	return true;
}

static inline bool
script_quoted(struct script *script, const char **at)
{
	const char *c = *at + 1;

	for (; *c != '"'; c++) {
		unsigned byte = (unsigned char)*c;

		if (!*c)
			return script_complain(script, "quote not closed", *at);
		if (c[0] == '\\' && c[1] == 'x' && sscanf(c + 2, "%2x", &byte) == 1)
			c += 3;
		else if (c[0] == '\\' && c[1] == 'n')
			byte = '\n', c++;
		script->bytes[script->used++] = (uint8_t)byte;
	}
	*at = c + 1;
	return true;
}

/* A word of bytes at *at: "quoted", @LEN[+FROM] or bare; the view dies with the operation. */
static inline bool
script_bytes(struct script *script, const char **at, struct view *bytes)
{
	uint32_t start = script->used;

	if (**at == '"') {
		if (!script_quoted(script, at))
			return false;
	} else if (**at == '@') {
		uint64_t len, from = 0;

		(*at)++;
		if (!script_number(script, at, &len))
			return false;
		if (**at == '+' && ((*at)++, !script_number(script, at, &from)))
			return false;
		if (len > SCRIPT_BYTES_MAX - start)
			return script_complain(script, "too long", *at);
		for (uint32_t i = 0; i < len; i++)
			script->bytes[script->used++] = script_pattern((uint32_t)from + i);
	} else {
		while (**at && **at != ' ')
			script->bytes[script->used++] = (uint8_t)*(*at)++;
	}
	*bytes = view_of(script->bytes + start, script->used - start);
	return true;
}

static inline bool
script_takes(const char **at, const char *name)
{
	size_t len = strlen(name);

	if (strncmp(*at, name, len) != 0)
		return false;
	*at += len;
	return true;
}

static inline bool
script_range(struct script *script, const char **at, struct request *request)
{
	uint64_t version, offset, length;

	if (!script_number(script, at, &version) || *(*at)++ != ',' || !script_number(script, at, &offset) ||
	    *(*at)++ != ',' || !script_number(script, at, &length))
		return script_complain(script, "range=VERSION,OFFSET,LENGTH", *at);
	request->version = version;
	request->offset = (uint32_t)offset;
	request->length = (uint32_t)length;
	request->flags |= REQUEST_RANGE;
	return true;
}

/* Where a numeric option goes. */
static inline bool
script_numeric(struct request *request, const char *name, uint64_t value)
{
	if (strcmp(name, "flags") == 0)
		request->client_flags = (uint32_t)value;
	else if (strcmp(name, "ttl") == 0 || strcmp(name, "delay") == 0)
		request->expiry_ms = value;
	else if (strcmp(name, "delta") == 0)
		request->delta = value;
	else if (strcmp(name, "offset") == 0)
		request->offset = (uint32_t)value;
	else if (strcmp(name, "total") == 0 || strcmp(name, "limit") == 0 || strcmp(name, "count") == 0)
		request->length = (uint32_t)value;
	else if (strcmp(name, "handle") == 0 || strcmp(name, "cursor") == 0)
		request->handle = value;
	else if (strcmp(name, "slot") == 0)
		request->slot = (uint16_t)value;
	else if (strcmp(name, "create") == 0)
		request->initial = value, request->flags |= REQUEST_CREATE;
	else if (strcmp(name, "cas") == 0)
		request->version = value, request->flags |= REQUEST_CAS;
	else
		return false;
	return true;
}

/* One option of an operation at *at. */
static inline bool
script_option(struct script *script, const char **at, struct request *request)
{
	char name[16] = "";
	uint64_t value;
	struct view key;
	size_t len;

	if (script_takes(at, "add")) {
		request->flags |= REQUEST_ADD;
		return true;
	}
	if (script_takes(at, "replace")) {
		request->flags |= REQUEST_REPLACE;
		return true;
	}
	if (script_takes(at, "range="))
		return script_range(script, at, request);
	if (script_takes(at, "value="))
		return script_bytes(script, at, &request->value);
	if (script_takes(at, "of=")) {
		if (!script_bytes(script, at, &key))
			return false;
		request->slot = slot_of_key(key);
		return true;
	}
	len = script_name_len(*at);
	if ((*at)[len] != '=' || len >= sizeof name)
		return script_complain(script, "no such option", *at);
	memcpy(name, *at, len);
	*at += len + 1;
	if (!script_number(script, at, &value))
		return false;
	return script_numeric(request, name, value) || script_complain(script, "no such option", name);
}

static inline void
script_spaces(const char **at)
{
	while (**at == ' ')
		(*at)++;
}

/* A whole operation. False: script->complaint. */
static inline bool
script_request(struct script *script, const char *text, struct request *request)
{
	const char *at = text;
	size_t len;

	*request = (struct request){ 0 };
	script->used = 0;
	script_spaces(&at);
	len = script_name_len(at);
	for (int op = OP_NONE + 1; op < OP_COUNT; op++)
		if (strlen(op_name(op)) == len && memcmp(op_name(op), at, len) == 0)
			request->op = (uint8_t)op;
	if (request->op == OP_NONE)
		return script_complain(script, "no such operation", text);
	at += len;
	script_spaces(&at);
	if (op_has_key(request->op) || request->op == OP_STATS || request->op == OP_KEYS) {
		if (!script_bytes(script, &at, &request->key))
			return false;
		request->slot = op_has_key(request->op) ? slot_of_key(request->key) : 0;
	}
	for (script_spaces(&at); *at; script_spaces(&at))
		if (!script_option(script, &at, request))
			return false;
	return true;
}

/* Compares the rest of an expected word value=@LEN+FROM with the text of those bytes. */
static inline bool
script_same_bytes(struct script *script, const char **expected, const char **actual)
{
	struct view bytes;
	char *text;
	size_t size;
	bool same;
	FILE *out = open_memstream(&text, &size);

	script->used = 0;
	same = script_bytes(script, expected, &bytes);
	if (same)
		text_bytes(out, bytes);
	fclose(out);
	same = same && strncmp(*actual, text, size) == 0;
	*actual += same ? size : 0;
	free(text);
	return same;
}

/*
 * Whether an answer's text is the expected one. $name binds a number or compares with
 * it, @LEN+FROM stands for pattern bytes, and "*" for whatever follows.
 */
static inline bool
script_matches(struct script *script, const char *expected, const char *actual)
{
	for (bool is_value = false; *expected; is_value = expected[-1] == '=') {
		if (*expected == '*')
			return true;
		if (*expected == '@' && is_value) {
			if (!script_same_bytes(script, &expected, &actual))
				return false;
		} else if (*expected == '$') {
			size_t len = script_name_len(expected + 1);
			char *end;
			uint64_t value = strtoull(actual, &end, 0);

			if (end == actual || !script_bind(&script->names, expected + 1, len, value))
				return false;
			expected += 1 + len;
			actual = end;
		} else if (*expected++ != *actual++) {
			return false;
		}
	}
	return *actual == 0;
}

#endif
