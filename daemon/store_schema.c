/* SPDX-License-Identifier: MIT */
/*
 * store_schema.c - the tables: made in a new file, told apart from another program's, brought up to date.
 *
 * Version 4 (1 had no sessions and tokens, 2 no states, windows and audit log, 3 nothing for the uplink):
 *
 *	meta	key, value	epoch_limit	every epoch ever used is at or below (raised in steps)
 *				id_next		every id ever used on disk is below
 *				floor_id	ids below are deleted
 *				fold_epoch	the newest pass, finished or not, folds up to here
 *				created		milliseconds since 1970
 *				log_id		every log_id of an entry that was forgotten is at or below
 *				uplink_incarnation, uplink_restored, uplink_copy	store_uplink.c
 *	name	id, name	a counter as of the last fold
 *	value	id, value, as_of, updated_at	its value with all epochs up to as_of; milliseconds
 *	state	id, version, expire_at, tat	as of the last fold; milliseconds, nanoseconds, 0: none
 *	window	id, as_of, body	its hits with those of all epochs up to as_of: window.c
 *	session	id, seq, cursor, used_at	as of the last fold
 *	token	name, token, delta, used_at	as of the last fold
 *	journal	epoch, part, body		what came later: journal.c
 *	log	log_id, name, time_us, ...	the audit log: store_audit.c
 *	uplink_start	number, start, after_epoch	store_uplink.c
 *	baseline	id, incarnation, value	store_uplink.c
 *	counter	(view)	for people: names as text, values as of the last fold
 *	counter_logs	(view)	for people: the audit log
 *
 * The value of a counter is value + the deltas of all journal rows with epoch > as_of, its window likewise.
 * Sums are made in C, modulo 2^64: SQL turns an integer overflow into a floating point number.
 */
#include "store_private.h"

#include <errno.h>
#include <stdio.h>

enum { APPLICATION_ID = 0x53484354 /* "SHCT" */ };

#define TEXT(x)	   #x
#define TEXT_OF(x) TEXT(x)

static const char schema[] =
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE name(id INTEGER PRIMARY KEY, name BLOB NOT NULL) STRICT;"
	"CREATE TABLE value(id INTEGER PRIMARY KEY, value INTEGER NOT NULL, as_of INTEGER NOT NULL,"
	" updated_at INTEGER NOT NULL) STRICT;"
	"CREATE TABLE journal(epoch INTEGER NOT NULL, part INTEGER NOT NULL, body BLOB NOT NULL,"
	" PRIMARY KEY(epoch, part)) STRICT, WITHOUT ROWID;"
	"CREATE VIEW counter(counter_id, current_value, updated_at) AS"
	" SELECT CAST(n.name AS TEXT), coalesce(v.value, 0),"
	" strftime('%Y-%m-%dT%H:%M:%fZ', v.updated_at / 1000.0, 'unixepoch')"
	" FROM name AS n LEFT JOIN value AS v ON v.id = n.id"
	" WHERE n.id >= (SELECT value FROM meta WHERE key = 'floor_id');"
	"INSERT INTO meta VALUES ('epoch_limit', 0), ('id_next', 1), ('floor_id', 0), ('fold_epoch', 0),"
	" ('created', CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER));";

/* What version 2 has more than 1. Tokens are forgotten by their age, hence the index; it grows at its end. */
static const char schema_marks[] =
	"CREATE TABLE session(id BLOB PRIMARY KEY, seq INTEGER NOT NULL, cursor BLOB NOT NULL,"
	" used_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE token(name BLOB NOT NULL, token BLOB NOT NULL, delta INTEGER NOT NULL,"
	" used_at INTEGER NOT NULL, PRIMARY KEY(name, token)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX token_used_at ON token(used_at);";

/* What version 3 has more than 2. */
static const char schema_extra[] =
	"CREATE TABLE state(id INTEGER PRIMARY KEY, version INTEGER NOT NULL, expire_at INTEGER NOT NULL,"
	" tat INTEGER NOT NULL) STRICT;"
	"CREATE TABLE window(id INTEGER PRIMARY KEY, as_of INTEGER NOT NULL, body BLOB NOT NULL) STRICT;";
/* The audit log, too. What the view calls `value` is the amount of the operation. */
static const char schema_audit[] =
	"CREATE TABLE log(log_id INTEGER PRIMARY KEY, name BLOB NOT NULL, time_us INTEGER NOT NULL,"
	" operation INTEGER NOT NULL, delta INTEGER NOT NULL, value INTEGER NOT NULL, peer TEXT NOT NULL) STRICT;"
	"CREATE INDEX log_name ON log(name);"
	"CREATE VIEW counter_logs(log_id, counter_id, operation, value, updated_value, timestamp) AS"
	" SELECT log_id, CAST(name AS TEXT),"
	" CASE operation WHEN 1 THEN 'increment' WHEN 2 THEN 'decrement' WHEN 3 THEN 'set' WHEN 4 THEN 'delete'"
	" WHEN 5 THEN 'expire' WHEN 6 THEN 'flush' END,"
	" CASE WHEN operation = 3 THEN value WHEN operation IN (1, 6) OR delta = -9223372036854775807 - 1 THEN delta"
	" ELSE -delta END,"
	" value, strftime('%Y-%m-%dT%H:%M:%S', time_us / 1000000, 'unixepoch') ||"
	" printf('.%06dZ', time_us % 1000000) FROM log;"
	"INSERT INTO meta VALUES ('log_id', 0);";

/* What version 4 has more than 3. By id: so baselines go with their counter, and are read in that order; rows
 * of two incarnations are there only while one follows the other. */
static const char schema_uplink[] =
	"CREATE TABLE uplink_start(number INTEGER PRIMARY KEY, start INTEGER NOT NULL UNIQUE,"
	" after_epoch INTEGER NOT NULL) STRICT;"
	"CREATE TABLE baseline(id INTEGER NOT NULL, incarnation INTEGER NOT NULL, value INTEGER NOT NULL,"
	" PRIMARY KEY(id, incarnation)) STRICT, WITHOUT ROWID;"
	"INSERT INTO meta VALUES ('uplink_incarnation', 0), ('uplink_restored', 0), ('uplink_copy', 0);";

/* What each version has more than the one before. */
static const struct {
	int version;
	const char *sql;
} schema_steps[] = {
	{1, schema}, {2, schema_marks}, {3, schema_extra}, {3, schema_audit}, {4, schema_uplink},
};

/* What a file of version `from` lacks; inside a transaction. */
static int make_tables(struct store *s, int from, const char *doing)
{
	int r = 0;

	for (size_t i = 0; i < sizeof(schema_steps) / sizeof(*schema_steps) && r == 0; i++)
		if (schema_steps[i].version > from)
			r = store_execute(s, schema_steps[i].sql, doing);
	return r;
}

/* In a rollback journal and one transaction: a crash leaves an empty file or a whole one. */
static int create_schema(struct store *s)
{
	char sql[128];
	int r = store_execute(s,
			      "PRAGMA page_size = " TEXT_OF(
				      STORE_PAGE_BYTES) "; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE",
			      "making the database");

	snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
		 APPLICATION_ID, STORE_SCHEMA_VERSION);
	if (r == 0)
		r = make_tables(s, 0, "making the tables");
	if (r == 0)
		r = store_execute(s, sql, "making the database");
	if (r != 0 && !sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

/* No pages: a new file, or one whose making was cut off and has just been taken back. */
static int look_for_pages(struct store *s, bool *is_new)
{
	int64_t pages;
	int r = store_query(s, "PRAGMA page_count", &pages, NULL, 0);

	if (r != 0)
		return r;
	*is_new = pages == 0;
	return *is_new && !(s->flags & STORE_CREATE) ? store_damaged(s, "the file is empty") : 0;
}

static int look_at_head(struct store *s)
{
	int64_t application, version;
	int r = store_query(s, "PRAGMA application_id", &application, NULL, 0);

	if (r == 0)
		r = store_query(s, "PRAGMA user_version", &version, NULL, 0);
	if (r != 0)
		return r;
	if (application != APPLICATION_ID)
		return store_say(s, EUCLEAN,
				 "is a database of another program (application_id %lld): give another path, "
				 "or restore a "
				 "backup when it was ours",
				 (long long)application);
	if (version > STORE_SCHEMA_VERSION)
		return store_say(s, EPROTONOSUPPORT,
				 "has schema version %lld, this program knows up to %d: install the newer "
				 "shcounterd that "
				 "wrote it, or restore an older backup",
				 (long long)version, STORE_SCHEMA_VERSION);
	if (version < 1)
		return store_damaged(s, "schema version %lld has never existed", (long long)version);
	s->schema_version = (int)version;
	return 0;
}

bool store_is_old(const struct store *s)
{
	return s->schema_version < STORE_SCHEMA_VERSION;
}

/* In one transaction, so that a crash leaves the old version or the new one. */
int store_upgrade(struct store *s)
{
	char sql[64];
	int r;

	if (s->schema_version == STORE_SCHEMA_VERSION)
		return 0;
	snprintf(sql, sizeof(sql), "PRAGMA user_version = %d; COMMIT", STORE_SCHEMA_VERSION);
	r = store_execute(s, "BEGIN IMMEDIATE", "bringing the tables up to date");
	if (r == 0)
		r = make_tables(s, s->schema_version, "bringing the tables up to date");
	if (r == 0)
		r = store_execute(s, sql, "bringing the tables up to date");
	if (r != 0 && !sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	if (r == 0)
		s->schema_version = STORE_SCHEMA_VERSION;
	return r;
}

int store_make_schema(struct store *s)
{
	bool is_new = false;
	int r = look_for_pages(s, &is_new);

	if (r == 0 && is_new)
		r = create_schema(s);
	return r == 0 ? look_at_head(s) : r;
}
