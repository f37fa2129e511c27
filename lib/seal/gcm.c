#include "seal/gcm.h"

#include <string.h>

#include <intel-ipsec-mb.h>

#include "base/check.h"
#include "seal/seal.h"

_Static_assert(sizeof(struct gcm_key_data) <= GCM_SCHEDULE_LEN, "room for keys and powers of the hash key");
_Static_assert(_Alignof(struct gcm_key_data) <= GCM_SCHEDULE_ALIGN, "its alignment");
_Static_assert(IMB_GCM_256_KEY_LEN == GCM_KEY_LEN && IMB_GCM_IV_DATA_LEN == GCM_NONCE_LEN, "key and nonce");

/* Zeros that no compiler leaves out, written in place. */
static inline void
wipe(void *secret, size_t len)
{
	memset(secret, 0, len);
	__asm__ volatile("" : : "r"(secret) : "memory");
}

static IMB_MGR *manager; /* written by gcm_start only; NULL: not for this machine */

/* No emulation of AES, which would be slow and read tables by secret indexes. */
static bool
sound(IMB_MGR *fresh)
{
	uint64_t tested = IMB_FEATURE_SELF_TEST | IMB_FEATURE_SELF_TEST_PASS;

	return imb_get_errno(fresh) == 0 && (fresh->features & IMB_CPUFLAGS_SSE) == IMB_CPUFLAGS_SSE &&
	    !(fresh->features & IMB_FEATURE_AESNI_EMU) && (fresh->features & tested) == tested && fresh->gcm256_pre &&
	    fresh->gcm256_enc && fresh->gcm256_dec;
}

bool
gcm_start(void)
{
	static bool tried;
	IMB_MGR *fresh;

	if (tried)
		return gcm_ready();
	tried = true;
	fresh = alloc_mb_mgr(0);
	if (!fresh)
		return false;
	init_mb_mgr_auto(fresh, NULL);
	if (sound(fresh))
		manager = fresh;
	else
		free_mb_mgr(fresh);
	return gcm_ready();
}

bool
gcm_ready(void)
{
	return manager != NULL;
}

void
gcm_expand(uint8_t *schedule, const uint8_t key[GCM_KEY_LEN])
{
	CHECK(manager && (uintptr_t)schedule % GCM_SCHEDULE_ALIGN == 0);
	memset(schedule, 0, GCM_SCHEDULE_LEN); /* narrower code leaves some of it alone */
	IMB_AES256_GCM_PRE(manager, key, (struct gcm_key_data *)(void *)schedule);
}

void
gcm_seal(const uint8_t *schedule, const uint8_t nonce[GCM_NONCE_LEN], const void *ad, size_t ad_len, uint8_t *data,
    size_t len, uint8_t tag[GCM_TAG_LEN])
{
	struct gcm_context_data context;

	IMB_AES256_GCM_ENC(manager, (const struct gcm_key_data *)(const void *)schedule, &context, data, data, len, nonce,
	    ad, ad_len, tag, GCM_TAG_LEN);
	wipe(&context, sizeof context); /* the end of the key stream */
}

bool
gcm_open(const uint8_t *schedule, const uint8_t nonce[GCM_NONCE_LEN], const void *ad, size_t ad_len, uint8_t *data,
    size_t len, const uint8_t tag[GCM_TAG_LEN])
{
	struct gcm_context_data context;
	uint8_t right[GCM_TAG_LEN] = { 0 };
	bool genuine;

	IMB_AES256_GCM_DEC(manager, (const struct gcm_key_data *)(const void *)schedule, &context, data, data, len, nonce,
	    ad, ad_len, right, GCM_TAG_LEN);
	genuine = seal_equal(right, tag, GCM_TAG_LEN);
	if (!genuine)
		explicit_bzero(data, len);
	wipe(right, sizeof right); /* of a forged packet it would be the tag to send */
	wipe(&context, sizeof context);
	return genuine;
}
