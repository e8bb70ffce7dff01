/* SPDX-License-Identifier: MIT */
/* audit_sweep.c - see audit_sweep.h. Entered by the first worker, and by main before it starts. */
#include "audit_sweep.h"

#include <string.h>

#include "../lib/log.h"

enum { SLICE = 1000 /* records a turn */, KEEP_BYTES_MAX = 64 << 10 };

void audit_sweep_fini(struct audit_sweep *s)
{
	buf_fini(&s->names);
}

static bool is_new_generation(const struct audit_sweep *s, const struct audit *a)
{
	/* acquire: pairs with the release in audit_changed. */
	return atomic_load_explicit(&a->generation, memory_order_acquire) != s->generation;
}

bool audit_sweep_is_due(const struct audit_sweep *s, const struct audit *a, const struct epoch_clock *clock)
{
	if (is_new_generation(s, a))
		return true;
	return s->is_on && (s->target == 0 || epoch_sealed(clock) >= s->target);
}

/* ---- a slice ---- names first, for what is walked over must not be waited for */

struct collecting {
	struct audit_sweep *sweep;
	const struct audit *audit;
};

/* Those that a pattern fits, and those that one may have fitted. */
static void collect(void *arg, struct counter *c)
{
	const struct collecting *collecting = arg;
	struct slice name = counter_name(c);
	struct buf *names = &collecting->sweep->names;
	uint64_t object = counter_object(c);
	char len = (char)name.len;

	if (!counter_has_object(object))
		return;
	if (!counter_has_extra(object) && !audit_matches(collecting->audit, name))
		return;
	buf_append(names, &len, 1);
	buf_append(names, name.data, name.len);
}

static void follow(struct audit_sweep *s, const struct audit *a, struct txn *t, struct slice name)
{
	int rc = txn_set_audited(t, name, audit_matches(a, name));

	if (rc == TXN_WAIT && s->target_next < t->wait_epoch)
		s->target_next = t->wait_epoch;
	if (rc < 0)
		s->has_failed = true;
}

static void follow_all(struct audit_sweep *s, const struct audit *a, struct txn *t)
{
	const char *p = buf_head(&s->names), *end = p + buf_len(&s->names);

	s->has_failed |= s->names.failed;
	while (p < end) {
		struct slice name = {.data = p + 1, .len = (unsigned char)*p};

		follow(s, a, t, name);
		p += 1 + name.len;
	}
	buf_consume(&s->names, buf_len(&s->names));
	buf_shrink(&s->names, KEEP_BYTES_MAX);
	s->names.failed = false;
}

/* ---- the sweep ---- */

static void wait_for(struct audit_sweep *s, struct txn *t, uint64_t epoch)
{
	s->target = epoch;
	s->target_next = s->cursor = 0;
	epoch_want(t->epoch->clock, epoch);
}

static void begin(struct audit_sweep *s, const struct audit *a, struct txn *t)
{
	/* acquire: the new patterns with it. */
	s->generation = atomic_load_explicit(&a->generation, memory_order_acquire);
	s->is_on = true;
	s->has_failed = false;
	wait_for(s, t, epoch_open(t->epoch->clock));
}

static void end(struct audit_sweep *s)
{
	s->is_on = false;
	if (s->has_failed)
		log_warning(
			"audit: out of memory, so some counters do not follow the new patterns; reload again");
	else
		log_info("audit: all counters follow the new patterns");
}

void audit_sweep_some(struct audit_sweep *s, const struct audit *a, struct txn *t)
{
	struct collecting collecting = {.sweep = s, .audit = a};

	if (is_new_generation(s, a))
		begin(s, a, t);
	if (!audit_sweep_is_due(s, a, t->epoch->clock))
		return;
	s->target = 0;
	txn_begin(t);
	s->cursor = registry_walk(t->registry, s->cursor, SLICE, collect, &collecting);
	follow_all(s, a, t);
	if (s->cursor)
		return;
	if (s->target_next)
		wait_for(s, t, s->target_next);
	else
		end(s);
}

/* ---- at a start ---- */

struct loaded {
	const struct audit *audit;
	struct registry *registry;
	int rc;
};

static void begin_audited(void *arg, struct counter *c)
{
	struct loaded *loaded = arg;
	uint64_t object = counter_object(c);
	struct extra *x;

	if (loaded->rc || !counter_has_object(object) || !audit_matches(loaded->audit, counter_name(c)))
		return;
	if (counter_has_extra(object)) {
		counter_extra_of(object)->is_audited = true;
		return;
	}
	loaded->rc = registry_extra_new(loaded->registry, c, counter_id(object), &x);
	if (loaded->rc)
		return;
	x->is_audited = true;
	counter_set_object(c, counter_object_of_extra(x));
}

int audit_sweep_loaded(const struct audit *a, struct registry *registry)
{
	struct loaded loaded = {.audit = a, .registry = registry};
	uint64_t cursor = 0;

	if (!audit_is_on(a))
		return 0;
	do
		cursor = registry_walk(registry, cursor, SLICE, begin_audited, &loaded);
	while (cursor && !loaded.rc);
	return loaded.rc;
}
