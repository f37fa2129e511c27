/* Unit tests of lib/seal/aead and gcm: published vectors, and two implementations of AES-256-GCM that must not differ. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/prng.h"
#include "seal/aead.h"
#include "seal/gcm.h"
#include "seal/seal.h"

enum { LEN_MAX = 1500, AD_MAX = 100, PAGE = 4096 };

/* The same key, derived before aead_start and after it: libsodium's kind of AES and ours. */
static struct aead_key narrow, wide;
static struct prng prng = { .state = 1 };
static uint8_t plain[LEN_MAX], ad[AD_MAX];

static void
fill(uint8_t *to, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = (uint8_t)prng_next(&prng);
}

static size_t
from_hex(uint8_t *to, const char *hex)
{
	size_t len = strlen(hex) / 2;

	for (size_t i = 0; i < len; i++) {
		unsigned byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		to[i] = (uint8_t)byte;
	}
	return len;
}

/* Test cases 13 to 16 of McGrew and Viega's submission of GCM to NIST. */
static const struct {
	const char *key, *nonce, *ad, *plain, *sealed, *tag;
} vectors[] = {
	{ "0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "", "", "",
	  "530f8afbc74536b9a963b4f1c4cb738b" },
	{ "0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "",
	  "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919" },
	{ "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "",
	  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
	  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad", "b094dac5d93471bdec1a502270e3cc6c" },
	{ "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
	  "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
	  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662", "76fc6ece0f4e1768cddf8853bb2d551b" },
};

static void
published_vectors_hold(void **state)
{
	_Alignas(GCM_SCHEDULE_ALIGN) uint8_t schedule[GCM_SCHEDULE_LEN];

	(void)state;
	if (!gcm_ready())
		skip();
	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
		uint8_t key[GCM_KEY_LEN], nonce[GCM_NONCE_LEN], with[32], text[64], data[64], sealed[64], tag[16], right[16];
		size_t ad_len = from_hex(with, vectors[i].ad), len = from_hex(text, vectors[i].plain);

		assert_int_equal(from_hex(key, vectors[i].key), sizeof key);
		assert_int_equal(from_hex(nonce, vectors[i].nonce), sizeof nonce);
		assert_int_equal(from_hex(sealed, vectors[i].sealed), len);
		from_hex(right, vectors[i].tag);
		memcpy(data, text, len);
		gcm_expand(schedule, key);
		gcm_seal(schedule, nonce, with, ad_len, data, len, tag);
		assert_memory_equal(data, sealed, len);
		assert_memory_equal(tag, right, sizeof tag);
		assert_true(gcm_open(schedule, nonce, with, ad_len, data, len, tag));
		assert_memory_equal(data, text, len);
	}
}

/* Seals with one key and opens with the other; the packet stands at `at`, which need not be aligned. */
static void
compare(uint8_t *at, size_t len, const uint8_t *with, size_t ad_len, uint64_t counter)
{
	uint8_t other[LEN_MAX + AEAD_TAG_LEN];

	memcpy(at, plain, len);
	memcpy(other, plain, len);
	aead_seal(&wide, counter, with, ad_len, at, len);
	aead_seal(&narrow, counter, with, ad_len, other, len);
	assert_memory_equal(at, other, len + AEAD_TAG_LEN);
	assert_true(aead_open(&wide, counter, with, ad_len, at, len));
	assert_true(aead_open(&narrow, counter, with, ad_len, other, len));
	assert_memory_equal(at, plain, len);
	assert_memory_equal(other, plain, len);
}

static void
both_kinds_make_the_same_bytes_of_every_length(void **state)
{
	uint8_t room[LEN_MAX + AEAD_TAG_LEN + 64];

	(void)state;
	for (size_t len = 0; len <= LEN_MAX; len++) {
		fill(plain, len);
		fill(ad, sizeof ad);
		compare(room + len % 64, len, ad, len % (AD_MAX + 1), prng_next(&prng));
		compare(room + prng_next(&prng) % 64, len, ad, prng_next(&prng) % (AD_MAX + 1), len);
	}
	for (size_t ad_len = 0; ad_len <= AD_MAX; ad_len++)
		compare(room + 1, 200, ad, ad_len, ad_len);
}

/* Packet and associated data end where the process's memory does. */
static void
nothing_beyond_the_ends_is_touched(void **state)
{
	uint8_t *pages = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *end, *ad_end;

	(void)state;
	assert_ptr_not_equal(pages, MAP_FAILED);
	assert_int_equal(sysconf(_SC_PAGESIZE), PAGE);
	end = pages + PAGE;
	ad_end = pages + 3 * PAGE;
	assert_int_equal(mprotect(end, PAGE, PROT_NONE) | mprotect(ad_end, PAGE, PROT_NONE), 0);
	for (size_t len = 0; len <= 300; len++)
		for (size_t ad_len = 0; ad_len <= 40; ad_len += 1 + len % 3) {
			uint8_t *packet = end - AEAD_TAG_LEN - len;

			memset(packet - 32, 0xa5, 32);
			memcpy(ad_end - ad_len, ad, ad_len);
			compare(packet, len, ad_end - ad_len, ad_len, len);
			for (int i = 1; i <= 32; i++)
				assert_int_equal(packet[-i], 0xa5);
		}
	munmap(pages, 4 * PAGE);
}

static void
refuse(const struct aead_key *key, const uint8_t *packet, size_t len, const uint8_t *with, size_t ad_len, uint64_t counter)
{
	static const uint8_t zeros[LEN_MAX];
	uint8_t copy[LEN_MAX + AEAD_TAG_LEN];

	memcpy(copy, packet, len + AEAD_TAG_LEN);
	assert_false(aead_open(key, counter, with, ad_len, copy, len));
	assert_memory_equal(copy, zeros, len);
}

static void
a_forged_packet_is_refused_and_nothing_of_it_is_left(void **state)
{
	static const size_t lens[] = { 0, 1, 15, 16, 17, 100, 255, 256, 257, 1000, 1500 };
	uint8_t packet[LEN_MAX + AEAD_TAG_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
		size_t len = lens[i], bits = (len + AEAD_TAG_LEN) * 8, step = len < 300 ? 1 : 61;

		fill(packet, len);
		aead_seal(&wide, 7, ad, 24, packet, len);
		for (size_t bit = 0; bit < bits; bit += step) {
			packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
			refuse(&wide, packet, len, ad, 24, 7);
			packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		for (size_t bit = 0; bit < 24 * 8; bit++) {
			ad[bit / 8] ^= (uint8_t)(1 << bit % 8);
			refuse(&wide, packet, len, ad, 24, 7);
			ad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		refuse(&wide, packet, len, ad, 23, 7);
		refuse(&wide, packet, len, ad, 24, 8);
		refuse(&narrow, packet, len, ad, 23, 7);
		assert_true(aead_open(&narrow, 7, ad, 24, packet, len));
	}
}

static void
a_key_survives_being_copied_but_not_being_wiped(void **state)
{
	struct aead_key copy = wide;
	uint8_t packet[100 + AEAD_TAG_LEN] = { 0 };
	static const struct aead_key nothing;

	(void)state;
	aead_seal(&copy, 1, NULL, 0, packet, 100);
	assert_true(aead_open(&wide, 1, NULL, 0, packet, 100));
	aead_wipe(&copy);
	assert_memory_equal(&copy, &nothing, sizeof copy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors_hold),
		cmocka_unit_test(both_kinds_make_the_same_bytes_of_every_length),
		cmocka_unit_test(nothing_beyond_the_ends_is_touched),
		cmocka_unit_test(a_forged_packet_is_refused_and_nothing_of_it_is_left),
		cmocka_unit_test(a_key_survives_being_copied_but_not_being_wiped),
	};
	static const uint8_t secret[AEAD_CLUSTER_KEY_LEN] = { 3, 1, 4 };
	enum aead_algorithm algorithm;

	if (!seal_start())
		return 1;
	algorithm = aead_best(); /* where the CPU has no AES at all, the other algorithm stands the same tests */
	aead_derive(&narrow, secret, 9, algorithm);
	aead_start();
	aead_derive(&wide, secret, 9, algorithm);
	if (narrow.wide || wide.wide != (gcm_ready() && algorithm == AEAD_AES256_GCM))
		return 1;
	return cmocka_run_group_tests_name("aead", tests, NULL, NULL);
}
