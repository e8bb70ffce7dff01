/* SPDX-License-Identifier: MIT */
#include "journal_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void journal_set_init(struct journal_set *set)
{
	*set = (struct journal_set){0};
}

void journal_set_fini(struct journal_set *set)
{
	journal_stream_fini(&set->deltas);
	if (!set->is_shared) {
		for (size_t i = 0; i < set->body_count; i++)
			free(set->bodies[i]);
		free(set->bodies);
		free(set->names);
		free(set->deletes);
		free(set->sessions.items);
		free(set->tokens.items);
		journal_stream_fini(&set->states);
		journal_stream_fini(&set->hits);
		free(set->taken);
	}
	*set = (struct journal_set){0};
}

/* Room for one more element of `size`; the array or null. */
static void *grow(void *array, size_t count, size_t *cap, size_t size)
{
	size_t cap_new = *cap ? 2 * *cap : 16;
	void *moved;

	if (count < *cap)
		return array;
	moved = reallocarray(array, cap_new, size);
	if (moved)
		*cap = cap_new;
	return moved;
}

/* ---- adding ---- */

static int keep_name(struct journal_set *set, const struct journal_record *record, int64_t time_ms)
{
	void *names = grow(set->names, set->name_count, &set->name_cap, sizeof(*set->names));

	if (!names)
		return -ENOMEM;
	set->names = names;
	set->names[set->name_count++] =
		(struct journal_set_name){.id = record->id, .name = record->name, .time_ms = time_ms};
	return 0;
}

static int keep_delete(struct journal_set *set, uint64_t id)
{
	void *deletes = grow(set->deletes, set->delete_count, &set->delete_cap, sizeof(*set->deletes));

	if (!deletes)
		return -ENOMEM;
	set->deletes = deletes;
	set->deletes[set->delete_count++] = id;
	return 0;
}

static int keep_mark(struct journal_marks *marks, uint64_t epoch, const struct journal_record *record,
		     int64_t time_ms)
{
	void *items = grow(marks->items, marks->count, &marks->cap, sizeof(*marks->items));

	if (!items)
		return -ENOMEM;
	marks->items = items;
	marks->items[marks->count++] = (struct journal_set_mark){
		.name = record->name,
		.detail = record->detail,
		.number = record->type == JOURNAL_SESSION ? record->id : record->delta,
		.epoch = epoch,
		.time_ms = time_ms,
	};
	return 0;
}

static int keep_record(struct journal_set *set, uint64_t epoch, const struct journal_record *record,
		       int64_t time_ms)
{
	switch (record->type) {
	case JOURNAL_FLOOR:
		if (record->id > set->floor_id)
			set->floor_id = record->id;
		return 0;
	case JOURNAL_SESSION: return keep_mark(&set->sessions, epoch, record, time_ms);
	case JOURNAL_TOKEN: return keep_mark(&set->tokens, epoch, record, time_ms);
	default: break;
	}
	if (record->id > set->id_max)
		set->id_max = record->id;
	return record->type == JOURNAL_NAME ? keep_name(set, record, time_ms) : keep_delete(set, record->id);
}

static int add_section(struct journal_set *set, uint64_t epoch, struct journal_reader *section)
{
	struct journal_record record;
	int result, r;

	switch (journal_section_type(section)) {
	case JOURNAL_DELTA: return journal_stream_add(&set->deltas, epoch, section);
	case JOURNAL_STATE: return journal_stream_add(&set->states, epoch, section);
	case JOURNAL_HIT: return journal_stream_add(&set->hits, epoch, section);
	default: break;
	}
	while ((result = journal_next(section, &record)) == JOURNAL_OK) {
		r = keep_record(set, epoch, &record, section->time_ms);
		if (r < 0)
			return r;
	}
	return result == JOURNAL_END ? 0 : -EUCLEAN;
}

static char *keep_body(struct journal_set *set, const void *body, size_t len)
{
	void *bodies = grow(set->bodies, set->body_count, &set->body_cap, sizeof(*set->bodies));
	char *copy;

	if (!bodies)
		return NULL;
	set->bodies = bodies;
	copy = malloc(len ? len : 1);
	if (!copy)
		return NULL;
	if (len)
		memcpy(copy, body, len);
	set->bodies[set->body_count++] = copy;
	return copy;
}

int journal_set_add(struct journal_set *set, uint64_t epoch, const void *body, size_t len)
{
	struct journal_reader reader, section;
	const char *copy = keep_body(set, body, len);
	int result, r;

	if (!copy)
		return -ENOMEM;
	if (journal_reader_init(&reader, copy, len) != JOURNAL_OK)
		return -EUCLEAN;
	if (set->body_count == 1 || reader.time_ms > set->time_max_ms)
		set->time_max_ms = reader.time_ms;
	while ((result = journal_next_section(&reader, &section)) == JOURNAL_OK) {
		r = add_section(set, epoch, &section);
		if (r < 0)
			return r;
	}
	return result == JOURNAL_END ? 0 : -EUCLEAN;
}

/* ---- sorting ---- */

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int compare_names(const void *a, const void *b)
{
	const struct journal_set_name *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* Ids are given out in order, so names are mostly sorted already: look before sorting. */
static int sort_names(struct journal_set *set)
{
	bool is_sorted = true;

	for (size_t i = 1; i < set->name_count && is_sorted; i++)
		is_sorted = set->names[i - 1].id < set->names[i].id;
	if (is_sorted)
		return 0;
	qsort(set->names, set->name_count, sizeof(*set->names), compare_names);
	for (size_t i = 1; i < set->name_count; i++) {
		if (set->names[i - 1].id == set->names[i].id)
			return -EUCLEAN;
	}
	return 0;
}

static void sort_deletes(struct journal_set *set)
{
	size_t kept = 0;

	if (set->delete_count == 0)
		return;
	qsort(set->deletes, set->delete_count, sizeof(*set->deletes), compare_ids);
	for (size_t i = 0; i < set->delete_count; i++) {
		if (kept == 0 || set->deletes[kept - 1] != set->deletes[i])
			set->deletes[kept++] = set->deletes[i];
	}
	set->delete_count = kept;
}

/* ---- sessions and tokens ---- */

static int compare_slices(struct slice a, struct slice b)
{
	int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_sessions(const void *a, const void *b)
{
	return compare_slices(((const struct journal_set_mark *)a)->name,
			      ((const struct journal_set_mark *)b)->name);
}

static int compare_tokens(const void *a, const void *b)
{
	const struct journal_set_mark *x = a, *y = b;
	int order = compare_slices(x->name, y->name);

	return order ? order : compare_slices(x->detail, y->detail);
}

typedef int compare_fn(const void *a, const void *b);

/* The newest of each key stays. Of one session one epoch may have several, from several workers: the largest
 * sequence is the last. */
static void sort_marks(struct journal_marks *marks, compare_fn *compare)
{
	size_t kept = 0;

	if (marks->count == 0)
		return;
	qsort(marks->items, marks->count, sizeof(*marks->items), compare);
	for (size_t i = 0; i < marks->count; i++) {
		const struct journal_set_mark *mark = &marks->items[i];
		struct journal_set_mark *last = kept ? &marks->items[kept - 1] : NULL;

		if (!last || compare(last, mark) != 0)
			marks->items[kept++] = *mark;
		else if (mark->epoch > last->epoch ||
			 (mark->epoch == last->epoch && mark->number > last->number))
			*last = *mark;
	}
	marks->count = kept;
}

static bool has_mark(const struct journal_marks *marks, const struct journal_set_mark *key,
		     compare_fn *compare)
{
	return marks->count > 0 && bsearch(key, marks->items, marks->count, sizeof(*marks->items), compare);
}

bool journal_set_has_session(const struct journal_set *set, struct slice id)
{
	return has_mark(&set->sessions, &(struct journal_set_mark){.name = id}, compare_sessions);
}

bool journal_set_has_token(const struct journal_set *set, struct slice name, struct slice token)
{
	return has_mark(&set->tokens, &(struct journal_set_mark){.name = name, .detail = token},
			compare_tokens);
}

int journal_set_sort(struct journal_set *set)
{
	int r = sort_names(set);

	if (r < 0)
		return r;
	sort_deletes(set);
	sort_marks(&set->sessions, compare_sessions);
	sort_marks(&set->tokens, compare_tokens);
	r = journal_stream_begin(&set->deltas);
	if (r == 0)
		r = journal_stream_begin(&set->states);
	return r == 0 ? journal_stream_begin(&set->hits) : r;
}

/* ---- running through ---- */

int journal_set_share(struct journal_set *set, const struct journal_set *of)
{
	*set = *of;
	set->is_shared = true;
	set->states = set->hits = (struct journal_stream){0};
	set->taken = NULL;
	return journal_stream_share(&set->deltas, &of->deltas);
}

size_t journal_set_names_below(const struct journal_set *set, uint64_t id)
{
	size_t low = 0, high = set->name_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->names[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool journal_set_peek(const struct journal_set *set, uint64_t *id)
{
	return journal_stream_peek(&set->deltas, id);
}

int journal_set_take(struct journal_set *set, uint64_t id, uint64_t epoch_above, struct journal_sum *out)
{
	struct journal_sum sum = {0};
	uint64_t at;

	while (journal_stream_peek(&set->deltas, &at) && at <= id) {
		const struct journal_cursor *top = journal_stream_top(&set->deltas);
		int r;

		if (at == id && top->epoch > epoch_above) {
			if (sum.count == 0 || top->section.time_ms > sum.time_ms)
				sum.time_ms = top->section.time_ms;
			sum.delta += top->delta;
			sum.count++;
		}
		r = journal_stream_step(&set->deltas);
		if (r < 0)
			return r;
	}
	*out = sum;
	return 0;
}

bool journal_set_peek_state(const struct journal_set *set, uint64_t *id)
{
	return journal_stream_peek(&set->states, id);
}

int journal_set_take_state(struct journal_set *set, uint64_t id, struct journal_state *out)
{
	struct journal_state newest = {0};
	uint64_t at;

	while (journal_stream_peek(&set->states, &at) && at <= id) {
		const struct journal_state *state = &journal_stream_top(&set->states)->state;
		int r;

		if (at == id && (newest.id == 0 || state->version > newest.version))
			newest = *state;
		r = journal_stream_step(&set->states);
		if (r < 0)
			return r;
	}
	*out = newest;
	return 0;
}

bool journal_set_peek_hits(const struct journal_set *set, uint64_t *id)
{
	return journal_stream_peek(&set->hits, id);
}

static int compare_seconds(const void *a, const void *b)
{
	int64_t x = ((const struct journal_hit *)a)->second, y = ((const struct journal_hit *)b)->second;

	return (x > y) - (x < y);
}

/* Sums those of one second; how many are left. */
static size_t sum_hits(struct journal_hit *hits, size_t count)
{
	size_t kept = 0;

	if (count > 1)
		qsort(hits, count, sizeof(*hits), compare_seconds);
	for (size_t i = 0; i < count; i++) {
		if (kept && hits[kept - 1].second == hits[i].second)
			hits[kept - 1].count += hits[i].count;
		else
			hits[kept++] = hits[i];
	}
	return kept;
}

int journal_set_take_hits(struct journal_set *set, uint64_t id, uint64_t epoch_above,
			  struct journal_hits *out)
{
	size_t count = 0;
	uint64_t at;

	while (journal_stream_peek(&set->hits, &at) && at <= id) {
		const struct journal_cursor *top = journal_stream_top(&set->hits);
		int r;

		if (at == id && top->epoch > epoch_above) {
			void *taken = grow(set->taken, count, &set->taken_cap, sizeof(*set->taken));

			if (!taken)
				return -ENOMEM;
			set->taken = taken;
			set->taken[count++] = top->hit;
		}
		r = journal_stream_step(&set->hits);
		if (r < 0)
			return r;
	}
	*out = (struct journal_hits){.items = set->taken, .count = sum_hits(set->taken, count)};
	return 0;
}

bool journal_set_is_dead(const struct journal_set *set, uint64_t id)
{
	return id < set->floor_id || (set->delete_count > 0 && bsearch(&id, set->deletes, set->delete_count,
								       sizeof(*set->deletes), compare_ids));
}
