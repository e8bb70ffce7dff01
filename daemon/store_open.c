/* SPDX-License-Identifier: MIT */
/*
 * store_open.c - finds out whether the file is ours and whole, makes it when it is new, prepares the
 * connection.
 *
 * Nothing is ever created over something: not over a damaged file, not over another program's, and not in
 * place of a missing one whose -wal is still there.
 */
#include "store_private.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum {
	APPLICATION_ID = 0x53484354, /* "SHCT" */
	SCHEMA_VERSION = 4,
	PAGE_BYTES_MIN = 512, /* of SQLite */
	PATH_BYTES_MAX = 500, /* SQLite takes 512, less its endings */
	JOURNAL_SIZE_LIMIT = 64 << 20,
};

/* 32 MiB. */
#define CACHE_PAGES "8192"

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

/* ---- looking before SQLite does: its own words would be "unable to open database file" ---- */

/* "DIR/BASE" with DIR resolved, so that a later chdir or a name like ":memory:" means nothing. Null: errno.
 */
static char *absolute_path(const char *path)
{
	char *file = realpath(path, NULL), *dir, *copy;
	const char *slash = strrchr(path, '/');
	int len;

	if (file || errno != ENOENT)
		return file;
	copy = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	dir = copy ? realpath(copy, NULL) : NULL;
	free(copy);
	if (!dir)
		return NULL;
	len = asprintf(&file, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, slash ? slash + 1 : path);
	free(dir);
	return len < 0 ? NULL : file;
}

static int resolve(struct store *s)
{
	if (*s->path == '\0')
		return store_say(s, EINVAL, "the path of the database is empty");
	s->file = absolute_path(s->path);
	if (!s->file) {
		if (errno == ENOENT)
			return store_say(s, ENOENT, "its directory does not exist: make it first");
		return store_say(s, errno, "cannot be reached: %s", strerror(errno));
	}
	if (strlen(s->file) > PATH_BYTES_MAX)
		return store_say(s, ENAMETOOLONG,
				 "the path is %zu bytes long, SQLite takes %d: choose a shorter one",
				 strlen(s->file), PATH_BYTES_MAX);
	return 0;
}

static int look_at_directory(struct store *s)
{
	char dir[PATH_BYTES_MAX + 1];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", s->file);
	slash = strrchr(dir, '/');
	slash[slash == dir ? 1 : 0] = '\0';
	if (faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) == 0)
		return 0;
	return store_say(s, errno,
			 "files beside it cannot be written (%s): SQLite needs to, check directory %.400s",
			 strerror(errno), dir);
}

/* Size of FILE + ending, -1 when there is none. */
static int look_at_side_file(struct store *s, const char *ending, int64_t *size)
{
	char name[PATH_BYTES_MAX + 16];
	struct stat st = {0};
	int mode = s->flags & STORE_READONLY ? R_OK : R_OK | W_OK;

	*size = -1;
	snprintf(name, sizeof(name), "%s%s", s->file, ending);
	if (lstat(name, &st) < 0 && errno == ENOENT)
		return 0;
	if (S_ISLNK(st.st_mode))
		return store_say(s, EINVAL,
				 "the thing beside it, ending in %s, is a symbolic link: remove it", ending);
	if (faccessat(AT_FDCWD, name, mode, AT_EACCESS) < 0)
		return store_say(
			s, errno,
			"the file beside it, ending in %s, cannot be used (%s): check its owner and mode",
			ending, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return store_say(s, EINVAL, "the thing beside it, ending in %s, is not a file: remove it",
				 ending);
	if (st.st_nlink > 1 && !(s->flags & STORE_READONLY))
		return store_say(
			s, EINVAL,
			"the file beside it, ending in %s, has another name, too (a hard link): what "
			"is written would be in both; remove one of them",
			ending);
	*size = st.st_size;
	return 0;
}

static int look_at_file(struct store *s, int64_t *size)
{
	int mode = s->flags & STORE_READONLY ? R_OK : R_OK | W_OK;
	struct stat st;

	*size = -1;
	if (stat(s->file, &st) < 0) {
		if (errno != ENOENT)
			return store_say(s, errno, "cannot be reached: %s", strerror(errno));
		if (lstat(s->file, &st) == 0)
			return store_say(s, ENOENT,
					 "is a symbolic link that leads to nothing: remove it, or "
					 "make what it leads to");
		return s->flags & STORE_CREATE ? 0 : store_say(s, ENOENT, "does not exist");
	}
	if (S_ISDIR(st.st_mode))
		return store_say(s, EISDIR, "is a directory: give the path of a file");
	if (!S_ISREG(st.st_mode))
		return store_say(s, EINVAL, "is not a regular file");
	if (faccessat(AT_FDCWD, s->file, mode, AT_EACCESS) < 0)
		return store_say(s, errno, "cannot be %s (%s): check its owner and mode",
				 mode == R_OK ? "read" : "read and written", strerror(errno));
	/* The other one has a -wal and a lock of its own: two daemons would each take the state for theirs.
	 */
	if (st.st_nlink > 1 && !(s->flags & STORE_READONLY))
		return store_say(s, EINVAL, "has another name, too (a hard link): remove one of them");
	/* SQLite takes what is shorter than its smallest page for an empty file, and would write over it. */
	if (st.st_size > 0 && st.st_size < PAGE_BYTES_MIN)
		return store_say(s, EUCLEAN, "is not a database: it has only %lld bytes; it is left as it is",
				 (long long)st.st_size);
	*size = st.st_size;
	return 0;
}

static int look(struct store *s)
{
	int64_t size = -1, wal_size = -1, shm_size = -1, journal_size = -1;
	int r = resolve(s);

	if (r == 0)
		r = look_at_file(s, &size);
	if (r == 0 && !(s->flags & STORE_READONLY))
		r = look_at_directory(s);
	if (r == 0)
		r = look_at_side_file(s, "-wal", &wal_size);
	if (r == 0)
		r = look_at_side_file(s, "-shm", &shm_size);
	if (r == 0)
		r = look_at_side_file(s, "-journal", &journal_size);
	s->is_alone = wal_size < 0 && journal_size < 0;
	if (r == 0 && size <= 0 && wal_size > 0)
		return store_damaged(s, "the database is %s but its -wal file has content",
				     size < 0 ? "missing" : "empty");
	return r == 0 && wal_size > 0 ? store_look_at_log(s) : r;
}

/* SQLite goes on writing into files that were moved or removed, and says nothing.
 * Not stat(): a kernel with multigrain timestamps (6.13) gives a file whose times were asked for new ones at
 * the next write, and without a journal ext4 writes the inode with every fdatasync then (p50 190 us, against
 * 260 us). */
static bool is_in_place(const char *path, uint64_t *dev, uint64_t *ino)
{
	struct statx st;
	uint64_t st_dev;

	/* One that was never seen: SQLite has still to make it. */
	if (statx(AT_FDCWD, path, 0, STATX_INO, &st) < 0)
		return *ino == 0;
	st_dev = makedev(st.stx_dev_major, st.stx_dev_minor);
	if (*ino == 0) {
		*dev = st_dev;
		*ino = st.stx_ino;
	}
	return st_dev == *dev && st.stx_ino == *ino;
}

int store_look_at_place(struct store *s)
{
	char wal[PATH_BYTES_MAX + 16];

	snprintf(wal, sizeof(wal), "%s-wal", s->file);
	if (is_in_place(s->file, &s->place.db.dev, &s->place.db.ino) &&
	    is_in_place(wal, &s->place.wal.dev, &s->place.wal.ino))
		return 0;
	store_say(s, ENOENT,
		  "the database, its -wal file or their directory was moved or removed while in use: nothing "
		  "can "
		  "be written where it would be found again. Move it back; if it is gone, stop the daemon: "
		  "what "
		  "was not exported is lost");
	return STORE_RETRY;
}

/* ---- the connection ---- */

/* The sum of two integers modulo 2^64. */
static void sql_add(sqlite3_context *context, int count, sqlite3_value **args)
{
	uint64_t a = (uint64_t)sqlite3_value_int64(args[0]);
	uint64_t b = (uint64_t)sqlite3_value_int64(args[1]);

	(void)count;
	sqlite3_result_int64(context, (int64_t)(a + b));
}

static int execute(struct store *s, const char *sql, const char *doing)
{
	int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : store_fail(s, rc, doing);
}

/* The one value a query returns, as number or into `text`. */
static int query(struct store *s, const char *sql, int64_t *number, char *text, size_t text_size)
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

/* What is not a letter or a digit by its number: the path as SQLite wants it in a URI. */
static void put_uri(const struct store *s, char *uri, size_t size)
{
	size_t len = (size_t)snprintf(uri, size, "file:");

	for (const char *c = s->file; *c && len + 3 < size; c++) {
		if (isalnum((unsigned char)*c) || *c == '/')
			uri[len++] = *c;
		else
			len += (size_t)snprintf(uri + len, size - len, "%%%02X", (unsigned char)*c);
	}
	snprintf(uri + len, size - len, "?immutable=1");
}

/* To read what nobody has open, and all of which is in the file: SQLite would make -wal and -shm for it,
 * which "changes nothing" does not allow, nor a medium that cannot be written. */
static int open_alone(struct store *s, int mode)
{
	char uri[3 * PATH_BYTES_MAX + 32];

	put_uri(s, uri, sizeof(uri));
	return sqlite3_open_v2(uri, &s->db, mode | SQLITE_OPEN_URI, NULL);
}

static int set_up(struct store *s)
{
	int rc = sqlite3_extended_result_codes(s->db, 1);

	if (rc == SQLITE_OK)
		rc = sqlite3_busy_timeout(s->db, STORE_BUSY_TIMEOUT_MS);
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_create_function_v2(s->db, "shc_add", 2,
						SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY, NULL,
						sql_add, NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : store_fail(s, rc, "opening");
}

static int connect_db(struct store *s)
{
	int mode = s->flags & STORE_READONLY ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
	int rc;

	if (s->flags & STORE_CREATE)
		mode |= SQLITE_OPEN_CREATE;
	mode |= SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
	rc = s->is_alone && (s->flags & STORE_READONLY) ? open_alone(s, mode)
							: sqlite3_open_v2(s->file, &s->db, mode, NULL);
	if (rc == SQLITE_CANTOPEN)
		return store_say(s, EIO, "cannot be opened: %s", strerror(sqlite3_system_errno(s->db)));
	return rc == SQLITE_OK ? set_up(s) : store_fail(s, rc, "opening");
}

/* EXTRA: what a log in WAL mode does with FULL and, when the database is made, the directory is synced behind
 * the deleted rollback journal. One that came back after a loss of power would undo what was committed since.
 * secure_delete is on in some builds and would write zeros over every folded journal row. No mmap: an I/O
 * error would be a SIGBUS. */
static int configure(struct store *s, const char *cache_pages)
{
	char sql[512];

	snprintf(sql, sizeof(sql),
		 "PRAGMA synchronous = EXTRA; PRAGMA secure_delete = OFF; PRAGMA mmap_size = 0;"
		 "PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = FILE;"
		 "PRAGMA cache_size = %s",
		 cache_pages);
	return execute(s, sql, "setting up the connection");
}

/* What a file of version `from` lacks; inside a transaction. */
static int make_tables(struct store *s, int from, const char *doing)
{
	int r = 0;

	for (size_t i = 0; i < sizeof(schema_steps) / sizeof(*schema_steps) && r == 0; i++)
		if (schema_steps[i].version > from)
			r = execute(s, schema_steps[i].sql, doing);
	return r;
}

/* In a rollback journal and one transaction: a crash leaves an empty file or a whole one. */
static int create_schema(struct store *s)
{
	char sql[128];
	int r = execute(s,
			"PRAGMA page_size = " TEXT_OF(
				STORE_PAGE_BYTES) "; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE",
			"making the database");

	snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
		 APPLICATION_ID, SCHEMA_VERSION);
	if (r == 0)
		r = make_tables(s, 0, "making the tables");
	if (r == 0)
		r = execute(s, sql, "making the database");
	if (r != 0 && !sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

/* No pages: a new file, or one whose making was cut off and has just been taken back. */
static int look_for_pages(struct store *s, bool *is_new)
{
	int64_t pages;
	int r = query(s, "PRAGMA page_count", &pages, NULL, 0);

	if (r != 0)
		return r;
	*is_new = pages == 0;
	return *is_new && !(s->flags & STORE_CREATE) ? store_damaged(s, "the file is empty") : 0;
}

static int look_at_head(struct store *s)
{
	int64_t application, version;
	int r = query(s, "PRAGMA application_id", &application, NULL, 0);

	if (r == 0)
		r = query(s, "PRAGMA user_version", &version, NULL, 0);
	if (r != 0)
		return r;
	if (application != APPLICATION_ID)
		return store_say(s, EUCLEAN,
				 "is a database of another program (application_id %lld): give another path, "
				 "or restore a "
				 "backup when it was ours",
				 (long long)application);
	if (version > SCHEMA_VERSION)
		return store_say(s, EPROTONOSUPPORT,
				 "has schema version %lld, this program knows up to %d: install the newer "
				 "shcounterd that "
				 "wrote it, or restore an older backup",
				 (long long)version, SCHEMA_VERSION);
	if (version < 1)
		return store_damaged(s, "schema version %lld has never existed", (long long)version);
	s->schema_version = (int)version;
	return 0;
}

bool store_is_old(const struct store *s)
{
	return s->schema_version < SCHEMA_VERSION;
}

/* In one transaction, so that a crash leaves the old version or the new one. */
static int upgrade(struct store *s)
{
	char sql[64];
	int r;

	if (s->schema_version == SCHEMA_VERSION)
		return 0;
	snprintf(sql, sizeof(sql), "PRAGMA user_version = %d; COMMIT", SCHEMA_VERSION);
	r = execute(s, "BEGIN IMMEDIATE", "bringing the tables up to date");
	if (r == 0)
		r = make_tables(s, s->schema_version, "bringing the tables up to date");
	if (r == 0)
		r = execute(s, sql, "bringing the tables up to date");
	if (r != 0 && !sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	if (r == 0)
		s->schema_version = SCHEMA_VERSION;
	return r;
}

/* The hook goes last: `PRAGMA wal_autocheckpoint` is a hook itself, and takes ours away. */
static int enter_wal(struct store *s)
{
	char mode[16], sql[96];
	int64_t ignored;
	int r = query(s, "PRAGMA journal_mode = WAL", &ignored, mode, sizeof(mode));

	if (r != 0)
		return r;
	if (strcmp(mode, "wal") != 0)
		return store_say(s, EOPNOTSUPP,
				 "its file system has no shared memory maps, which SQLite's WAL mode needs: "
				 "use a local disk");
	snprintf(sql, sizeof(sql), "PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = %d",
		 JOURNAL_SIZE_LIMIT);
	r = execute(s, sql, "setting up the write-ahead log");
	if (r == 0)
		sqlite3_wal_hook(s->db, store_on_wal, s);
	return r == 0 ? store_sync_log(s) : r;
}

static int prepare_all(struct store *s)
{
	/* An old file that is only read has no such tables, and so no such rows. */
	static const int counts[] = {
		[1] = SQL_SESSION_ALL,
		[2] = SQL_STATE_FROM,
		[3] = SQL_START_ALL,
		[SCHEMA_VERSION] = SQL_COUNT,
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

/* Who only reads sees one moment, from the first page to store_close: of what a daemon commits meanwhile one
 * part would not fit the other. */
static int open_all(struct store *s)
{
	bool is_new = false;
	int r = look(s);

	if (r == 0)
		r = connect_db(s);
	if (r == 0)
		r = configure(s, CACHE_PAGES);
	if (r == 0 && s->flags & STORE_READONLY)
		r = execute(s, "BEGIN", "opening");
	if (r == 0)
		r = look_for_pages(s, &is_new);
	if (r == 0 && is_new)
		r = create_schema(s);
	if (r == 0)
		r = look_at_head(s);
	if (r == 0 && !(s->flags & STORE_READONLY))
		r = enter_wal(s);
	if (r == 0 && !(s->flags & STORE_READONLY))
		r = upgrade(s);
	if (r == 0)
		r = prepare_all(s);
	return r == STORE_RETRY ? -s->cause : r;
}

int store_open(struct store **out, const char *path, unsigned flags)
{
	struct store *s = calloc(1, sizeof(*s));

	*out = s;
	if (!s)
		return -ENOMEM;
	s->flags = flags;
	s->path = strdup(path);
	if (!s->path)
		return store_say(s, ENOMEM, "out of memory");
	return open_all(s);
}

/* What is read once, from beginning to end, is not worth keeping. */
#define READER_CACHE_PAGES "256"

static int connect_reader(struct store *s)
{
	int rc = sqlite3_open_v2(s->file, &s->db,
				 SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
	return rc == SQLITE_OK ? set_up(s) : store_fail(s, rc, "opening it once more");
}

int store_open_reader(struct store **out, const struct store *of)
{
	struct store *s = calloc(1, sizeof(*s));
	int r;

	*out = s;
	if (!s)
		return -ENOMEM;
	s->path = strdup(of->path);
	s->file = strdup(of->file);
	if (!s->path || !s->file)
		return store_say(s, ENOMEM, "out of memory");
	s->schema_version = of->schema_version;
	s->fold_epoch = of->fold_epoch;
	r = connect_reader(s);
	if (r == 0)
		r = configure(s, READER_CACHE_PAGES);
	if (r == 0)
		r = prepare_all(s);
	return r == STORE_RETRY ? -s->cause : r;
}

struct store *store_close(struct store *s)
{
	if (!s)
		return NULL;
	s->fold = store_fold_free(s->fold);
	for (int i = 0; i < SQL_COUNT; i++)
		sqlite3_finalize(s->sql[i]);
	/* After an I/O error a checkpoint at close would write on; the next start does it from a clean
	 * reading. */
	if (s->db && s->is_failed)
		sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
	sqlite3_close_v2(s->db);
	free(s->epochs);
	free(s->error);
	free(s->file);
	free(s->path);
	free(s);
	return NULL;
}
