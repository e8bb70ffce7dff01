/* SPDX-License-Identifier: MIT */
/*
 * window.c - see window.h. Whoever owns a window sees to it that one at a time is in here.
 *
 * Levels are numbered from the finest. Bucket b of a level holds the seconds [b * span, (b + 1) * span), and
 * stands at b modulo the size of its ring, which covers the buckets up to that of the newest second. A hit is
 *in the finest level that covers it.
 *
 * A window on disk (v = unsigned LEB128, z = the same of a zigzag-folded signed number):
 *
 *	offset	size	content
 *	0	1	version, 1
 *	1	...	z newest second, INT64_MIN: there are no hits
 *		...	three levels: seconds, minutes, hours
 *	len-4	4	CRC-32C of all bytes before, little-endian
 *
 * A level is v number of buckets that are not 0, then each of them, the newest first:
 *
 *	v distance	from the bucket of the newest second; of a later one, from the one before (at least 1)
 *	v count		not 0
 */
#include "window.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "journal.h"
#include "varint.h"

enum {
	LEVELS = 3,
	NOWHERE = LEVELS, /* older than all of them cover */
	STEP = 60,	  /* buckets of a level in one of the next */
	VERSION = 1,
	CHECKSUM_BYTES = 4,
	BUCKETS = WINDOW_SECONDS + WINDOW_MINUTES + WINDOW_HOURS,
	PACKED_BYTES_MAX =
		1 + VARINT_BYTES_MAX + 2 * LEVELS + BUCKETS * (2 + VARINT_BYTES_MAX) + CHECKSUM_BYTES,
};

#define NO_HITS INT64_MIN

static const int64_t sizes[LEVELS] = {WINDOW_SECONDS, WINDOW_MINUTES, WINDOW_HOURS};
static const int64_t spans[LEVELS] = {1, STEP, STEP *STEP};

struct window {
	int64_t newest;
	uint64_t *rings[LEVELS]; /* the first is `seconds`; the others owned, null: all 0 */
	uint64_t seconds[WINDOW_SECONDS];
};

_Static_assert(sizeof(struct window) + (WINDOW_MINUTES + WINDOW_HOURS) * sizeof(uint64_t) + LEVELS * 16 <=
		       WINDOW_BYTES_MAX,
	       "a window with what malloc takes beside it");

struct window *window_new(void)
{
	struct window *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->newest = NO_HITS;
	w->rings[0] = w->seconds;
	return w;
}

struct window *window_free(struct window *w)
{
	if (!w)
		return NULL;
	for (int level = 1; level < LEVELS; level++)
		free(w->rings[level]);
	free(w);
	return NULL;
}

int64_t window_newest(const struct window *w)
{
	return w->newest;
}

size_t window_bytes(const struct window *w)
{
	size_t bytes = sizeof(*w);

	for (int level = 1; level < LEVELS; level++)
		if (w->rings[level])
			bytes += (size_t)sizes[level] * sizeof(uint64_t);
	return bytes;
}

/* ---- buckets ---- */

/* Towards minus infinity: a second before 0 lies in a minute before 0. */
static int64_t divide(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t bucket_of(int64_t second, int level)
{
	return divide(second, spans[level]);
}

static uint64_t *slot(const struct window *w, int level, int64_t bucket)
{
	int64_t at = bucket % sizes[level];

	return &w->rings[level][at < 0 ? at + sizes[level] : at];
}

static uint64_t count_at(const struct window *w, int level, int64_t bucket)
{
	return w->rings[level] ? *slot(w, level, bucket) : 0;
}

/* Where the bucket belongs, or the one of a coarser level that it lies in, when that is the newest second. */
static int place(int64_t newest, int level, int64_t *bucket)
{
	for (; level < LEVELS; level++) {
		if (*bucket > bucket_of(newest, level) - sizes[level])
			return level;
		*bucket = divide(*bucket, STEP);
	}
	return NOWHERE;
}

/* How many buckets of the level leave their ring when the newest second moves on. */
static int64_t leaving(int level, int64_t from, int64_t to)
{
	int64_t moved = bucket_of(to, level) - bucket_of(from, level);

	return moved < sizes[level] ? moved : sizes[level];
}

static int64_t oldest(int level, int64_t newest)
{
	return bucket_of(newest, level) - sizes[level] + 1;
}

/* ---- adding ---- */

static bool is_sensible(int64_t second)
{
	return second >= -WINDOW_SECOND_MAX && second <= WINDOW_SECOND_MAX;
}

/* The levels, as bits, that something goes to when the newest second becomes `to`. */
static unsigned find_targets(const struct window *w, int64_t to)
{
	unsigned targets = 0;

	for (int level = 0; level + 1 < LEVELS; level++) {
		int64_t bucket = oldest(level, w->newest), end = bucket + leaving(level, w->newest, to);

		for (; w->rings[level] && bucket < end; bucket++) {
			int64_t coarser = divide(bucket, STEP);

			if (count_at(w, level, bucket))
				targets |= 1u << place(to, level + 1, &coarser);
		}
	}
	return targets;
}

static int make_rings(struct window *w, unsigned targets)
{
	for (int level = 1; level < LEVELS; level++) {
		if (w->rings[level] || !(targets & 1u << level))
			continue;
		w->rings[level] = calloc((size_t)sizes[level], sizeof(uint64_t));
		if (!w->rings[level])
			return -ENOMEM;
	}
	return 0;
}

int window_prepare(struct window *w, int64_t second)
{
	int64_t bucket = second;

	if (!is_sensible(second) || w->newest == NO_HITS || (w->rings[1] && w->rings[2]))
		return 0;
	if (second > w->newest)
		return make_rings(w, find_targets(w, second));
	return make_rings(w, 1u << place(w->newest, 0, &bucket));
}

static void put(struct window *w, int level, int64_t bucket, uint64_t count)
{
	level = place(w->newest, level, &bucket);
	if (level == NOWHERE)
		return;
	assert(w->rings[level]); /* or it was not prepared */
	*slot(w, level, bucket) += count;
}

/* What no longer is in the last seconds goes to its minute, and so on. The coarser ring has covered that
 * bucket all the time, so nothing else stands in its place, moved on or not: any order of levels will do. */
static void move_on(struct window *w, int64_t to)
{
	int64_t from = w->newest;

	w->newest = to;
	for (int level = 0; level < LEVELS && from != NO_HITS; level++) {
		int64_t bucket = oldest(level, from), end = bucket + leaving(level, from, to);

		for (; w->rings[level] && bucket < end; bucket++) {
			uint64_t *at = slot(w, level, bucket), count = *at;

			*at = 0;
			if (count)
				put(w, level + 1, divide(bucket, STEP), count);
		}
	}
}

void window_add(struct window *w, int64_t second, uint64_t count)
{
	if (!is_sensible(second))
		return;
	if (second > w->newest)
		move_on(w, second);
	put(w, 0, second, count);
}

/* ---- asking ---- */

/* The hits in `level` and below, in its last `count` buckets up to that of `now`. */
static uint64_t add_up(const struct window *w, int level, int64_t now, int64_t count)
{
	int64_t first = bucket_of(now, level) - count + 1;
	uint64_t hits = 0;

	for (int l = 0; l <= level; l++) {
		int64_t bucket = oldest(l, w->newest), end = bucket + sizes[l];

		/* Bucket b of this level is at or behind `first` when it begins there or later. */
		if (bucket < first * (spans[level] / spans[l]))
			bucket = first * (spans[level] / spans[l]);
		for (; w->rings[l] && bucket < end; bucket++)
			hits += *slot(w, l, bucket);
	}
	return hits;
}

int window_sum(const struct window *w, int64_t now, int64_t window_ms, struct window_sum *out)
{
	int level = 0;
	int64_t count = 0;

	if (window_ms <= 0)
		return -ERANGE;
	for (; level < LEVELS; level++) {
		count = (window_ms - 1) / (1000 * spans[level]) + 1;
		if (count <= sizes[level])
			break;
	}
	if (level == LEVELS)
		return -ERANGE;
	*out = (struct window_sum){.resolution_ms = 1000 * spans[level]};
	if (!w || w->newest == NO_HITS)
		return 0;
	if (now < w->newest)
		now = w->newest;
	out->hits = add_up(w, level, now < WINDOW_SECOND_MAX ? now : WINDOW_SECOND_MAX, count);
	return 0;
}

/* ---- on disk ---- */

static unsigned char *pack_level(const struct window *w, int level, unsigned char *at)
{
	int64_t newest = bucket_of(w->newest, level), before = newest;
	uint64_t filled = 0;

	for (int64_t i = 0; w->rings[level] && i < sizes[level]; i++)
		filled += w->rings[level][i] != 0;
	at = varint_store(at, filled);
	for (int64_t bucket = newest; filled; bucket--) {
		uint64_t count = count_at(w, level, bucket);

		if (!count)
			continue;
		at = varint_store(at, (uint64_t)(before - bucket));
		at = varint_store(at, count);
		before = bucket;
		filled--;
	}
	return at;
}

void window_pack(const struct window *w, struct buf *out)
{
	unsigned char *begin = (unsigned char *)buf_reserve(out, PACKED_BYTES_MAX), *at = begin;

	if (!begin)
		return;
	*at++ = VERSION;
	at = varint_store(at, varint_zigzag((uint64_t)w->newest));
	for (int level = 0; level < LEVELS; level++)
		at = pack_level(w, level, at);
	varint_store_le(at, journal_checksum(begin, (size_t)(at - begin)), CHECKSUM_BYTES);
	buf_commit(out, (size_t)(at - begin) + CHECKSUM_BYTES);
}

/* The newest bucket of a level that may have something: behind it all are covered by the finer one. */
static int64_t newest_in(int64_t newest, int level)
{
	return level == 0 ? newest : divide(oldest(level - 1, newest) - 1, STEP);
}

/* 0, -EUCLEAN, -ENOMEM. */
static int unpack_level(struct window *w, int level, const unsigned char **at, const unsigned char *end)
{
	int64_t bucket = bucket_of(w->newest, level);
	uint64_t filled, distance, count;

	if (!varint_load(at, end, &filled) || filled > (uint64_t)sizes[level])
		return -EUCLEAN;
	if (filled && make_rings(w, 1u << level))
		return -ENOMEM;
	for (uint64_t i = 0; i < filled; i++) {
		if (!varint_load(at, end, &distance) || !varint_load(at, end, &count) ||
		    distance >= (uint64_t)sizes[level] || (i > 0 && distance == 0) || count == 0)
			return -EUCLEAN;
		bucket -= (int64_t)distance;
		if (bucket > newest_in(w->newest, level) || bucket < oldest(level, w->newest))
			return -EUCLEAN;
		*slot(w, level, bucket) = count;
	}
	return 0;
}

static int unpack(struct window *w, const unsigned char *at, const unsigned char *end)
{
	uint64_t newest;
	int r = 0;

	if (*at++ != VERSION || !varint_load(&at, end, &newest))
		return -EUCLEAN;
	w->newest = (int64_t)varint_unzigzag(newest);
	if (w->newest == NO_HITS)
		return end - at == LEVELS && memcmp(at, "\0\0", LEVELS) == 0 ? 0 : -EUCLEAN;
	if (!is_sensible(w->newest))
		return -EUCLEAN;
	for (int level = 0; level < LEVELS && r == 0; level++)
		r = unpack_level(w, level, &at, end);
	return r == 0 && at != end ? -EUCLEAN : r;
}

struct window *window_unpack(const void *data, size_t len, int *error)
{
	const unsigned char *bytes = data;
	size_t checked = len - CHECKSUM_BYTES;
	struct window *w;

	*error = -EUCLEAN;
	if (len <= CHECKSUM_BYTES || len > PACKED_BYTES_MAX ||
	    varint_load_le(bytes + checked, CHECKSUM_BYTES) != journal_checksum(bytes, checked))
		return NULL;
	*error = -ENOMEM;
	w = window_new();
	if (!w)
		return NULL;
	*error = unpack(w, bytes, bytes + checked);
	return *error ? window_free(w) : w;
}
