/* SPDX-License-Identifier: MIT */
/*
 * pulse.h - whether a thread still does its rounds: it is asked, and answers when it comes round next.
 *
 * The asker asks, then wakes the thread. The thread answers once a round, and looks once more between parking
 * and sleeping (waker.h), so a question never sleeps with it. All seq_cst but the first look of pulse_answer,
 * which a round pays for: a question that it misses is seen at that second look.
 *
 * A thread that waits for what is not its fault, as for a disk, is excused meanwhile.
 */
#ifndef SHC_PULSE_H
#define SHC_PULSE_H

#include <stdatomic.h>
#include <stdbool.h>

struct pulse {
	_Atomic bool is_asked;	 /* set by the asker, cleared by the thread */
	_Atomic bool is_excused; /* the thread's own */
};

/* ---- the asker ---- */

static inline void pulse_ask(struct pulse *p)
{
	atomic_store(&p->is_asked, true);
}

static inline bool pulse_is_silent(const struct pulse *p)
{
	return atomic_load(&p->is_asked) && !atomic_load(&p->is_excused);
}

/* ---- the thread ---- */

static inline bool pulse_is_asked(const struct pulse *p)
{
	return atomic_load(&p->is_asked);
}

static inline void pulse_answer(struct pulse *p)
{
	if (atomic_load_explicit(&p->is_asked, memory_order_relaxed))
		atomic_store(&p->is_asked, false);
}

/* From here on it may take as long as it takes. */
static inline void pulse_excuse(struct pulse *p)
{
	atomic_store(&p->is_excused, true);
}

/* Having come back is an answer; and it is given first, or the time away would count for a moment. */
static inline void pulse_return(struct pulse *p)
{
	pulse_answer(p);
	atomic_store(&p->is_excused, false);
}

#endif
