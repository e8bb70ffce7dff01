/* SPDX-License-Identifier: MIT */
/*
 * registry.h - name -> counter.
 *
 * Extendible hashing: a directory of 2^depth pointers to segments of REGISTRY_SLOTS places, chosen by the top
 * bits of a keyed hash. A full segment splits in two; the directory doubles when needed (a copy of pointers).
 * So no insert moves more than one segment, however large the table is. Source: Fagin, Nievergelt, Pippenger,
 * Strong, "Extendible hashing" (1979).
 *
 * Lookups take no lock: directory, segment and place are loaded with acquire and only ever replaced by newer
 * ones; what is replaced is retired until every worker has sealed. Inserts lock their segment. A lookup in a
 * segment that was split meanwhile misses only what was inserted after it began.
 *
 * Bits of the hash: top `depth` the directory, bits 16-24 the place, low 16 the tag kept in the slot beside
 * the pointer.
 */
#ifndef SHC_REGISTRY_H
#define SHC_REGISTRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "../lib/hash.h"
#include "../lib/slice.h"
#include "arena.h"
#include "clock.h"
#include "counter.h"
#include "epoch_buffer.h"
#include "expiry.h"

enum {
	REGISTRY_SLOTS = 512,	 /* places a segment: 4 KiB */
	REGISTRY_FILL_MAX = 440, /* then it splits: longer probes beyond */
	REGISTRY_NEAR = 24,	 /* places that a guess looks at */
	REGISTRY_DEPTH_MAX = 32,
	REGISTRY_CURSOR_BITS = 48, /* of the hash, in SCAN's cursor: JavaScript clients hold 53 bits */
};

/* A place: empty, deleted, or the low 16 bits of the hash above 48 of a pointer. */
#define REGISTRY_EMPTY	      UINT64_C(0)
#define REGISTRY_DELETED      UINT64_C(1)
#define REGISTRY_POINTER_MASK ((UINT64_C(1) << 48) - 1)

struct segment {
	_Atomic uint32_t lock; /* 0 or 1 */
	uint32_t used;	       /* places not empty; under the lock */
	uint32_t live;	       /* places with a counter; under the lock */
	uint8_t depth;	       /* how many top bits of the hash all its names share */
	bool is_replaced;      /* under the lock: look in the directory again */
	_Alignas(64) _Atomic uint64_t slot[REGISTRY_SLOTS];
};

struct directory {
	uint32_t depth;
	_Atomic(struct segment *) segment[]; /* 2^depth */
};

struct registry {
	struct hash_key key;
	struct steady_clock steady; /* that hits and limits go by */
	struct expiry expiry;
	_Atomic(struct directory *) directory;
	_Atomic uint32_t directory_lock; /* after a segment's lock */
	_Atomic uint64_t id_next;	 /* ids are never used again */
	_Atomic uint64_t floor_id;    /* objects below are deleted (FLUSHALL), whatever their record says */
	_Atomic uint32_t floor_stamp; /* epoch of the newest floor; raised before it */
	_Atomic uint32_t count_lock;  /* makes live_count and floor_id change together */
	_Atomic int64_t live_count;   /* objects above the floor; written under count_lock */
	_Atomic uint64_t count_epoch; /* of its newest change; raised before it */
	_Atomic int64_t *memory_max;  /* bytes; 0: no limit; borrowed */
	struct arena arena;
	_Atomic uint64_t expired_count; /* objects that ended because of their expiry, since the start */
	_Atomic size_t cells_bytes;	/* of all counters, those in retirement included */
	_Atomic size_t extra_bytes;	/* of all extras and what they own; the same */
	_Atomic size_t other_bytes;	/* sessions and tokens, whose owners write it */
};

int registry_init(struct registry *r, _Atomic int64_t *memory_max); /* 0 or -ENOMEM */
void registry_fini(struct registry *r);				    /* no worker runs any more */

static inline uint64_t registry_hash(const struct registry *r, struct slice name)
{
	return hash_bytes(&r->key, name.data, name.len);
}

/* Any worker. Null: there is none. The pointer holds until the caller seals. */
struct counter *registry_find(struct registry *r, struct slice name, uint64_t hash);

/* ---- places ---- */

static inline uint64_t registry_slot_make(const struct counter *c, uint64_t hash)
{
	return (hash & 0xffff) << 48 | (uintptr_t)c;
}

static inline struct counter *registry_slot_counter(uint64_t slot)
{
	return (struct counter *)(uintptr_t)(slot & REGISTRY_POINTER_MASK); // NOLINT
}

static inline bool registry_slot_is_counter(uint64_t slot)
{
	return (slot & REGISTRY_POINTER_MASK) > REGISTRY_DELETED;
}

/* A deleted place has a tag like any other: 0. */
static inline bool registry_slot_is_like(uint64_t slot, uint64_t hash)
{
	return slot >> 48 == (hash & 0xffff) && registry_slot_is_counter(slot);
}

/* An empty one, in no directory yet; null: no memory. */
struct segment *registry_segment_new(struct registry *r, uint32_t depth);

/* ---- looking ahead ---- the steps of a lookup one by one, so that those of many names can overlap */

/* Where the name would be; holds until the caller seals. */
static inline struct segment *registry_segment(const struct registry *r, uint64_t hash)
{
	/* acquire: pairs with the release that published it; its content is visible. */
	struct directory *d = atomic_load_explicit(&r->directory, memory_order_acquire);

	return atomic_load_explicit(&d->segment[(size_t)(hash >> 1 >> (63 - d->depth))],
				    memory_order_acquire);
}

/* The n-th place that is looked at: from the first one round its cache line, then line after line. A look-up
 * that stays in the line is one miss less; nine of ten do. */
static inline uint32_t registry_place(uint64_t hash, uint32_t n)
{
	enum { LINE = 8 };
	uint32_t first = (uint32_t)(hash >> 16);

	return ((first & ~(LINE - 1u)) + (n & ~(LINE - 1u)) + ((first + n) & (LINE - 1))) &
	       (REGISTRY_SLOTS - 1);
}

/* The first step: returns the segment, for registry_guess_in. */
static inline const struct segment *registry_prefetch(const struct registry *r, uint64_t hash)
{
	const struct segment *seg = registry_segment(r, hash);

	__builtin_prefetch(&seg->slot[registry_place(hash, 0)]);
	return seg;
}

/* The record that the tag of a near place points to, most likely the one of the name. Null: none near. The
 * pointer holds until the caller seals. */
static inline struct counter *registry_guess_in(const struct segment *seg, uint64_t hash)
{
	for (uint32_t n = 0; n < REGISTRY_NEAR; n++) {
		/* acquire: who finds the pointer finds the record made. */
		uint64_t slot =
			atomic_load_explicit(&seg->slot[registry_place(hash, n)], memory_order_acquire);

		if (registry_slot_is_like(slot, hash))
			return registry_slot_counter(slot);
		if (slot == REGISTRY_EMPTY)
			break;
	}
	return NULL;
}

static inline struct counter *registry_guess(const struct registry *r, uint64_t hash)
{
	return registry_guess_in(registry_segment(r, hash), hash);
}

/* The record of the name, made (without object) when there is none. What a split replaces goes to `retired`
 * (a worker's open buffer; null: no reader can exist, freed at once). 0, -ENOMEM, or -EDQUOT beyond
 * memory_max. */
int registry_insert(struct registry *r, struct slice name, uint64_t hash, struct epoch_buffer *retired,
		    struct counter **out);

/* Takes a record without an object out of the table and marks it COUNTER_GONE, if it is still without one.
 * True: it is the caller's to retire. Committer. */
bool registry_remove(struct registry *r, struct counter *c);

/* Frees what was retired. */
void registry_free(struct registry *r, const struct retired *item);

/* Walks the table in the order of the hash. Calls fn for counters with *cursor <= hash (its top 48 bits), at
 * least count_min of them (with all that share the last hash) if there are so many, and moves the cursor
 * behind them; 0 at the end. A counter that is there all the time is told exactly once, however the table
 * grows. Any worker, pointer valid until it seals. */
typedef void registry_fn(void *arg, struct counter *c);
uint64_t registry_walk(struct registry *r, uint64_t cursor, size_t count_min, registry_fn *fn, void *arg);

/* Calls fn for all counters, in no order, which is faster; what comes or goes meanwhile may be told or not.
 * The same threads. */
void registry_each(struct registry *r, registry_fn *fn, void *arg);

/* `count` new ids in a row, the first in *first; or false, and none is used up, when the floor is not
 * `floor_seen`. Under the lock of the flush: an id is either below its floor, and was drawn by who had not
 * seen it, or above. Any worker. */
bool registry_draw(struct registry *r, uint64_t count, uint64_t floor_seen, uint64_t *first);

/* Memory of counters, what they have beside their values, the table, sessions and tokens: what max-memory
 * limits. */
static inline size_t registry_used_bytes(const struct registry *r)
{
	return arena_used_bytes(&r->arena) + atomic_load_explicit(&r->cells_bytes, memory_order_relaxed) +
	       atomic_load_explicit(&r->extra_bytes, memory_order_relaxed) +
	       atomic_load_explicit(&r->other_bytes, memory_order_relaxed);
}

/* Beyond max-memory? */
bool registry_is_full(const struct registry *r);

/* Cells for an object (counter_cells_new) within max-memory; null: there is no room, the counter does
 * without. They are freed by registry_free. */
struct counter_cells *registry_cells_new(struct registry *r, uint64_t id, uint32_t workers);

/* An extra for an object of `c`, or one that is to come (id 0 until then). 0 or
 * -ENOMEM; max-memory is the caller's to keep to. It is his until it stands in the object word; registry_free
 * ends it, or, if it never stood there, registry_extra_free. */
int registry_extra_new(struct registry *r, struct counter *c, uint64_t id, struct extra **out);
void registry_extra_free(struct registry *r, struct extra *x);

/* What a hit in `second` will need: a window, rings of it. Counter locked. 0, -ENOMEM, -EDQUOT. */
int registry_extra_prepare_hit(struct registry *r, struct extra *x, int64_t second);

/* The counter at this id has hits since before this start; the extra takes the window. */
void registry_extra_give_window(struct registry *r, struct extra *x, struct window *w);

/* Counts an object that came (0: none) and one that ended (0: none). `epoch` is the worker's. Any worker. */
void registry_count(struct registry *r, uint64_t epoch, uint64_t id_new, uint64_t id_ended);

/* How many objects there are, and in which epoch that last changed (or later). Any worker. */
static inline int64_t registry_live_count(const struct registry *r, uint64_t *epoch)
{
	/* acquire: pairs with the release in registry_count and registry_flush. */
	int64_t count = atomic_load_explicit(&r->live_count, memory_order_acquire);

	*epoch = atomic_load_explicit(&r->count_epoch, memory_order_relaxed);
	return count;
}

/* FLUSHALL's instant: everything that has an id is deleted, and nothing counted any more. *floor is the new
 * floor. `count` ids from there on are drawn at the same instant. With floor_seen: only when the floor is
 * still that, else false and nothing is done. `epoch` is the worker's. */
bool registry_flush(struct registry *r, uint64_t epoch, const _Atomic uint64_t *open_epoch,
		    const uint64_t *floor_seen, uint64_t count, uint64_t *floor);

static inline uint64_t registry_floor(const struct registry *r)
{
	return atomic_load_explicit(&r->floor_id, memory_order_acquire);
}

#endif
