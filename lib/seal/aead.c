#include "seal/aead.h"

#include <sodium.h>

#include "base/bytes.h"
#include "base/check.h"
#include "seal/gcm.h"

_Static_assert(sizeof(crypto_aead_aes256gcm_state) <= sizeof(((struct aead_key *)0)->schedule), "room for AES");
_Static_assert(crypto_aead_aes256gcm_KEYBYTES == 32 && crypto_aead_chacha20poly1305_ietf_KEYBYTES == 32, "one key");
_Static_assert(crypto_aead_aes256gcm_NPUBBYTES == 12 && crypto_aead_chacha20poly1305_ietf_NPUBBYTES == 12, "one nonce");
_Static_assert(crypto_aead_aes256gcm_ABYTES == AEAD_TAG_LEN && crypto_aead_chacha20poly1305_ietf_ABYTES == AEAD_TAG_LEN,
    "one tag");
_Static_assert(sizeof(((struct aead_key *)0)->schedule) == GCM_SCHEDULE_LEN && (int)GCM_TAG_LEN == (int)AEAD_TAG_LEN &&
    _Alignof(struct aead_key) == GCM_SCHEDULE_ALIGN, "room for the wide kind of AES");

void
aead_start(void)
{
	gcm_start();
}

bool
aead_supported(enum aead_algorithm algorithm)
{
	return algorithm == AEAD_CHACHA20_POLY1305 ||
	    (algorithm == AEAD_AES256_GCM && (gcm_ready() || crypto_aead_aes256gcm_is_available()));
}

enum aead_algorithm
aead_best(void)
{
	return aead_supported(AEAD_AES256_GCM) ? AEAD_AES256_GCM : AEAD_CHACHA20_POLY1305;
}

void
aead_derive(struct aead_key *key, const uint8_t cluster_key[AEAD_CLUSTER_KEY_LEN], uint64_t boot,
    enum aead_algorithm algorithm)
{
	unsigned char purpose[] = "slipring peer packet v1 algorithm ? boot ????????";
	size_t len = sizeof purpose - 1;

	CHECK(aead_supported(algorithm));
	purpose[len - 15] = (unsigned char)('0' + algorithm);
	store_le64(purpose + len - 8, boot);
	memset(key, 0, sizeof *key);
	key->algorithm = (uint8_t)algorithm;
	CHECK(crypto_generichash(key->bytes, sizeof key->bytes, purpose, len, cluster_key, AEAD_CLUSTER_KEY_LEN) == 0);
	if (algorithm != AEAD_AES256_GCM)
		return;
	key->wide = gcm_ready();
	if (key->wide)
		gcm_expand(key->schedule, key->bytes);
	else
		crypto_aead_aes256gcm_beforenm((crypto_aead_aes256gcm_state *)(void *)key->schedule, key->bytes);
}

void
aead_wipe(struct aead_key *key)
{
	sodium_memzero(key, sizeof *key);
}

uint8_t
aead_key_tag(const uint8_t cluster_key[AEAD_CLUSTER_KEY_LEN])
{
	static const unsigned char purpose[] = "slipring key tag v1";
	unsigned char out[crypto_generichash_BYTES_MIN];

	CHECK(crypto_generichash(out, sizeof out, purpose, sizeof purpose - 1, cluster_key, AEAD_CLUSTER_KEY_LEN) == 0);
	return out[0];
}

/* Twelve bytes, 0 and the counter, of one store of sixteen: AES reads them in one piece a moment later, and would wait for two. */
static inline void
nonce_of(uint8_t nonce[16], uint64_t counter)
{
	typedef uint64_t pair __attribute__((vector_size(16)));
	pair both = { counter << 32, counter >> 32 };

	memcpy(nonce, &both, sizeof both);
}

void
aead_seal(const struct aead_key *key, uint64_t counter, const void *ad, size_t ad_len, uint8_t *data, size_t len)
{
	uint8_t nonce[16];

	nonce_of(nonce, counter);
	if (key->wide)
		gcm_seal(key->schedule, nonce, ad, ad_len, data, len, data + len);
	else if (key->algorithm == AEAD_AES256_GCM)
		crypto_aead_aes256gcm_encrypt_detached_afternm(data, data + len, NULL, data, len, ad, ad_len, NULL, nonce,
		    (const crypto_aead_aes256gcm_state *)(const void *)key->schedule);
	else
		crypto_aead_chacha20poly1305_ietf_encrypt_detached(data, data + len, NULL, data, len, ad, ad_len, NULL,
		    nonce, key->bytes);
}

bool
aead_open(const struct aead_key *key, uint64_t counter, const void *ad, size_t ad_len, uint8_t *data, size_t len)
{
	uint8_t nonce[16];

	nonce_of(nonce, counter);
	if (key->wide)
		return gcm_open(key->schedule, nonce, ad, ad_len, data, len, data + len);
	if (key->algorithm == AEAD_AES256_GCM)
		return crypto_aead_aes256gcm_decrypt_detached_afternm(data, NULL, data, len, data + len, ad, ad_len, nonce,
		    (const crypto_aead_aes256gcm_state *)(const void *)key->schedule) == 0;
	return crypto_aead_chacha20poly1305_ietf_decrypt_detached(data, NULL, data, len, data + len, ad, ad_len, nonce,
	    key->bytes) == 0;
}
