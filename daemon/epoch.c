/* SPDX-License-Identifier: MIT */
/* epoch.c - see epoch.h. Entered by workers (their own slot) and the committer. */
#include "epoch.h"

#include <assert.h>

#include "spin.h"

void epoch_clock_init(struct epoch_clock *c, uint64_t first, struct waker *committer)
{
	atomic_init(&c->open, first);
	atomic_init(&c->sealed, first - 1);
	atomic_init(&c->durable, first - 1);
	atomic_init(&c->want, 0);
	atomic_init(&c->is_dirty, 0);
	c->committer = committer;
	c->first = first;
}

void epoch_slot_init(struct epoch_slot *s, struct epoch_clock *clock)
{
	s->clock = clock;
	s->own = epoch_open(clock);
	epoch_buffer_init(&s->buffers[0]);
	epoch_buffer_init(&s->buffers[1]);
	s->open = &s->buffers[0];
	atomic_init(&s->sealed, s->own - 1);
	atomic_init(&s->state, EPOCH_RUNNING);
	atomic_init(&s->waits, 0);
	s->is_asking = false;
	s->is_untold = false;
	s->handed = NULL;
	s->handed_epoch = 0;
}

void epoch_slot_fini(struct epoch_slot *s)
{
	epoch_buffer_fini(&s->buffers[0]);
	epoch_buffer_fini(&s->buffers[1]);
}

/* By the owner, or by the committer in its place. The other buffer is free: the committer opens an epoch only
 * when the one before the last is committed and its buffers are cleared. An empty buffer is not handed over:
 * `handed` may only change once an epoch. */
static void hand_over(struct epoch_slot *s, uint64_t open)
{
	if (!epoch_buffer_is_empty(s->open)) {
		assert(open == s->own + 1);
		s->handed = s->open;
		s->handed_epoch = s->own;
		s->open = &s->buffers[s->open == &s->buffers[0]];
		assert(epoch_buffer_is_empty(s->open));
	}
	s->own = open;
	/* release: the committer reads the buffer after it has read this. */
	atomic_store(&s->sealed, open - 1);
}

void epoch_seal(struct epoch_slot *s, uint64_t open)
{
	/* Whoever asks for a merge marks the cells, fences, reads the epoch. With this fence, a worker that
	 * has seen a later epoch sees the mark (counter_merge_mark). */
	atomic_thread_fence(memory_order_seq_cst);
	hand_over(s, open);
	waker_wake(s->clock->committer);
}

void epoch_catch_up(struct epoch_slot *s)
{
	epoch_look(s);
}

void epoch_note_dirty(struct epoch_slot *s)
{
	if (atomic_load_explicit(&s->clock->is_dirty, memory_order_relaxed))
		return;
	atomic_store(&s->clock->is_dirty, 1);
	if (s->is_asking)
		s->is_untold = true;
	else
		waker_wake(s->clock->committer);
}

void epoch_tell_dirty(struct epoch_slot *s)
{
	if (s->is_untold)
		waker_wake(s->clock->committer);
	s->is_untold = false;
}

void epoch_want(struct epoch_clock *c, uint64_t epoch)
{
	uint64_t seen = atomic_load(&c->want);

	while (seen < epoch && !atomic_compare_exchange_weak(&c->want, &seen, epoch))
		continue;
	waker_wake(c->committer);
}

void epoch_unpark(struct epoch_slot *s)
{
	uint32_t seen = atomic_load(&s->state);
	unsigned spins = 0;

	/* seq_cst: a committer that still saw PARKED_CLEAN has opened its epoch before our look, so nothing
	 * is recorded in an epoch that was sealed for us. */
	while (seen == EPOCH_SEALING || !atomic_compare_exchange_weak(&s->state, &seen, EPOCH_RUNNING)) {
		if (seen == EPOCH_SEALING)
			spin_pause(&spins);
		seen = atomic_load(&s->state);
	}
	/* The fence of epoch_seal, for an epoch that the committer has sealed in our place. */
	atomic_thread_fence(memory_order_seq_cst);
	if (epoch_open(s->clock) != s->own)
		epoch_seal(s, epoch_open(s->clock));
}

bool epoch_park(struct epoch_slot *s)
{
	bool is_clean = epoch_buffer_is_empty(s->open);
	uint64_t own = s->own; /* parked, the slot may be in the committer's hands */

	atomic_store(&s->state, is_clean ? EPOCH_PARKED_CLEAN : EPOCH_PARKED_DIRTY);
	/* seq_cst on both sides: either the committer, who has opened the next epoch, sees the state, or we
	 * see the epoch. Then it may have seen us running and wait for our word, also when we have nothing to
	 * hand over; or it is sealing for us already. */
	if (epoch_open(s->clock) == own)
		return true;
	epoch_unpark(s);
	return false;
}

void epoch_end(struct epoch_slot *s)
{
	atomic_store(&s->state, EPOCH_ENDED);
	waker_wake(s->clock->committer);
}

uint64_t epoch_advance(struct epoch_clock *c)
{
	uint64_t e = atomic_load_explicit(&c->open, memory_order_relaxed);

	/* Before the epoch moves: a change that is recorded later may set it again for nothing, none is
	 * missed. */
	atomic_store(&c->is_dirty, 0);
	atomic_store(&c->open, e + 1);
	return e;
}

/* The worker sleeps, and cannot wake up before the state is given back. It may have been awake since it was
 * looked at, and have sealed e itself: then what it has now is of the next epoch. */
static bool seal_parked(struct epoch_slot *s, uint64_t e)
{
	uint32_t seen = EPOCH_PARKED_DIRTY;

	if (!atomic_compare_exchange_strong(&s->state, &seen, EPOCH_SEALING))
		return false;
	if (atomic_load(&s->sealed) >= e) {
		atomic_store(&s->state, EPOCH_PARKED_DIRTY);
		return true;
	}
	hand_over(s, epoch_open(s->clock));
	/* release: the worker that wakes up finds the buffers swapped. */
	atomic_store(&s->state, EPOCH_PARKED_CLEAN);
	return true;
}

bool epoch_collect(struct epoch_slot *s, uint64_t e, struct epoch_buffer **buffer)
{
	uint32_t state;

	*buffer = NULL;
	/* State first: a worker that wakes up and seals between the two loads is found by the second. */
	state = atomic_load(&s->state);
	if (state == EPOCH_ENDED)
		epoch_look(s);
	if (atomic_load(&s->sealed) < e) {
		if (state == EPOCH_PARKED_CLEAN)
			return true;
		if (!seal_parked(s, e))
			return false;
	}
	if (s->handed_epoch == e)
		*buffer = s->handed;
	return true;
}
