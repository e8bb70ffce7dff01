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

static inline bool slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Equal to the C string `word`, ASCII letters of either case alike (command and option names). */
bool slice_is_word(struct slice s, const char *word);

/* A counter's name: 1 to 255 bytes, none of them a control character (0x00-0x1f, 0x7f). */
enum { NAME_LEN_MAX = 255 };
bool slice_is_name(struct slice s);

#endif
