#include "proto/peer.h"

static bool
state_known(uint8_t state)
{
	return state >= PEER_JOINING && state <= PEER_LEFT;
}

bool
peer_header_parse(struct reader *in, struct peer_header *header)
{
	const uint8_t *at = reader_take(in, PEER_HEADER_LEN);
	uint16_t header_len;

	if (!at)
		return false;
	header->state = at[1];
	header_len = load_le16(at + 2);
	header->incarnation = load_le32(at + 4);
	header->sender = load_le64(at + 8);
	header->to_boot = load_le64(at + 16);
	header->epoch = load_le64(at + 24);
	header->epoch_digest = load_le64(at + 32);
	header->table_digest = load_le64(at + 40);
	if (at[0] == 0 || header_len < PEER_HEADER_LEN || !state_known(header->state) || header->sender == 0 ||
	    header->incarnation > PEER_INCARNATION_MAX)
		return false;
	return reader_take(in, header_len - (size_t)PEER_HEADER_LEN) != NULL;
}

void
peer_header_compose(struct writer *out, const struct peer_header *header)
{
	uint8_t *at = writer_take(out, PEER_HEADER_LEN);

	if (!at)
		return;
	at[0] = PEER_VERSION;
	at[1] = header->state;
	store_le16(at + 2, PEER_HEADER_LEN);
	store_le32(at + 4, header->incarnation);
	store_le64(at + 8, header->sender);
	store_le64(at + 16, header->to_boot);
	store_le64(at + 24, header->epoch);
	store_le64(at + 32, header->epoch_digest);
	store_le64(at + 40, header->table_digest);
}

bool
peer_section_next(struct reader *in, struct peer_section *section)
{
	const uint8_t *at;

	if (in->failed || reader_left(in) == 0)
		return false;
	at = reader_take(in, PEER_SECTION_LEN);
	if (!at)
		return false;
	section->type = at[0];
	section->flags = at[1];
	section->body = reader_view(in, load_le16(at + 2));
	return !in->failed;
}

uint8_t *
peer_section_begin(struct writer *out, enum peer_section_type type, uint8_t flags)
{
	uint8_t *section = writer_take(out, PEER_SECTION_LEN);

	if (section) {
		section[0] = (uint8_t)type;
		section[1] = flags;
		store_le16(section + 2, 0);
	}
	return section;
}

void
peer_section_end(struct writer *out, uint8_t *section)
{
	if (section)
		store_le16(section + 2, (uint16_t)(out->at - section - PEER_SECTION_LEN));
}

/* Whether len bytes fit; if not, nothing is written and out has failed. */
static bool
fits(struct writer *out, size_t len)
{
	out->failed |= writer_left(out) < len;
	return !out->failed;
}

static void
address_parse(struct reader *in, struct peer_address *address)
{
	const uint8_t *ip = reader_take(in, sizeof address->ip);

	if (ip)
		memcpy(address->ip, ip, sizeof address->ip);
	address->port = reader_le16(in);
}

static void
address_compose(struct writer *out, const struct peer_address *address)
{
	writer_bytes(out, address->ip, sizeof address->ip);
	writer_le16(out, address->port);
}

/* The bytes of one record, without its length; id_len stands before the id. */
static bool
record_body(struct reader *in, struct peer_record *record)
{
	struct view id;

	record->state = reader_u8(in);
	record->id_len = reader_u8(in);
	record->weight = reader_le16(in);
	record->incarnation = reader_le32(in);
	record->boot = reader_le64(in);
	record->accuser = reader_le64(in);
	record->rack = reader_le32(in);
	record->age_s = reader_le32(in);
	address_parse(in, &record->address);
	address_parse(in, &record->api);
	id = reader_view(in, record->id_len);
	if (in->failed || !state_known(record->state) || id.len == 0 || id.len > PEER_ID_MAX || record->weight == 0 ||
	    record->incarnation == 0 || record->incarnation > PEER_INCARNATION_MAX || record->boot == 0 || record->address.port == 0)
		return false;
	memset(record->id, 0, sizeof record->id);
	memcpy(record->id, id.data, id.len);
	record->workers = reader_left(in) ? reader_u8(in) : 1; /* older nodes do not tell */
	if (record->workers == 0)
		return false;
	return memchr(record->id, 0, id.len) == NULL;
}

bool
peer_record_parse(struct reader *in, struct peer_record *record)
{
	uint16_t len = reader_le16(in);
	const uint8_t *body = reader_take(in, len);
	struct reader inner;

	if (!body)
		return false;
	inner = reader_of(body, len);
	return record_body(&inner, record);
}

void
peer_record_compose(struct writer *out, const struct peer_record *record)
{
	if (!fits(out, peer_record_len(record)))
		return;
	writer_le16(out, (uint16_t)(peer_record_len(record) - 2));
	writer_u8(out, record->state);
	writer_u8(out, record->id_len);
	writer_le16(out, record->weight);
	writer_le32(out, record->incarnation);
	writer_le64(out, record->boot);
	writer_le64(out, record->accuser);
	writer_le32(out, record->rack);
	writer_le32(out, record->age_s);
	address_compose(out, &record->address);
	address_compose(out, &record->api);
	writer_bytes(out, record->id, record->id_len);
	writer_u8(out, record->workers);
}

bool
peer_digest_parse(struct reader *in, struct peer_digest *entry)
{
	entry->id = reader_le64(in);
	entry->boot = reader_le64(in);
	entry->incarnation = reader_le32(in);
	entry->state = reader_u8(in);
	reader_take(in, 3);
	return !in->failed && state_known(entry->state) && entry->incarnation <= PEER_INCARNATION_MAX;
}

void
peer_digest_compose(struct writer *out, const struct peer_digest *entry)
{
	writer_le64(out, entry->id);
	writer_le64(out, entry->boot);
	writer_le32(out, entry->incarnation);
	writer_u8(out, entry->state);
	writer_bytes(out, "\0\0", 3);
}

bool
peer_heartbeat_parse(struct view body, struct peer_heartbeat *heartbeat)
{
	struct reader in = reader_of(body.data, body.len);

	heartbeat->sequence = reader_le64(&in);
	heartbeat->interval_us = reader_le32(&in);
	return !in.failed;
}

void
peer_heartbeat_compose(struct writer *out, const struct peer_heartbeat *heartbeat)
{
	uint8_t *section;

	if (!fits(out, PEER_SECTION_LEN + 12))
		return;
	section = peer_section_begin(out, PEER_HEARTBEAT, 0);
	writer_le64(out, heartbeat->sequence);
	writer_le32(out, heartbeat->interval_us);
	peer_section_end(out, section);
}

bool
peer_probe_parse(struct view body, struct peer_probe *probe)
{
	struct reader in = reader_of(body.data, body.len);

	probe->nonce = reader_le64(&in);
	probe->target = reader_le64(&in);
	probe->origin = reader_le64(&in);
	return !in.failed;
}

void
peer_probe_compose(struct writer *out, enum peer_section_type type, const struct peer_probe *probe)
{
	uint8_t *section;

	if (!fits(out, PEER_SECTION_LEN + 24))
		return;
	section = peer_section_begin(out, type, 0);
	writer_le64(out, probe->nonce);
	writer_le64(out, probe->target);
	writer_le64(out, probe->origin);
	peer_section_end(out, section);
}

bool
peer_conflict_parse(struct view body, struct peer_conflict *conflict)
{
	struct reader in = reader_of(body.data, body.len);

	conflict->boot = reader_le64(&in);
	conflict->reason = reader_u8(&in);
	address_parse(&in, &conflict->address);
	return !in.failed;
}

void
peer_conflict_compose(struct writer *out, enum peer_section_type type, const struct peer_conflict *conflict)
{
	uint8_t *section;

	if (!fits(out, PEER_SECTION_LEN + 27))
		return;
	section = peer_section_begin(out, type, 0);
	writer_le64(out, conflict->boot);
	writer_u8(out, conflict->reason);
	address_compose(out, &conflict->address);
	peer_section_end(out, section);
}

bool
peer_ballot_parse(struct view body, struct peer_ballot *ballot)
{
	struct reader in = reader_of(body.data, body.len);

	ballot->kind = reader_u8(&in);
	reader_take(&in, 3);
	ballot->round = reader_le32(&in);
	ballot->base = reader_le64(&in);
	ballot->base_digest = reader_le64(&in);
	ballot->epoch = reader_le64(&in);
	ballot->digest = reader_le64(&in);
	ballot->proposer = reader_le64(&in);
	ballot->accepted_proposer = reader_le64(&in);
	ballot->accepted_digest = reader_le64(&in);
	ballot->floor = reader_le64(&in);
	ballot->accepted_round = reader_le32(&in);
	return !in.failed && ballot->kind >= PEER_PREPARE && ballot->kind <= PEER_REJECT && ballot->epoch > ballot->base;
}

void
peer_ballot_compose(struct writer *out, const struct peer_ballot *ballot)
{
	uint8_t *section;

	if (!fits(out, PEER_SECTION_LEN + 84))
		return;
	section = peer_section_begin(out, PEER_BALLOT, 0);
	writer_u8(out, ballot->kind);
	writer_bytes(out, "\0\0", 3);
	writer_le32(out, ballot->round);
	writer_le64(out, ballot->base);
	writer_le64(out, ballot->base_digest);
	writer_le64(out, ballot->epoch);
	writer_le64(out, ballot->digest);
	writer_le64(out, ballot->proposer);
	writer_le64(out, ballot->accepted_proposer);
	writer_le64(out, ballot->accepted_digest);
	writer_le64(out, ballot->floor);
	writer_le32(out, ballot->accepted_round);
	peer_section_end(out, section);
}

bool
peer_part_parse(struct view body, struct peer_part *part, struct reader *voters)
{
	*voters = reader_of(body.data, body.len);
	part->epoch = reader_le64(voters);
	part->digest = reader_le64(voters);
	part->count = reader_le16(voters);
	part->first = reader_le16(voters);
	part->here = reader_le16(voters);
	part->replication = reader_u8(voters);
	reader_take(voters, 1);
	return !voters->failed && part->epoch > 0 && part->here > 0 && part->first + part->here <= part->count &&
	    reader_left(voters) >= (size_t)part->here * PEER_VOTER_LEN;
}

void
peer_part_compose(struct writer *out, const struct peer_part *part)
{
	writer_le64(out, part->epoch);
	writer_le64(out, part->digest);
	writer_le16(out, part->count);
	writer_le16(out, part->first);
	writer_le16(out, part->here);
	writer_u8(out, part->replication);
	writer_u8(out, 0);
}

bool
peer_voter_parse(struct reader *in, struct peer_voter *voter)
{
	voter->id = reader_le64(in);
	voter->boot = reader_le64(in);
	voter->rack = reader_le32(in);
	voter->index = reader_le16(in);
	voter->weight = reader_le16(in);
	voter->state = reader_u8(in);
	reader_take(in, 3);
	return !in->failed;
}

void
peer_voter_compose(struct writer *out, const struct peer_voter *voter)
{
	writer_le64(out, voter->id);
	writer_le64(out, voter->boot);
	writer_le32(out, voter->rack);
	writer_le16(out, voter->index);
	writer_le16(out, voter->weight);
	writer_u8(out, voter->state);
	writer_bytes(out, "\0\0", 3);
}
