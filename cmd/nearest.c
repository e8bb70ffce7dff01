/* SPDX-License-Identifier: MIT */
#include "nearest.h"

#include <string.h>

enum { WORD_MAX = 32, DISTANCE_MAX = 2, SHORT_WORD = 3 };

static size_t min(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Both have at most WORD_MAX letters. d[i][j]: from the first i letters of a to the first j of b. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t d[WORD_MAX + 1][WORD_MAX + 1];
	for (size_t i = 0; i <= a_len; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= b_len; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		for (size_t j = 1; j <= b_len; j++) {
			d[i][j] = min(d[i - 1][j], d[i][j - 1]) + 1;
			d[i][j] = min(d[i][j], d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = min(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[a_len][b_len];
}

void nearest_offer(struct nearest *n, const char *candidate)
{
	size_t word_len = strlen(n->word), len = strlen(candidate);
	if (word_len > WORD_MAX || len > WORD_MAX)
		return;
	size_t found = distance(n->word, word_len, candidate, len);
	if (found > (min(word_len, len) <= SHORT_WORD ? 1 : DISTANCE_MAX))
		return;
	if (n->found && n->distance <= found)
		return;
	n->found = candidate;
	n->distance = found;
}
