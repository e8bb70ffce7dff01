/* SPDX-License-Identifier: MIT */
#include "hits.h"

#include <endian.h>
#include <string.h>

enum { AT_NEWEST, AT_AHEAD, AT_BUCKETS, WORD_BYTES = sizeof(int64_t) };

static const struct {
	int64_t unit_s;
	int64_t count;
} levels[HITS_LEVELS] = {{1, 300}, {60, 1440}, {3600, 720}};

enum hits_level hits_level_of(int64_t window_ms)
{
	enum hits_level level = HITS_SECONDS;
	while (level < HITS_HOURS && window_ms > levels[level].unit_s * levels[level].count * 1000)
		level++;
	return level;
}

int64_t hits_resolution_ms(enum hits_level level)
{
	return levels[level].unit_s * 1000;
}

static int64_t word_at(struct slice s, int64_t index)
{
	uint64_t word;
	if ((size_t)(index + 1) * WORD_BYTES > s.len)
		return 0;
	memcpy(&word, s.data + index * WORD_BYTES, sizeof(word));
	return (int64_t)be64toh(word);
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

bool hits_sum(struct slice buckets, enum hits_level level, int64_t window_ms, int64_t now_s, int64_t *sum)
{
	const int64_t unit_s = levels[level].unit_s, count = levels[level].count;
	const int64_t newest_s = word_at(buckets, AT_NEWEST), ahead_s = word_at(buckets, AT_AHEAD);
	int64_t clock_s;
	if (buckets.len > (size_t)(AT_BUCKETS + count) * WORD_BYTES || newest_s < 0 ||
	    __builtin_add_overflow(now_s, ahead_s, &clock_s))
		return false;
	int64_t newest = newest_s / unit_s, now = later(clock_s, newest_s) / unit_s;
	int64_t wanted = (window_ms + unit_s * 1000 - 1) / (unit_s * 1000);
	/* Of what is older than the ring, the places are taken by others. */
	int64_t first = later(later(now - wanted, newest - count) + 1, 0);
	__int128 total = 0;
	for (int64_t u = first; u <= newest; u++)
		total += word_at(buckets, AT_BUCKETS + u % count);
	if (total < 0)
		return false;
	*sum = total > INT64_MAX ? INT64_MAX : (int64_t)total;
	return true;
}
