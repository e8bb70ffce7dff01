/* SPDX-License-Identifier: MIT */
/* course.c - see fleet.h: what must happen in this order to be seen, and what comes of it by no lot. */
#include <string.h>

#include "fleet.h"

enum { STEPS_MAX = 200000 };

static bool has_all_names(const struct daemon *d)
{
	for (int i = 0; i < NAMES; i++)
		if (d->disk.objects[i].value == 0)
			return false;
	return true;
}

static bool is_all_there(struct daemon *d)
{
	return d->uplink.sweeps > 0 && uplink_table_counts(&d->uplink.table).due == 0;
}

static void wait_until_all_is_there(struct daemon *d)
{
	for (int i = 0; !is_all_there(d); i++) {
		sim_check(i < STEPS_MAX, "it does not get there");
		world_step();
	}
}

/* Its record was overtaken by that of a copy, and what it pushes from now on has not come to the replica. */
static void prepare_replica(struct group *g)
{
	g->replica = g->live;
	for (size_t i = 0; i < g->replica.record_count; i++)
		strcpy(g->replica.records[i].at, "0123456789abcdef 1");
}

/* The daemon knows of nothing when it is told that it is a copy: neither that its fields are gone, nor what
 * of them there is. */
void course_copied_behind_failover(struct daemon *d)
{
	static const struct plan additions = {.has_deletes = false};
	uint64_t incarnation = d->disk.incarnation;

	wait_until_all_is_there(d);
	for (unsigned g = 0; g < GROUPS; g++)
		prepare_replica(&net.groups[g]);
	for (int i = 0; !has_all_names(d); i++) {
		sim_check(i < STEPS_MAX, "some names are never drawn");
		daemon_commit(d, &additions);
	}
	wait_until_all_is_there(d);
	for (unsigned g = 0; g < GROUPS; g++) {
		net_failover(g);
		net_end_zombie(g);
	}
	for (int i = 0; d->disk.incarnation == incarnation; i++) {
		sim_check(i < STEPS_MAX, "it does not notice that it is a copy");
		world_step();
	}
}
