/*
 * Conversations of clients with a node: the scripts of tests/conversations, each a test.
 * Frames go through serve_parse, serve_run and serve_compose of every worker over the
 * model leaves, and time moves only when a script says so. Run from the top of the tree.
 *
 * A script's lines:
 *   workers N | require-auth              the node; before anything else
 *   > OPERATION                           begins a frame (native_script.h)
 *   + OPERATION                           one more in the same frame
 *   byte AT VALUE | cut N | grow N        spoils the frame; VALUE may be ^BITS to flip
 *   raw HEX                               a datagram as it is
 *   < RESULT                              expected, in order of index (native_text.h)
 *   < error NAME | < challenge NAME       expected refusal
 *   nothing [DROP]                        no answer; and this drop counted once
 *   again                                 the last frame's operations and numbers once more
 *   cookie none|NUMBER|$NAME, client N, sequence N, window N, version N
 *   auth on|off|wrong                     tag frames, or with another key
 *   peer N                                the client's address is 10.0.0.N; its cookie stays
 *   ask N                                 the worker frames are sent to
 *   prove                                 is challenged, and takes the cookie
 *   wait MS | restart                     time; a new boot with an empty cache
 *   stick N | free N                      the worker does not poll; does again
 *   until STATUS MAX OPERATION            repeated with the next numbers, % counting up, until the
 *                                         status comes; others must be ok
 *   put KEY LEN | fetch KEY LEN           LEN pattern bytes up by chunks, down by ranges
 *   counter NAME N                        the counter's value
 */
#include <dirent.h>

#include "seal/seal.h"
#include "tests/support/native_script.h"
#include "tests/unit/serve_rig.h"

enum { SCRIPTS_MAX = 100, LINES_MAX = 4 * FRAME_OPS_MAX, PUT_CHUNK = 1372 };

static struct conversation {
	struct script script;
	const char *path;
	int line;
	bool started, require_auth;
	uint32_t workers, restarts, ask;
	/* the client's frame */
	bool building, spoiled;
	uint8_t tagging; /* 0 off, 1 on, 2 with a wrong key */
	uint8_t frame[UDP_PAYLOAD_MAX + 64];
	uint32_t frame_len;
	/* what it was answered, as text by index, and how much has been expected */
	char *answers[LINES_MAX];
	uint32_t answer_count, expected;
	uint64_t drops[DROP_COUNT];
} c;

/* What the scripts together have shown. */
static bool seen_op[OP_COUNT], seen_status[256];

#define FAIL(...) do { \
	print_error("%s:%d: ", c.path, c.line); \
	fail_msg(__VA_ARGS__); \
} while (0)

static void
configure(struct serve_config *config)
{
	config->boot = (uint16_t)(0xb007 + c.restarts);
	config->cookie_secret[0] ^= (uint8_t)c.restarts;
	config->require_auth = c.require_auth;
	for (int i = 0; i < SEAL_SHARED_KEY_LEN; i++)
		config->shared_key[i] = (uint8_t)i;
}

static void
start(void)
{
	if (c.started)
		return;
	c.started = true;
	rig_start(c.workers, configure);
}

static void
restart(void)
{
	static struct serve_rig before;

	before = rig;
	rig_stop();
	c.restarts++;
	rig_start(c.workers, configure);
	rig.now = before.now;
	/* The client lives on, and its writer points into the same frame. */
	rig.header = before.header;
	rig.peer = before.peer;
	rig.out = before.out;
	memcpy(rig.frame, before.frame, sizeof rig.frame);
}

/* Answers */

static void
forget_answers(void)
{
	for (uint32_t i = 0; i < c.answer_count; i++)
		free(c.answers[i]);
	c.answer_count = c.expected = 0;
}

static void
demand_all_expected(void)
{
	if (c.expected < c.answer_count)
		FAIL("answered, but not expected: %s", c.answers[c.expected]);
}

static void
tag_of(const uint8_t *frame, uint32_t len, uint8_t tag[SEAL_TAG_LEN])
{
	struct seal_key key;

	seal_tag_key(&key, rig.config.shared_key);
	seal_tag(&key, frame, len, tag);
}

/* What every response owes its client, whatever it says. */
static void
check_reply(const struct rig_reply *reply, const struct native_header *header)
{
	uint8_t tag[SEAL_TAG_LEN];

	if (reply->len > UDP_PAYLOAD_MAX || memcmp(&reply->peer, &rig.peer, sizeof rig.peer) != 0)
		FAIL("a reply that is too long or goes elsewhere");
	if (header->error && reply->len > c.frame_len)
		FAIL("a refusal of %u bytes for a frame of %u", reply->len, c.frame_len);
	if (header->client != load_le64(c.frame + 8) || header->sequence != load_le64(c.frame + 16))
		FAIL("another frame's client or sequence");
	if (header->epoch != rig.config.epoch || native_cookie_boot(header->cookie) != rig.config.boot)
		FAIL("wrong epoch, or a cookie of another boot");
	if (!(header->flags & NATIVE_FLAG_AUTH))
		return;
	tag_of(reply->payload, reply->len - SEAL_TAG_LEN, tag);
	if (memcmp(tag, reply->payload + reply->len - SEAL_TAG_LEN, SEAL_TAG_LEN) != 0)
		FAIL("a wrong tag");
}

static void
keep_answer(uint32_t place, char *text)
{
	if (c.answer_count == LINES_MAX)
		FAIL("more than %d answers", LINES_MAX);
	for (uint32_t i = c.answer_count++; i > place; i--)
		c.answers[i] = c.answers[i - 1];
	c.answers[place] = text;
}

/* Results of one frame may come from several workers in any order: they are told by index. */
static uint32_t
place_of(uint8_t index)
{
	uint32_t place = 0;

	while (place < c.answer_count && (uint32_t)atoi(c.answers[place]) <= index)
		place++;
	return place;
}

static void
read_results(const struct rig_reply *reply, const struct native_header *header)
{
	struct view payload = view_of(reply->payload, reply->len);
	struct reader in = text_results(payload, header);
	struct native_result result;

	for (uint32_t i = 0; i < header->op_count; i++) {
		char *text;
		size_t size;
		FILE *out = open_memstream(&text, &size);

		if (!native_result_parse(&in, &result))
			FAIL("results malformed");
		seen_status[result.status] = true;
		if (result.op < OP_COUNT && result.status == OP_STATUS_OK)
			seen_op[result.op] = true;
		text_result(out, &result);
		fclose(out);
		keep_answer(place_of(result.index), text);
	}
	if (reader_left(&in) > 0)
		FAIL("bytes behind the last result");
}

static void
read_replies(void)
{
	for (uint32_t i = 0; i < rig.reply_count; i++) {
		const struct rig_reply *reply = &rig.replies[i];
		struct native_header header;
		char *text = NULL;

		if (!native_header_parse(view_of(reply->payload, reply->len), &header))
			FAIL("response header malformed");
		check_reply(reply, &header);
		rig.header.cookie = header.cookie;
		seen_status[header.error] = true;
		if (!header.error) {
			read_results(reply, &header);
		} else if (asprintf(&text, "%s %s", header.flags & NATIVE_FLAG_CHALLENGE ? "challenge" : "error",
		    op_status_name(header.error)) > 0) {
			keep_answer(c.answer_count, text);
		}
	}
}

/* Frames */

static void
note_drops(void)
{
	for (int i = 0; i < DROP_COUNT; i++)
		c.drops[i] = rig_drops(i);
}

/* Sends c.frame and collects what comes back. */
static void
exchange(void)
{
	uint8_t exact[UDP_PAYLOAD_MAX];

	demand_all_expected();
	forget_answers();
	rig_clear();
	note_drops();
	memcpy(exact, c.frame, c.frame_len);
	rig_send(c.ask, SERVICE_NATIVE, exact, (uint16_t)c.frame_len);
	rig_settle();
	read_replies();
}

/* The frame's bytes as they stand: header, operations, tag. */
static void
compose_frame(void)
{
	rig.header.flags = c.tagging ? NATIVE_FLAG_AUTH : 0;
	native_header_compose(&rig.header, rig.frame);
	c.frame_len = rig_frame_len();
	memcpy(c.frame, rig.frame, c.frame_len);
	if (!c.tagging)
		return;
	tag_of(c.frame, c.frame_len, c.frame + c.frame_len);
	c.frame[c.frame_len] ^= c.tagging == 2;
	c.frame_len += SEAL_TAG_LEN;
}

static void
flush_frame(void)
{
	if (!c.building)
		return;
	if (!c.spoiled)
		compose_frame();
	c.building = c.spoiled = false;
	exchange();
}

static struct request
parse_operation(const char *text)
{
	struct request request;

	if (!script_request(&c.script, text, &request))
		FAIL("%s", c.script.complaint);
	return request;
}

static void
add_operation(const char *text)
{
	struct request request = parse_operation(text);

	if (rig.header.op_count == FRAME_OPS_MAX || writer_left(&rig.out) < native_request_size(&request))
		FAIL("the frame is full");
	rig_add(request);
}

static void
begin_frame(const char *text)
{
	flush_frame();
	rig_next_frame();
	rig_frame();
	c.building = true;
	add_operation(text);
}

static void
again(void)
{
	flush_frame();
	c.building = true;
}

/* Settles a frame's answer to one status. */
static const char *
answer_of(const struct request *request)
{
	rig_next_frame();
	rig_frame();
	rig_add(*request);
	compose_frame();
	exchange();
	if (c.answer_count != 1)
		FAIL("%u answers to one operation", c.answer_count);
	c.expected = 1;
	return c.answers[0];
}

static void
spoil(const char *how)
{
	unsigned at, value, len;

	if (!c.building)
		FAIL("no frame to spoil");
	if (!c.spoiled)
		compose_frame();
	c.spoiled = true;
	if (sscanf(how, "byte %u ^%i", &at, (int *)&value) == 2 && at < c.frame_len)
		c.frame[at] ^= (uint8_t)value;
	else if (sscanf(how, "byte %u %i", &at, (int *)&value) == 2 && at < c.frame_len)
		c.frame[at] = (uint8_t)value;
	else if (sscanf(how, "cut %u", &len) == 1 && len <= c.frame_len)
		c.frame_len -= len;
	else if (sscanf(how, "grow %u", &len) == 1 && len <= UDP_PAYLOAD_MAX - c.frame_len)
		memset(c.frame + c.frame_len, 0, len), c.frame_len += len;
	else
		FAIL("cannot spoil: %s", how);
}

static void
raw(const char *hex)
{
	unsigned byte;
	int used;

	flush_frame();
	memset(c.frame, 0, sizeof c.frame);
	for (c.frame_len = 0; sscanf(hex, " %2x%n", &byte, &used) == 1; hex += used)
		c.frame[c.frame_len++] = (uint8_t)byte;
	if (*hex)
		FAIL("not hex: %s", hex);
	exchange();
}

static void
expect(const char *text)
{
	flush_frame();
	if (c.expected == c.answer_count)
		FAIL("not answered: %s", text);
	if (!script_matches(&c.script, text, c.answers[c.expected]))
		FAIL("\n  expected %s\n  answered %s", text, c.answers[c.expected]);
	c.expected++;
}

static void
expect_nothing(const char *drop)
{
	flush_frame();
	demand_all_expected();
	if (c.answer_count > 0)
		FAIL("answered: %s", c.answers[0]);
	for (int i = DROP_NONE + 1; i < DROP_COUNT; i++) {
		uint64_t more = rig_drops(i) - c.drops[i];

		if (more != (strcmp(drop_name(i), drop) == 0))
			FAIL("drop %s counted %u times", drop_name(i), (unsigned)more);
	}
}

/* Whole jobs */

static void
until(const char *text)
{
	char status[32], line[512];
	unsigned most;
	int used;

	flush_frame();
	if (sscanf(text, "%31s %u %n", status, &most, &used) != 2)
		FAIL("until STATUS MAX OPERATION");
	for (unsigned i = 0; i < most; i++) {
		const char *at = text + used, *percent = strchr(at, '%');
		struct request request;
		char name[64];

		snprintf(line, sizeof line, "%.*s%u%s", (int)(percent ? percent - at : 0), at, i,
		    percent ? percent + 1 : "");
		request = parse_operation(percent ? line : at);
		if (sscanf(answer_of(&request), "%*u %*s %63s", name) == 1 && strcmp(name, status) == 0)
			return;
		if (strcmp(name, "ok") != 0)
			FAIL("number %u: %s", i, c.answers[0]);
	}
	FAIL("never answered %s", status);
}

static void
demand_answer(const struct request *request, const char *expected)
{
	const char *answer = answer_of(request);

	if (!script_matches(&c.script, expected, answer))
		FAIL("\n  expected %s\n  answered %s", expected, answer);
}

static void
put(const char *text)
{
	char key[256], line[600];
	uint64_t handle;
	unsigned len;
	struct request request;

	flush_frame();
	if (sscanf(text, "%255s %u", key, &len) != 2)
		FAIL("put KEY LEN");
	snprintf(line, sizeof line, "upload_begin %s total=%u", key, len);
	request = parse_operation(line);
	if (sscanf(answer_of(&request), "0 upload_begin ok handle=%" SCNu64, &handle) != 1)
		FAIL("upload_begin: %s", c.answers[0]);
	for (unsigned at = 0; at < len; at += PUT_CHUNK) {
		snprintf(line, sizeof line, "upload_chunk of=%s handle=%" PRIu64 " offset=%u value=@%u+%u", key,
		    handle, at, len - at < PUT_CHUNK ? len - at : PUT_CHUNK, at);
		request = parse_operation(line);
		demand_answer(&request, "0 upload_chunk ok");
	}
	snprintf(line, sizeof line, "upload_commit of=%s handle=%" PRIu64, key, handle);
	request = parse_operation(line);
	demand_answer(&request, "0 upload_commit ok version=*");
}

static void
check_pattern(struct view value, uint32_t from)
{
	for (uint32_t i = 0; i < value.len; i++)
		if (value.data[i] != script_pattern(from + i))
			FAIL("byte %u of the value is wrong", from + i);
}

/* Reads one range; the first with version 0. Returns its length. */
static uint32_t
fetch_range(const char *key, uint32_t offset, uint64_t *version, uint32_t total)
{
	struct native_result result = { 0 };
	char line[600];
	struct request request;

	snprintf(line, sizeof line, "get %s range=%" PRIu64 ",%u,100000", key, *version, offset);
	request = parse_operation(line);
	answer_of(&request);
	if (!rig_result(rig.header.sequence, 0, &result) || result.status != OP_STATUS_OK || result.total_len != total)
		FAIL("range from %u: %s", offset, c.answers[0]);
	check_pattern(result.value, offset);
	*version = result.version;
	return result.value.len;
}

static void
fetch(const char *text)
{
	char key[256];
	unsigned len, at = 0;
	uint64_t version = 0;

	flush_frame();
	if (sscanf(text, "%255s %u", key, &len) != 2)
		FAIL("fetch KEY LEN");
	do {
		uint32_t more = fetch_range(key, at, &version, len);

		if (more == 0 && at < len)
			FAIL("nothing at %u", at);
		at += more;
	} while (at < len);
}

static void
expect_counter(const char *text)
{
	char name[64];
	unsigned expected;

	flush_frame();
	if (sscanf(text, "%63s %u", name, &expected) != 2)
		FAIL("counter NAME N");
	for (int i = 0; i < COUNTER_COUNT; i++) {
		if (strcmp(counter_name(i), name) != 0)
			continue;
		if (rig_counter(i) != expected)
			FAIL("counter %s is %u", name, (unsigned)rig_counter(i));
		return;
	}
	FAIL("no counter %s", name);
}

/* The client and the world */

static uint64_t
number_of(const char *text)
{
	uint64_t value = 0;

	if (!script_number(&c.script, &text, &value))
		FAIL("%s", c.script.complaint);
	return value;
}

static void
set_tagging(const char *how)
{
	if (strcmp(how, "off") != 0 && strcmp(how, "on") != 0 && strcmp(how, "wrong") != 0)
		FAIL("auth on, off or wrong");
	c.tagging = strcmp(how, "off") == 0 ? 0 : strcmp(how, "on") == 0 ? 1 : 2;
}

static void
prove(void)
{
	struct request ping = { .op = OP_PING };

	rig.header.cookie = 0;
	if (strcmp(answer_of(&ping), "challenge unproven") != 0)
		FAIL("not challenged: %s", c.answers[0]);
}

static void
wait_ms(uint64_t ms)
{
	rig.now.wall_ms += ms;
	rig.now.mono_ns += ms * NS_PER_MS;
	for (uint32_t i = 0; i < rig.worker_count; i++)
		rig_poll(i);
}

static void
set_sequence(uint64_t sequence)
{
	rig.header.sequence = sequence;
	rig.header.op_count = 0; /* the next frame starts right there */
}

/* Lines that set one thing. False: not one of them. */
static bool
set_something(const char *word, const char *rest)
{
	if (strcmp(word, "cookie") == 0)
		rig.header.cookie = strcmp(rest, "none") == 0 ? 0 : number_of(rest);
	else if (strcmp(word, "client") == 0)
		rig.header.client = number_of(rest);
	else if (strcmp(word, "sequence") == 0)
		set_sequence(number_of(rest));
	else if (strcmp(word, "window") == 0)
		rig.header.window = (uint32_t)number_of(rest);
	else if (strcmp(word, "version") == 0)
		rig.header.version = (uint8_t)number_of(rest);
	else if (strcmp(word, "auth") == 0)
		set_tagging(rest);
	else if (strcmp(word, "peer") == 0)
		rig.peer.ip[15] = (uint8_t)number_of(rest);
	else if (strcmp(word, "ask") == 0)
		c.ask = (uint32_t)number_of(rest) % c.workers;
	else if (strcmp(word, "stick") == 0)
		rig.workers[number_of(rest) % c.workers]->stuck = true;
	else if (strcmp(word, "free") == 0)
		rig.workers[number_of(rest) % c.workers]->stuck = false;
	else if (strcmp(word, "wait") == 0)
		wait_ms(number_of(rest));
	else if (strcmp(word, "restart") == 0)
		restart();
	else if (strcmp(word, "prove") == 0)
		prove();
	else
		return false;
	return true;
}

static void
run_setting(const char *word, const char *rest, const char *line)
{
	flush_frame();
	if (!set_something(word, rest))
		FAIL("no such line: %s", line);
}

static void
run_line(const char *word, const char *rest, const char *line)
{
	if (strcmp(word, ">") == 0)
		begin_frame(rest);
	else if (strcmp(word, "+") == 0)
		add_operation(rest);
	else if (strcmp(word, "<") == 0)
		expect(rest);
	else if (strcmp(word, "byte") == 0 || strcmp(word, "cut") == 0 || strcmp(word, "grow") == 0)
		spoil(line);
	else if (strcmp(word, "raw") == 0)
		raw(rest);
	else if (strcmp(word, "nothing") == 0)
		expect_nothing(rest);
	else if (strcmp(word, "again") == 0)
		again();
	else if (strcmp(word, "until") == 0)
		until(rest);
	else if (strcmp(word, "put") == 0)
		put(rest);
	else if (strcmp(word, "fetch") == 0)
		fetch(rest);
	else if (strcmp(word, "counter") == 0)
		expect_counter(rest);
	else
		run_setting(word, rest, line);
}

static void
read_line(char *line)
{
	char word[32] = "";
	const char *rest = line;

	line[strcspn(line, "\n")] = 0;
	if (sscanf(line, "%31s", word) != 1 || word[0] == '#')
		return;
	rest += strspn(rest, " ") + strlen(word);
	rest += strspn(rest, " ");
	if (strcmp(word, "workers") == 0 && !c.started) {
		c.workers = (uint32_t)atoi(rest);
		assert_in_range(c.workers, 1, RIG_WORKERS);
	} else if (strcmp(word, "require-auth") == 0 && !c.started) {
		c.require_auth = true;
	} else {
		start();
		run_line(word, rest, line);
	}
}

static void
converse(void **state)
{
	char line[8192];
	FILE *file;

	c.path = *state;
	file = fopen(c.path, "r");
	if (!file)
		fail_msg("%s: cannot be read", c.path);
	while (c.line++, fgets(line, sizeof line, file))
		read_line(line);
	fclose(file);
	if (!c.started)
		FAIL("an empty script");
	flush_frame();
	demand_all_expected();
}

static int
open_conversation(void **state)
{
	(void)state;
	memset(&c, 0, sizeof c);
	c.workers = 1;
	c.script.bytes = malloc(SCRIPT_BYTES_MAX + 8192);
	return seal_start() && c.script.bytes ? 0 : -1;
}

static int
close_conversation(void **state)
{
	(void)state;
	forget_answers();
	free(c.script.bytes);
	if (c.started)
		rig_stop();
	return 0;
}

/* Last: what no script has shown is not tested. */
static void
every_operation_and_status_was_seen(void **state)
{
	(void)state;
	for (int op = OP_NONE + 1; op < OP_COUNT; op++)
		if (!seen_op[op])
			fail_msg("no conversation has a successful %s", op_name(op));
#define OP_STATUS(suffix, number, name, text) \
	/* One node has one epoch, and no other node to fail it. */ \
	if (number != OP_STATUS_STALE_EPOCH && number < OP_STATUS_OWNER_DEAD && !seen_status[number]) \
		fail_msg("no conversation has an answer with status %s", name);
#include "proto/op_status.def"
#undef OP_STATUS
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct CMUnitTest *)a)->name, ((const struct CMUnitTest *)b)->name);
}

int
main(void)
{
	static struct CMUnitTest tests[SCRIPTS_MAX + 1];
	size_t count = 0;
	struct dirent *entry;
	DIR *folder = opendir("tests/conversations");

	if (!folder) {
		fprintf(stderr, "tests/conversations is not there: run from the top of the tree\n");
		return 1;
	}
	while ((entry = readdir(folder)) && count < SCRIPTS_MAX) {
		char *path;

		if (!strstr(entry->d_name, ".txt") ||
		    asprintf(&path, "tests/conversations/%s", entry->d_name) < 0)
			continue;
		tests[count++] = (struct CMUnitTest){ .name = strrchr(path, '/') + 1, .test_func = converse,
			.setup_func = open_conversation, .teardown_func = close_conversation, .initial_state = path };
	}
	closedir(folder);
	qsort(tests, count, sizeof tests[0], by_name);
	tests[count++] = (struct CMUnitTest)cmocka_unit_test(every_operation_and_status_was_seen);
	return _cmocka_run_group_tests("conversation", tests, count, NULL, NULL);
}
