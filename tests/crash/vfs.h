/* SPDX-License-Identifier: MIT */
/*
 * vfs.h - SQLite on a disk whose power can fail (disk.h): a VFS around the unix one.
 *
 * It becomes the default, so the program under test is linked as it is. Files in the directory of a disk that
 * is attached are remembered by that disk; all others are SQLite's own business. The -shm file is memory and
 *is never on a disk. What the unix VFS does about directories is done here, too: a new -journal or -wal file
 *has its directory synced with its own first sync, the database has not; a deletion is synced when SQLite
 *asks for it.
 *
 * Nothing is really synced: the disk under the test does not matter. Time stands still and randomness comes
 * from a seed, so that a run can be repeated.
 *
 *	vfs_register();
 *	disk_empty(dir);
 *	vfs_attach(d = disk_new(dir), on_point, me);	on_point: disk_crash(d, loss, other), open it, compare
 *	store_open(&s, "DIR/counters.db", STORE_CREATE); ...
 *	store_close(s);
 *	vfs_detach(d);
 *	disk_free(d);
 *
 * One thread at a time. on_point may itself use SQLite, on files in other directories.
 */
#ifndef SHC_TEST_VFS_H
#define SHC_TEST_VFS_H

#include <stdbool.h>
#include <stdint.h>

#include "disk.h"

/* Where a crash is possible. "Before" and "after" are the same state with or without what is named. */
enum vfs_event {
	VFS_BEFORE_SYNC,     /* of a file */
	VFS_BEFORE_DIR_SYNC, /* the file is synced, its new name not yet */
	VFS_AFTER_SYNC,	     /* not returned yet */
	VFS_AFTER_WRITE,
	VFS_AFTER_TRUNCATE,
	VFS_AFTER_CREATE,
	VFS_AFTER_DELETE,
	VFS_EVENT_COUNT,
};

const char *vfs_event_name(enum vfs_event event);

/* `name` is the file's, without directory. */
typedef void vfs_point_fn(void *arg, enum vfs_event event, const char *name);

/* Once, before SQLite is used. */
void vfs_register(void);
/* What SQLite draws from now on (checksums' salts). */
void vfs_seed(uint64_t seed);
/* Does SQLite believe that a write does no harm to its neighbours when it is torn
 * (SQLITE_IOCAP_POWERSAFE_OVERWRITE)? The unix VFS says so unless told otherwise, hence true. Is asked when a
 * file is opened. */
void vfs_set_powersafe(bool is_powersafe);

/* Files that are opened in the disk's directory from now on. fn may be null. */
void vfs_attach(struct disk *d, vfs_point_fn *fn, void *arg);
/* They are closed again. */
void vfs_detach(struct disk *d);

/* Since the program began, on attached disks, by event. Writes and so on that nobody listened to count. */
uint64_t vfs_count(enum vfs_event event);

/* ---- for tests of the test ---- */

/* A disk that says "synced" and is not. */
enum vfs_lie {
	VFS_HONEST,
	VFS_LIES_ABOUT_WAL,	  /* sync of a -wal does nothing */
	VFS_LIES_ABOUT_DATABASE,  /* of the database */
	VFS_LIES_ABOUT_JOURNAL,	  /* of a -journal */
	VFS_LIES_ABOUT_DIRECTORY, /* names are never synced */
};
void vfs_set_lie(enum vfs_lie lie);

#endif
