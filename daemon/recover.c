/* SPDX-License-Identifier: MIT */
/*
 * recover.c - see recover.h.
 *
 * What counters have beside their values comes first, by id, and waits in a table until its counter comes;
 * what is left then was a deleted counter's.
 */
#include "recover.h"

#include <errno.h>
#include <stdlib.h>

#include "registry_load.h"
#include "window.h"

/* Extras by id: open addressing, a power of two of slots, at most three quarters of them in use. */
struct waiting {
	struct extra **slots;
	size_t slot_count, count;
};

/* What the sink is given. */
struct recovery {
	const struct recover *to;
	struct registry_loader *loaders;
	struct waiting waiting;
	int64_t newest_s; /* second of a hit; 0: none */
};

/* ---- extras that wait for their counters ---- */

static struct extra **slot_of(const struct waiting *w, uint64_t id)
{
	size_t i = (size_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (w->slot_count - 1);

	while (w->slots[i] && w->slots[i]->id != id)
		i = (i + 1) & (w->slot_count - 1);
	return &w->slots[i];
}

static int grow(struct waiting *w)
{
	struct waiting bigger = {.slot_count = w->slot_count ? w->slot_count * 2 : 64, .count = w->count};

	bigger.slots = calloc(bigger.slot_count, sizeof(struct extra *));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < w->slot_count; i++)
		if (w->slots[i])
			*slot_of(&bigger, w->slots[i]->id) = w->slots[i];
	free(w->slots);
	*w = bigger;
	return 0;
}

/* The extra of the id, made when there is none. 0, -ENOMEM, -EDQUOT. */
static int get_waiting(struct recovery *r, uint64_t id, struct extra **out)
{
	struct waiting *w = &r->waiting;
	struct extra **slot;
	int rc = (w->count + 1) * 4 > w->slot_count * 3 ? grow(w) : 0;

	if (rc)
		return rc;
	slot = slot_of(w, id);
	if (!*slot) {
		rc = registry_extra_new(r->to->registry, NULL, id, slot);
		if (rc)
			return rc;
		w->count++;
	}
	*out = *slot;
	return 0;
}

/* Any loader. Null: the counter has nothing beside its value. */
static struct extra *find_waiting(const struct recovery *r, uint64_t id)
{
	return r->waiting.count ? *slot_of(&r->waiting, id) : NULL;
}

/* When all counters have come: those that no counter has taken go. */
static void free_waiting(struct recovery *r)
{
	for (size_t i = 0; i < r->waiting.slot_count; i++) {
		struct extra *x = r->waiting.slots[i];

		if (x && !x->counter)
			registry_extra_free(r->to->registry, x);
	}
	free(r->waiting.slots);
}

static int take_state(void *arg, const struct journal_state *state)
{
	struct recovery *r = arg;
	struct extra *x;
	int rc = get_waiting(r, state->id, &x);

	if (rc)
		return rc;
	x->version = state->version;
	x->tat_ns = state->tat_ns;
	atomic_store(&x->expire_at_ms, state->expire_at_ms);
	return 0;
}

static int take_window(void *arg, uint64_t id, struct window *window)
{
	struct recovery *r = arg;
	int64_t newest_s = window_newest(window);
	struct extra *x;
	int rc = get_waiting(r, id, &x);

	if (rc) {
		window_free(window);
		return rc;
	}
	registry_extra_give_window(r->to->registry, x, window);
	if (newest_s > r->newest_s)
		r->newest_s = newest_s;
	return 0;
}

/* ---- counters ---- */

static int expect(void *arg, uint64_t count)
{
	const struct recovery *r = arg;

	return registry_presize(r->to->registry, count);
}

static int load_one(const struct recovery *r, unsigned loader, const struct store_counter *counter,
		    uint64_t hash)
{
	struct registry *registry = r->to->registry;
	const struct registry_object object = {
		.id = counter->id,
		.value = counter->value,
		.extra = find_waiting(r, counter->id),
	};
	int rc = registry_load(registry, &r->loaders[loader], counter->name, hash, &object);

	if (!rc && object.extra)
		expiry_set(&registry->expiry, (uint32_t)(object.id % r->to->workers), object.extra,
			   atomic_load(&object.extra->expire_at_ms));
	return rc;
}

/* At the beginning every name is a miss of the caches: those of a batch overlap. */
static int take_counters(void *arg, unsigned loader, const struct store_counter *counters, size_t count)
{
	const struct recovery *r = arg;
	struct registry *registry = r->to->registry;
	uint64_t hashes[STORE_BATCH_MAX];
	int rc = 0;

	for (size_t i = 0; i < count; i++) {
		hashes[i] = registry_hash(registry, counters[i].name);
		registry_load_prefetch(registry, hashes[i]);
	}
	for (size_t i = 0; i < count && !rc; i++) {
		rc = load_one(r, loader, &counters[i], hashes[i]);
		if (!rc && r->to->uplink)
			rc = uplink_table_load(r->to->uplink, counters[i].id, counters[i].name,
					       counters[i].value);
	}
	return rc;
}

/* ---- sessions and tokens ---- */

static int take_session(void *arg, struct slice id, uint64_t seq, struct slice cursor, int64_t used_ms)
{
	const struct recover *r = ((const struct recovery *)arg)->to;

	return used_ms < r->sessions_before_ms ? 0 : session_load(r->sessions, id, seq, cursor, used_ms);
}

static int take_token(void *arg, struct slice name, struct slice token, int64_t delta, int64_t used_ms)
{
	const struct recover *r = ((const struct recovery *)arg)->to;

	return used_ms < r->tokens_before_ms ? 0 : once_load(r->tokens, name, token, delta, used_ms);
}

int recover_load(const struct recover *r, struct store *store, struct store_state *state)
{
	struct registry_loader loaders[STORE_LOADERS_MAX];
	struct recovery recovery = {.to = r, .loaders = loaders};
	const struct store_sink sink = {
		.counters = take_counters,
		.session = take_session,
		.token = take_token,
		.state = take_state,
		.window = take_window,
		.arg = &recovery,
		.expect = expect,
		.loaders = r->threads,
	};
	int rc;

	for (size_t i = 0; i < STORE_LOADERS_MAX; i++)
		registry_loader_init(&loaders[i]);
	rc = store_load(store, &sink, state);
	for (size_t i = 0; i < STORE_LOADERS_MAX; i++)
		registry_loader_fini(r->registry, &loaders[i]);
	free_waiting(&recovery);
	if (rc)
		return rc;
	steady_clock_init(&r->registry->steady, recovery.newest_s);
	atomic_store(&r->registry->id_next, state->id_next);
	atomic_store(&r->registry->floor_id, state->floor_id);
	atomic_store(&r->registry->live_count, (int64_t)state->counters);
	return 0;
}
