/* SPDX-License-Identifier: MIT */
/*
 * fleet.h - several daemons' uplinks and one Redis Cluster, on one thread, by a seed.
 *
 * Goal: whatever is lost, doubled, late, rolled back, restored or copied, every addition that is committed is
 * in a total once; what docs/design.md 7b says is lost then is lost, and nothing else.
 *
 * Method: the shipped objects of the uplink, its thread and all, linked with twins of what they call: the
 * cluster (net.c, redis.c: the scripts by their meaning), the store (disk.c), threads, locks, clock and
 * chance (outside.c, tests/sim/scheduler.c). Each thread is a fiber of tests/sim/sim.h, and may be switched
 * where it takes a lock, asks the cluster or calls the committer; committers, operators, failures and other
 * users are played between the slices (world.c). A crashed daemon's fiber runs to its end without any effect.
 *
 * Each committed change of a counter is an *atom*, and what a field or a baseline stands for is a set of
 * them: oracle.c.
 */
#ifndef SHC_FLEET_H
#define SHC_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../daemon/store.h"
#include "../../daemon/uplink.h"
#include "../../lib/cluster.h"
#include "../../lib/resp.h"
#include "../sim/sim.h"

enum {
	NAMES = 5,
	ATOMS = 256, /* of a name */
	DAEMONS = 6,
	GROUPS = 2, /* masters */
	FIELDS_MAX = 64,
	RECORDS_MAX = 64,
	STARTS_MAX = 256,
	BASES_MAX = 128,
	HISTORY_MAX = 1024, /* epochs of a start */
	REQUESTS_MAX = 64,  /* of a daemon */
	LATE_MAX = 64,
	WORDS_MAX = 8,
	WORD_SIZE = 128,
};

struct daemon;

struct plan {
	bool is_huge;	      /* additions up to 2^63; no copies, so that there need be no sets of atoms */
	bool has_failovers;   /* and old masters that answer on */
	bool has_copies;      /* disks are restored and cloned */
	bool has_live_copies; /* also of daemons that run, and have something that is not in the cluster */
	bool has_retiring;
	bool has_deletes;
	void (*course)(struct daemon *d); /* what happens, and nothing else; null: by lot */
};

/* ---- atoms ---- */

struct atoms {
	uint64_t bits[ATOMS / 64];
};
static inline bool atoms_has(const struct atoms *a, unsigned i)
{
	return a->bits[i / 64] >> i % 64 & 1;
}
static inline void atoms_add(struct atoms *a, unsigned i)
{
	a->bits[i / 64] |= UINT64_C(1) << i % 64;
}
static inline struct atoms atoms_less(const struct atoms *a, const struct atoms *b)
{
	struct atoms out;

	for (unsigned i = 0; i < ATOMS / 64; i++)
		out.bits[i] = a->bits[i] & ~b->bits[i];
	return out;
}

/* ---- Redis ---- redis.c */

struct row {
	char id[UPLINK_ID_SIZE], text[UPLINK_TEXT_CHARS_MAX + 1];
	struct atoms atoms,
		minus;	 /* minus: of an object that is gone, which the field of another incarnation has */
	bool is_murky;	 /* half of a step: no set of atoms */
	bool is_retired; /* these are among the ledger's */
};
struct ledger {
	bool has_total, has_retired;
	int64_t total, retired;
	uint64_t foreign; /* what others added */
	size_t count;
	struct row rows[FIELDS_MAX];
	int8_t retired_atoms[ATOMS]; /* also what a reset has taken out of that */
	bool is_murky;
};
struct record {
	char id[UPLINK_ID_SIZE], at[UPLINK_RECORD_CHARS_MAX + 1];
};
/* What a master has. */
struct redis {
	struct ledger ledgers[NAMES];
	size_t record_count;
	struct record records[RECORDS_MAX];
};

struct request {
	const struct script *script; /* null: the first word is a command */
	enum op_kind kind;
	unsigned slot;
	struct node *node; /* null: who has the slot */
	op_done_fn *done;
	void *arg;
	bool may_be_done;
	bool is_once;
	size_t argc;
	char words[WORDS_MAX][WORD_SIZE]; /* each ends with a NUL */
	struct atoms atoms, minus;	  /* of a push: what the new field stands for */
	bool is_murky;
	bool is_fence; /* these stay as they are */
};

struct answer {
	enum shc_status status;
	struct resp_reply reply, elements[2], keys[NAMES];
	char texts[NAMES + 2][WORD_SIZE];
};
void redis_execute(struct redis *r, const struct request *q, struct answer *out);
/* The field of a row, also of one that is retired. */
struct slice redis_field(const struct row *row);
bool redis_incrby(struct ledger *l, int64_t delta);
const struct row *redis_row(const struct ledger *l, const char *id);
/* -1: it is none of ours. */
int name_number(const char *name);
extern const char *const names[NAMES];

/* ---- the cluster ---- net.c */

struct node {
	char name[16];
	unsigned group;
};
struct group {
	struct redis live, replica, zombie; /* replica: what the next master will have */
	bool has_zombie;		    /* an old master that some still reach */
	bool is_down;
	unsigned generation; /* failovers */
	struct node nodes[2];
};
struct net {
	struct group groups[GROUPS];
	struct request late[LATE_MAX]; /* whose senders do not wait any more */
	unsigned late_groups[LATE_MAX];
	size_t late_count;
	unsigned trouble; /* one in so many requests meets some; 0: none does */
};
extern struct net net;

void net_reset(void);
unsigned net_group_of(unsigned slot);
void net_failover(unsigned group);

void net_end_zombie(unsigned group);
void net_execute_late(void);
void net_heal(void);
void net_lose_connections(void);

/* ---- a daemon ---- daemon.c, disk.c */

struct object {
	uint64_t id; /* 0: none */
	int64_t value;
	struct atoms atoms;
};
struct base {
	uint64_t id, incarnation;
	int64_t value;
	struct atoms atoms;
	bool is_murky;
};
/* What is committed. */
struct disk {
	bool is_used;
	uint64_t epoch, next_id, floor_id;
	struct object objects[NAMES];
	size_t base_count;
	struct base bases[BASES_MAX];
	uint64_t incarnation;
	bool is_restored;
	size_t start_count;
	struct store_start starts[STARTS_MAX];
};
struct past {
	uint64_t epoch;
	struct object objects[NAMES];
};
struct daemon {
	int number;
	struct disk disk;
	bool is_running, is_dead; /* dead: what it does has no effect any more */
	bool is_stopping;
	struct config config;
	struct uplink uplink;
	uint64_t epoch; /* closed last */
	uint64_t start;
	bool is_parked;
	bool is_woken;
	int fiber;
	size_t past_count;
	struct past past[HISTORY_MAX];
	uint64_t sweeps_before;
};
extern struct daemon daemons[DAEMONS];
bool net_sees_old_master(const struct daemon *d, unsigned group);

/* The daemon whose fiber runs, or that acts. */
extern struct daemon *acting;

void daemon_start(struct daemon *d);
void daemon_crash(struct daemon *d);
/* Begins a clean stop. */
void daemon_stop(struct daemon *d);
/* A stopped one is tidied up. */
void daemon_look(struct daemon *d);
void daemon_commit(struct daemon *d, const struct plan *plan);

int64_t disk_baseline(const struct disk *disk, uint64_t id);
const struct base *disk_base(const struct disk *disk, uint64_t id);

/* ---- what is right ---- oracle.c */

extern int64_t atom_values[NAMES][ATOMS];
extern unsigned atom_counts[NAMES];
extern bool atom_may_be_lost[NAMES][ATOMS];
extern bool atom_may_be_double[NAMES][ATOMS];

void oracle_reset(const struct plan *plan);
void oracle_pushing(struct daemon *d, struct request *q); /* fills atoms */
void oracle_switching(struct daemon *d, uint64_t incarnation);
void oracle_rolls_back(const struct redis *from, const struct redis *to);
void oracle_ledgers(void); /* at every moment */
void oracle_synced(void);
void oracle_quiet(void);

/* ---- courses of events ---- course.c: of a daemon that has just been started */

void course_copied_behind_failover(struct daemon *d);

/* ---- the test ---- world.c */

void world_run(uint64_t seed, const struct plan *plan);
/* A thread runs for a while, or time goes by. */
void world_step(void);
struct totals {
	uint64_t seeds, steps, pushes, commits, crashes, switches, failovers, copies, quiet, lost, doubled,
		late;
};
extern struct totals totals;
extern bool is_talking;
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
