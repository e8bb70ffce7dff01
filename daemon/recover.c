/* SPDX-License-Identifier: MIT */
/* recover.c - see recover.h. */
#include "recover.h"

#include <errno.h>

static int take_counter(void *arg, uint64_t id, struct slice name, int64_t value)
{
	const struct recover *r = arg;
	struct counter *c;
	int rc = registry_insert(r->registry, name, registry_hash(r->registry, name), NULL, &c);

	if (rc)
		return rc;
	if (counter_has_object(counter_object(c)))
		return -EEXIST; /* the store says what that means: a damaged file */
	counter_set_base(c, value);
	counter_set_object(c, counter_object_of_id(id));
	return 0;
}

static int take_session(void *arg, struct slice id, uint64_t seq, struct slice cursor, int64_t used_ms)
{
	const struct recover *r = arg;

	return used_ms < r->sessions_before_ms ? 0 : session_load(r->sessions, id, seq, cursor, used_ms);
}

static int take_token(void *arg, struct slice name, struct slice token, int64_t delta, int64_t used_ms)
{
	const struct recover *r = arg;

	return used_ms < r->tokens_before_ms ? 0 : once_load(r->tokens, name, token, delta, used_ms);
}

int recover_load(const struct recover *r, struct store *store, struct store_state *state)
{
	struct recover copy = *r;
	const struct store_sink sink = {take_counter, take_session, take_token, &copy};
	int rc = store_load(store, &sink, state);

	if (rc)
		return rc;
	atomic_store(&r->registry->id_next, state->id_next);
	atomic_store(&r->registry->floor_id, state->floor_id);
	atomic_store(&r->registry->live_count, (int64_t)state->counters);
	return 0;
}
