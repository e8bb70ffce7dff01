/* SPDX-License-Identifier: MIT */
/* uplink_ask.c - see uplink_ask.h. Entered by workers and by the uplink's thread. */
#include "uplink_ask.h"

#include <stdlib.h>
#include <string.h>

#include "../lib/resp.h"

enum { WAITING, TAKEN, ANSWERED, DROPPED /* while it was taken */ };

void uplink_asks_init(struct uplink_asks *a)
{
	*a = (struct uplink_asks){.is_over = false};
	TAILQ_INIT(&a->waiting);
	pthread_mutex_init(&a->mutex, NULL);
}

void uplink_asks_fini(struct uplink_asks *a)
{
	pthread_mutex_destroy(&a->mutex);
}

static void question_free(struct uplink_question *q)
{
	buf_fini(&q->reply);
	free(q);
}

/* ---- workers ---- */

struct uplink_question *uplink_ask(struct uplink_asks *a, const struct uplink_question *wanted,
				   struct waker *thread, struct waker *waker)
{
	struct uplink_question *q = malloc(sizeof(*q));
	bool is_over;

	if (!q)
		return NULL;
	*q = *wanted;
	q->state = WAITING;
	q->waker = waker;
	pthread_mutex_lock(&a->mutex);
	is_over = a->is_over;
	if (!is_over) {
		q->serial = ++a->count;
		TAILQ_INSERT_TAIL(&a->waiting, q, link);
	}
	pthread_mutex_unlock(&a->mutex);
	if (is_over) {
		free(q);
		return NULL;
	}
	waker_wake(thread);
	return q;
}

bool uplink_is_answered(struct uplink_asks *a, const struct uplink_question *q)
{
	bool is_answered;

	pthread_mutex_lock(&a->mutex);
	is_answered = q->state == ANSWERED;
	pthread_mutex_unlock(&a->mutex);
	return is_answered;
}

struct uplink_question *uplink_drop(struct uplink_asks *a, struct uplink_question *q)
{
	bool is_taken;

	if (!q)
		return NULL;
	pthread_mutex_lock(&a->mutex);
	is_taken = q->state == TAKEN;
	if (is_taken)
		q->state = DROPPED;
	else if (q->state == WAITING)
		TAILQ_REMOVE(&a->waiting, q, link);
	pthread_mutex_unlock(&a->mutex);
	if (!is_taken)
		question_free(q);
	return NULL;
}

/* ---- the thread ---- */

struct uplink_question *uplink_take(struct uplink_asks *a, uplink_fits_fn *fits, void *arg)
{
	struct uplink_question *q;

	pthread_mutex_lock(&a->mutex);
	TAILQ_FOREACH (q, &a->waiting, link)
		if (fits(arg, q))
			break;
	if (q) {
		TAILQ_REMOVE(&a->waiting, q, link);
		q->state = TAKEN;
	}
	pthread_mutex_unlock(&a->mutex);
	return q;
}

uint64_t uplink_asks_count(struct uplink_asks *a)
{
	uint64_t count;

	pthread_mutex_lock(&a->mutex);
	count = a->count;
	pthread_mutex_unlock(&a->mutex);
	return count;
}

void uplink_answer(struct uplink_asks *a, struct uplink_question *q)
{
	struct waker *waker = NULL;

	pthread_mutex_lock(&a->mutex);
	if (q->state == TAKEN) {
		q->state = ANSWERED;
		waker = q->waker;
	}
	pthread_mutex_unlock(&a->mutex);
	/* An answered question is the worker's, who may have dropped it already; he himself outlives us. */
	if (waker)
		waker_wake(waker);
	else
		question_free(q);
}

void uplink_put_back(struct uplink_asks *a, struct uplink_question *q)
{
	bool is_dropped;

	pthread_mutex_lock(&a->mutex);
	is_dropped = q->state == DROPPED;
	if (!is_dropped) {
		q->state = WAITING;
		TAILQ_INSERT_HEAD(&a->waiting, q, link);
	}
	pthread_mutex_unlock(&a->mutex);
	if (is_dropped)
		question_free(q);
}

static bool fits_any(void *arg, const struct uplink_question *q)
{
	(void)arg;
	(void)q;
	return true;
}

void uplink_asks_end(struct uplink_asks *a, const char *error)
{
	struct uplink_question *q;

	pthread_mutex_lock(&a->mutex);
	a->is_over = true;
	pthread_mutex_unlock(&a->mutex);
	while ((q = uplink_take(a, fits_any, NULL))) {
		resp_put_error(&q->reply, error);
		uplink_answer(a, q);
	}
}
