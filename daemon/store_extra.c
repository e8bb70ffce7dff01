/* SPDX-License-Identifier: MIT */
/*
 * store_extra.c - what counters have beside their values, as it goes into the file and comes out of it again.
 *
 * States: of one id the largest version counts, so a row is written over by a newer one and by nothing else,
 * however often a pass is done again. Windows: a row has all hits of epochs up to its as_of, as a value has
 * its deltas, and its guard is the same: what a pass adds, it adds in one go and raises as_of with it.
 * Nothing is written for an id without a name: that counter is deleted, and its rows went with the name.
 *
 * Loading runs through each table and the journal side by side, by id.
 */
#include "store_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "window.h"

enum {
	HITS_MAX = 1 << 16,  /* of a batch, about: some windows may have many */
	BYTES_A_ROW = 512,   /* a window of so many bytes is as much work as a row of numbers */
	IDS_PER_LOOK = 1024, /* how often it is looked whether to stop */
};

static const char *const no_sense = "a journal row has records that make no sense";

/* ---- a batch ---- */

void store_extra_fini(struct store_extra *x)
{
	free(x->states);
	free(x->windows);
	free(x->hits);
	buf_fini(&x->packed);
	*x = (struct store_extra){0};
}

/* Room for `count` things of `size`. 0 or STORE_RETRY. */
static int reserve(struct store *s, void **array, size_t *cap, size_t count, size_t size)
{
	size_t cap_new = *cap ? *cap : 64;
	void *moved;

	if (count <= *cap)
		return 0;
	while (cap_new < count)
		cap_new *= 2;
	moved = reallocarray(*array, cap_new, size);
	if (!moved)
		return store_fail(s, SQLITE_NOMEM, "folding");
	*array = moved;
	*cap = cap_new;
	return 0;
}

int store_extra_fill_states(struct store *s, struct store_extra *x, struct journal_set *set, size_t count_max)
{
	uint64_t id;
	int r = reserve(s, (void **)&x->states, &x->state_cap, count_max, sizeof(*x->states));

	x->count = 0;
	while (r == 0 && x->count < count_max && journal_set_peek_state(set, &id)) {
		if (journal_set_take_state(set, id, &x->states[x->count]) < 0)
			return store_damaged(s, "%s", no_sense);
		if (!journal_set_is_dead(set, id))
			x->count++;
	}
	return r;
}

static int add_window(struct store *s, struct store_extra *x, uint64_t id, const struct journal_hits *hits)
{
	int r = reserve(s, (void **)&x->hits, &x->hit_cap, x->hit_count + hits->count, sizeof(*x->hits));

	if (r != 0)
		return r;
	memcpy(x->hits + x->hit_count, hits->items, hits->count * sizeof(*x->hits));
	x->windows[x->count++] = (struct store_window){.id = id, .first = x->hit_count, .count = hits->count};
	x->hit_count += hits->count;
	return 0;
}

int store_extra_fill_windows(struct store *s, struct store_extra *x, struct journal_set *set,
			     size_t count_max)
{
	struct journal_hits hits;
	uint64_t id;
	int r = reserve(s, (void **)&x->windows, &x->window_cap, count_max, sizeof(*x->windows));

	x->count = x->hit_count = 0;
	while (r == 0 && x->count < count_max && x->hit_count < HITS_MAX && journal_set_peek_hits(set, &id)) {
		r = journal_set_take_hits(set, id, 0, &hits);
		if (r == -EUCLEAN)
			return store_damaged(s, "%s", no_sense);
		if (r < 0)
			return store_fail(s, SQLITE_NOMEM, "folding");
		if (!journal_set_is_dead(set, id))
			r = add_window(s, x, id, &hits);
	}
	return r;
}

/* ---- writing ---- */

int store_extra_write_state(struct store *s, struct store_extra *x, size_t i, size_t *cost)
{
	const struct journal_state *state = &x->states[i];

	*cost = 1;
	store_bind(s, SQL_STATE_PUT, 1, state->id);
	store_bind(s, SQL_STATE_PUT, 2, state->version);
	store_bind(s, SQL_STATE_PUT, 3, (uint64_t)state->expire_at_ms);
	store_bind(s, SQL_STATE_PUT, 4, (uint64_t)state->tat_ns);
	return store_run(s, SQL_STATE_PUT, "folding states");
}

/* The window in `body`, or a new one when there is none. 0, STORE_RETRY, -EUCLEAN. */
static int open_window(struct store *s, uint64_t id, struct slice body, struct window **out)
{
	int error = -ENOMEM;

	*out = body.data ? window_unpack(body.data, body.len, &error) : window_new();
	if (*out)
		return 0;
	if (error == -EUCLEAN)
		return store_damaged(s, "the window of id %llu (%zu bytes) is not what was written",
				     (unsigned long long)id, body.len);
	return store_fail(s, SQLITE_NOMEM, "reading a window");
}

/* What the row has; a new one without a row. */
static int read_window(struct store *s, uint64_t id, struct window **w, uint64_t *as_of)
{
	sqlite3_stmt *stmt = s->sql[SQL_WINDOW_GET];
	struct slice body = {0};
	int rc, r;

	*as_of = 0;
	store_bind(s, SQL_WINDOW_GET, 1, id);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		*as_of = (uint64_t)sqlite3_column_int64(stmt, 0);
		body = store_column_bytes(s, SQL_WINDOW_GET, 1);
	}
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		r = store_fail(s, rc, "reading a window");
	else if (rc == SQLITE_ROW && !body.data) /* an empty blob is no window either */
		r = store_damaged(s, "the window of id %llu is empty", (unsigned long long)id);
	else
		r = open_window(s, id, body, w);
	sqlite3_reset(stmt);
	return r;
}

/* 0, STORE_RETRY: no memory. */
static int add_hits(struct store *s, struct window *w, const struct journal_hit *hits, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (window_prepare(w, hits[i].second))
			return store_fail(s, SQLITE_NOMEM, "adding to a window");
		window_add(w, hits[i].second, hits[i].count);
	}
	return 0;
}

static int put_window(struct store *s, struct store_extra *x, uint64_t id, const struct window *w,
		      uint64_t as_of)
{
	int r;

	buf_consume(&x->packed, buf_len(&x->packed));
	window_pack(w, &x->packed);
	if (x->packed.failed) {
		x->packed.failed = false;
		return store_fail(s, SQLITE_NOMEM, "packing a window");
	}
	store_bind(s, SQL_WINDOW_PUT, 1, id);
	store_bind(s, SQL_WINDOW_PUT, 2, as_of);
	store_bind_bytes(s, SQL_WINDOW_PUT, 3,
			 (struct slice){.data = buf_head(&x->packed), .len = buf_len(&x->packed)});
	r = store_run(s, SQL_WINDOW_PUT, "folding windows");
	sqlite3_clear_bindings(s->sql[SQL_WINDOW_PUT]);
	return r;
}

int store_extra_write_window(struct store *s, struct store_extra *x, size_t i, size_t *cost)
{
	const struct store_window *window = &x->windows[i];
	uint64_t as_of, epoch = store_fold_epoch(s);
	struct window *w;
	int r = read_window(s, window->id, &w, &as_of);

	*cost = 1;
	if (r != 0)
		return r;
	if (as_of < epoch) {
		r = add_hits(s, w, x->hits + window->first, window->count);
		if (r == 0)
			r = put_window(s, x, window->id, w, epoch);
		*cost += buf_len(&x->packed) / BYTES_A_ROW;
	}
	window_free(w);
	return r;
}

/* ---- loading ---- */

struct load {
	struct store *s;
	struct journal_set *set;
	uint64_t floor_id;
	const struct store_sink *sink;
	const _Atomic bool *is_stopped;
	uint64_t id; /* of the current row */
	unsigned ids_told;
};

/* What the sink said. */
static int tell(struct load *load, int r)
{
	if (r < 0)
		store_say(load->s, -r, "loading was stopped: %s", strerror(-r));
	/* Of a damaged file SQLite may find no end. */
	if (r == 0 && ++load->ids_told % IDS_PER_LOOK == 0 &&
	    atomic_load_explicit(load->is_stopped, memory_order_relaxed))
		return -ECANCELED;
	return r;
}

static bool is_dead(const struct load *load, uint64_t id)
{
	return id < load->floor_id || journal_set_is_dead(load->set, id);
}

/* The next row; *has is false at the end. */
static int step_row(struct load *load, enum store_sql which, bool *has)
{
	sqlite3_stmt *stmt = load->s->sql[which];
	uint64_t before = load->id;
	int rc;

	*has = false;
	if (!stmt)
		return 0; /* an old file has no such table */
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_DONE)
		return 0;
	if (rc != SQLITE_ROW)
		return store_fail(load->s, rc, "reading what counters have");
	load->id = (uint64_t)sqlite3_column_int64(stmt, 0);
	if (load->id > JOURNAL_ID_MAX || load->id <= before)
		return store_damaged(load->s, "a row of %s has the id %lld",
				     which == SQL_STATE_FROM ? "state" : "window", (long long)load->id);
	*has = true;
	return 0;
}

static int take_state(struct load *load, uint64_t id, struct journal_state *state)
{
	return journal_set_take_state(load->set, id, state) < 0 ? store_damaged(load->s, "%s", no_sense) : 0;
}

static int tell_state(struct load *load, const struct journal_state *state)
{
	return tell(load, is_dead(load, state->id) ? 0 : load->sink->state(load->sink->arg, state));
}

/* Those of the journal with ids below `end`. */
static int tell_states_below(struct load *load, uint64_t end)
{
	struct journal_state state;
	uint64_t id;
	int r = 0;

	while (r == 0 && journal_set_peek_state(load->set, &id) && id < end) {
		r = take_state(load, id, &state);
		if (r == 0)
			r = tell_state(load, &state);
	}
	return r;
}

static int tell_state_row(struct load *load)
{
	sqlite3_stmt *stmt = load->s->sql[SQL_STATE_FROM];
	struct journal_state state = {
		.id = load->id,
		.version = (uint64_t)sqlite3_column_int64(stmt, 1),
		.expire_at_ms = sqlite3_column_int64(stmt, 2),
		.tat_ns = sqlite3_column_int64(stmt, 3),
	};
	struct journal_state newer;
	int r;

	if (state.version > JOURNAL_ID_MAX)
		return store_damaged(load->s, "the state of id %llu has a version that makes no sense",
				     (unsigned long long)state.id);
	r = take_state(load, state.id, &newer);
	if (r == 0 && newer.id && newer.version > state.version)
		state = newer;
	return r == 0 ? tell_state(load, &state) : r;
}

/* A window of the row, or of the journal alone when `body` is none; with the hits of epochs above as_of. */
static int tell_window(struct load *load, uint64_t id, struct slice body, uint64_t as_of)
{
	struct journal_hits hits;
	struct window *w;
	int r = journal_set_take_hits(load->set, id, as_of, &hits);

	if (r < 0)
		return r == -EUCLEAN ? store_damaged(load->s, "%s", no_sense)
				     : store_fail(load->s, SQLITE_NOMEM, "reading the journal");
	r = open_window(load->s, id, body, &w);
	if (r != 0)
		return r;
	r = add_hits(load->s, w, hits.items, hits.count);
	if (r == 0 && !is_dead(load, id))
		return tell(load, load->sink->window(load->sink->arg, id, w)); /* it has taken it */
	window_free(w);
	return r;
}

static int tell_windows_below(struct load *load, uint64_t end)
{
	uint64_t id;
	int r = 0;

	while (r == 0 && journal_set_peek_hits(load->set, &id) && id < end)
		r = tell_window(load, id, (struct slice){0}, 0);
	return r;
}

static int tell_window_row(struct load *load)
{
	uint64_t as_of = (uint64_t)sqlite3_column_int64(load->s->sql[SQL_WINDOW_FROM], 1);
	struct slice body = store_column_bytes(load->s, SQL_WINDOW_FROM, 2);

	if (as_of > load->s->fold_epoch)
		return store_damaged(load->s,
				     "the window of id %llu is of epoch %llu, which was never folded",
				     (unsigned long long)load->id, (unsigned long long)as_of);
	if (!body.data)
		return store_damaged(load->s, "the window of id %llu is empty", (unsigned long long)load->id);
	return tell_window(load, load->id, body, as_of);
}

/* All there are, of one kind. */
static int tell_all(struct load *load, enum store_sql which, int (*below)(struct load *load, uint64_t end),
		    int (*row)(struct load *load))
{
	bool has;
	int r;

	load->id = 0;
	r = step_row(load, which, &has);
	while (r == 0 && has) {
		r = below(load, load->id);
		if (r == 0)
			r = row(load);
		if (r == 0)
			r = step_row(load, which, &has);
	}
	sqlite3_reset(load->s->sql[which]);
	return r == 0 ? below(load, JOURNAL_ID_MAX + 1) : r;
}

int store_load_extras(struct store *s, struct journal_set *set, uint64_t floor_id,
		      const struct store_sink *sink, const _Atomic bool *is_stopped)
{
	struct load load = {
		.s = s,
		.set = set,
		.floor_id = floor_id,
		.sink = sink,
		.is_stopped = is_stopped,
	};
	int r = 0;

	if (sink->state)
		r = tell_all(&load, SQL_STATE_FROM, tell_states_below, tell_state_row);
	if (r == 0 && sink->window)
		r = tell_all(&load, SQL_WINDOW_FROM, tell_windows_below, tell_window_row);
	return r;
}
