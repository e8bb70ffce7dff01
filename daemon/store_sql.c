/* SPDX-License-Identifier: MIT */
/*
 * store_sql.c - what is said to SQLite: the statements, prepared once; transactions, and whether they are on
 * disk.
 */
#include "store_private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

static const char *const sql_texts[SQL_COUNT] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_BEGIN_READ] = "BEGIN",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_PAGE_COUNT] = "PRAGMA page_count",
	[SQL_META_GET] = "SELECT value FROM meta WHERE key = ?1",
	[SQL_META_SET] = "UPDATE meta SET value = ?2 WHERE key = ?1",
	[SQL_JOURNAL_INSERT] = "INSERT INTO journal(epoch, part, body) VALUES (?1, ?2, ?3)",
	[SQL_JOURNAL_READ] = "SELECT epoch, part, body FROM journal WHERE epoch BETWEEN ?1 AND ?2"
			     " ORDER BY epoch, part",
	[SQL_JOURNAL_DELETE] = "DELETE FROM journal WHERE epoch BETWEEN ?1 AND ?2",
	[SQL_NAME_ENDS] = "SELECT (SELECT min(id) FROM name), (SELECT max(id) FROM name)",
	[SQL_NAME_COUNT] = "SELECT count(*) FROM name",
	[SQL_NAME_FROM] = "SELECT id, name FROM name WHERE id >= ?1 ORDER BY id",
	[SQL_NAME_INSERT] = "INSERT OR IGNORE INTO name(id, name) VALUES (?1, ?2)",
	[SQL_NAME_DELETE] = "DELETE FROM name WHERE id = ?1",
	[SQL_NAME_FLOOR] = "DELETE FROM name WHERE id IN (SELECT id FROM name WHERE id < ?1 LIMIT ?2)",
	[SQL_VALUE_FROM] = "SELECT id, value, as_of FROM value WHERE id >= ?1 ORDER BY id",
	[SQL_VALUE_INSERT] = "INSERT OR IGNORE INTO value(id, value, as_of, updated_at)"
			     " SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM name WHERE id = ?1)",
	[SQL_VALUE_ADD] = "UPDATE value SET value = shc_add(value, ?2), as_of = ?3, updated_at = ?4"
			  " WHERE id = ?1 AND as_of < ?3",
	[SQL_VALUE_DELETE] = "DELETE FROM value WHERE id = ?1",
	[SQL_VALUE_FLOOR] = "DELETE FROM value WHERE id IN (SELECT id FROM value WHERE id < ?1 LIMIT ?2)",
	[SQL_SESSION_ALL] = "SELECT id, seq, cursor, used_at FROM session",
	[SQL_SESSION_PUT] =
		"INSERT OR REPLACE INTO session(id, seq, cursor, used_at) VALUES (?1, ?2, ?3, ?4)",
	[SQL_SESSION_FORGET] = "DELETE FROM session WHERE id IN"
			       " (SELECT id FROM session WHERE used_at < ?1 LIMIT ?2)",
	/* Through the table; its index is read by the next: a damaged page of either is to be noticed. */
	[SQL_TOKEN_ALL] = "SELECT name, token, delta, used_at FROM token ORDER BY +used_at",
	[SQL_TOKEN_PUT] = "INSERT OR REPLACE INTO token(name, token, delta, used_at) VALUES (?1, ?2, ?3, ?4)",
	[SQL_TOKEN_FORGET] = "DELETE FROM token WHERE (name, token) IN"
			     " (SELECT name, token FROM token WHERE used_at < ?1 ORDER BY used_at LIMIT ?2)",
	[SQL_STATE_FROM] = "SELECT id, version, expire_at, tat FROM state ORDER BY id",
	[SQL_STATE_PUT] = "INSERT INTO state(id, version, expire_at, tat)"
			  " SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM name WHERE id = ?1)"
			  " ON CONFLICT(id) DO UPDATE SET version = excluded.version,"
			  " expire_at = excluded.expire_at, tat = excluded.tat"
			  " WHERE excluded.version > version",
	[SQL_STATE_DELETE] = "DELETE FROM state WHERE id = ?1",
	[SQL_STATE_FLOOR] = "DELETE FROM state WHERE id IN (SELECT id FROM state WHERE id < ?1 LIMIT ?2)",
	[SQL_WINDOW_FROM] = "SELECT id, as_of, body FROM window ORDER BY id",
	[SQL_WINDOW_GET] = "SELECT as_of, body FROM window WHERE id = ?1",
	[SQL_WINDOW_PUT] = "INSERT OR REPLACE INTO window(id, as_of, body)"
			   " SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM name WHERE id = ?1)",
	[SQL_WINDOW_DELETE] = "DELETE FROM window WHERE id = ?1",
	[SQL_WINDOW_FLOOR] = "DELETE FROM window WHERE id IN (SELECT id FROM window WHERE id < ?1 LIMIT ?2)",
	[SQL_LOG_FIRST] = "SELECT log_id, time_us FROM log ORDER BY log_id LIMIT 1",
	[SQL_LOG_LAST] = "SELECT max(log_id) FROM log",
	[SQL_LOG_INSERT] = "INSERT INTO log(log_id, name, time_us, operation, delta, value, peer)"
			   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[SQL_LOG_EXPIRED] = "SELECT max(log_id) FROM"
			    " (SELECT log_id, time_us FROM log ORDER BY log_id LIMIT ?2) WHERE time_us < ?1",
	[SQL_LOG_FORGET] = "DELETE FROM log WHERE log_id <= ?1",
	[SQL_START_ALL] = "SELECT start, after_epoch FROM uplink_start ORDER BY number",
	[SQL_START_INSERT] = "INSERT INTO uplink_start(start, after_epoch) VALUES (?1, ?2)",
	[SQL_BASE_OF] = "SELECT id, value FROM baseline WHERE incarnation = ?1 ORDER BY id",
	[SQL_BASE_PUT] = "INSERT OR REPLACE INTO baseline(id, incarnation, value) VALUES (?1, ?2, ?3)",
	[SQL_BASE_STEP] = "SELECT id FROM baseline WHERE id >= ?1 ORDER BY id LIMIT 1 OFFSET ?2",
	[SQL_BASE_FORGET] = "DELETE FROM baseline WHERE id BETWEEN ?1 AND ?2 AND (incarnation NOT IN (?3, ?4)"
			    " OR (?5 AND NOT EXISTS (SELECT 1 FROM name WHERE name.id = baseline.id)))",
	[SQL_BASE_DELETE] = "DELETE FROM baseline WHERE id = ?1",
	[SQL_BASE_FLOOR] = "DELETE FROM baseline WHERE (id, incarnation) IN"
			   " (SELECT id, incarnation FROM baseline WHERE id < ?1 LIMIT ?2)",
};

int store_prepare(struct store *s)
{
	/* An old file that is only read has no such tables, and so no such rows. */
	static const int counts[] = {
		[1] = SQL_SESSION_ALL,
		[2] = SQL_STATE_FROM,
		[3] = SQL_START_ALL,
		[STORE_SCHEMA_VERSION] = SQL_COUNT,
	};
	int count = counts[s->schema_version];

	for (int i = 0; i < count; i++) {
		int rc = sqlite3_prepare_v3(s->db, sql_texts[i], -1, SQLITE_PREPARE_PERSISTENT, &s->sql[i],
					    NULL);

		if (rc != SQLITE_OK)
			return store_fail(s, rc, "looking for the tables");
	}
	return 0;
}

/* ---- one of them ---- */

int store_run(struct store *s, enum store_sql which, const char *doing)
{
	int rc = sqlite3_step(s->sql[which]);

	sqlite3_reset(s->sql[which]);
	return rc == SQLITE_DONE ? 0 : store_fail(s, rc, doing);
}

/* Binding a number fails only for an index that does not exist: our bug. */
void store_bind(struct store *s, enum store_sql which, int index, uint64_t v)
{
	int rc = sqlite3_bind_int64(s->sql[which], index, (int64_t)v);

	assert(rc == SQLITE_OK);
	(void)rc;
}

void store_bind_bytes(struct store *s, enum store_sql which, int index, struct slice v)
{
	/* A null pointer would be NULL, not an empty blob. */
	int rc = sqlite3_bind_blob64(s->sql[which], index, v.len ? v.data : "", v.len, SQLITE_STATIC);

	assert(rc == SQLITE_OK);
	(void)rc;
}

struct slice store_column_bytes(struct store *s, enum store_sql which, int column)
{
	const char *data = sqlite3_column_blob(s->sql[which], column);

	return (struct slice){.data = data,
			      .len = data ? (size_t)sqlite3_column_bytes(s->sql[which], column) : 0};
}

int store_meta_set(struct store *s, const char *key, uint64_t v)
{
	int r;

	sqlite3_bind_text(s->sql[SQL_META_SET], 1, key, -1, SQLITE_STATIC);
	store_bind(s, SQL_META_SET, 2, v);
	r = store_run(s, SQL_META_SET, "writing meta");
	if (r == 0 && sqlite3_changes(s->db) != 1)
		return store_damaged(s, "meta has no %s", key);
	return r;
}

/* ---- others, once ---- */

int store_execute(struct store *s, const char *sql, const char *doing)
{
	int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : store_fail(s, rc, doing);
}

int store_query(struct store *s, const char *sql, int64_t *number, char *text, size_t text_size)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		*number = sqlite3_column_int64(stmt, 0);
		if (text)
			snprintf(text, text_size, "%s", (const char *)sqlite3_column_text(stmt, 0));
		rc = SQLITE_OK;
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_OK ? 0 : store_fail(s, rc, "reading the head of the file");
}

/* ---- transactions ---- */

int store_begin(struct store *s, const char *doing)
{
	int r;

	if (s->is_failed)
		return -EIO; /* the sentence of the first failure stands */
	r = store_look_at_place(s);
	return r == 0 ? store_run(s, SQL_BEGIN, doing) : r;
}

/* SQLite may have rolled back by itself. A rollback that fails leaves us with no idea of the state. */
static int roll_back(struct store *s, const char *doing)
{
	int rc;

	if (sqlite3_get_autocommit(s->db))
		return 0;
	rc = sqlite3_step(s->sql[SQL_ROLLBACK]);
	sqlite3_reset(s->sql[SQL_ROLLBACK]);
	if (rc == SQLITE_DONE || sqlite3_get_autocommit(s->db))
		return 0;
	return store_fail_io(s, rc, doing);
}

int store_end(struct store *s, int result, const char *doing)
{
	int rc, r;

	if (result == 0) {
		rc = sqlite3_step(s->sql[SQL_COMMIT]);
		sqlite3_reset(s->sql[SQL_COMMIT]);
		if (rc == SQLITE_DONE)
			return 0;
		/* Full and busy leave the transaction whole or undone; anything else may have reached the
		 * disk. */
		if ((rc & 0xff) == SQLITE_NOMEM)
			result = store_fail_io(s, rc, doing);
		else
			result = store_fail(s, rc, doing);
	}
	r = roll_back(s, doing);
	return r < 0 ? r : result;
}

int store_end_durable(struct store *s, int result, const char *doing)
{
	int r = store_end(s, result, doing);

	/* It is in the files that are open; are these still the ones that a next start will find? */
	if (r == 0 && store_look_at_place(s) != 0) {
		s->is_failed = true;
		return -EIO;
	}
	return r;
}
