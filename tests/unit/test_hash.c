/* SPDX-License-Identifier: MIT */
/*
 * The hash against a second implementation that shares nothing with it: as the paper tells it, over a padded
 * copy of the message, with the numbers of rounds as arguments. That one is itself held against the authors'
 * vectors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../../lib/hash.h"

/* ---- the second implementation ---- */

static void turn(uint64_t *x, int left)
{
	uint64_t high = *x;
	for (int i = 0; i < left; i++)
		high = (high << 1) | (high >> 63);
	*x = high;
}

/* Figure 2.1 of the paper: both halves of a round are the same step on other words. */
static void half_round(uint64_t v[4], int a, int b, int c, int d, int s, int t)
{
	v[a] += v[b];
	v[c] += v[d];
	turn(&v[b], s);
	turn(&v[d], t);
	v[b] ^= v[a];
	v[d] ^= v[c];
	turn(&v[a], 32);
}

static void rounds(uint64_t v[4], int count)
{
	while (count-- > 0) {
		half_round(v, 0, 1, 2, 3, 13, 16);
		half_round(v, 2, 1, 0, 3, 17, 21);
	}
}

static uint64_t reference(int c, int d, const struct hash_key *key, const unsigned char *message, size_t len)
{
	unsigned char padded[512] = {0};
	size_t words = len / 8 + 1;
	assert_in_range(words * 8, 8, sizeof(padded));
	memcpy(padded, message, len);
	padded[words * 8 - 1] = (unsigned char)len;
	const char *magic = "somepseudorandomlygeneratedbytes";
	uint64_t v[4] = {0};
	for (int i = 0; i < 32; i++)
		v[i / 8] = v[i / 8] << 8 | (unsigned char)magic[i];
	for (int i = 0; i < 4; i++)
		v[i] ^= i % 2 ? key->k1 : key->k0;
	for (size_t word = 0; word < words; word++) {
		uint64_t m = 0;
		for (size_t i = 8; i-- > 0;)
			m = m << 8 | padded[word * 8 + i];
		v[3] ^= m;
		rounds(v, c);
		v[0] ^= m;
	}
	v[2] ^= 0xff;
	rounds(v, d);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- tests ---- */

/* Key 00 01 .. 0f, message 00 01 .., as in the paper's appendix and the authors' vectors.h. */
static const struct hash_key PAPER_KEY = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static void test_reference_gives_the_vectors_of_the_authors(void **state)
{
	(void)state;
	static const struct {
		size_t len;
		uint64_t hash;
	} VECTORS[] = {
		{0, 0x726fdb47dd0e0e31}, {1, 0x74f839c593dc67fd},  {2, 0x0d6c8009d9a94f5a},
		{3, 0x85676696d7fb7e2d}, {4, 0xcf2794e0277187b7},  {5, 0x18765564cd99a68d},
		{6, 0xcbc9466e58fee3ce}, {7, 0xab0200f58b01d137},  {8, 0x93f5f5799a932462},
		{9, 0x9e0082df0ba9e4b0}, {15, 0xa129ca6149be45e5},
	};
	unsigned char message[16];
	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (unsigned char)i;
	for (size_t i = 0; i < sizeof(VECTORS) / sizeof(VECTORS[0]); i++)
		assert_int_equal(reference(2, 4, &PAPER_KEY, message, VECTORS[i].len), VECTORS[i].hash);
}

static void test_every_length_at_every_alignment_gives_siphash_1_3(void **state)
{
	(void)state;
	unsigned char message[300];
	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (unsigned char)(i * 7 + 0x80);
	for (size_t len = 0; len <= 256; len++) {
		uint64_t expected = reference(1, 3, &PAPER_KEY, message, len);
		for (size_t shift = 0; shift < 9; shift++) {
			unsigned char *exact = malloc(len + shift ? len + shift : 1);
			assert_non_null(exact);
			memcpy(exact + shift, message, len);
			assert_int_equal(hash_bytes(&PAPER_KEY, exact + shift, len), expected);
			free(exact);
		}
	}
	assert_int_equal(hash_bytes(&PAPER_KEY, NULL, 0), reference(1, 3, &PAPER_KEY, message, 0));
}

/* CPython's bytes hash is SipHash-1-3; PYTHONHASHSEED=0 makes its key zero. */
static void test_hashes_are_those_of_cpython(void **state)
{
	(void)state;
	static const struct {
		const char *message;
		uint64_t hash;
	} VECTORS[] = {
		{"a", 0x407448d2b89b1813},
		{"hits", 0xa05dd61416876500},
		{"page:01", 0x733edd72c96906e0},
		{"page:001", 0x01606a951d5a965c},
		{"page:0001", 0x1d89bd46a3ce8ebe},
		{"page:00000000001", 0x0b33ae10310511dc},
		{"a name with blanks that is longer than thirty-two bytes", 0x4b133707b7af26b5},
	};
	const struct hash_key zero = {0, 0};
	for (size_t i = 0; i < sizeof(VECTORS) / sizeof(VECTORS[0]); i++)
		assert_int_equal(hash_bytes(&zero, VECTORS[i].message, strlen(VECTORS[i].message)),
				 VECTORS[i].hash);
}

static void test_keys_are_drawn_anew(void **state)
{
	(void)state;
	struct hash_key a = {0, 0}, b = {0, 0};
	hash_key_init(&a);
	hash_key_init(&b);
	assert_true(a.k0 != 0 && a.k1 != 0 && b.k0 != 0 && b.k1 != 0);
	assert_true(a.k0 != b.k0 && a.k1 != b.k1);
	assert_true(hash_bytes(&a, "hits", 4) != hash_bytes(&b, "hits", 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reference_gives_the_vectors_of_the_authors),
		cmocka_unit_test(test_every_length_at_every_alignment_gives_siphash_1_3),
		cmocka_unit_test(test_hashes_are_those_of_cpython),
		cmocka_unit_test(test_keys_are_drawn_anew),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
