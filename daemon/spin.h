/* SPDX-License-Identifier: MIT */
/*
 * spin.h - waiting for another thread without a system call: for locks that are held for some instructions,
 * never across a system call.
 *
 * Who waits gives the processor away after a while: then the holder was preempted, and spinning keeps it from
 * running.
 */
#ifndef SHC_SPIN_H
#define SHC_SPIN_H

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

enum { SPINS_BEFORE_YIELD = 64 };

/* One look was in vain. *spins begins at 0. */
static inline void spin_pause(unsigned *spins)
{
	if (++*spins < SPINS_BEFORE_YIELD)
		__builtin_ia32_pause();
	else
		sched_yield();
}

static inline void spin_lock(_Atomic uint32_t *lock)
{
	unsigned spins = 0;

	/* acquire: pairs with spin_unlock's release. */
	while (atomic_exchange_explicit(lock, 1, memory_order_acquire))
		spin_pause(&spins);
}

static inline void spin_unlock(_Atomic uint32_t *lock)
{
	atomic_store_explicit(lock, 0, memory_order_release);
}

#endif
