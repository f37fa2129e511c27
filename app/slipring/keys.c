/* slipring keys: the cluster's keys, page by page, as they come. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"

enum { PATH_SIZE = 2048 };

struct listing {
	struct cli *cli;
	json_t *absent; /* {"n4": true} */
	json_t *all;    /* --json: every key */
	uint64_t told, limit;
	char cursor[128];
};

/* A key's bytes; base64 is decoded in place. */
static size_t
decode(const char *text, size_t len, const char *encoding, uint8_t *bytes)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t held = 0, bits = 0;
	size_t count = 0;

	if (strcmp(encoding, "base64") != 0) {
		memcpy(bytes, text, len);
		return len;
	}
	for (size_t i = 0; i < len && text[i] != '='; i++) {
		const char *digit = strchr(digits, text[i]);

		if (!digit)
			break;
		held = held << 6 | (uint32_t)(digit - digits);
		bits += 6;
		if (bits >= 8)
			bytes[count++] = (uint8_t)(held >> (bits -= 8));
	}
	return count;
}

static void
tell(struct listing *listing, const json_t *object)
{
	json_t *key = json_object_get(object, "key");
	const char *encoding = json_string_value(json_object_get(object, "key_encoding"));
	size_t len = json_string_length(key);
	uint8_t *bytes = malloc(len + 1);

	if (!bytes || !encoding)
		abort();
	if (listing->all) {
		json_array_append(listing->all, (json_t *)object);
	} else {
		print_bytes(listing->cli, bytes, decode(json_string_value(key), len, encoding, bytes));
		putchar('\n');
	}
	free(bytes);
	listing->told++;
}

static void
take_page(struct listing *listing, const json_t *page)
{
	const char *cursor = json_string_value(json_object_get(page, "cursor"));
	json_t *object;
	size_t index;

	json_array_foreach(json_object_get(page, "keys"), index, object)
		if (listing->limit == 0 || listing->told < listing->limit)
			tell(listing, object);
	json_array_foreach(json_object_get(page, "absent"), index, object)
		json_object_set_new(listing->absent, json_string_value(object), json_true());
	snprintf(listing->cursor, sizeof listing->cursor, "%s", cursor ? cursor : "");
}

static int
finish(struct listing *listing)
{
	struct cli *cli = listing->cli;
	json_t *names = json_array(), *value;
	bool whole = json_object_size(listing->absent) == 0;
	const char *name;

	json_object_foreach(listing->absent, name, value) {
		json_array_append_new(names, json_string(name));
		if (!cli->json)
			fprintf(stderr, "slipring: the keys of %s are missing: it does not answer\n", name);
	}
	if (cli->json)
		json_print(json_pack("{s:O, s:O}", "keys", listing->all, "absent", names));
	json_decref(names);
	return whole ? EXIT_OK : EXIT_NO;
}

int
command_keys(struct cli *cli, int argc, char **argv)
{
	struct listing listing = { .cli = cli, .absent = json_object(), .limit = cli->limit };
	struct bytes prefix = { (uint8_t *)"", 0 };
	int code = EXIT_OK;

	if (argc > 0 && argv[0][0] && !key_parse(cli, argv[0], &prefix))
		return EXIT_USAGE;
	if (cli->json)
		listing.all = json_array();
	interrupt_catch();
	do {
		struct control_answer answer;
		char path[PATH_SIZE] = "/v1/cache/keys?limit=1000";

		control_query(path, sizeof path, "prefix", prefix.data, prefix.len);
		if (*listing.cursor)
			control_query(path, sizeof path, "cursor", listing.cursor, strlen(listing.cursor));
		code = control_ask(cli, "GET", path, NULL, &answer);
		if (code != EXIT_OK)
			break;
		take_page(&listing, answer.json);
		control_free(&answer);
	} while (*listing.cursor && !interrupted() && !ferror(stdout) && (listing.limit == 0 || listing.told < listing.limit));
	if (code == EXIT_OK)
		code = interrupted() ? EXIT_INTERRUPTED : finish(&listing);
	json_decref(listing.absent);
	json_decref(listing.all);
	return code;
}
