/* SPDX-License-Identifier: MIT */
/*
 * disk.c - the files and entries of a disk, and what is done to them. What a crash leaves of it:
 * disk_crash.c.
 */
#include "disk_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void disk_die(const char *what)
{
	fprintf(stderr, "disk model: %s: %s\n", what, strerror(errno));
	abort();
}

static void *grow(void *items, size_t count, size_t *cap, size_t item_size)
{
	if (count < *cap)
		return items;
	*cap = *cap ? 2 * *cap : 16;
	items = reallocarray(items, *cap, item_size);
	return items ? items : (disk_die("memory"), NULL);
}

uint64_t disk_mix(uint64_t seed, uint64_t number)
{
	uint64_t z = seed + (number + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* ---- files ---- */

static struct disk_file *file_new(struct disk *d)
{
	struct disk_file *f = calloc(1, sizeof(*f));

	if (!f)
		disk_die("memory");
	f->disk = d;
	f->number = d->file_number++;
	return f;
}

static void forget_ops(struct disk_file *f)
{
	for (size_t i = 0; i < f->op_count; i++)
		free(f->ops[i].data);
	f->op_count = 0;
}

static struct disk_file *file_ref(struct disk_file *f)
{
	if (f)
		f->refs++;
	return f;
}

/* By a handle or an entry. */
static void file_unref(struct disk_file *f)
{
	if (!f || --f->refs > 0)
		return;
	forget_ops(f);
	free(f->ops);
	free(f->synced);
	free(f);
}

static struct disk_op *add_op(struct disk_file *f)
{
	struct disk_op *op;

	f->ops = grow(f->ops, f->op_count, &f->op_cap, sizeof(*f->ops));
	op = &f->ops[f->op_count++];
	*op = (struct disk_op){.moment = f->disk->moment++, .size_after = f->size};
	return op;
}

void disk_write(struct disk_file *f, size_t at, const void *data, size_t len)
{
	struct disk_op *op = add_op(f);

	op->at = at;
	op->len = len;
	op->data = malloc(len + 1);
	if (!op->data)
		disk_die("memory");
	memcpy(op->data, data, len);
	if (at + len > f->size)
		f->size = at + len;
	op->size_after = f->size;
}

void disk_truncate(struct disk_file *f, size_t size)
{
	struct disk_op *op = add_op(f);

	op->is_truncate = true;
	op->at = size;
	f->size = op->size_after = size;
}

static void set_synced(struct disk_file *f, unsigned char *data, size_t size)
{
	free(f->synced);
	f->synced = data;
	f->synced_size = f->size = size;
}

void disk_sync(struct disk_file *f)
{
	size_t size;
	unsigned char *now;

	if (f->op_count == 0)
		return;
	now = disk_content(f, &size);
	forget_ops(f);
	set_synced(f, now, size);
}

/* ---- entries ---- */

static void add_entry(struct disk_entries *l, const char *name, struct disk_file *f, uint64_t moment)
{
	l->items = grow(l->items, l->count, &l->cap, sizeof(*l->items));
	l->items[l->count] = (struct disk_entry){.name = strdup(name), .file = file_ref(f), .moment = moment};
	if (!l->items[l->count++].name)
		disk_die("memory");
}

static void drop_entries(struct disk_entries *l)
{
	for (size_t i = 0; i < l->count; i++) {
		file_unref(l->items[i].file);
		free(l->items[i].name);
	}
	l->count = 0;
}

/* The newest of that name; null. */
static struct disk_entry *find_entry(const struct disk_entries *l, const char *name)
{
	for (size_t i = l->count; i > 0; i--) {
		if (strcmp(l->items[i - 1].name, name) == 0)
			return &l->items[i - 1];
	}
	return NULL;
}

static struct disk_file *find_file(const struct disk *d, const char *name)
{
	const struct disk_entry *entry = find_entry(&d->changes, name);

	if (!entry)
		entry = find_entry(&d->entries, name);
	return entry ? entry->file : NULL;
}

struct disk_file *disk_open(struct disk *d, const char *name)
{
	struct disk_file *f = find_file(d, name);

	if (!f) {
		f = file_new(d);
		add_entry(&d->changes, name, f, d->moment++);
	}
	return file_ref(f);
}

void disk_close(struct disk_file *f)
{
	file_unref(f);
}

void disk_unlink(struct disk *d, const char *name)
{
	if (find_file(d, name))
		add_entry(&d->changes, name, NULL, d->moment++);
}

void disk_sync_entries(struct disk *d)
{
	struct disk_entries now = {0};

	for (size_t i = 0; i < d->entries.count; i++) {
		const struct disk_entry *entry = &d->entries.items[i];

		if (!find_entry(&d->changes, entry->name))
			add_entry(&now, entry->name, entry->file, 0);
	}
	for (size_t i = 0; i < d->changes.count; i++) {
		const struct disk_entry *entry = &d->changes.items[i];

		if (entry->file && find_entry(&d->changes, entry->name) == entry)
			add_entry(&now, entry->name, entry->file, 0);
	}
	drop_entries(&d->changes);
	drop_entries(&d->entries);
	free(d->entries.items);
	d->entries = now;
}

bool disk_is_settled(const struct disk *d)
{
	for (size_t i = 0; i < d->entries.count; i++) {
		if (d->entries.items[i].file->op_count > 0)
			return false;
	}
	return d->changes.count == 0;
}

/* ---- disks ---- */

static int open_in(const char *dir, const char *name, int flags)
{
	char path[DISK_PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		disk_die(path);
	return fd;
}

static void read_synced(struct disk_file *f, const char *dir, const char *name)
{
	int fd = open_in(dir, name, O_RDONLY);
	unsigned char *data = NULL;
	struct stat st;

	if (fstat(fd, &st) < 0 || !(data = malloc((size_t)st.st_size + 1)))
		disk_die(name);
	if (read(fd, data, (size_t)st.st_size) != st.st_size)
		disk_die(name);
	close(fd);
	set_synced(f, data, (size_t)st.st_size);
}

void disk_put_file(const char *dir, const char *name, const void *data, size_t size)
{
	int fd = open_in(dir, name, O_WRONLY | O_CREAT | O_EXCL);

	if (write(fd, data, size) != (ssize_t)size || close(fd) < 0)
		disk_die(name);
}

static struct disk *make(const char *dir)
{
	struct disk *d = calloc(1, sizeof(*d));

	if (!d || !(d->dir = strdup(dir)))
		disk_die("memory");
	return d;
}

struct disk *disk_new(const char *dir)
{
	struct disk *d = make(dir);
	DIR *listing = opendir(dir);
	const struct dirent *found;

	if (!listing)
		disk_die(dir);
	while ((found = readdir(listing))) {
		struct disk_file *f;

		if (found->d_type != DT_REG)
			continue;
		f = file_new(d);
		read_synced(f, dir, found->d_name);
		add_entry(&d->entries, found->d_name, f, 0);
	}
	closedir(listing);
	return d;
}

struct disk *disk_free(struct disk *d)
{
	if (!d)
		return NULL;
	drop_entries(&d->entries);
	drop_entries(&d->changes);
	free(d->entries.items);
	free(d->changes.items);
	free(d->dir);
	free(d);
	return NULL;
}

const char *disk_dir(const struct disk *d)
{
	return d->dir;
}

/* ---- a copy ---- */

static struct disk_file *copy_file(struct disk *d, const struct disk_file *from)
{
	struct disk_file *f = file_new(d);
	unsigned char *synced = malloc(from->synced_size + 1);

	if (!synced)
		disk_die("memory");
	if (from->synced_size > 0)
		memcpy(synced, from->synced, from->synced_size);
	set_synced(f, synced, from->synced_size);
	for (size_t i = 0; i < from->op_count; i++) {
		if (from->ops[i].is_truncate)
			disk_truncate(f, from->ops[i].at);
		else
			disk_write(f, from->ops[i].at, from->ops[i].data, from->ops[i].len);
		f->ops[i].moment = from->ops[i].moment;
	}
	return f;
}

/* A file may have an old and a new entry. */
static void copy_entries(struct disk *d, const struct disk *from, const struct disk_entries *l,
			 struct disk_entries *to)
{
	for (size_t i = 0; i < l->count; i++) {
		const struct disk_entry *entry = &l->items[i];
		const struct disk_entry *old =
			l == &from->entries ? NULL : find_entry(&from->entries, entry->name);

		if (!entry->file)
			add_entry(to, entry->name, NULL, entry->moment);
		else if (old && old->file == entry->file)
			add_entry(to, entry->name, find_entry(&d->entries, entry->name)->file, entry->moment);
		else
			add_entry(to, entry->name, copy_file(d, entry->file), entry->moment);
	}
}

struct disk *disk_copy(const struct disk *d, const char *dir)
{
	struct disk *copy = make(dir);

	copy_entries(copy, d, &d->entries, &copy->entries);
	copy_entries(copy, d, &d->changes, &copy->changes);
	copy->moment = d->moment;
	disk_crash(d, (struct disk_loss){.keep = DISK_KEEP_ALL}, dir);
	return copy;
}

void disk_empty(const char *dir)
{
	struct dirent *found;
	DIR *listing;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		disk_die(dir);
	listing = opendir(dir);
	if (!listing)
		disk_die(dir);
	while ((found = readdir(listing)))
		unlinkat(dirfd(listing), found->d_name, 0);
	closedir(listing);
}
