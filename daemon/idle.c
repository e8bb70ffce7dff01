/* SPDX-License-Identifier: MIT */
/* idle.c - see idle.h. */
#include "idle.h"

#include <string.h>

enum { NS_PER_MS = 1000000 };

void idle_init(struct idle *i, int64_t limit_ms, struct waker *waker, int64_t now_ns)
{
	memset(i, 0, sizeof(*i));
	i->is_on = limit_ms > 0;
	i->waker = waker;
	i->limit_ns = limit_ms * NS_PER_MS;
	i->look_ns = now_ns + i->limit_ns;
	atomic_init(&i->since_ns, now_ns);
}

void idle_open(struct idle *i)
{
	if (i->is_on)
		atomic_fetch_add(&i->conns, 1);
}

void idle_close(struct idle *i, int64_t now_ns)
{
	if (!i->is_on)
		return;
	/* Before the count falls: who sees nobody connected must not see an older close. */
	atomic_store(&i->since_ns, now_ns);
	if (atomic_fetch_sub(&i->conns, 1) == 1 && atomic_load(&i->is_asked))
		waker_wake(i->waker);
}

int idle_wait_ms(struct idle *i, int64_t now_ns)
{
	if (!i->is_on)
		return -1;
	atomic_store(&i->is_asked, false);
	if (now_ns >= i->look_ns) {
		if (atomic_load(&i->conns) > 0) {
			atomic_store(&i->is_asked, true);
			/* Whoever closed the last one before that has told nobody. */
			if (atomic_load(&i->conns) > 0)
				return -1;
		}
		i->look_ns = atomic_load(&i->since_ns) + i->limit_ns;
	}
	if (now_ns >= i->look_ns)
		return 0;
	return (int)((i->look_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS);
}

void idle_hurry(struct idle *i)
{
	i->limit_ns = 0;
	i->look_ns = 0;
}
