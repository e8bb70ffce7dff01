/* SPDX-License-Identifier: MIT */
/* world.c - see fleet.h: what happens, by lot, and how it comes to rest. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/script.h"
#include "fleet.h"

enum {
	PHASES = 3,
	STEPS = 1500,
	STEPS_STUCK = 3000000, /* a slow sweep takes an hour, in which what is refused is tried each second */
	BACKUPS = 4,
};

struct totals totals;
bool is_talking;

static const struct plan *plan;
static struct disk backups[BACKUPS];

void say(const char *fmt, ...)
{
	va_list args;

	if (!is_talking)
		return;
	va_start(args, fmt);
	fprintf(stderr, "# %lld ms: ", (long long)(sim_now_ns() / 1000000));
	(void)vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
}

static struct daemon *any(void)
{
	return &daemons[sim_below(DAEMONS)];
}

/* ---- time ---- */

void world_step(void)
{
	int64_t deadline_ns;

	for (int i = 0; i < DAEMONS; i++)
		daemon_look(&daemons[i]);
	if (sim_run_slice(&deadline_ns))
		return;
	if (deadline_ns > sim_now_ns())
		sim_advance(deadline_ns - sim_now_ns());
	else if (deadline_ns < 0)
		sim_advance(1000000);
}

/* ---- the cluster ---- */

static void replicate(void)
{
	struct group *g = &net.groups[sim_below(GROUPS)];

	g->replica = g->live;
}

static void use(void)
{
	unsigned name = sim_below(NAMES);
	struct group *g =
		&net.groups[net_group_of(slot_of((struct slice){names[name], strlen(names[name])}))];
	struct ledger *l = &(g->has_zombie && sim_one_in(2) ? &g->zombie : &g->live)->ledgers[name];
	int64_t delta = (int64_t)(sim_random() >> 40);

	if (redis_incrby(l, delta))
		l->foreign += (uint64_t)delta;
}

static void reset(void)
{
	unsigned name = sim_below(NAMES);
	struct slice text = {names[name], strlen(names[name])};
	struct group *g = &net.groups[net_group_of(slot_of(text))];
	struct request q = {.script = &script_reset, .argc = 3};
	struct answer answer;
	struct shard_key key;
	char tag[SHARD_TAG_SIZE];

	shard_tag(slot_of(text), tag);
	shard_ledger(&key, tag, text);
	strcpy(q.words[1], names[name]);
	memcpy(q.words[2], key.data, key.len);
	redis_execute(&g->live, &q, &answer);
}

static void retire(void)
{
	struct daemon *asked = any(), *gone = any();
	struct uplink_question wanted = {.kind = UPLINK_ASK_RETIRE, .number = gone->disk.incarnation}, *q;
	static struct waker nobody;

	if (!asked->is_running || !gone->disk.is_used || asked == gone ||
	    (gone->is_running && !sim_one_in(3)))
		return;
	say("daemon %d retires that of %d", asked->number, gone->number);
	q = uplink_ask(&asked->uplink.asks, &wanted, &asked->uplink.waker, &nobody);
	/* Whoever asked has gone: it is done all the same, or not. */
	for (int i = 0; q && i < 300 && !uplink_is_answered(&asked->uplink.asks, q); i++)
		world_step();
	uplink_drop(&asked->uplink.asks, q);
}

/* ---- disks ---- */

/* What it had since its start that is not in the cluster, both count from now on. */
static void note_live_copy(const struct daemon *d)
{
	for (unsigned name = 0; d->is_running && name < NAMES; name++)
		for (unsigned i = 0; i < ATOMS; i++)
			atom_may_be_double[name][i] |= atoms_has(&d->disk.objects[name].atoms, i);
}

static void back_up(void)
{
	const struct daemon *d = any();

	if (!d->disk.is_used || (d->is_running && !plan->has_live_copies))
		return;
	note_live_copy(d);
	backups[sim_below(BACKUPS)] = d->disk;
	say("daemon %d: backup", d->number);
}

static void restore(void)
{
	struct daemon *d = any();
	const struct disk *from = &backups[sim_below(BACKUPS)];

	if (!from->is_used || (d->disk.is_used && (d->is_running || sim_one_in(2))))
		return;
	d->disk = *from;
	totals.copies++;
	say("daemon %d: has a copy now", d->number);
}

/* ---- daemons ---- */

static void start(struct daemon *d)
{
	if (d->is_running)
		return;
	d->disk.is_used = true;
	if (!d->disk.next_id)
		d->disk.next_id = 1;
	daemon_start(d);
}

static void end(struct daemon *d)
{
	if (!d->is_running)
		return;
	if (d->is_stopping || sim_one_in(2))
		daemon_crash(d);
	else
		daemon_stop(d);
}

static void commit(struct daemon *d)
{
	if (d->is_running && !d->is_stopping && d->past_count < HISTORY_MAX)
		daemon_commit(d, plan);
}

/* ---- by lot ---- */

static void fail(void)
{
	unsigned group = sim_below(GROUPS);

	switch (sim_below(4)) {
	case 0: net_failover(group); break;
	case 1: net_end_zombie(group); break;
	default: replicate();
	}
}

static void happen(void)
{
	switch (sim_below(60)) {
	case 0: end(any()); break;
	case 1: start(any()); break;
	case 2: net.groups[sim_below(GROUPS)].is_down = sim_one_in(3); break;
	case 3: net.trouble = sim_one_in(3) ? 0 : 1 + sim_below(20); break;
	case 4:
		if (plan->has_retiring && sim_one_in(2))
			retire();
		break;
	case 5:
		if (sim_one_in(4))
			reset();
		break;
	case 6:
		if (plan->has_copies)
			back_up();
		break;
	case 7:
		if (plan->has_copies && sim_one_in(4))
			restore();
		break;
	case 8:
	case 9:
		if (plan->has_failovers)
			fail();
		break;
	case 10: sim_advance(INT64_C(1) << sim_below(44)); break;
	case 11:
	case 12: use(); break;
	case 13:
	case 14: net_execute_late(); break;
	default: commit(any());
	}
}

/* ---- rest ---- */

static bool is_at_rest(const struct daemon *d)
{
	return !d->is_running ||
	       (!d->uplink.broken && d->uplink.sweeps > d->sweeps_before &&
		uplink_table_counts((struct uplink_table *)(uintptr_t)&d->uplink.table).due == 0);
}

static bool are_at_rest(void)
{
	for (int i = 0; i < DAEMONS; i++)
		if (!is_at_rest(&daemons[i]) || daemons[i].is_stopping)
			return false;
	return true;
}

static void wait_for_sweeps(void)
{
	for (int i = 0; i < DAEMONS; i++)
		daemons[i].sweeps_before = daemons[i].uplink.sweeps;
	for (int i = 0; !are_at_rest(); i++) {
		sim_check(i < STEPS_STUCK, "it does not come to rest");
		world_step();
		totals.steps++;
	}
}

/* The second sweep has begun behind the first one. They are slow ones when nobody has noticed anything. */
static void settle(void)
{
	bool is_slow = sim_one_in(16);

	net_heal();
	for (int i = 0; i < DAEMONS; i++)
		if (daemons[i].disk.is_used && !daemons[i].is_stopping)
			start(&daemons[i]);
	for (int i = 0; i < 2; i++) {
		if (!is_slow)
			net_lose_connections();
		wait_for_sweeps();
	}
	say("at rest");
	oracle_ledgers();
	oracle_quiet();
}

/* ---- a seed ---- */

static void reset_world(uint64_t seed)
{
	sim_seed(seed);
	sim_fibers_reset();
	net_reset();
	oracle_reset(plan);
	memset(backups, 0, sizeof(backups));
	for (int i = 0; i < DAEMONS; i++) {
		daemons[i].number = i;
		daemons[i].disk = (struct disk){.is_used = false};
	}
}

static void run_phase(void)
{
	for (int i = 0; i < STEPS; i++) {
		if (sim_one_in(4))
			happen();
		else
			world_step();
		totals.steps++;
		oracle_ledgers();
		oracle_synced();
	}
	settle();
}

static void run_course(void)
{
	start(&daemons[0]);
	plan->course(&daemons[0]);
	settle();
}

void world_run(uint64_t seed, const struct plan *p)
{
	plan = p;
	reset_world(seed);
	for (int phase = 0; !plan->course && phase < PHASES; phase++)
		run_phase();
	if (plan->course)
		run_course();
	for (int i = 0; i < DAEMONS; i++)
		if (daemons[i].is_running)
			daemon_crash(&daemons[i]);
	totals.seeds++;
}
