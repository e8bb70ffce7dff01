/* SPDX-License-Identifier: MIT */
/*
 * uplink_sweep.c - compares what should be in the cluster with what is there, from both ends: first the names
 * of this daemon, then the cluster's ledgers, for one that this daemon has forgotten may have come back.
 *
 * At full speed after something that may have rolled a node back, else in the course of an hour.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/cluster.h"
#include "clock.h"
#include "uplink.h"

enum {
	HOUR_MS = 3600000,
	CHUNK = 256,	       /* names of a round, slowly, */
	CHUNK_FAST = 64 << 10, /* ... and fast */
	SCAN_FAST_MS = 250,    /* so long a fast one goes on with ledgers in a round */
};

void uplink_sweep_begin(struct uplink *u, bool is_fast)
{
	u->is_fast |= is_fast;
	u->is_scanning = false;
	u->sweep_due_ms = 0;
	uplink_table_sweep_again(&u->table);
}

/* An hour for all of them. */
static int64_t pause_ms(struct uplink *u)
{
	size_t names = uplink_table_counts(&u->table).names;

	return (int64_t)HOUR_MS * CHUNK / (int64_t)(names > CHUNK ? names : CHUNK);
}

static void look_at_names(struct uplink *u)
{
	u->is_scanning = !uplink_table_sweep(&u->table, u->is_fast ? CHUNK_FAST : CHUNK);
	u->scan.count = 0;
}

/* ---- ledgers ---- */

/* One page. */
struct page {
	struct uplink *uplink;
	struct uplink_walk *walk;
	bool is_failed, is_more;
};

static struct uplink_scan *scan_of(struct uplink_walk *w, const struct node *node)
{
	const char *name = cluster_name(node);
	struct uplink_scan *more;

	for (size_t i = 0; i < w->count; i++)
		if (strncmp(w->scans[i].node, name, sizeof(w->scans[i].node) - 1) == 0)
			return &w->scans[i];
	more = reallocarray(w->scans, w->count + 1, sizeof(*more));
	if (!more)
		return NULL;
	w->scans = more;
	more = &w->scans[w->count++];
	*more = (struct uplink_scan){.cursor = "0"};
	(void)snprintf(more->node, sizeof(more->node), "%s", name);
	return more;
}

static bool read_page(struct page *p, struct uplink_scan *at, const struct resp_reply *reply)
{
	const struct resp_reply *keys;
	struct slice name, cursor;

	if (reply->type != RESP_ARRAY || reply->count != 2 || reply->elements[1].type != RESP_ARRAY)
		return false;
	cursor = reply->elements[0].str;
	if (cursor.len == 0 || cursor.len >= sizeof(at->cursor))
		return false;
	keys = &reply->elements[1];
	for (size_t i = 0; i < keys->count; i++)
		if (shard_of_ledger(keys->elements[i].str, &name) &&
		    !p->walk->fn(p->uplink, p->walk->arg, name))
			return false;
	memcpy(at->cursor, cursor.data, cursor.len);
	at->cursor[cursor.len] = '\0';
	at->is_through = strcmp(at->cursor, "0") == 0;
	return true;
}

static void take_page(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct page *p = arg;
	struct uplink_scan *at = scan_of(p->walk, op->node);

	if (status || !at || !read_page(p, at, reply))
		p->is_failed = true;
	else
		p->is_more |= !at->is_through;
}

static void put_scan(void *arg, struct node *node)
{
	struct page *p = arg;
	const struct uplink_scan *at = scan_of(p->walk, node);
	const struct cluster_way way = {.kind = OP_READ,
					.slot = OP_ANY_SLOT,
					.node = node,
					.is_once = true,
					.done = take_page,
					.arg = p};

	if (!at) {
		p->is_failed = true;
		return;
	}
	if (at->is_through)
		return;
	const struct slice argv[] = {slice_str("SCAN"),	 slice_str(at->cursor),
				     slice_str("MATCH"), slice_str("shc:{*}:ledger:*"),
				     slice_str("COUNT"), slice_str("1000")};
	if (cluster_put(p->uplink->cluster, &way, 6, argv))
		p->is_failed = true;
}

/* A cursor is its node's; when one has been replaced meanwhile, a sweep begins anyway. */
enum uplink_progress uplink_walk_some(struct uplink *u, struct uplink_walk *w)
{
	struct page p = {.uplink = u, .walk = w};

	uplink_begin(u, UPLINK_ROUND_MS);
	if (cluster_connect(u->cluster))
		return UPLINK_NOT_NOW;
	cluster_each(u->cluster, false, put_scan, &p);
	cluster_run(u->cluster, 0);
	if (p.is_failed || w->count == 0)
		return UPLINK_NOT_NOW;
	return p.is_more ? UPLINK_MORE : UPLINK_THROUGH;
}

static bool note_ledger(struct uplink *u, void *arg, struct slice name)
{
	(void)arg;
	return uplink_table_found(&u->table, name) == 0;
}

/* False: somebody does not answer. */
static bool look_at_ledgers(struct uplink *u)
{
	int64_t until = clock_ms(CLOCK_MONOTONIC) + (u->is_fast ? SCAN_FAST_MS : 0);
	enum uplink_progress progress;

	u->scan.fn = note_ledger;
	do
		progress = uplink_walk_some(u, &u->scan);
	while (progress == UPLINK_MORE && clock_ms(CLOCK_MONOTONIC) < until && !atomic_load(&u->is_stopping));
	if (progress == UPLINK_THROUGH) {
		u->is_scanning = u->is_fast = false;
		u->sweeps++;
	}
	return progress != UPLINK_NOT_NOW;
}

bool uplink_sweep_some(struct uplink *u)
{
	bool is_answered = true;

	if (u->is_scanning)
		is_answered = look_at_ledgers(u);
	else
		look_at_names(u);
	u->sweep_due_ms = u->is_fast ? 0 : clock_ms(CLOCK_MONOTONIC) + pause_ms(u);
	return is_answered;
}
