/* Commands on keys. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static void
json_set_version(json_t *object, uint64_t version)
{
	json_set_text(object, "version", "%llu", (unsigned long long)version);
}

/* An object with the key and the status. */
static json_t *
json_of(const struct bytes *key, enum slipring_status status)
{
	json_t *object = json_object();

	json_set_bytes(object, "key", key->data, key->len);
	json_set_text(object, "status", "%s", slipring_status_name(status));
	return object;
}

static void
json_set_value(json_t *object, const struct slipring_result *result)
{
	json_set_bytes(object, "value", result->value, result->value_len);
	json_set_number(object, "flags", result->flags);
	json_set_version(object, result->version);
}

/* Parses a key and asks for it by slipring_get or slipring_meta. EXIT_OK: there is a result. */
static int
look_up(struct cli *cli, const char *text, enum slipring_status (*call)(struct slipring *, const void *, size_t,
    struct slipring_result *), struct bytes *key, struct slipring_result *result)
{
	if (!key_parse(cli, text, key))
		return EXIT_USAGE;
	return call(cli->cache, key->data, key->len, result) == SLIPRING_OK ? EXIT_OK : cli_fail_status(cli, result->status);
}

int
command_get(struct cli *cli, int argc, char **argv)
{
	struct slipring_result result;
	struct bytes key;
	json_t *object;
	int code = look_up(cli, argv[0], slipring_get, &key, &result);

	(void)argc;
	if (code != EXIT_OK)
		return code;
	if (cli->json) {
		object = json_of(&key, result.status);
		json_set_value(object, &result);
		return json_print(object);
	}
	print_bytes(cli, result.value, result.value_len);
	if (!cli->raw && isatty(STDOUT_FILENO))
		putchar('\n');
	return EXIT_OK;
}

static enum slipring_status
store(struct cli *cli, const struct bytes *key, const struct bytes *value, struct slipring_result *result)
{
	if (cli->cas)
		return slipring_cas(cli->cache, key->data, key->len, value->data, value->len, cli->flags, cli->ttl_ms,
		    cli->cas, result);
	if (cli->add)
		return slipring_add(cli->cache, key->data, key->len, value->data, value->len, cli->flags, cli->ttl_ms, result);
	if (cli->replace)
		return slipring_replace(cli->cache, key->data, key->len, value->data, value->len, cli->flags, cli->ttl_ms,
		    result);
	return slipring_set(cli->cache, key->data, key->len, value->data, value->len, cli->flags, cli->ttl_ms, result);
}

int
command_set(struct cli *cli, int argc, char **argv)
{
	struct slipring_result result;
	struct bytes key, value;
	json_t *object;

	(void)argc;
	if (cli->add + cli->replace + (cli->cas != 0) > 1)
		return cli_fail(cli, EXIT_USAGE, "--add, --replace and --cas exclude each other");
	if (!key_parse(cli, argv[0], &key) || !value_read(cli, argv[1], &value))
		return EXIT_USAGE;
	if (store(cli, &key, &value, &result) != SLIPRING_OK)
		return cli_fail_status(cli, result.status);
	if (!cli->json)
		return EXIT_OK;
	object = json_of(&key, result.status);
	json_set_version(object, result.version);
	return json_print(object);
}

/* Commands whose answer is only whether it was done. */
static int
report(struct cli *cli, const struct bytes *key, enum slipring_status status)
{
	if (status != SLIPRING_OK)
		return cli_fail_status(cli, status);
	return cli->json ? json_print(json_of(key, status)) : EXIT_OK;
}

int
command_del(struct cli *cli, int argc, char **argv)
{
	struct bytes key;

	(void)argc;
	if (!key_parse(cli, argv[0], &key))
		return EXIT_USAGE;
	return report(cli, &key, slipring_delete(cli->cache, key.data, key.len, cli->cas));
}

int
command_touch(struct cli *cli, int argc, char **argv)
{
	struct bytes key;

	(void)argc;
	if (!key_parse(cli, argv[0], &key))
		return EXIT_USAGE;
	return report(cli, &key, slipring_touch(cli->cache, key.data, key.len, cli->ttl_ms));
}

struct count {
	struct slipring_result result;
	bool done;
};

static void
counted(void *context, const struct slipring_result *result)
{
	struct count *count = context;

	count->result = *result;
	count->done = true;
}

static int
count_by(struct cli *cli, enum slipring_op op, int argc, char **argv)
{
	struct slipring_request request = { .op = op, .mode = cli->create ? SLIPRING_CREATE : SLIPRING_PLAIN,
		.initial = cli->initial, .ttl_ms = cli->ttl_ms, .delta = 1, .done = counted };
	struct count count = { .done = false };
	struct bytes key;
	json_t *object;

	if (!key_parse(cli, argv[0], &key))
		return EXIT_USAGE;
	if (argc > 1 && !number_parse(argv[1], UINT64_MAX, &request.delta))
		return cli_fail(cli, EXIT_USAGE, "%s: not a whole number from 0 to %llu", argv[1], (unsigned long long)UINT64_MAX);
	if (cli->ttl_ms && !cli->create)
		return cli_fail(cli, EXIT_USAGE, "--ttl needs --create: an existing number keeps its TTL (see slipring touch)");
	request.key = key.data;
	request.key_len = key.len;
	request.context = &count;
	count.result.status = slipring_submit(cli->cache, &request);
	if (count.result.status == SLIPRING_OK)
		slipring_flush(cli->cache);
	if (count.result.status != SLIPRING_OK)
		return cli_fail_status(cli, count.result.status);
	if (!cli->json) {
		printf("%llu\n", (unsigned long long)count.result.number);
		return EXIT_OK;
	}
	object = json_of(&key, SLIPRING_OK);
	json_set_number(object, "number", count.result.number);
	json_set_version(object, count.result.version);
	return json_print(object);
}

int
command_incr(struct cli *cli, int argc, char **argv)
{
	return count_by(cli, SLIPRING_OP_INCR, argc, argv);
}

int
command_decr(struct cli *cli, int argc, char **argv)
{
	return count_by(cli, SLIPRING_OP_DECR, argc, argv);
}

int
command_meta(struct cli *cli, int argc, char **argv)
{
	struct slipring_result result;
	struct bytes key;
	json_t *object;
	int code = look_up(cli, argv[0], slipring_meta, &key, &result);

	(void)argc;
	if (code != EXIT_OK)
		return code;
	if (!cli->json) {
		printf("size     %zu\nflags    %u\nversion  %llu\nslot     %u\nttl      ", result.total_len, result.flags,
		    (unsigned long long)result.version, slipring_slot(key.data, key.len));
		print_ttl(result.ttl_ms);
		return EXIT_OK;
	}
	object = json_of(&key, result.status);
	json_set_number(object, "size", result.total_len);
	json_set_number(object, "flags", result.flags);
	json_set_version(object, result.version);
	json_set_number(object, "slot", slipring_slot(key.data, key.len));
	json_object_set_new(object, "ttl_ms", result.ttl_ms == SLIPRING_TTL_NEVER ? json_null() :
	    json_integer((json_int_t)result.ttl_ms));
	return json_print(object);
}

static void
print_item(struct cli *cli, const struct slipring_item *item)
{
	if (item->result.status == SLIPRING_OK) {
		print_bytes(cli, item->key, item->key_len);
		printf(" %zu\n", item->result.value_len);
		print_bytes(cli, item->result.value, item->result.value_len);
		putchar('\n');
		return;
	}
	fprintf(stderr, "slipring: ");
	fwrite(item->key, 1, item->key_len, stderr);
	fprintf(stderr, ": %s\n", slipring_status_text(item->result.status));
}

static void
json_add_item(json_t *items, const struct slipring_item *item)
{
	const struct bytes key = { (uint8_t *)item->key, item->key_len };
	json_t *object = json_of(&key, item->result.status);

	if (item->result.status == SLIPRING_OK)
		json_set_value(object, &item->result);
	json_array_append_new(items, object);
}

/* Values of unknown size: the buffer grows until all fit, up to what all could have. */
static void
get_all(struct cli *cli, struct slipring_item *items, size_t count)
{
	size_t size = 1 << 20, most = count * (size_t)SLIPRING_VALUE_MAX;

	for (;;) {
		bool fits = true;

		slipring_mget(cli->cache, items, count, cli_alloc(cli, size), size);
		for (size_t i = 0; i < count; i++)
			fits &= items[i].result.status != SLIPRING_TOO_LARGE;
		if (fits || size >= most)
			return;
		size = 4 * size < most ? 4 * size : most;
	}
}

int
command_mget(struct cli *cli, int argc, char **argv)
{
	struct slipring_item *items = cli_alloc(cli, (size_t)argc * sizeof *items);
	json_t *array;
	int code = EXIT_OK;

	for (int i = 0; i < argc; i++) {
		struct bytes key;

		if (!key_parse(cli, argv[i], &key))
			return EXIT_USAGE;
		items[i].key = key.data;
		items[i].key_len = key.len;
	}
	get_all(cli, items, (size_t)argc);
	array = cli->json ? json_array() : NULL;
	for (int i = 0; i < argc; i++) {
		if (array)
			json_add_item(array, &items[i]);
		else
			print_item(cli, &items[i]);
		if (exit_code_of(items[i].result.status) > code)
			code = exit_code_of(items[i].result.status);
	}
	if (array)
		json_print(array);
	return code;
}
