#include "control/percent.h"

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t
percent_decode(const char *text, size_t len, bool plus, void *out, size_t size)
{
	unsigned char *bytes = out;
	size_t n = 0;

	for (size_t i = 0; i < len; i++, n++) {
		int high = 0, low = (unsigned char)text[i];

		if (n == size)
			return PERCENT_BAD;
		if (text[i] == '%') {
			high = i + 2 < len ? digit(text[i + 1]) : -1;
			low = i + 2 < len ? digit(text[i + 2]) : -1;
			if (high < 0 || low < 0)
				return PERCENT_BAD;
			i += 2;
		} else if (plus && text[i] == '+') {
			low = ' ';
		}
		bytes[n] = (unsigned char)(high << 4 | low);
	}
	return n;
}
