/*
 * doc/PROTOCOL.md against the code, so that neither can change alone: every example's
 * bytes are parsed and must read as the words above them, then composed again and must
 * be the same bytes; tables of operations, statuses and limits must be the code's.
 * Run from the top of the tree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <ctype.h>

#include <cmocka.h>

#include "seal/seal.h"
#include "proto/topology.h"
#include "ring/slot.h"
#include "ring/table.h"
#include "tests/support/native_text.h"

enum { DOCUMENT_MAX = 1 << 20, EXAMPLES_MAX = 100 };

struct example {
	int line;         /* of the document */
	char text[2048];  /* the lines with '>', joined by newlines */
	uint8_t bytes[UDP_PAYLOAD_MAX];
	uint32_t len;
};

static char document[DOCUMENT_MAX];
static struct example examples[EXAMPLES_MAX];
static int example_count;

static void
read_hex(struct example *example, const char *line, int number)
{
	for (const char *at = line; *at && *at != ';'; at++) {
		unsigned byte;

		if (isspace((unsigned char)*at))
			continue;
		if (sscanf(at, "%2x", &byte) != 1 || !isxdigit((unsigned char)at[1]))
			fail_msg("doc/PROTOCOL.md:%d: not hex: %s", number, line);
		assert_true(example->len < UDP_PAYLOAD_MAX);
		example->bytes[example->len++] = (uint8_t)byte;
		at++;
	}
}

static void
read_example_line(struct example *example, const char *line, int number)
{
	size_t used = strlen(example->text);

	if (line[0] == '>')
		snprintf(example->text + used, sizeof example->text - used, "%s%s", used ? "\n" : "", line + 2);
	else
		read_hex(example, line, number);
}

static int
read_document(void **state)
{
	FILE *file = fopen("doc/PROTOCOL.md", "r");
	struct example *open = NULL;
	char line[4096];
	int number = 0;

	(void)state;
	if (!file) {
		fprintf(stderr, "doc/PROTOCOL.md is not there: run from the top of the tree\n");
		return -1;
	}
	while (fgets(line, sizeof line, file)) {
		strcat(document, line);
		line[strcspn(line, "\n")] = 0;
		number++;
		if (!open && strcmp(line, "```frame") == 0) {
			open = &examples[example_count++];
			open->line = number;
		} else if (open && strcmp(line, "```") == 0) {
			open = NULL;
		} else if (open) {
			read_example_line(open, line, number);
		}
	}
	fclose(file);
	return 0;
}

static bool
is_request(const struct example *example)
{
	return strncmp(example->text, "request", 7) == 0;
}

static struct view
bytes_of(const struct example *example)
{
	return view_of(example->bytes, example->len);
}

static void
every_example_reads_as_its_words(void **state)
{
	(void)state;
	assert_in_range(example_count, 20, EXAMPLES_MAX);
	for (int i = 0; i < example_count; i++) {
		char *text;
		size_t size;
		FILE *out = open_memstream(&text, &size);

		if (is_request(&examples[i]))
			text_request_frame(out, bytes_of(&examples[i]));
		else
			text_response_frame(out, bytes_of(&examples[i]));
		fclose(out);
		if (strcmp(text, examples[i].text) != 0)
			fail_msg("doc/PROTOCOL.md:%d says\n%s\nits bytes say\n%s", examples[i].line,
			    examples[i].text, text);
		free(text);
	}
}

static void
expect_bytes(const struct example *example, const uint8_t *bytes, size_t len)
{
	if (len != example->len)
		fail_msg("doc/PROTOCOL.md:%d: composed %zu bytes, document %u", example->line, len, example->len);
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != example->bytes[i])
			fail_msg("doc/PROTOCOL.md:%d: byte %zu composed %02x, document %02x", example->line, i,
			    bytes[i], example->bytes[i]);
}

/* The shared key of the document's tagged examples. */
static void
document_tag(const uint8_t *bytes, size_t len, uint8_t tag[SEAL_TAG_LEN])
{
	uint8_t shared[SEAL_SHARED_KEY_LEN];
	struct seal_key key;

	for (int i = 0; i < SEAL_SHARED_KEY_LEN; i++)
		shared[i] = (uint8_t)i;
	seal_tag_key(&key, shared);
	seal_tag(&key, bytes, len, tag);
}

static bool
recompose_request(const struct example *example)
{
	struct datagram datagram = { .payload = (uint8_t *)example->bytes, .payload_len = (uint16_t)example->len };
	struct request requests[FRAME_OPS_MAX];
	uint8_t bytes[UDP_PAYLOAD_MAX];
	struct writer out = writer_of(bytes + NATIVE_HEADER_LEN, sizeof bytes - NATIVE_HEADER_LEN);
	struct native_header header;
	struct frame frame;

	if (native_parse(&datagram, &(struct now){ 0 }, &frame, requests, FRAME_OPS_MAX) != NATIVE_OK)
		return false;
	header = (struct native_header){ NATIVE_VERSION, frame.authenticated ? NATIVE_FLAG_AUTH : 0,
		(uint8_t)frame.count, 0, frame.client, frame.sequence, frame.cookie, frame.epoch,
		load_le32(example->bytes + 36), frame.boot };
	native_header_compose(&header, bytes);
	for (uint32_t i = 0; i < frame.count; i++) {
		if (requests[i].op == OP_NONE)
			return false;
		native_request_compose(&out, &requests[i]);
	}
	if (frame.authenticated) {
		document_tag(bytes, (size_t)(out.at - bytes), out.at);
		out.at += SEAL_TAG_LEN;
	}
	expect_bytes(example, bytes, (size_t)(out.at - bytes));
	return true;
}

static const struct now now = { 0, 1000 };

static void
response_of(const struct native_result *result, struct request *request, struct response *response)
{
	bool known = result->op > OP_NONE && result->op < OP_COUNT;

	*request = (struct request){ .op = known ? result->op : OP_NONE, .verb = result->op,
		.local = result->status, .index = result->index };
	*response = (struct response){ .status = result->status, .has_item = result->version != 0,
		.version = result->version, .client_flags = result->client_flags, .value = result->value,
		.total_len = result->total_len, .number = result->number,
		.expiry_ms = result->ttl_ms == UINT64_MAX ? 0 : now.wall_ms + result->ttl_ms };
}

static void
recompose_response(const struct example *example)
{
	uint8_t buffer[2048];
	struct pkt pkt = { .data = buffer, .room = sizeof buffer };
	struct datagram datagram = { .pkt = &pkt };
	struct frame frame = { .datagram = &datagram };
	struct request requests[FRAME_OPS_MAX];
	struct response responses[FRAME_OPS_MAX];
	struct spares spares = { NULL, 0, 0 };
	struct native_context context;
	struct native_header header;
	struct native_result result;
	struct counters counters = { 0 };
	struct reply reply = { .pkt = &pkt };
	struct reader in;
	uint8_t *payload = buffer + PKT_UDP_PAYLOAD_OFFSET;

	assert_true(native_header_parse(bytes_of(example), &header));
	frame.client = header.client, frame.sequence = header.sequence;
	frame.authenticated = header.flags & NATIVE_FLAG_AUTH;
	context = (struct native_context){ .cookie = header.cookie, .epoch = header.epoch };
	in = text_results(bytes_of(example), &header);
	while (native_result_parse(&in, &result)) {
		response_of(&result, &requests[frame.count], &responses[frame.count]);
		frame.count++;
	}
	if (header.error)
		reply.payload_len = native_compose_refusal(&frame, &context, header.error, payload);
	else
		assert_int_equal(native_compose(&frame, &context, requests, responses, &now, &spares, &counters, &reply), 1);
	if (frame.authenticated)
		document_tag(payload, reply.payload_len - SEAL_TAG_LEN, payload + reply.payload_len - SEAL_TAG_LEN);
	expect_bytes(example, payload, reply.payload_len);
}

static void
every_example_is_what_the_code_composes(void **state)
{
	int requests = 0, responses = 0;

	(void)state;
	assert_true(seal_start());
	for (int i = 0; i < example_count; i++) {
		if (is_request(&examples[i])) {
			requests += recompose_request(&examples[i]);
		} else {
			recompose_response(&examples[i]);
			responses++;
		}
	}
	assert_in_range(requests, 10, EXAMPLES_MAX);
	assert_in_range(responses, 10, EXAMPLES_MAX);
}

static void
expect_line(const char *line)
{
	if (!strstr(document, line))
		fail_msg("doc/PROTOCOL.md lacks this row, or it differs:\n%s", line);
}

/* As a client does it: members from the wire, the table from them. */
static void
build_ring(const struct topology *topology, struct ring_snapshot *ring)
{
	void *scratch = aligned_alloc(64, (ring_scratch_size() + 63) / 64 * 64);

	assert_non_null(scratch);
	ring->topology = (struct ring_topology){ .epoch = topology->epoch, .replication = topology->replication };
	for (uint32_t i = 0; i < topology->node_count; i++) {
		struct topology_node node;
		struct ring_member member;

		topology_node(topology, i, &node);
		member = (struct ring_member){ .id = node.id, .rack = node.rack, .index = node.index,
			.weight = node.weight, .state = node.state };
		assert_true(ring_topology_add(&ring->topology, &member));
	}
	ring_build(&ring->topology, scratch, &ring->table);
	free(scratch);
}

static void
expect_owners(const struct topology *topology)
{
	static const char *const keys[] = { "foo", "greeting", "{user1000}.following", "123456789" };
	static struct ring_snapshot ring;

	build_ring(topology, &ring);
	assert_int_equal(ring.table.owner_count, 2);
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		uint16_t slot = slot_of_key(view_text(keys[i]));
		char row[128];

		snprintf(row, sizeof row, "\n| %s | %u | n%u, n%u |\n", keys[i], slot,
		    ring.topology.members[ring_owner(&ring.table, slot, 0)].index + 1,
		    ring.topology.members[ring_owner(&ring.table, slot, 1)].index + 1);
		expect_line(row);
	}
	for (uint16_t i = 0; i < 3; i++) {
		char name[] = { 'n', (char)('1' + i), 0 };

		assert_int_equal(ring.topology.members[ring_find_index(&ring.topology, i)].id == ring_member_id(name, 2), 1);
	}
}

/* The topology examples' values are topologies too, and the second leads to the owners named under it. */
static void
the_topology_examples_are_topologies(void **state)
{
	int one_node = 0, cluster = 0;

	(void)state;
	for (int i = 0; i < example_count; i++) {
		struct native_header header;
		struct native_result result;
		struct topology topology;
		struct reader in;

		if (is_request(&examples[i]) || !native_header_parse(bytes_of(&examples[i]), &header))
			continue;
		in = text_results(bytes_of(&examples[i]), &header);
		if (!native_result_parse(&in, &result) || result.op != OP_TOPOLOGY)
			continue;
		assert_true(topology_parse(result.value, &topology));
		assert_int_equal(topology.epoch, header.epoch);
		if (topology.rule == TOPOLOGY_RENDEZVOUS) {
			expect_owners(&topology);
			cluster++;
		} else {
			assert_int_equal(topology.node_count, 1);
			one_node++;
		}
	}
	assert_int_equal(one_node, 1);
	assert_int_equal(cluster, 1);
}

/* Rows of the table whose head is given, its rule excepted. */
static int
rows_under(const char *head)
{
	const char *at = strstr(document, head);
	int rows = -1;

	if (!at)
		fail_msg("doc/PROTOCOL.md lacks the table with the head %s", head);
	for (at = strchr(at + 1, '\n'); at && at[1] == '|'; at = strchr(at + 1, '\n'))
		rows++;
	return rows;
}

static void
the_table_of_statuses_is_the_codes(void **state)
{
	int statuses = 0;

	(void)state;
#define OP_STATUS(suffix, number, name, text) \
	expect_line("\n| " #number " | " name " | " text " |\n"); \
	statuses++;
#include "proto/op_status.def"
#undef OP_STATUS
	assert_int_equal(rows_under("\n| status | name | meaning |"), statuses);
}

/* Where "| 7 | decr | CREATE | ..." stands, and its cells. */
static void
expect_operation(int op)
{
	const struct native_rule *rule = native_rule((uint8_t)op);
	char start[64], flags[64] = "", row[512];
	const char *at, *end;

	snprintf(start, sizeof start, "\n| %d | %s |", op, op_name(op));
	at = strstr(document, start);
	if (!at)
		fail_msg("doc/PROTOCOL.md lacks the operation's row:%s", start);
	at += strlen(start);
	end = strchr(at, '\n');
	snprintf(row, sizeof row, "%.*s", (int)(end - at), at);
	if (rule->flags & NATIVE_OP_ADD)
		strcpy(flags, "ADD, REPLACE or CAS");
	else if (rule->flags)
		strcpy(flags, rule->flags == NATIVE_OP_CAS ? "CAS" :
		    rule->flags == NATIVE_OP_CREATE ? "CREATE" : "RANGE");
	if (strncmp(row + (flags[0] != 0), flags, strlen(flags)) != 0)
		fail_msg("doc/PROTOCOL.md: flags of %s are not \"%s\": %s", op_name(op), flags, row);
	/* The last cell says whether there is a value, the one before it the key. */
	if (rule->has_value != (strstr(row, "| yes |") && strcmp(row + strlen(row) - 6, " yes |") == 0))
		fail_msg("doc/PROTOCOL.md: value of %s: %s", op_name(op), row);
	if ((rule->key == NATIVE_KEY_SLOT) != (strstr(row, "| slot only |") != NULL) ||
	    (rule->key == NATIVE_KEY_PREFIX) != (strstr(row, "| prefix |") != NULL))
		fail_msg("doc/PROTOCOL.md: key of %s: %s", op_name(op), row);
}

static void
the_table_of_operations_is_the_codes(void **state)
{
	(void)state;
	for (int op = OP_NONE + 1; op < OP_COUNT; op++)
		expect_operation(op);
	assert_int_equal(rows_under("\n| opcode | name | flags allowed |"), OP_COUNT - 1);
}

static void
expect_limit(const char *name, long value)
{
	char line[128];

	snprintf(line, sizeof line, "\n| %s | %ld |\n", name, value);
	expect_line(line);
}

static void
the_limits_are_the_codes(void **state)
{
	(void)state;
	expect_limit("bytes of a frame that is sent", NATIVE_FRAME_MAX);
	expect_limit("bytes of a frame that is received", UDP_PAYLOAD_MAX);
	expect_limit("operations of a frame", FRAME_OPS_MAX);
	expect_limit("bytes of a key", KEY_LEN_MAX);
	expect_limit("bytes of a value", VALUE_LEN_MAX);
	expect_limit("value bytes of a get in one frame", NATIVE_GET_VALUE_MAX);
	expect_limit("bytes of an upload chunk in one frame", NATIVE_CHUNK_MAX);
	expect_limit("slots", SLOT_COUNT);
	expect_limit("workers of a node", WORKER_MAX);
	expect_limit("nodes of a topology", TOPOLOGY_NODES_MAX);
}

static void
every_drop_of_native_frames_is_documented(void **state)
{
	(void)state;
	for (int drop = DROP_NONE + 1; drop < DROP_COUNT; drop++) {
		char quoted[64];

		if (strncmp(drop_name(drop), "native_", 7) != 0)
			continue;
		snprintf(quoted, sizeof quoted, "drop `%s`", drop_name(drop));
		expect_line(quoted);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_example_reads_as_its_words),
		cmocka_unit_test(every_example_is_what_the_code_composes),
		cmocka_unit_test(the_topology_examples_are_topologies),
		cmocka_unit_test(the_table_of_statuses_is_the_codes),
		cmocka_unit_test(the_table_of_operations_is_the_codes),
		cmocka_unit_test(the_limits_are_the_codes),
		cmocka_unit_test(every_drop_of_native_frames_is_documented),
	};

	return cmocka_run_group_tests_name("protocol_doc", tests, read_document, NULL);
}
