/* SPDX-License-Identifier: MIT */
/*
 * store_merge.c - keeps the journal small when changes outrun the snapshot: neighboring epochs become one, in
 * which every counter stands once, under the number of the last of them.
 *
 * Only epochs above the running (or cut off) pass: rows below may have some of a run's epochs and not the
 * others. For the same reason a name and a delete of one id in a run cancel out: no row can have that name
 * yet. A merged body has the time of its newest part, so a session or token in it may live a little longer.
 *
 * Which run: the oldest whose bytes are MERGE_RATIO times those of its largest epoch. So each time a byte is
 * written again it is part of something that much larger (or something was saved), and all merges of n bytes
 * together cost about n log n. What is already large waits for small ones to catch up.
 */
#include "store_private.h"

#include <errno.h>
#include <string.h>

enum {
	MERGE_BYTES_MAX = 32 << 20, /* bodies read for one merge; as much again is written */
	MERGE_RATIO = 4,
	DELTAS_MAX = 1024, /* handed to the writer at once */
};

struct merge_run {
	size_t at, count; /* of store.epochs */
};

/* ---- choosing ---- */

static uint64_t first_free_epoch(const struct store *s)
{
	uint64_t folded = s->fold_epoch;

	if (store_is_folding(s) && store_fold_epoch(s) > folded)
		folded = store_fold_epoch(s);
	return folded + 1;
}

/* The longest run from `at` that is not too large to merge in one go; whether it is worth it. */
static bool try_run(const struct store *s, size_t at, struct merge_run *run)
{
	uint64_t total = 0, largest = 0;
	size_t i = at;

	for (; i < s->epoch_count && total + s->epochs[i].bytes <= MERGE_BYTES_MAX; i++) {
		total += s->epochs[i].bytes;
		if (s->epochs[i].bytes > largest)
			largest = s->epochs[i].bytes;
	}
	*run = (struct merge_run){.at = at, .count = i - at};
	return run->count > 1 && total / MERGE_RATIO >= largest;
}

/* When no run is worth it, sizes fall by a constant factor from one epoch to the next, or are near the
 * maximum: there are few, and looking at every run is cheap. */
static bool choose_run(const struct store *s, struct merge_run *run)
{
	uint64_t first = first_free_epoch(s);
	size_t at = 0;

	while (at < s->epoch_count && s->epochs[at].epoch < first)
		at++;
	for (; at < s->epoch_count; at++) {
		if (try_run(s, at, run))
			return true;
	}
	return false;
}

/* ---- merging ---- */

static void put_names(struct journal_writer *w, const struct journal_set *set)
{
	for (size_t i = 0; i < set->name_count; i++) {
		if (!journal_set_is_dead(set, set->names[i].id))
			journal_put_name(w, set->names[i].id, set->names[i].name);
	}
}

/* Both lists are sorted. A delete below the floor says nothing more. */
static void put_deletes(struct journal_writer *w, const struct journal_set *set)
{
	size_t name = 0;

	for (size_t i = 0; i < set->delete_count; i++) {
		uint64_t id = set->deletes[i];

		while (name < set->name_count && set->names[name].id < id)
			name++;
		if (id >= set->floor_id && (name == set->name_count || set->names[name].id != id))
			journal_put_delete(w, id);
	}
}

static int put_deltas(struct journal_writer *w, struct journal_set *set)
{
	struct journal_delta deltas[DELTAS_MAX];
	struct journal_sum sum;
	size_t count = 0;
	uint64_t id;

	while (journal_set_peek(set, &id)) {
		if (journal_set_take(set, id, 0, &sum) < 0)
			return -EUCLEAN;
		if (journal_set_is_dead(set, id))
			continue;
		deltas[count++] = (struct journal_delta){.id = id, .delta = sum.delta};
		if (count == DELTAS_MAX) {
			journal_put_deltas(w, deltas, count);
			count = 0;
		}
	}
	journal_put_deltas(w, deltas, count);
	return 0;
}

static void put_marks(struct journal_writer *w, const struct journal_set *set)
{
	for (size_t i = 0; i < set->sessions.count; i++) {
		const struct journal_set_mark *mark = &set->sessions.items[i];

		journal_put_session(w, mark->name, mark->number, mark->detail);
	}
	for (size_t i = 0; i < set->tokens.count; i++) {
		const struct journal_set_mark *mark = &set->tokens.items[i];

		journal_put_token(w, mark->name, mark->detail, (int64_t)mark->number);
	}
}

/* -EUCLEAN, -ENOMEM. */
static int put_extras(struct journal_writer *w, struct journal_set *set)
{
	struct journal_state state;
	struct journal_hits hits;
	uint64_t id;
	int r = 0;

	while (r == 0 && journal_set_peek_state(set, &id)) {
		r = journal_set_take_state(set, id, &state);
		if (r == 0 && !journal_set_is_dead(set, id))
			journal_put_state(w, &state);
	}
	while (r == 0 && journal_set_peek_hits(set, &id)) {
		r = journal_set_take_hits(set, id, 0, &hits);
		for (size_t i = 0; r == 0 && i < hits.count && !journal_set_is_dead(set, id); i++)
			journal_put_hit(w, &hits.items[i]);
	}
	return r;
}

/* What has cancelled out leaves a row all the same, or the number of the newest epoch would be forgotten
 * (store_last_epoch). A floor that is as old as this one says nothing. */
static void put_something(struct journal_writer *w, const struct journal_set *set)
{
	if (w->count == 0 && buf_len(&w->open) == 0)
		journal_put_floor(w, set->floor_id);
}

static int merge_set(struct store *s, struct journal_set *set, struct journal_writer *w)
{
	int r;

	if (set->floor_id)
		journal_put_floor(w, set->floor_id);
	put_names(w, set);
	put_deletes(w, set);
	put_marks(w, set);
	r = put_deltas(w, set);
	if (r == 0)
		r = put_extras(w, set);
	if (r == 0)
		put_something(w, set);
	if (r == -EUCLEAN)
		return store_damaged(s, "a journal row has records that make no sense");
	return r < 0 || journal_writer_finish(w) < 0 ? store_fail(s, SQLITE_NOMEM, "merging the journal") : 0;
}

static int replace_rows(struct store *s, uint64_t first, uint64_t last, const struct journal_writer *w)
{
	int r = store_begin(s, "merging the journal");

	if (r != 0)
		return r;
	store_bind(s, SQL_JOURNAL_DELETE, 1, first);
	store_bind(s, SQL_JOURNAL_DELETE, 2, last);
	r = store_run(s, SQL_JOURNAL_DELETE, "merging the journal");
	if (r == 0)
		r = store_insert_parts(s, last, w);
	return store_end(s, r, "merging the journal");
}

static int merge_run(struct store *s, struct merge_run run)
{
	uint64_t first = s->epochs[run.at].epoch, last = s->epochs[run.at + run.count - 1].epoch;
	uint64_t first_ever = s->epochs[run.at].first ? s->epochs[run.at].first : first;
	struct journal_set set;
	struct journal_writer w;
	int r;

	journal_set_init(&set);
	r = store_read_set(s, first, last, &set);
	if (r == 0)
		r = store_sort_set(s, &set);
	journal_writer_init(&w, set.time_max_ms);
	if (r == 0)
		r = merge_set(s, &set, &w);
	journal_set_fini(&set); /* the writer has copies; at most one of the two is large from here on */
	if (r == 0)
		r = replace_rows(s, first, last, &w);
	if (r == 0) {
		store_epochs_replace(s, run.at, run.count,
				     (struct store_epoch){.epoch = last,
							  .bytes = store_writer_bytes(&w),
							  .first = first_ever});
		store_count(&s->stats.merges, 1);
	}
	journal_writer_fini(&w);
	return r;
}

int store_journal_merge(struct store *s, uint64_t bytes_max)
{
	struct merge_run run;

	if (s->is_failed)
		return -EIO;
	if (store_journal_bytes(s) <= bytes_max || !choose_run(s, &run))
		return STORE_OK;
	return merge_run(s, run);
}
