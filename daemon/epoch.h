/* SPDX-License-Identifier: MIT */
/*
 * epoch.h - time as the daemon counts it: which changes reach the disk together, and when memory may be
 * freed.
 *
 * The committer moves `open` from e to e+1. Each worker, when it next looks, seals e: hands its buffer over
 * and goes on in the other. When all have sealed e, everything of e (and nothing of e+1) is in the handed
 * buffers: the cut. After the commit `durable` is e.
 *
 * The cut is causal. A worker that was preempted between looking and acting is behind: it would record in e
 * what depends on something of e+1. So every counter carries the stamp of its newest change, and who finds a
 * stamp newer than its own epoch under the lock seals before it changes anything (epoch_catch_up). See
 * docs/design.md, "Epochs".
 *
 * A worker that sleeps need not be woken for that. With an empty buffer it counts as sealed; else the
 * committer takes the slot (EPOCH_SEALING), seals in its place, and lets go.
 *
 *   struct epoch_clock: `open`, `sealed`, `durable` written by the committer only; `want`, `is_dirty` by
 * workers. struct epoch_slot: one per worker; owner: the worker, except where said.
 */
#ifndef SHC_EPOCH_H
#define SHC_EPOCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "epoch_buffer.h"
#include "waker.h"

struct epoch_clock {
	_Alignas(128) _Atomic uint64_t open;   /* the epoch that changes are recorded in now */
	_Alignas(128) _Atomic uint64_t sealed; /* every worker has sealed this one and those before */
	_Atomic uint64_t durable;	       /* on disk, with those before */
	_Alignas(128) _Atomic uint64_t want;   /* close every epoch up to this one now: somebody waits */
	_Atomic uint32_t is_dirty; /* the open epoch has content: a commit is due in an interval */
	struct waker *committer;
	uint64_t first; /* the first of this run of the daemon; never changes */
};

enum epoch_slot_state {
	EPOCH_RUNNING,	    /* will look before it sleeps */
	EPOCH_PARKED_CLEAN, /* asleep with an empty buffer: counts as sealed */
	EPOCH_PARKED_DIRTY, /* asleep with something to seal: the committer does it */
	EPOCH_SEALING,	    /* ... and is at it, for some instructions; the worker waits before it wakes up */
	EPOCH_ENDED,	    /* its thread has ended: the committer seals for it */
};

enum epoch_waits {
	EPOCH_WAITS_SEALED = 1 << 0, /* `sealed` of the clock moves */
	EPOCH_WAITS_DISK = 1 << 1, /* `durable` moves, a snapshot is complete, the disk is stuck or no more */
};

struct epoch_slot {
	/* the owner's alone, but in EPOCH_SEALING and EPOCH_ENDED: then the committer's */
	struct epoch_clock *clock;
	uint64_t own; /* its open epoch */
	struct epoch_buffer *open;
	struct epoch_buffer buffers[2];
	/* shared */
	_Alignas(128) _Atomic uint64_t
		sealed;		/* written by the owner, release: `handed` belongs to the committer now */
	_Atomic uint32_t state; /* enum epoch_slot_state; seq_cst (Dekker with open) */
	_Atomic uint32_t
		waits;	/* enum epoch_waits: what the worker wants to be woken for; it writes, seq_cst */
	bool is_asking; /* the worker's: at the end of a turn it asks for what replies wait for (epoch_want),
			   so the committer need not hear of the first change at once */
	bool is_untold; /* the worker's: ... and has not heard of it */
	struct epoch_buffer
		*handed; /* of epoch handed_epoch; stable from the seal until the next epoch opens */
	uint64_t handed_epoch;
};

void epoch_clock_init(struct epoch_clock *c, uint64_t first, struct waker *committer);

void epoch_slot_init(struct epoch_slot *s, struct epoch_clock *clock);
void epoch_slot_fini(struct epoch_slot *s);

/* ---- worker ---- */

void epoch_seal(struct epoch_slot *s, uint64_t open);

/* Looks whether the epoch has moved; seals when it has. After reaping completions and before each request. A
 * worker holds no pointer into the registry across it. */
static inline void epoch_look(struct epoch_slot *s)
{
	/* acquire: pairs with epoch_advance. What other workers did in the epochs before is not implied:
	 * stamps say it. */
	uint64_t open = atomic_load_explicit(&s->clock->open, memory_order_acquire);

	if (__builtin_expect(open != s->own, 0))
		epoch_seal(s, open);
}

/* Does the stamp (of a counter, of FLUSHALL's floor) say that this worker is behind? See
 * counter_stamp_is_next: one that looks so while the epoch has not moved is 2^32 epochs old. */
static inline bool epoch_is_behind(const struct epoch_slot *s, uint32_t stamp)
{
	return stamp == (uint32_t)(s->own + 1) &&
	       atomic_load_explicit(&s->clock->open, memory_order_acquire) != s->own;
}

/* A stamp newer than the own epoch was found: the global epoch has moved, seal now. Nothing of the present
 * request may have been recorded yet. */
void epoch_catch_up(struct epoch_slot *s);

/* The open buffer has got its first content: tells the committer, or (is_asking) leaves that to
 * epoch_tell_dirty at the end of the turn. */
void epoch_note_dirty(struct epoch_slot *s);
void epoch_tell_dirty(struct epoch_slot *s);

/* Asks for everything up to `epoch` to be closed (and committed) now. */
void epoch_want(struct epoch_clock *c, uint64_t epoch);

/* Before and after sleeping. epoch_park says false when the epoch has moved: it has looked, so do not sleep.
 */
bool epoch_park(struct epoch_slot *s);
void epoch_unpark(struct epoch_slot *s); /* looks, too */

/* The worker's last word: from here on the slot is the committer's. */
void epoch_end(struct epoch_slot *s);

/* ---- committer ---- */

/* Opens the next epoch; returns the one to be sealed now. */
uint64_t epoch_advance(struct epoch_clock *c);

/* Has the worker of `s` sealed e, or could it be done in its place? Then *buffer is what was handed over, or
 * null for nothing. False: it runs, and will seal and wake the committer. */
bool epoch_collect(struct epoch_slot *s, uint64_t e, struct epoch_buffer **buffer);

static inline uint64_t epoch_open(const struct epoch_clock *c)
{
	return atomic_load(&c->open);
}

static inline uint64_t epoch_sealed(const struct epoch_clock *c)
{
	return atomic_load(&c->sealed);
}

static inline uint64_t epoch_durable(const struct epoch_clock *c)
{
	return atomic_load(&c->durable);
}

#endif
