/* SPDX-License-Identifier: MIT */
/*
 * uplink_switch.c - this disk is a copy, or was copied, or was given up: it goes on as a new incarnation,
 * which begins at zero. What the old one has in the cluster stays there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commit.h"
#include "../lib/log.h"
#include "store.h"
#include "uplink.h"

enum { ROWS = 2000 /* of a transaction: as folding */ };

static const char *const reasons[] = {
	[UPLINK_GIVEN_UP] = "this incarnation was retired by an operator",
	[UPLINK_COPIED] = "another copy of this state has brought its counts to the cluster",
};

struct writing {
	uint64_t incarnation;
	const struct store_baseline *rows;
	size_t count;
};

static int put_rows(struct store *s, void *arg)
{
	const struct writing *w = arg;

	return store_put_baselines(s, w->incarnation, w->rows, w->count);
}

static int switch_to(struct store *s, void *arg)
{
	const struct writing *w = arg;

	return store_uplink_switch(s, w->incarnation);
}

static int forget_rows(struct store *s, void *arg)
{
	(void)arg;
	return store_forget_baselines(s, ROWS);
}

/* All of them, then the number that makes them count. */
static int write_down(struct uplink *u, struct writing *w)
{
	const struct store_baseline *rows = w->rows;
	size_t left = w->count;
	int rc = 0;

	for (; left > 0 && !rc; left -= w->count, w->rows += w->count) {
		w->count = left < ROWS ? left : ROWS;
		rc = commit_call(u->commit, put_rows, w);
	}
	w->rows = rows;
	return rc ? rc : commit_call(u->commit, switch_to, w);
}

/* For this reason; and no master has been replaced since. */
static bool is_looking(const struct uplink *u)
{
	return u->table.is_looking && u->table.is_given_up == (u->broken == UPLINK_GIVEN_UP) &&
	       u->switch_topology == u->topology;
}

/* What may have been pushed without an answer, or has been rolled back, must be known, or it would be counted
 * twice, or not at all. */
static bool resolve_doubts(struct uplink *u)
{
	if (!is_looking(u)) {
		if (u->broken == UPLINK_GIVEN_UP && !uplink_claim(u))
			return false;
		uplink_table_doubt(&u->table, u->lineage.now.start, u->broken == UPLINK_GIVEN_UP);
		u->switch_topology = u->topology;
	}
	if (uplink_table_look(&u->table) == 0)
		return true;
	uplink_round(u);
	uplink_look_at_topology(u);
	return is_looking(u) && uplink_table_look(&u->table) == 0;
}

/* Nobody will bring what the fields stand for now once more: it should outlive its master. */
static bool wait_for_replica(struct uplink *u)
{
	bool is_there;

	if (u->wait_count >= UPLINK_WAITS)
		return true;
	u->wait_count++;
	is_there = uplink_ask_replicas(u, UPLINK_REPLICA_WHERE_ANY);
	return u->switch_topology == u->topology && (is_there || u->wait_count >= UPLINK_WAITS);
}

bool uplink_switch(struct uplink *u)
{
	uint64_t start = u->lineage.now.start;
	const char *why = reasons[u->broken];
	struct writing w;
	char before[UPLINK_ID_SIZE];
	struct store_baseline *rows;
	int rc;

	if (!resolve_doubts(u) || !wait_for_replica(u))
		return false;
	w.incarnation = uplink_draw_id();
	rows = uplink_table_baselines(&u->table, start, &w.count);
	w.rows = rows;
	rc = rows ? write_down(u, &w) : -ENOMEM;
	free(rows);
	if (rc) {
		if (rc != -ECANCELED)
			uplink_say(u, "%s, and a new incarnation cannot be written down now: %s", why,
				   rc < 0 ? strerror(-rc) : "the disk is full");
		return false;
	}
	strcpy(before, u->incarnation_id);
	uplink_table_switch(&u->table, start);
	uplink_become(u, w.incarnation);
	atomic_store(&u->is_restored, true);
	log_warning(
		"uplink: %s: incarnation %s stays as it is, this state goes on as %s. Sessions and tokens are "
		"refused until somebody has looked: shcount uplink accept",
		why, before, u->incarnation_id);
	uplink_sweep_begin(u, true);
	while (commit_call(u->commit, forget_rows, NULL) == STORE_AGAIN)
		;
	return true;
}
