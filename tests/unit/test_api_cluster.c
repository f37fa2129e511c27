/*
 * Unit tests of the control plane of a node in a cluster: five members, a real partition
 * table, and a control core that notes what it is asked to do.
 */
#include <poll.h>

#include "api_cluster_rig.h"
#include "app/slipringd/api_events.h"

/* --- looking ----------------------------------------------------------------------------- */

static void
the_status_is_what_people_expect(void **state)
{
	(void)state;
	expect_json(get("/cluster/status", "/cluster/status"),
	    "{\"node_id\": \"n1\", \"node_count\": 4, \"dead_nodes\": [\"n4\"], \"ring_size\": 256, \"epoch\": 7,"
	    " \"replication_factor\": 2, \"read_repair_enabled\": false, \"peers\": ["
	    "{\"node_id\": \"n2\", \"api_addr\": \"10.9.0.2:7411\", \"phi\": 0.25, \"status\": \"Alive\", \"incarnation\": 2},"
	    "{\"node_id\": \"n3\", \"api_addr\": \"10.9.0.3:7411\", \"phi\": 9.5, \"status\": \"Suspected\", \"incarnation\": 3},"
	    "{\"node_id\": \"n4\", \"api_addr\": \"10.9.0.4:7411\", \"phi\": 300.0, \"status\": \"Dead\", \"incarnation\": 4},"
	    "{\"node_id\": \"n5\", \"api_addr\": \"10.9.0.5:7411\", \"phi\": 0.0, \"status\": \"Joining\", \"incarnation\": 5}]}");
}

static void
members_are_told_with_their_addresses(void **state)
{
	json_t *body = get("/cluster/members", "/cluster/members"), *members = json_object_get(body, "members");

	(void)state;
	assert_int_equal(json_array_size(members), MEMBERS);
	assert_int_equal(json_integer_value(json_object_get(body, "version")), 21);
	json_incref(json_array_get(members, 0));
	expect_json(json_array_get(members, 0), "{\"node_id\": \"n1\", \"status\": \"Alive\", \"phi\": 0.0, \"incarnation\": 1,"
	    " \"address\": \"10.9.0.1:7946\", \"api_addr\": \"10.9.0.1:7411\", \"self\": true, \"weight\": 64, \"rack\": 0,"
	    " \"boot\": \"000000000000b007\"}");
	json_decref(body);
}

static void
the_heartbeat_says_when_each_peer_was_heard(void **state)
{
	json_t *body = get("/cluster/heartbeat", "/cluster/heartbeat"), *peers = json_object_get(body, "peers");

	(void)state;
	assert_int_equal(json_array_size(peers), MEMBERS - 1);
	assert_true(json_real_value(json_object_get(body, "interval_ms")) == 50);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(peers, 0), "last_heard_ms")), 30);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(peers, 2), "last_heard_ms")), 90);
	assert_true(json_is_null(json_object_get(json_array_get(peers, 3), "last_heard_ms")));
	json_decref(body);
}

static void
the_ring_says_who_owns_how_much(void **state)
{
	json_t *body = get("/cluster/ring", "/cluster/ring"), *members = json_object_get(body, "members"), *member;
	json_int_t slots = 0, firsts = 0;
	double share = 0;
	char digest[20];
	size_t i;

	(void)state;
	assert_int_equal(json_array_size(members), 4);
	json_array_foreach(members, i, member) {
		slots += json_integer_value(json_object_get(member, "slots"));
		firsts += json_integer_value(json_object_get(member, "first_slots"));
		share += json_real_value(json_object_get(member, "share"));
		if (strcmp(json_string_value(json_object_get(member, "node_id")), "n3") == 0)
			assert_string_equal(json_string_value(json_object_get(member, "status")), "Suspected");
	}
	assert_int_equal(slots, 2 * SLOT_COUNT);
	assert_int_equal(firsts, SLOT_COUNT);
	assert_true(share > 0.999 && share < 1.001);
	snprintf(digest, sizeof digest, "%016llx", (unsigned long long)fixed_ring.topology.digest);
	assert_string_equal(json_string_value(json_object_get(body, "digest")), digest);
	assert_true(json_is_null(json_object_get(body, "slots")));
	json_decref(body);
}

static void
the_whole_table_comes_when_it_is_asked_for(void **state)
{
	json_t *body = get("/cluster/ring?slots=true", "/cluster/ring"), *ranks = json_object_get(body, "slots");

	(void)state;
	assert_int_equal(json_array_size(ranks), 2);
	for (unsigned n = 0; n < 2; n++)
		for (uint16_t slot = 0; slot < SLOT_COUNT; slot++)
			assert_int_equal(json_integer_value(json_array_get(json_array_get(ranks, n), slot)),
			    ring_owner(&fixed_ring.table, slot, n));
	json_decref(body);
	assert_int_equal(ask("GET", "/cluster/ring?slots=maybe", "", &body), 400);
	json_decref(body);
}

static void
a_key_has_its_owners_in_order(void **state)
{
	static const char *const keys[] = { "greeting", "%7Btag%7Dx", "a%00b", "%ff" };
	uint8_t key[8];
	json_t *body;
	char url[64];

	(void)state;
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		size_t len = percent_decode(keys[i], strlen(keys[i]), false, key, sizeof key);
		uint16_t slot = slot_of_key(view_of(key, (uint32_t)len));

		snprintf(url, sizeof url, "/v1/owners/%s", keys[i]);
		body = get(url, "/v1/owners/{key}");
		assert_int_equal(json_integer_value(json_object_get(body, "slot")), slot);
		assert_int_equal(json_integer_value(json_object_get(body, "epoch")), 7);
		assert_int_equal(json_array_size(json_object_get(body, "owners")), 2);
		for (unsigned n = 0; n < 2; n++)
			assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(body, "owners"), n),
			    "node_id")), owner_of(slot, n));
		assert_string_equal(json_string_value(json_object_get(body, "key_encoding")), i == 3 ? "base64" : "utf-8");
		json_decref(body);
	}
	assert_int_equal(ask("GET", "/v1/owners/%", "", &body), 400);
	assert_string_equal(json_string_value(json_object_get(body, "code")), "bad_key");
	json_decref(body);
}

static void
cache_replies_name_the_owners(void **state)
{
	uint16_t slot = slot_of_key(view_text("k"));
	char line[64];

	(void)state;
	cache_answer = (struct cache_op){ .status = OP_STATUS_OK, .version = 1, .total_len = 5 };
	snprintf(line, sizeof line, "Slipring-Owners: %s, %s\r\n", owner_of(slot, 0), owner_of(slot, 1));
	assert_int_equal(ask("GET", "/v1/cache/k", "", NULL), 200);
	assert_non_null(strstr(answer, line));
	assert_non_null(strstr(answer, "Slipring-Epoch: 7\r\n"));
	cache_answer = (struct cache_op){ .status = OP_STATUS_NOT_FOUND };
	assert_int_equal(ask("DELETE", "/v1/cache/k", "", NULL), 404);
	assert_non_null(strstr(answer, line));
}

static void
figures_are_told_as_json(void **state)
{
	json_t *body;

	(void)state;
	fixed_view.counters.packets_in = 5;
	fixed_view.counters.refused[ENVELOPE_FORGED] = 3;
	fixed_core_counters.values[COUNTER_FORWARD_ANSWERED] = 11;
	body = get("/dist/metrics", "/dist/metrics");
	assert_int_equal(json_integer_value(at(body, (const char *const []){ "forwarded", "forward_answered", NULL })), 11);
	assert_int_equal(json_integer_value(at(body, (const char *const []){ "gossip", "packets_in", NULL })), 5);
	assert_int_equal(json_integer_value(at(body, (const char *const []){ "refused", "forged", NULL })), 3);
	assert_int_equal(json_integer_value(at(body, (const char *const []){ "members", "Alive", NULL })), 2);
	json_decref(body);
	body = get("/debug/vars", "/debug/vars");
	assert_int_equal(json_integer_value(json_object_get(body, "era")), 7);
	json_decref(body);
}

static void
metrics_tell_of_every_peer(void **state)
{
	static const char *const lines[] = { "slipring_cluster_epoch 7\n", "slipring_peer_phi{peer=\"n3\"} 9.5\n",
		"slipring_peer_state{peer=\"n3\",state=\"suspected\"} 1\n", "slipring_peer_state{peer=\"n3\",state=\"alive\"} 0\n",
		"slipring_cluster_refused_packets_total{reason=\"forged\"} 3\n", "slipring_cluster_packets_total{direction=\"in\"} 5\n",
		"slipring_cluster_members{state=\"alive\"} 2\n",
		"slipring_forward_answered_total 11\n", "slipring_cluster_phase{phase=\"member\"} 1\n" };

	(void)state;
	assert_int_equal(ask("GET", "/metrics", "", NULL), 200);
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		if (!strstr(answer, lines[i]))
			fail_msg("no line %s", lines[i]);
	assert_null(strstr(answer, "peer=\"n1\""));
}

/* --- readiness --------------------------------------------------------------------------- */

static void
expect_ready(int status, const char *reason)
{
	json_t *body;

	assert_int_equal(ask("GET", "/readyz", "", &body), status);
	if (*reason)
		assert_non_null(strstr(json_string_value(json_array_get(json_object_get(body, "reasons"), 0)), reason));
	else
		assert_int_equal(json_array_size(json_object_get(body, "reasons")), 0);
	json_decref(body);
}

static void
a_node_is_ready_only_as_a_member_with_a_table(void **state)
{
	static const char *const reasons[] = { "joining", "", "draining", "leaving", "left", "refused" };

	(void)state;
	for (int phase = CORE_JOINING; phase <= CORE_REFUSED; phase++) {
		fixed_view.phase = (enum core_phase)phase;
		expect_ready(phase == CORE_MEMBER ? 200 : 503, reasons[phase]);
	}
	fixed_view.phase = CORE_MEMBER;
	fixed_placed = false;
	expect_ready(503, "warming");
	fixed_placed = true;
}

static void
without_a_table_nobody_owns_anything(void **state)
{
	json_t *body;

	(void)state;
	fixed_placed = false;
	assert_int_equal(ask("GET", "/cluster/ring?slots=true", "", &body), 200);
	assert_int_equal(json_integer_value(json_object_get(body, "epoch")), 0);
	assert_int_equal(json_array_size(json_object_get(body, "members")), 0);
	assert_int_equal(json_array_size(json_object_get(body, "slots")), 0);
	json_decref(body);
	assert_int_equal(ask("GET", "/v1/owners/k", "", &body), 503);
	assert_string_equal(json_string_value(json_object_get(body, "code")), "no_topology");
	json_decref(body);
	fixed_placed = true;
	assert_int_equal(ask("GET", "/cluster/ring", "", NULL), 200);
}

/* --- commands ---------------------------------------------------------------------------- */

static void
expect_command(const char *url, const char *body_given, int status, const char *code)
{
	json_t *body;
	int got = ask("POST", url, body_given, &body);

	if (got != status || (status == 202) != json_is_true(json_object_get(body, "accepted")) ||
	    (status != 202 && strcmp(json_string_value(json_object_get(body, "code")), code) != 0))
		fail_msg("%s %s: %d %s", url, body_given, got, json_dumps(body, 0));
	if (got == 202) {
		json_t *document;

		assert_int_equal(ask("GET", "/openapi.json", "", &document), 200);
		expect_members(url, body, at(document, (const char *const []){ "paths", url, "post", "responses", "202", "content",
		    "application/json", "schema", NULL }));
		json_decref(document);
	}
	json_decref(body);
}

static void
join_takes_the_address_of_a_node(void **state)
{
	static const char *const bad[] = { "", "n2", "n2:7946", "10.9.0", "10.9.0.2:", "10.9.0.2:0", "10.9.0.2:65536",
		"10.9.0.2:7946x", "10.9.0.2:-1", "10.9.0.256:1", "0.0.0.0:7946", "224.0.0.1:7946", "255.255.255.255:1", "fe80::1",
		"[fe80::1]:7946", "n2@10.9.0.2:7946", " 10.9.0.2:1", "10.9.0.2 ", "\\u0001",
		"1111111111111111111111111111111111111111111111111111111111111111:1" };
	struct peer_address wanted = address_of(2, 7000);
	char body[128];

	(void)state;
	expect_command("/cluster/join", "{\"address\": \"10.9.0.2:7000\"}", 202, "");
	assert_int_equal(command_given.kind, CLUSTER_JOIN);
	assert_true(peer_address_equal(&command_given.address, &wanted));
	expect_command("/cluster/join", "{\"address\": \"10.9.0.2\"}", 202, "");
	assert_int_equal(command_given.address.port, 7946);
	memset(&command_given, 0, sizeof command_given);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(body, sizeof body, "{\"address\": \"%s\"}", bad[i]);
		expect_command("/cluster/join", body, 400, "bad_address");
	}
	expect_command("/cluster/join", "", 400, "bad_request");
	expect_command("/cluster/join", "10.9.0.2:7000", 400, "bad_request");
	expect_command("/cluster/join", "{\"address\": 1}", 400, "bad_request");
	expect_command("/cluster/join", "{\"address\": \"10.9.0.2\", \"force\": true}", 400, "bad_request");
	expect_command("/cluster/join", "{\"address\": \"10.9.0.2\", \"address\": \"10.9.0.3\"}", 400, "bad_request");
	assert_int_equal(command_given.kind, 0); /* and nothing was asked of the core */
}

static void
probe_takes_a_member(void **state)
{
	(void)state;
	expect_command("/cluster/probe", "{\"node_id\": \"n3\"}", 202, "");
	assert_int_equal(command_given.kind, CLUSTER_PROBE);
	assert_true(command_given.id == ring_member_id("n3", 2));
	memset(&command_given, 0, sizeof command_given);
	expect_command("/cluster/probe", "{\"node_id\": \"n9\"}", 404, "unknown_node");
	expect_command("/cluster/probe", "{\"node_id\": \"\"}", 404, "unknown_node");
	expect_command("/cluster/probe", "{\"node_id\": \"n1\"}", 409, "is_this_node");
	expect_command("/cluster/probe", "{\"node\": \"n3\"}", 400, "bad_request");
	expect_command("/cluster/probe", "[]", 400, "bad_request");
	assert_int_equal(command_given.kind, 0);
}

static void
leave_and_drain_are_for_members(void **state)
{
	static const int leave[] = { 409, 202, 202, 202, 409, 409 }, drain[] = { 409, 202, 202, 409, 409, 409 };

	(void)state;
	for (int phase = CORE_JOINING; phase <= CORE_REFUSED; phase++) {
		fixed_view.phase = (enum core_phase)phase;
		memset(&command_given, 0, sizeof command_given);
		expect_command("/cluster/leave", "", leave[phase], "not_member");
		assert_int_equal(command_given.kind, leave[phase] == 202 ? CLUSTER_LEAVE : 0);
		memset(&command_given, 0, sizeof command_given);
		expect_command("/cluster/drain", "", drain[phase], "not_member");
		assert_int_equal(command_given.kind, drain[phase] == 202 ? CLUSTER_DRAIN : 0);
	}
	fixed_view.phase = CORE_MEMBER;
	core_is_busy = true;
	expect_command("/cluster/leave", "", 503, "busy");
	core_is_busy = false;
}

/* --- events ------------------------------------------------------------------------------ */

static void
happen(enum cluster_news news, const char *id, uint8_t state)
{
	struct core_event *event = &fixed_events[fixed_event_count];

	*event = (struct core_event){ .sequence = fixed_event_count + 1, .wall_ms = 1234, .news = news, .state = state,
		.state_before = state ? PEER_ALIVE : 0, .epoch = 7 };
	snprintf(event->id, sizeof event->id, "%s", id);
	fixed_event_count++;
}

/* Opens a stream; what comes is read by wait_for. */
static int
listen_to(const char *url, const char *more)
{
	char request[256];
	int fd = open_unix();

	snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: n1\r\n%s\r\n", url, more);
	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	answer[0] = '\0';
	return fd;
}

/* Appends what comes to `answer` until the text stands there. */
static void
wait_for(int fd, const char *text)
{
	size_t len = strlen(answer);

	while (!strstr(answer, text)) {
		struct pollfd one = { fd, POLLIN, 0 };

		if (poll(&one, 1, 3000) != 1)
			fail_msg("no %s in:\n%s", text, answer);
		ssize_t got = read(fd, answer + len, sizeof answer - 1 - len);
		if (got <= 0)
			fail_msg("the end before %s in:\n%s", text, answer);
		len += (size_t)got;
		answer[len] = '\0';
	}
}

static void
events_come_as_they_happen(void **state)
{
	json_t *document, *data;
	int fd;

	(void)state;
	happen(CLUSTER_STATE, "n2", PEER_SUSPECTED);
	fd = listen_to("/cluster/events", "");
	wait_for(fd, "retry: 1000\n\n");
	assert_non_null(strstr(answer, "Content-Type: text/event-stream"));
	assert_null(strstr(answer, "id: 1")); /* it was before */
	happen(CLUSTER_STATE, "n3", PEER_DEAD);
	wait_for(fd, "id: 2\nevent: state\ndata: ");
	wait_for(fd, "\n\n");
	happen(0, "", 0);
	wait_for(fd, "id: 3\nevent: epoch\n");
	close(fd);
	assert_int_equal(ask("GET", "/openapi.json", "", &document), 200);
	assert_int_equal(ask("GET", "/cluster/events?since=1&follow=false", "", NULL), 200);
	data = json_loads(strstr(answer, "data: ") + 6, JSON_DISABLE_EOF_CHECK, NULL);
	expect_members("/cluster/events", data, at(document, (const char *const []){ "paths", "/cluster/events", "get",
	    "responses", "200", "content", "text/event-stream", "schema", NULL }));
	json_decref(document);
	expect_json(data, "{\"sequence\": 2, \"time_ms\": 1234, \"event\": \"state\", \"node_id\": \"n3\", \"status\": \"Dead\","
	    " \"status_before\": \"Alive\", \"incarnation\": 0, \"epoch\": 7, \"duration_ms\": 0.0}");
}

static void
a_listener_that_comes_back_misses_nothing_or_is_told(void **state)
{
	(void)state;
	while (fixed_event_count < 10)
		happen(CLUSTER_STATE, "n2", PEER_ALIVE);
	int fd = listen_to("/cluster/events?follow=false", "Last-Event-ID: 7\r\n");
	wait_for(fd, "id: 10\n");
	close(fd);
	assert_null(strstr(answer, "id: 7\n"));
	assert_non_null(strstr(answer, "id: 8\n"));
	while (fixed_event_count < CORE_EVENTS + 20)
		happen(CLUSTER_STATE, "n2", PEER_ALIVE);
	assert_int_equal(ask("GET", "/cluster/events?since=10&follow=false", "", NULL), 200);
	assert_non_null(strstr(answer, "event: missed\ndata: {\"from\":11,\"to\":20}\n\nid: 21\n"));
	assert_non_null(strstr(answer, "id: 1044\n"));
	assert_int_equal(ask("GET", "/cluster/events?since=99999&follow=false", "", NULL), 200);
	assert_non_null(strstr(answer, "event: reset\ndata: {\"next\":21}\n\nid: 21\n"));
	assert_int_equal(ask("GET", "/cluster/events?since=0&follow=false", "", NULL), 200);
	assert_null(strstr(answer, "event: missed"));
	assert_int_equal(ask("GET", "/cluster/events?follow=false", "", NULL), 200);
	assert_null(strstr(answer, "id: "));
}

static void
a_bad_event_number_is_refused(void **state)
{
	static const char *const bad[] = { "since=x", "since=", "since=-1", "since=18446744073709551616", "since", "follow=1",
		"since=%00", "since=1&follow=falsefalse" };
	char url[96], code[32];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(url, sizeof url, "/cluster/events?%s", bad[i]);
		assert_int_equal(ask_tcp("GET", url, "Host: localhost\r\nAuthorization: Bearer read-token\r\n", code), 400);
		assert_string_equal(code, "bad_event_id");
	}
	assert_int_equal(ask_tcp("GET", "/cluster/events", "Host: localhost\r\nAuthorization: Bearer read-token\r\n"
	    "Last-Event-ID: one\r\n", code), 400);
}

/* One more than may listen is refused; the place of one who hung up is free again. */
static void
listeners_are_bounded(void **state)
{
	int fds[API_LISTENERS_MAX], status = 0;
	json_t *body;

	(void)state;
	usleep(3 * HTTP_STREAM_STEP_MS * 1000); /* those of the tests before are gone */
	for (int i = 0; i < API_LISTENERS_MAX; i++) {
		fds[i] = listen_to("/cluster/events", "");
		wait_for(fds[i], "retry: 1000\n\n");
	}
	assert_int_equal(ask("GET", "/cluster/events", "", &body), 503);
	assert_string_equal(json_string_value(json_object_get(body, "code")), "too_many_listeners");
	json_decref(body);
	assert_int_equal(ask("GET", "/healthz", "", NULL), 200); /* the rest goes on */
	close(fds[3]);
	for (int tries = 0; tries < 50 && status != 200; tries++) {
		usleep(20000);
		status = ask("GET", "/cluster/events?since=0&follow=false", "", NULL);
	}
	assert_int_equal(status, 200);
	happen(CLUSTER_STATE, "n4", PEER_LEFT);
	for (int i = 0; i < API_LISTENERS_MAX; i++) {
		if (i == 3)
			continue;
		answer[0] = '\0';
		wait_for(fds[i], "\"node_id\":\"n4\"");
		close(fds[i]);
	}
}

/* Left open on purpose: stop() must end it. */
static void
a_stream_does_not_outlive_the_server(void **state)
{
	(void)state;
	wait_for(listen_to("/cluster/events", ""), "retry: 1000\n\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_status_is_what_people_expect),
		cmocka_unit_test(members_are_told_with_their_addresses),
		cmocka_unit_test(the_heartbeat_says_when_each_peer_was_heard),
		cmocka_unit_test(the_ring_says_who_owns_how_much),
		cmocka_unit_test(the_whole_table_comes_when_it_is_asked_for),
		cmocka_unit_test(a_key_has_its_owners_in_order),
		cmocka_unit_test(cache_replies_name_the_owners),
		cmocka_unit_test(figures_are_told_as_json),
		cmocka_unit_test(metrics_tell_of_every_peer),
		cmocka_unit_test(a_node_is_ready_only_as_a_member_with_a_table),
		cmocka_unit_test(without_a_table_nobody_owns_anything),
		cmocka_unit_test(join_takes_the_address_of_a_node),
		cmocka_unit_test(probe_takes_a_member),
		cmocka_unit_test(leave_and_drain_are_for_members),
		cmocka_unit_test(events_come_as_they_happen),
		cmocka_unit_test(a_listener_that_comes_back_misses_nothing_or_is_told),
		cmocka_unit_test(a_bad_event_number_is_refused),
		cmocka_unit_test(listeners_are_bounded),
		cmocka_unit_test(a_stream_does_not_outlive_the_server),
	};

	return cmocka_run_group_tests_name("api_cluster", tests, start_clustered, stop);
}
