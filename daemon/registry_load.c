/* SPDX-License-Identifier: MIT */
/* registry_load.c - see registry_load.h. Owns nothing of the registry's. */
#include "registry_load.h"

#include <errno.h>
#include <stdlib.h>

#include "spin.h"

enum {
	BLOCK_BYTES = 4096, /* some hundred records a lock */
	/* A table that has grown to such a fill has split nearly all of its segments: by no more memory. */
	FILL_MIN = REGISTRY_FILL_MAX / 2 + 10,
};

/* ---- size ---- */

static uint32_t depth_for(uint64_t count)
{
	uint32_t depth = 0;

	while (depth < REGISTRY_DEPTH_MAX && count >> (depth + 1) >= FILL_MIN)
		depth++;
	return depth;
}

static void directory_free(struct registry *r, struct directory *d, size_t count)
{
	for (size_t i = 0; i < count; i++)
		arena_free(&r->arena, atomic_load(&d->segment[i]), sizeof(struct segment));
	free(d);
}

int registry_presize(struct registry *r, uint64_t count)
{
	uint32_t depth = depth_for(count);
	struct directory *old = atomic_load(&r->directory), *d;

	if (depth <= old->depth)
		return 0;
	d = malloc(sizeof(*d) + (sizeof(d->segment[0]) << depth));
	if (!d)
		return -ENOMEM;
	d->depth = depth;
	for (size_t i = 0; i < (size_t)1 << depth; i++) {
		struct segment *seg = registry_segment_new(r, depth);

		if (!seg) {
			directory_free(r, d, i);
			return -ENOMEM;
		}
		atomic_init(&d->segment[i], seg);
	}
	atomic_store(&r->directory, d);
	directory_free(r, old, 1); /* empty: it was never split */
	return 0;
}

/* ---- loaders ---- */

void registry_loader_init(struct registry_loader *l)
{
	*l = (struct registry_loader){0};
	epoch_buffer_init(&l->retired);
}

void registry_loader_fini(struct registry *r, struct registry_loader *l)
{
	for (size_t i = 0; i < l->retired.retired.count; i++)
		registry_free(r, &l->retired.retired.items[i]);
	epoch_buffer_fini(&l->retired);
}

/* The rest of a block is given up. */
static struct counter *record_new(struct registry *r, struct registry_loader *l, size_t size)
{
	if (size > (size_t)(l->end - l->next)) {
		char *block = arena_block(&r->arena, BLOCK_BYTES);

		if (!block)
			return NULL;
		l->next = block;
		l->end = block + BLOCK_BYTES;
	}
	l->next += size;
	return (struct counter *)(void *)(l->next - size);
}

/* ---- loading ---- */

void registry_load_prefetch(struct registry *r, uint64_t hash)
{
	struct segment *seg = registry_segment(r, hash);

	__builtin_prefetch(seg, 1);
	__builtin_prefetch(&seg->slot[registry_place(hash, 0)], 1);
}

/* The place of the name, or the empty one where it belongs. Lock held, and the segment is not full. */
static _Atomic uint64_t *find_place(struct segment *seg, struct slice name, uint64_t hash)
{
	for (uint32_t n = 0;; n++) {
		_Atomic uint64_t *place = &seg->slot[registry_place(hash, n)];
		uint64_t slot = atomic_load_explicit(place, memory_order_relaxed);

		if (slot == REGISTRY_EMPTY)
			return place;
		if (registry_slot_is_like(slot, hash) &&
		    slice_equal(counter_name(registry_slot_counter(slot)), name))
			return place;
	}
}

static void set_object(struct counter *c, const struct registry_object *object)
{
	counter_set_base(c, object->value);
	if (object->extra)
		object->extra->counter = c;
	counter_set_object(c, object->extra ? counter_object_of_extra(object->extra)
					    : counter_object_of_id(object->id));
}

/* Lock held, and there is room. */
static int insert(struct registry *r, struct registry_loader *l, struct segment *seg, struct slice name,
		  uint64_t hash, const struct registry_object *object)
{
	_Atomic uint64_t *place = find_place(seg, name, hash);
	struct counter *c;

	if (atomic_load_explicit(place, memory_order_relaxed))
		return -EEXIST;
	if (registry_is_full(r))
		return -EDQUOT;
	c = record_new(r, l, counter_size(name.len));
	if (!c)
		return -ENOMEM;
	counter_init(c, name, 0);
	set_object(c, object);
	atomic_store_explicit(place, registry_slot_make(c, hash), memory_order_release);
	seg->live++;
	seg->used++;
	return 0;
}

/* A full segment: the long way, which splits it. No other loader has this name at once and is right, so that
 * a name that has an object is one too many. */
static int insert_by_split(struct registry *r, struct registry_loader *l, struct slice name, uint64_t hash,
			   const struct registry_object *object)
{
	struct counter *c;
	int rc = registry_insert(r, name, hash, &l->retired, &c);

	if (rc)
		return rc;
	counter_lock(c, COUNTER_LOCKED);
	if (counter_has_object(counter_object(c)))
		rc = -EEXIST;
	else
		set_object(c, object);
	counter_unlock(c);
	return rc;
}

int registry_load(struct registry *r, struct registry_loader *l, struct slice name, uint64_t hash,
		  const struct registry_object *object)
{
	struct segment *seg = registry_segment(r, hash);
	bool has_room;
	int rc = 0;

	spin_lock(&seg->lock);
	has_room = !seg->is_replaced && seg->used < REGISTRY_FILL_MAX;
	if (has_room)
		rc = insert(r, l, seg, name, hash, object);
	spin_unlock(&seg->lock);
	return has_room ? rc : insert_by_split(r, l, name, hash, object);
}
