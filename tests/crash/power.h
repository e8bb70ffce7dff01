/* SPDX-License-Identifier: MIT */
/*
 * power.h - a store on a disk whose power fails: an oracle of what was acknowledged, crashes at the points
 * the VFS tells of, and the comparison of what recovery finds.
 *
 * A run owns a directory, a disk and a store. At each point it lets the power fail in several ways, each in a
 * run of its own one level deeper, on what that crash left: it recovers, is compared with the oracle, goes
 * on, and some of them are crashed in turn. At the top the run itself may end that way, and goes on with what
 * was left.
 */
#ifndef SHC_TEST_POWER_H
#define SHC_TEST_POWER_H

#include "../unit/core_rig.h"
#include "../unit/store_model.h"
#include "vfs.h"

enum {
	POWER_DEPTH = 3,		    /* a run, its crashes, and crashes while these recover */
	POWER_EVENT_REST = VFS_EVENT_COUNT, /* between two calls: all is acknowledged */
};

/* How the run at the top ends and begins again. */
enum power_end { POWER_FAILS, POWER_KILL };

/* What the uplink is told after a start. */
struct power_uplink {
	uint64_t incarnation, start_count, start_last;
	uint64_t epoch; /* the newest with content */
	bool is_restored;
};

struct run {
	unsigned depth;
	char dir[96], path[FIXTURE_PATH_MAX];
	struct disk *disk;
	struct store *s;
	/* The oracle: what was acknowledged, and the same with the epoch that is in doubt. */
	struct model sure, maybe;
	struct power_uplink uplink_sure, uplink_maybe;
	uint64_t preparing; /* the incarnation that baselines were put of; 0: none */
	bool is_in_doubt;
	bool is_young; /* the database is being made: it may be there or not */
	/* Crashing. */
	uint64_t point;
	uint64_t end_in; /* points until the run ends; 0: it does not */
	enum power_end end;
	bool is_over;	   /* what the store still does, nobody sees */
	struct disk *next; /* POWER_KILL: the disk it left */
	char next_dir[96];
};

/* What all runs share. */
struct power {
	char base[64];
	uint64_t seed;
	uint64_t only_point; /* 0: all */
	uint64_t points, worlds, deeper, kills, failures;
};

extern struct power power;

/* The generator of the workload. */
uint64_t power_draw(void);
void power_seed(uint64_t number);

void run_init(struct run *run, unsigned depth, const char *dir);
void run_fini(struct run *run);

/* Opens and loads, as often as it takes, and compares. Ends the test when it is not what it must be. The
 * first time: on a new disk of what is in its directory. */
void run_start(struct run *run);
/* It may end in the course of the next step. */
void run_may_end(struct run *run);
/* Closes as a clean stop does. */
void run_close(struct run *run);
/* Begins again on what was left when the run has ended, true then. */
bool run_revive(struct run *run);
/* Instead of the first start: leaves a database of schema version 1, with content, in the run's directory, on
 * a disk that has kept it. */
void run_make_old(struct run *run);
/* Everything is acknowledged now. */
void run_rest(struct run *run);

/* ---- what a committer does ---- */

void run_commit(struct run *run);
void run_reserve(struct run *run);
void run_fold(struct run *run, uint64_t steps_max, size_t rows_max);
void run_save(struct run *run);
void run_forget(struct run *run);
void run_merge(struct run *run);
void run_checkpoint(struct run *run);
void run_uplink(struct run *run);

#endif
