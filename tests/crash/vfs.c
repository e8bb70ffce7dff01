/* SPDX-License-Identifier: MIT */
/*
 * vfs.c - hands every call on to the unix VFS, and tells the disk model what it did.
 */
#include "vfs.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

enum { DISKS_MAX = 8 };

struct attached {
	struct disk *disk; /* null: free */
	vfs_point_fn *fn;
	void *arg;
};

static struct {
	sqlite3_vfs *unix_vfs;
	sqlite3_vfs vfs;
	struct attached disks[DISKS_MAX];
	uint64_t counts[VFS_EVENT_COUNT];
	uint64_t random;
	bool is_powersafe;
	enum vfs_lie lie;
} all = {.is_powersafe = true};

/* As SQLite allocates it: the unix VFS's file follows. */
struct file {
	sqlite3_file base;
	const struct attached *attached; /* null: not on a disk of ours */
	struct disk_file *on_disk;
	const char *name;  /* SQLite keeps it until close */
	enum vfs_lie liar; /* who says this file was synced and lies */
	bool is_powersafe;
	bool is_name_new; /* the directory is synced with the first sync */
};

static sqlite3_file *real(sqlite3_file *f)
{
	return (sqlite3_file *)(void *)((struct file *)(void *)f + 1);
}

static struct file *ours(sqlite3_file *f)
{
	return (struct file *)(void *)f;
}

const char *vfs_event_name(enum vfs_event event)
{
	static const char *const names[VFS_EVENT_COUNT] = {
		"before sync of",      "before directory sync of", "after sync of",	"after a write to",
		"after truncation of", "after creation of",	   "after deletion of",
	};

	return names[event];
}

uint64_t vfs_count(enum vfs_event event)
{
	return all.counts[event];
}

static void tell(const struct attached *attached, enum vfs_event event, const char *name)
{
	all.counts[event]++;
	if (attached->fn)
		attached->fn(attached->arg, event, name);
}

/* ---- disks ---- */

/* By the directory of a path; null: none. *name is set to what stands behind. */
static struct attached *find_disk(const char *path, const char **name)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	for (size_t i = 0; slash && i < DISKS_MAX; i++) {
		const char *dir = all.disks[i].disk ? disk_dir(all.disks[i].disk) : "";

		if (*dir && strlen(dir) == (size_t)(slash - path) && memcmp(dir, path, strlen(dir)) == 0) {
			*name = slash + 1;
			return &all.disks[i];
		}
	}
	return NULL;
}

void vfs_attach(struct disk *d, vfs_point_fn *fn, void *arg)
{
	for (size_t i = 0; i < DISKS_MAX; i++) {
		if (all.disks[i].disk)
			continue;
		all.disks[i] = (struct attached){.disk = d, .fn = fn, .arg = arg};
		return;
	}
	abort();
}

void vfs_detach(struct disk *d)
{
	for (size_t i = 0; i < DISKS_MAX; i++)
		if (all.disks[i].disk == d)
			all.disks[i] = (struct attached){0};
}

/* ---- a file ---- */

static int file_close(sqlite3_file *f)
{
	int rc = real(f)->pMethods ? real(f)->pMethods->xClose(real(f)) : SQLITE_OK;

	if (ours(f)->on_disk)
		disk_close(ours(f)->on_disk);
	ours(f)->on_disk = NULL;
	return rc;
}

static int file_read(sqlite3_file *f, void *data, int len, sqlite3_int64 at)
{
	return real(f)->pMethods->xRead(real(f), data, len, at);
}

static int file_write(sqlite3_file *f, const void *data, int len, sqlite3_int64 at)
{
	int rc = real(f)->pMethods->xWrite(real(f), data, len, at);

	if (rc == SQLITE_OK && ours(f)->on_disk) {
		disk_write(ours(f)->on_disk, (size_t)at, data, (size_t)len);
		tell(ours(f)->attached, VFS_AFTER_WRITE, ours(f)->name);
	}
	return rc;
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	int rc = real(f)->pMethods->xTruncate(real(f), size);

	if (rc == SQLITE_OK && ours(f)->on_disk) {
		disk_truncate(ours(f)->on_disk, (size_t)size);
		tell(ours(f)->attached, VFS_AFTER_TRUNCATE, ours(f)->name);
	}
	return rc;
}

static int file_sync(sqlite3_file *f, int flags)
{
	struct file *o = ours(f);

	if (!o->on_disk)
		return real(f)->pMethods->xSync(real(f), flags);
	tell(o->attached, VFS_BEFORE_SYNC, o->name);
	if (all.lie == VFS_HONEST || all.lie != o->liar)
		disk_sync(o->on_disk);
	if (o->is_name_new) {
		tell(o->attached, VFS_BEFORE_DIR_SYNC, o->name);
		if (all.lie != VFS_LIES_ABOUT_DIRECTORY)
			disk_sync_entries(o->attached->disk);
		o->is_name_new = false;
	}
	tell(o->attached, VFS_AFTER_SYNC, o->name);
	return SQLITE_OK;
}

static int file_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return real(f)->pMethods->xFileSize(real(f), size);
}

static int file_lock(sqlite3_file *f, int level)
{
	return real(f)->pMethods->xLock(real(f), level);
}

static int file_unlock(sqlite3_file *f, int level)
{
	return real(f)->pMethods->xUnlock(real(f), level);
}

static int file_check_lock(sqlite3_file *f, int *is_reserved)
{
	return real(f)->pMethods->xCheckReservedLock(real(f), is_reserved);
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
	return real(f)->pMethods->xFileControl(real(f), op, arg);
}

static int file_sector_size(sqlite3_file *f)
{
	return real(f)->pMethods->xSectorSize(real(f));
}

/* Only what the model keeps: no write is atomic, no order is kept between syncs. */
static int file_characteristics(sqlite3_file *f)
{
	int kept = real(f)->pMethods->xDeviceCharacteristics(real(f));

	if (!ours(f)->on_disk)
		return kept;
	kept &= SQLITE_IOCAP_UNDELETABLE_WHEN_OPEN;
	return ours(f)->is_powersafe ? kept | SQLITE_IOCAP_POWERSAFE_OVERWRITE : kept;
}

static int file_shm_map(sqlite3_file *f, int region, int size, int is_extending, void volatile **out)
{
	return real(f)->pMethods->xShmMap(real(f), region, size, is_extending, out);
}

static int file_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	return real(f)->pMethods->xShmLock(real(f), offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *f)
{
	real(f)->pMethods->xShmBarrier(real(f));
}

static int file_shm_unmap(sqlite3_file *f, int is_deleting)
{
	return real(f)->pMethods->xShmUnmap(real(f), is_deleting);
}

/* Version 2: shared memory, but no pages read through a map. */
static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = file_lock,
	.xUnlock = file_unlock,
	.xCheckReservedLock = file_check_lock,
	.xFileControl = file_control,
	.xSectorSize = file_sector_size,
	.xDeviceCharacteristics = file_characteristics,
	.xShmMap = file_shm_map,
	.xShmLock = file_shm_lock,
	.xShmBarrier = file_shm_barrier,
	.xShmUnmap = file_shm_unmap,
};

/* ---- the file system ---- */

static void put_on_disk(struct file *o, const struct attached *attached, const char *name, int flags,
			bool is_new)
{
	enum { NAMED = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL };

	o->attached = attached;
	o->name = name;
	o->on_disk = disk_open(attached->disk, name);
	o->is_powersafe = all.is_powersafe;
	o->is_name_new = (flags & SQLITE_OPEN_CREATE) && (flags & NAMED);
	o->liar = flags & SQLITE_OPEN_WAL	? VFS_LIES_ABOUT_WAL
		  : flags & SQLITE_OPEN_MAIN_DB ? VFS_LIES_ABOUT_DATABASE
						: VFS_LIES_ABOUT_JOURNAL;
	if (is_new)
		tell(attached, VFS_AFTER_CREATE, name);
}

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *flags_out)
{
	const char *name = NULL;
	const struct attached *attached = flags & SQLITE_OPEN_DELETEONCLOSE ? NULL : find_disk(path, &name);
	int exists = 0, rc;

	(void)vfs;
	memset(f, 0, sizeof(struct file));
	if (attached)
		all.unix_vfs->xAccess(all.unix_vfs, path, SQLITE_ACCESS_EXISTS, &exists);
	rc = all.unix_vfs->xOpen(all.unix_vfs, path, real(f), flags, flags_out);
	if (rc != SQLITE_OK)
		return rc;
	ours(f)->base.pMethods = &methods;
	if (attached)
		put_on_disk(ours(f), attached, name, flags, !exists);
	return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int is_dir_synced)
{
	const char *name = NULL;
	const struct attached *attached = find_disk(path, &name);
	int rc = all.unix_vfs->xDelete(all.unix_vfs, path, attached ? 0 : is_dir_synced);

	(void)vfs;
	if (rc != SQLITE_OK || !attached)
		return rc;
	disk_unlink(attached->disk, name);
	tell(attached, VFS_AFTER_DELETE, name);
	if (is_dir_synced && all.lie != VFS_LIES_ABOUT_DIRECTORY)
		disk_sync_entries(attached->disk);
	return SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *vfs, int len, char *out)
{
	(void)vfs;
	for (int i = 0; i < len; i++)
		out[i] = (char)disk_mix(all.random++, 0);
	return len;
}

static int vfs_time(sqlite3_vfs *vfs, sqlite3_int64 *ms)
{
	(void)vfs;
	*ms = INT64_C(212344459200000); /* some day in 2017 */
	return SQLITE_OK;
}

static int vfs_time_days(sqlite3_vfs *vfs, double *days)
{
	sqlite3_int64 ms;

	vfs_time(vfs, &ms);
	*days = (double)ms / 86400000.0;
	return SQLITE_OK;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
	(void)vfs;
	return all.unix_vfs->xSleep(all.unix_vfs, us);
}

void vfs_register(void)
{
	int rc;

	all.unix_vfs = sqlite3_vfs_find("unix");
	assert(all.unix_vfs);
	all.vfs = *all.unix_vfs;
	all.vfs.zName = "power";
	all.vfs.szOsFile = (int)sizeof(struct file) + all.unix_vfs->szOsFile;
	all.vfs.xOpen = vfs_open;
	all.vfs.xDelete = vfs_delete;
	all.vfs.xRandomness = vfs_randomness;
	all.vfs.xSleep = vfs_sleep;
	all.vfs.xCurrentTime = vfs_time_days;
	all.vfs.xCurrentTimeInt64 = vfs_time;
	rc = sqlite3_vfs_register(&all.vfs, 1);
	assert(rc == SQLITE_OK);
	(void)rc;
}

void vfs_seed(uint64_t seed)
{
	all.random = seed << 20;
	sqlite3_randomness(0, NULL);
}

void vfs_set_powersafe(bool is_powersafe)
{
	all.is_powersafe = is_powersafe;
}

void vfs_set_lie(enum vfs_lie lie)
{
	all.lie = lie;
}
