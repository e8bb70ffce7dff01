/* SPDX-License-Identifier: MIT */
/*
 * disk_private.h - what disk.c (what happens to a disk) and disk_crash.c (what is left of it) share.
 */
#ifndef SHC_TEST_DISK_PRIVATE_H
#define SHC_TEST_DISK_PRIVATE_H

#include "disk.h"

enum { DISK_PATH_MAX = 512 };

/* Something done to a file and not synced. */
struct disk_op {
	uint64_t moment; /* of the disk's clock: one tick for each thing done */
	bool is_truncate;
	size_t at, len;	     /* truncate: `at` is the new size */
	unsigned char *data; /* owned */
	size_t size_after;   /* of the file */
};

struct disk_file {
	struct disk *disk;
	uint64_t number; /* of this disk */
	unsigned refs;	 /* entries, changes of entries, handles */
	unsigned char *synced;
	size_t synced_size;
	struct disk_op *ops; /* since then, in order */
	size_t op_count, op_cap;
	size_t size; /* as programs see it */
};

struct disk_entry {
	char *name;
	struct disk_file *file; /* null: removed */
	uint64_t moment;
};

struct disk_entries {
	struct disk_entry *items;
	size_t count, cap;
};

struct disk {
	char *dir;
	struct disk_entries entries; /* synced; each name once */
	struct disk_entries changes; /* since then, in order */
	uint64_t moment;
	uint64_t file_number;
};

void disk_die(const char *what);
/* Everything that was written to it; the caller frees it. */
unsigned char *disk_content(const struct disk_file *f, size_t *size);
void disk_put_file(const char *dir, const char *name, const void *data, size_t size);

#endif
