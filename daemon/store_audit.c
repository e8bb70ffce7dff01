/* SPDX-License-Identifier: MIT */
/*
 * store_audit.c - the audit log on disk: its entries come in with the transaction of their epoch, and leave
 * oldest first. Other than the journal's content they are rows from the beginning, and nothing is folded.
 *
 *	log	log_id		ever growing, dense, in the order of the changes to each counter
 *		name		bytes; empty for FLUSHALL
 *		time_us		wall clock, microseconds
 *		operation	enum audit_operation
 *		delta, value	the change modulo 2^64, and what it led to
 *		peer		who
 *
 * Numbers are not used again when all entries have been forgotten: then meta's log_id has the last one.
 *
 * The reader at the end is another thread's, with a connection of its own.
 */
#include "store_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- loading ---- */

/* A statement that returns one row of one or two numbers. 0 with *is_there, STORE_RETRY, negative. */
static int read_row(struct store *s, enum store_sql which, int64_t *a, int64_t *b, bool *is_there)
{
	sqlite3_stmt *stmt = s->sql[which];
	int rc = sqlite3_step(stmt);

	*is_there = rc == SQLITE_ROW && sqlite3_column_type(stmt, 0) != SQLITE_NULL;
	if (*is_there) {
		*a = sqlite3_column_int64(stmt, 0);
		if (b)
			*b = sqlite3_column_int64(stmt, 1);
	}
	sqlite3_reset(stmt);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : store_fail(s, rc, "reading the audit log");
}

/* The first entry, or none. */
static int look_at_first(struct store *s)
{
	int64_t first, oldest_us;
	bool is_there;
	int r = read_row(s, SQL_LOG_FIRST, &first, &oldest_us, &is_there);

	if (r != 0)
		return r;
	s->audit.first = is_there ? (uint64_t)first : s->audit.last + 1;
	s->audit.oldest_us = is_there ? oldest_us : INT64_MAX;
	return 0;
}

int store_load_audit(struct store *s)
{
	int64_t last = 0;
	bool is_there;
	int r = read_row(s, SQL_LOG_LAST, &last, NULL, &is_there);

	if (r != 0)
		return r;
	if (is_there && last < 1)
		return store_damaged(s, "an entry of the audit log has number %lld", (long long)last);
	/* store_load_meta has read the number of the last that was forgotten. */
	if (is_there && (uint64_t)last > s->audit.last)
		s->audit.last = (uint64_t)last;
	return look_at_first(s);
}

/* ---- coming in ---- */

static int insert(struct store *s, uint64_t log_id, const struct audit_entry *entry)
{
	sqlite3_stmt *stmt = s->sql[SQL_LOG_INSERT];

	store_bind(s, SQL_LOG_INSERT, 1, log_id);
	store_bind_bytes(s, SQL_LOG_INSERT, 2, entry->name);
	store_bind(s, SQL_LOG_INSERT, 3, (uint64_t)entry->time_us);
	store_bind(s, SQL_LOG_INSERT, 4, entry->operation);
	store_bind(s, SQL_LOG_INSERT, 5, (uint64_t)entry->delta);
	store_bind(s, SQL_LOG_INSERT, 6, (uint64_t)entry->value);
	sqlite3_bind_text64(stmt, 7, entry->peer.len ? entry->peer.data : "", entry->peer.len, SQLITE_STATIC,
			    SQLITE_UTF8);
	return store_run(s, SQL_LOG_INSERT, "writing the audit log");
}

int store_insert_audit(struct store *s, const struct audit_entry *entries, size_t count)
{
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++)
		r = insert(s, s->audit.last + 1 + i, &entries[i]);
	if (count)
		sqlite3_clear_bindings(s->sql[SQL_LOG_INSERT]); /* the bytes are the caller's */
	return r;
}

void store_count_audit(struct store *s, const struct audit_entry *entries, size_t count)
{
	if (count && s->audit.first > s->audit.last)
		s->audit.oldest_us = entries[0].time_us;
	s->audit.last += count;
}

/* ---- leaving ---- */

uint64_t store_audit_count(const struct store *s)
{
	return s->audit.last + 1 - s->audit.first;
}

int64_t store_audit_oldest_us(const struct store *s)
{
	return s->audit.oldest_us;
}

/* The last of the first rows_max entries that is from before `before_us`; 0: none. Not the first one that is
 * not: a clock that was wrong for a while leaves times that lie in the future among them. */
static int find_expired(struct store *s, int64_t before_us, size_t rows_max, uint64_t *last)
{
	int64_t found;
	bool is_there;
	int r;

	store_bind(s, SQL_LOG_EXPIRED, 1, (uint64_t)before_us);
	store_bind(s, SQL_LOG_EXPIRED, 2, rows_max);
	r = read_row(s, SQL_LOG_EXPIRED, &found, NULL, &is_there);
	*last = is_there ? (uint64_t)found : 0;
	return r;
}

/* Inside a transaction. */
static int forget_up_to(struct store *s, uint64_t last)
{
	int r = store_meta_set(s, "log_id", s->audit.last);

	store_bind(s, SQL_LOG_FORGET, 1, last);
	return r == 0 ? store_run(s, SQL_LOG_FORGET, "deleting old entries of the audit log") : r;
}

int store_forget_audit(struct store *s, int64_t before_us, uint64_t count_max, size_t rows_max)
{
	uint64_t count = store_audit_count(s), last = 0, most = s->audit.first - 1 + rows_max;
	int r = store_begin(s, "deleting old entries of the audit log");

	if (r != 0)
		return r;
	r = find_expired(s, before_us, rows_max, &last);
	if (r == 0 && count > count_max && s->audit.last - count_max > last)
		last = s->audit.last - count_max;
	if (last > most)
		last = most;
	if (r == 0 && last)
		r = forget_up_to(s, last);
	r = store_end(s, r, "deleting old entries of the audit log");
	if (r == 0)
		r = look_at_first(s);
	return r == 0 && last == most ? STORE_AGAIN : r;
}

/* ---- the reader ---- */

struct store_audit_reader {
	sqlite3 *db;
	sqlite3_stmt *last, *after; /* name, count, and the log_id that they stand behind */
};

/* Each name has its part of the index, by log_id. */
#define READ(bound, order)                                                                                   \
	"SELECT log_id, name, time_us, operation, delta, value, peer FROM log WHERE log_id IN ("             \
	"SELECT * FROM (SELECT log_id FROM log WHERE name = ?1 " bound " ORDER BY log_id " order             \
	" LIMIT ?2) UNION ALL "                                                                              \
	"SELECT * FROM (SELECT log_id FROM log WHERE name = x'' " bound " ORDER BY log_id " order            \
	" LIMIT ?2) ORDER BY log_id " order " LIMIT ?2) ORDER BY log_id"

enum { READER_BUSY_TIMEOUT_MS = 1000 };

struct store_audit_reader *store_audit_reader_close(struct store_audit_reader *r)
{
	if (!r)
		return NULL;
	sqlite3_finalize(r->last);
	sqlite3_finalize(r->after);
	sqlite3_close_v2(r->db);
	free(r);
	return NULL;
}

static int fail(struct store_audit_reader *r, int rc, char *why, size_t why_size)
{
	snprintf(why, why_size, "%s", r && r->db ? sqlite3_errmsg(r->db) : sqlite3_errstr(rc));
	return (rc & 0xff) == SQLITE_NOMEM ? -ENOMEM : -EIO;
}

static int open_reader(struct store_audit_reader *r, const char *path)
{
	int rc = sqlite3_open_v2(path, &r->db,
				 SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(r->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_busy_timeout(r->db, READER_BUSY_TIMEOUT_MS);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(r->db, READ("", "DESC"), -1, &r->last, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(r->db, READ("AND log_id > ?3", "ASC"), -1, &r->after, NULL);
	return rc;
}

static struct slice text_of(sqlite3_stmt *stmt, int column)
{
	const char *data = sqlite3_column_blob(stmt, column);

	return (struct slice){.data = data, .len = data ? (size_t)sqlite3_column_bytes(stmt, column) : 0};
}

static void tell(sqlite3_stmt *stmt, store_audit_fn *fn, void *arg)
{
	const struct audit_entry entry = {
		.name = text_of(stmt, 1),
		.time_us = sqlite3_column_int64(stmt, 2),
		.operation = (uint8_t)sqlite3_column_int(stmt, 3),
		.delta = sqlite3_column_int64(stmt, 4),
		.value = sqlite3_column_int64(stmt, 5),
		.peer = text_of(stmt, 6),
	};

	fn(arg, sqlite3_column_int64(stmt, 0), &entry);
}

static int read_entries(sqlite3_stmt *stmt, struct slice name, int64_t after, int64_t count,
			store_audit_fn *fn, void *arg)
{
	int rc = sqlite3_bind_blob64(stmt, 1, name.data, name.len, SQLITE_STATIC);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(stmt, 2, count);
	if (rc == SQLITE_OK && after >= 0)
		rc = sqlite3_bind_int64(stmt, 3, after);
	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(stmt);
		if (rc == SQLITE_ROW)
			tell(stmt, fn, arg);
	}
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int store_audit_read(struct store_audit_reader **reader, const char *path, struct slice name, int64_t after,
		     int64_t count, store_audit_fn *fn, void *arg, char *why, size_t why_size)
{
	struct store_audit_reader *r = *reader;
	int rc = SQLITE_OK;

	if (!r) {
		*reader = r = calloc(1, sizeof(*r));
		rc = r ? open_reader(r, path) : SQLITE_NOMEM;
	}
	if (rc == SQLITE_OK)
		rc = read_entries(after >= 0 ? r->after : r->last, name, after, count, fn, arg);
	return rc == SQLITE_OK ? 0 : fail(r, rc, why, why_size);
}
