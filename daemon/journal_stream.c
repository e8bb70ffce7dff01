/* SPDX-License-Identifier: MIT */
/* journal_stream.c - see journal_stream.h. */
#include "journal_stream.h"

#include <errno.h>
#include <stdlib.h>

void journal_stream_fini(struct journal_stream *s)
{
	free(s->cursors);
	free(s->heap);
	*s = (struct journal_stream){0};
}

int journal_stream_add(struct journal_stream *s, uint64_t epoch, const struct journal_reader *section)
{
	if (s->cursor_count == s->cursor_cap) {
		size_t cap = s->cursor_cap ? 2 * s->cursor_cap : 16;
		struct journal_cursor *cursors = reallocarray(s->cursors, cap, sizeof(*cursors));

		if (!cursors)
			return -ENOMEM;
		s->cursors = cursors;
		s->cursor_cap = cap;
	}
	s->cursors[s->cursor_count++] = (struct journal_cursor){.section = *section, .epoch = epoch};
	return 0;
}

static void sift_down(struct journal_stream *s, size_t i)
{
	struct journal_heap_entry *heap = s->heap;
	struct journal_heap_entry moving = heap[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= s->heap_count)
			break;
		if (child + 1 < s->heap_count && heap[child + 1].id < heap[child].id)
			child++;
		if (moving.id <= heap[child].id)
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = moving;
}

/* Reads the cursor's next record. JOURNAL_OK, _END, _DAMAGED. */
static int step_cursor(struct journal_heap_entry *entry)
{
	struct journal_cursor *cursor = entry->cursor;
	struct journal_record record;
	int result = journal_next(&cursor->section, &record);

	if (result != JOURNAL_OK)
		return result;
	entry->id = record.id;
	if (record.type == JOURNAL_STATE)
		cursor->state = record.state;
	else if (record.type == JOURNAL_HIT)
		cursor->hit = record.hit;
	else
		cursor->delta = record.delta;
	return JOURNAL_OK;
}

int journal_stream_step(struct journal_stream *s)
{
	int result = step_cursor(&s->heap[0]);

	if (result == JOURNAL_DAMAGED)
		return -EUCLEAN;
	if (result == JOURNAL_END)
		s->heap[0] = s->heap[--s->heap_count];
	if (s->heap_count > 0)
		sift_down(s, 0);
	return 0;
}

int journal_stream_begin(struct journal_stream *s)
{
	s->heap = calloc(s->cursor_count + 1, sizeof(*s->heap));
	if (!s->heap)
		return -ENOMEM;
	for (size_t i = 0; i < s->cursor_count; i++) {
		struct journal_heap_entry *entry = &s->heap[s->heap_count];

		entry->cursor = &s->cursors[i];
		if (step_cursor(entry) != JOURNAL_OK)
			return -EUCLEAN; /* a section has at least one record */
		s->heap_count++;
	}
	for (size_t i = s->heap_count / 2; i-- > 0;)
		sift_down(s, i);
	return 0;
}

int journal_stream_share(struct journal_stream *s, const struct journal_stream *of)
{
	*s = (struct journal_stream){.cursor_count = of->cursor_count, .heap_count = of->heap_count};
	s->cursors = calloc(of->cursor_count + 1, sizeof(*s->cursors));
	s->heap = calloc(of->cursor_count + 1, sizeof(*s->heap));
	if (!s->cursors || !s->heap) {
		journal_stream_fini(s);
		return -ENOMEM;
	}
	for (size_t i = 0; i < of->cursor_count; i++)
		s->cursors[i] = of->cursors[i];
	for (size_t i = 0; i < of->heap_count; i++)
		s->heap[i] = (struct journal_heap_entry){
			.id = of->heap[i].id,
			.cursor = &s->cursors[of->heap[i].cursor - of->cursors],
		};
	return 0;
}
