/* SPDX-License-Identifier: MIT */
/*
 * store_load.c - recovery: what a counter is worth after any crash.
 *
 * Four streams ordered by id run side by side: rows of `name`, names in the journal, rows of `value`, deltas
 * of the journal. So memory is the (packed) journal, however large the tables are, and each table is read
 * once, from beginning to end.
 *
 *	value = value of the row (0 without one) + deltas of epochs above its as_of
 *
 * without the ids that the journal deletes or that lie below the floor. What has no name is nobody's: a delta
 * that came behind its counter's delete, or half of a delete that was being folded.
 */
#include "store_private.h"

#include <errno.h>
#include <string.h>

struct load {
	struct store *s;
	struct journal_set set;
	size_t name_next;	    /* of the set */
	bool has_name, has_value;   /* there is a current row */
	uint64_t name_id, value_id; /* of the current rows */
	uint64_t value, as_of;
	uint64_t floor_id;
	const struct store_sink *sink;
	uint64_t counters, sessions, tokens; /* told */
};

/* ---- meta ---- */

static int get_meta(struct store *s, const char *key, uint64_t *out)
{
	sqlite3_stmt *stmt = s->sql[SQL_META_GET];
	int64_t v = -1;
	int rc;

	sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		v = sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return store_fail(s, rc, "reading meta");
	if (v < 0)
		return store_damaged(s, "meta has no sensible %s", key);
	*out = (uint64_t)v;
	return 0;
}

int store_load_meta(struct store *s)
{
	int r = get_meta(s, "epoch_limit", &s->epoch_limit);

	if (r == 0)
		r = get_meta(s, "id_next", &s->id_next);
	if (r == 0)
		r = get_meta(s, "floor_id", &s->floor_id);
	if (r == 0)
		r = get_meta(s, "fold_epoch", &s->fold_epoch);
	return r;
}

/* ---- pages ---- */

static int refuse(void *arg, const char *fault)
{
	const char *last_line = strrchr(fault, '\n');

	return store_damaged(arg, "a page is not what was written: %s", last_line ? last_line + 1 : fault);
}

int store_look_at_pages(struct store *s)
{
	return store_each_fault(s, refuse, s);
}

/* ---- journal ---- */

/* Notes the epoch in the list of what the journal table holds. */
static int note_epoch(struct store *s, uint64_t epoch, size_t len)
{
	uint64_t before = s->epoch_count ? s->epochs[s->epoch_count - 1].bytes : 0;
	int r;

	if (s->epoch_count && s->epochs[s->epoch_count - 1].epoch == epoch) {
		store_epochs_replace(s, s->epoch_count - 1, 1,
				     (struct store_epoch){.epoch = epoch, .bytes = before + len});
		return 0;
	}
	r = store_epochs_reserve(s);
	if (r != 0)
		return -s->cause;
	store_epochs_replace(s, s->epoch_count, 0, (struct store_epoch){.epoch = epoch, .bytes = len});
	return 0;
}

struct load_journal {
	struct load *load;
	struct store_state *state;
};

static int load_body(void *arg, uint64_t epoch, uint64_t part, const void *body, size_t len)
{
	struct load_journal *journal = arg;
	struct store *s = journal->load->s;
	int r = journal_set_add(&journal->load->set, epoch, body, len);

	if (r == -EUCLEAN || epoch > s->epoch_limit)
		return store_damaged(s,
				     "journal row epoch %llu part %llu (%zu bytes) is not what was written",
				     (unsigned long long)epoch, (unsigned long long)part, len);
	if (r < 0)
		return r;
	journal->state->journal_rows++;
	journal->state->journal_bytes += len;
	return note_epoch(s, epoch, len);
}

static int sort_journal(struct load *load)
{
	int r = store_sort_set(load->s, &load->set);

	load->floor_id = load->set.floor_id > load->s->floor_id ? load->set.floor_id : load->s->floor_id;
	return r;
}

static int load_journal(struct load *load, struct store_state *state)
{
	struct load_journal journal = {.load = load, .state = state};
	struct store *s = load->s;
	int r = store_read_journal(s, 0, JOURNAL_ID_MAX, load_body, &journal);

	if (r == 0)
		return sort_journal(load);
	return r == -ENOMEM ? store_fail(s, SQLITE_NOMEM, "reading the journal") : r;
}

/* ---- tables ---- */

/* The next row and its id; *has is false behind the last. */
static int step_table(struct load *load, enum store_sql which, bool *has, uint64_t *id)
{
	sqlite3_stmt *stmt = load->s->sql[which];
	int rc = sqlite3_step(stmt);

	*has = rc == SQLITE_ROW;
	if (rc == SQLITE_DONE)
		return 0;
	if (rc != SQLITE_ROW)
		return store_fail(load->s, rc, "reading the counters");
	*id = (uint64_t)sqlite3_column_int64(stmt, 0);
	if (*id > JOURNAL_ID_MAX)
		return store_damaged(load->s, "a row has the id %lld", (long long)*id);
	return 0;
}

static int step_name(struct load *load)
{
	return step_table(load, SQL_NAME_ALL, &load->has_name, &load->name_id);
}

static int step_value(struct load *load)
{
	sqlite3_stmt *stmt = load->s->sql[SQL_VALUE_ALL];
	int r = step_table(load, SQL_VALUE_ALL, &load->has_value, &load->value_id);

	if (r != 0 || !load->has_value)
		return r;
	load->value = (uint64_t)sqlite3_column_int64(stmt, 1);
	load->as_of = (uint64_t)sqlite3_column_int64(stmt, 2);
	if (load->as_of > load->s->fold_epoch)
		return store_damaged(load->s, "the value of id %llu is of epoch %llu, which was never folded",
				     (unsigned long long)load->value_id, (unsigned long long)load->as_of);
	return 0;
}

/* ---- joining ---- */

static int orphaned(struct load *load)
{
	return store_damaged(load->s, "the value of id %llu has no name", (unsigned long long)load->value_id);
}

/* What the row of id says, where there is one. Rows leave together with their name or before it. */
static int take_value(struct load *load, uint64_t id, uint64_t *value, uint64_t *as_of)
{
	*value = *as_of = 0;
	if (load->has_value && load->value_id < id)
		return orphaned(load);
	if (!load->has_value || load->value_id > id)
		return 0;
	*value = load->value;
	*as_of = load->as_of;
	return step_value(load);
}

static int tell(struct load *load, uint64_t id, struct slice name)
{
	struct journal_sum sum;
	uint64_t value, as_of;
	int r;

	if (!slice_is_name(name))
		return store_damaged(load->s, "id %llu has a name that is none", (unsigned long long)id);
	r = take_value(load, id, &value, &as_of);
	if (r != 0)
		return r;
	if (id < load->floor_id || journal_set_is_dead(&load->set, id))
		return 0;
	if (journal_set_take(&load->set, id, as_of, &sum) < 0)
		return store_damaged(load->s, "a journal row has records that make no sense");
	load->counters++;
	r = load->sink->counter(load->sink->arg, id, name, (int64_t)(value + sum.delta));
	if (r == -EEXIST)
		return store_damaged(load->s, "id %llu has the name of another counter",
				     (unsigned long long)id);
	if (r < 0)
		store_say(load->s, -r, "loading was stopped: %s", strerror(-r));
	return r;
}

/* The row's name is the one in the journal when both are there: a pass that was interrupted, or two counters
 * with one id. */
static int tell_row(struct load *load, const struct journal_set_name *also)
{
	sqlite3_stmt *stmt = load->s->sql[SQL_NAME_ALL];
	struct slice name = {.data = sqlite3_column_blob(stmt, 1),
			     .len = (size_t)sqlite3_column_bytes(stmt, 1)};
	int r;

	if (also && !slice_equal(name, also->name))
		return store_damaged(load->s, "id %llu has two names", (unsigned long long)load->name_id);
	r = tell(load, load->name_id, name);
	return r == 0 ? step_name(load) : r;
}

static int tell_all(struct load *load)
{
	const struct journal_set *set = &load->set;
	int r = step_name(load);

	if (r == 0)
		r = step_value(load);
	while (r == 0 && (load->has_name || load->name_next < set->name_count)) {
		const struct journal_set_name *fresh =
			load->name_next < set->name_count ? &set->names[load->name_next] : NULL;

		if (fresh && load->has_name && fresh->id > load->name_id)
			fresh = NULL;
		if (fresh)
			load->name_next++;
		if (load->has_name && (!fresh || fresh->id == load->name_id))
			r = tell_row(load, fresh);
		else
			r = tell(load, fresh->id, fresh->name);
	}
	return r == 0 && load->has_value ? orphaned(load) : r;
}

/* ---- sessions and tokens ---- the journal's record, where there is one, in place of the row */

typedef int mark_fn(struct load *load, const struct journal_set_mark *mark);

static int tell_session(struct load *load, const struct journal_set_mark *mark)
{
	if (!slice_is_name(mark->name) || mark->detail.len > JOURNAL_CURSOR_MAX ||
	    mark->number > JOURNAL_ID_MAX)
		return store_damaged(load->s, "a session makes no sense");
	load->sessions++;
	return load->sink->session(load->sink->arg, mark->name, mark->number, mark->detail, mark->time_ms);
}

static int tell_token(struct load *load, const struct journal_set_mark *mark)
{
	if (!slice_is_name(mark->name) || !slice_is_name(mark->detail))
		return store_damaged(load->s, "a token makes no sense");
	load->tokens++;
	return load->sink->token(load->sink->arg, mark->name, mark->detail, (int64_t)mark->number,
				 mark->time_ms);
}

static bool is_in_journal(const struct load *load, enum store_sql which, const struct journal_set_mark *mark)
{
	return which == SQL_SESSION_ALL ? journal_set_has_session(&load->set, mark->name)
					: journal_set_has_token(&load->set, mark->name, mark->detail);
}

/* Columns: a session is id, seq, cursor; a token name, token, delta; then used_at. */
static int tell_mark_rows(struct load *load, enum store_sql which, int number_column, int detail_column,
			  mark_fn *fn)
{
	struct store *s = load->s;
	int rc, r = 0;

	if (!s->sql[which])
		return 0;
	while (r == 0 && (rc = sqlite3_step(s->sql[which])) == SQLITE_ROW) {
		struct journal_set_mark mark = {
			.name = store_column_bytes(s, which, 0),
			.number = (uint64_t)sqlite3_column_int64(s->sql[which], number_column),
			.detail = store_column_bytes(s, which, detail_column),
			.time_ms = sqlite3_column_int64(s->sql[which], 3),
		};

		if (!is_in_journal(load, which, &mark))
			r = fn(load, &mark);
	}
	sqlite3_reset(s->sql[which]);
	if (r != 0)
		return r;
	return rc == SQLITE_DONE ? 0 : store_fail(s, rc, "reading sessions and tokens");
}

static int tell_marks(struct load *load, const struct journal_marks *marks, mark_fn *fn)
{
	int r = 0;

	for (size_t i = 0; i < marks->count && r == 0; i++)
		r = fn(load, &marks->items[i]);
	if (r < 0 && r != -EUCLEAN)
		store_say(load->s, -r, "loading was stopped: %s", strerror(-r));
	return r;
}

static int tell_sessions(struct load *load)
{
	int r = tell_mark_rows(load, SQL_SESSION_ALL, 1, 2, tell_session);

	return r == 0 ? tell_marks(load, &load->set.sessions, tell_session) : r;
}

static int tell_tokens(struct load *load)
{
	int r = tell_mark_rows(load, SQL_TOKEN_ALL, 2, 1, tell_token);

	return r == 0 ? tell_marks(load, &load->set.tokens, tell_token) : r;
}

/* Names are sorted, so the last row has the largest id; deleted ones count too. */
static uint64_t id_above(const struct load *load, uint64_t name_id_max)
{
	uint64_t id = load->s->id_next;

	if (load->set.id_max >= id)
		id = load->set.id_max + 1;
	if (load->floor_id > id)
		id = load->floor_id;
	return name_id_max >= id ? name_id_max + 1 : id;
}

int store_load_rows(struct store *s, const struct store_sink *sink, struct store_state *state)
{
	struct load load = {.s = s, .sink = sink};
	int r = store_run(s, SQL_BEGIN_READ, "loading");

	if (r != 0)
		return r;
	journal_set_init(&load.set);
	r = load_journal(&load, state);
	if (r == 0)
		r = tell_all(&load);
	if (r == 0 && sink->session)
		r = tell_sessions(&load);
	if (r == 0 && sink->token)
		r = tell_tokens(&load);
	sqlite3_reset(s->sql[SQL_NAME_ALL]);
	sqlite3_reset(s->sql[SQL_VALUE_ALL]);
	r = store_end(s, r, "loading");
	if (r == 0) {
		s->id_next = id_above(&load, load.name_id);
		s->floor_id = load.floor_id;
		state->id_next = s->id_next;
		state->floor_id = s->floor_id;
		state->counters = load.counters;
		state->sessions = load.sessions;
		state->tokens = load.tokens;
	}
	journal_set_fini(&load.set);
	return r;
}
