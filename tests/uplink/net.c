/* SPDX-License-Identifier: MIT */
/*
 * net.c - see fleet.h: lib/cluster.h as the uplink knows it, over a network that loses, delays, doubles and
 * reorders, and masters that are replaced by what their replicas have.
 */
#include "../../lib/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/script.h"
#include "fleet.h"

struct net net;

enum { STOP_MS = 250 };

struct cluster {
	struct daemon *daemon;
	int64_t deadline_ns;
	const _Atomic bool *is_stopping;
	int64_t stop_ns; /* 0: that was not seen */
	uint64_t losses;
	unsigned generations[GROUPS]; /* whom it speaks to */
	bool has_spoken[GROUPS];
	bool sees_zombie[GROUPS];
	size_t count;
	struct request *requests; /* owned: REQUESTS_MAX */
	const char *error;
	struct cluster *next;
};

static struct cluster *clusters; /* all */

/* ---- masters ---- */

unsigned net_group_of(unsigned slot)
{
	return slot % GROUPS;
}

void net_reset(void)
{
	memset(&net, 0, sizeof(net));
	for (unsigned g = 0; g < GROUPS; g++)
		for (unsigned i = 0; i < 2; i++) {
			struct node *n = &net.groups[g].nodes[i];

			(void)snprintf(n->name, sizeof(n->name), "node%u%c:1", g, 'a' + (int)i);
			n->group = g;
		}
}

void net_failover(unsigned group)
{
	struct group *g = &net.groups[group];

	if (g->has_zombie)
		return;
	oracle_rolls_back(&g->live, &g->replica);
	g->zombie = g->live;
	g->live = g->replica;
	g->has_zombie = true;
	g->generation++;
	for (struct cluster *c = clusters; c; c = c->next)
		c->sees_zombie[group] = c->generations[group] + 1 == g->generation && sim_one_in(2);
	totals.failovers++;
	say("group %u: failover", group);
	if (sim_one_in(2))
		net_end_zombie(group);
}

void net_end_zombie(unsigned group)
{
	struct group *g = &net.groups[group];

	if (!g->has_zombie)
		return;
	oracle_rolls_back(&g->zombie, &g->live);
	g->has_zombie = false;
	for (struct cluster *c = clusters; c; c = c->next)
		c->sees_zombie[group] = false;
}

bool net_sees_old_master(const struct daemon *d, unsigned group)
{
	return net.groups[group].has_zombie && d->uplink.cluster->sees_zombie[group];
}

static struct redis *master(const struct cluster *c, unsigned group)
{
	struct group *g = &net.groups[group];

	return g->has_zombie && c->sees_zombie[group] ? &g->zombie : &g->live;
}

/* A connection to the one before is lost. */
static void reconnect(struct cluster *c, unsigned group)
{
	if (c->sees_zombie[group] || c->generations[group] == net.groups[group].generation)
		return;
	c->losses += c->has_spoken[group];
	c->generations[group] = net.groups[group].generation;
}

/* ---- late ones ---- */

static void keep_late(const struct request *q, unsigned group)
{
	if (net.late_count == LATE_MAX)
		return;
	net.late[net.late_count] = *q;
	net.late_groups[net.late_count++] = group;
}

void net_execute_late(void)
{
	struct answer answer;
	size_t i;

	if (!net.late_count)
		return;
	i = sim_below((uint32_t)net.late_count);
	if (!sim_one_in(4)) {
		struct group *g = &net.groups[net.late_groups[i]];

		redis_execute(g->has_zombie && sim_one_in(2) ? &g->zombie : &g->live, &net.late[i], &answer);
		totals.late++;
		say("late: %s %s %s -> %s", net.late[i].words[1], net.late[i].words[3], net.late[i].words[4],
		    net.late[i].words[5]);
	}
	net.late[i] = net.late[--net.late_count];
	net.late_groups[i] = net.late_groups[net.late_count];
}

void net_heal(void)
{
	net.trouble = 0;
	for (unsigned g = 0; g < GROUPS; g++) {
		net_end_zombie(g);
		net.groups[g].is_down = false;
	}
	while (net.late_count)
		net_execute_late();
}

/* Whoever had one looks for what was lost. */
void net_lose_connections(void)
{
	for (struct cluster *c = clusters; c; c = c->next)
		c->losses++;
}

/* ---- delivery ---- */

static bool is_over(const struct cluster *c)
{
	return c->daemon->is_dead || sim_now_ns() >= c->deadline_ns;
}

static void look_at_stop(struct cluster *c)
{
	if (c->is_stopping && !c->stop_ns && atomic_load(c->is_stopping))
		c->stop_ns = sim_now_ns() + STOP_MS * INT64_C(1000000);
	if (c->stop_ns && c->stop_ns < c->deadline_ns)
		c->deadline_ns = c->stop_ns;
}

static void tell(struct cluster *c, size_t i, enum shc_status status, const struct resp_reply *reply)
{
	const struct request q = c->requests[i];
	const struct op op = {.slot = (uint16_t)q.slot, .node = q.node};

	c->requests[i] = c->requests[--c->count];
	if (!c->daemon->is_dead && q.script == &script_push)
		say("daemon %d: %s %s '%s' -> '%s': status %d '%.*s'", c->daemon->number, q.words[1],
		    q.words[3], q.words[4], q.words[5], (int)status,
		    reply && reply->count == 2 ? (int)reply->elements[1].str.len : 0,
		    reply && reply->count == 2 ? reply->elements[1].str.data : "");
	q.done(q.arg, &op, status, reply);
}

static void give_up(struct cluster *c, size_t i)
{
	const struct request *q = &c->requests[i];
	bool is_in_doubt = q->kind != OP_READ && q->may_be_done;

	c->error = is_in_doubt ? "no answer" : "no connection";
	tell(c, i, is_in_doubt ? SHC_IN_DOUBT : SHC_UNREACHABLE, NULL);
}

/* It, or its answer, is lost with the connection. */
static void lose(struct cluster *c, size_t i, unsigned group)
{
	struct request *q = &c->requests[i];
	struct answer answer;

	c->losses += c->has_spoken[group];
	c->has_spoken[group] = false;
	if (sim_one_in(2))
		redis_execute(master(c, group), q, &answer);
	else if (sim_one_in(2))
		keep_late(q, group);
	q->may_be_done = true;
	if (q->is_once || q->kind == OP_WRITE || sim_one_in(8))
		give_up(c, i);
}

static void deliver(struct cluster *c, size_t i)
{
	struct request *q = &c->requests[i];
	unsigned group = q->node ? q->node->group : net_group_of(q->slot);
	struct answer answer;

	if (net.groups[group].is_down && !c->sees_zombie[group])
		return;
	reconnect(c, group);
	if (q->node && q->node != &net.groups[group].nodes[c->generations[group] % 2]) {
		give_up(c, i);
		return;
	}
	if (net.trouble && sim_one_in(net.trouble)) {
		lose(c, i, group);
		return;
	}
	c->has_spoken[group] = true;
	redis_execute(master(c, group), q, &answer);
	if (net.trouble && q->kind == OP_REPEATABLE && sim_one_in(4 * net.trouble))
		keep_late(q, group);
	tell(c, i, answer.status, &answer.reply);
}

void cluster_run(struct cluster *c, size_t left_max)
{
	int patience = 1000; /* on the test's own stack no time goes by */

	while (c->count > left_max) {
		look_at_stop(c);
		if (is_over(c) || (sim_current() < 0 && --patience == 0)) {
			/* A dead one must not wait for the clock. */
			if (c->daemon->is_dead && sim_now_ns() < c->deadline_ns)
				sim_advance(c->deadline_ns - sim_now_ns());
			while (c->count > 0)
				give_up(c, c->count - 1);
			return;
		}
		if (sim_one_in(4) || net.groups[0].is_down || net.groups[1].is_down)
			(void)sim_sleep(NULL, NULL, sim_now_ns() + (INT64_C(1) << sim_below(29)));
		sim_point();
		if (!is_over(c))
			deliver(c, sim_below((uint32_t)c->count));
	}
}

/* Of what is there any byte may have left, or none. */
void cluster_drain(struct cluster *c)
{
	for (size_t i = c->count; i-- > 0;)
		if (!c->requests[i].may_be_done && sim_one_in(2))
			give_up(c, i);
	cluster_run(c, 0);
}

/* ---- putting ---- */

static struct request *put(struct cluster *c, const struct cluster_way *way, size_t argc,
			   const struct slice *argv)
{
	struct request *q = &c->requests[c->count++];

	sim_check(c->count <= REQUESTS_MAX && argc <= WORDS_MAX, "too many requests, or words");
	*q = (struct request){
		.kind = way->kind,
		.slot = way->slot,
		.node = way->slot == OP_ANY_SLOT ? way->node : NULL,
		.done = way->done,
		.arg = way->arg,
		.is_once = way->is_once,
		.argc = argc,
	};
	for (size_t i = 0; i < argc; i++) {
		sim_check(argv[i].len < WORD_SIZE, "a long word");
		if (argv[i].len)
			memcpy(q->words[i], argv[i].data, argv[i].len);
	}
	return q;
}

enum shc_status cluster_put(struct cluster *c, const struct cluster_way *way, size_t argc,
			    const struct slice *argv)
{
	put(c, way, argc, argv);
	return SHC_OK;
}

enum shc_status cluster_put_script(struct cluster *c, const struct cluster_way *way,
				   const struct script *script, size_t argc, const struct slice *argv)
{
	struct request *q = put(c, way, argc, argv);

	q->script = script;
	if (script == &script_push && !c->daemon->is_dead)
		oracle_pushing(c->daemon, q);
	return SHC_OK;
}

/* ---- the rest of lib/cluster.h ---- */

struct cluster *cluster_open(const struct url *url)
{
	struct cluster *c = calloc(1, sizeof(*c));

	(void)url;
	sim_check(c, "out of memory");
	c->daemon = acting;
	c->requests = calloc(REQUESTS_MAX, sizeof(*c->requests));
	sim_check(c->requests, "out of memory");
	c->error = "";
	for (unsigned g = 0; g < GROUPS; g++) {
		c->generations[g] = net.groups[g].generation;
		c->sees_zombie[g] = net.groups[g].has_zombie && sim_one_in(3);
		c->generations[g] -= c->sees_zombie[g];
	}
	c->next = clusters;
	clusters = c;
	return c;
}

void cluster_close(struct cluster *c)
{
	struct cluster **at = &clusters;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	free(c->requests);
	free(c);
}

void cluster_begin(struct cluster *c, int timeout_ms, bool is_patient)
{
	(void)is_patient;
	c->deadline_ns = sim_now_ns() + timeout_ms * INT64_C(1000000);
}

void cluster_stop_with(struct cluster *c, const _Atomic bool *is_stopping)
{
	c->is_stopping = is_stopping;
	c->stop_ns = 0;
}

void cluster_extend(struct cluster *c)
{
	c->deadline_ns = sim_now_ns() + 1000 * INT64_C(1000000);
}

size_t cluster_left(const struct cluster *c)
{
	return c->count;
}

enum shc_status cluster_connect(struct cluster *c)
{
	return is_over(c) ? SHC_UNREACHABLE : SHC_OK;
}

bool cluster_is_over(const struct cluster *c)
{
	return is_over(c);
}

const char *cluster_error(const struct cluster *c)
{
	return c->error;
}

uint64_t cluster_partings(const struct cluster *c)
{
	return c->losses;
}

struct node *cluster_master(struct cluster *c, unsigned slot)
{
	unsigned g = net_group_of(slot);

	return &net.groups[g].nodes[c->generations[g] % 2];
}

void cluster_each(struct cluster *c, bool has_replicas, cluster_node_fn *fn, void *arg)
{
	(void)has_replicas;
	for (unsigned g = 0; g < GROUPS; g++)
		fn(arg, cluster_master(c, g));
}

/* An old master has no replicas any more. */
enum shc_status cluster_wait(struct cluster *c, unsigned replicas, bool *is_lost)
{
	(void)replicas, (void)is_lost;
	sim_point();
	for (unsigned g = 0; g < GROUPS; g++) {
		if (is_over(c) || net.groups[g].is_down || master(c, g) != &net.groups[g].live ||
		    (net.trouble && sim_one_in(2)))
			return SHC_UNREACHABLE;
		net.groups[g].replica = net.groups[g].live;
	}
	return SHC_OK;
}

const char *cluster_name(const struct node *node)
{
	return node->name;
}

unsigned cluster_slots(const struct node *node)
{
	(void)node;
	return SLOT_COUNT / GROUPS;
}
