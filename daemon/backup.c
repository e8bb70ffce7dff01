/* SPDX-License-Identifier: MIT */
/* backup.c - see backup.h. Entered by workers and by its own thread. */
#include "backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/log.h"
#include "store.h"

void backup_init(struct backup *b, const char *db)
{
	char journal[sizeof(b->target) + 8];

	memset(b, 0, sizeof(*b));
	b->db = db;
	b->fd = -1;
	pthread_mutex_init(&b->mutex, NULL);
	/* Nobody's file has such a name: what is there is of a daemon that was killed. */
	if ((size_t)snprintf(b->target, sizeof(b->target), "%s.copying", db) >= sizeof(b->target)) {
		b->target[0] = 0; /* backup_start says so */
		return;
	}
	(void)snprintf(journal, sizeof(journal), "%s-journal", b->target);
	(void)unlink(b->target);
	(void)unlink(journal);
}

/* Under the mutex, when no thread runs. */
static void reset(struct backup *b)
{
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
	b->state = BACKUP_NONE;
	b->owner = 0;
}

/* A thread that has ended, or is about to. */
static void join(struct backup *b)
{
	if (b->has_thread)
		pthread_join(b->thread, NULL);
	b->has_thread = false;
}

void backup_fini(struct backup *b)
{
	atomic_store(&b->is_cancelled, true);
	join(b);
	reset(b);
	pthread_mutex_destroy(&b->mutex);
}

bool backup_take(struct backup *b, uint64_t owner, struct waker *waker)
{
	bool is_taken = false;

	pthread_mutex_lock(&b->mutex);
	if (b->state == BACKUP_NONE) {
		b->state = BACKUP_ASKED;
		b->owner = owner;
		b->waker = waker;
		is_taken = true;
	}
	pthread_mutex_unlock(&b->mutex);
	return is_taken;
}

/* ---- the thread ---- */

/* The copy without its name. -1 with errno. */
static int open_nameless(const char *target, int64_t *size_bytes)
{
	struct stat st;
	int fd = open(target, O_RDONLY | O_CLOEXEC);

	(void)unlink(target);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0) {
		close(fd);
		return -1;
	}
	*size_bytes = st.st_size;
	return fd;
}

static void finish(struct backup *b, int rc, int fd, int64_t size_bytes)
{
	struct waker *waker;

	pthread_mutex_lock(&b->mutex);
	b->fd = fd;
	b->size_bytes = size_bytes;
	b->state = rc ? BACKUP_FAILED : BACKUP_DONE;
	waker = b->owner ? b->waker : NULL;
	if (!b->owner)
		reset(b);
	pthread_mutex_unlock(&b->mutex);
	/* Workers outlive this thread. */
	if (waker)
		waker_wake(waker);
}

static void *run(void *arg)
{
	struct backup *b = arg;
	int64_t size_bytes = 0;
	int fd = -1;
	int rc = store_backup(b->db, b->target, &b->is_cancelled, b->why, sizeof(b->why));

	if (!rc) {
		fd = open_nameless(b->target, &size_bytes);
		rc = fd < 0 ? -errno : 0;
		if (rc)
			snprintf(b->why, sizeof(b->why), "%.400s: %s", b->target, strerror(-rc));
	}
	if (rc)
		log_warning("backup: %s", b->why);
	finish(b, rc, fd, size_bytes);
	return NULL;
}

/* ---- the owner ---- */

int backup_start(struct backup *b, uint64_t owner)
{
	int rc = 0;

	pthread_mutex_lock(&b->mutex);
	if (b->owner != owner || b->state != BACKUP_ASKED)
		rc = -EINVAL;
	else if (!b->target[0])
		rc = -ENAMETOOLONG;
	if (!rc) {
		join(b); /* the last one's has ended: its state was NONE again */
		atomic_store(&b->is_cancelled, false);
		rc = -pthread_create(&b->thread, NULL, run, b);
		b->has_thread = rc == 0;
		b->state = rc ? BACKUP_ASKED : BACKUP_RUNNING;
	}
	pthread_mutex_unlock(&b->mutex);
	return rc;
}

enum backup_state backup_look(struct backup *b, uint64_t owner, int64_t *size_bytes, const char **why)
{
	enum backup_state state = BACKUP_NONE;

	pthread_mutex_lock(&b->mutex);
	if (b->owner == owner) {
		state = b->state;
		*size_bytes = b->size_bytes;
		*why = b->why;
	}
	pthread_mutex_unlock(&b->mutex);
	return state;
}

ssize_t backup_read(struct backup *b, uint64_t owner, void *data, size_t len, int64_t offset)
{
	ssize_t n;
	int fd;

	pthread_mutex_lock(&b->mutex);
	fd = b->owner == owner ? b->fd : -1;
	pthread_mutex_unlock(&b->mutex);
	/* Only the owner closes it, and that is the caller. */
	do
		n = fd < 0 ? (errno = EBADF, -1) : pread(fd, data, len, offset);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

bool backup_drop(struct backup *b, uint64_t owner)
{
	bool is_owner;

	pthread_mutex_lock(&b->mutex);
	is_owner = b->owner == owner && b->state != BACKUP_NONE;
	if (is_owner) {
		b->owner = 0;
		atomic_store(&b->is_cancelled, true);
		/* A thread that runs cleans up behind itself. */
		if (b->state != BACKUP_RUNNING)
			reset(b);
	}
	pthread_mutex_unlock(&b->mutex);
	return is_owner;
}
