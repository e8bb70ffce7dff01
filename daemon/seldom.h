/* SPDX-License-Identifier: MIT */
/*
 * seldom.h - what may happen often and is not logged each time: the first at once, then one in SELDOM_MS,
 * with how many were not said. What was not said by then is told without another one: whoever has a `struct
 * seldom` asks seldom_wait_ms() how long he may sleep, and seldom_tell() when he wakes up. So nobody fills
 * the log, and nothing is left out of it.
 *
 * Pure; not locked. Times are monotonic.
 */
#ifndef SHC_SELDOM_H
#define SHC_SELDOM_H

#include <stdbool.h>
#include <stdint.h>

enum { SELDOM_MS = 10000 };

struct seldom {
	bool is_said;	 /* ever */
	int64_t said_ms; /* the last time */
	uint64_t unsaid; /* since then */
};

static inline bool seldom_is_due(const struct seldom *s, int64_t now_ms)
{
	return !s->is_said || now_ms - s->said_ms >= SELDOM_MS;
}

/* It has happened. True: say it, and that *unsaid were not said. */
static inline bool seldom_note(struct seldom *s, int64_t now_ms, uint64_t *unsaid)
{
	if (!seldom_is_due(s, now_ms)) {
		s->unsaid++;
		return false;
	}
	*unsaid = s->unsaid;
	*s = (struct seldom){.is_said = true, .said_ms = now_ms};
	return true;
}

/* How many to tell of now; 0: none, or not yet. At the end of everything nothing waits. */
static inline uint64_t seldom_tell(struct seldom *s, int64_t now_ms, bool is_end)
{
	uint64_t unsaid = s->unsaid;

	if (unsaid == 0 || (!is_end && !seldom_is_due(s, now_ms)))
		return 0;
	*s = (struct seldom){.is_said = true, .said_ms = now_ms};
	return unsaid;
}

/* Until there is something to tell; -1: there is nothing. */
static inline int64_t seldom_wait_ms(const struct seldom *s, int64_t now_ms)
{
	if (s->unsaid == 0)
		return -1;
	return seldom_is_due(s, now_ms) ? 0 : s->said_ms + SELDOM_MS - now_ms;
}

#endif
