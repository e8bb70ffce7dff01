/* SPDX-License-Identifier: MIT */
/*
 * The daemon under a seeded scheduler: see sim.h for how, oracle.h for what is checked.
 *
 * SHC_TEST_SEED=N runs that seed only, in every mode; SHC_TEST_SCALE=F does F times the work, from seed
 * SHC_TEST_FIRST on; SHC_SIM_LOG=1 shows what clients send and hear, and what the daemon logs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim.h"
#include "world.h"

enum { SEEDS = 200 };

static const struct {
	const char *claim;
	struct world_plan plan;
} tests[] = {
	{"interval mode keeps its promises across crashes", {0}},
	{"interval mode keeps its promises when the disk is full or fails", {.has_faults = true}},
	{"FLUSHALL is one instant, in memory and on disk", {.is_flushing = true}},
	{"counters that only expire together are never seen or stored apart", {.is_expiring = true}},
	{"commit mode: no reply leaves before what it tells is on disk", {.is_commit_mode = true}},
	{"commit mode: the same when the disk is full or fails",
	 {.is_commit_mode = true, .has_faults = true}},
	{"commit mode: each life of a counter that expires counts every number once",
	 {.is_commit_mode = true, .has_faults = true, .is_expiring = true}},
};
enum { TESTS = sizeof(tests) / sizeof(tests[0]) };

static uint64_t seeds_of(uint64_t *first)
{
	const char *seed = getenv("SHC_TEST_SEED"), *scale = getenv("SHC_TEST_SCALE"),
		   *at = getenv("SHC_TEST_FIRST");
	double count = SEEDS * (scale ? strtod(scale, NULL) : 1.0);

	*first = seed ? strtoull(seed, NULL, 0) : at ? strtoull(at, NULL, 0) : 1;
	return seed || count < 1 ? 1 : (uint64_t)count;
}

int main(void)
{
	uint64_t first, count = seeds_of(&first);

	printf("1..%d\n", TESTS);
	for (int i = 0; i < TESTS; i++) {
		for (uint64_t seed = first; seed < first + count; seed++)
			world_run(seed, tests[i].plan);
		printf("ok %d - %s\n", i + 1, tests[i].claim);
		fflush(stdout);
	}
	printf("# %" PRIu64 " seeds, %" PRIu64 " switch points, %" PRIu64 " slices, %" PRIu64
	       " crashes, %" PRIu64 " stops, %" PRIu64 " failed disks, %" PRIu64 " commits, %" PRIu64
	       " replies, trace %016" PRIx64 "\n",
	       world_totals.seeds, sim_totals.points, sim_totals.slices, world_totals.crashes,
	       world_totals.stops, world_totals.errors, world_totals.commits, world_totals.replies,
	       sim_totals.trace);
	return 0;
}
