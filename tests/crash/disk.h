/* SPDX-License-Identifier: MIT */
/*
 * disk.h - a model of what a disk keeps of one directory when the power fails.
 *
 * The files themselves lie in the directory as usual; the model sits beside them and is told every write,
 * truncation, sync, creation and deletion. It knows per file the bytes that were synced and, in order, what
 * came later, and the same for the directory's entries. From that it writes the files of one possible world
 * after a crash into another directory.
 *
 * The rules. What was synced is there. Of the rest, a sector of 512 bytes holds what it held at any one
 * moment since its last sync, and its neighbour may be of another moment (writes are reordered, and one write
 * is torn between its sectors). The length of a file is that of any moment, whatever became of the data:
 * sectors that it brought and nothing has filled are zeros or rubbish. A name points to what it did at any
 * moment since the directory was synced, each name for itself. A sector is written wholly or not at all,
 * unless the disk is told to be `is_damaging`: then a sector that was to be written may be rubbish, too, with
 * the bytes in it that were not to be changed.
 *
 * No SQLite, one thread. Everything ends the program when memory or the real file system fails: these are
 * tests.
 */
#ifndef SHC_TEST_DISK_H
#define SHC_TEST_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DISK_SECTOR_BYTES = 512 };

struct disk;
struct disk_file; /* a file, whatever its name is now, or none */

/* Which of the possible worlds. `seed` draws within it. */
enum disk_keep {
	DISK_KEEP_NONE,	    /* only what was synced */
	DISK_KEEP_ALL,	    /* everything, as when only the process dies */
	DISK_KEEP_PREFIX,   /* what came before one moment, in all files */
	DISK_KEEP_TORN,	    /* the same, and some sectors of the write at that moment */
	DISK_KEEP_SECTORS,  /* every sector as synced or as it is now */
	DISK_KEEP_VERSIONS, /* every sector as at some moment */
	DISK_KEEP_MIXED,    /* one of these for every file, and one for the directory */
	DISK_KEEP_COUNT,
};

struct disk_loss {
	enum disk_keep keep;
	bool is_damaging;
	uint64_t seed;
};

const char *disk_keep_name(enum disk_keep keep);

/* Files that are in the directory already count as synced. */
struct disk *disk_new(const char *dir);
/* No file may be open. Leaves the directory as it is. Returns null. */
struct disk *disk_free(struct disk *d);
const char *disk_dir(const struct disk *d);

/* Fills `dir` (empty) with what a crash now leaves behind. */
void disk_crash(const struct disk *d, struct disk_loss loss, const char *dir);
/* Only the process is killed: fills `dir` with everything, and what is not synced yet may still be lost by
 * the new disk. */
struct disk *disk_copy(const struct disk *d, const char *dir);

/* ---- what is done to it ---- names are without the directory */

/* The file of that name, made when there is none. disk_close drops it. */
struct disk_file *disk_open(struct disk *d, const char *name);
void disk_close(struct disk_file *f);
void disk_write(struct disk_file *f, size_t at, const void *data, size_t len);
void disk_truncate(struct disk_file *f, size_t size);
void disk_sync(struct disk_file *f);
void disk_unlink(struct disk *d, const char *name);
void disk_sync_entries(struct disk *d);

/* Is there anything a crash could take? */
bool disk_is_settled(const struct disk *d);

/* ---- */

/* A number that depends on both, evenly. */
uint64_t disk_mix(uint64_t seed, uint64_t number);
/* Removes the files in a directory; makes it when there is none. */
void disk_empty(const char *dir);

#endif
