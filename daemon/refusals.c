/* SPDX-License-Identifier: MIT */
/* refusals.c - see refusals.h. */
#include "refusals.h"

#include <bsd/string.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../lib/log.h"
#include "../lib/num.h"
#include "waker.h"

void refusals_init(struct refusals *r)
{
	memset(r, 0, sizeof(*r));
	pthread_mutex_init(&r->mutex, NULL);
}

void refusals_fini(struct refusals *r)
{
	pthread_mutex_destroy(&r->mutex);
}

/* ---- noted ---- */

/* None of them has a line of its own. */
static void add_to_others(struct refusals *r, uint64_t count, int64_t now_ms)
{
	if (count && r->others.unsaid == 0 && seldom_is_due(&r->others, now_ms))
		r->others = (struct seldom){.is_said = true, .said_ms = now_ms};
	r->others.unsaid += count;
}

/* Its place, or one that nobody needs. Null: all are in use. */
static struct refusals_source *find(struct refusals *r, const char *who, int64_t now_ms)
{
	struct refusals_source *spare = NULL;

	for (size_t i = 0; i < REFUSALS_SOURCES; i++) {
		struct refusals_source *s = &r->sources[i];

		if (s->is_known && strncmp(s->who, who, sizeof(s->who) - 1) == 0)
			return s;
		if (!s->is_known || (seldom_is_due(&s->seldom, now_ms) && (!spare || spare->is_known)))
			spare = s;
	}
	if (!spare)
		return NULL;
	add_to_others(r, spare->seldom.unsaid, now_ms);
	*spare = (struct refusals_source){.is_known = true};
	(void)strlcpy(spare->who, who, sizeof(spare->who));
	return spare;
}

static bool note(struct refusals *r, const char *who, int64_t now_ms, uint64_t *unsaid)
{
	struct refusals_source *s = find(r, who, now_ms);

	if (!s) {
		add_to_others(r, 1, now_ms);
		return false;
	}
	if (!seldom_note(&s->seldom, now_ms, unsaid))
		return false;
	*unsaid += r->others.unsaid;
	r->others.unsaid = 0;
	return true;
}

bool refusals_note(struct refusals *r, const char *who, int64_t now_ms, uint64_t *unsaid)
{
	bool is_said;

	pthread_mutex_lock(&r->mutex);
	is_said = note(r, who, now_ms, unsaid);
	/* With the mutex: he may be about to leave. */
	if (!is_said && r->teller && !r->is_told) {
		r->is_told = true;
		waker_wake(r->teller);
	}
	pthread_mutex_unlock(&r->mutex);
	return is_said;
}

void refusals_more(uint64_t unsaid, char out[REFUSALS_MORE_SIZE])
{
	out[0] = '\0';
	if (unsaid)
		(void)snprintf(out, REFUSALS_MORE_SIZE,
			       "; %" PRIu64 " more refusal%s since the last such line", unsaid,
			       num_plural(unsaid));
}

/* ---- told ---- */

void refusals_set_teller(struct refusals *r, struct waker *teller)
{
	pthread_mutex_lock(&r->mutex);
	r->teller = teller;
	r->is_told = false;
	pthread_mutex_unlock(&r->mutex);
}

int64_t refusals_wait_ms(struct refusals *r, int64_t now_ms)
{
	int64_t least, ms;

	pthread_mutex_lock(&r->mutex);
	least = seldom_wait_ms(&r->others, now_ms);
	for (size_t i = 0; i < REFUSALS_SOURCES; i++) {
		ms = seldom_wait_ms(&r->sources[i].seldom, now_ms);
		if (ms >= 0 && (least < 0 || ms < least))
			least = ms;
	}
	r->is_told = least >= 0;
	pthread_mutex_unlock(&r->mutex);
	return least;
}

/* With the mutex. Of somebody of whom there is something to tell, how many; 0: of nobody. */
static uint64_t take_unsaid(struct refusals *r, int64_t now_ms, bool is_end, char who[REFUSALS_WHO_SIZE])
{
	uint64_t count;

	for (size_t i = 0; i < REFUSALS_SOURCES; i++) {
		count = seldom_tell(&r->sources[i].seldom, now_ms, is_end);
		if (count) {
			(void)strlcpy(who, r->sources[i].who, REFUSALS_WHO_SIZE);
			return count;
		}
	}
	(void)strlcpy(who, "other sources", REFUSALS_WHO_SIZE);
	return seldom_tell(&r->others, now_ms, is_end);
}

void refusals_tell(struct refusals *r, int64_t now_ms, bool is_end)
{
	char who[REFUSALS_WHO_SIZE];
	uint64_t count;

	for (;;) {
		pthread_mutex_lock(&r->mutex);
		count = take_unsaid(r, now_ms, is_end, who);
		pthread_mutex_unlock(&r->mutex);
		if (!count)
			return;
		/* Without the mutex: who reads the log may be slow. */
		log_warning("%s: %" PRIu64 " more refusal%s since the last line about it", who, count,
			    num_plural(count));
	}
}
