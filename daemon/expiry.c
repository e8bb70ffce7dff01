/* SPDX-License-Identifier: MIT */
/* expiry.c - see expiry.h. Entered by workers; the lock of a tree is held for some hundred instructions. */
#include "expiry.h"

#include <string.h>

#include "counter.h"
#include "spin.h"

static int compare(const struct extra *a, const struct extra *b)
{
	if (a->due_ms != b->due_ms)
		return a->due_ms < b->due_ms ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

RB_PROTOTYPE(expiry_tree, extra, due, compare)
RB_GENERATE(expiry_tree, extra, due, compare)

void expiry_init(struct expiry *e)
{
	for (size_t i = 0; i < CONFIG_WORKERS_MAX; i++) {
		atomic_init(&e->part[i].lock, 0);
		atomic_init(&e->part[i].first_ms, 0);
		atomic_init(&e->part[i].count, 0);
		RB_INIT(&e->part[i].tree);
	}
}

size_t expiry_count(const struct expiry *e)
{
	size_t count = 0;

	for (size_t i = 0; i < CONFIG_WORKERS_MAX; i++)
		count += atomic_load_explicit(&e->part[i].count, memory_order_relaxed);
	return count;
}

/* The lock is held, and `change` more are in the tree. */
static void note(struct expiry *e, uint32_t worker, int change)
{
	_Atomic size_t *count = &e->part[worker].count;
	const struct extra *first = RB_MIN(expiry_tree, &e->part[worker].tree);

	/* relaxed: the owner of the tree has written it himself, or is late by one look at most. */
	atomic_store_explicit(&e->part[worker].first_ms, first ? first->due_ms : 0, memory_order_relaxed);
	atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + (size_t)change,
			      memory_order_relaxed);
}

static void leave(struct expiry *e, struct extra *x)
{
	uint32_t in = x->due_in;

	if (in == 0)
		return;
	spin_lock(&e->part[in - 1].lock);
	(void)RB_REMOVE(expiry_tree, &e->part[in - 1].tree, x);
	note(e, in - 1, -1);
	spin_unlock(&e->part[in - 1].lock);
	x->due_in = 0;
}

void expiry_set(struct expiry *e, uint32_t worker, struct extra *x, int64_t at_ms)
{
	/* Only whoever holds the counter moves its extra, so which tree it is in stands still. */
	leave(e, x);
	x->due_ms = at_ms;
	if (at_ms == 0)
		return;
	spin_lock(&e->part[worker].lock);
	(void)RB_INSERT(expiry_tree, &e->part[worker].tree, x);
	note(e, worker, 1);
	spin_unlock(&e->part[worker].lock);
	x->due_in = worker + 1;
}

size_t expiry_due(struct expiry *e, uint32_t worker, int64_t now_ms, struct expiry_name *names,
		  size_t count_max)
{
	struct extra *x;
	size_t count = 0;

	spin_lock(&e->part[worker].lock);
	/* What is in the tree is its counter's object, so the record is there, whoever wants to end it. */
	RB_FOREACH(x, expiry_tree, &e->part[worker].tree)
	{
		if (x->due_ms > now_ms || count == count_max)
			break;
		names[count].len = x->counter->name_len;
		memcpy(names[count++].bytes, x->counter->name, x->counter->name_len);
	}
	spin_unlock(&e->part[worker].lock);
	return count;
}
