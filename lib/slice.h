/* SPDX-License-Identifier: MIT */
/*
 * slice.h - a view of bytes somebody else owns.
 *
 * Names of counters are bytes, not strings: they may hold anything but control characters and are never
 * NUL-terminated. Every layer hands them on as a slice. Pure; any thread.
 */
#ifndef SHC_SLICE_H
#define SHC_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const char *data; /* borrowed; may be null when len is 0 */
	size_t len;	  /* bytes */
};

/* The slice over a C string, without its NUL. */
static inline struct slice slice_str(const char *s)
{
	return (struct slice){.data = s, .len = strlen(s)};
}

/* Words of 8 bytes, the last one overlapping: names are too short for a call of memcmp to pay. */
static inline bool slice_equal(struct slice a, struct slice b)
{
	uint64_t x, y;
	uint32_t v, w;

	if (a.len != b.len)
		return false;
	if (a.len >= 8) {
		for (size_t at = 0;; at += 8) {
			if (at + 8 > a.len)
				at = a.len - 8;
			memcpy(&x, a.data + at, 8);
			memcpy(&y, b.data + at, 8);
			if (x != y)
				return false;
			if (at + 8 == a.len)
				return true;
		}
	}
	if (a.len >= 4) {
		memcpy(&v, a.data, 4);
		memcpy(&w, b.data, 4);
		if (v != w)
			return false;
		memcpy(&v, a.data + a.len - 4, 4);
		memcpy(&w, b.data + a.len - 4, 4);
		return v == w;
	}
	for (size_t i = 0; i < a.len; i++)
		if (a.data[i] != b.data[i])
			return false;
	return true;
}

/* Equal to the C string `word`, ASCII letters of either case alike (command and option names). */
bool slice_is_word(struct slice s, const char *word);

/* A counter's name: 1 to 255 bytes, none of them a control character (0x00-0x1f, 0x7f). */
enum { NAME_LEN_MAX = 255 };
bool slice_is_name(struct slice s);

#endif
