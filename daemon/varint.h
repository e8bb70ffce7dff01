/* SPDX-License-Identifier: MIT */
/*
 * varint.h - numbers as they stand on disk: unsigned LEB128 of at most 64 bits, zigzag folding for signed
 * ones, and fixed ones with the lowest byte first. Pure.
 */
#ifndef SHC_VARINT_H
#define SHC_VARINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VARINT_BYTES_MAX = 10 };

/* There is room for VARINT_BYTES_MAX. Returns where it ends. */
static inline unsigned char *varint_store(unsigned char *at, uint64_t v)
{
	while (v >= 0x80) {
		*at++ = (unsigned char)(v | 0x80);
		v >>= 7;
	}
	*at++ = (unsigned char)v;
	return at;
}

/* Moves *at behind it. False when it does not end before `end`, or has more than 64 bits; nothing has changed
 * then. */
static inline bool varint_load(const unsigned char **at, const unsigned char *end, uint64_t *out)
{
	const unsigned char *p = *at;
	uint64_t v = 0;

	for (unsigned shift = 0; p < end && shift < 64; shift += 7) {
		unsigned char c = *p++;

		if (shift == 63 && c > 1)
			return false; /* beyond 64 bits */
		v |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80) {
			*at = p;
			*out = v;
			return true;
		}
	}
	return false;
}

/* Small differences of either sign become small numbers; works modulo 2^64, so no difference is out of range.
 */
static inline uint64_t varint_zigzag(uint64_t v)
{
	return (v << 1) ^ (0 - (v >> 63));
}

static inline uint64_t varint_unzigzag(uint64_t v)
{
	return (v >> 1) ^ (0 - (v & 1));
}

static inline void varint_store_le(unsigned char *at, uint64_t v, size_t size)
{
	for (size_t i = 0; i < size; i++)
		at[i] = (unsigned char)(v >> (8 * i));
}

static inline uint64_t varint_load_le(const unsigned char *at, size_t size)
{
	uint64_t v = 0;

	for (size_t i = 0; i < size; i++)
		v |= (uint64_t)at[i] << (8 * i);
	return v;
}

#endif
