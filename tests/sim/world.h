/* SPDX-License-Identifier: MIT */
/*
 * world.h - a life of one state: daemons that come and go on one disk, clients that stay.
 *
 * A daemon is server_run() itself, with main, workers and committer as fibers. It ends by a crash at any
 * step, by an I/O error, or because it is told to stop; then the next one recovers from what the disk has
 * kept.
 */
#ifndef SHC_SIM_WORLD_H
#define SHC_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

struct world_plan {
	bool is_commit_mode;
	bool has_faults; /* of the disk */
	bool is_flushing;
	bool is_expiring;
};

/* A seed, from an empty disk to exact totals. */
void world_run(uint64_t seed, struct world_plan plan);

struct world_totals {
	uint64_t seeds, crashes, stops, errors, commits, replies;
};
extern struct world_totals world_totals;

#endif
