/* SPDX-License-Identifier: MIT */
/*
 * hash.h - SipHash-1-3, keyed: names may come from the internet, so the secret is drawn at start.
 * Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), with 1 and 3 rounds. Pure.
 */
#ifndef SHC_HASH_H
#define SHC_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_key {
	uint64_t k0, k1;
};

/* A key from the kernel's random source. */
void hash_key_init(struct hash_key *key);

uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t len);

#endif
