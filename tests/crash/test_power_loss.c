/* SPDX-License-Identifier: MIT */
/*
 * Goal: whatever was acknowledged survives a power failure at any moment, an epoch in doubt is there wholly
 * or not at all, and nothing else is: invariants 1 to 5 as far as the store can break them. Epochs never go
 * back. The same for what the uplink has on disk, and the newest epoch with content is the one it was.
 *
 * Method: random epochs, fold steps, merges, checkpoints, full folds, clean stops and starts run on a model
 * of a disk (disk.h), beginning with no database. At every sync, creation, deletion and truncation, at many
 * writes, and between any two calls the power fails, in several of the ways the model allows. The daemon's
 * recovery runs on what is left and is compared with the oracle; some worlds go on committing, some are
 * crashed again while they recover. Now and then the workload itself is killed or loses its power and goes on
 * with what is left.
 *
 * SHC_TEST_SEED=N repeats one seed, SHC_TEST_POINT=K only the crashes at that point of it; SHC_TEST_SCALE=F
 * does F times as many seeds, SHC_TEST_FIRST=N begins with that one.
 */
#include "power.h"

enum {
	SEEDS = 5,
	STEPS = 40,
	ROWS_MAX = 40,
};

static void step(struct run *run)
{
	uint64_t choice = power_draw() % 27;

	if (choice < 8)
		run_commit(run);
	else if (choice < 14)
		run_fold(run, 1 + power_draw() % 4, 1 + power_draw() % ROWS_MAX);
	else if (choice < 16)
		run_merge(run);
	else if (choice < 18)
		run_checkpoint(run);
	else if (choice < 19)
		run_reserve(run);
	else if (choice < 20)
		run_save(run);
	else if (choice < 21)
		run_forget(run);
	else if (choice < 25)
		run_uplink(run);
	else {
		run_close(run);
		if (!run->is_over)
			run_start(run);
	}
}

static void run_seed(uint64_t number)
{
	struct run run;
	char dir[96];

	power_seed(number);
	snprintf(dir, sizeof(dir), "%s/top0", power.base);
	disk_empty(dir);
	run_init(&run, 0, dir);
	if (number % 4 == 0)
		run_make_old(&run);
	run_start(&run);
	for (int i = 0; i < STEPS; i++) {
		run_may_end(&run);
		step(&run);
		run_rest(&run);
		run_revive(&run);
	}
	run_close(&run);
	run_fini(&run);
}

static void test_nothing_acknowledged_is_lost_with_the_power(void **state)
{
	const char *first = getenv("SHC_TEST_FIRST"), *point = getenv("SHC_TEST_POINT");
	uint64_t only = rig_seed(), from = first ? strtoull(first, NULL, 0) : 1;

	(void)state;
	power.only_point = point ? strtoull(point, NULL, 0) : 0;
	if (only)
		run_seed(only);
	for (uint64_t i = 0; !only && i < rig_scaled(SEEDS); i++)
		run_seed(from + i);
	print_message("%llu crash points, %llu crashes, %llu points in recoveries, %llu kills and %llu power "
		      "failures of "
		      "the workload\n",
		      (unsigned long long)power.points, (unsigned long long)power.worlds,
		      (unsigned long long)power.deeper, (unsigned long long)power.kills,
		      (unsigned long long)power.failures);
}

static int make_base(void **state)
{
	(void)state;
	snprintf(power.base, sizeof(power.base), "%.40s/shc_power.XXXXXX", fixture_base());
	vfs_register();
	return mkdtemp(power.base) ? 0 : -1;
}

static int remove_base(void **state)
{
	static const char *const names[] = {"top0", "top1", "1", "2", "3"};
	char dir[96];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(dir, sizeof(dir), "%s/%s", power.base, names[i]);
		disk_empty(dir);
		rmdir(dir);
	}
	return rmdir(power.base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_acknowledged_is_lost_with_the_power),
	};

	return cmocka_run_group_tests(tests, make_base, remove_base);
}
