/* SPDX-License-Identifier: MIT */
/* audit.c - see audit.h. */
#include "audit.h"

#include <string.h>
#include <time.h>

#include "../lib/glob.h"

#define BLANKS " \t"

void audit_init(struct audit *a, const struct config *config)
{
	a->config = config;
	atomic_init(&a->last_us, 0);
	atomic_init(&a->generation, 0);
}

bool audit_matches(const struct audit *a, struct slice name)
{
	/* acquire: pairs with the release that put the text there. It lasts as long as the config. */
	const char *c = atomic_load_explicit(&a->config->audit, memory_order_acquire);

	while (c && *(c += strspn(c, BLANKS))) {
		size_t len = strcspn(c, BLANKS);

		if (glob_match((struct slice){.data = c, .len = len}, name))
			return true;
		c += len;
	}
	return false;
}

int64_t audit_stamp(struct audit *a, size_t count)
{
	struct timespec ts;
	int64_t now, last, first;

	clock_gettime(CLOCK_REALTIME, &ts);
	now = (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
	last = atomic_load_explicit(&a->last_us, memory_order_relaxed);
	/* relaxed: whoever changes the counter next has its lock from us, so it reads this or a later one. */
	do
		first = now > last ? now : last + 1;
	while (!atomic_compare_exchange_weak_explicit(&a->last_us, &last, first + (int64_t)count - 1,
						      memory_order_relaxed, memory_order_relaxed));
	return first;
}

void audit_changed(struct audit *a)
{
	/* release: who sees the new number sees the new patterns. */
	atomic_fetch_add_explicit(&a->generation, 1, memory_order_release);
}
