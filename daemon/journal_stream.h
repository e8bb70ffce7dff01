/* SPDX-License-Identifier: MIT */
/*
 * journal_stream.h - sections of one kind of many journal bodies, run through side by side: their records by
 * ascending id, decoded only as they are asked for.
 *
 * Of deltas, states or hits: within a section of these, ids ascend. Part of a journal_set. Pure; not shared
 * between threads.
 */
#ifndef SHC_JOURNAL_STREAM_H
#define SHC_JOURNAL_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "journal.h"

/* A section, and its next record. */
struct journal_cursor {
	struct journal_reader section;
	uint64_t epoch;
	union {
		uint64_t delta; /* its id stands in the heap */
		struct journal_state state;
		struct journal_hit hit;
	};
};

/* Ids stand in the heap itself, so that ordering it touches no cursor. */
struct journal_heap_entry {
	uint64_t id;
	struct journal_cursor *cursor;
};

/* All zero is one without sections. */
struct journal_stream {
	struct journal_cursor *cursors; /* owned; a section each */
	size_t cursor_count, cursor_cap;
	struct journal_heap_entry *heap; /* owned; smallest id on top */
	size_t heap_count;
};

void journal_stream_fini(struct journal_stream *s);

/* The body that the section lies in must stay. 0, -ENOMEM. */
int journal_stream_add(struct journal_stream *s, uint64_t epoch, const struct journal_reader *section);
/* After the last add. 0, -EUCLEAN, -ENOMEM. */
int journal_stream_begin(struct journal_stream *s);
/* Another run from where `of` is. 0; -ENOMEM: `s` is empty. */
int journal_stream_share(struct journal_stream *s, const struct journal_stream *of);

/* The smallest id; false at the end. */
static inline bool journal_stream_peek(const struct journal_stream *s, uint64_t *id)
{
	if (s->heap_count == 0)
		return false;
	*id = s->heap[0].id;
	return true;
}

/* The cursor that stands at the smallest id; there is one. */
static inline const struct journal_cursor *journal_stream_top(const struct journal_stream *s)
{
	return s->heap[0].cursor;
}

/* Behind that record. 0, -EUCLEAN. */
int journal_stream_step(struct journal_stream *s);

#endif
