/* Output: bytes as they are or as hexadecimal digits, and JSON. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli.h"

static char *
hex_text(const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *from = data;
	char *text = malloc(2 * len + 1);

	if (!text)
		abort();
	for (size_t i = 0; i < len; i++) {
		text[2 * i] = digits[from[i] >> 4];
		text[2 * i + 1] = digits[from[i] & 15];
	}
	text[2 * len] = '\0';
	return text;
}

void
json_set_bytes(json_t *object, const char *name, const void *data, size_t len)
{
	json_t *text = json_stringn(len ? data : "", len); /* NULL when it is no UTF-8 */
	char field[64], *hex;

	if (text) {
		json_object_set_new(object, name, text);
		return;
	}
	hex = hex_text(data, len);
	snprintf(field, sizeof field, "%s_hex", name);
	json_object_set_new(object, field, json_string(hex));
	free(hex);
}

/* JSON readers hold integers in 63 bits at best: what is larger goes as text. */
void
json_set_number(json_t *object, const char *name, uint64_t number)
{
	if (number <= INT64_MAX)
		json_object_set_new(object, name, json_integer((json_int_t)number));
	else
		json_set_text(object, name, "%llu", (unsigned long long)number);
}

void
json_set_text(json_t *object, const char *name, const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	json_object_set_new(object, name, json_string(text));
}

int
json_print(json_t *object)
{
	json_dumpf(object, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(object);
	return EXIT_OK;
}

void
print_bytes(const struct cli *cli, const void *data, size_t len)
{
	char *hex;

	if (!cli->hex) {
		fwrite(data, 1, len, stdout);
		return;
	}
	hex = hex_text(data, len);
	fputs(hex, stdout);
	free(hex);
}

void
print_ttl(uint64_t ttl_ms)
{
	if (ttl_ms == SLIPRING_TTL_NEVER)
		printf("never\n");
	else
		printf("%llu.%03llus\n", (unsigned long long)(ttl_ms / 1000), (unsigned long long)(ttl_ms % 1000));
}
