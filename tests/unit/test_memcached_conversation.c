/*
 * memcached conversations as text scripts, tests/conversations/memcached/: through
 * serve over the model store, with simulated time. A script's lines:
 *
 *   # comment
 *   > text          a line of the request; lines in a row are one datagram
 *   < text          a line of the reply expected; none: silence
 *   workers N       how many (first line; default 1)
 *   ask N           which worker the datagrams arrive at from here on
 *   wait MS         time passes
 *   counter NAME N, drop NAME N    how often so far, all workers together
 *
 * Every line of text has its CRLF added, unless it ends in \; \xNN is a byte.
 */
#include "tests/unit/serve_rig.h"

#include <glob.h>

enum { TEXT_SIZE = 4096 };

struct text {
	char bytes[TEXT_SIZE];
	uint32_t len;
};

static struct script {
	struct text request, expected;
	uint16_t id;
	uint32_t line, worker;
	const char *path;
} script;

static void
allow_everyone(struct serve_config *config)
{
	config->memcached_allow_count = 1; /* one prefix of no bits */
}

/* Unescapes a script's text and adds its CRLF. */
static void
text_add(struct text *text, const char *from)
{
	bool joined = false;

	for (; *from && *from != '\n'; from++) {
		unsigned byte;

		joined = from[0] == '\\' && (from[1] == '\n' || from[1] == '\0');
		if (joined)
			break;
		if (sscanf(from, "\\x%2x", &byte) == 1) {
			text->bytes[text->len++] = (char)byte;
			from += 3;
		} else {
			text->bytes[text->len++] = *from;
		}
		assert_true(text->len < TEXT_SIZE - 3);
	}
	if (!joined) {
		text->bytes[text->len++] = '\r';
		text->bytes[text->len++] = '\n';
	}
	text->bytes[text->len] = '\0';
}

/* The replies of one request put together; they come from one worker, numbered. */
static void
collect(struct text *reply)
{
	reply->len = 0;
	for (uint32_t i = 0; i < rig.reply_count; i++) {
		const struct rig_reply *part = &rig.replies[i];

		assert_true(load_be16(part->payload) == script.id && load_be16(part->payload + 2) == i);
		assert_int_equal(load_be16(part->payload + 4), rig.reply_count);
		assert_true(reply->len + part->len < TEXT_SIZE);
		memcpy(reply->bytes + reply->len, part->payload + 8, part->len - 8u);
		reply->len += part->len - 8u;
	}
	reply->bytes[reply->len] = '\0';
	rig.reply_count = 0;
}

/* Sends the request gathered so far, if any, and compares what comes. */
static void
exchange(void)
{
	struct text reply;
	uint8_t payload[TEXT_SIZE + 8] = { 0 };

	if (script.request.len == 0)
		return;
	store_be16(payload, ++script.id);
	store_be16(payload + 4, 1);
	memcpy(payload + 8, script.request.bytes, script.request.len);
	rig_send(script.worker, SERVICE_MEMCACHED, payload, (uint16_t)(script.request.len + 8));
	rig_settle();
	collect(&reply);
	if (reply.len != script.expected.len || memcmp(reply.bytes, script.expected.bytes, reply.len) != 0)
		fail_msg("%s, before line %u: asked\n%sexpected\n%sgot\n%s", script.path, script.line,
		    script.request.bytes, script.expected.bytes, reply.bytes);
	script.request.len = script.expected.len = 0;
	script.expected.bytes[0] = '\0';
}

static uint64_t
counted(const char *kind, const char *name)
{
	for (int i = 0; i < COUNTER_COUNT && strcmp(kind, "counter") == 0; i++)
		if (strcmp(name, counter_name(i)) == 0)
			return rig_counter(i);
	for (int i = 0; i < DROP_COUNT && strcmp(kind, "drop") == 0; i++)
		if (strcmp(name, drop_name(i)) == 0)
			return rig_drops(i);
	fail_msg("%s:%u: no %s %s", script.path, script.line, kind, name);
	return 0;
}

static void
directive(const char *line)
{
	char kind[32] = "", name[64];
	unsigned long long number = 0;

	exchange();
	if (sscanf(line, "%31s %63s %llu", kind, name, &number) == 3) {
		if (counted(kind, name) != number)
			fail_msg("%s:%u: %s %s is %llu", script.path, script.line, kind, name,
			    (unsigned long long)counted(kind, name));
	} else if (sscanf(line, "wait %llu", &number) == 1) {
		rig.now.wall_ms += number;
		rig.now.mono_ns += number * NS_PER_MS;
	} else if (sscanf(line, "ask %llu", &number) == 1 && number < rig.worker_count) {
		script.worker = (uint32_t)number;
	} else {
		fail_msg("%s:%u: cannot read %s", script.path, script.line, line);
	}
}

static void
run_line(const char *line)
{
	unsigned workers = 1;

	script.line++;
	if (line[0] == '#' || line[0] == '\n')
		return;
	if (!rig.store)
		rig_start(sscanf(line, "workers %u", &workers) == 1 ? workers : 1, allow_everyone);
	if (sscanf(line, "workers %u", &workers) == 1)
		return;
	if (line[0] == '<' && line[1] == ' ') {
		assert_true(script.request.len > 0);
		text_add(&script.expected, line + 2);
	} else if (line[0] == '>' && line[1] == ' ') {
		if (script.expected.len > 0)
			exchange();
		text_add(&script.request, line + 2);
	} else {
		directive(line);
	}
}

static void
run_script(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[TEXT_SIZE];

	assert_non_null(file);
	script = (struct script){ .path = path };
	rig.store = NULL;
	while (fgets(line, sizeof line, file))
		run_line(line);
	exchange();
	fclose(file);
	rig_stop();
}

static void
every_script_goes_as_written(void **state)
{
	glob_t found;

	(void)state;
	assert_int_equal(glob("tests/conversations/memcached/*.txt", 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++)
		run_script(found.gl_pathv[i]);
	print_message("%zu scripts\n", found.gl_pathc);
	globfree(&found);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_script_goes_as_written) };

	return cmocka_run_group_tests_name("memcached conversation", tests, NULL, NULL);
}
