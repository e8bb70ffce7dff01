/* SPDX-License-Identifier: MIT */
/* world.c - see world.h. */
#include "world.h"

#include "../../daemon/config.h"
#include "../../daemon/server.h"
#include "actors.h"
#include "clients.h"
#include "kept.h"
#include "kept_audit.h"
#include "net.h"
#include "oracle.h"
#include "replaced.h"
#include "sim.h"

enum {
	DAEMONS = 4,
	STEPS_MAX = 6000,
	STEPS_STUCK = 3000000, /* so many in which nothing is answered are too many */
	WORKERS_MAX = 4,
	EXIT_IO = 74,
	SESSION_TTL_S = 3600,
};

struct world_totals world_totals;

static struct config config; /* of the present daemon */
static struct world_plan plan;

/* ---- the daemon ---- */

static void *daemon_main(void *arg)
{
	(void)arg;
	config_init(&config);
	config.db = sim_strdup("sim.db");
	config.socket = sim_strdup("sim.sock");
	config.workers = 1 + sim_below(WORKERS_MAX);
	config.cells = sim_one_in(2) ? CELLS_ALWAYS : CELLS_AUTO;
	config.durability = plan.is_commit_mode ? DURABILITY_COMMIT : DURABILITY_INTERVAL;
	config.io = sim_one_in(2) ? IO_URING : IO_EPOLL;
	atomic_store(&config.commit_interval_ms, 10 + sim_below(100));
	atomic_store(&config.snapshot_interval_ms, 10 + sim_below(3000));
	atomic_store(&config.fold_cpu_percent, 1 + sim_below(100));
	atomic_store(&config.session_ttl_ms, SESSION_TTL_S * INT64_C(1000));
	if (sim_one_in(3)) {
		atomic_store(&config.max_source_operations, 100 + sim_below(2000));
		atomic_store(&config.max_source_bytes, sim_below(100000));
	}
	if (kept_audit_pattern())
		atomic_store(&config.audit, sim_strdup(kept_audit_pattern()));
	sim_end(server_run(&config));
}

static void daemon_start(void)
{
	sim_fibers_reset();
	sim_heap_reset();
	sim_statics_reset();
	sim_outside_reset();
	(void)sim_spawn(daemon_main, NULL);
}

/* The wall clock is set forth and back: not so far that a session expires, but so that the record of one
 * looks old that was made just now, and it is recorded again when somebody asks for it. */
static void set_wall(void)
{
	sim_set_wall(sim_below(SESSION_TTL_S / 2) * INT64_C(1000000000));
}

/* One thing happens: a client acts, bytes move, or a thread of the daemon runs for a slice. */
static void step(void)
{
	int64_t deadline_ns;

	if (sim_one_in(4))
		clients_step();
	if (sim_one_in(16))
		net_step();
	/* What has expired, and lives again with the wall clock, is no half of anything. */
	if (!plan.is_expiring && sim_one_in(4))
		set_wall();
	if (!sim_run_slice(&deadline_ns)) {
		clients_step();
		net_step();
		/* All sleep: time passes. Now and then it does so anyway, as for a machine that is slow. */
		if (deadline_ns >= 0 && sim_one_in(30) && deadline_ns > sim_now_ns())
			sim_advance(deadline_ns - sim_now_ns());
	} else if (sim_one_in(2000)) {
		sim_advance(sim_below(30000000));
	}
	oracle_step();
}

/* Steps until nothing is owed and everyone sleeps for ever. */
static void come_to_rest(void)
{
	uint64_t idle = 0, arrived = clients_arrived();

	clients_set_quiet(true);
	kept_set_faults((struct kept_faults){0});
	for (uint64_t n = 0; idle < 200; n++) {
		int64_t deadline_ns = 0;

		for (int i = 0; i < 4; i++)
			clients_step();
		net_step();
		if (sim_run_slice(&deadline_ns)) {
			idle = 0;
		} else if (deadline_ns >= 0) {
			if (deadline_ns > sim_now_ns())
				sim_advance(deadline_ns - sim_now_ns());
		} else if (clients_coming() == 0) {
			idle++; /* a client that is slow to look is no fault of the daemon's */
		}
		oracle_step();
		if (clients_arrived() != arrived)
			n = 0;
		arrived = clients_arrived();
		sim_check(n < STEPS_STUCK, "%llu replies are owed and nothing moves",
			  (unsigned long long)clients_owed());
		sim_check(sim_status() == SIM_RUNS, "the daemon has ended with %d", sim_status());
	}
	sim_check(clients_owed() == 0, "everyone sleeps, and %llu replies are owed",
		  (unsigned long long)clients_owed());
	oracle_at_rest();
	clients_set_quiet(false);
}

/* ---- ends ---- */

static void end_by_crash(void)
{
	net_crash();
	clients_crash();
	kept_crash();
	world_totals.crashes++;
}

/* Whether the disk may refuse for good, or fail. */
static void end_by_stop(bool may_fail)
{
	uint64_t n;

	sim_terminate();
	for (n = 0; sim_status() == SIM_RUNS && n < STEPS_STUCK; n++)
		step();
	sim_check(sim_status() == 0 || (may_fail && sim_status() == EXIT_IO), "the daemon stops with %d",
		  sim_status());
	net_crash();
	clients_crash();
	kept_crash();
	world_totals.stops++;
}

/* ---- a life ---- */

static void recover(void)
{
	uint64_t n = 0;

	/* The disk as recovery finds it. */
	oracle_recovered();
	daemon_start();
	while (!net_is_accepting() && sim_status() == SIM_RUNS && n++ < STEPS_STUCK)
		step();
	sim_check(net_is_accepting(), "the daemon does not start: %d", sim_status());
}

static struct kept_faults draw_faults(void)
{
	struct kept_faults f = {.slow_one_in = 1 + sim_below(6)};

	if (plan.has_faults && sim_one_in(2))
		f.full_one_in = 5 + sim_below(30);
	if (plan.has_faults && sim_one_in(3))
		f.error_one_in = 5 + sim_below(60);
	return f;
}

/* An incarnation. */
static void live(bool is_last)
{
	struct kept_faults faults = draw_faults();
	uint32_t steps = 1 + sim_below(STEPS_MAX);

	recover();
	oracle_set_may_refuse(faults.full_one_in);
	kept_set_faults(faults);
	/* A disk that has failed has doomed the daemon: it does not come to rest. */
	for (uint32_t n = 0; (n < steps || kept_has_failed()) && sim_status() == SIM_RUNS; n++)
		step();
	if (sim_status() != SIM_RUNS) {
		sim_check(sim_status() == EXIT_IO && faults.error_one_in, "the daemon ends with %d",
			  sim_status());
		world_totals.errors++;
		end_by_crash();
		return;
	}
	if (is_last || sim_one_in(3)) {
		come_to_rest();
		faults = (struct kept_faults){0};
	}
	if (is_last || sim_one_in(3))
		end_by_stop(faults.full_one_in || faults.error_one_in);
	else
		end_by_crash();
}

static void add_some(const struct script *script, uint32_t count_max)
{
	uint32_t count = sim_below(count_max + 1);

	for (uint32_t i = 0; i < count; i++)
		(void)clients_add(script, i);
}

static void add_actors(void)
{
	add_some(&script_pair, 2);
	add_some(&script_chain, 2);
	add_some(&script_bag, 2);
	add_some(&script_session, SESSIONS);
	add_some(&script_token, 2);
	if (plan.is_expiring)
		add_some(&script_life, 3);
	(void)clients_add(&script_counter, 0);
	add_some(&script_counter, 2);
	add_some(&script_reader, 2);
}

void world_run(uint64_t seed, struct world_plan p)
{
	plan = p;
	sim_seed(seed);
	oracle_init(p.is_flushing, p.is_expiring);
	kept_init(oracle_landed);
	kept_audit_init(!sim_one_in(3) ? NULL : sim_one_in(2) ? "*" : "*[acegikmoqsuwy13579]");
	clients_init(p.is_commit_mode);
	add_actors();
	for (uint32_t i = 1; i <= DAEMONS; i++)
		live(i == DAEMONS);
	world_totals.seeds++;
	world_totals.commits += kept_commits();
	world_totals.replies = clients_arrived();
	clients_fini();
	kept_fini();
}
