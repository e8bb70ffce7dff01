/* SPDX-License-Identifier: MIT */
#include "hash.h"

#include <endian.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

void hash_key_init(struct hash_key *key)
{
	if (getentropy(key, sizeof(*key)) == 0)
		return;
	/* A sandbox that refuses getrandom: the kernel has put 16 random bytes beside our arguments. */
	memcpy(key, (const void *)getauxval(AT_RANDOM), sizeof(*key));
}

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 = rotl(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 = rotl(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	s->v0 ^= word;
}

/* Any alignment; memcpy of 8 bytes is one load. */
static inline uint64_t load_le64(const unsigned char *p)
{
	uint64_t word;
	memcpy(&word, p, sizeof(word));
	return le64toh(word);
}

/* The 0 to 7 bytes behind the last whole word. */
static inline uint64_t load_tail(const unsigned char *data, size_t len)
{
	unsigned count = (unsigned)len & 7;
	if (count == 0)
		return 0;
	if (len >= 8) /* one load that overlaps the last word, instead of a loop over bytes */
		return load_le64(data + len - 8) >> (64 - 8 * count);
	uint64_t word = 0;
	for (unsigned i = 0; i < count; i++)
		word |= (uint64_t)data[i] << (8 * i);
	return word;
}

uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t len)
{
	struct sip s = {
		.v0 = key->k0 ^ 0x736f6d6570736575,
		.v1 = key->k1 ^ 0x646f72616e646f6d,
		.v2 = key->k0 ^ 0x6c7967656e657261,
		.v3 = key->k1 ^ 0x7465646279746573,
	};
	const unsigned char *bytes = data;
	for (size_t i = 0; i + 8 <= len; i += 8)
		sip_word(&s, load_le64(bytes + i));
	sip_word(&s, (uint64_t)len << 56 | load_tail(bytes, len));
	s.v2 ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
