/* SPDX-License-Identifier: MIT */
/* commit_call.c - see commit_call.h. Entered by callers, by the committer, and by who stops it. */
#include "commit_call.h"

#include <errno.h>

#include "commit.h"

int commit_call_init(struct commit_call *call)
{
	*call = (struct commit_call){.state = CALL_NONE};
	pthread_mutex_init(&call->turn, NULL);
	return waker_init(&call->waker);
}

void commit_call_fini(struct commit_call *call)
{
	waker_fini(&call->waker);
	pthread_mutex_destroy(&call->turn);
}

/* ---- committer, and who stops it ---- */

/* True: it is ours. What its caller has written before is seen. */
static bool take(struct commit_call *call, enum commit_call_state next)
{
	uint32_t asked = CALL_ASKED;

	return atomic_compare_exchange_strong(&call->state, &asked, next);
}

int commit_call_serve(struct commit_call *call, struct store *s)
{
	int r;

	if (!commit_call_is_waiting(call) || !take(call, CALL_RUNNING))
		return 0;
	r = call->fn(s, call->arg);
	if (r < 0)
		return r;
	call->result = r;
	atomic_store(&call->state, CALL_DONE);
	/* The caller may be gone by now; his waker is the committer's. */
	waker_wake(&call->waker);
	return 0;
}

void commit_call_cancel(struct commit_call *call)
{
	if (take(call, CALL_DONE))
		waker_wake(&call->waker);
}

/* ---- the caller, who has the turn ---- */

static void wait_for_answer(struct commit_call *call)
{
	bool is_done;

	do {
		waker_park(&call->waker);
		is_done = atomic_load(&call->state) == CALL_DONE;
		if (!is_done)
			waker_sleep(&call->waker, -1);
		waker_unpark(&call->waker);
	} while (!is_done);
}

/* Who stops the committer writes is_stopping, then looks whether somebody has asked; here it is the other way
 * round: one of the two sees the other, and nobody waits for a thread that has ended. */
static int ask(struct commit *c, commit_call_fn *fn, void *arg)
{
	struct commit_call *call = &c->call;

	call->fn = fn;
	call->arg = arg;
	call->result = -ECANCELED;
	atomic_store(&call->state, CALL_ASKED);
	if (atomic_load(&c->is_stopping))
		commit_call_cancel(call);
	else
		waker_wake(&c->waker);
	wait_for_answer(call);
	atomic_store(&call->state, CALL_NONE);
	return call->result;
}

int commit_call(struct commit *c, commit_call_fn *fn, void *arg)
{
	int r;

	pthread_mutex_lock(&c->call.turn);
	r = ask(c, fn, arg);
	pthread_mutex_unlock(&c->call.turn);
	return r;
}
