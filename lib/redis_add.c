/* SPDX-License-Identifier: MIT */
/*
 * redis_add.c - many additions: collected, then one INCRBY each, pipelined to all nodes at once and left
 * under way when the call returns.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "num.h"
#include "redis_impl.h"

enum {
	ADDS_MAX = 4096, /* collected: tables of parts are asked for, for all of them, in one round */
	ADDS_BYTES_MAX = 256 << 10,
};

static void clear(struct redis *r)
{
	buf_consume(&r->adds, buf_len(&r->adds));
	r->adds_count = 0;
}

/* ---- answers ---- */

/* The word at *pos of a request's, which it moves on. */
static struct slice take_word(const struct op *op, size_t *pos)
{
	const char *digits = op->request + *pos + 1;
	size_t len = 0;
	for (; *digits != '\r'; digits++)
		len = len * 10 + (size_t)(*digits - '0');
	*pos = (size_t)(digits - op->request) + 2 + len + 2;
	return (struct slice){digits + 2, len};
}

/* What a request wanted to add, from its words: nothing else of it is kept. */
static void tell_refused(struct shc *shc, const struct op *op)
{
	size_t pos = sizeof("*3\r\n") - 1;
	char room[NAME_LEN_MAX];
	unsigned k;
	int64_t delta = 0;
	(void)take_word(op, &pos);
	struct slice key = take_word(op, &pos), name = key;
	(void)num_parse_i64(take_word(op, &pos), &delta);
	(void)shard_of_part(key, room, &name, &k);
	if (shc->refused_fn)
		shc->refused_fn(shc->refused_arg, name.data, name.len, delta);
}

static void note_failure(struct shc *shc, enum shc_status status)
{
	struct redis *r = shc->redis;
	bool is_worse = status == SHC_IN_DOUBT && r->failed != SHC_IN_DOUBT;
	if (r->failed && !is_worse)
		return;
	r->failed = status;
	snprintf(r->failed_text, sizeof(r->failed_text),
		 status == SHC_IN_DOUBT ? "%.220s; what was sent may or may not have been applied" : "%.300s",
		 cluster_error(r->cluster));
}

static void take_added(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct shc *shc = arg;
	if (status == SHC_OK && reply->type == RESP_INT) {
		shc->stats.acknowledged++;
		return;
	}
	if (status == SHC_REFUSED || status == SHC_DENIED) {
		shc->stats.refused++;
		shc->refused_in_flush++;
		if (shc->refusal == SHC_OK) {
			shc->refusal = status;
			snprintf(shc->refusal_text, sizeof(shc->refusal_text), "%.250s",
				 cluster_error(shc->redis->cluster));
		}
		wire_say(&shc->wire, status, "%s", cluster_error(shc->redis->cluster));
		tell_refused(shc, op);
		return;
	}
	if (status == SHC_UNREACHABLE)
		shc->stats.unsent++;
	else
		shc->stats.in_doubt++;
	note_failure(shc, status ? status : SHC_IN_DOUBT);
}

/* ---- sending ---- */

static enum shc_status want_counts(struct shc *shc)
{
	struct redis *r = shc->redis;
	uint16_t *slots = reallocarray(NULL, r->adds_count, sizeof(*slots));
	size_t count = 0;
	int64_t delta;
	if (!slots)
		return wire_say(&shc->wire, SHC_MEMORY, "out of memory; nothing was sent");
	for (size_t pos = 0; pos < buf_len(&r->adds);)
		slots[count++] = (uint16_t)slot_of(adds_next(&r->adds, &pos, &delta));
	enum shc_status status = counts_want(shc, slots, count);
	free(slots);
	return status;
}

static enum shc_status put_add(struct shc *shc, struct slice name, int64_t delta)
{
	struct redis *r = shc->redis;
	struct shard_count count = counts_find(r, name);
	struct shard_key key;
	char digits[NUM_I64_CHARS_MAX];
	shard_part(&key, name, redis_choose(r, name, &count));
	const struct slice argv[] = {
		slice_str("INCRBY"), shard_slice(&key), {digits, num_format_i64(digits, delta)}};
	const struct cluster_way way = {
		.kind = OP_WRITE, .slot = slot_of(argv[1]), .done = take_added, .arg = shc};
	return cluster_put(r->cluster, &way, 3, argv);
}

/* Puts what was collected, and lets no more than so many be under way. */
static void send_collected(struct shc *shc)
{
	struct redis *r = shc->redis;
	enum shc_status status = want_counts(shc);
	if (status == SHC_OK && r->shards > 0)
		status = counts_set(shc, &r->adds);
	for (size_t pos = 0; pos < buf_len(&r->adds);) {
		int64_t delta;
		struct slice name = adds_next(&r->adds, &pos, &delta);
		if (status == SHC_OK)
			status = put_add(shc, name, delta);
		if (status)
			shc->stats.unsent++;
	}
	clear(r);
	if (status && !r->failed) {
		r->failed = status;
		snprintf(r->failed_text, sizeof(r->failed_text), "%.300s", shc->wire.error);
	}
	cluster_run(r->cluster, LEFT_MAX);
}

/* One was lost: all that is not acknowledged is forgotten, once what was sent has had its time. */
static enum shc_status tell_failure(struct shc *shc)
{
	struct redis *r = shc->redis;
	shc->stats.unsent += r->adds_count;
	clear(r);
	cluster_drain(r->cluster);
	enum shc_status status = r->failed;
	r->failed = SHC_OK;
	shc->refusal = SHC_OK;
	shc->refused_in_flush = 0;
	return wire_say(&shc->wire, status, "%s", r->failed_text);
}

enum shc_status redis_add(struct shc *shc, struct slice name, int64_t delta)
{
	struct redis *r = shc->redis;
	enum shc_status status = redis_check_name(shc, name);
	if (status)
		return status;
	if (!adds_put(&r->adds, name, delta))
		return wire_say(&shc->wire, SHC_MEMORY, "out of memory; nothing was sent");
	r->adds_count++;
	if (r->adds_count < ADDS_MAX && buf_len(&r->adds) < ADDS_BYTES_MAX)
		return SHC_OK;
	redis_begin(shc, false);
	send_collected(shc);
	if (r->failed)
		return tell_failure(shc);
	shc->wire.error[0] = '\0'; /* refusals are told by redis_flush */
	return SHC_OK;
}

enum shc_status redis_flush(struct shc *shc, uint64_t *refused)
{
	struct redis *r = shc->redis;
	redis_begin(shc, false);
	if (r->adds_count > 0)
		send_collected(shc);
	cluster_run(r->cluster, 0);
	if (r->failed)
		return tell_failure(shc);
	if (refused)
		*refused = shc->refused_in_flush;
	enum shc_status status = shc->refusal;
	shc->refusal = SHC_OK;
	shc->refused_in_flush = 0;
	return status ? wire_say(&shc->wire, status, "%s", shc->refusal_text) : SHC_OK;
}
