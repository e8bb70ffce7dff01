/* SPDX-License-Identifier: MIT */
/*
 * Goal: glob_match agrees with the plainest implementation there is, and ends soon on every pattern.
 *
 * Method: the input is pattern, newline, text. The pattern is taken apart into a list of elements, as Redis's
 * stringmatchlen reads them, and a table of (element, character) is filled in, which has no backtracking to
 * get wrong. A slow pattern shows as libFuzzer's time-out (-timeout=2).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REFERENCE_MAX = 1000 }; /* pattern and text bytes; longer ones are tried for time only */

struct element {
	bool is_star;
	bool accepts[256];
};

static void accept_range(struct element *e, unsigned a, unsigned b)
{
	for (unsigned c = a < b ? a : b; c <= (a < b ? b : a); c++)
		e->accepts[c] = true;
}

/* A set from p[0] == '['. Returns the bytes of it. */
static size_t read_set(struct element *e, const uint8_t *p, size_t len)
{
	size_t i = 1;
	bool inverted = i < len && p[i] == '^';
	i += inverted;
	for (;;) {
		if (i < len && p[i] == ']') {
			i++;
			break;
		}
		if (i == len)
			break;
		if (len - i >= 2 && p[i] == '\\') {
			e->accepts[p[i + 1]] = true;
			i += 2;
		} else if (len - i >= 3 && p[i + 1] == '-') {
			accept_range(e, p[i], p[i + 2]);
			i += 3;
		} else {
			e->accepts[p[i++]] = true;
		}
	}
	for (size_t c = 0; inverted && c < 256; c++)
		e->accepts[c] = !e->accepts[c];
	return i;
}

static size_t read_element(struct element *e, const uint8_t *p, size_t len)
{
	memset(e, 0, sizeof(*e));
	switch (p[0]) {
	case '*': e->is_star = true; return 1;
	case '?': accept_range(e, 0, 255); return 1;
	case '[': return read_set(e, p, len);
	case '\\': e->accepts[p[len > 1]] = true; return len > 1 ? 2 : 1;
	default: e->accepts[p[0]] = true; return 1;
	}
}

/* matched[i]: the elements so far match the first i characters of the text. */
static bool reference(const uint8_t *p, size_t p_len, const uint8_t *t, size_t t_len)
{
	bool matched[REFERENCE_MAX + 1] = {true};
	for (size_t at = 0; at < p_len;) {
		struct element e;
		at += read_element(&e, p + at, p_len - at);
		bool next[REFERENCE_MAX + 1];
		next[0] = matched[0] && e.is_star;
		for (size_t i = 1; i <= t_len; i++)
			next[i] =
				e.is_star ? matched[i] || next[i - 1] : matched[i - 1] && e.accepts[t[i - 1]];
		memcpy(matched, next, t_len + 1);
	}
	return matched[t_len];
}

/* A heap block of exactly that size: the address sanitizer sees a read beyond it. */
static uint8_t *exact_copy(const uint8_t *data, size_t len)
{
	uint8_t *block = malloc(len ? len : 1);
	if (!block)
		abort();
	if (len > 0)
		memcpy(block, data, len);
	return block;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
	size_t p_len = newline ? (size_t)(newline - data) : size;
	size_t t_len = newline ? size - p_len - 1 : 0;
	uint8_t *p = exact_copy(data, p_len), *t = exact_copy(data + size - t_len, t_len);
	bool matches = glob_match((struct slice){(char *)p, p_len}, (struct slice){(char *)t, t_len});
	if (p_len <= REFERENCE_MAX && t_len <= REFERENCE_MAX && matches != reference(p, p_len, t, t_len))
		abort();
	free(p);
	free(t);
	return 0;
}
