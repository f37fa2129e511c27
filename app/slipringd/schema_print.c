/* Keys and values as text for a person; every value printed is accepted again. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "schema.h"

static void
allowed_choices(const char *choices, char *text, size_t size)
{
	size_t at = 0;

	for (; *choices && at + 3 < size; choices++) {
		if (*choices == '|') {
			text[at++] = ',';
			text[at++] = ' ';
		} else {
			text[at++] = *choices;
		}
	}
	text[at] = '\0';
}

static void
allowed_range(const struct key *key, char *text, size_t size)
{
	char min[32], max[32];

	if (key->kind == KIND_SIZE) {
		value_size_print(key->min, min, sizeof min);
		value_size_print(key->max, max, sizeof max);
	} else if (key->kind == KIND_DURATION) {
		value_duration_print(key->min, min, sizeof min);
		value_duration_print(key->max, max, sizeof max);
	} else {
		snprintf(min, sizeof min, "%llu", (unsigned long long)key->min);
		snprintf(max, sizeof max, "%llu", (unsigned long long)key->max);
	}
	const char *more = !key->more ? "" : strcmp(key->more, "percent") == 0 ?
	    ", or 1%..100% of the RAM" : ", or auto";
	snprintf(text, size, "%s%s..%s%s", key->kind == KIND_NUMBERS ? "a list of numbers " : "", min, max, more);
}

void
schema_allowed(const struct key *key, char *text, size_t size)
{
	switch (key->kind) {
	case KIND_TEXT:
		snprintf(text, size, "%llu..%llu bytes", (unsigned long long)key->min, (unsigned long long)key->max);
		return;
	case KIND_NAME:
		snprintf(text, size, "1..%d letters, digits, . _ -", VALUE_NAME_SIZE - 1);
		return;
	case KIND_CHOICE:
		allowed_choices(key->more, text, size);
		return;
	case KIND_BOOL:
		snprintf(text, size, "true, false");
		return;
	case KIND_NUMBER: case KIND_NUMBERS: case KIND_SIZE: case KIND_DURATION:
		allowed_range(key, text, size);
		return;
	case KIND_TEXTS:
		snprintf(text, size, "a list of at most %d texts of 1..%d bytes", VALUE_LIST_MAX, VALUE_ITEM_SIZE - 1);
		return;
	case KIND_IPV4_PREFIX:
		snprintf(text, size, "an address with prefix length such as 10.9.0.1/24");
		return;
	case KIND_PREFIXES:
		snprintf(text, size, "a list of at most %d networks such as 10.0.0.0/8", VALUE_LIST_MAX);
		return;
	case KIND_MAC:
		snprintf(text, size, "a unicast address such as 02:00:00:00:09:01, or \"\"");
		return;
	}
	CHECK(!"an unknown kind");
}

/* Bytes that end a plain scalar, or make it something else than a text. */
static bool
needs_quotes(const char *text)
{
	return !*text || strcspn(text, ":#,[]{}&*!|>'\"%@`\\ ") != strlen(text) || strchr("-?~", *text);
}

static size_t
print_text(const char *value, char *text, size_t size)
{
	size_t at = 0;

	if (!needs_quotes(value))
		return (size_t)snprintf(text, size, "%s", value);
	text[at++] = '"';
	for (; *value && at + 4 < size; value++) {
		if (*value == '"' || *value == '\\')
			text[at++] = '\\';
		text[at++] = *value;
	}
	text[at++] = '"';
	text[at] = '\0';
	return at;
}

static void
print_list(const struct key *key, const void *field, char *text, size_t size)
{
	const struct numbers *list = field; /* every list starts with its count */
	size_t at = (size_t)snprintf(text, size, "[");

	for (uint32_t i = 0; i < list->count && at + 2 * VALUE_ITEM_SIZE + 8 < size; i++) {
		char one[2 * VALUE_ITEM_SIZE + 4];

		if (key->kind == KIND_NUMBERS)
			snprintf(one, sizeof one, "%u", list->values[i]);
		else if (key->kind == KIND_TEXTS)
			print_text(((const struct texts *)field)->values[i], one, sizeof one);
		else
			value_prefix_print(&((const struct prefixes *)field)->values[i], one, sizeof one);
		const char *quote = key->kind == KIND_PREFIXES ? "\"" : ""; /* fd00::/8 in a flow list */
		at += (size_t)snprintf(text + at, size - at, "%s%s%s%s", i ? ", " : "", quote, one, quote);
	}
	snprintf(text + at, size - at, "]");
}

static void
print_number(const struct key *key, const void *field, char *text, size_t size)
{
	uint32_t number = 0;

	memcpy(&number, field, key->size);
	if (key->more && number == NUMBER_AUTO)
		snprintf(text, size, "auto");
	else
		snprintf(text, size, "%u", number);
}

static void
print_choice(const struct key *key, uint32_t index, char *text, size_t size)
{
	const char *choice = key->more;

	for (; index; index--)
		choice += strcspn(choice, "|") + 1;
	snprintf(text, size, "%.*s", (int)strcspn(choice, "|"), choice);
}

void
schema_print_value(const struct key *key, const void *object, char *text, size_t size)
{
	static const uint8_t none[6];
	const void *field = (const char *)object + key->offset;

	switch (key->kind) {
	case KIND_TEXT: case KIND_NAME:
		print_text(field, text, size);
		return;
	case KIND_CHOICE:
		print_choice(key, *(const uint32_t *)field, text, size);
		return;
	case KIND_BOOL:
		snprintf(text, size, "%s", *(const bool *)field ? "true" : "false");
		return;
	case KIND_NUMBER:
		print_number(key, field, text, size);
		return;
	case KIND_SIZE:
		value_size_print(*(const uint64_t *)field, text, size);
		return;
	case KIND_DURATION:
		value_duration_print(*(const uint64_t *)field, text, size);
		return;
	case KIND_IPV4_PREFIX:
		if (((const struct ipv4_prefix *)field)->len)
			value_ipv4_prefix_print(field, text, size);
		else
			snprintf(text, size, "\"\"");
		return;
	case KIND_MAC:
		if (memcmp(field, none, 6) != 0)
			value_mac_print(field, text, size);
		else
			snprintf(text, size, "\"\"");
		return;
	case KIND_NUMBERS: case KIND_TEXTS: case KIND_PREFIXES:
		print_list(key, field, text, size);
		return;
	}
	CHECK(!"an unknown kind");
}
