/* SPDX-License-Identifier: MIT */
/* audit_reader.c - see audit_reader.h. Entered by workers and by its own thread. */
#include "audit_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/resp.h"
#include "audit_entry.h"
#include "store.h"

enum {
	UNTAKEN_MAX = 8, /* answers: some MB each, at most */
	ROW_WORDS = 6,
};

enum state { WAITING, RUNNING, ANSWERED, DROPPED /* while it was running */ };

struct audit_question {
	TAILQ_ENTRY(audit_question) link; /* while it waits */
	enum state state;		  /* under the mutex */
	struct waker *waker;		  /* of the worker */
	int64_t after, count;
	uint8_t name_len;
	char name[NAME_LEN_MAX];
	struct audit_answer answer; /* the thread's while it runs, then the worker's */
};

int audit_reader_init(struct audit_reader *r, const char *db)
{
	*r = (struct audit_reader){.db = db};
	TAILQ_INIT(&r->waiting);
	pthread_mutex_init(&r->mutex, NULL);
	return waker_init(&r->waker);
}

void audit_reader_fini(struct audit_reader *r)
{
	bool has_thread;

	pthread_mutex_lock(&r->mutex);
	r->is_stopping = true;
	has_thread = r->has_thread;
	pthread_mutex_unlock(&r->mutex);
	waker_wake(&r->waker);
	if (has_thread)
		pthread_join(r->thread, NULL);
	waker_fini(&r->waker);
	pthread_mutex_destroy(&r->mutex);
}

static void question_free(struct audit_question *q)
{
	buf_fini(&q->answer.rows);
	free(q);
}

/* ---- the thread ---- */

static void put_row(void *arg, int64_t log_id, const struct audit_entry *entry)
{
	struct audit_answer *answer = arg;
	const char *operation = audit_operation_name(entry->operation);

	resp_put_array(&answer->rows, ROW_WORDS);
	resp_put_int(&answer->rows, log_id);
	resp_put_int(&answer->rows, entry->time_us);
	resp_put_bulk_str(&answer->rows, operation ? operation : "unknown");
	resp_put_int(&answer->rows, entry->delta);
	resp_put_int(&answer->rows, entry->value);
	resp_put_bulk(&answer->rows, entry->peer.data, entry->peer.len);
	answer->count++;
	answer->own += entry->name.len > 0;
}

static void look_up(struct audit_reader *r, struct store_audit_reader **store, struct audit_question *q)
{
	struct audit_answer *answer = &q->answer;
	struct slice name = {.data = q->name, .len = q->name_len};

	answer->rc = store_audit_read(store, r->db, name, q->after, q->count, put_row, answer, answer->why,
				      sizeof(answer->why));
	if (answer->rc)
		*store = store_audit_reader_close(*store); /* opened again for the next */
	if (answer->rc == 0 && answer->rows.failed) {
		answer->rc = -ENOMEM;
		strcpy(answer->why, "out of memory");
	}
}

/* Null: there is none now. */
static struct audit_question *next_question(struct audit_reader *r, bool *is_stopping)
{
	struct audit_question *q;

	pthread_mutex_lock(&r->mutex);
	*is_stopping = r->is_stopping;
	q = r->untaken < UNTAKEN_MAX ? TAILQ_FIRST(&r->waiting) : NULL;
	if (q) {
		TAILQ_REMOVE(&r->waiting, q, link);
		q->state = RUNNING;
	}
	pthread_mutex_unlock(&r->mutex);
	return q;
}

static void finish(struct audit_reader *r, struct audit_question *q)
{
	struct waker *waker = NULL;

	pthread_mutex_lock(&r->mutex);
	if (q->state == RUNNING) {
		q->state = ANSWERED;
		r->untaken++;
		waker = q->waker;
	}
	pthread_mutex_unlock(&r->mutex);
	/* An answered question is the worker's, who may have dropped it already; he himself outlives us. */
	if (waker)
		waker_wake(waker);
	else
		question_free(q);
}

static void *run(void *arg)
{
	struct audit_reader *r = arg;
	struct store_audit_reader *store = NULL;
	bool is_stopping = false;

	pthread_setname_np(pthread_self(), "audit-reader");
	while (!is_stopping) {
		struct audit_question *q;

		waker_park(&r->waker);
		q = next_question(r, &is_stopping);
		if (!q && !is_stopping)
			waker_sleep(&r->waker, -1);
		waker_unpark(&r->waker);
		if (!q)
			continue;
		look_up(r, &store, q);
		finish(r, q);
	}
	store_audit_reader_close(store);
	return NULL;
}

/* ---- workers ---- */

/* Under the mutex. */
static bool has_started(struct audit_reader *r)
{
	if (!r->has_thread)
		r->has_thread = pthread_create(&r->thread, NULL, run, r) == 0;
	return r->has_thread;
}

struct audit_question *audit_reader_ask(struct audit_reader *r, struct slice name, int64_t after,
					int64_t count, struct waker *waker)
{
	struct audit_question *q = calloc(1, sizeof(*q));
	bool is_asked;

	if (!q)
		return NULL;
	q->waker = waker;
	q->after = after;
	q->count = count;
	q->name_len = (uint8_t)name.len;
	memcpy(q->name, name.data, name.len);
	pthread_mutex_lock(&r->mutex);
	is_asked = has_started(r);
	if (is_asked)
		TAILQ_INSERT_TAIL(&r->waiting, q, link);
	pthread_mutex_unlock(&r->mutex);
	if (!is_asked) {
		free(q);
		return NULL;
	}
	waker_wake(&r->waker);
	return q;
}

bool audit_reader_is_answered(struct audit_reader *r, const struct audit_question *q)
{
	bool is_answered;

	pthread_mutex_lock(&r->mutex);
	is_answered = q->state == ANSWERED;
	pthread_mutex_unlock(&r->mutex);
	return is_answered;
}

const struct audit_answer *audit_reader_answer(const struct audit_question *q)
{
	return &q->answer;
}

struct audit_question *audit_reader_drop(struct audit_reader *r, struct audit_question *q)
{
	bool is_running;

	if (!q)
		return NULL;
	pthread_mutex_lock(&r->mutex);
	is_running = q->state == RUNNING;
	if (is_running)
		q->state = DROPPED;
	else if (q->state == WAITING)
		TAILQ_REMOVE(&r->waiting, q, link);
	else
		r->untaken--;
	pthread_mutex_unlock(&r->mutex);
	if (is_running)
		return NULL;
	question_free(q);
	waker_wake(&r->waker); /* there may be room for one more answer */
	return NULL;
}
