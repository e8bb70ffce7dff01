/* SPDX-License-Identifier: MIT */
/*
 * The uplinks of a fleet under a seeded scheduler: see fleet.h for how, oracle.c for what is checked.
 *
 * SHC_TEST_SEED=N runs that seed only, in every way; SHC_TEST_SCALE=F does F times the work, from seed
 * SHC_TEST_FIRST on; SHC_SIM_LOG=1 shows what happens, SHC_SIM_ONLY=N takes the N-th claim alone.
 * With SHC_SIM_STRICT=1 also what docs/design.md 7b says may be counted twice is an error.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "fleet.h"

enum { SEEDS = 12 };

static const struct {
	const char *claim;
	struct plan plan;
} tests[] = {
	{"each addition is in the total once, whatever is lost, late or doubled", {.has_deletes = true}},
	{"the same beyond 64 bits", {.is_huge = true, .has_deletes = true, .has_failovers = true}},
	{"the same when masters are rolled back, and old ones answer on",
	 {.has_failovers = true, .has_deletes = true}},
	{"the same when incarnations are retired and come back",
	 {.has_failovers = true, .has_retiring = true, .has_deletes = true}},
	{"the same with disks that are restored and cloned",
	 {.has_failovers = true, .has_retiring = true, .has_copies = true, .has_deletes = true}},
	{"the same with copies of running daemons, but for what was not in the cluster then",
	 {.has_failovers = true,
	  .has_retiring = true,
	  .has_copies = true,
	  .has_live_copies = true,
	  .has_deletes = true}},
	{"what a retired incarnation has not brought is brought when it comes back, and nothing twice",
	 {.has_retiring = true, .has_deletes = true}},
	{"what a failover has lost unseen is brought by the new incarnation of a copy",
	 {.has_failovers = true, .has_copies = true, .course = course_copied_behind_failover}},
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
	const char *only = getenv("SHC_SIM_ONLY");

	is_talking = getenv("SHC_SIM_LOG") != NULL;
	printf("1..%d\n", TESTS);
	for (int i = 0; i < TESTS; i++) {
		for (uint64_t seed = first; (!only || atoi(only) == i + 1) && seed < first + count; seed++)
			world_run(seed, &tests[i].plan);
		printf("ok %d - %s\n", i + 1, tests[i].claim);
		fflush(stdout);
	}
	printf("# %" PRIu64 " seeds, %" PRIu64 " steps, %" PRIu64 " pushes, %" PRIu64 " commits, %" PRIu64
	       " crashes, %" PRIu64 " switches, %" PRIu64 " failovers, %" PRIu64 " copies, %" PRIu64
	       " late, %" PRIu64 " rests, %" PRIu64 " additions lost as is said, %" PRIu64
	       " doubled, trace %016" PRIx64 "\n",
	       totals.seeds, totals.steps, totals.pushes, totals.commits, totals.crashes, totals.switches,
	       totals.failovers, totals.copies, totals.late, totals.quiet, totals.lost, totals.doubled,
	       sim_totals.trace);
	return 0;
}
