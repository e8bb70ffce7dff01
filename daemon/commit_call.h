/* SPDX-License-Identifier: MIT */
/*
 * commit_call.h - the one who wants something done with the store, which only the committer's thread may
 * touch: waits until that thread has done it between two commits.
 *
 * commit_call() in commit.h is what others call; here is what the committer does for it. One call at a time:
 * the next caller waits for his turn. A call is ASKED by its caller, then either RUNNING, by the committer,
 * and DONE, or DONE at once, by who stops the committer; each by an exchange, so that exactly one of the two
 * gets it.
 */
#ifndef SHC_COMMIT_CALL_H
#define SHC_COMMIT_CALL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store.h"
#include "waker.h"

/* What is to be done. STORE_OK, or another outcome of the store's. */
typedef int commit_call_fn(struct store *s, void *arg);

enum commit_call_state { CALL_NONE, CALL_ASKED, CALL_RUNNING, CALL_DONE };

struct commit_call {
	pthread_mutex_t turn; /* the caller has it until he has his answer */
	/* of who has the turn */
	struct waker waker;
	/* written by him before ASKED; the result by the committer, before DONE */
	commit_call_fn *fn;
	void *arg;
	int result;
	_Atomic uint32_t state; /* enum commit_call_state; seq_cst (Dekker with is_stopping) */
};

int commit_call_init(struct commit_call *call);	 /* 0 or -errno */
void commit_call_fini(struct commit_call *call); /* nobody calls any more */

/* ---- committer ---- */

/* Between waker_park and sleeping. */
static inline bool commit_call_is_waiting(const struct commit_call *call)
{
	return atomic_load(&call->state) == CALL_ASKED;
}

/* Does what is asked, if anything is. Negative: what was done has failed, and nobody was told: the process
 * has to end. */
int commit_call_serve(struct commit_call *call, struct store *s);

/* ---- who stops it, behind is_stopping ---- */

/* Who waits gets -ECANCELED, but for one that is being served. */
void commit_call_cancel(struct commit_call *call);

#endif
