/* SPDX-License-Identifier: MIT */
/*
 * redis.c - the state of a handle on Redis, and rounds: requests of one call, put together and run to their
 * end.
 */
#include <stdlib.h>
#include <string.h>

#include "redis_impl.h"

enum { TAGS_ALONE_MAX = 8 /* more tags are found faster all at once */ };

struct redis *redis_open(const struct url *url)
{
	struct redis *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	resp_reader_init(&r->reader);
	r->cluster = cluster_open(url);
	if (r->cluster)
		return r;
	free(r);
	return NULL;
}

void redis_close(struct redis *r)
{
	if (!r)
		return;
	cluster_close(r->cluster);
	counts_fini(&r->counts);
	buf_fini(&r->reply_bytes);
	resp_reader_fini(&r->reader);
	buf_fini(&r->adds);
	free(r->tags);
	free(r);
}

void redis_set_shards(struct shc *shc, unsigned shards)
{
	shc->redis->shards = shards;
}

void redis_set_read_replica(struct shc *shc, bool reads_replica)
{
	cluster_read_replicas(shc->redis->cluster, reads_replica);
}

enum shc_status redis_connect(struct shc *shc)
{
	redis_begin(shc, false);
	enum shc_status status = cluster_connect(shc->redis->cluster);
	return status ? wire_say(&shc->wire, status, "%s", cluster_error(shc->redis->cluster)) : SHC_OK;
}

/* With one server, the first connection of the engine is made beside the wire's, and says nothing. */
uint64_t redis_connections(const struct shc *shc)
{
	const struct cluster *c = shc->redis->cluster;
	return cluster_losses(c) + (cluster_is_cluster(c) && cluster_was_connected(c));
}

enum shc_status redis_identify(struct shc *shc)
{
	enum shc_status status = shcount_begin(shc);
	return status ? status : shcount_identify(shc, false);
}

bool redis_is(const struct shc *shc)
{
	return shc->redis != NULL;
}

bool redis_is_cluster(const struct shc *shc)
{
	return shc->redis && cluster_is_cluster(shc->redis->cluster);
}

struct cluster *redis_engine(const struct shc *shc)
{
	return shc->redis->cluster;
}

void redis_begin(struct shc *shc, bool is_patient)
{
	int64_t timeout_ms = shc->wire.timeout_ns / 1000000;
	cluster_begin(shc->redis->cluster, (int)timeout_ms, is_patient);
}

enum shc_status redis_wait(struct shc *shc, bool *is_lost)
{
	struct cluster *c = shc->redis->cluster;
	enum shc_status status = cluster_wait(c, CLUSTER_WAIT_WHERE_ANY, is_lost);
	return wire_say(&shc->wire, status, "%s", status ? cluster_error(c) : "");
}

/* ---- names ---- */

enum shc_status redis_check_name(struct shc *shc, struct slice name)
{
	if (!slice_is_name(name))
		return wire_say(&shc->wire, SHC_USAGE,
				"bad name: 1 to %d bytes without control characters are expected",
				NAME_LEN_MAX);
	if (shard_is_own(name))
		return wire_say(
			&shc->wire, SHC_USAGE,
			"names that begin with shc: are taken in Redis, for what belongs to counters");
	return SHC_OK;
}

const char *redis_tag(struct redis *r, unsigned slot)
{
	if (!r->tags)
		r->tags = calloc(SLOT_COUNT, sizeof(*r->tags));
	if (!r->tags)
		return NULL;
	if (r->tags[slot][0] == '\0') {
		if (++r->tags_found <= TAGS_ALONE_MAX)
			shard_tag(slot, r->tags[slot]);
		else
			shard_tags(r->tags);
	}
	return r->tags[slot];
}

/* ---- rounds ---- */

bool round_took(struct round *round, enum shc_status status)
{
	if (status == SHC_OK)
		return true;
	/* What is in doubt weighs more than what surely was not done. */
	bool is_worse = status == SHC_IN_DOUBT && round->status != SHC_IN_DOUBT;
	if (round->status && !is_worse)
		return false;
	round->status = status;
	wire_say(&round->shc->wire, status,
		 status == SHC_IN_DOUBT ? "%s; what was sent may or may not have been applied" : "%s",
		 cluster_error(round->shc->redis->cluster));
	return false;
}

static struct cluster_way way_of(enum op_kind kind, unsigned slot, op_done_fn *done, void *arg, uint64_t tag)
{
	return (struct cluster_way){.kind = kind, .slot = slot, .done = done, .arg = arg, .tag = tag};
}

/* No more than so many are under way, so that memory is bounded whatever a call asks for. */
static bool was_put(struct round *round, enum shc_status status)
{
	struct cluster *c = round->shc->redis->cluster;
	if (!round_took(round, status))
		return false;
	if (cluster_left(c) > 2 * LEFT_MAX)
		cluster_run(c, LEFT_MAX);
	return true;
}

bool round_put(struct round *round, enum op_kind kind, unsigned slot, op_done_fn *done, void *arg,
	       uint64_t tag, size_t argc, const struct slice *argv)
{
	const struct cluster_way way = way_of(kind, slot, done, arg, tag);
	return was_put(round, cluster_put(round->shc->redis->cluster, &way, argc, argv));
}

bool round_put_script(struct round *round, enum op_kind kind, unsigned slot, const struct script *script,
		      op_done_fn *done, void *arg, uint64_t tag, size_t argc, const struct slice *argv)
{
	const struct cluster_way way = way_of(kind, slot, done, arg, tag);
	return was_put(round, cluster_put_script(round->shc->redis->cluster, &way, script, argc, argv));
}

enum shc_status round_run(struct round *round)
{
	cluster_run(round->shc->redis->cluster, 0);
	return round->status;
}

/* ---- one request ---- */

/* Others may be answered behind it, so it is kept. */
static void take_single(void *arg, const struct op *op, enum shc_status status,
			const struct resp_reply *reply)
{
	struct round *round = arg;
	struct redis *r = round->shc->redis;
	struct slice raw = cluster_raw(r->cluster);
	size_t size_bytes;
	(void)round_took(round, status);
	if (!reply)
		return;
	buf_consume(&r->reply_bytes, buf_len(&r->reply_bytes));
	buf_append(&r->reply_bytes, raw.data, raw.len);
	if (r->reply_bytes.failed || resp_read(&r->reader, buf_head(&r->reply_bytes), raw.len, &size_bytes)) {
		r->reply_bytes.failed = false;
		round->status =
			wire_say(&round->shc->wire, op->kind == OP_READ ? SHC_UNREACHABLE : SHC_IN_DOUBT,
				 "no memory for the answer");
	}
}

enum shc_status redis_ask(struct shc *shc, enum op_kind kind, unsigned slot, size_t argc,
			  const struct slice *argv, const struct resp_reply **reply)
{
	struct round round = {.shc = shc};
	if (round_put(&round, kind, slot, take_single, &round, 0, argc, argv))
		(void)round_run(&round);
	*reply = &shc->redis->reader.reply;
	return round.status;
}

enum shc_status redis_ask_script(struct shc *shc, enum op_kind kind, unsigned slot,
				 const struct script *script, size_t argc, const struct slice *argv,
				 const struct resp_reply **reply)
{
	struct round round = {.shc = shc};
	if (round_put_script(&round, kind, slot, script, take_single, &round, 0, argc, argv))
		(void)round_run(&round);
	*reply = &shc->redis->reader.reply;
	return round.status;
}

enum shc_status redis_senseless(struct shc *shc, bool is_write)
{
	return wire_say(&shc->wire, is_write ? SHC_IN_DOUBT : SHC_PROTOCOL,
			"the answer is of a kind that this command does not have");
}
