/* SPDX-License-Identifier: MIT */
/*
 * store_backup.c - a copy of the database beside the running store: its own read-only connection, on the
 * thread of the caller, of one committed moment.
 */
#include "store_private.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { OPCODES_PER_LOOK = 10000 }; /* how often it is looked whether to stop */

static int is_stopped(void *arg)
{
	const _Atomic bool *is_cancelled = arg;

	return atomic_load(is_cancelled);
}

static int fail(sqlite3 *db, int rc, const char *target, char *why, size_t why_size)
{
	switch (rc & 0xff) {
	case SQLITE_INTERRUPT: snprintf(why, why_size, "stopped"); return -ECANCELED;
	case SQLITE_FULL:
		snprintf(why, why_size, "%s: the disk is full; a backup needs room for a whole copy", target);
		return -ENOSPC;
	case SQLITE_NOMEM: snprintf(why, why_size, "out of memory"); return -ENOMEM;
	default:
		snprintf(why, why_size, "%s: %s", target, db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
		return -EIO;
	}
}

static int copy_into(sqlite3 *db, const char *target)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, "VACUUM INTO ?1", -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(stmt, 1, target, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Whoever goes on from the copy is not its original, which may be alive and have something that the cluster
 * does not have yet: two that bring the same would not always meet in time. What no cluster knows has no
 * original. On the copy alone, before anybody else sees it: a crash leaves one that nobody takes. */
static int mark(sqlite3 *db)
{
	return sqlite3_exec(db,
			    "PRAGMA journal_mode = MEMORY;"
			    "UPDATE meta SET value = 1 WHERE key = 'uplink_copy'"
			    " AND (SELECT value FROM meta WHERE key = 'uplink_incarnation') != 0",
			    NULL, NULL, NULL);
}

static int mark_copy(const char *target, char *why, size_t why_size)
{
	sqlite3 *db = NULL;
	int r = 0, rc;

	rc = sqlite3_open_v2(target, &db,
			     SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
	if (rc == SQLITE_OK)
		rc = mark(db);
	if (rc != SQLITE_OK)
		r = fail(db, rc, target, why, why_size);
	sqlite3_close_v2(db);
	return r;
}

int store_backup(const char *path, const char *target, const _Atomic bool *is_cancelled, char *why,
		 size_t why_size)
{
	sqlite3 *db = NULL;
	int r = 0, rc;

	/* One that was cut off by a crash. */
	(void)unlink(target);
	rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
			     NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
	if (rc == SQLITE_OK) {
		sqlite3_progress_handler(db, OPCODES_PER_LOOK, is_stopped, (void *)(uintptr_t)is_cancelled);
		rc = copy_into(db, target);
	}
	if (rc != SQLITE_OK)
		r = fail(db, rc, target, why, why_size);
	sqlite3_close_v2(db);
	if (r == 0)
		r = mark_copy(target, why, why_size);
	if (r)
		(void)unlink(target);
	return r;
}
