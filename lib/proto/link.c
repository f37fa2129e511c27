#include "proto/link.h"

_Static_assert((LINK_WINDOW & (LINK_WINDOW - 1)) == 0 && LINK_WINDOW % 64 == 0, "rings and words");
_Static_assert(LINK_SEGMENT_MAX > 1024, "a value of 1 KiB and its key share a segment");

bool
link_header_parse(struct reader *in, struct link_header *header)
{
	const uint8_t *at = reader_take(in, LINK_HEADER_LEN), *words;

	if (!at)
		return false;
	header->sequence = load_le64(at);
	header->ack = load_le64(at + 8);
	header->generation = load_le32(at + 16);
	header->ack_generation = load_le32(at + 20);
	header->stamp = load_le32(at + 24);
	header->echo = load_le32(at + 28);
	header->delay = load_le32(at + 32);
	header->back = load_le16(at + 36);
	header->words = at[38];
	header->flags = at[39];
	if (header->words > LINK_WORDS_MAX || (header->sequence != 0 && header->generation == 0) ||
	    (header->sequence != 0 && header->back >= header->sequence) || header->back >= LINK_WINDOW)
		return false;
	words = reader_take(in, header->words * 8u);
	if (!words)
		return false;
	for (uint8_t i = 0; i < header->words; i++)
		header->bitmap[i] = load_le64(words + 8 * i);
	return true;
}

void
link_header_compose(uint8_t *out, const struct link_header *header)
{
	store_le64(out, header->sequence);
	store_le64(out + 8, header->ack);
	store_le32(out + 16, header->generation);
	store_le32(out + 20, header->ack_generation);
	store_le32(out + 24, header->stamp);
	store_le32(out + 28, header->echo);
	store_le32(out + 32, header->delay);
	store_le16(out + 36, header->back);
	out[38] = header->words;
	out[39] = header->flags;
	for (uint8_t i = 0; i < header->words; i++)
		store_le64(out + LINK_HEADER_LEN + 8 * i, header->bitmap[i]);
}

static bool
chunk_next(struct reader *in, struct link_chunk *chunk)
{
	const uint8_t *at = reader_take(in, LINK_CHUNK_LEN);
	uint32_t len;

	if (!at)
		return false;
	len = load_le16(at);
	chunk->kind = at[2];
	chunk->total = chunk->kind == LINK_HEAD ? reader_le32(in) : 0;
	chunk->data = reader_view(in, len);
	return !in->failed && chunk->kind >= LINK_WHOLE && chunk->kind <= LINK_TAIL;
}

static bool
piece_fits(const struct link_chunk *piece)
{
	if (piece->data.len == 0)
		return false;
	return piece->kind != LINK_HEAD || (piece->total > piece->data.len && piece->total <= LINK_MESSAGE_MAX);
}

bool
link_content_parse(struct reader *in, struct link_content *content)
{
	struct link_chunk chunk;

	content->piece.kind = 0;
	content->count = 0;
	if (!chunk_next(in, &chunk))
		return false;
	if (chunk.kind != LINK_WHOLE) {
		content->piece = chunk;
		if (!piece_fits(&chunk) || (chunk.kind != LINK_TAIL && reader_left(in) > 0))
			return false;
	} else {
		content->messages[content->count++] = chunk.data;
	}
	while (reader_left(in) > 0) {
		if (content->count == LINK_MESSAGES_MAX || !chunk_next(in, &chunk) || chunk.kind != LINK_WHOLE)
			return false;
		content->messages[content->count++] = chunk.data;
	}
	return true;
}
