/* SPDX-License-Identifier: MIT */
#include "slice.h"

#include <stdint.h>

static unsigned char lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

bool slice_is_word(struct slice s, const char *word)
{
	for (size_t i = 0; i < s.len; i++) {
		/* The NUL that ends `word` must not match a NUL in the slice. */
		if (word[i] == '\0' || lower((unsigned char)s.data[i]) != lower((unsigned char)word[i]))
			return false;
	}
	return word[s.len] == '\0';
}

static inline uint64_t load64(const char *p)
{
	uint64_t word;
	memcpy(&word, p, sizeof(word));
	return word;
}

/* Eight bytes at once: the top bit of each byte of the result tells, exactly enough, whether some byte is
 * below 0x20 or is 0x7f. Source: Anderson, "Bit Twiddling Hacks", hasless and haszero. */
static inline uint64_t has_control(uint64_t word)
{
	const uint64_t ones = UINT64_MAX / 255;
	uint64_t del = word ^ (ones * 0x7f);
	return (((word - ones * 0x20) & ~word) | ((del - ones) & ~del)) & (ones * 0x80);
}

static bool is_control(char c)
{
	unsigned char byte = (unsigned char)c;
	return byte < 0x20 || byte == 0x7f;
}

bool slice_is_name(struct slice s)
{
	if (s.len == 0 || s.len > NAME_LEN_MAX)
		return false;
	uint64_t found = 0;
	if (s.len >= 8) {
		for (size_t i = 0; i + 8 < s.len; i += 8)
			found |= has_control(load64(s.data + i));
		found |= has_control(load64(s.data + s.len - 8)); /* the tail; may overlap */
	} else {
		for (size_t i = 0; i < s.len; i++)
			found |= is_control(s.data[i]);
	}
	return found == 0;
}
