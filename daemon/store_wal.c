/* SPDX-License-Identifier: MIT */
/*
 * store_wal.c - the -wal file: how long it is, what of it is in the database already, and room ahead of its
 * end.
 *
 * A file that grows costs an fdatasync a second write, of its new length (ext4, 8 KiB: 181 us, against 102 us
 * inside what is there already). SQLite lets the log grow by a few pages a commit and starts it again when
 * all of it is in the database; so only the first round is slow, of as many commits as there are pages
 * between two checkpoints. Zeros written ahead, more at a time, make that round as fast as the later ones
 * (`bench/run durable/one-connection`: p50 340 us a request before, 198 us after).
 * Behind its end a log may hold anything: a frame counts when salt and checksum fit those before it.
 */
#include "store_private.h"

#include <errno.h>

enum {
	WAL_HEADER_BYTES = 32,
	FRAME_BYTES = 24 + STORE_PAGE_BYTES,
	AHEAD_FRAMES = 16, /* the pages of a usual commit, and some */
	GROW_BYTES_MIN = 64 << 10,
	GROW_BYTES_MAX = 1 << 20,
	HELD_FRAMES = 32768, /* 128 MiB: twice of what is usual between two checkpoints */
};

int store_on_wal(void *arg, sqlite3 *db, const char *name, int frames)
{
	struct store *s = arg;

	(void)db;
	(void)name;
	s->wal_frames = (unsigned)frames;
	if (s->wal_frames < s->wal_frames_settled)
		s->wal_frames_settled = 0; /* started again from its beginning */
	if (s->wal_frames < s->wal_frames_last)
		s->is_wal_held = false;
	s->wal_frames_last = s->wal_frames;
	return SQLITE_OK;
}

bool store_is_log_held(const struct store *s, int64_t *bytes)
{
	*bytes = (int64_t)FRAME_BYTES * s->wal_frames_last;
	return s->is_wal_held;
}

/* Nobody else writes, so what a checkpoint has to leave is what a reader does not see yet: its view is older.
 * As long as that lasts, the log cannot be started again. */
static void look_for_holder(struct store *s, int frames, int settled)
{
	if (settled < frames && frames >= HELD_FRAMES)
		s->is_wal_held = true;
}

static int log_file(struct store *s, sqlite3_file **f)
{
	int rc = sqlite3_file_control(s->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, f);

	return rc == SQLITE_OK && !(*f)->pMethods ? SQLITE_NOTFOUND : rc;
}

int store_sync_log(struct store *s)
{
	sqlite3_file *f = NULL;
	int rc = log_file(s, &f);

	if (rc == SQLITE_OK)
		rc = f->pMethods->xSync(f, SQLITE_SYNC_NORMAL);
	return rc == SQLITE_OK || rc == SQLITE_NOTFOUND ? STORE_OK
							: store_fail(s, rc, "syncing the write-ahead log");
}

static int write_zeros(sqlite3_file *f, int64_t at, int64_t end)
{
	static char zeros[GROW_BYTES_MIN];
	int rc = SQLITE_OK;

	for (; at < end && rc == SQLITE_OK; at += GROW_BYTES_MIN)
		rc = f->pMethods->xWrite(f, zeros, GROW_BYTES_MIN, at);
	return rc;
}

int store_make_room(struct store *s)
{
	sqlite3_file *f = NULL;
	sqlite3_int64 size = 0;
	int64_t step, need = WAL_HEADER_BYTES + (int64_t)FRAME_BYTES * (s->wal_frames + AHEAD_FRAMES);
	int rc;

	if (need <= s->wal_bytes)
		return STORE_OK;
	rc = log_file(s, &f);
	if (rc == SQLITE_OK)
		rc = f->pMethods->xFileSize(f, &size);
	if (rc == SQLITE_OK && size > 0 && size < need) {
		/* As much again as there is: a small state keeps a small log. */
		step = size < GROW_BYTES_MIN ? GROW_BYTES_MIN : size > GROW_BYTES_MAX ? GROW_BYTES_MAX : size;
		rc = write_zeros(f, size, size + step);
		size += step;
	}
	if (rc == SQLITE_OK)
		s->wal_bytes = size;
	if (rc == SQLITE_OK || store_fail(s, rc, "making room in the write-ahead log") == STORE_RETRY)
		return STORE_OK; /* no room: what is to be written may find some, and says so if not */
	return -EIO;
}

int store_checkpoint(struct store *s, unsigned frames_min)
{
	int rc, frames = 0, settled = 0;

	if (s->is_failed)
		return -EIO;
	if (s->wal_frames - s->wal_frames_settled <= frames_min)
		return STORE_OK;
	s->is_checkpointing = true;
	rc = sqlite3_wal_checkpoint_v2(s->db, "main", SQLITE_CHECKPOINT_PASSIVE, &frames, &settled);
	if (rc != SQLITE_OK)
		rc = store_fail(s, rc, "moving committed pages into the database");
	s->is_checkpointing = false;
	if (rc != SQLITE_OK)
		return rc;
	look_for_holder(s, frames, settled);
	/* All settled: the next commit starts the file again, and its hook says how long it is. */
	s->wal_frames = frames > settled ? (unsigned)frames : 0;
	s->wal_frames_settled = frames > settled && settled > 0 ? (unsigned)settled : 0;
	store_count(&s->stats.checkpoints, 1);
	return STORE_OK;
}
