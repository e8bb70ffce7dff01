/* SPDX-License-Identifier: MIT */
/*
 * store.c - the state on disk as its owner uses it: epochs are committed, what has expired is forgotten.
 * store_private.h lists the other files; the tables are in store_schema.c.
 *
 * One connection does all writing and checkpoints: SQLite 3.7.0 to 3.51.2 can corrupt a database when two
 * connections write and checkpoint at once. A reader never blocks us in WAL mode; another writer may, for
 * which STORE_BUSY_TIMEOUT_MS waits.
 */
#include "store_private.h"

#include <assert.h>
#include <string.h>

enum { EPOCH_RESERVE = 1 << 20 /* epochs a start may use before epoch_limit must move */ };

/* ---- epochs ---- */

/* Inside a transaction. */
static int raise_limit(struct store *s, uint64_t epoch, uint64_t margin, uint64_t *limit)
{
	*limit = s->epoch_limit;
	if (epoch + margin <= s->epoch_limit)
		return 0;
	*limit = epoch + EPOCH_RESERVE;
	return store_meta_set(s, "epoch_limit", *limit);
}

struct content {
	const struct journal_writer *w;
	const struct audit_entry *entries;
	size_t entry_count;
};

static int write_epoch(struct store *s, uint64_t epoch, const struct content *content, uint64_t id_next,
		       uint64_t *limit)
{
	/* Half a reservation early: so the small transaction of store_reserve stays rare. */
	int r = raise_limit(s, epoch, EPOCH_RESERVE / 2, limit);

	if (r == 0 && id_next > s->id_next)
		r = store_meta_set(s, "id_next", id_next);
	if (r == 0)
		r = store_insert_parts(s, epoch, content->w);
	return r == 0 ? store_insert_audit(s, content->entries, content->entry_count) : r;
}

int store_commit(struct store *s, uint64_t epoch, const struct journal_writer *w,
		 const struct audit_entry *entries, size_t entry_count, uint64_t id_next)
{
	const struct content content = {.w = w, .entries = entries, .entry_count = entry_count};
	uint64_t limit;
	int r;

	assert(epoch > s->epoch_last && !(s->flags & STORE_READONLY));
	if (w->count == 0 && entry_count == 0)
		return store_reserve(s, epoch);
	r = store_epochs_reserve(s);
	if (r == 0)
		r = store_begin(s, "committing");
	if (r != 0)
		return r;
	r = store_end_durable(s, write_epoch(s, epoch, &content, id_next, &limit), "committing");
	if (r == 0)
		r = store_make_room(s);
	if (r != 0)
		return r;
	s->epoch_limit = limit;
	s->epoch_last = epoch;
	if (id_next > s->id_next)
		s->id_next = id_next;
	store_epochs_replace(s, s->epoch_count, 0,
			     (struct store_epoch){.epoch = epoch, .bytes = store_writer_bytes(w)});
	store_count_audit(s, entries, entry_count);
	store_count(&s->stats.commits, 1);
	return STORE_OK;
}

int store_reserve(struct store *s, uint64_t epoch)
{
	uint64_t limit;
	int r;

	if (epoch <= s->epoch_limit)
		return STORE_OK;
	r = store_begin(s, "reserving epochs");
	if (r != 0)
		return r;
	r = store_end(s, raise_limit(s, epoch, 0, &limit), "reserving epochs");
	if (r == 0)
		s->epoch_limit = limit;
	return r;
}

int store_load(struct store *s, const struct store_sink *sink, struct store_state *state)
{
	struct store_state found = {0};
	int r = store_load_rows(s, sink, &found);

	if (r == 0)
		r = store_load_audit(s);
	/* Only now: a damaged file is left as it is. */
	if (r == 0) {
		s->epoch_last = s->epoch_limit;
		s->uplink.put_epoch = store_last_epoch(s);
		r = store_reserve(s, found.epoch_first);
	}
	if (r == STORE_RETRY)
		return -s->cause;
	if (r == 0)
		*state = found;
	return r;
}

/* ---- forgetting ---- */

static int forget(struct store *s, enum store_sql which, int64_t before_ms, size_t rows_max,
		  size_t *forgotten)
{
	int r;

	store_bind(s, which, 1, (uint64_t)before_ms);
	store_bind(s, which, 2, rows_max);
	r = store_run(s, which, "deleting what has expired");
	if (r == 0 && (size_t)sqlite3_changes(s->db) > *forgotten)
		*forgotten = (size_t)sqlite3_changes(s->db);
	return r;
}

int store_forget(struct store *s, int64_t sessions_before_ms, int64_t tokens_before_ms, size_t rows_max)
{
	size_t forgotten = 0;
	int r = store_begin(s, "deleting what has expired");

	if (r != 0)
		return r;
	r = forget(s, SQL_SESSION_FORGET, sessions_before_ms, rows_max, &forgotten);
	if (r == 0)
		r = forget(s, SQL_TOKEN_FORGET, tokens_before_ms, rows_max, &forgotten);
	r = store_end(s, r, "deleting what has expired");
	return r == 0 && forgotten == rows_max ? STORE_AGAIN : r;
}

/* It changes nothing, so a failure leaves nothing in doubt; whoever writes next hears of it. */
size_t store_name_of(struct store *s, uint64_t id, char name[NAME_LEN_MAX])
{
	sqlite3_stmt *stmt = s->sql[SQL_NAME_FROM];
	struct slice found = {0};

	store_bind(s, SQL_NAME_FROM, 1, id);
	if (sqlite3_step(stmt) == SQLITE_ROW && (uint64_t)sqlite3_column_int64(stmt, 0) == id)
		found = store_column_bytes(s, SQL_NAME_FROM, 1);
	if (found.len > NAME_LEN_MAX)
		found.len = 0;
	memcpy(name, found.len ? found.data : "", found.len);
	sqlite3_reset(stmt);
	return found.len;
}

void store_release_memory(struct store *s)
{
	(void)sqlite3_db_release_memory(s->db);
}

void store_stats(const struct store *s, struct store_stats *out)
{
	*out = (struct store_stats){
		.commits = atomic_load_explicit(&s->stats.commits, memory_order_relaxed),
		.fold_transactions = atomic_load_explicit(&s->stats.fold_transactions, memory_order_relaxed),
		.rows_folded = atomic_load_explicit(&s->stats.rows_folded, memory_order_relaxed),
		.checkpoints = atomic_load_explicit(&s->stats.checkpoints, memory_order_relaxed),
		.merges = atomic_load_explicit(&s->stats.merges, memory_order_relaxed),
		.journal_bytes = atomic_load_explicit(&s->stats.journal_bytes, memory_order_relaxed),
		.last_fold_ms = atomic_load_explicit(&s->stats.last_fold_ms, memory_order_relaxed),
	};
}
