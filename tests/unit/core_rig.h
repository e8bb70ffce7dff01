/* SPDX-License-Identifier: MIT */
/*
 * core_rig.h - for the tests of the counting core: seeded random numbers, a committer that is driven step by
 * step by the test, and what a recovery would find.
 *
 * SHC_TEST_SEED=N makes a simulation run that one seed; SHC_TEST_SCALE=F does F times the work.
 */
#ifndef SHC_CORE_RIG_H
#define SHC_CORE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../daemon/epoch.h"
#include "../../daemon/pack.h"
#include "../../daemon/registry.h"
#include "../../daemon/txn.h"

/* ---- random numbers ---- splitmix64 */

struct rng {
	uint64_t state;
};

static inline uint64_t rng_u64(struct rng *r)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)(rng_u64(r) >> 32) % n;
}

/* The one seed to run; 0: all. */
static inline uint64_t rig_seed(void)
{
	const char *text = getenv("SHC_TEST_SEED");

	return text ? strtoull(text, NULL, 0) : 0;
}

/* Sanitizers are slow: a quarter of the work, if nothing else is asked for. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RIG_SCALE 0.25
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RIG_SCALE 0.25
#endif
#endif
#ifndef RIG_SCALE
#define RIG_SCALE 1.0
#endif

static inline size_t rig_scaled(size_t n)
{
	const char *text = getenv("SHC_TEST_SCALE");
	double scaled = (double)n * (text ? strtod(text, NULL) : RIG_SCALE);

	return scaled < 1 ? 1 : (size_t)scaled;
}

/* ---- the short way ---- what txn_quick_* need: where the name leads, compared. Null: nowhere near */

static inline struct counter *rig_guess(const struct txn *t, struct slice name)
{
	struct counter *c = registry_guess(t->registry, registry_hash(t->registry, name));

	return c && slice_equal(counter_name(c), name) ? c : NULL;
}

static inline bool rig_quick_incr(struct txn *t, struct slice name, int64_t delta, int64_t *value)
{
	struct counter *c = rig_guess(t, name);

	return c && delta && txn_quick_incr(t, c, delta, 1, value);
}

static inline bool rig_quick_add(struct txn *t, struct slice name, int64_t delta)
{
	struct counter *c = rig_guess(t, name);

	return c && delta && txn_quick_add(t, c, delta, 1);
}

static inline bool rig_quick_get(struct txn *t, struct slice name, int64_t *value)
{
	struct counter *c = rig_guess(t, name);

	return c && txn_quick_get(t, c, value);
}

/* ---- what a recovery finds ---- */

struct recovered {
	char name[24]; /* empty: never created */
	uint64_t value;
	bool is_deleted;
	uint64_t version; /* of its state; 0: none */
	int64_t expire_at_ms, tat_ns;
	uint64_t hits; /* of all seconds */
	int64_t hit_newest_s;
};

struct recovery {
	struct recovered *by_id;
	size_t cap;
	uint64_t floor_id;
};

static inline struct recovered *recovery_at(struct recovery *r, uint64_t id)
{
	if (id >= r->cap) {
		size_t cap = r->cap ? r->cap : 64;

		while (cap <= id)
			cap *= 2;
		r->by_id = reallocarray(r->by_id, cap, sizeof(*r->by_id));
		assert_non_null(r->by_id);
		memset(r->by_id + r->cap, 0, (cap - r->cap) * sizeof(*r->by_id));
		r->cap = cap;
	}
	return &r->by_id[id];
}

/* A version is a state: it comes once, or the same again. */
static inline void recovery_state(struct recovered *f, const struct journal_state *s)
{
	assert_true(s->version > 0);
	if (s->version == f->version) {
		assert_int_equal(s->expire_at_ms, f->expire_at_ms);
		assert_int_equal(s->tat_ns, f->tat_ns);
	}
	if (s->version < f->version)
		return;
	f->version = s->version;
	f->expire_at_ms = s->expire_at_ms;
	f->tat_ns = s->tat_ns;
}

static inline void recovery_record(struct recovery *r, const struct journal_record *rec)
{
	struct recovered *f;

	if (rec->type == JOURNAL_SESSION || rec->type == JOURNAL_TOKEN)
		return;
	f = rec->type == JOURNAL_FLOOR ? NULL : recovery_at(r, rec->id);
	switch (rec->type) {
	case JOURNAL_SESSION:
	case JOURNAL_TOKEN: break;
	case JOURNAL_STATE: recovery_state(f, &rec->state); break;
	case JOURNAL_HIT:
		f->hits += rec->hit.count;
		if (rec->hit.second > f->hit_newest_s)
			f->hit_newest_s = rec->hit.second;
		break;
	case JOURNAL_NAME:
		assert_int_equal(f->name[0], 0); /* an id is given once */
		assert_in_range(rec->name.len, 1, sizeof(f->name) - 1);
		memcpy(f->name, rec->name.data, rec->name.len);
		break;
	case JOURNAL_DELTA: f->value += rec->delta; break;
	case JOURNAL_DELETE: f->is_deleted = true; break;
	case JOURNAL_FLOOR:
		if (rec->id > r->floor_id)
			r->floor_id = rec->id;
		break;
	}
}

/* One more epoch is on disk. */
static inline void recovery_add(struct recovery *r, const struct journal_writer *w)
{
	for (size_t i = 0; i < w->count; i++) {
		struct journal_reader reader;
		struct journal_record rec;
		int rc = journal_reader_init(&reader, buf_head(&w->parts[i]), buf_len(&w->parts[i]));

		assert_int_equal(rc, JOURNAL_OK);
		while ((rc = journal_next(&reader, &rec)) == JOURNAL_OK)
			recovery_record(r, &rec);
		assert_int_equal(rc, JOURNAL_END);
	}
}

static inline bool recovery_is_live(const struct recovery *r, uint64_t id)
{
	return id < r->cap && r->by_id[id].name[0] && !r->by_id[id].is_deleted && id >= r->floor_id;
}

/* Id of the live object of a name; 0: none. More than one is what must never be. */
static inline uint64_t recovery_find(const struct recovery *r, const char *name)
{
	uint64_t found = 0;

	for (uint64_t id = 1; id < r->cap; id++) {
		if (!recovery_is_live(r, id) || strcmp(r->by_id[id].name, name) != 0)
			continue;
		if (found)
			fail_msg("two live objects are named %s: %llu and %llu", name,
				 (unsigned long long)found, (unsigned long long)id);
		found = id;
	}
	return found;
}

static inline void recovery_fini(struct recovery *r)
{
	free(r->by_id);
	*r = (struct recovery){0};
}

/* ---- a committer by hand ---- */

enum { RIG_WORKERS_MAX = 4 };

struct rig {
	struct waker waker;
	struct epoch_clock clock;
	struct registry registry;
	_Atomic int64_t memory_max;
	uint32_t workers;
	struct epoch_slot slots[RIG_WORKERS_MAX];
	struct txn txns[RIG_WORKERS_MAX];
	struct pack pack;
	struct retired_list limbo;
	uint64_t closing; /* the epoch that is being sealed; 0: none */
	bool has_sealed[RIG_WORKERS_MAX];
	struct epoch_buffer *buffers[RIG_WORKERS_MAX];
	size_t buffer_count;
	struct recovery recovery;
	size_t reclaimed; /* records that left the table */
};

static inline void rig_init(struct rig *g, uint32_t workers, uint64_t epoch_first, bool is_always_cells)
{
	memset(g, 0, sizeof(*g));
	assert_int_equal(waker_init(&g->waker), 0);
	epoch_clock_init(&g->clock, epoch_first, &g->waker);
	atomic_init(&g->memory_max, 0);
	assert_int_equal(registry_init(&g->registry, &g->memory_max), 0);
	g->registry.key = (struct hash_key){.k0 = 1, .k1 = 2}; /* a seed is to run the same every time */
	/* What is loaded is stamped 0, which would read as the next epoch just before the stamps wrap. */
	if ((uint32_t)epoch_first > UINT32_MAX - 1000)
		atomic_store(&g->registry.floor_stamp, (uint32_t)epoch_first - 1);
	g->workers = workers;
	for (uint32_t i = 0; i < workers; i++) {
		epoch_slot_init(&g->slots[i], &g->clock);
		txn_init(&g->txns[i], &g->registry, &g->slots[i], i, workers, is_always_cells);
	}
	pack_init(&g->pack);
}

static inline void rig_free_limbo(struct rig *g)
{
	for (size_t i = 0; i < g->limbo.count; i++)
		registry_free(&g->registry, &g->limbo.items[i]);
	g->limbo.count = 0;
}

static inline void rig_free_retired(struct rig *g, const struct retired_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->items[i].kind != RETIRED_COUNTER)
			registry_free(&g->registry, &l->items[i]);
}

static inline void rig_fini(struct rig *g)
{
	rig_free_limbo(g);
	retired_list_fini(&g->limbo);
	for (uint32_t i = 0; i < g->workers; i++) {
		rig_free_retired(g, &g->slots[i].buffers[0].retired);
		rig_free_retired(g, &g->slots[i].buffers[1].retired);
		txn_fini(&g->txns[i]);
		epoch_slot_fini(&g->slots[i]);
	}
	pack_fini(&g->pack);
	recovery_fini(&g->recovery);
	registry_fini(&g->registry);
	waker_fini(&g->waker);
}

/* On the heap, as large as it is. */
static inline struct rig *rig_new(uint32_t workers, bool is_always_cells)
{
	struct rig *g = malloc(sizeof(*g));

	assert_non_null(g);
	rig_init(g, workers, 1, is_always_cells);
	return g;
}

static inline void rig_free(struct rig *g)
{
	rig_fini(g);
	free(g);
}

static inline void rig_advance(struct rig *g)
{
	assert_int_equal(g->closing, 0);
	g->closing = epoch_advance(&g->clock);
	memset(g->has_sealed, 0, sizeof(g->has_sealed));
	g->buffer_count = 0;
}

/* Looks once at a worker that had not sealed. True: all have. */
static inline bool rig_collect(struct rig *g, uint32_t worker)
{
	struct epoch_buffer *buffer;

	if (!g->has_sealed[worker] && epoch_collect(&g->slots[worker], g->closing, &buffer)) {
		g->has_sealed[worker] = true;
		if (buffer)
			g->buffers[g->buffer_count++] = buffer;
	}
	for (uint32_t i = 0; i < g->workers; i++)
		if (!g->has_sealed[i])
			return false;
	atomic_store(&g->clock.sealed, g->closing);
	return true;
}

/* As commit.c does: out of the table now, out of memory when the next epoch is sealed too. */
static inline void rig_reclaim(struct rig *g)
{
	struct retired_list fresh = {0};

	for (size_t b = 0; b < g->buffer_count; b++) {
		const struct retired_list *l = &g->buffers[b]->retired;

		for (size_t i = 0; i < l->count; i++) {
			if (l->items[i].kind == RETIRED_COUNTER) {
				if (!registry_remove(&g->registry, l->items[i].p))
					continue;
				g->reclaimed++;
			}
			assert_int_equal(retired_list_add(&fresh, l->items[i].p, l->items[i].kind), 0);
		}
	}
	rig_free_limbo(g);
	retired_list_fini(&g->limbo);
	g->limbo = fresh;
}

/* All have sealed: puts the epoch "on disk". */
static inline void rig_commit(struct rig *g)
{
	struct journal_writer w;

	journal_writer_init(&w, 0);
	assert_int_equal(pack_epoch(&g->pack, g->buffers, g->buffer_count, &w), 0);
	assert_int_equal(journal_writer_finish(&w), 0);
	recovery_add(&g->recovery, &w);
	journal_writer_fini(&w);
	atomic_store(&g->clock.durable, g->closing);
	rig_reclaim(g);
	for (size_t i = 0; i < g->buffer_count; i++)
		epoch_buffer_clear(g->buffers[i]);
	g->closing = 0;
}

/* A whole epoch: every worker looks at once. */
static inline void rig_close_epoch(struct rig *g)
{
	rig_advance(g);
	for (uint32_t i = 0; i < g->workers; i++) {
		if (atomic_load(&g->slots[i].state) == EPOCH_RUNNING)
			epoch_look(&g->slots[i]);
		(void)rig_collect(g, i);
	}
	rig_commit(g);
}

#endif
