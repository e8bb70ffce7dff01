/* SPDX-License-Identifier: MIT */
/*
 * store_place.c - the files, before SQLite opens them and while it has them: its own words would be "unable
 * to open database file", and it goes on writing into what is not there any more.
 */
#include "store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { PAGE_BYTES_MIN = 512 /* of SQLite */ };

/* ---- before ---- */

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
	if (strlen(s->file) > STORE_PATH_BYTES_MAX)
		return store_say(s, ENAMETOOLONG,
				 "the path is %zu bytes long, SQLite takes %d: choose a shorter one",
				 strlen(s->file), STORE_PATH_BYTES_MAX);
	return 0;
}

static int look_at_directory(struct store *s)
{
	char dir[STORE_PATH_BYTES_MAX + 1];
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
	char name[STORE_PATH_BYTES_MAX + 16];
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

int store_look_at_files(struct store *s)
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

/* ---- while it is open ---- */

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
	char wal[STORE_PATH_BYTES_MAX + 16];

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
