/* SPDX-License-Identifier: MIT */
/*
 * store_load.c - recovery: what a counter is worth after any crash.
 *
 * The journal first, whole; then what counters have beside their values (store_extra.c), and the counters,
 * from tables and journal side by side (store_join.c), on several threads when there are many
 * (store_loaders.c); then sessions and tokens. Changes nothing.
 */
#include "store_private.h"

#include <errno.h>
#include <string.h>

struct load {
	struct store *s;
	struct journal_set set;
	uint64_t floor_id;
	const struct store_sink *sink;
	uint64_t sessions, tokens; /* told */
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

static int get_uplink_meta(struct store *s)
{
	uint64_t is_restored = 0, is_copy = 0;
	int r = get_meta(s, "uplink_incarnation", &s->uplink.incarnation);

	if (r == 0)
		r = get_meta(s, "uplink_restored", &is_restored);
	if (r == 0 && is_restored > 1)
		return store_damaged(s, "meta has no sensible uplink_restored");
	if (r == 0)
		r = get_meta(s, "uplink_copy", &is_copy);
	if (r == 0 && is_copy > 1)
		return store_damaged(s, "meta has no sensible uplink_copy");
	s->uplink.is_restored = is_restored;
	s->uplink.is_copy = is_copy;
	return r;
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
	if (r == 0 && s->schema_version >= 3)
		r = get_meta(s, "log_id", &s->audit.last);
	if (r == 0 && s->schema_version >= 4)
		r = get_uplink_meta(s);
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

/* Deleted ones count too. */
static uint64_t id_above(const struct load *load, uint64_t name_id_max)
{
	uint64_t id = load->s->id_next;

	if (load->set.id_max >= id)
		id = load->set.id_max + 1;
	if (load->floor_id > id)
		id = load->floor_id;
	return name_id_max >= id ? name_id_max + 1 : id;
}

static int load_counters(struct load *load, struct store_look *look, unsigned loaders,
			 struct store_state *state)
{
	struct store *s = load->s;
	struct store_loaded loaded = {0};
	int r = store_load_counters(s, &load->set, load->floor_id, loaders, load->sink, &look->is_stopped,
				    &loaded);

	s->id_next = id_above(load, loaded.id_max);
	state->counters = loaded.counters;
	return r;
}

/* In the transaction. */
static int load_all(struct load *load, struct store_state *state)
{
	struct store *s = load->s;
	struct store_look look = {0};
	unsigned loaders;
	int r = store_load_meta(s);

	if (r == 0)
		r = store_loader_count(s, load->sink, &loaders);
	/* Who only reads has looked by himself, to hear of all. */
	if (r == 0 && !(s->flags & STORE_READONLY))
		r = store_look_begin(&look, s, loaders > 1);
	if (r == 0)
		r = load_journal(load, state);
	if (r == 0)
		r = store_load_extras(s, &load->set, load->floor_id, load->sink, &look.is_stopped);
	if (r == 0)
		r = load_counters(load, &look, loaders, state);
	if (r == 0 && load->sink->session)
		r = tell_sessions(load);
	if (r == 0 && load->sink->token)
		r = tell_tokens(load);
	return store_look_end(&look, r);
}

int store_load_rows(struct store *s, const struct store_sink *sink, struct store_state *state)
{
	struct load load = {.s = s, .sink = sink};
	bool is_ours = !(s->flags & STORE_READONLY); /* else it has begun when it was opened */
	/* The write lock, though nothing is written: so that all connections see the same. */
	int r = is_ours ? store_begin(s, "loading") : 0;

	if (r != 0)
		return r;
	journal_set_init(&load.set);
	r = load_all(&load, state);
	if (is_ours)
		r = store_end(s, r, "loading");
	if (r == 0) {
		s->floor_id = load.floor_id;
		state->epoch_first = s->epoch_limit + 1;
		state->id_next = s->id_next;
		state->floor_id = s->floor_id;
		state->sessions = load.sessions;
		state->tokens = load.tokens;
	}
	journal_set_fini(&load.set);
	store_release_memory(s);
	return r;
}
