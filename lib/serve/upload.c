#include "serve/upload.h"

#include <string.h>

#include "base/check.h"

void
uploads_init(struct uploads *uploads, struct shard *shard, uint8_t owner, uint32_t generation)
{
	memset(uploads, 0, sizeof *uploads);
	uploads->shard = shard;
	uploads->owner = owner;
	uploads->generation = generation;
}

void
uploads_deinit(struct uploads *uploads)
{
	for (uint32_t i = 0; i < UPLOAD_MAX; i++)
		if (uploads->table[i].item)
			shard_give(uploads->shard, upload_end(uploads, &uploads->table[i]));
}

struct upload *
upload_begun(struct uploads *uploads, uint64_t client, uint64_t sequence)
{
	for (uint32_t i = 0; i < UPLOAD_MAX && client != 0; i++) {
		struct upload *upload = &uploads->table[i];

		if (upload->item && upload->client == client && upload->sequence == sequence)
			return upload;
	}
	return NULL;
}

struct upload *
upload_begin(struct uploads *uploads, const struct now *now, uint64_t client, uint64_t sequence,
    uint64_t digest, struct item *item)
{
	for (uint32_t i = 0; i < UPLOAD_MAX; i++) {
		struct upload *upload = &uploads->table[i];

		if (upload->item)
			continue;
		upload->item = item;
		upload->digest = digest;
		upload->client = client;
		upload->sequence = sequence;
		upload->last_ns = now->mono_ns;
		upload->generation = ++uploads->generation;
		upload->span_count = 0;
		uploads->count++;
		return upload;
	}
	return NULL;
}

/* Handle: generation (32 bits) | owner (16) | entry (16). */
uint64_t
upload_handle(const struct uploads *uploads, const struct upload *upload)
{
	return (uint64_t)upload->generation << 32 | (uint64_t)uploads->owner << 16 |
	    (uint64_t)(upload - uploads->table);
}

struct upload *
upload_find(struct uploads *uploads, const struct now *now, uint64_t client, uint64_t handle)
{
	uint32_t index = handle & 0xffff;
	struct upload *upload;

	if (index >= UPLOAD_MAX)
		return NULL;
	upload = &uploads->table[index];
	if (!upload->item || upload->client != client || upload_handle(uploads, upload) != handle)
		return NULL;
	upload->last_ns = now->mono_ns;
	return upload;
}

/* Adds [from, to) to the spans, merging what it touches. False: no room for one more gap. */
static bool
add_span(struct upload *upload, uint32_t from, uint32_t to)
{
	struct span *spans = upload->spans;
	uint32_t first = 0, behind;

	while (first < upload->span_count && spans[first].to < from)
		first++;
	for (behind = first; behind < upload->span_count && spans[behind].from <= to; behind++) {
		from = spans[behind].from < from ? spans[behind].from : from;
		to = spans[behind].to > to ? spans[behind].to : to;
	}
	if (behind == first && upload->span_count == UPLOAD_SPANS_MAX)
		return false;
	memmove(&spans[first + 1], &spans[behind], (upload->span_count - behind) * sizeof *spans);
	upload->span_count = upload->span_count + 1 - (behind - first);
	spans[first] = (struct span){ from, to };
	return true;
}

enum op_status
upload_write(struct upload *upload, uint32_t offset, struct view chunk)
{
	struct item *item = upload->item;

	if (offset > item->value_len || chunk.len > item->value_len - offset)
		return OP_STATUS_BAD_RANGE;
	if (chunk.len == 0)
		return OP_STATUS_OK;
	if (!add_span(upload, offset, offset + chunk.len))
		return OP_STATUS_BUSY;
	memcpy(item->bytes + item->key_len + offset, chunk.data, chunk.len);
	return OP_STATUS_OK;
}

bool
upload_is_whole(const struct upload *upload)
{
	if (upload->item->value_len == 0)
		return true;
	return upload->span_count == 1 && upload->spans[0].from == 0 &&
	    upload->spans[0].to == upload->item->value_len;
}

struct item *
upload_end(struct uploads *uploads, struct upload *upload)
{
	struct item *item = upload->item;

	CHECK(item && uploads->count > 0);
	upload->item = NULL;
	uploads->count--;
	return item;
}

void
uploads_tick(struct uploads *uploads, const struct now *now)
{
	for (uint32_t i = 0; i < UPLOAD_MAX && uploads->count > 0; i++) {
		struct upload *upload = &uploads->table[i];

		if (upload->item && upload->last_ns + UPLOAD_IDLE_NS < now->mono_ns)
			shard_give(uploads->shard, upload_end(uploads, upload));
	}
}
