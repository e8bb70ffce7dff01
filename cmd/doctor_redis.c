/* SPDX-License-Identifier: MIT */
/*
 * doctor_redis.c - a Redis Cluster, or one Redis server: whether all of it is there, keeps what it is told,
 * and lets this user do what shcount does.
 *
 * What is permitted is tried with requests that change nothing, whoever answers: a wrong argument, a key that
 * is not there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/info.h"
#include "../lib/redis.h"
#include "doctor.h"

enum {
	SLOTS = 16384,
	SKEW_S_MAX = 2, /* between the clocks of two machines; windows and limits are by the server's */
	LIST_BYTES = 400,
	PROBE_WORDS_MAX = 5,
};

#define PROBE_KEY "shc:doctor"

/* Names, with commas between, and how many. */
struct names {
	char text[LIST_BYTES];
	size_t count;
};

static void add_name(struct names *names, const char *name)
{
	size_t len = strlen(names->text);
	if (names->count++ > 0 && len < sizeof(names->text))
		len += (size_t)snprintf(names->text + len, sizeof(names->text) - len, ", ");
	if (len < sizeof(names->text))
		snprintf(names->text + len, sizeof(names->text) - len, "%s", name);
}

/* What INFO of all nodes comes to. */
struct nodes {
	struct doctor *d;
	unsigned masters, replicas, silent;
	struct names alone;	  /* masters without a replica */
	struct names behind;	  /* replicas without their master */
	struct names evicting;	  /* counters go when memory is short */
	struct names would_evict; /* the same, but there is no limit of memory */
	struct names expiring;	  /* what expires goes */
	struct names forgetful;	  /* keep nothing on disk */
	struct names failing;	  /* could not write to it */
	struct names off;	  /* by the clock */
	int64_t skew_s_max;
	char version[32];
	struct names others; /* of another version */
};

static void take_memory(struct nodes *n, const char *name, struct slice info)
{
	struct slice policy;
	bool has_limit = info_number(info, "maxmemory", 0) > 0;
	if (!info_find(info, "maxmemory_policy", &policy))
		return;
	if (policy.len > 7 && memcmp(policy.data, "allkeys", 7) == 0)
		add_name(has_limit ? &n->evicting : &n->would_evict, name);
	else if (policy.len > 8 && memcmp(policy.data, "volatile", 8) == 0)
		add_name(has_limit ? &n->expiring : &n->would_evict, name);
}

static void take_clock(struct nodes *n, const char *name, struct slice info)
{
	int64_t usec = info_number(info, "server_time_usec", -1);
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t skew_s = usec < 0 ? 0 : llabs((long long)(usec / 1000000 - now.tv_sec));
	/* It was read up to a time limit ago. */
	if (skew_s <= SKEW_S_MAX + n->d->inv->timeout_ms / 1000)
		return;
	add_name(&n->off, name);
	n->skew_s_max = skew_s > n->skew_s_max ? skew_s : n->skew_s_max;
}

static void take_version(struct nodes *n, const char *name, struct slice info)
{
	struct slice version;
	if (!info_find(info, "redis_version", &version))
		return;
	if (!n->version[0])
		snprintf(n->version, sizeof(n->version), "%.*s", (int)version.len, version.data);
	else if (!slice_equal(version, slice_str(n->version)))
		add_name(&n->others, name);
}

static void take_node(void *arg, const struct node *node, enum shc_status status,
		      const struct resp_reply *reply, const char *error)
{
	struct nodes *n = arg;
	const char *name = cluster_name(node);
	if (status == SHC_DENIED) {
		doctor_say(n->d, DOCTOR_WARN, "node", "let this user use INFO (ACL SETUSER ... +info)",
			   "%s does not tell how it is: %s", name, error);
		return;
	}
	if (status) {
		n->silent++;
		doctor_say(n->d, DOCTOR_BAD, "node", "start it, or have it removed (CLUSTER FORGET)", "%s",
			   error);
		return;
	}
	struct slice info = reply->str;
	bool is_replica = !info_is(info, "role", "master");
	n->replicas += is_replica;
	n->masters += !is_replica;
	if (!is_replica && info_number(info, "connected_slaves", 0) == 0)
		add_name(&n->alone, name);
	if (is_replica && !info_is(info, "master_link_status", "up"))
		add_name(&n->behind, name);
	if (info_is(info, "rdb_last_bgsave_status", "err") || info_is(info, "aof_last_write_status", "err"))
		add_name(&n->failing, name);
	/* A server that saves has a moment of its last save; "save" itself is for administrators to ask. */
	if (info_number(info, "aof_enabled", 1) == 0)
		add_name(&n->forgetful, name);
	take_memory(n, name, info);
	take_clock(n, name, info);
	take_version(n, name, info);
}

static void say_names(struct doctor *d, const struct names *names, enum doctor_grade grade, const char *what,
		      const char *found, const char *change)
{
	if (names->count)
		doctor_say(d, grade, what, change, "%s: %s", found, names->text);
}

static void say_nodes(struct doctor *d, const struct nodes *n, bool is_cluster)
{
	doctor_say(d, n->silent ? DOCTOR_BAD : DOCTOR_OK, "nodes", NULL,
		   "%u masters and %u replicas answer, %u nodes do not; Redis %s", n->masters, n->replicas,
		   n->silent, n->version[0] ? n->version : "of a version that is not told");
	say_names(d, &n->others, DOCTOR_WARN, "version", "another than the others have",
		  "upgrade these nodes, too");
	if (is_cluster)
		say_names(d, &n->alone, DOCTOR_WARN, "replicas", "none of these masters has one",
			  "add one to each: with its only copy a master takes its counters along");
	say_names(d, &n->behind, DOCTOR_WARN, "replicas", "not connected to their master",
		  "look into their logs; a failover to them loses what they do not have");
}

static void say_eviction(struct doctor *d, const struct nodes *n)
{
	static const char change[] = "CONFIG SET maxmemory-policy noeviction, and in redis.conf";
	say_names(d, &n->evicting, DOCTOR_BAD, "eviction",
		  "counters are deleted when memory is short (maxmemory-policy allkeys-...)", change);
	say_names(
		d, &n->expiring, DOCTOR_WARN, "eviction",
		"tokens, windows and limits are deleted when memory is short (maxmemory-policy volatile-...)",
		change);
	say_names(d, &n->would_evict, DOCTOR_WARN, "eviction",
		  "counters would be deleted if maxmemory were set (maxmemory-policy)", change);
	if (!n->evicting.count && !n->expiring.count && !n->would_evict.count)
		doctor_say(d, DOCTOR_OK, "eviction", NULL, "nothing is deleted for want of memory");
}

static void say_disk(struct doctor *d, const struct nodes *n)
{
	say_names(d, &n->failing, DOCTOR_BAD, "persistence", "could not write to their disk",
		  "free some space there; their logs say why");
	say_names(
		d, &n->forgetful, DOCTOR_WARN, "persistence", "no append-only file",
		"appendonly yes: else all that was counted since the last snapshot, if there are any, goes with the "
		"last copy that ends");
	if (!n->failing.count && !n->forgetful.count)
		doctor_say(d, DOCTOR_OK, "persistence", NULL, "append-only files");
}

static void say_clocks(struct doctor *d, const struct nodes *n)
{
	if (n->off.count)
		doctor_say(d, DOCTOR_WARN, "clocks",
			   "have them set by NTP: expiries, windows and limits go by them",
			   "up to %" PRId64 " s from this machine's: %s", n->skew_s_max, n->off.text);
	else
		doctor_say(d, DOCTOR_OK, "clocks", NULL, "as this machine's, to some seconds");
}

/* ---- slots ---- */

struct coverage {
	bool is_told, is_down;
	int64_t slots_ok_min;
};

static void take_coverage(void *arg, const struct node *node, enum shc_status status,
			  const struct resp_reply *reply, const char *error)
{
	struct coverage *c = arg;
	(void)node;
	(void)error;
	if (status)
		return;
	int64_t ok = info_number(reply->str, "cluster_slots_ok", SLOTS);
	c->slots_ok_min = !c->is_told || ok < c->slots_ok_min ? ok : c->slots_ok_min;
	c->is_down |= !info_is(reply->str, "cluster_state", "ok");
	c->is_told = true;
}

/* Whether keys can be asked for. */
static bool look_at_slots(struct doctor *d, struct shc *shc)
{
	const struct slice words[] = {slice_str("CLUSTER"), slice_str("INFO")};
	struct coverage c = {0};
	if (redis_each(shc, true, 2, words, take_coverage, &c) || !c.is_told)
		doctor_say(d, DOCTOR_WARN, "slots",
			   "let this user use CLUSTER INFO (ACL SETUSER ... +cluster|info)",
			   "no node tells of them");
	else if (c.is_down || c.slots_ok_min < SLOTS)
		doctor_say(
			d, DOCTOR_BAD, "slots",
			"start the missing nodes, or give their slots to others (redis-cli --cluster fix); "
			"counters in them can be neither read nor changed",
			"%" PRId64 " of %d are served, cluster_state is %s", c.slots_ok_min, SLOTS,
			c.is_down ? "fail" : "ok");
	else
		doctor_say(d, DOCTOR_OK, "slots", NULL, "all %d are served", SLOTS);
	return !c.is_down;
}

/* ---- what this user may do ---- */

/* Each is refused, or does nothing. */
static const struct probe {
	const char *words[PROBE_WORDS_MAX];
	const char *name, *what_for;
} probes[] = {
	{{"GET", PROBE_KEY}, "+get", "reading"},
	{{"MGET", PROBE_KEY}, "+mget", "reading several at once"},
	{{"INCRBY", PROBE_KEY, "nothing"}, "+incrby", "adding"},
	{{"SET", PROBE_KEY, "0", "nothing"}, "+set", "set"},
	{{"DEL", PROBE_KEY}, "+del", "del"},
	{{"EXISTS", PROBE_KEY}, "+exists", "del of counters in parts"},
	{{"HGETALL", PROBE_KEY}, "+hgetall", "--shards"},
	{{"HSET", PROBE_KEY, "a", "b", "nothing"}, "+hset", "--shards, --stream, hit"},
	{{"EVAL", "return 1", "0"}, "+eval +evalsha", "--once, --stream, --max, hit, allow"},
	{{"SCAN", "0", "COUNT", "1"}, "+scan", "list, export"},
	{{"WAIT", "0", "1"}, "+wait", "--durable, sync"},
};

struct permission {
	bool is_answered, is_denied;
	char error[200];
};

static void take_permission(void *arg, const struct node *node, enum shc_status status,
			    const struct resp_reply *reply, const char *error)
{
	struct permission *p = arg;
	(void)node;
	(void)reply;
	p->is_answered |= status == SHC_OK || status == SHC_REFUSED || status == SHC_DENIED;
	if (status != SHC_DENIED || p->is_denied)
		return;
	p->is_denied = true;
	snprintf(p->error, sizeof(p->error), "%s", error);
}

static struct permission try_probe(struct shc *shc, const struct probe *probe)
{
	struct slice words[PROBE_WORDS_MAX];
	struct permission p = {0};
	size_t count = 0;
	while (count < PROBE_WORDS_MAX && probe->words[count]) {
		words[count] = slice_str(probe->words[count]);
		count++;
	}
	(void)redis_each(shc, false, count, words, take_permission, &p);
	return p;
}

static void look_at_permissions(struct doctor *d, struct shc *shc)
{
	bool is_well = true;
	for (size_t i = 0; i < sizeof(probes) / sizeof(*probes); i++) {
		struct permission p = try_probe(shc, &probes[i]);
		char change[LIST_BYTES];
		if (!p.is_denied)
			continue;
		is_well = false;
		if (strstr(p.error, "keys")) {
			doctor_say(
				d, DOCTOR_WARN, "permissions",
				"ACL SETUSER ... ~shc:* : tokens, streams, parts, windows and limits lie there",
				"this user may not use keys that begin with shc: (%s)", p.error);
			return;
		}
		snprintf(change, sizeof(change), "ACL SETUSER ... %s, for %s", probes[i].name,
			 probes[i].what_for);
		doctor_say(d, i < 3 ? DOCTOR_BAD : DOCTOR_WARN, "permissions", change,
			   "this user may not use %s (%s)", probes[i].words[0], p.error);
	}
	if (is_well)
		doctor_say(d, DOCTOR_OK, "permissions", NULL, "this user may do what shcount does");
}

void doctor_redis(struct doctor *d, struct shc *shc)
{
	const struct slice info = slice_str("INFO");
	struct nodes n = {.d = d};
	bool is_cluster = redis_is_cluster(shc);
	enum shc_status status = redis_each(shc, true, 1, &info, take_node, &n);
	if (status) {
		doctor_say(d, DOCTOR_BAD, "nodes", NULL, "%s", shc_error(shc));
		return;
	}
	say_nodes(d, &n, is_cluster);
	bool is_well = !is_cluster || look_at_slots(d, shc);
	if (n.masters + n.replicas > 0) {
		say_eviction(d, &n);
		say_disk(d, &n);
		say_clocks(d, &n);
	}
	if (is_well)
		look_at_permissions(d, shc);
}
