/* SPDX-License-Identifier: MIT */
/*
 * store_open.c - the connection: opened, set up, closed; a second one for readers.
 *
 * Nothing is ever created over something: not over a damaged file, not over another program's, and not in
 * place of a missing one whose -wal is still there.
 */
#include "store_private.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOURNAL_SIZE_LIMIT = 64 << 20 };

/* 32 MiB; and what is read once, from beginning to end, is not worth keeping. */
#define CACHE_PAGES	   "8192"
#define READER_CACHE_PAGES "256"

/* ---- a connection ---- */

/* The sum of two integers modulo 2^64. */
static void sql_add(sqlite3_context *context, int count, sqlite3_value **args)
{
	uint64_t a = (uint64_t)sqlite3_value_int64(args[0]);
	uint64_t b = (uint64_t)sqlite3_value_int64(args[1]);

	(void)count;
	sqlite3_result_int64(context, (int64_t)(a + b));
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
	char uri[3 * STORE_PATH_BYTES_MAX + 32];

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
	return store_execute(s, sql, "setting up the connection");
}

/* The hook goes last: `PRAGMA wal_autocheckpoint` is a hook itself, and takes ours away. */
static int enter_wal(struct store *s)
{
	char mode[16], sql[96];
	int64_t ignored;
	int r = store_query(s, "PRAGMA journal_mode = WAL", &ignored, mode, sizeof(mode));

	if (r != 0)
		return r;
	if (strcmp(mode, "wal") != 0)
		return store_say(s, EOPNOTSUPP,
				 "its file system has no shared memory maps, which SQLite's WAL mode needs: "
				 "use a local disk");
	snprintf(sql, sizeof(sql), "PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = %d",
		 JOURNAL_SIZE_LIMIT);
	r = store_execute(s, sql, "setting up the write-ahead log");
	if (r == 0)
		sqlite3_wal_hook(s->db, store_on_wal, s);
	return r == 0 ? store_sync_log(s) : r;
}

/* ---- to write, or to check ---- */

/* Who only reads sees one moment, from the first page to store_close: of what a daemon commits meanwhile one
 * part would not fit the other. */
static int open_all(struct store *s)
{
	int r = store_look_at_files(s);

	if (r == 0)
		r = connect_db(s);
	if (r == 0)
		r = configure(s, CACHE_PAGES);
	if (r == 0 && s->flags & STORE_READONLY)
		r = store_execute(s, "BEGIN", "opening");
	if (r == 0)
		r = store_make_schema(s);
	if (r == 0 && !(s->flags & STORE_READONLY))
		r = enter_wal(s);
	if (r == 0 && !(s->flags & STORE_READONLY))
		r = store_upgrade(s);
	if (r == 0)
		r = store_prepare(s);
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

/* ---- to read beside it ---- */

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
		r = store_prepare(s);
	return r == STORE_RETRY ? -s->cause : r;
}

/* ---- the end of either ---- */

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
