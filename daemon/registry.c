/* SPDX-License-Identifier: MIT */
/* registry.c - see registry.h. Owns the directory, the segments and the records' memory. */
#include "registry.h"

#include <errno.h>
#include <stdlib.h>

#include "spin.h"

static inline size_t index_of(uint64_t hash, uint32_t depth)
{
	return (size_t)(hash >> 1 >> (63 - depth));
}

/* ---- locks ---- the segment's, then the directory's. Held over memory copies of 4 KiB (a split: some
 * microseconds). */

/* ---- segments and directories ---- */

struct segment *registry_segment_new(struct registry *r, uint32_t depth)
{
	struct segment *seg = arena_alloc(&r->arena, sizeof(*seg));

	if (!seg)
		return NULL;
	memset(seg, 0, sizeof(*seg));
	seg->depth = (uint8_t)depth;
	return seg;
}

static struct directory *directory_new(uint32_t depth)
{
	struct directory *d = malloc(sizeof(*d) + (sizeof(d->segment[0]) << depth));

	if (d)
		d->depth = depth;
	return d;
}

static void retire(struct registry *r, struct epoch_buffer *retired, void *p, enum retired_kind kind)
{
	/* Out of memory for the note: better lost than freed under a reader. */
	if (retired)
		(void)epoch_buffer_retire(retired, p, kind);
	else
		registry_free(r, &(struct retired){.p = p, .kind = kind});
}

static void cells_free(struct registry *r, struct counter_cells *cells)
{
	atomic_fetch_sub_explicit(&r->cells_bytes, counter_cells_size(cells->count), memory_order_relaxed);
	counter_cells_free(cells);
}

void registry_free(struct registry *r, const struct retired *item)
{
	struct counter *c;

	switch (item->kind) {
	case RETIRED_COUNTER:
		c = item->p;
		arena_free(&r->arena, c, counter_size(c->name_len));
		break;
	case RETIRED_CELLS: cells_free(r, item->p); break;
	case RETIRED_EXTRA: registry_extra_free(r, item->p); break;
	case RETIRED_SEGMENT: arena_free(&r->arena, item->p, sizeof(struct segment)); break;
	case RETIRED_DIRECTORY: free(item->p); break;
	}
}

int registry_init(struct registry *r, _Atomic int64_t *memory_max)
{
	struct directory *d = directory_new(0);
	struct segment *seg;

	arena_init(&r->arena, sizeof(struct segment));
	seg = registry_segment_new(r, 0);
	if (!d || !seg) {
		free(d);
		arena_fini(&r->arena);
		return -ENOMEM;
	}
	hash_key_init(&r->key);
	atomic_init(&d->segment[0], seg);
	atomic_init(&r->directory, d);
	atomic_init(&r->directory_lock, 0);
	atomic_init(&r->id_next, 1);
	atomic_init(&r->floor_id, 0);
	atomic_init(&r->floor_stamp, 0);
	atomic_init(&r->cells_bytes, 0);
	atomic_init(&r->extra_bytes, 0);
	atomic_init(&r->expired_count, 0);
	atomic_init(&r->other_bytes, 0);
	steady_clock_init(&r->steady, 0);
	expiry_init(&r->expiry);
	atomic_init(&r->count_lock, 0);
	atomic_init(&r->live_count, 0);
	atomic_init(&r->count_epoch, 0);
	r->memory_max = memory_max;
	return 0;
}

static void free_side(void *arg, struct counter *c)
{
	uint64_t object = counter_object(c);

	if (counter_has_cells(object))
		counter_cells_free(counter_cells_of(object));
	if (counter_has_extra(object))
		registry_extra_free(arg, counter_extra_of(object));
}

void registry_fini(struct registry *r)
{
	/* A walk over ten million counters is a second. */
	if (atomic_load(&r->cells_bytes) || atomic_load(&r->extra_bytes))
		registry_walk(r, 0, SIZE_MAX, free_side, r);
	free(atomic_load(&r->directory));
	arena_fini(&r->arena);
}

/* ---- find ---- */

static struct counter *segment_find(const struct segment *seg, struct slice name, uint64_t hash)
{
	for (uint32_t n = 0; n < REGISTRY_SLOTS; n++) {
		uint64_t slot =
			atomic_load_explicit(&seg->slot[registry_place(hash, n)], memory_order_acquire);

		if (slot == REGISTRY_EMPTY)
			return NULL;
		if (registry_slot_is_like(slot, hash) &&
		    slice_equal(counter_name(registry_slot_counter(slot)), name))
			return registry_slot_counter(slot);
	}
	return NULL;
}

struct counter *registry_find(struct registry *r, struct slice name, uint64_t hash)
{
	return segment_find(registry_segment(r, hash), name, hash);
}

/* ---- insert ---- */

/* Lock held (or the segment not published yet); there is room and the name is not in. */
static void segment_put(struct segment *seg, struct counter *c, uint64_t hash)
{
	uint32_t n = 0;
	uint64_t seen;

	while (registry_slot_is_counter(
		seen = atomic_load_explicit(&seg->slot[registry_place(hash, n)], memory_order_relaxed)))
		n++;
	/* release: who finds the pointer finds the record made. */
	atomic_store_explicit(&seg->slot[registry_place(hash, n)], registry_slot_make(c, hash),
			      memory_order_release);
	seg->live++;
	seg->used += seen == REGISTRY_EMPTY;
}

/* Copies the counters of `from` into one segment (same depth, deleted places dropped) or two (one bit
 * deeper). */
static void segment_copy(struct registry *r, const struct segment *from, struct segment *to[2])
{
	for (uint32_t i = 0; i < REGISTRY_SLOTS; i++) {
		uint64_t slot = atomic_load_explicit(&from->slot[i], memory_order_relaxed);
		uint64_t hash;
		size_t half;

		if (!registry_slot_is_counter(slot))
			continue;
		hash = registry_hash(r, counter_name(registry_slot_counter(slot)));
		half = to[1] ? (size_t)(hash >> (63 - from->depth)) & 1 : 0;
		segment_put(to[half], registry_slot_counter(slot), hash);
	}
}

/* Directory lock held. */
static int directory_double(struct registry *r, struct epoch_buffer *retired)
{
	struct directory *d = atomic_load_explicit(&r->directory, memory_order_relaxed);
	struct directory *wide;

	if (d->depth == REGISTRY_DEPTH_MAX)
		return -EDQUOT;
	wide = directory_new(d->depth + 1);
	if (!wide)
		return -ENOMEM;
	for (size_t i = 0; i < (size_t)1 << wide->depth; i++)
		atomic_init(&wide->segment[i],
			    atomic_load_explicit(&d->segment[i / 2], memory_order_relaxed));
	atomic_store_explicit(&r->directory, wide, memory_order_release);
	retire(r, retired, d, RETIRED_DIRECTORY);
	return 0;
}

/* Puts the copies in the place of `seg`: all directory entries that share its top bits. */
static int directory_replace(struct registry *r, const struct segment *seg, uint64_t hash,
			     struct segment *to[2], struct epoch_buffer *retired)
{
	struct directory *d;
	size_t first, count;
	int rc = 0;

	spin_lock(&r->directory_lock);
	if (to[1] && seg->depth == atomic_load_explicit(&r->directory, memory_order_relaxed)->depth)
		rc = directory_double(r, retired);
	if (!rc) {
		d = atomic_load_explicit(&r->directory, memory_order_relaxed);
		count = (size_t)1 << (d->depth - seg->depth);
		first = index_of(hash, d->depth) & ~(count - 1);
		for (size_t i = 0; i < count; i++) {
			struct segment *half = to[1] && i >= count / 2 ? to[1] : to[0];

			atomic_store_explicit(&d->segment[first + i], half, memory_order_release);
		}
	}
	spin_unlock(&r->directory_lock);
	return rc;
}

/* Lock of `seg` held: makes room by splitting it, or by copying it when most of its used places are deleted
 * ones. */
static int segment_split(struct registry *r, struct segment *seg, uint64_t hash, struct epoch_buffer *retired)
{
	bool is_split = seg->live > REGISTRY_FILL_MAX / 2;
	uint8_t depth = (uint8_t)(seg->depth + is_split);
	struct segment *to[2] = {registry_segment_new(r, depth),
				 is_split ? registry_segment_new(r, depth) : NULL};
	int rc = -ENOMEM;

	if (to[0] && (to[1] || !is_split)) {
		segment_copy(r, seg, to);
		rc = directory_replace(r, seg, hash, to, retired);
	}
	if (rc) {
		for (size_t i = 0; i < 2; i++)
			if (to[i])
				arena_free(&r->arena, to[i], sizeof(*to[i]));
		return rc;
	}
	seg->is_replaced = true;
	return 0;
}

bool registry_is_full(const struct registry *r)
{
	int64_t max = r->memory_max ? atomic_load_explicit(r->memory_max, memory_order_relaxed) : 0;

	return max > 0 && registry_used_bytes(r) >= (uint64_t)max;
}

struct counter_cells *registry_cells_new(struct registry *r, uint64_t id, uint32_t workers)
{
	struct counter_cells *cells = registry_is_full(r) ? NULL : counter_cells_new(id, workers);

	if (cells)
		atomic_fetch_add_explicit(&r->cells_bytes, counter_cells_size(workers), memory_order_relaxed);
	return cells;
}

/* Lock of `seg` held. 0, -ENOMEM, -EDQUOT, or 1: the segment was replaced, begin again. */
static int segment_insert(struct registry *r, struct segment *seg, struct slice name, uint64_t hash,
			  struct epoch_buffer *retired, struct counter **out)
{
	struct counter *c = segment_find(seg, name, hash);
	int rc;

	if (c) {
		*out = c;
		return 0;
	}
	if (registry_is_full(r))
		return -EDQUOT;
	if (seg->used >= REGISTRY_FILL_MAX) {
		rc = segment_split(r, seg, hash, retired);
		return rc ? rc : 1;
	}
	c = arena_alloc(&r->arena, counter_size(name.len));
	if (!c)
		return -ENOMEM;
	counter_init(c, name, atomic_load_explicit(&r->floor_stamp, memory_order_relaxed));
	segment_put(seg, c, hash);
	*out = c;
	return 0;
}

int registry_insert(struct registry *r, struct slice name, uint64_t hash, struct epoch_buffer *retired,
		    struct counter **out)
{
	int rc;

	do {
		struct segment *seg = registry_segment(r, hash);
		bool is_replaced;

		spin_lock(&seg->lock);
		is_replaced = seg->is_replaced;
		rc = is_replaced ? 1 : segment_insert(r, seg, name, hash, retired, out);
		spin_unlock(&seg->lock);
		if (rc == 1 && !is_replaced)
			retire(r, retired, seg, RETIRED_SEGMENT);
	} while (rc == 1);
	return rc;
}

/* ---- remove ---- */

static void segment_erase(struct segment *seg, const struct counter *c, uint64_t hash)
{
	uint32_t n = 0;

	while (registry_slot_counter(
		       atomic_load_explicit(&seg->slot[registry_place(hash, n)], memory_order_relaxed)) != c)
		n++;
	atomic_store_explicit(&seg->slot[registry_place(hash, n)], REGISTRY_DELETED, memory_order_release);
	seg->live--;
}

bool registry_remove(struct registry *r, struct counter *c)
{
	uint64_t hash = registry_hash(r, counter_name(c));
	struct segment *seg;
	bool is_removed;

	for (;;) {
		seg = registry_segment(r, hash);
		spin_lock(&seg->lock);
		if (!seg->is_replaced)
			break;
		spin_unlock(&seg->lock);
	}
	counter_lock(c, COUNTER_LOCKED);
	is_removed = counter_object(c) == COUNTER_ABSENT;
	if (is_removed) {
		counter_set_object(c, COUNTER_GONE);
		segment_erase(seg, c, hash);
	}
	counter_unlock(c);
	spin_unlock(&seg->lock);
	return is_removed;
}

/* ---- counting objects ---- */

bool registry_draw(struct registry *r, uint64_t count, uint64_t floor_seen, uint64_t *first)
{
	bool is_same;

	spin_lock(&r->count_lock);
	is_same = atomic_load_explicit(&r->floor_id, memory_order_relaxed) == floor_seen;
	if (is_same)
		*first = atomic_fetch_add_explicit(&r->id_next, count, memory_order_relaxed);
	spin_unlock(&r->count_lock);
	return is_same;
}

/* count_lock held. */
static void set_live_count(struct registry *r, uint64_t epoch, int64_t count)
{
	if (atomic_load_explicit(&r->count_epoch, memory_order_relaxed) < epoch)
		atomic_store_explicit(&r->count_epoch, epoch, memory_order_relaxed);
	/* release: who sees the count sees its epoch. */
	atomic_store_explicit(&r->live_count, count, memory_order_release);
}

void registry_count(struct registry *r, uint64_t epoch, uint64_t id_new, uint64_t id_ended)
{
	uint64_t floor;
	int64_t change;

	spin_lock(&r->count_lock);
	/* What lies below the floor was counted out by the flush. */
	floor = atomic_load_explicit(&r->floor_id, memory_order_relaxed);
	change = (id_new && id_new >= floor) - (id_ended && id_ended >= floor);
	set_live_count(r, epoch, atomic_load_explicit(&r->live_count, memory_order_relaxed) + change);
	spin_unlock(&r->count_lock);
}

/* As counter_raise. */
static void raise_floor_stamp(struct registry *r, uint64_t epoch, const _Atomic uint64_t *open_epoch)
{
	uint32_t seen = atomic_load(&r->floor_stamp);

	while (seen != (uint32_t)epoch) {
		if (counter_stamp_is_next(seen, epoch) && atomic_load(open_epoch) != epoch)
			break;
		if (atomic_compare_exchange_weak(&r->floor_stamp, &seen, (uint32_t)epoch))
			break;
	}
}

bool registry_flush(struct registry *r, uint64_t epoch, const _Atomic uint64_t *open_epoch,
		    const uint64_t *floor_seen, uint64_t count, uint64_t *floor)
{
	bool is_same;

	/* The stamp first, as with a counter: who sees the floor sees it. */
	raise_floor_stamp(r, epoch, open_epoch);
	spin_lock(&r->count_lock);
	is_same = !floor_seen || atomic_load_explicit(&r->floor_id, memory_order_relaxed) == *floor_seen;
	if (is_same) {
		*floor = atomic_fetch_add(&r->id_next, count);
		atomic_store(&r->floor_id, *floor);
		set_live_count(r, epoch, 0);
	}
	spin_unlock(&r->count_lock);
	return is_same;
}

/* ---- walk ---- */

struct walk_item {
	uint64_t hash;
	struct counter *counter;
};

static int by_hash(const void *a, const void *b)
{
	uint64_t x = ((const struct walk_item *)a)->hash, y = ((const struct walk_item *)b)->hash;

	return (x > y) - (x < y);
}

static size_t segment_items(struct registry *r, const struct segment *seg, uint64_t hash_min,
			    struct walk_item *items)
{
	size_t count = 0;

	for (uint32_t i = 0; i < REGISTRY_SLOTS; i++) {
		uint64_t slot = atomic_load_explicit(&seg->slot[i], memory_order_acquire);
		struct walk_item item = {.counter = registry_slot_counter(slot)};

		if (!registry_slot_is_counter(slot))
			continue;
		item.hash = registry_hash(r, counter_name(item.counter));
		if (item.hash >= hash_min)
			items[count++] = item;
	}
	qsort(items, count, sizeof(*items), by_hash);
	return count;
}

/* The first hash behind the segment that holds `hash`; 0 behind the last. */
static uint64_t segment_end(const struct segment *seg, uint64_t hash)
{
	uint64_t size = seg->depth ? UINT64_C(1) << (64 - seg->depth) : 0;

	return size ? (hash & ~(size - 1)) + size : 0;
}

uint64_t registry_walk(struct registry *r, uint64_t cursor, size_t count_min, registry_fn *fn, void *arg)
{
	enum { LOW_BITS = 64 - REGISTRY_CURSOR_BITS };
	struct walk_item items[REGISTRY_SLOTS];
	uint64_t hash = cursor << LOW_BITS;
	size_t told = 0;

	do {
		const struct segment *seg = registry_segment(r, hash);
		size_t count = segment_items(r, seg, hash, items);

		for (size_t i = 0; i < count; i++) {
			if (told >= count_min &&
			    items[i].hash >> LOW_BITS != items[i - (i > 0)].hash >> LOW_BITS)
				return items[i].hash >> LOW_BITS;
			fn(arg, items[i].counter);
			told++;
		}
		hash = segment_end(seg, hash);
	} while (hash && told < count_min);
	return hash >> LOW_BITS;
}

/* A segment that is split meanwhile still has all that was in it. */
void registry_each(struct registry *r, registry_fn *fn, void *arg)
{
	enum { AHEAD = 12 };
	uint64_t hash = 0;

	do {
		const struct segment *seg = registry_segment(r, hash);

		for (uint32_t i = 0; i < REGISTRY_SLOTS + AHEAD; i++) {
			uint64_t slot;

			/* A deleted place points nowhere, which a prefetch does not mind. */
			if (i < REGISTRY_SLOTS)
				__builtin_prefetch(registry_slot_counter(
					atomic_load_explicit(&seg->slot[i], memory_order_relaxed)));
			if (i < AHEAD)
				continue;
			slot = atomic_load_explicit(&seg->slot[i - AHEAD], memory_order_acquire);
			if (registry_slot_is_counter(slot))
				fn(arg, registry_slot_counter(slot));
		}
		hash = segment_end(seg, hash);
	} while (hash);
}
