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
	if (rc != SQLITE_OK) {
		r = fail(db, rc, target, why, why_size);
		(void)unlink(target);
	}
	sqlite3_close_v2(db);
	return r;
}
