/* SPDX-License-Identifier: MIT */
/* state_lock.c - see state_lock.h. */
#include "state_lock.h"

#include <bsd/libutil.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/log.h"
#include "../lib/way.h"

static const char lock_ending[] = ".lock";

/* Where the database is, or would be made. False: errno. */
static bool find_file(const char *db, char file[PATH_MAX])
{
	char copy[PATH_MAX], directory[PATH_MAX];
	const char *slash = strrchr(db, '/');

	if (realpath(db, file))
		return true;
	if (errno != ENOENT || strlen(db) >= sizeof(copy))
		return false;
	strcpy(copy, db);
	if (!realpath(dirname(copy), directory))
		return false;
	if ((size_t)snprintf(file, PATH_MAX, "%s/%s", directory[1] ? directory : "", slash ? slash + 1 : db) <
	    PATH_MAX)
		return true;
	errno = ENAMETOOLONG;
	return false;
}

/* Who may make files there may make those that SQLite believes: a journal to be rolled back, a copy that is
 * half written. And who may rename a directory on the way gives us a state of his own. */
static int check_way(const char *db)
{
	char why[WAY_WHY_SIZE];
	enum way way = way_look(db, WAY_FOR_STATE, why);

	if (way == WAY_DOUBTFUL)
		log_warning("%s: %s: the counters are as safe as they are", db, why);
	if (way != WAY_OPEN)
		return 0;
	log_error("%s: not safe for counters: %s", db, why);
	return -EPERM;
}

static void say_holder(const char *path)
{
	char pid[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, pid, sizeof(pid) - 1);

	if (fd >= 0)
		close(fd);
	if (n > 0)
		pid[strcspn(pid, "\n")] = '\0';
	log_error("%s: another shcounterd (process %s) has this state; stop it first, or choose another --db",
		  path, n > 0 ? pid : "unknown");
}

static int say_not_ours(const char *path, const char *what)
{
	log_error("%s: %s, so it is no lock of ours, and is left as it is: remove it", path, what);
	return -EPERM;
}

/* What is written goes into this file and no other. */
static int check_lock(const char *path, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return say_not_ours(path, "is not a regular file");
	if (st.st_nlink > 1)
		return say_not_ours(path, "has another name, too (a hard link)");
	return 0;
}

static int say_no_lock(const char *path, int error)
{
	if (error == EWOULDBLOCK)
		say_holder(path);
	else if (error == ELOOP)
		return say_not_ours(path, "is a symbolic link");
	else
		log_error("%s: cannot create the lock of the state: %s; the directory must exist and be "
			  "writable for this user",
			  path, strerror(error));
	return -error;
}

static int say_not_found(const char *db, int error)
{
	log_error("%s: cannot be reached: %s; the directory must exist and be writable for this user", db,
		  strerror(error));
	return -error;
}

static int too_long(const char *db)
{
	log_error("db: the path is too long (%zu bytes)", strlen(db));
	return -ENAMETOOLONG;
}

int state_lock_take(const char *db, int *fd)
{
	char file[PATH_MAX], path[PATH_MAX + sizeof(lock_ending)];
	int lock, rc;

	if (strlen(db) + sizeof(lock_ending) > PATH_MAX)
		return too_long(db);
	if (!find_file(db, file))
		return say_not_found(db, errno);
	if (strlen(file) + sizeof(lock_ending) > PATH_MAX)
		return too_long(file);
	(void)snprintf(path, sizeof(path), "%s%s", file, lock_ending);
	rc = check_way(db);
	if (rc)
		return rc;
	lock = flopen(path, O_RDWR | O_CREAT | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (lock < 0)
		return say_no_lock(path, errno);
	rc = check_lock(path, lock);
	if (rc)
		close(lock);
	else
		*fd = lock;
	return rc;
}

void state_lock_note(int fd, const char *db, const char *socket, const char word[8])
{
	char text[PATH_MAX + 32];
	int len = snprintf(text, sizeof(text), "%ld\n%s\n%s\n", (long)getpid(), socket, word);

	if (pwrite(fd, text, (size_t)len, 0) != len || ftruncate(fd, len))
		log_warning("%s%s: cannot write the process id: %s", db, lock_ending, strerror(errno));
}
