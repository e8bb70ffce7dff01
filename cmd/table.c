/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../lib/num.h"
#include "table.h"

enum {
	SLOTS_MIN = 1 << 12,
	ARENA_MIN = 64 << 10,
	PLACE_UNIT = 8,
	LINE_BYTES = 64,	  /* of the cache */
	ARENA_BEGIN = LINE_BYTES, /* place 0 means none; entries of 32 bytes lie in one line each from here */
	HUGE_BYTES = 2 << 20,
};

/* Slots double beyond three quarters: with linear probing a miss then looks at about eight slots, one cache
 * line. */
static bool is_crowded(const struct table *t)
{
	return t->count >= (t->mask + 1) / 4 * 3;
}

/* ---- hashing and comparing: eight bytes at a time, never past the end ---- */

static inline uint64_t load64(const char *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t load32(const char *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

/* Up to seven bytes, all of them in the result. */
static inline uint64_t load_short(const char *p, size_t len)
{
	if (len >= 4)
		return load32(p) << 32 | load32(p + len - 4);
	if (len == 0)
		return 0;
	const unsigned char *u = (const unsigned char *)p;
	return (uint64_t)u[0] << 16 | (uint64_t)u[len / 2] << 8 | u[len - 1];
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* More than 16 bytes, all but the last 1 to 16, which *p is moved to. Apart, for its registers cost the
 * others. */
__attribute__((noinline)) static uint64_t fold_long(const struct table *t, uint64_t h, const char **p,
						    size_t *left)
{
	for (; *left > 16; *left -= 16, *p += 16)
		h = fold(load64(*p) ^ t->secret[1], load64(*p + 8) ^ h);
	return h;
}

/* Multiply and fold, as in wyhash (Wang Yi, public domain), with a secret of this process: a few cycles a
 * name. Weaker than the SipHash of the daemon, but names that collide can only slow down the run that reads
 * them. */
static inline uint32_t hash_name(const struct table *t, const char *p, size_t len)
{
	uint64_t h = t->secret[0] ^ len, a, b = 0;
	if (len > 16)
		h = fold_long(t, h, &p, &len);
	if (len >= 8) {
		a = load64(p);
		b = load64(p + len - 8);
	} else {
		a = load_short(p, len);
	}
	h = fold(fold(a ^ t->secret[1], b ^ h), t->secret[2]);
	return (uint32_t)(h ^ h >> 32);
}

static inline bool is_same(const char *a, const char *b, size_t len)
{
	if (len < 8)
		return load_short(a, len) == load_short(b, len);
	for (size_t i = 0; i + 8 < len; i += 8) {
		if (load64(a + i) != load64(b + i))
			return false;
	}
	return load64(a + len - 8) == load64(b + len - 8);
}

/* ---- memory ---- */

/* `size` is a power of two. Huge pages, where there are any, spare a walk of the page tables per name: a
 * million names, drawn by Zipf's law, take 0.8 of the time. */
static void *alloc_pages(size_t size)
{
	void *p = aligned_alloc(size < HUGE_BYTES ? LINE_BYTES : HUGE_BYTES, size);
	if (p && size >= HUGE_BYTES)
		(void)madvise(p, size, MADV_HUGEPAGE);
	return p;
}

static struct table_slot *alloc_slots(size_t count)
{
	struct table_slot *slots = alloc_pages(count * sizeof(*slots));
	if (slots)
		memset(slots, 0, count * sizeof(*slots));
	return slots;
}

int table_init(struct table *t)
{
	*t = (struct table){
		.slots = alloc_slots(SLOTS_MIN),
		.mask = SLOTS_MIN - 1,
		.arena = alloc_pages(ARENA_MIN),
		.arena_len = ARENA_BEGIN,
		.arena_cap = ARENA_MIN,
	};
	arc4random_buf(t->secret, sizeof(t->secret));
	t->secret[2] |= 1; /* an even factor would throw bits away */
	if (t->slots && t->arena)
		return 0;
	table_fini(t);
	return -ENOMEM;
}

void table_fini(struct table *t)
{
	free(t->slots);
	free(t->arena);
	*t = (struct table){0};
}

void table_clear(struct table *t)
{
	memset(t->slots, 0, (t->mask + 1) * sizeof(*t->slots));
	t->count = 0;
	t->arena_len = ARENA_BEGIN;
}

static struct table_entry *entry_at(const struct table *t, uint32_t place)
{
	return (struct table_entry *)(void *)(t->arena + (size_t)place * PLACE_UNIT);
}

static size_t entry_size(size_t name_len)
{
	size_t size = offsetof(struct table_entry, name) + name_len;
	return (size + PLACE_UNIT - 1) & ~(size_t)(PLACE_UNIT - 1);
}

/* The slots hold whole hashes, so no name is looked at. */
static int grow_slots(struct table *t)
{
	size_t size = (t->mask + 1) * 2;
	struct table_slot *slots = alloc_slots(size);
	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i <= t->mask; i++) {
		if (t->slots[i].place == 0)
			continue;
		size_t at = t->slots[i].hash & (size - 1);
		while (slots[at].place != 0)
			at = (at + 1) & (size - 1);
		slots[at] = t->slots[i];
	}
	free(t->slots);
	t->slots = slots;
	t->mask = size - 1;
	return 0;
}

static int grow_arena(struct table *t, size_t need)
{
	size_t cap = t->arena_cap * 2;
	if (need / PLACE_UNIT > UINT32_MAX)
		return -ENOMEM;
	char *arena = alloc_pages(cap);
	if (!arena)
		return -ENOMEM;
	memcpy(arena, t->arena, t->arena_len);
	free(t->arena);
	t->arena = arena;
	t->arena_cap = cap;
	return 0;
}

/* ---- finding and adding ---- */

/* The slot of the name, or the empty one where it would go. */
static inline struct table_slot *find_slot(const struct table *t, const char *name, size_t len, uint32_t hash)
{
	for (size_t at = hash & t->mask;; at = (at + 1) & t->mask) {
		struct table_slot *slot = &t->slots[at];
		if (slot->place == 0)
			return slot;
		if (slot->hash != hash)
			continue;
		const struct table_entry *e = entry_at(t, slot->place);
		if (e->name_len == len && is_same(e->name, name, len))
			return slot;
	}
}

static int insert(struct table *t, const struct table_op *op)
{
	size_t size = entry_size(op->name_len);
	if (t->arena_len + size > t->arena_cap && grow_arena(t, t->arena_len + size))
		return -ENOMEM;
	if (is_crowded(t) && grow_slots(t))
		return -ENOMEM;
	struct table_slot *slot = find_slot(t, op->name, op->name_len, op->hash);
	*slot = (struct table_slot){.hash = op->hash, .place = (uint32_t)(t->arena_len / PLACE_UNIT)};
	struct table_entry *e = entry_at(t, slot->place);
	e->sum = op->delta;
	e->name_len = (uint8_t)op->name_len;
	memcpy(e->name, op->name, op->name_len);
	t->arena_len += size;
	t->count++;
	return TABLE_OK;
}

static int apply_slowly(struct table *t, const struct table_op *op)
{
	const struct table_slot *slot = find_slot(t, op->name, op->name_len, op->hash);
	if (slot->place == 0)
		return insert(t, op);
	struct table_entry *e = entry_at(t, slot->place);
	return num_add_i64(e->sum, op->delta, &e->sum) ? TABLE_OK : TABLE_OVERFLOW;
}

static inline int apply_one(struct table *t, const struct table_op *op)
{
	struct table_entry *e = entry_at(t, op->place);
	if (op->place == 0 || e->name_len != op->name_len || !is_same(e->name, op->name, op->name_len))
		return apply_slowly(t, op);
	return num_add_i64(e->sum, op->delta, &e->sum) ? TABLE_OK : TABLE_OVERFLOW;
}

/* The entry whose hash is the same, or 0. It is the right one almost always. */
static inline uint32_t guess_place(const struct table *t, uint32_t hash)
{
	size_t at = hash & t->mask;
	while (t->slots[at].hash != hash && t->slots[at].place != 0)
		at = (at + 1) & t->mask;
	return t->slots[at].place;
}

/* Three passes over the batch: fetch slots, fetch entries, do the work, which then finds all in the cache.
 * Slots may be moved by the work, and places stay. */
int table_apply(struct table *t, struct table_op *ops, size_t count, size_t *done)
{
	const struct table_op *end = ops + count;
	for (struct table_op *op = ops + *done; op < end; op++) {
		op->hash = hash_name(t, op->name, op->name_len);
		__builtin_prefetch(&t->slots[op->hash & t->mask]);
	}
	for (struct table_op *op = ops + *done; op < end; op++) {
		op->place = guess_place(t, op->hash);
		const struct table_entry *e = entry_at(t, op->place);
		__builtin_prefetch(e, 1);
		__builtin_prefetch(e->name + op->name_len); /* often the next line */
	}
	for (const struct table_op *op = ops + *done; op < end; op++) {
		int rc = apply_one(t, op);
		if (rc) {
			*done = (size_t)(op - ops);
			return rc;
		}
	}
	*done = count;
	return TABLE_OK;
}

int table_add(struct table *t, struct slice name, int64_t delta)
{
	struct table_op op = {.name = name.data, .name_len = (uint32_t)name.len, .delta = delta};
	size_t done = 0;
	return table_apply(t, &op, 1, &done);
}

struct table_entry *table_find(struct table *t, struct slice name)
{
	const struct table_slot *slot = find_slot(t, name.data, name.len, hash_name(t, name.data, name.len));
	return slot->place ? entry_at(t, slot->place) : NULL;
}

struct table_entry *table_next(const struct table *t, size_t *pos)
{
	if (*pos == 0)
		*pos = ARENA_BEGIN;
	if (*pos >= t->arena_len)
		return NULL;
	struct table_entry *e = entry_at(t, (uint32_t)(*pos / PLACE_UNIT));
	*pos += entry_size(e->name_len);
	return e;
}
