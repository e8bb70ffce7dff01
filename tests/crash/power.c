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

static bool is_same(const struct power_uplink *a, const struct power_uplink *b)
{
	return a->incarnation == b->incarnation && a->start_count == b->start_count &&
	       a->start_last == b->start_last && a->epoch == b->epoch && a->is_restored == b->is_restored;
}

/* Baselines tell in their value whose they are. */
static int64_t baseline_value(uint64_t id, uint64_t incarnation)
{
	return (int64_t)(id ^ incarnation);
}

static int check_baseline(void *arg, uint64_t id, int64_t value)
{
	struct run *run = arg;

	if (value != baseline_value(id, run->uplink_sure.incarnation))
		fail_run(run, "a baseline of id %llu is of another incarnation", (unsigned long long)id);
	return 0;
}

static struct power_uplink read_uplink(struct run *run)
{
	struct power_uplink found = {.epoch = store_last_epoch(run->s)};
	struct store_uplink u;

	if (store_uplink_load(run->s, &u))
		fail_run(run, "the uplink: %s", store_error(run->s));
	found.incarnation = u.incarnation;
	found.start_count = u.start_count;
	found.start_last = u.start_count ? u.starts[u.start_count - 1].start : 0;
	found.is_restored = u.is_restored;
	free(u.starts);
	return found;
}

/* The same for the uplink. `has_epoch`: what was in doubt is surely there. */
static void resolve_uplink(struct run *run, bool has_epoch)
{
	struct power_uplink found = read_uplink(run);

	if ((has_epoch || !is_same(&found, &run->uplink_sure)) &&
	    !(run->is_in_doubt && is_same(&found, &run->uplink_maybe)))
		fail_run(run,
			 "the uplink: incarnation %llx, %llu starts, the last is %llx, after epoch %llu, %s",
			 (unsigned long long)found.incarnation, (unsigned long long)found.start_count,
			 (unsigned long long)found.start_last, (unsigned long long)found.epoch,
			 found.is_restored ? "restored" : "not restored");
	run->uplink_sure = found;
	run->preparing = 0;
	if (store_baselines(run->s, check_baseline, run))
		fail_run(run, "baselines: %s", store_error(run->s));
}

/* What was found is what must be; from here on it is acknowledged: somebody may have seen it. */
static void resolve(struct run *run, const struct observed *o)
{
	const char *why = model_mismatch(&run->sure, o);
	bool has_epoch = why != NULL;
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
	resolve_uplink(run, has_epoch);
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
	world.uplink_sure = run->uplink_sure;
	world.uplink_maybe = run->uplink_maybe;
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
	run->uplink_sure = run->uplink_maybe;
	run->is_in_doubt = false;
}

/* Before `maybe` is changed to what is on its way; then it is in doubt. */
static void begin_maybe(struct run *run)
{
	model_copy(&run->maybe, &run->sure);
	run->uplink_maybe = run->uplink_sure;
}

void run_commit(struct run *run)
{
	struct journal_writer w;
	int r;

	begin_maybe(run);
	model_draw_epoch(&run->maybe, &w);
	if (draw() % 12 == 0)
		run->maybe.epoch += draw() % 1200000; /* past the reservation, sometimes */
	if (w.count)
		run->uplink_maybe.epoch = run->maybe.epoch;
	run->is_in_doubt = true;
	r = store_commit(run->s, run->maybe.epoch, &w, NULL, 0, run->maybe.id_next);
	acknowledge(run, r, "committing");
	journal_writer_fini(&w);
}

void run_reserve(struct run *run)
{
	int r;

	begin_maybe(run);
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

/* ---- what the uplink has it do ---- */

static uint64_t draw_number(void)
{
	return (draw() >> 1) | 1;
}

static void run_begin(struct run *run)
{
	struct power_uplink *u = &run->uplink_maybe;
	uint64_t incarnation = draw_number();
	int r;

	begin_maybe(run);
	if (u->incarnation == 0)
		u->incarnation = incarnation;
	u->start_last = draw_number();
	u->start_count++;
	run->is_in_doubt = true;
	r = store_uplink_begin(run->s, incarnation, u->start_last, store_last_epoch(run->s));
	acknowledge(run, r, "noting a start");
}

static void run_put_baselines(struct run *run)
{
	enum { PUT_MAX = 60 };
	struct store_baseline rows[PUT_MAX];
	size_t count = draw() % PUT_MAX;

	if (!run->preparing)
		run->preparing = draw_number();
	for (size_t i = 0; i < count; i++) {
		rows[i].id = 1 + draw() % run->sure.id_next;
		if (rows[i].id == run->sure.id_next)
			rows[i].id = 1;
		rows[i].value = baseline_value(rows[i].id, run->preparing);
	}
	if (run->sure.id_next == 1)
		count = 0;
	must(run, store_put_baselines(run->s, run->preparing, rows, count), STORE_OK, "writing baselines");
}

static void run_switch(struct run *run)
{
	int r;

	begin_maybe(run);
	run->uplink_maybe.incarnation = run->preparing;
	run->uplink_maybe.is_restored = true;
	run->is_in_doubt = true;
	r = store_uplink_switch(run->s, run->preparing);
	acknowledge(run, r, "switching");
	run->preparing = 0;
}

static void run_accept(struct run *run)
{
	begin_maybe(run);
	run->uplink_maybe.is_restored = false;
	run->is_in_doubt = true;
	acknowledge(run, store_uplink_accept(run->s), "accepting");
}

void run_uplink(struct run *run)
{
	uint64_t choice = draw() % 8;
	int r;

	if (choice < 2) {
		run_begin(run);
	} else if (choice < 4) {
		run_put_baselines(run);
	} else if (choice < 5 && run->preparing) {
		run_switch(run);
	} else if (choice < 6) {
		run_accept(run);
	} else {
		r = store_forget_baselines(run->s, 1 + draw() % 20);
		must(run, r == STORE_AGAIN ? STORE_OK : r, STORE_OK, "forgetting baselines");
	}
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
