#include "slipringd/api_json.h"

#include <stdlib.h>
#include <string.h>

#include "control/base64.h"
#include "control/percent.h"

json_t *
api_bytes_json(struct view bytes, const char **encoding)
{
	json_t *text = json_stringn(bytes.len ? (const char *)bytes.data : "", bytes.len);
	char *encoded;

	*encoding = "utf-8";
	if (text)
		return text;
	*encoding = "base64";
	encoded = malloc(BASE64_LEN((size_t)bytes.len) + 1);
	if (!encoded)
		return json_null();
	base64_encode(bytes.data, bytes.len, encoded);
	text = json_stringn_nocheck(encoded, BASE64_LEN((size_t)bytes.len));
	free(encoded);
	return text;
}

void
api_set_bytes(json_t *object, const char *name, const char *encoding_name, struct view bytes)
{
	const char *encoding;

	json_object_set_new(object, name, api_bytes_json(bytes, &encoding));
	json_object_set_new(object, encoding_name, json_string(encoding));
}

bool
api_parse_number(const char *text, uint64_t max, uint64_t *number)
{
	uint64_t value = 0;

	if (!*text || strlen(text) > 20 || text[strspn(text, "0123456789")])
		return false;
	for (; *text; text++) {
		uint64_t digit = (uint64_t)(*text - '0');

		if (value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*number = value;
	return value <= max;
}

bool
api_path_key(const struct http_request *request, struct http_reply *reply, uint8_t room[KEY_LEN_MAX + 1],
    struct view *key)
{
	size_t len = percent_decode(request->tail, strlen(request->tail), false, room, KEY_LEN_MAX + 1);

	if (len == PERCENT_BAD || len > KEY_LEN_MAX) {
		http_refuse(reply, 400, "bad_key", "the key must be 1..250 bytes, percent-encoded");
		return false;
	}
	*key = view_of(room, (uint32_t)len);
	return true;
}
