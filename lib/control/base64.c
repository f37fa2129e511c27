#include "control/base64.h"

#include <stdint.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
base64_encode(const void *data, size_t len, char *out)
{
	const uint8_t *in = data;

	for (size_t i = 0; i < len; i += 3) {
		uint32_t word = (uint32_t)in[i] << 16 | (i + 1 < len ? (uint32_t)in[i + 1] << 8 : 0) | (i + 2 < len ? in[i + 2] : 0);

		*out++ = alphabet[word >> 18];
		*out++ = alphabet[word >> 12 & 63];
		*out++ = i + 1 < len ? alphabet[word >> 6 & 63] : '=';
		*out++ = i + 2 < len ? alphabet[word & 63] : '=';
	}
}

static int
value_of(char c)
{
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

/* Four characters, of which the last `padding` are '='. Bits that no byte takes must be zero. */
static int
decode_group(const char *text, int padding, uint8_t *out)
{
	uint32_t word = 0;

	for (int i = 0; i < 4; i++) {
		int value = i < 4 - padding ? value_of(text[i]) : 0;

		if (value < 0)
			return -1;
		word = word << 6 | (uint32_t)value;
	}
	if (word & ((1u << 8 * padding) - 1))
		return -1;
	for (int i = 0; i < 3 - padding; i++)
		out[i] = (uint8_t)(word >> (16 - 8 * i));
	return 3 - padding;
}

size_t
base64_decode(const char *text, size_t len, void *out)
{
	uint8_t *at = out;

	if (len % 4)
		return BASE64_BAD;
	for (size_t i = 0; i < len; i += 4) {
		int padding = i + 4 < len || text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
		int n = decode_group(text + i, padding, at);

		if (n < 0)
			return BASE64_BAD;
		at += n;
	}
	return (size_t)(at - (uint8_t *)out);
}
