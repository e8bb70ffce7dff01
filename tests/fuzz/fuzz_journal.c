/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a journal body, as they are and again under a right head and checksum: never a crash, a read
 * outside or an endless loop; and what a reader accepts, a writer makes into a body that reads the same.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../daemon/journal.h"
#include "../../daemon/journal_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(int is_true)
{
	if (!is_true)
		abort();
}

static void put(struct journal_writer *w, const struct journal_record *record)
{
	struct journal_delta delta = {.id = record->id, .delta = record->delta};

	switch (record->type) {
	case JOURNAL_NAME: journal_put_name(w, record->id, record->name); break;
	case JOURNAL_DELTA: journal_put_deltas(w, &delta, 1); break;
	case JOURNAL_DELETE: journal_put_delete(w, record->id); break;
	case JOURNAL_FLOOR: journal_put_floor(w, record->id); break;
	case JOURNAL_SESSION: journal_put_session(w, record->name, record->id, record->detail); break;
	case JOURNAL_TOKEN: journal_put_token(w, record->name, record->detail, (int64_t)record->delta); break;
	case JOURNAL_STATE: journal_put_state(w, &record->state); break;
	case JOURNAL_HIT: journal_put_hit(w, &record->hit); break;
	}
}

/* Reads `body` and writes it again; the number of records read. */
static size_t rewrite(const void *body, size_t size, struct journal_writer *w)
{
	struct journal_record record;
	struct journal_reader r;
	size_t count = 0;
	int result = journal_reader_init(&r, body, size);

	while (result == JOURNAL_OK && (result = journal_next(&r, &record)) == JOURNAL_OK) {
		need(record.id <= JOURNAL_ID_MAX);
		put(w, &record);
		count++;
	}
	need(journal_next(&r, &record) == result);
	need(journal_writer_finish(w) == 0);
	return count;
}

static void read_twice(const void *body, size_t size)
{
	struct journal_writer first, second;
	size_t count;

	journal_writer_init(&first, 1);
	journal_writer_init(&second, 1);
	count = rewrite(body, size, &first);
	need((first.count > 0) == (count > 0));
	if (count > 0) {
		const struct buf *again = &first.parts[0];

		need(rewrite(buf_head(again), buf_len(again), &second) == count);
		need(buf_len(again) == buf_len(&second.parts[0]));
		need(memcmp(buf_head(again), buf_head(&second.parts[0]), buf_len(again)) == 0);
	}
	journal_writer_fini(&first);
	journal_writer_fini(&second);
}

/* The way recovery and folding go. */
static void read_as_set(const void *body, size_t size)
{
	struct journal_set set;
	struct journal_sum sum;
	uint64_t id, last = 0;
	int r;

	journal_set_init(&set);
	r = journal_set_add(&set, 1, body, size);
	if (r == 0)
		r = journal_set_add(&set, 2, body, size);
	if (r == 0)
		r = journal_set_sort(&set);
	while (r == 0 && journal_set_peek(&set, &id)) {
		need(id >= last);
		last = id;
		r = journal_set_take(&set, id, 1, &sum);
	}
	last = 0;
	while (r == 0 && journal_set_peek_state(&set, &id)) {
		struct journal_state state;

		need(id >= last);
		last = id;
		r = journal_set_take_state(&set, id, &state);
		need(r != 0 || state.id == id);
	}
	last = 0;
	while (r == 0 && journal_set_peek_hits(&set, &id)) {
		struct journal_hits hits;

		need(id >= last);
		last = id;
		r = journal_set_take_hits(&set, id, 1, &hits);
		for (size_t i = 1; r == 0 && i < hits.count; i++)
			need(hits.items[i - 1].second < hits.items[i].second);
	}
	journal_set_fini(&set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *body = malloc(size + 1); /* one more than needed: malloc(0) may be null */

	need(body != NULL);
	memcpy(body, data, size);
	read_twice(body, size);
	read_as_set(body, size);
	if (size >= JOURNAL_HEAD_BYTES + JOURNAL_TAIL_BYTES) {
		journal_seal(body, size);
		read_twice(body, size);
		read_as_set(body, size);
	}
	free(body);
	return 0;
}
