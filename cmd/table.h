/* SPDX-License-Identifier: MIT */
/*
 * table.h - names with a sum each: ingest's aggregation. Open addressing; a slot is eight bytes (hash and
 * place), names and sums lie one behind the other in the order of their first appearance.
 *
 * Work comes in batches, so that the cache misses of one batch overlap. One thread.
 */
#ifndef SHC_TABLE_H
#define SHC_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/slice.h"

struct table_entry {
	int64_t sum;
	uint8_t name_len;
	char name[]; /* padded to eight bytes */
};

/* A name to add to. */
struct table_op {
	const char *name;
	int64_t delta;
	uint32_t name_len; /* 0 to 255 */
	/* the table's: */
	uint32_t hash;
	uint32_t place; /* of what looks like its entry; 0: there is none yet */
};

struct table_slot {
	uint32_t hash;
	uint32_t place; /* of the entry, in units of 8 bytes; 0: empty */
};

struct table {
	struct table_slot *slots; /* owned */
	size_t mask;		  /* slots less 1 */
	size_t count;		  /* entries */
	char *arena;		  /* owned */
	size_t arena_len, arena_cap;
	uint64_t secret[3];
};

enum {
	TABLE_OK = 0,
	TABLE_OVERFLOW = 1, /* the sum would leave 64 bits; it stays */
};

enum { TABLE_BATCH_MAX = 128 };

/* 0 or -ENOMEM. Draws a secret: names may come from people who want them to collide. */
int table_init(struct table *t);
void table_fini(struct table *t);

/* Forgets all names, keeps the memory. */
void table_clear(struct table *t);

/* Applies ops[*done..count) in order, count at most TABLE_BATCH_MAX, and moves *done on: TABLE_OK when all
 * are; TABLE_OVERFLOW and -ENOMEM are about ops[*done], which was not applied. */
int table_apply(struct table *t, struct table_op *ops, size_t count, size_t *done);

/* One name alone. */
int table_add(struct table *t, struct slice name, int64_t delta);

/* Null when there is none. Dies with the next addition. */
struct table_entry *table_find(struct table *t, struct slice name);

/* For going over all: the entry at *pos, which begins at 0 and is moved on; null at the end. */
struct table_entry *table_next(const struct table *t, size_t *pos);

/* Bytes in use. */
static inline size_t table_bytes(const struct table *t)
{
	return t->arena_len + (t->mask + 1) * sizeof(*t->slots);
}

static inline struct slice table_entry_name(const struct table_entry *e)
{
	return (struct slice){e->name, e->name_len};
}

#endif
