/* SPDX-License-Identifier: MIT */
/*
 * budget.h - so much a second, of one kind, shared by whoever has a pointer to it. Pure: the clock is an
 * argument.
 *
 * GCRA, the "virtual scheduling" form (ITU-T I.371): one number, the moment at which all that was used is
 * paid for. It lies in the past when nothing is owed; a second's worth may be used at once; what was used
 * beyond that has to be waited for. What is used is asked for before and noted behind it, so those who ask at
 * the same time may all go: whoever uses says how much that can be.
 *
 * Any thread; relaxed: the number stands for nothing but itself.
 */
#ifndef SHC_BUDGET_H
#define SHC_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BUDGET_BURST_NS INT64_C(1000000000)
/* Above it a second's worth times a second in nanoseconds would leave 64 bits. */
#define BUDGET_RATE_MAX (INT64_C(8) << 30)
/* No debt is longer, so that no sum leaves 64 bits. */
#define BUDGET_DEBT_MAX_S INT64_C(1000000)

struct budget {
	_Atomic int64_t paid_ns;
};

static inline int64_t budget_debt_ns(const struct budget *b, int64_t now_ns)
{
	int64_t paid_ns = atomic_load_explicit(&b->paid_ns, memory_order_relaxed);

	return paid_ns > now_ns ? paid_ns - now_ns : 0;
}

/* How much may be used now, at `rate` (1 to BUDGET_RATE_MAX) a second. */
static inline int64_t budget_left(const struct budget *b, int64_t rate, int64_t now_ns)
{
	int64_t debt_ns = budget_debt_ns(b, now_ns);

	return debt_ns < BUDGET_BURST_NS ? (BUDGET_BURST_NS - debt_ns) * rate / BUDGET_BURST_NS : 0;
}

/* What `amount` takes to be paid for; a fraction of a nanosecond is for free: one by one, a billionth of the
 * rate more than that. */
static inline int64_t budget_cost_ns(int64_t rate, int64_t amount)
{
	int64_t whole_s = amount / rate;

	if (whole_s >= BUDGET_DEBT_MAX_S)
		return BUDGET_DEBT_MAX_S * BUDGET_BURST_NS;
	return whole_s * BUDGET_BURST_NS + amount % rate * BUDGET_BURST_NS / rate;
}

/* `amount` was used. */
static inline void budget_use(struct budget *b, int64_t rate, int64_t amount, int64_t now_ns)
{
	int64_t paid_ns = atomic_load_explicit(&b->paid_ns, memory_order_relaxed), cost_ns, after_ns;

	if (amount <= 0)
		return;
	cost_ns = budget_cost_ns(rate, amount);
	do {
		after_ns = (paid_ns > now_ns ? paid_ns : now_ns) + cost_ns;
		if (after_ns > now_ns + BUDGET_DEBT_MAX_S * BUDGET_BURST_NS)
			after_ns = now_ns + BUDGET_DEBT_MAX_S * BUDGET_BURST_NS;
	} while (!atomic_compare_exchange_weak_explicit(&b->paid_ns, &paid_ns, after_ns, memory_order_relaxed,
							memory_order_relaxed));
}

/* The first moment at which one may be used. */
static inline int64_t budget_ready_ns(const struct budget *b, int64_t rate)
{
	/* Rounded up: then budget_left says one. */
	return atomic_load_explicit(&b->paid_ns, memory_order_relaxed) - BUDGET_BURST_NS +
	       (BUDGET_BURST_NS + rate - 1) / rate;
}

/* Forgives what goes beyond a second. */
static inline void budget_forgive(struct budget *b, int64_t now_ns)
{
	int64_t paid_ns = atomic_load_explicit(&b->paid_ns, memory_order_relaxed);

	while (paid_ns > now_ns + BUDGET_BURST_NS &&
	       !atomic_compare_exchange_weak_explicit(&b->paid_ns, &paid_ns, now_ns + BUDGET_BURST_NS,
						      memory_order_relaxed, memory_order_relaxed))
		continue;
}

#endif
