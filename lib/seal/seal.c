#include "seal/seal.h"

#include <sodium.h>

#include "base/bytes.h"
#include "base/check.h"

_Static_assert(sizeof(struct seal_key) == crypto_shorthash_siphashx24_KEYBYTES, "key of the tag");
_Static_assert(SEAL_TAG_LEN == crypto_shorthash_siphashx24_BYTES, "the tag is not cut");

bool
seal_start(void)
{
	return sodium_init() >= 0;
}

void
seal_random(void *out, size_t len)
{
	randombytes_buf(out, len);
}

void
seal_tag_key(struct seal_key *key, const uint8_t shared[SEAL_SHARED_KEY_LEN])
{
	static const unsigned char purpose[] = "slipring frame tag v1";

	CHECK(crypto_generichash(key->bytes, sizeof key->bytes, purpose, sizeof purpose - 1,
	    shared, SEAL_SHARED_KEY_LEN) == 0);
}

void
seal_tag(const struct seal_key *key, const void *data, size_t len, uint8_t tag[SEAL_TAG_LEN])
{
	crypto_shorthash_siphashx24(tag, data, len, key->bytes);
}

bool
seal_equal(const void *a, const void *b, size_t len)
{
	const uint8_t *x = a, *y = b;
	uint64_t differs = 0;

	for (; len >= 8; x += 8, y += 8, len -= 8)
		differs |= load_le64(x) ^ load_le64(y);
	for (; len > 0; x++, y++, len--)
		differs |= (uint64_t)(*x ^ *y);
	__asm__("" : "+r"(differs)); /* the compiler cannot know when it could stop */
	return differs == 0;
}
