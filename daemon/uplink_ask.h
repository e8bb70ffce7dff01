/* SPDX-License-Identifier: MIT */
/*
 * uplink_ask.h - what workers ask the uplink's thread: SHC.GLOBAL, SHC.UPLINK.
 *
 * A question belongs to the connection that asked; its answer is a whole reply of RESP. Any worker asks and
 * drops, the thread answers; a mutex inside, never held over I/O.
 */
#ifndef SHC_UPLINK_ASK_H
#define SHC_UPLINK_ASK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "../lib/buf.h"
#include "../lib/slice.h"
#include "waker.h"

enum uplink_ask_kind {
	UPLINK_ASK_GLOBAL,  /* name */
	UPLINK_ASK_EXPLAIN, /* name; the answer is two pairs of a map, or nothing */
	UPLINK_ASK_STATUS,
	UPLINK_ASK_SYNC,   /* number: epoch that must be in the cluster; replicas; name: of this one alone */
	UPLINK_ASK_VERIFY, /* number: cursor; is_repair */
	UPLINK_ASK_RESET,  /* name */
	UPLINK_ASK_RETIRE, /* number: the incarnation */
	UPLINK_ASK_ACCEPT,
};

struct uplink_question {
	TAILQ_ENTRY(uplink_question) link; /* while it waits */
	enum uplink_ask_kind kind;
	uint8_t state;	     /* of uplink_ask.c, under the mutex */
	struct waker *waker; /* of the worker */
	uint64_t serial;     /* of this question, from 1 */
	uint64_t number;
	uint32_t replicas;
	bool is_repair, is_resp3;
	bool is_begun; /* UPLINK_ASK_SYNC of a name: that is looked at, or has been */
	uint8_t name_len;
	char name[NAME_LEN_MAX];
	struct buf reply; /* the thread's while it is answered, then the worker's */
};
TAILQ_HEAD(uplink_question_list, uplink_question);

struct uplink_asks {
	pthread_mutex_t mutex;
	/* under it */
	struct uplink_question_list waiting;
	uint64_t count; /* so many have been asked */
	bool is_over;	/* nobody answers any more */
};

void uplink_asks_init(struct uplink_asks *a);
void uplink_asks_fini(struct uplink_asks *a); /* all questions have been dropped */

/* ---- workers ---- */

/* A copy of `wanted` goes to the thread, whose waker is `thread`; `waker` hears of the answer. Null: no
 * memory, or the thread has ended. */
struct uplink_question *uplink_ask(struct uplink_asks *a, const struct uplink_question *wanted,
				   struct waker *thread, struct waker *waker);
bool uplink_is_answered(struct uplink_asks *a, const struct uplink_question *q);
/* Answered or not: nobody wants to know any more. Null is allowed. Returns null. */
struct uplink_question *uplink_drop(struct uplink_asks *a, struct uplink_question *q);

/* ---- the thread ---- */

/* Takes the first that `fits` says yes to; null: none. It is the thread's until uplink_answer or
 * uplink_put_back. */
typedef bool uplink_fits_fn(void *arg, const struct uplink_question *q);
struct uplink_question *uplink_take(struct uplink_asks *a, uplink_fits_fn *fits, void *arg);
/* How many have been asked: the serial number of the last one. */
uint64_t uplink_asks_count(struct uplink_asks *a);
/* `reply` is filled. */
void uplink_answer(struct uplink_asks *a, struct uplink_question *q);
void uplink_put_back(struct uplink_asks *a, struct uplink_question *q);
/* The thread ends: whoever waits, and whoever comes later, hears `error`. */
void uplink_asks_end(struct uplink_asks *a, const char *error);

#endif
