/* Unit tests of lib/proto/peer: what is written is read, what is newer is skipped, what is wrong is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/peer.h"

static struct peer_record
record_of(const char *id)
{
	struct peer_record record = { .boot = 5, .accuser = 6, .incarnation = 7, .rack = 8, .age_s = 9, .weight = 64, .workers = 3,
		.state = PEER_SUSPECTED, .address = { .port = 7946 }, .id_len = (uint8_t)strlen(id) };

	memcpy(record.id, id, record.id_len);
	return record;
}

static void
a_packet_is_read_back(void **state)
{
	struct peer_header header = { .sender = 1, .to_boot = 2, .epoch = 3, .epoch_digest = 4, .table_digest = 5,
		.incarnation = 6, .state = PEER_ALIVE }, header_read = { 0 };
	struct peer_ballot ballot = { .base = 1, .base_digest = 2, .epoch = 3, .digest = 4, .proposer = 5,
		.accepted_proposer = 6, .accepted_digest = 7, .floor = 8, .round = 9, .accepted_round = 10,
		.kind = PEER_PROMISE }, ballot_read = { 0 };
	struct peer_record record = record_of("n1"), record_read = { 0 };
	uint8_t bytes[PEER_PAYLOAD_MAX], *opened;
	struct writer out = writer_of(bytes, sizeof bytes);
	struct peer_section section;
	struct reader in, body;

	(void)state;
	peer_header_compose(&out, &header);
	opened = peer_section_begin(&out, PEER_RECORDS, 0);
	peer_record_compose(&out, &record);
	peer_section_end(&out, opened);
	opened = peer_section_begin(&out, 200, 0); /* of a version to come */
	writer_text(&out, "unknown");
	peer_section_end(&out, opened);
	peer_ballot_compose(&out, &ballot);
	assert_false(out.failed);

	in = reader_of(bytes, (size_t)(out.at - bytes));
	assert_true(peer_header_parse(&in, &header_read));
	assert_true(peer_section_next(&in, &section) && section.type == PEER_RECORDS);
	body = reader_of(section.body.data, section.body.len);
	assert_true(peer_record_parse(&body, &record_read));
	assert_int_equal(reader_left(&body), 0);
	assert_true(peer_section_next(&in, &section) && section.type == 200);
	assert_true(peer_section_next(&in, &section) && section.type == PEER_BALLOT);
	assert_true(peer_ballot_parse(section.body, &ballot_read));
	/* Written again from what was read: the same bytes. */
	uint8_t again[PEER_PAYLOAD_MAX];
	struct writer copy = writer_of(again, sizeof again);

	peer_header_compose(&copy, &header_read);
	opened = peer_section_begin(&copy, PEER_RECORDS, 0);
	peer_record_compose(&copy, &record_read);
	peer_section_end(&copy, opened);
	assert_memory_equal(again, bytes, (size_t)(copy.at - again));
	copy = writer_of(again, sizeof again);
	peer_ballot_compose(&copy, &ballot_read);
	assert_memory_equal(again, out.at - (copy.at - again), (size_t)(copy.at - again));
	assert_false(peer_section_next(&in, &section) || in.failed);
}

static void
longer_headers_and_records_of_a_later_version_are_read(void **state)
{
	struct peer_header header = { .sender = 1, .state = PEER_ALIVE };
	struct peer_record record = record_of("n2");
	uint8_t bytes[300];
	struct writer out = writer_of(bytes, sizeof bytes);
	struct reader in;

	(void)state;
	peer_header_compose(&out, &header);
	bytes[0] = 2; /* version */
	store_le16(bytes + 2, PEER_HEADER_LEN + 8);
	writer_le64(&out, 99);
	peer_record_compose(&out, &record);
	store_le16(bytes + PEER_HEADER_LEN + 8, (uint16_t)(peer_record_len(&record) - 2 + 4));
	writer_le32(&out, 99);
	in = reader_of(bytes, (size_t)(out.at - bytes));
	assert_true(peer_header_parse(&in, &header));
	assert_true(peer_record_parse(&in, &record));
	assert_int_equal(reader_left(&in), 0);
}

static void
nonsense_is_refused(void **state)
{
	struct peer_record record = record_of("n3");
	uint8_t bytes[200], good[200];
	struct writer out = writer_of(good, sizeof good);
	struct reader in;
	size_t len;

	(void)state;
	peer_record_compose(&out, &record);
	len = (size_t)(out.at - good);
	for (size_t cut = 0; cut < len; cut++) {
		in = reader_of(good, cut);
		assert_false(peer_record_parse(&in, &record));
	}
	static const struct { size_t at; uint8_t value; } wrong[] = { { 2, 0 }, { 2, 7 }, { 3, 0 }, { 3, 64 }, { 70, 0 }, { 72, 0 } };

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		memcpy(bytes, good, len);
		bytes[wrong[i].at] = wrong[i].value;
		in = reader_of(bytes, len);
		assert_false(peer_record_parse(&in, &record));
	}
}

static void
what_does_not_fit_leaves_no_half(void **state)
{
	struct peer_record record = record_of("a-longer-name");
	struct peer_ballot ballot = { .epoch = 1, .kind = PEER_PREPARE };
	uint8_t bytes[40];
	struct writer out = writer_of(bytes, sizeof bytes);

	(void)state;
	peer_record_compose(&out, &record);
	assert_true(out.failed && out.at == bytes);
	out = writer_of(bytes, sizeof bytes);
	peer_ballot_compose(&out, &ballot);
	assert_true(out.failed && out.at == bytes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packet_is_read_back),
		cmocka_unit_test(longer_headers_and_records_of_a_later_version_are_read),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(what_does_not_fit_leaves_no_half),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
