/* A key and its value as a line of JSON, and back. */
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "transfer.h"

static bool __attribute__((format(printf, 2, 3)))
say(char problem[PROBLEM_SIZE], const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(problem, PROBLEM_SIZE, format, arguments);
	va_end(arguments);
	return false;
}

/* Bytes of member `name` or `name`_base64, exactly one of them, into room bytes. */
static bool
take_bytes(json_t *object, const char *name, uint8_t *to, size_t room, size_t *len, char problem[PROBLEM_SIZE])
{
	char coded[32];
	json_t *plain = json_object_get(object, name), *base64, *member;

	snprintf(coded, sizeof coded, "%s_base64", name);
	base64 = json_object_get(object, coded);
	member = plain ? plain : base64;
	if (!member)
		return say(problem, "no %s", name);
	if (plain && base64)
		return say(problem, "both %s and %s", name, coded);
	if (!json_is_string(member))
		return say(problem, "%s: not a string", plain ? name : coded);
	if (plain) {
		*len = json_string_length(plain);
		if (*len > room)
			return say(problem, "the %s has %zu bytes; the limit is %zu", name, *len, room);
		memcpy(to, json_string_value(plain), *len);
		return true;
	}
	if (json_string_length(base64) / 4 * 3 > room + 2)
		return say(problem, "the %s is over %zu bytes", name, room);
	if (sodium_base642bin(to, room, json_string_value(base64), json_string_length(base64), NULL, len, NULL,
	    sodium_base64_VARIANT_ORIGINAL) != 0)
		return say(problem, "%s: not base64, or over %zu bytes", coded, room);
	return true;
}

static bool
take_count(json_t *object, const char *name, uint64_t most, uint64_t *number, char problem[PROBLEM_SIZE])
{
	json_t *member = json_object_get(object, name);

	*number = 0;
	if (!member || json_is_null(member))
		return true;
	if (!json_is_integer(member) || json_integer_value(member) < 0 || (uint64_t)json_integer_value(member) > most)
		return say(problem, "%s: not a whole number from 0 to %llu", name, (unsigned long long)most);
	*number = (uint64_t)json_integer_value(member);
	return true;
}

/* A name that is none of ours is likelier a slip than a wish to be ignored. */
static bool
know_members(json_t *object, char problem[PROBLEM_SIZE])
{
	static const char *const known[] = { "key", "key_base64", "value", "value_base64", "flags", "ttl_ms" };
	const char *name;
	json_t *member;

	json_object_foreach(object, name, member) {
		bool found = false;

		for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
			found |= strcmp(name, known[i]) == 0;
		if (!found)
			return say(problem, "\"%.40s\" is none of key, key_base64, value, value_base64, flags, ttl_ms", name);
	}
	return true;
}

static bool
take_all(json_t *object, struct record *record, char problem[PROBLEM_SIZE])
{
	uint64_t flags;

	if (!json_is_object(object))
		return say(problem, "not an object");
	if (!know_members(object, problem) ||
	    !take_bytes(object, "key", record->key, sizeof record->key, &record->key_len, problem) ||
	    !take_bytes(object, "value", record->value, SLIPRING_VALUE_MAX, &record->value_len, problem) ||
	    !take_count(object, "flags", UINT32_MAX, &flags, problem) ||
	    !take_count(object, "ttl_ms", SLIPRING_TTL_MS_MAX, &record->ttl_ms, problem))
		return false;
	if (record->key_len == 0)
		return say(problem, "the key is empty");
	if (record->ttl_ms == 0 && json_is_integer(json_object_get(object, "ttl_ms")))
		return say(problem, "ttl_ms: 0; without it, or null, an item never expires");
	record->flags = (uint32_t)flags;
	return true;
}

bool
record_parse(const char *line, size_t len, struct record *record, char problem[PROBLEM_SIZE])
{
	json_error_t error;
	json_t *object = json_loadb(line, len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
	bool good;

	*record = (struct record){ .value = NULL };
	if (!object)
		return say(problem, "not JSON: %s", error.text);
	/* Neither way of writing a value makes it longer than its line. */
	record->value = malloc((len < SLIPRING_VALUE_MAX ? len : SLIPRING_VALUE_MAX) + 1);
	good = record->value ? take_all(object, record, problem) : say(problem, "out of memory");
	json_decref(object);
	if (good)
		return true;
	free(record->value);
	record->value = NULL;
	return false;
}

static void
set_bytes(json_t *object, const char *name, const uint8_t *data, size_t len)
{
	json_t *text = json_stringn(len ? (const char *)data : "", len); /* NULL when it is no UTF-8 */
	size_t size = sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_ORIGINAL);
	char coded[32], *base64;

	if (text) {
		json_object_set_new(object, name, text);
		return;
	}
	base64 = malloc(size);
	if (!base64)
		abort();
	sodium_bin2base64(base64, size, data, len, sodium_base64_VARIANT_ORIGINAL);
	snprintf(coded, sizeof coded, "%s_base64", name);
	json_object_set_new(object, coded, json_string(base64));
	free(base64);
}

bool
record_write(FILE *to, const struct record *record)
{
	json_t *object = json_object();
	bool good;

	set_bytes(object, "key", record->key, record->key_len);
	set_bytes(object, "value", record->value, record->value_len);
	if (record->flags)
		json_set_number(object, "flags", record->flags);
	if (record->ttl_ms)
		json_set_number(object, "ttl_ms", record->ttl_ms);
	good = json_dumpf(object, to, JSON_COMPACT) == 0 && putc('\n', to) != EOF;
	json_decref(object);
	return good;
}
