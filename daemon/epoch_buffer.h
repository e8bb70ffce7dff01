/* SPDX-License-Identifier: MIT */
/*
 * epoch_buffer.h - what one worker did in one epoch and is not on disk yet.
 *
 * One writer ever at a time: the worker while its epoch is open, the committer from the seal to the commit.
 * Deltas are summed by id, so a hot counter is one entry however often it was hit, and the size is bounded by
 * the number of counters touched. The same for states, and for hits of a second (epoch_table.h).
 */
#ifndef SHC_EPOCH_BUFFER_H
#define SHC_EPOCH_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/buf.h"
#include "../lib/slice.h"
#include "epoch_table.h"
#include "journal.h"

/* id -> delta modulo 2^64, by open addressing. In DELTA_PARTS independent tables, so that growing moves a
 * small part of a million entries and no request waits for all of them. id 0 is an empty place: ids begin
 * at 1. */
enum { DELTA_PARTS = 64 };
struct delta_part {
	struct journal_delta *slots;
	uint32_t mask; /* slots - 1 */
	uint32_t count;
};

/* What must not be freed before every worker has sealed: unlinked in this epoch. */
enum retired_kind { RETIRED_COUNTER, RETIRED_CELLS, RETIRED_EXTRA, RETIRED_SEGMENT, RETIRED_DIRECTORY };
struct retired {
	void *p;
	enum retired_kind kind;
};
struct retired_list {
	struct retired *items;
	size_t count, cap;
};

/* Records of sessions and tokens, not aligned: copied out and in. */
struct epoch_session {
	uint64_t seq;
	uint16_t cursor_len, cursor_cap;
	uint8_t id_len;
};
struct epoch_token {
	int64_t delta;
	uint8_t name_len, token_len;
};

struct epoch_buffer {
	struct delta_part parts[DELTA_PARTS];
	size_t delta_count;
	struct buf names;    /* id (8 bytes, host order), length (1), name */
	struct buf deletes;  /* ids, 8 bytes each, host order */
	struct buf sessions; /* struct epoch_session, id, cursor */
	struct buf tokens;   /* struct epoch_token, name, token */
	struct buf audit;    /* audit_entry.h */
	uint64_t floor_id;   /* FLUSHALL: ids below are deleted; 0: none */
	struct retired_list retired;
	struct epoch_table states, hits;
};

void epoch_buffer_init(struct epoch_buffer *b);
void epoch_buffer_fini(struct epoch_buffer *b); /* what is retired stays: the caller frees it */

static inline bool epoch_buffer_is_empty(const struct epoch_buffer *b)
{
	return b->delta_count == 0 && buf_len(&b->names) == 0 && buf_len(&b->deletes) == 0 &&
	       buf_len(&b->sessions) == 0 && buf_len(&b->tokens) == 0 && b->floor_id == 0 &&
	       b->retired.count == 0 && b->states.count == 0 && b->hits.count == 0 && buf_len(&b->audit) == 0;
}

/* Ids are given out in sequence, so they are spread by Fibonacci hashing: the top bits choose the part, the
 * next ones the slot. */
static inline uint64_t epoch_buffer_spread(uint64_t id)
{
	return id * UINT64_C(0x9e3779b97f4a7c15);
}

static inline size_t epoch_buffer_part(uint64_t spread)
{
	return spread >> 58;
}

static inline uint32_t epoch_buffer_slot(uint64_t spread, uint32_t mask)
{
	return (uint32_t)(spread >> 26) & mask;
}

/* Where the delta of `id` would be looked for first: to prefetch. */
static inline const void *epoch_buffer_place(const struct epoch_buffer *b, uint64_t id)
{
	uint64_t spread = epoch_buffer_spread(id);
	const struct delta_part *p = &b->parts[epoch_buffer_part(spread)];

	return p->slots ? &p->slots[epoch_buffer_slot(spread, p->mask)] : NULL;
}

/* All of these: 0 or -ENOMEM, then nothing has changed. */
int epoch_buffer_add_slow(struct epoch_buffer *b, uint64_t id, uint64_t delta);
int epoch_buffer_create(struct epoch_buffer *b, uint64_t id, struct slice name);
int epoch_buffer_delete(struct epoch_buffer *b, uint64_t id);
int epoch_buffer_retire(struct epoch_buffer *b, void *p, enum retired_kind kind);

static inline int epoch_buffer_add(struct epoch_buffer *b, uint64_t id, uint64_t delta)
{
	uint64_t spread = epoch_buffer_spread(id);
	const struct delta_part *p = &b->parts[epoch_buffer_part(spread)];
	struct journal_delta *d;

	/* Where it was put, if nothing stood there: three times out of four, once it is there. */
	if (p->slots) {
		d = &p->slots[epoch_buffer_slot(spread, p->mask)];
		if (d->id == id) {
			d->delta += delta;
			return 0;
		}
	}
	return epoch_buffer_add_slow(b, id, delta);
}

void epoch_buffer_flush(struct epoch_buffer *b, uint64_t floor_id);

/* *at: where the session's record of this epoch stands, or SIZE_MAX when it has none; it is overwritten when
 * the cursor fits, else a new one is written and *at moves. Of several the largest sequence counts. */
int epoch_buffer_session(struct epoch_buffer *b, size_t *at, struct slice id, uint64_t seq,
			 struct slice cursor);
int epoch_buffer_token(struct epoch_buffer *b, struct slice name, struct slice token, int64_t delta);

/* Room for so many more of each. */
int epoch_buffer_reserve(struct epoch_buffer *b, size_t states, size_t hits);

/* These cannot fail: room was reserved. */

/* In place of that of the same id, unless it is newer. */
void epoch_buffer_state(struct epoch_buffer *b, const struct journal_state *state);
/* Added to those of the same id and second. */
void epoch_buffer_hit(struct epoch_buffer *b, const struct journal_hit *hit);
/* Makes room for so many bytes of entries of the audit log, which audit_entry_put fills. 0 or -ENOMEM. */
int epoch_buffer_reserve_audit(struct epoch_buffer *b, size_t bytes);

/* Bytes that what is recorded takes, about. */
size_t epoch_buffer_bytes(const struct epoch_buffer *b);

/* Empties it; keeps small memory, gives back large. The retired list must have been taken. */
void epoch_buffer_clear(struct epoch_buffer *b);

int retired_list_add(struct retired_list *l, void *p, enum retired_kind kind);
void retired_list_fini(struct retired_list *l);

/* Calls fn for every (id, delta), in no order. */
typedef void epoch_delta_fn(void *arg, struct journal_delta delta);
void epoch_buffer_each(const struct epoch_buffer *b, epoch_delta_fn *fn, void *arg);
/* The same for parts [first, end) alone; an id is in the same part of every buffer. */
void epoch_buffer_each_in(const struct epoch_buffer *b, size_t first, size_t end, epoch_delta_fn *fn,
			  void *arg);

/* One created name after the other; *pos starts at 0. False at the end. */
bool epoch_buffer_next_name(const struct epoch_buffer *b, size_t *pos, uint64_t *id, struct slice *name);
/* The same for sessions and tokens. */
bool epoch_buffer_next_session(const struct epoch_buffer *b, size_t *pos, uint64_t *seq, struct slice *id,
			       struct slice *cursor);
bool epoch_buffer_next_token(const struct epoch_buffer *b, size_t *pos, int64_t *delta, struct slice *name,
			     struct slice *token);

#endif
