/*
 * Unit tests of what the control plane asks of every node: its keys a page at a time, evict,
 * expire, clear. The nodes are tables here; n4 is dead by the members' table.
 */
#include "api_cluster_rig.h"
#include "base/bytes.h"

enum { SHARDS = 2, POSITIONS = 400, PART = 50 };

/* What each member holds; a position of a shard has a key or "". */
static char held[MEMBERS][SHARDS][POSITIONS][16];
static int failing[MEMBERS]; /* status of its answers; OK: it works */
static int calls[MEMBERS];

static int
member_of(uint64_t target)
{
	for (int i = 0; i < MEMBERS; i++)
		if (ring_member_id(given[i].id, 2) == target)
			return i;
	fail_msg("nobody has the id %llx", (unsigned long long)target);
	return 0;
}

static void
list(struct cache_op *op, char (*keys)[16])
{
	uint8_t *out = malloc(4096);
	struct writer writer = writer_of(out, 4096);
	uint32_t position = (uint32_t)op->cursor, end = position + PART < POSITIONS ? position + PART : POSITIONS;

	for (; position < end && op->items < op->limit; position++) {
		size_t len = strlen(keys[position]);

		if (len == 0 || len < op->key.len || memcmp(keys[position], op->key.data, op->key.len) != 0)
			continue;
		writer_u8(&writer, (uint8_t)len);
		writer_bytes(&writer, keys[position], len);
		op->items++;
	}
	op->data = out;
	op->total_len = (uint32_t)(writer.at - out);
	op->cursor = position < POSITIONS ? position : 0;
}

static void
take_out(struct cache_op *op, char (*keys)[16])
{
	uint32_t from = op->op == OP_EXPIRE ? (uint32_t)op->cursor : 0;
	uint32_t end = op->op == OP_EXPIRE && from + PART < POSITIONS ? from + PART : POSITIONS;

	for (; from < end && (op->op == OP_EXPIRE || op->items < op->limit); from++) {
		if (!keys[from][0] || (op->op == OP_EXPIRE && keys[from][0] != 'x'))
			continue;
		keys[from][0] = '\0';
		op->items++;
	}
	op->cursor = op->op == OP_EXPIRE && from < POSITIONS ? from : 0;
}

/* A member's answer. */
static void
execute(struct cache_op *op)
{
	int member = member_of(op->target);

	calls[member]++;
	op->status = failing[member];
	if (op->status == OP_STATUS_BUSY && calls[member] % 2 == 0)
		op->status = OP_STATUS_OK; /* every second time it is not */
	if (op->status != OP_STATUS_OK)
		return;
	op->shards = SHARDS;
	if (op->op == OP_KEYS)
		list(op, held[member][op->slot % SHARDS]);
	else if (op->op == OP_FLUSH)
		memset(held[member], 0, sizeof held[member]);
	else
		take_out(op, held[member][op->slot % SHARDS]);
}

/* Keys "user:0".. and, every fifth, "x:0".. where they belong; some also where they belonged once. */
static int
fill_nodes(void **state)
{
	static uint32_t used[MEMBERS][SHARDS];
	char key[16];

	memset(held, 0, sizeof held);
	memset(used, 0, sizeof used);
	memset(failing, 0, sizeof failing);
	for (int i = 0; i < 500; i++) {
		snprintf(key, sizeof key, "%s:%d", i % 5 ? "user" : "x", i);
		uint16_t slot = slot_of_key(view_text(key));
		int owner = member_of(ring_member_id(owner_of(slot, 0), 2)), former = (owner + 1) % 3;

		strcpy(held[owner][slot % SHARDS][3 * used[owner][slot % SHARDS]++], key);
		if (i % 7 == 0)
			strcpy(held[former][slot % SHARDS][3 * used[former][slot % SHARDS]++], key);
	}
	fixed_view.cluster.members[3].state = PEER_DEAD;
	(void)state;
	return 0;
}

/* How many keys a prefix has on members that answer. */
static int
keys_expected(const char *prefix)
{
	char key[16];
	int count = 0;

	for (int i = 0; i < 500; i++) {
		snprintf(key, sizeof key, "%s:%d", i % 5 ? "user" : "x", i);
		const char *owner = owner_of(slot_of_key(view_text(key)), 0);

		count += strncmp(key, prefix, strlen(prefix)) == 0 && strcmp(owner, "n4") != 0 &&
		    failing[owner[1] - '1'] != OP_STATUS_OWNER_TIMEOUT;
	}
	return count;
}

struct listed {
	int keys, pages, twice;
	bool absent[MEMBERS];
};

/* Goes through all pages. */
static struct listed
list_all(const char *prefix, int limit)
{
	struct listed listed = { 0 };
	json_t *seen = json_object(), *body, *item;
	char url[128], cursor[64] = "";
	size_t i;

	do {
		snprintf(url, sizeof url, "/v1/cache/keys?prefix=%s&limit=%d%s%s", prefix, limit, *cursor ? "&cursor=" : "", cursor);
		body = get(url, "/v1/cache/keys");
		assert_in_range(json_array_size(json_object_get(body, "keys")), 0, (size_t)limit);
		json_array_foreach(json_object_get(body, "keys"), i, item) {
			const char *key = json_string_value(json_object_get(item, "key"));

			assert_int_equal(strncmp(key, prefix, strlen(prefix)), 0);
			listed.twice += json_object_get(seen, key) != NULL;
			json_object_set_new(seen, key, json_true());
			listed.keys++;
		}
		json_array_foreach(json_object_get(body, "absent"), i, item)
			listed.absent[json_string_value(item)[1] - '1'] = true;
		snprintf(cursor, sizeof cursor, "%s", json_is_null(json_object_get(body, "cursor")) ? "" :
		    json_string_value(json_object_get(body, "cursor")));
		json_decref(body);
		assert_in_range(listed.pages++, 0, 2000);
	} while (*cursor);
	json_decref(seen);
	return listed;
}

static void
pages_have_every_key_once_and_name_who_is_absent(void **state)
{
	static const int limits[] = { 1, 7, 100, 1000 };
	static const char *const prefixes[] = { "", "user:", "x:1", "nobody" };

	(void)state;
	for (size_t l = 0; l < sizeof limits / sizeof *limits; l++)
		for (size_t p = 0; p < sizeof prefixes / sizeof *prefixes; p++) {
			struct listed listed = list_all(prefixes[p], limits[l]);

			assert_int_equal(listed.keys, keys_expected(prefixes[p]));
			assert_int_equal(listed.twice, 0);
			assert_true(listed.absent[3] && !listed.absent[0] && !listed.absent[1] && !listed.absent[2]);
		}
}

static void
a_node_that_does_not_answer_is_named_and_the_rest_is_told(void **state)
{
	struct listed listed;

	(void)state;
	failing[1] = OP_STATUS_OWNER_TIMEOUT;
	listed = list_all("", 50);
	assert_int_equal(listed.keys, keys_expected(""));
	assert_true(listed.absent[1] && listed.absent[3] && !listed.absent[2]);
	failing[1] = OP_STATUS_OK;
}

static void
a_busy_node_only_makes_pages_short(void **state)
{
	struct listed listed, before;

	(void)state;
	before = list_all("", 100);
	failing[2] = OP_STATUS_BUSY;
	listed = list_all("", 100);
	assert_int_equal(listed.keys, before.keys);
	assert_true(listed.pages > before.pages && !listed.absent[2]);
}

static void
expect_code(const char *method, const char *url, int status, const char *code)
{
	json_t *body;

	if (ask(method, url, "", &body) != status || strcmp(json_string_value(json_object_get(body, "code")), code) != 0)
		fail_msg("%s: %s", url, answer);
	json_decref(body);
}

static void
cursors_and_limits_that_nobody_gave_are_refused(void **state)
{
	static const char *const bad[] = { "", "x", "00000000000000000000000000000000", "f8e46110455c6e5300000001fc00c1a",
		"F8E46110455C6E5300000001FC00C1AB", "%2500", "f8e46110455c6e5300000001fc00c1ab0" };
	static const char *const numbers[] = { "0", "1001", "-1", "x", "", "1e3", "99999999999999999999" };
	char url[160], cursor[64];
	json_t *body;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(url, sizeof url, "/v1/cache/keys?cursor=%s", bad[i]);
		expect_code("GET", url, 400, "bad_cursor");
	}
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		snprintf(url, sizeof url, "/v1/cache/keys?limit=%s", numbers[i]);
		expect_code("GET", url, 400, "bad_request");
	}
	body = get("/v1/cache/keys?prefix=user&limit=1", "/v1/cache/keys");
	snprintf(cursor, sizeof cursor, "%s", json_string_value(json_object_get(body, "cursor")));
	json_decref(body);
	snprintf(url, sizeof url, "/v1/cache/keys?prefix=x&cursor=%s", cursor); /* of another prefix */
	expect_code("GET", url, 400, "bad_cursor");
	cursor[20] ^= 1;
	snprintf(url, sizeof url, "/v1/cache/keys?prefix=user&cursor=%s", cursor);
	expect_code("GET", url, 400, "bad_cursor");
	expect_code("GET", "/v1/cache/keys?prefix=a%00b", 400, "bad_prefix");
	failing[0] = failing[1] = failing[2] = OP_STATUS_BAD_RANGE; /* a node with a smaller table since */
	expect_code("GET", "/v1/cache/keys", 400, "bad_cursor");
	fixed_placed = false;
	expect_code("GET", "/v1/cache/keys", 503, "no_topology");
	expect_code("POST", "/v1/cache/clear", 503, "no_topology");
	fixed_placed = true;
	cache_full = true;
	expect_code("GET", "/v1/cache/keys", 503, "busy");
	expect_code("POST", "/v1/cache/evict", 503, "busy");
	cache_full = false;
}

static int
count_held(int member)
{
	int count = 0;

	for (int s = 0; s < SHARDS; s++)
		for (int p = 0; p < POSITIONS; p++)
			count += held[member][s][p][0] != '\0';
	return count;
}

static json_t *
post(const char *url, const char *route_path, int status)
{
	json_t *document, *body;

	assert_int_equal(ask("POST", url, "", &body), status);
	if (status == 200) {
		assert_int_equal(ask("GET", "/openapi.json", "", &document), 200);
		expect_members(url, body, at(document, (const char *const []){ "paths", route_path, "post", "responses", "200",
		    "content", "application/json", "schema", NULL }));
		json_decref(document);
	} else {
		assert_string_equal(json_string_value(json_object_get(body, "code")), "partial");
	}
	return body;
}

static void
clear_is_of_every_node_or_says_whose_not(void **state)
{
	json_t *body = post("/v1/cache/clear", "/v1/cache/clear", 503);

	(void)state;
	assert_false(json_is_true(json_object_get(body, "cleared")));
	assert_int_equal(json_array_size(json_object_get(body, "nodes")), 4);
	assert_int_equal(json_array_size(json_object_get(body, "absent")), 1);
	assert_string_equal(json_string_value(json_array_get(json_object_get(body, "absent"), 0)), "n4");
	json_decref(body);
	for (int i = 0; i < 3; i++)
		assert_int_equal(count_held(i), 0);
	assert_true(count_held(3) > 0);
	fixed_view.cluster.members[3].state = PEER_ALIVE;
	body = post("/v1/cache/clear", "/v1/cache/clear", 200);
	assert_true(json_is_true(json_object_get(body, "cleared")));
	json_decref(body);
	assert_int_equal(count_held(3), 0);
}

static void
evict_takes_so_many_of_each_node_and_expire_what_is_due(void **state)
{
	int before[MEMBERS], due = 0;
	json_t *body;

	(void)state;
	fixed_view.cluster.members[3].state = PEER_ALIVE;
	failing[2] = OP_STATUS_BUSY;
	for (int i = 0; i < 4; i++)
		before[i] = count_held(i);
	body = post("/v1/cache/evict?count=31", "/v1/cache/evict", 200);
	assert_int_equal(json_integer_value(json_object_get(body, "items")), 4 * 31);
	json_decref(body);
	for (int i = 0; i < 4; i++)
		assert_int_equal(count_held(i), before[i] - 31);
	for (int i = 0; i < 4; i++)
		for (int p = 0; p < POSITIONS; p++)
			due += (held[i][0][p][0] == 'x') + (held[i][1][p][0] == 'x');
	body = post("/v1/cache/expire", "/v1/cache/expire", 200);
	assert_true(due > 0);
	assert_int_equal(json_integer_value(json_object_get(body, "items")), due);
	json_decref(body);
	body = post("/v1/cache/evict?count=100000", "/v1/cache/evict", 200);
	json_decref(body);
	for (int i = 0; i < 4; i++)
		assert_int_equal(count_held(i), 0);
	expect_code("POST", "/v1/cache/evict?count=0", 400, "bad_request");
	expect_code("POST", "/v1/cache/evict?count=100001", 400, "bad_request");
	failing[0] = OP_STATUS_OWNER_TIMEOUT;
	body = post("/v1/cache/expire", "/v1/cache/expire", 503);
	assert_string_equal(json_string_value(json_array_get(json_object_get(body, "absent"), 0)), "n1");
	json_decref(body);
}

static int
start_nodes(void **state)
{
	on_together = execute;
	return start_clustered(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(pages_have_every_key_once_and_name_who_is_absent, fill_nodes),
		cmocka_unit_test_setup(a_node_that_does_not_answer_is_named_and_the_rest_is_told, fill_nodes),
		cmocka_unit_test_setup(a_busy_node_only_makes_pages_short, fill_nodes),
		cmocka_unit_test_setup(cursors_and_limits_that_nobody_gave_are_refused, fill_nodes),
		cmocka_unit_test_setup(clear_is_of_every_node_or_says_whose_not, fill_nodes),
		cmocka_unit_test_setup(evict_takes_so_many_of_each_node_and_expire_what_is_due, fill_nodes),
	};

	return cmocka_run_group_tests_name("api_keys", tests, start_nodes, stop);
}
