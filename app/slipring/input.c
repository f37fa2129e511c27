/* Arguments: keys, values, numbers, durations. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool
hex_decode(const char *text, struct bytes *out)
{
	size_t len = strlen(text);

	if (len % 2 != 0)
		return false;
	for (size_t i = 0; i < len; i += 2) {
		int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);

		if (high < 0 || low < 0)
			return false;
		out->data[i / 2] = (uint8_t)(high << 4 | low);
	}
	out->len = len / 2;
	return true;
}

static bool
is_key(const struct cli *cli, const char *argument, struct bytes *key)
{
	if (cli->hex && !hex_decode(argument, key))
		cli_fail(cli, EXIT_USAGE, "key \"%s\": with --hex a key is an even number of hexadecimal digits", argument);
	else if (key->len < 1 || key->len > SLIPRING_KEY_MAX)
		cli_fail(cli, EXIT_USAGE, "the key has %zu bytes; keys have 1 to %d", key->len, SLIPRING_KEY_MAX);
	else
		return true;
	return false;
}

bool
key_parse(struct cli *cli, const char *argument, struct bytes *key)
{
	size_t len = strlen(argument);

	key->data = cli_alloc(cli, len + 1);
	key->len = len;
	memcpy(key->data, argument, len);
	return is_key(cli, argument, key);
}

/* One byte more than allowed is enough to know. */
static bool
read_all(struct cli *cli, FILE *file, const char *name, struct bytes *value)
{
	value->data = cli_alloc(cli, SLIPRING_VALUE_MAX + 1);
	value->len = fread(value->data, 1, SLIPRING_VALUE_MAX + 1, file);
	if (ferror(file)) {
		cli_fail(cli, EXIT_USAGE, "%s: %s", name, strerror(errno));
		return false;
	}
	if (value->len <= SLIPRING_VALUE_MAX)
		return true;
	cli_fail(cli, EXIT_USAGE, "%s: over %d bytes (1 MiB), the limit of a value", name, SLIPRING_VALUE_MAX);
	return false;
}

bool
value_read(struct cli *cli, const char *argument, struct bytes *value)
{
	bool good;
	FILE *file;

	if (strcmp(argument, "-") == 0)
		return read_all(cli, stdin, "standard input", value);
	if (argument[0] != '@' || argument[1] == '@') {
		argument += argument[0] == '@';
		value->len = strlen(argument);
		value->data = cli_alloc(cli, value->len + 1);
		memcpy(value->data, argument, value->len);
		return true;
	}
	file = fopen(argument + 1, "rb");
	if (!file) {
		cli_fail(cli, EXIT_USAGE, "%s: %s", argument + 1, strerror(errno));
		return false;
	}
	good = read_all(cli, file, argument + 1, value);
	fclose(file);
	return good;
}

bool
number_parse(const char *text, uint64_t max, uint64_t *number)
{
	*number = 0;
	if (!text[0])
		return false;
	for (; *text; text++) {
		uint64_t digit = (uint64_t)(*text - '0');

		if (*text < '0' || *text > '9' || *number > (max - digit) / 10 || digit > max)
			return false;
		*number = *number * 10 + digit;
	}
	return true;
}

bool
duration_parse(const char *text, uint64_t *ms)
{
	static const struct {
		const char *suffix;
		uint64_t ms;
	} units[] = { { "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 } };
	size_t digits = strspn(text, "0123456789");
	char number[24];
	uint64_t count;

	if (digits >= sizeof number)
		return false;
	memcpy(number, text, digits);
	number[digits] = '\0';
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		if (strcmp(text + digits, units[i].suffix) != 0)
			continue;
		if (!number_parse(number, SLIPRING_TTL_MS_MAX / units[i].ms, &count))
			return false;
		*ms = count * units[i].ms;
		return true;
	}
	return false;
}
