#include "ring/slot.h"

#include "base/bytes.h"
#include "base/limits.h"

/*
 * A CRC is linear: the entry of a byte is the xor of the entries of its bits. So a
 * table is spelled by its eight bits, and the compiler works out the 256 entries.
 */
#define BIT(i, b, entry) (((i) >> (b) & 1) ? (entry) : 0)
#define ENTRY(i, e0, e1, e2, e3, e4, e5, e6, e7) \
	(BIT(i, 0, e0) ^ BIT(i, 1, e1) ^ BIT(i, 2, e2) ^ BIT(i, 3, e3) ^ \
	    BIT(i, 4, e4) ^ BIT(i, 5, e5) ^ BIT(i, 6, e6) ^ BIT(i, 7, e7))
#define FOUR(i, ...) \
	ENTRY((i), __VA_ARGS__), ENTRY((i) + 1, __VA_ARGS__), \
	    ENTRY((i) + 2, __VA_ARGS__), ENTRY((i) + 3, __VA_ARGS__)
#define SIXTEEN(i, ...) \
	FOUR(i, __VA_ARGS__), FOUR((i) + 4, __VA_ARGS__), \
	    FOUR((i) + 8, __VA_ARGS__), FOUR((i) + 12, __VA_ARGS__)
#define SIXTY_FOUR(i, ...) \
	SIXTEEN(i, __VA_ARGS__), SIXTEEN((i) + 16, __VA_ARGS__), \
	    SIXTEEN((i) + 32, __VA_ARGS__), SIXTEEN((i) + 48, __VA_ARGS__)
#define TABLE(...) \
	SIXTY_FOUR(0, __VA_ARGS__), SIXTY_FOUR(64, __VA_ARGS__), \
	    SIXTY_FOUR(128, __VA_ARGS__), SIXTY_FOUR(192, __VA_ARGS__)

/* tables[k][b]: CRC of byte b and k zero bytes after it. */
static const uint16_t tables[8][256] = {
	{ TABLE(0x1021, 0x2042, 0x4084, 0x8108, 0x1231, 0x2462, 0x48c4, 0x9188) },
	{ TABLE(0x3331, 0x6662, 0xccc4, 0x89a9, 0x0373, 0x06e6, 0x0dcc, 0x1b98) },
	{ TABLE(0x3730, 0x6e60, 0xdcc0, 0xa9a1, 0x4363, 0x86c6, 0x1dad, 0x3b5a) },
	{ TABLE(0x76b4, 0xed68, 0xcaf1, 0x85c3, 0x1ba7, 0x374e, 0x6e9c, 0xdd38) },
	{ TABLE(0xaa51, 0x4483, 0x8906, 0x022d, 0x045a, 0x08b4, 0x1168, 0x22d0) },
	{ TABLE(0x45a0, 0x8b40, 0x06a1, 0x0d42, 0x1a84, 0x3508, 0x6a10, 0xd420) },
	{ TABLE(0xb861, 0x60e3, 0xc1c6, 0x93ad, 0x377b, 0x6ef6, 0xddec, 0xabf9) },
	{ TABLE(0x47d3, 0x8fa6, 0x0f6d, 0x1eda, 0x3db4, 0x7b68, 0xf6d0, 0xfd81) },
};

uint16_t
slot_crc16(const void *data, uint32_t len)
{
	const uint8_t *at = data;
	uint16_t crc = 0;

	for (; len >= 8; at += 8, len -= 8) {
		uint64_t word = load_le64(at) ^ __builtin_bswap16(crc);

		crc = tables[7][word & 255] ^ tables[6][word >> 8 & 255] ^
		    tables[5][word >> 16 & 255] ^ tables[4][word >> 24 & 255] ^
		    tables[3][word >> 32 & 255] ^ tables[2][word >> 40 & 255] ^
		    tables[1][word >> 48 & 255] ^ tables[0][word >> 56];
	}
	for (; len > 0; at++, len--)
		crc = (uint16_t)(crc << 8) ^ tables[0][(crc >> 8) ^ *at];
	return crc;
}

struct view
slot_hashed_part(struct view key)
{
	const uint8_t *end = key.data + key.len, *open, *close;

	if (key.len == 0)
		return key;
	open = memchr(key.data, '{', key.len);
	if (!open)
		return key;
	open++;
	close = memchr(open, '}', (size_t)(end - open));
	return close && close > open ? view_of(open, (uint32_t)(close - open)) : key;
}

uint16_t
slot_of_key(struct view key)
{
	struct view part = slot_hashed_part(key);

	return slot_crc16(part.data, part.len) & (SLOT_COUNT - 1);
}
