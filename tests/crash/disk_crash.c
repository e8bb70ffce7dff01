/* SPDX-License-Identifier: MIT */
/*
 * disk_crash.c - one possible world after a crash.
 *
 * Every sector of a file has a threshold: what was done to it before is kept, what came later is not. The
 * length of the file and every name of the directory have one, too. How they are drawn is what makes a kind
 * of loss.
 */
#include "disk_private.h"

#include <stdlib.h>
#include <string.h>

/* A kind of loss, for one file or the directory. */
struct fate {
	enum disk_keep keep;
	uint64_t seed;
	uint64_t moment; /* PREFIX, TORN */
	unsigned odds;	 /* SECTORS: of 16, how many are kept */
	bool is_damaging;
	bool is_rubbish; /* what nothing has filled */
};

/* Numbers that are no sectors. */
#define SIZE_NUMBER  UINT64_MAX
#define FATE_NUMBER  (UINT64_MAX - 1)
#define ENTRY_NUMBER (UINT64_MAX - 2)

const char *disk_keep_name(enum disk_keep keep)
{
	static const char *const names[DISK_KEEP_COUNT] = {
		"nothing unsynced is kept", "everything is kept",    "cut at a moment", "cut inside a write",
		"sectors old or new",	    "sectors of any moment", "a mixture",
	};

	return names[keep];
}

/* `whole` is the number of the file, or ENTRY_NUMBER for the directory. */
static struct fate draw_fate(const struct disk *d, struct disk_loss loss, uint64_t whole)
{
	uint64_t own = disk_mix(loss.seed, whole), common = disk_mix(loss.seed, FATE_NUMBER);
	static const unsigned char odds[4] = {8, 1, 15, 4};
	struct fate fate = {.keep = loss.keep, .seed = own, .is_damaging = loss.is_damaging};

	if (loss.keep == DISK_KEEP_MIXED) {
		fate.keep = (enum disk_keep)(own % DISK_KEEP_MIXED);
		common = disk_mix(own, FATE_NUMBER);
	}
	fate.moment = d->moment ? common % (d->moment + 1) : 0;
	fate.odds = odds[own >> 32 & 3];
	fate.is_rubbish = (own >> 40 & 3) == 0;
	return fate;
}

/* The moment lies among the last things done, or few worlds would differ. */
static void aim(struct fate *fate, uint64_t oldest, uint64_t now)
{
	fate->moment = oldest + fate->moment % (now - oldest + 1);
}

/* How many of `count` changes of something are kept; moment_of(i) is when change i happened. */
static size_t threshold(const struct fate *fate, uint64_t number, size_t count, size_t before, bool is_torn)
{
	uint64_t drawn = disk_mix(fate->seed, number);

	switch (fate->keep) {
	case DISK_KEEP_NONE: return 0;
	case DISK_KEEP_PREFIX: return before;
	case DISK_KEEP_TORN: return before + (is_torn && before < count && drawn & 1);
	case DISK_KEEP_SECTORS: return drawn % 16 < fate->odds ? count : 0;
	case DISK_KEEP_VERSIONS: return (size_t)(drawn % (count + 1));
	case DISK_KEEP_ALL:
	case DISK_KEEP_MIXED:
	case DISK_KEEP_COUNT: break;
	}
	return count;
}

/* ---- a file ---- */

/* A file being put together. */
struct image {
	const struct disk_file *file;
	struct fate fate;
	size_t before; /* operations before the fate's moment */
	unsigned char *data;
	bool *is_filled; /* by sector */
	size_t size_max;
};

static size_t sector_threshold(const struct image *image, uint64_t sector)
{
	return threshold(&image->fate, sector, image->file->op_count, image->before, true);
}

static void fill_rubbish(const struct image *image, size_t sector)
{
	size_t at = sector * DISK_SECTOR_BYTES;
	uint64_t seed = disk_mix(image->fate.seed, ~sector);

	for (size_t i = 0; i < DISK_SECTOR_BYTES && at + i < image->size_max; i++)
		image->data[at + i] = (unsigned char)(disk_mix(seed, i / 8) >> (i % 8 * 8));
}

static void apply_write(struct image *image, size_t index, const struct disk_op *op)
{
	for (size_t done = 0; done < op->len;) {
		size_t at = op->at + done, sector = at / DISK_SECTOR_BYTES;
		size_t n = (sector + 1) * DISK_SECTOR_BYTES - at;

		if (n > op->len - done)
			n = op->len - done;
		if (index < sector_threshold(image, sector)) {
			memcpy(image->data + at, op->data + done, n);
			image->is_filled[sector] = true;
		}
		done += n;
	}
}

/* What lies behind reads as zeros when the file grows again. */
static void apply_truncate(struct image *image, size_t index, const struct disk_op *op)
{
	for (size_t at = op->at; at < image->size_max;) {
		size_t sector = at / DISK_SECTOR_BYTES, end = (sector + 1) * DISK_SECTOR_BYTES;

		if (end > image->size_max)
			end = image->size_max;
		if (index < sector_threshold(image, sector))
			memset(image->data + at, 0, end - at);
		at = end;
	}
}

/* Rubbish in what was to be written (a disk that damages), and in what came with the length alone. */
static void spoil(struct image *image)
{
	const struct disk_file *f = image->file;
	bool is_untouched = image->fate.keep == DISK_KEEP_NONE || image->fate.keep == DISK_KEEP_ALL;

	for (size_t i = 0; i < f->op_count && image->fate.is_damaging && !is_untouched; i++) {
		size_t end = f->ops[i].at + f->ops[i].len;

		for (size_t s = f->ops[i].at / DISK_SECTOR_BYTES; s * DISK_SECTOR_BYTES < end; s++)
			if (disk_mix(image->fate.seed ^ f->number, s) % 4 == 0)
				fill_rubbish(image, s);
	}
	for (size_t s = 0; image->fate.is_rubbish && s * DISK_SECTOR_BYTES < image->size_max; s++)
		if (s * DISK_SECTOR_BYTES >= f->synced_size && !image->is_filled[s])
			fill_rubbish(image, s);
}

static void start_image(struct image *image)
{
	const struct disk_file *f = image->file;

	image->size_max = f->synced_size;
	for (size_t i = 0; i < f->op_count; i++) {
		const struct disk_op *op = &f->ops[i];

		if (op->size_after > image->size_max)
			image->size_max = op->size_after;
		if (op->moment < image->fate.moment)
			image->before = i + 1;
	}
	image->data = calloc(1, image->size_max + 1);
	image->is_filled = calloc(image->size_max / DISK_SECTOR_BYTES + 1, sizeof(bool));
	if (!image->data || !image->is_filled)
		disk_die("memory");
	if (f->synced_size > 0)
		memcpy(image->data, f->synced, f->synced_size);
}

/* The caller frees it. */
static unsigned char *build_image(const struct disk_file *f, struct fate fate, size_t *size)
{
	struct image image = {.file = f, .fate = fate};
	size_t kept;

	start_image(&image);
	for (size_t i = 0; i < f->op_count; i++) {
		if (f->ops[i].is_truncate)
			apply_truncate(&image, i, &f->ops[i]);
		else
			apply_write(&image, i, &f->ops[i]);
	}
	spoil(&image);
	kept = threshold(&fate, SIZE_NUMBER, f->op_count, image.before, true);
	*size = kept > 0 ? f->ops[kept - 1].size_after : f->synced_size;
	free(image.is_filled);
	return image.data;
}

unsigned char *disk_content(const struct disk_file *f, size_t *size)
{
	return build_image(f, (struct fate){.keep = DISK_KEEP_ALL}, size);
}

/* ---- the directory ---- */

/* The oldest thing that may be lost. */
static uint64_t oldest_moment(const struct disk *d)
{
	const struct disk_entries *lists[2] = {&d->entries, &d->changes};
	uint64_t oldest = d->moment;

	for (size_t l = 0; l < 2; l++) {
		for (size_t i = 0; i < lists[l]->count; i++) {
			const struct disk_file *f = lists[l]->items[i].file;

			if (l == 1 && lists[l]->items[i].moment < oldest)
				oldest = lists[l]->items[i].moment;
			if (f && f->op_count > 0 && f->ops[0].moment < oldest)
				oldest = f->ops[0].moment;
		}
	}
	return oldest;
}

static uint64_t name_number(const char *name)
{
	uint64_t number = 0;

	while (*name)
		number = disk_mix(number, (unsigned char)*name++);
	return number;
}

/* What the name points to; null: nothing. */
static const struct disk_file *choose_file(const struct disk *d, const struct fate *fate, const char *name,
					   const struct disk_file *synced)
{
	const struct disk_file *choices[64] = {synced};
	size_t count = 0, before = 0;

	for (size_t i = 0; i < d->changes.count && count + 1 < 64; i++) {
		const struct disk_entry *change = &d->changes.items[i];

		if (strcmp(change->name, name) != 0)
			continue;
		choices[++count] = change->file;
		if (change->moment < fate->moment)
			before = count;
	}
	return choices[threshold(fate, name_number(name), count, before, false)];
}

static void put_name(const struct disk *d, struct disk_loss loss, const char *name,
		     const struct disk_file *synced, const char *dir)
{
	struct fate fate = draw_fate(d, loss, ENTRY_NUMBER);
	const struct disk_file *f;
	unsigned char *data;
	size_t size;

	aim(&fate, oldest_moment(d), d->moment);
	f = choose_file(d, &fate, name, synced);
	if (!f)
		return;
	fate = draw_fate(d, loss, f->number);
	aim(&fate, oldest_moment(d), d->moment);
	data = build_image(f, fate, &size);
	disk_put_file(dir, name, data, size);
	free(data);
}

static bool is_first_change(const struct disk *d, size_t index)
{
	const char *name = d->changes.items[index].name;

	for (size_t i = 0; i < d->entries.count; i++)
		if (strcmp(d->entries.items[i].name, name) == 0)
			return false;
	for (size_t i = 0; i < index; i++)
		if (strcmp(d->changes.items[i].name, name) == 0)
			return false;
	return true;
}

void disk_crash(const struct disk *d, struct disk_loss loss, const char *dir)
{
	for (size_t i = 0; i < d->entries.count; i++)
		put_name(d, loss, d->entries.items[i].name, d->entries.items[i].file, dir);
	for (size_t i = 0; i < d->changes.count; i++)
		if (is_first_change(d, i))
			put_name(d, loss, d->changes.items[i].name, NULL, dir);
}
