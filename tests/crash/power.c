/* SPDX-License-Identifier: MIT */
/*
 * power.c - runs and their crashes.
 */
#include "power.h"

struct power power;

uint64_t power_draw(void)
{
	return draw();
}

void power_seed(uint64_t number)
{
	power.seed = number;
	vfs_seed(number);
	seed = disk_mix(number, 0) | 1;
}

/* Where each run of the chain stands, for the message of a failure. */
static struct {
	uint64_t point;
	const char *event;
	char name[32];
	enum disk_keep keep;
} where[POWER_DEPTH];

__attribute__((format(printf, 2, 3))) static void fail_run(const struct run *run, const char *fmt, ...)
{
	char text[1024], what[400];
	int used = 0;
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	for (unsigned d = 0; d < run->depth && used >= 0 && used < 700; d++)
		used += snprintf(text + used, sizeof(text) - (size_t)used, "%s %llu (%s %s; %s)\n",
				 d ? "  and at point" : "  crashed at point",
				 (unsigned long long)where[d].point, where[d].event, where[d].name,
				 disk_keep_name(where[d].keep));
	fail_msg("%s\n%s  again: SHC_TEST_SEED=%llu SHC_TEST_POINT=%llu", what, used > 0 ? text : "",
		 (unsigned long long)power.seed, (unsigned long long)where[0].point);
}

/* ---- runs ---- */

static void set_dir(struct run *run, const char *dir)
{
	snprintf(run->dir, sizeof(run->dir), "%s", dir);
	snprintf(run->path, sizeof(run->path), "%s/counters.db", dir);
}

void run_init(struct run *run, unsigned depth, const char *dir)
{
	enum { IDS_MAX = 1200 };

	memset(run, 0, sizeof(*run));
	run->depth = depth;
	set_dir(run, dir);
	model_init(&run->sure, IDS_MAX);
	model_init(&run->maybe, IDS_MAX);
	run->is_young = true;
}

void run_fini(struct run *run)
{
	if (run->disk) {
		vfs_detach(run->disk);
		run->disk = disk_free(run->disk);
	}
	model_fini(&run->sure);
	model_fini(&run->maybe);
}

/* ---- recovery ---- */

/* What was found is what must be; from here on it is acknowledged: somebody may have seen it. */
static void resolve(struct run *run, const struct observed *o)
{
	const char *why = model_mismatch(&run->sure, o);
	char first[160];

	if (why && run->is_in_doubt) {
		snprintf(first, sizeof(first), "%s", why);
		why = model_mismatch(&run->maybe, o);
		if (why)
			fail_run(run, "neither without the epoch in doubt (%s) nor with it (%s)", first, why);
		model_copy(&run->sure, &run->maybe);
	} else if (why) {
		fail_run(run, "lost or made up: %s", why);
	}
	run->is_in_doubt = false;
	run->is_young = false;
	run->sure.epoch = o->counters.state.epoch_first;
	/* An epoch in doubt that left nothing to be seen may be on disk all the same: its ids are used. */
	while (run->sure.id_next < o->counters.state.id_next && run->sure.id_next < run->sure.id_cap)
		run->sure.counters[run->sure.id_next++] = (struct model_counter){0};
}

static void on_point(void *arg, enum vfs_event event, const char *name);

static void recover(struct run *run)
{
	struct observed o = {0};
	int r = store_open(&run->s, run->path, STORE_CREATE);

	if (r == 0)
		r = observe_load(run->s, &o);
	if (!run->is_over) {
		if (r != 0)
			fail_run(run, "recovery: %d, %s", r, store_error(run->s));
		resolve(run, &o);
	}
	observed_free(&o);
}

void run_start(struct run *run)
{
	if (!run->disk) {
		run->disk = disk_new(run->dir);
		vfs_attach(run->disk, on_point, run);
	}
	recover(run);
	run_revive(run);
}

void run_close(struct run *run)
{
	run->s = store_close(run->s);
}

void run_may_end(struct run *run)
{
	run->end_in = draw() % 5 == 0 ? 1 + draw() % 12 : 0;
	run->end = draw() % 2 ? POWER_KILL : POWER_FAILS;
}

bool run_revive(struct run *run)
{
	bool was_over = run->is_over;

	while (run->is_over) {
		run->s = store_close(run->s);
		vfs_detach(run->disk);
		disk_free(run->disk);
		set_dir(run, run->next_dir);
		run->disk = run->next ? run->next : disk_new(run->dir);
		run->next = NULL;
		run->is_over = false;
		run_may_end(run);
		vfs_attach(run->disk, on_point, run);
		recover(run);
	}
	return was_over;
}

/* ---- one world after a crash ---- */

static void say_line(void *arg, const char *line)
{
	snprintf(arg, 300, "%.299s", line);
}

/* Before recovery: reads the file as it was left, and changes nothing. */
static void check_unrecovered(struct run *run)
{
	char line[300] = "", shm[FIXTURE_PATH_MAX + 8];
	int r = store_check(run->path, say_line, line);

	if (r != 0 && !run->is_young)
		fail_run(run, "--check before recovery: %d, %s", r, line);
	if (!*line)
		fail_run(run, "--check says nothing");
	snprintf(shm, sizeof(shm), "%s-shm", run->path);
	unlink(shm);
}

static void check_clean(struct run *run)
{
	char line[300] = "";

	if (store_check(run->path, say_line, line) != 0)
		fail_run(run, "--check: %s", line);
}

/* The recovered store is as good as any. */
static void go_on(struct run *run)
{
	run_commit(run);
	run_fold(run, draw() % 4, 1 + draw() % 30);
	run_commit(run);
	if (draw() % 2)
		run_save(run);
	if (draw() % 2) {
		run_close(run);
		check_clean(run);
		recover(run);
	}
}

/* Another generator for each world, so that one of them can be repeated alone. */
static void try_world(struct run *run, struct disk_loss loss)
{
	struct run world;
	char dir[96];
	uint64_t drawn = seed;

	power.worlds++;
	where[run->depth].keep = loss.keep;
	seed = loss.seed | 1;
	snprintf(dir, sizeof(dir), "%s/%u", power.base, run->depth + 1);
	disk_empty(dir);
	disk_crash(run->disk, loss, dir);
	run_init(&world, run->depth + 1, dir);
	model_copy(&world.sure, &run->sure);
	model_copy(&world.maybe, &run->maybe);
	world.is_in_doubt = run->is_in_doubt;
	world.is_young = run->is_young;
	if (draw() % 5 == 0)
		check_unrecovered(&world);
	if (world.depth + 1 < POWER_DEPTH && draw() % 12 == 0) {
		world.disk = disk_new(dir);
		vfs_attach(world.disk, on_point, &world);
	}
	recover(&world);
	if (draw() % 3 == 0)
		go_on(&world);
	run_close(&world);
	if (draw() % 4 == 0)
		check_clean(&world);
	run_fini(&world);
	seed = drawn;
}

/* ---- points ---- */

/* How many worlds are tried at a point; the first two keep nothing and everything. */
static unsigned world_count(const struct run *run, enum vfs_event event, uint64_t drawn)
{
	if (disk_is_settled(run->disk))
		return 1;
	switch ((unsigned)event) {
	case VFS_BEFORE_SYNC: return run->depth ? 2 + (unsigned)(drawn % 2) : 5;
	case VFS_BEFORE_DIR_SYNC:
	case VFS_AFTER_CREATE:
	case VFS_AFTER_DELETE: return run->depth ? 2 : 4;
	case VFS_AFTER_WRITE: return drawn % (run->depth ? 16 : 8) == 0 ? 3 : 0;
	case VFS_AFTER_TRUNCATE: return 3;
	case VFS_AFTER_SYNC:
	case POWER_EVENT_REST: return 1 + (unsigned)(drawn % 3);
	}
	return 1;
}

static void try_worlds(struct run *run, enum vfs_event event)
{
	uint64_t here = disk_mix(power.seed + 1000003 * where[0].point, run->depth ? run->point : 0);
	unsigned count = world_count(run, event, disk_mix(here, 1));

	if (run->depth)
		power.deeper++;
	else
		power.points += count > 0;
	for (unsigned i = 0; i < count; i++) {
		uint64_t drawn = disk_mix(here, 2 + i);
		enum disk_keep keep =
			i == 0 ? DISK_KEEP_NONE
			: i == 1 && drawn % 2
				? DISK_KEEP_ALL
				: (enum disk_keep)(DISK_KEEP_PREFIX +
						   drawn / 2 % (DISK_KEEP_COUNT - DISK_KEEP_PREFIX));

		try_world(run, (struct disk_loss){.keep = keep, .seed = drawn});
	}
}

/* The run ends here, and goes on with what is left. */
static void end_run(struct run *run)
{
	static unsigned number;
	struct disk_loss loss = {.keep = (enum disk_keep)(draw() % DISK_KEEP_COUNT), .seed = draw()};

	snprintf(run->next_dir, sizeof(run->next_dir), "%s/top%u", power.base, number++ % 2);
	if (strcmp(run->next_dir, run->dir) == 0)
		snprintf(run->next_dir, sizeof(run->next_dir), "%s/top%u", power.base, number++ % 2);
	disk_empty(run->next_dir);
	if (run->end == POWER_KILL) {
		run->next = disk_copy(run->disk, run->next_dir);
		power.kills++;
	} else {
		disk_crash(run->disk, loss, run->next_dir);
		power.failures++;
	}
	run->is_over = true;
}

static void on_point(void *arg, enum vfs_event event, const char *name)
{
	struct run *run = arg;

	if (run->is_over)
		return;
	run->point++;
	where[run->depth].point = run->point;
	where[run->depth].event = event < VFS_EVENT_COUNT ? vfs_event_name(event) : "at rest";
	snprintf(where[run->depth].name, sizeof(where[0].name), "%s", name);
	if (run->depth || !power.only_point || power.only_point == run->point)
		try_worlds(run, event);
	if (run->depth)
		return;
	vfs_seed(disk_mix(power.seed, run->point));
	if (run->end_in && --run->end_in == 0)
		end_run(run);
}

void run_rest(struct run *run)
{
	if (run->disk)
		on_point(run, (enum vfs_event)POWER_EVENT_REST, "");
}

/* ---- what a committer does ---- */

static void must(struct run *run, int r, int expected, const char *doing)
{
	if (r != expected && !run->is_over)
		fail_run(run, "%s: %d, %s", doing, r, store_error(run->s));
}

/* The epoch is acknowledged, unless the power failed in between. */
static void acknowledge(struct run *run, int r, const char *doing)
{
	must(run, r, STORE_OK, doing);
	if (run->is_over)
		return;
	model_copy(&run->sure, &run->maybe);
	run->is_in_doubt = false;
}

void run_commit(struct run *run)
{
	struct journal_writer w;
	int r;

	model_copy(&run->maybe, &run->sure);
	model_draw_epoch(&run->maybe, &w);
	if (draw() % 12 == 0)
		run->maybe.epoch += draw() % 1200000; /* past the reservation, sometimes */
	run->is_in_doubt = true;
	r = store_commit(run->s, run->maybe.epoch, &w, run->maybe.id_next);
	acknowledge(run, r, "committing");
	journal_writer_fini(&w);
}

void run_reserve(struct run *run)
{
	int r;

	model_copy(&run->maybe, &run->sure);
	run->maybe.epoch += 1 + draw() % 1200000;
	run->is_in_doubt = true;
	r = store_reserve(run->s, run->maybe.epoch);
	acknowledge(run, r, "reserving");
}

void run_fold(struct run *run, uint64_t steps_max, size_t rows_max)
{
	int r = store_fold_begin(run->s);

	while (steps_max-- > 0 && r == STORE_AGAIN && !run->is_over) {
		r = store_fold_step(run->s, rows_max);
		run_rest(run);
	}
	must(run, r == STORE_AGAIN ? STORE_OK : r, STORE_OK, "folding");
}

void run_save(struct run *run)
{
	int r = STORE_AGAIN;

	while (r == STORE_AGAIN && !run->is_over) {
		r = store_is_folding(run->s) ? STORE_AGAIN : store_fold_begin(run->s);
		if (r == STORE_AGAIN)
			r = store_fold_step(run->s, 200) < 0 ? -EIO : STORE_AGAIN;
	}
	must(run, r, STORE_OK, "folding everything");
	run_checkpoint(run);
}

/* What was used before some moment may be gone from here on, or not yet. */
void run_forget(struct run *run)
{
	int64_t before_ms =
		(int64_t)(run->sure.epoch - draw() % (run->sure.epoch < 30 ? run->sure.epoch : 30));
	int r;

	if (before_ms > run->sure.forgotten_before_ms)
		run->sure.forgotten_before_ms = before_ms;
	r = store_forget(run->s, before_ms, before_ms, 1 + draw() % 8);
	must(run, r == STORE_AGAIN ? STORE_OK : r, STORE_OK, "forgetting");
}

void run_merge(struct run *run)
{
	must(run, store_journal_merge(run->s, 0), STORE_OK, "merging");
}

void run_checkpoint(struct run *run)
{
	if (!run->is_over)
		must(run, store_checkpoint(run->s, 0), STORE_OK, "moving pages");
}

/* ---- an old file ---- */

void run_make_old(struct run *run)
{
	run->sure.has_marks = false;
	recover(run);
	for (int i = 0; i < 4; i++)
		run_commit(run);
	run_fold(run, draw() % 4, 1 + draw() % 30);
	run_commit(run);
	run_close(run);
	run_sql(run->path, TO_VERSION_1);
	run->sure.has_marks = true;
}
