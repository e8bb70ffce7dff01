/* SPDX-License-Identifier: MIT */
/*
 * store_failure.c - what went wrong: a sentence that names the file and says what to do, and which of it may
 * be tried again.
 */
#include "store_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ERROR_BYTES = 1536 /* a path of PATH_MAX/8 and a sentence */ };

static const char *const no_memory = "out of memory";

__attribute__((format(printf, 3, 0))) static void say_va(struct store *s, int cause, const char *fmt,
							 va_list args)
{
	int used;

	s->cause = cause;
	if (!s->error)
		s->error = malloc(ERROR_BYTES);
	if (!s->error)
		return;
	used = snprintf(s->error, ERROR_BYTES, "%.600s: ", s->path ? s->path : "(no path)");
	if (used > 0 && used < ERROR_BYTES)
		vsnprintf(s->error + used, (size_t)(ERROR_BYTES - used), fmt, args);
}

int store_say(struct store *s, int cause, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say_va(s, cause, fmt, args);
	va_end(args);
	return -cause;
}

int store_damaged(struct store *s, const char *fmt, ...)
{
	char what[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	s->is_failed = true;
	if (s->flags & STORE_READONLY)
		return store_say(s, EUCLEAN, "damaged: %s. Restore a backup; it is left as it is", what);
	return store_say(s, EUCLEAN,
			 "damaged: %s. Run `shcounterd --check` with this database to see how far it goes, "
			 "then restore a backup; it is left as it is",
			 what);
}

/* What the kernel said when SQLite last failed at a file: the log, or in a checkpoint the database. 0:
 * nothing. The connection's own note of it is not made where a COMMIT fails. */
static int system_error(struct store *s)
{
	int which = s->is_checkpointing ? SQLITE_FCNTL_FILE_POINTER : SQLITE_FCNTL_JOURNAL_POINTER;
	sqlite3_file *file = NULL;
	int error = 0;

	if (s->db && sqlite3_file_control(s->db, "main", which, &file) == SQLITE_OK && file && file->pMethods)
		(void)file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error);
	return error ? error : sqlite3_system_errno(s->db);
}

int store_fail_io(struct store *s, int rc, const char *doing)
{
	int system = system_error(s);

	s->is_failed = true;
	return store_say(s, EIO,
			 "I/O error while %s: %s (%s). What was being written may or may not be on disk. "
			 "Look into the "
			 "kernel's log, see to the disk, then start again",
			 doing, sqlite3_errstr(rc), system ? strerror(system) : "no system error");
}

/* What SQLite calls an I/O error, though it is a shortage: the quota of the disk, the limit on the size of a
 * file, or room for the index of the log (-shm), which it extends behind the commit. Nothing is unknown then
 * but for whether a crash right now would find the transaction, which nobody was told of; tried again it is
 * written over. */
static int shortage_of(struct store *s, int rc)
{
	int system = rc == SQLITE_IOERR_WRITE ? system_error(s) : 0;

	if (system == EDQUOT || system == EFBIG)
		return SQLITE_FULL;
	if (rc == SQLITE_IOERR_SHMSIZE)
		return SQLITE_FULL;
	return rc == SQLITE_IOERR_SHMMAP ? SQLITE_NOMEM : rc;
}

int store_fail(struct store *s, int rc, const char *doing)
{
	bool is_too_big = rc == SQLITE_IOERR_WRITE && system_error(s) == EFBIG;

	rc = shortage_of(s, rc);
	switch (rc & 0xff) {
	case SQLITE_FULL:
		store_say(s, ENOSPC, "%s (while %s): %s",
			  is_too_big ? "the limit on the size of files is reached" : "the disk is full",
			  doing, is_too_big ? "raise it (ulimit -f, LimitFSIZE)" : "free some space");
		return STORE_RETRY;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		store_say(
			s, EBUSY,
			"another program holds a lock on the file (waited %d ms, while %s): it writes, which "
			"only the daemon may, or it has the file open and keeps the lock. Fuser or lsof of "
			"the -shm file beside it finds it: end it",
			STORE_BUSY_TIMEOUT_MS, doing);
		return STORE_RETRY;
	case SQLITE_NOMEM: store_say(s, ENOMEM, "out of memory while %s", doing); return STORE_RETRY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* our statements are right, so the schema is not */
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH: return store_damaged(s, "%s (while %s)", sqlite3_errmsg(s->db), doing);
	case SQLITE_CANTOPEN:
		if (!(s->flags & STORE_READONLY))
			return store_fail_io(s, rc, doing);
		/* fall through */
	case SQLITE_READONLY:
	case SQLITE_PERM:
		s->is_failed = true;
		if (s->flags & STORE_READONLY)
			return store_say(
				s, EACCES,
				"has a -wal or -journal file beside it, which cannot be read without writing "
				"there: copy both to a directory of your own, and check them there");
		return store_say(s, EACCES,
				 "may not be written (while %s): check owner and mode of file and directory",
				 doing);
	default: return store_fail_io(s, rc, doing);
	}
}

const char *store_error(const struct store *s)
{
	if (!s || (s->cause && !s->error))
		return no_memory;
	return s->cause ? s->error : "no error";
}

int store_take_failure(struct store *s, struct store *from, int r)
{
	char *error = s->error;

	s->error = from->error;
	from->error = error;
	s->cause = from->cause;
	s->is_failed |= from->is_failed;
	return r;
}
