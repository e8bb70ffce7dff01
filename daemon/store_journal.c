/* SPDX-License-Identifier: MIT */
/*
 * store_journal.c - the journal table: bodies in, bodies out; and the list of its epochs in memory.
 */
#include "store_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- bodies ---- */

int store_read_journal(struct store *s, uint64_t first, uint64_t last, store_body_fn *fn, void *arg)
{
	sqlite3_stmt *stmt = s->sql[SQL_JOURNAL_READ];
	int rc, r = 0;

	store_bind(s, SQL_JOURNAL_READ, 1, first);
	store_bind(s, SQL_JOURNAL_READ, 2, last);
	while (r >= 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		const void *body = sqlite3_column_blob(stmt, 2);
		size_t len = (size_t)sqlite3_column_bytes(stmt, 2);

		if (!body && sqlite3_errcode(s->db) == SQLITE_NOMEM) {
			rc = SQLITE_NOMEM;
			break;
		}
		r = fn(arg, (uint64_t)sqlite3_column_int64(stmt, 0), (uint64_t)sqlite3_column_int64(stmt, 1),
		       body, len);
	}
	sqlite3_reset(stmt);
	if (r < 0)
		return r;
	return rc == SQLITE_DONE ? 0 : store_fail(s, rc, "reading the journal");
}

struct read_set {
	struct store *s;
	struct journal_set *set;
};

static int add_body(void *arg, uint64_t epoch, uint64_t part, const void *body, size_t len)
{
	struct read_set *read = arg;
	int r = journal_set_add(read->set, epoch, body, len);

	if (r == -EUCLEAN)
		return store_damaged(read->s,
				     "journal row epoch %llu part %llu (%zu bytes) is not what was written",
				     (unsigned long long)epoch, (unsigned long long)part, len);
	return r;
}

int store_read_set(struct store *s, uint64_t first, uint64_t last, struct journal_set *set)
{
	struct read_set read = {.s = s, .set = set};
	int r = store_read_journal(s, first, last, add_body, &read);

	return r == -ENOMEM ? store_fail(s, SQLITE_NOMEM, "reading the journal") : r;
}

int store_sort_set(struct store *s, struct journal_set *set)
{
	int r = journal_set_sort(set);

	if (r == -EUCLEAN)
		return store_damaged(s, "the journal creates one id twice");
	return r == -ENOMEM ? store_fail(s, SQLITE_NOMEM, "reading the journal") : r;
}

int store_insert_parts(struct store *s, uint64_t epoch, const struct journal_writer *w)
{
	int r = 0;

	for (size_t i = 0; i < w->count && r == 0; i++) {
		const struct buf *body = &w->parts[i];

		store_bind(s, SQL_JOURNAL_INSERT, 1, epoch);
		store_bind(s, SQL_JOURNAL_INSERT, 2, i);
		sqlite3_bind_blob64(s->sql[SQL_JOURNAL_INSERT], 3, buf_head(body), buf_len(body),
				    SQLITE_STATIC);
		r = store_run(s, SQL_JOURNAL_INSERT, "writing the journal");
	}
	sqlite3_clear_bindings(s->sql[SQL_JOURNAL_INSERT]); /* the bodies are the caller's */
	return r;
}

uint64_t store_writer_bytes(const struct journal_writer *w)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < w->count; i++)
		bytes += buf_len(&w->parts[i]);
	return bytes;
}

/* ---- epochs ---- */

int store_epochs_reserve(struct store *s)
{
	size_t cap = s->epoch_cap ? 2 * s->epoch_cap : 64;
	struct store_epoch *epochs;

	if (s->epoch_count < s->epoch_cap)
		return 0;
	epochs = reallocarray(s->epochs, cap, sizeof(*epochs));
	if (!epochs)
		return store_fail(s, SQLITE_NOMEM, "making room for one more epoch");
	s->epochs = epochs;
	s->epoch_cap = cap;
	return 0;
}

void store_epochs_replace(struct store *s, size_t at, size_t count, struct store_epoch with)
{
	size_t kept = with.bytes ? 1 : 0;
	uint64_t bytes = atomic_load_explicit(&s->stats.journal_bytes, memory_order_relaxed) + with.bytes;

	assert(at + count <= s->epoch_count && s->epoch_count - count + kept <= s->epoch_cap);
	for (size_t i = at; i < at + count; i++)
		bytes -= s->epochs[i].bytes;
	memmove(s->epochs + at + kept, s->epochs + at + count,
		(s->epoch_count - at - count) * sizeof(*s->epochs));
	if (kept)
		s->epochs[at] = with;
	s->epoch_count += kept - count;
	atomic_store_explicit(&s->stats.journal_bytes, bytes, memory_order_relaxed);
}

uint64_t store_journal_bytes(const struct store *s)
{
	return atomic_load_explicit(&s->stats.journal_bytes, memory_order_relaxed);
}

size_t store_journal_epochs(const struct store *s)
{
	return s->epoch_count;
}
