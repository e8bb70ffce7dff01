/* SPDX-License-Identifier: MIT */
/* recover.c - see recover.h. */
#include "recover.h"

#include "registry_load.h"

/* What the sink is given. */
struct recovery {
	const struct recover *to;
	struct registry_loader *loaders;
};

static int expect(void *arg, uint64_t count)
{
	const struct recovery *r = arg;

	return registry_presize(r->to->registry, count);
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
	for (size_t i = 0; i < count && !rc; i++)
		rc = registry_load(registry, &r->loaders[loader], counters[i].name, hashes[i], counters[i].id,
				   counters[i].value);
	return rc;
}

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
	if (rc)
		return rc;
	atomic_store(&r->registry->id_next, state->id_next);
	atomic_store(&r->registry->floor_id, state->floor_id);
	atomic_store(&r->registry->live_count, (int64_t)state->counters);
	return 0;
}
