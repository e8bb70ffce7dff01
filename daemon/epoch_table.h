/* SPDX-License-Identifier: MIT */
/*
 * epoch_table.h - states and hits of one epoch: records that are merged by their key, so that a hot counter
 * is one record however often it changed.
 *
 * Entries lie in a row, in chunks that never move; the index is chains, in EPOCH_TABLE_PARTS parts that grow
 * one at a time. So room that was reserved is room whatever is put there, a part that finds no memory to grow
 * only has longer chains, and no request waits for a million entries to move. Part of an epoch buffer, with
 * the same owner.
 */
#ifndef SHC_EPOCH_TABLE_H
#define SHC_EPOCH_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "journal.h"

enum { EPOCH_TABLE_PARTS = 64 };

struct epoch_entry {
	union {
		struct journal_state state; /* key: id */
		struct journal_hit hit;	    /* key: id, second */
	};
	uint32_t next; /* number of the next one in the chain, or 0 */
};

struct epoch_table_part {
	uint32_t *heads; /* owned; numbers, 0: none. Null: one chain, at `only` */
	uint32_t only;
	uint32_t mask; /* heads - 1 */
	uint32_t count;
};

/* Of states or of hits, not of both. All zero is an empty one. */
struct epoch_table {
	struct epoch_entry **chunks; /* owned, and each of them */
	size_t chunk_count, chunk_cap;
	size_t count; /* entries; they are numbered from 1 */
	struct epoch_table_part parts[EPOCH_TABLE_PARTS];
};

void epoch_table_fini(struct epoch_table *t);

/* Room for `count` more entries. 0, or -ENOMEM: nothing has changed. */
int epoch_table_reserve(struct epoch_table *t, size_t count);

/* There is room. Replaces the one of that id when its version is smaller. */
void epoch_table_put_state(struct epoch_table *t, const struct journal_state *state);
/* There is room. Adds to the one of that id and second. */
void epoch_table_put_hit(struct epoch_table *t, const struct journal_hit *hit);

/* The entry at `pos`, from 0 to count - 1, in the order in which they came. */
const struct epoch_entry *epoch_table_at(const struct epoch_table *t, size_t pos);

/* Empties it; keeps small memory, gives back large. */
void epoch_table_clear(struct epoch_table *t);

#endif
