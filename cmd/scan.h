/* SPDX-License-Identifier: MIT */
/*
 * scan.h - finds line ends and whatever else has no business in a name, 64 bytes at a time. Pure.
 *
 * One look serves for both: the bytes below 0x20 and 0x7f are what ends a line and what spoils a name.
 */
#ifndef SHC_SCAN_H
#define SHC_SCAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { SCAN_BYTES = 64 };

/* Bit i is set when p[i] is a control character. Reads 64 bytes. */
static inline uint64_t scan_controls_portable(const char *p)
{
	const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
	uint64_t mask = 0;
	for (unsigned i = 0; i < SCAN_BYTES / 8; i++) {
		uint64_t found = 0;
		for (unsigned j = 0; j < 8; j++) /* a byte lane each, whatever the byte order */
			found |= (uint64_t)(unsigned char)p[i * 8 + j] << (8 * j);
		uint64_t low7 = found & ~highs;
		uint64_t not_below = (low7 + ones * (0x80 - 0x20)) | found; /* high bit: byte >= 0x20 */
		uint64_t not_del =
			((low7 ^ ones * 0x7f) + ones * 0x7f) | found; /* high bit: byte is not 0x7f */
		uint64_t bits = ~(not_below & not_del) & highs;
		mask |= ((bits >> 7) * 0x0102040810204080u >> 56) << (8 * i);
	}
	return mask;
}

/* Bit i is set when p[i] is a line end. */
static inline uint64_t scan_ends_portable(const char *p, uint64_t controls)
{
	uint64_t ends = 0;
	for (; controls; controls &= controls - 1) {
		uint64_t lowest = controls & -controls;
		ends |= p[__builtin_ctzll(controls)] == '\n' ? lowest : 0;
	}
	return ends;
}

/* What 64 bytes have: bit i is about p[i]. */
struct scan {
	uint64_t controls; /* control characters, line ends among them */
	uint64_t ends;	   /* line ends */
};

static inline struct scan scan_look(const char *p)
{
	struct scan s = {0};
#ifdef __SSE2__
	const __m128i last = _mm_set1_epi8(0x1f), del = _mm_set1_epi8(0x7f), end = _mm_set1_epi8('\n');
	for (unsigned i = 0; i < SCAN_BYTES / 16; i++) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(p + (size_t)16 * i));
		__m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last), bytes);
		__m128i hit = _mm_or_si128(low, _mm_cmpeq_epi8(bytes, del));
		__m128i is_end = _mm_cmpeq_epi8(bytes, end);
		s.controls |= (uint64_t)(unsigned)_mm_movemask_epi8(hit) << (16 * i);
		s.ends |= (uint64_t)(unsigned)_mm_movemask_epi8(is_end) << (16 * i);
	}
#else
	s.controls = scan_controls_portable(p);
	s.ends = scan_ends_portable(p, s.controls);
#endif
	return s;
}

/* Where the first blank or tab of p[0..len) is, or len. Reads nothing behind that. */
static inline size_t scan_to_blank(const char *p, size_t len)
{
	size_t at = 0;
#ifdef __SSE2__
	const __m128i blank = _mm_set1_epi8(' '), tab = _mm_set1_epi8('\t');
	for (; len - at >= sizeof(blank); at += sizeof(blank)) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(p + at));
		__m128i hit = _mm_or_si128(_mm_cmpeq_epi8(bytes, blank), _mm_cmpeq_epi8(bytes, tab));
		int mask = _mm_movemask_epi8(hit);
		if (mask)
			return at + (size_t)__builtin_ctz((unsigned)mask);
	}
#endif
	while (at < len && p[at] != ' ' && p[at] != '\t')
		at++;
	return at;
}

#endif
