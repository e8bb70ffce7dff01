/* SPDX-License-Identifier: MIT */
/* disk.c - see fleet.h: what the uplink wants of daemon/store.h, and the committer's call. A store is the
 * daemon. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../daemon/commit.h"
#include "fleet.h"

static struct daemon *daemon_of(struct store *s)
{
	return (struct daemon *)(void *)s;
}

const struct base *disk_base(const struct disk *disk, uint64_t id)
{
	for (size_t i = 0; i < disk->base_count; i++)
		if (disk->bases[i].id == id && disk->bases[i].incarnation == disk->incarnation)
			return &disk->bases[i];
	return NULL;
}

int64_t disk_baseline(const struct disk *disk, uint64_t id)
{
	const struct base *b = disk_base(disk, id);

	return b ? b->value : 0;
}

uint64_t store_last_epoch(const struct store *s)
{
	return ((const struct daemon *)(const void *)s)->disk.epoch;
}

int store_uplink_load(struct store *s, struct store_uplink *out)
{
	const struct disk *disk = &daemon_of(s)->disk;
	size_t bytes = disk->start_count * sizeof(disk->starts[0]);

	*out = (struct store_uplink){.incarnation = disk->incarnation,
				     .is_restored = disk->is_restored,
				     .starts = malloc(bytes + 1),
				     .start_count = disk->start_count};
	sim_check(out->starts, "out of memory");
	memcpy(out->starts, disk->starts, bytes);
	return 0;
}

int store_uplink_begin(struct store *s, uint64_t incarnation, uint64_t start, uint64_t after_epoch)
{
	struct daemon *d = daemon_of(s);

	if (!d->disk.incarnation)
		d->disk.incarnation = incarnation;
	sim_check(d->disk.start_count < STARTS_MAX, "too many starts");
	d->disk.starts[d->disk.start_count++] = (struct store_start){start, after_epoch};
	d->start = start;
	return STORE_OK;
}

int store_baselines(struct store *s, store_baseline_fn *fn, void *arg)
{
	const struct disk *disk = &daemon_of(s)->disk;
	int rc = 0;

	for (size_t i = 0; i < disk->base_count && !rc; i++)
		if (disk->bases[i].incarnation == disk->incarnation)
			rc = fn(arg, disk->bases[i].id, disk->bases[i].value);
	return rc;
}

int store_put_baselines(struct store *s, uint64_t incarnation, const struct store_baseline *rows,
			size_t count)
{
	struct disk *disk = &daemon_of(s)->disk;

	sim_check(incarnation != disk->incarnation, "baselines of the present incarnation are changed");
	for (size_t i = 0; i < count; i++) {
		sim_check(disk->base_count < BASES_MAX, "too many baselines");
		disk->bases[disk->base_count++] =
			(struct base){.id = rows[i].id, .incarnation = incarnation, .value = rows[i].value};
	}
	return STORE_OK;
}

int store_uplink_switch(struct store *s, uint64_t incarnation)
{
	struct daemon *d = daemon_of(s);

	oracle_switching(d, incarnation);
	d->disk.incarnation = incarnation;
	d->disk.is_restored = true;
	return STORE_OK;
}

int store_uplink_accept(struct store *s)
{
	daemon_of(s)->disk.is_restored = false;
	return STORE_OK;
}

int store_forget_baselines(struct store *s, size_t rows_max)
{
	struct disk *disk = &daemon_of(s)->disk;
	size_t kept = 0;

	(void)rows_max;
	for (size_t i = 0; i < disk->base_count; i++)
		if (disk->bases[i].incarnation == disk->incarnation)
			disk->bases[kept++] = disk->bases[i];
	disk->base_count = kept;
	return STORE_OK;
}

/* ---- the committer's thread ---- its daemon is what commit_call is given */

int commit_call(struct commit *c, commit_call_fn *fn, void *arg)
{
	struct daemon *d = (struct daemon *)(void *)c;
	int rc;

	sim_point();
	if (sim_one_in(4))
		(void)sim_sleep(NULL, NULL, sim_now_ns() + (INT64_C(1) << sim_below(29)));
	if (d->is_dead)
		return -ECANCELED;
	if (net.trouble && sim_one_in(8))
		return STORE_RETRY;
	rc = fn((struct store *)(void *)d, arg);
	sim_point();
	return d->is_dead ? -ECANCELED : rc;
}
