/* SPDX-License-Identifier: MIT */
/* registry_extra.c - the memory of what counters have beside their values (extra.h), within max-memory. Any
 * worker, its counter locked. */
#include <errno.h>
#include <stdlib.h>

#include "registry.h"
#include "window.h"

static void count_bytes(struct registry *r, size_t bytes)
{
	atomic_fetch_add_explicit(&r->extra_bytes, bytes, memory_order_relaxed);
}

int registry_extra_new(struct registry *r, struct counter *c, uint64_t id, struct extra **out)
{
	struct extra *x;

	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	x->id = id;
	x->counter = c;
	count_bytes(r, sizeof(*x));
	*out = x;
	return 0;
}

void registry_extra_free(struct registry *r, struct extra *x)
{
	size_t bytes = sizeof(*x) + (x->window ? window_bytes(x->window) : 0);

	atomic_fetch_sub_explicit(&r->extra_bytes, bytes, memory_order_relaxed);
	window_free(x->window);
	free(x);
}

int registry_extra_prepare_hit(struct registry *r, struct extra *x, int64_t second)
{
	size_t before = x->window ? window_bytes(x->window) : 0;
	int rc;

	if (!x->window) {
		if (registry_is_full(r))
			return -EDQUOT;
		x->window = window_new();
		if (!x->window)
			return -ENOMEM;
	}
	rc = window_prepare(x->window, second);
	count_bytes(r, window_bytes(x->window) - before);
	return rc;
}

void registry_extra_give_window(struct registry *r, struct extra *x, struct window *w)
{
	x->window = w;
	count_bytes(r, window_bytes(w));
}
