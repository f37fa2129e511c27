/*
 * Unit tests of the control plane's guard, tables and metrics: who may, what is refused,
 * and that document, OpenAPI and replies are one table.
 */
#include "api_rig.h"
#include "control/base64.h"

/* --- who may -------------------------------------------------------------------------- */

#define HOST "Host: localhost\r\n"
#define BEARER(token) HOST "Authorization: Bearer " token "\r\n"

static void
expect_tcp(const char *method, const char *url, const char *given, int status, const char *code)
{
	char got[32];

	assert_int_equal(ask_tcp(method, url, given, got), status);
	assert_string_equal(got, code);
}

static void
a_token_says_who_calls_and_its_scope_what_they_may(void **state)
{
	(void)state;
	expect_tcp("GET", "/healthz", HOST, 200, "");
	expect_tcp("GET", "/readyz", HOST, 200, "");
	expect_tcp("GET", "/stats", HOST, 401, "unauthenticated");
	assert_non_null(strstr(answer, "WWW-Authenticate: Bearer"));
	expect_tcp("GET", "/stats", BEARER("wrong-token"), 401, "bad_token");
	expect_tcp("GET", "/stats", BEARER("read-toke"), 401, "bad_token");
	expect_tcp("GET", "/stats", BEARER("read-tokenn"), 401, "bad_token");
	expect_tcp("GET", "/stats", BEARER(""), 401, "bad_token");
	expect_tcp("GET", "/stats", HOST "Authorization: Basic cmVhZGVy\r\n", 401, "bad_token");
	expect_tcp("GET", "/stats", BEARER("read-token") "Authorization: Bearer boss-token\r\n", 401, "bad_token");
	expect_tcp("GET", "/stats", BEARER("read-token"), 200, "");
	expect_tcp("GET", "/stats", HOST "authorization: bearer read-token\r\n", 200, "");
	expect_tcp("PUT", "/log-level", HOST, 401, "unauthenticated");
	expect_tcp("PUT", "/log-level", BEARER("read-token"), 403, "forbidden");
	expect_tcp("PUT", "/log-level", BEARER("write-token"), 403, "forbidden");
	expect_tcp("PUT", "/log-level", BEARER("boss-token"), 400, "bad_request"); /* let in; there is no word */
}

static void
the_caller_learns_who_it_is_and_what_it_may(void **state)
{
	json_t *body;

	(void)state;
	expect_tcp("GET", "/v1/me", BEARER("write-token"), 200, "");
	assert_non_null(strstr(answer, "\"name\": \"writer\""));
	assert_non_null(strstr(answer, "\"by\": \"token\""));
	assert_non_null(strstr(answer, "\"scope\": \"write\""));
	assert_int_equal(ask("GET", "/v1/me", "", &body), 200);
	assert_string_equal(json_string_value(json_object_get(body, "by")), "unix");
	assert_string_equal(json_string_value(json_object_get(body, "scope")), "admin");
	json_decref(body);
	expect_tcp("GET", "/v1/me/can?method=PUT&path=/log-level", BEARER("write-token"), 200, "");
	assert_non_null(strstr(answer, "\"allowed\": false"));
	expect_tcp("GET", "/v1/me/can?method=PUT&path=%2flog%2Dlevel", BEARER("boss-token"), 200, "");
	assert_non_null(strstr(answer, "\"allowed\": true"));
	expect_tcp("GET", "/v1/me/can?method=PUT", BEARER("boss-token"), 400, "bad_request");
	expect_tcp("GET", "/v1/me/can?method=PUT&path=%00", BEARER("boss-token"), 400, "bad_request");
	expect_tcp("GET", "/v1/me/can?method=PUT&path=/nothing", BEARER("boss-token"), 404, "unknown_path");
}

static void
a_forged_host_is_refused(void **state)
{
	static const char *const good[] = { "127.0.0.1", "127.0.0.1:7480", "[::1]:80", "n1", "N1:1", "LOCALHOST",
		"cache.example:7480" };
	static const char *const bad[] = { "evil.example", "n1.evil.example", "127.0.0.1.evil.example", "n" };
	static const char *const malformed[] = { "", "n1:x", ":80", "[::1", "[::1]x" };
	char given[128];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		snprintf(given, sizeof given, "Host: %s\r\n", good[i]);
		expect_tcp("GET", "/healthz", given, 200, "");
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(given, sizeof given, "Host: %s\r\n", bad[i]);
		expect_tcp("GET", "/healthz", given, 421, "unknown_host");
	}
	for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
		snprintf(given, sizeof given, "Host: %s\r\n", malformed[i]);
		expect_tcp("GET", "/healthz", given, 400, "bad_host");
	}
	expect_tcp("GET", "/healthz", HOST HOST, 400, "bad_host");
	assert_int_equal(send_raw(open_tcp(), "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n"), 400);
	assert_int_equal(ask("GET", "/healthz", "", NULL), 200);
}

static void
malformed_and_oversized_requests_are_refused(void **state)
{
	static char huge[80000];

	(void)state;
	assert_int_equal(send_raw(open_unix(), "no http at all\r\n\r\n"), 400);
	assert_int_equal(send_raw(open_unix(), "GET /healthz HTTP/1.1\r\nHost n1\r\nConnection: close\r\n\r\n"), 400);
	assert_int_equal(send_raw(open_unix(), "PUT /log-level HTTP/1.1\r\nHost: n1\r\nContent-Length: x\r\n\r\n"), 400);
	assert_int_equal(send_raw(open_unix(), "PUT /log-level HTTP/1.1\r\nHost: n1\r\nContent-Length: 1000000\r\n\r\n"), 413);
	assert_int_equal(send_raw(open_unix(), "GET /healthz HTTP/1.1\r\nHost: n1\r\nContent-Length: 1\r\n\r\nx"), 413);
	assert_int_equal(send_raw(open_unix(), "PUT /log-level HTTP/1.1\r\nHost: n1\r\nConnection: close\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n50\r\n" "0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789\r\n0\r\n\r\n"), 413);
	strcpy(huge, "GET /healthz HTTP/1.1\r\nHost: n1\r\nX-Long: ");
	memset(huge + strlen(huge), 'x', 60000);
	strcat(huge, "\r\n\r\n");
	assert_in_range(send_raw(open_unix(), huge), 413, 431);
	assert_int_equal(ask("GET", "/healthz", "", NULL), 200); /* and the server is well */
}

static enum status
load_tokens(const char *text, mode_t mode, struct error *error)
{
	static struct tokens tokens;
	char name[64];

	snprintf(name, sizeof name, "/tmp/test_tokens.%d", (int)getpid());
	write_file(name, text, mode);
	enum status status = tokens_load(&tokens, name, error);
	unlink(name);
	return status;
}

/* SIGHUP comes down to this. */
static void
a_tokens_file_is_read_again_when_asked(void **state)
{
	static const char before[] = "# name scope token\nreader read read-token\n\nwriter\twrite write-token # of the job\n"
	    "boss admin boss-token\n";
	struct error error;

	(void)state;
	write_file(tokens_path, "reader write read-token\nnew read new-token\n", 0600);
	expect_tcp("GET", "/stats", BEARER("new-token"), 401, "bad_token");
	for (int i = 0; i < 3; i++) /* nobody looked at the former ones */
		assert_int_equal(api_reload(&config, security, &error), STATUS_OK);
	expect_tcp("GET", "/stats", BEARER("new-token"), 200, "");
	expect_tcp("GET", "/stats", BEARER("boss-token"), 401, "bad_token");
	expect_tcp("GET", "/v1/me", BEARER("read-token"), 200, "");
	assert_non_null(strstr(answer, "\"scope\": \"write\""));
	write_file(tokens_path, "reader nothing read-token\n", 0600);
	assert_int_equal(api_reload(&config, security, &error), STATUS_INVALID);
	assert_non_null(strstr(error.text, ":1: the scope must be"));
	expect_tcp("GET", "/stats", BEARER("new-token"), 200, "");
	write_file(tokens_path, before, 0600);
	assert_int_equal(api_reload(&config, security, &error), STATUS_OK);
	expect_tcp("GET", "/stats", BEARER("boss-token"), 200, "");
	assert_int_equal(api_reload(&config, NULL, &error), STATUS_OK);
}

static void
a_bad_tokens_file_names_its_line(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{ "a read\n", ":1: a line is: NAME SCOPE TOKEN" },
		{ "# x\na read 12345678 more\n", ":2: a line is: NAME SCOPE TOKEN" },
		{ "a none 12345678\n", ":1: the scope must be" },
		{ "a read 1234567\n", ":1: the token must be" },
		{ "a read 12345678\na write 87654321\n", ":2: the name stands on an earlier line" },
		{ "a read 12345678\nb write 12345678\n", ":2: the token stands on an earlier line" },
		{ "# nobody\n", "nobody could be let in" },
	};
	struct error error;

	(void)state;
	assert_int_equal(load_tokens("a read 12345678\nb admin -\n", 0600, &error), STATUS_OK);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(load_tokens(bad[i].text, 0600, &error), STATUS_INVALID);
		if (!strstr(error.text, bad[i].why))
			fail_msg("%s: %s", bad[i].text, error.text);
		assert_null(strstr(error.text, "12345678")); /* no secret in a message */
	}
	assert_int_equal(load_tokens("a read 12345678\n", 0640, &error), STATUS_INVALID);
	assert_non_null(strstr(error.text, "others may read it (mode 0640): chmod 600"));
}

/* --- metrics ---------------------------------------------------------------------------- */

static bool
is_name(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!(islower((unsigned char)text[i]) || text[i] == '_' || (i && isdigit((unsigned char)text[i]))))
			return false;
	return len > 0;
}

/*
 * The rules that promtool checks: HELP, TYPE, then samples of that family only; no family
 * twice; counters, and they alone, end in _total; base units.
 */
static void
metrics_keep_to_prometheus_conventions(void **state)
{
	static const char *const units[] = { "_milliseconds", "_ms", "_kilobytes", "_cycles", "_minutes", NULL };
	char family[128] = "", type[16] = "", seen[1 << 15] = " ", word[160];
	int samples = 0;

	(void)state;
	assert_int_equal(ask("GET", "/metrics", "", NULL), 200);
	assert_non_null(strstr(answer, "Content-Type: text/plain; version=0.0.4"));
	char *text = strdup(body_of_answer()), *rest;
	assert_true(text[strlen(text) - 1] == '\n');
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(line, "# HELP ", 7) == 0) {
			assert_int_equal(sscanf(line, "# HELP %127s %*c", family), 1);
			assert_true(strlen(line) > 8 + strlen(family)); /* and a text */
			snprintf(word, sizeof word, " %s ", family);
			if (strstr(seen, word))
				fail_msg("%s stands twice", family);
			strcat(seen, word + 1);
			type[0] = '\0';
		} else if (strncmp(line, "# TYPE ", 7) == 0) {
			assert_int_equal(sscanf(line, "# TYPE %127s %15s", word, type), 2);
			assert_string_equal(word, family);
			size_t len = strlen(family);
			assert_true(is_name(family, len));
			bool total = len > 6 && strcmp(family + len - 6, "_total") == 0;
			if (total != (strcmp(type, "counter") == 0))
				fail_msg("%s is a %s", family, type);
			for (int i = 0; units[i]; i++)
				assert_null(strstr(family, units[i]));
		} else {
			size_t len = strcspn(line, "{ ");
			char *end;

			assert_true(*type && len == strlen(family) && strncmp(line, family, len) == 0);
			strtod(strrchr(line, ' ') + 1, &end);
			assert_true(*end == '\0');
			samples++;
		}
	}
	free(text);
	assert_in_range(samples, COUNTER_COUNT, 10000);
}

static void
metrics_are_the_counters(void **state)
{
	static const char *const lines[] = { "slipring_cmd_get_total{worker=\"1\"} 7\n",
		"slipring_dropped_frames_total{worker=\"0\",reason=\"runt\"} 1\n", "slipring_store_items{worker=\"1\"} 10\n",
		"slipring_store_refused_memory_total{worker=\"0\"} 0\n", "slipring_store_refused_retired_total{worker=\"1\"} 0\n",
		"slipring_worker_stalled{worker=\"0\"} 0\n", "slipring_port_rx_missed_frames_total{worker=\"0\"} 5\n",
		"slipring_build_info{version=\"" SLIPRING_VERSION "\",node=\"n1\"} 1\n" };
	char name[128];

	(void)state;
	assert_int_equal(ask("GET", "/metrics", "", NULL), 200);
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		if (!strstr(answer, lines[i]))
			fail_msg("no line %s", lines[i]);
	for (int c = 0; c < COUNTER_COUNT; c++) {
		if (counter_is_cycles(c) || (c >= COUNTER_CLUSTER_PACKETS_IN && c <= COUNTER_CLUSTER_REPLAYED))
			continue; /* the latter have labels, in a cluster (test_api_cluster.c) */
		snprintf(name, sizeof name, "\nslipring_%s_total%s ", counter_name(c),
		    counter_is_core(c) ? "" : "{worker=\"0\"}");
		assert_non_null(strstr(answer, name));
	}
}

/* --- one table: document, openapi and replies --------------------------------------------- */

static void
the_reference_is_the_table(void **state)
{
	char *text = NULL, *page;
	size_t len = 0, got;
	FILE *out = open_memstream(&text, &len), *file = fopen("doc/HTTP.md", "r");

	(void)state;
	assert_non_null(file);
	openapi_reference(out);
	fclose(out);
	page = calloc(1, len + 2);
	got = fread(page, 1, len + 1, file);
	fclose(file);
	if (got != len || memcmp(page, text, len) != 0)
		fail_msg("doc/HTTP.md is not what the table says; write it anew: slipringd --dump-http-md >doc/HTTP.md");
	free(page);
	free(text);
}

static void
replies_are_what_openapi_says(void **state)
{
	json_t *document, *body;

	(void)state;
	assert_int_equal(ask("GET", "/openapi.json", "", &document), 200);
	for (int i = 0; i < ROUTE_COUNT; i++) {
		bool get = strcmp(routes[i].method, "GET") == 0;

		if (strcmp(routes[i].method, "POST") == 0 || routes[i].reply == REPLY_EVENTS)
			continue; /* test_api_cluster.c */
		if (strncmp(routes[i].path, "/v1/cache", 9) == 0)
			continue; /* they have a test of their own */
		json_t *schema = at(document, (const char *const []){ "paths", routes[i].path, get ? "get" : "put", "responses",
		    "200", "content", "application/json", "schema", NULL });
		char url[128];

		if (routes[i].reply == REPLY_TEXT) {
			assert_null(schema);
			continue;
		}
		assert_non_null(schema);
		snprintf(url, sizeof url, "%.*s%s%s", (int)strcspn(routes[i].path, "{"), routes[i].path,
		    strchr(routes[i].path, '{') ? "k" : "", i == ROUTE_ME_CAN ? "?method=GET&path=/stats" : "");
		assert_int_equal(ask(routes[i].method, url, get ? "" : "error", &body), 200);
		if (routes[i].reply == REPLY_LIST) {
			assert_true(json_array_size(body) > 0);
			expect_members(routes[i].path, json_array_get(body, 0), json_object_get(schema, "items"));
		} else {
			expect_members(routes[i].path, body, schema);
		}
		json_decref(body);
	}
	json_decref(document);
}

static void
every_route_asks_for_its_scope(void **state)
{
	static const struct {
		enum control_scope scope;
		const char *given;
	} callers[] = { { SCOPE_NONE, HOST }, { SCOPE_READ, BEARER("read-token") }, { SCOPE_WRITE, BEARER("write-token") },
		{ SCOPE_ADMIN, BEARER("boss-token") } };
	char code[32];

	(void)state;
	for (int i = 0; i < ROUTE_COUNT; i++)
		for (size_t c = 0; c < sizeof callers / sizeof *callers; c++) {
			int status = ask_tcp(routes[i].method, routes[i].path, callers[c].given, code);
			int refused = callers[c].scope == SCOPE_NONE ? 401 : 403;

			if ((status == 401 || status == 403) != (callers[c].scope < routes[i].scope) ||
			    (callers[c].scope < routes[i].scope && status != refused))
				fail_msg("%s %s with scope %s: %d", routes[i].method, routes[i].path,
				    scope_name(callers[c].scope), status);
		}
}

static void
the_configuration_is_told_without_secrets(void **state)
{
	json_t *body;
	bool found = false;

	(void)state;
	assert_int_equal(ask("GET", "/config", "", &body), 200);
	assert_int_equal(json_array_size(body), CONFIG_KEY_COUNT);
	for (size_t i = 0; i < json_array_size(body); i++) {
		json_t *key = json_array_get(body, i);

		if (strcmp(json_string_value(json_object_get(key, "key")), "control.tokens_file") != 0)
			continue;
		assert_string_equal(json_string_value(json_object_get(key, "value")), tokens_path);
		found = true;
	}
	assert_true(found);
	assert_null(strstr(answer, "boss-token"));
	json_decref(body);
}

/* --- the cache over HTTP, short of the cache -------------------------------------------------- */

static void
the_caches_statuses_have_their_http_statuses(void **state)
{
	static const struct {
		int status, http;
		const char *code;
	} known[] = { { OP_STATUS_NOT_FOUND, 404, "not_found" }, { OP_STATUS_EXISTS, 412, "exists" },
		{ OP_STATUS_NOT_STORED, 412, "not_stored" }, { OP_STATUS_TOO_LARGE, 413, "too_large" },
		{ OP_STATUS_BAD_KEY, 400, "bad_key" }, { OP_STATUS_OUT_OF_MEMORY, 507, "out_of_memory" },
		{ OP_STATUS_BUSY, 503, "busy" }, { OP_STATUS_CHANGED, 503, "changed" }, { CACHE_TIMEOUT, 504, "timeout" },
		{ OP_STATUS_WRONG_SLOT, 500, "wrong_slot" } };
	static const char *const methods[] = { "GET", "PUT", "DELETE" };

	(void)state;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		for (size_t m = 0; m < sizeof methods / sizeof *methods; m++) {
			cache_answer = (struct cache_op){ .status = known[i].status };
			expect_tcp(methods[m], "/v1/cache/k", BEARER("boss-token"), known[i].http, known[i].code);
		}
	cache_full = true;
	expect_tcp("GET", "/v1/cache/k", BEARER("boss-token"), 503, "busy");
	cache_full = false;
	cache_answer = (struct cache_op){ .status = OP_STATUS_OK };
	expect_tcp("POST", "/v1/cache/clear", BEARER("write-token"), 403, "forbidden");
	expect_tcp("POST", "/v1/cache/clear", BEARER("boss-token"), 200, "");
	assert_int_equal(cache_asked.op, OP_FLUSH);
}

static void
headers_become_conditions_and_items_headers(void **state)
{
	(void)state;
	cache_answer = (struct cache_op){ .status = OP_STATUS_OK, .version = UINT64_MAX, .ttl_ms = 7, .total_len = 5 };
	expect_tcp("GET", "/v1/cache/k", BEARER("read-token"), 200, "");
	assert_non_null(strstr(answer, "ETag: \"18446744073709551615\"\r\n"));
	assert_non_null(strstr(answer, "Slipring-TTL-Ms: 7\r\n"));
	assert_string_equal(body_of_answer(), "value");
	expect_tcp("HEAD", "/v1/cache/k", BEARER("read-token"), 200, "");
	assert_int_equal(cache_asked.op, OP_META);
	assert_non_null(strstr(answer, "Content-Length: 5\r\n"));
	expect_tcp("PUT", "/v1/cache/k", BEARER("read-token"), 403, "forbidden");
	expect_tcp("PUT", "/v1/cache/k", BEARER("write-token") "If-Match: \"12\"\r\nSlipring-Flags: 9\r\n", 200, "");
	assert_true(cache_asked.flags == REQUEST_CAS && cache_asked.version == 12 && cache_asked.client_flags == 9);
	expect_tcp("PUT", "/v1/cache/k", BEARER("write-token") "If-None-Match: *\r\nSlipring-TTL-Ms: 3\r\n", 200, "");
	assert_true(cache_asked.flags == REQUEST_ADD && cache_asked.ttl_ms == 3);
	expect_tcp("PUT", "/v1/cache/k", BEARER("write-token") "If-Match: \"18446744073709551616\"\r\n", 400, "bad_request");
	expect_tcp("DELETE", "/v1/cache/k", BEARER("write-token") "If-None-Match: *\r\n", 400, "bad_request");
}

static void
base64_is_canonical_or_refused(void **state)
{
	static const char *const bad[] = { "A", "AA", "AA=", "A===", "AB==", "AAB=", "AA=A", "A=AA", "AA==AAAA", "A-AA", "AA\nA" };
	uint8_t bytes[256], out[256];
	char text[BASE64_LEN(256) + 1];

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 37);
	for (size_t len = 0; len < sizeof bytes; len++) {
		base64_encode(bytes, len, text);
		assert_int_equal(base64_decode(text, BASE64_LEN(len), out), len);
		assert_memory_equal(out, bytes, len);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (base64_decode(bad[i], strlen(bad[i]), out) != BASE64_BAD)
			fail_msg("%s was taken", bad[i]);
}

static void
percent_encoding_is_undone_or_refused(void **state)
{
	uint8_t out[8];

	(void)state;
	assert_int_equal(percent_decode("a%00%fF+", 8, false, out, 8), 4);
	assert_memory_equal(out, "a\0\xff+", 4);
	assert_int_equal(percent_decode("a+b", 3, true, out, 8), 3);
	assert_memory_equal(out, "a b", 3);
	assert_true(percent_decode("%", 1, false, out, 8) == PERCENT_BAD);
	assert_true(percent_decode("%4", 2, false, out, 8) == PERCENT_BAD);
	assert_true(percent_decode("%4g", 3, false, out, 8) == PERCENT_BAD);
	assert_int_equal(percent_decode("%41", 3, false, out, 1), 1);
	assert_true(percent_decode("ab", 2, false, out, 1) == PERCENT_BAD);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_says_who_calls_and_its_scope_what_they_may),
		cmocka_unit_test(the_caller_learns_who_it_is_and_what_it_may),
		cmocka_unit_test(a_forged_host_is_refused),
		cmocka_unit_test(malformed_and_oversized_requests_are_refused),
		cmocka_unit_test(a_bad_tokens_file_names_its_line),
		cmocka_unit_test(a_tokens_file_is_read_again_when_asked),
		cmocka_unit_test(metrics_keep_to_prometheus_conventions),
		cmocka_unit_test(metrics_are_the_counters),
		cmocka_unit_test(the_reference_is_the_table),
		cmocka_unit_test(replies_are_what_openapi_says),
		cmocka_unit_test(every_route_asks_for_its_scope),
		cmocka_unit_test(the_configuration_is_told_without_secrets),
		cmocka_unit_test(the_caches_statuses_have_their_http_statuses),
		cmocka_unit_test(headers_become_conditions_and_items_headers),
		cmocka_unit_test(base64_is_canonical_or_refused),
		cmocka_unit_test(percent_encoding_is_undone_or_refused),
	};

	return cmocka_run_group_tests_name("control", tests, start, stop);
}
