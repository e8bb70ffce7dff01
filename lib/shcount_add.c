/* SPDX-License-Identifier: MIT */
/*
 * shcount_add.c - batches of additions: collected, sent as one SHC.ADD each, a few unanswered at a time.
 */
#include <stdio.h>
#include <string.h>

#include "num.h"
#include "redis.h"
#include "shcount_impl.h"

enum { BATCH_SLOTS = ADD_BATCHES_UNANSWERED + 1 };

void shc_on_refused(struct shc *shc, shc_refused_fn *fn, void *arg)
{
	shc->refused_fn = fn;
	shc->refused_arg = arg;
}

void shc_add_stats(const struct shc *shc, struct shc_add_stats *out)
{
	*out = shc->stats;
	out->in_doubt += shc->wire.adds_in_doubt;
	out->unsent += shc->wire.adds_unsent;
}

/* ---- a batch's own form ---- */

static bool batch_put(struct add_batch *b, struct slice name, int64_t delta)
{
	size_t size = 1 + name.len + sizeof(delta);
	char *to = buf_reserve(&b->body, size);
	if (!to) {
		b->body.failed = false;
		return false;
	}
	to[0] = (char)name.len;
	memcpy(to + 1, name.data, name.len);
	memcpy(to + 1 + name.len, &delta, sizeof(delta));
	buf_commit(&b->body, size);
	b->count++;
	return true;
}

/* The pair at *pos, which it moves on. */
static struct slice batch_take(const struct add_batch *b, size_t *pos, int64_t *delta)
{
	const char *from = buf_head(&b->body) + *pos;
	struct slice name = {from + 1, (unsigned char)from[0]};
	memcpy(delta, name.data + name.len, sizeof(*delta));
	*pos += 1 + name.len + sizeof(*delta);
	return name;
}

static void batch_clear(struct add_batch *b)
{
	buf_consume(&b->body, buf_len(&b->body));
	b->count = 0;
}

/* ---- answers ---- */

static void tell_refused(struct shc *shc, const struct add_batch *b)
{
	int64_t delta;
	for (size_t pos = 0; shc->refused_fn && pos < buf_len(&b->body);) {
		struct slice name = batch_take(b, &pos, &delta);
		shc->refused_fn(shc->refused_arg, name.data, name.len, delta);
	}
}

static bool is_ok(const struct resp_reply *reply)
{
	return reply->type == RESP_SIMPLE && slice_equal(reply->str, slice_str("OK"));
}

enum shc_status shcount_batch_answered(struct shc *shc, const struct resp_reply *reply)
{
	uint32_t oldest = (shc->batch_open + BATCH_SLOTS - shc->batches_unanswered) % BATCH_SLOTS;
	struct add_batch *b = &shc->batches[oldest];
	shc->batches_unanswered--;
	if (is_ok(reply)) {
		shc->stats.acknowledged += b->count;
		shcount_wrote(shc);
		batch_clear(b);
		return SHC_OK;
	}
	if (reply->type != RESP_ERROR) {
		shc->stats.in_doubt += b->count;
		batch_clear(b);
		return wire_give_up(&shc->wire, SHC_PROTOCOL, true, "the answer to SHC.ADD makes no sense");
	}
	if (shc->refusal == SHC_OK) {
		shc->refusal = shcount_classify(reply->str);
		snprintf(shc->refusal_text, sizeof(shc->refusal_text), "%.*s", (int)reply->str.len,
			 reply->str.data);
	}
	shc->stats.refused += b->count;
	shc->refused_in_flush += b->count;
	tell_refused(shc, b);
	batch_clear(b);
	return SHC_OK;
}

void shcount_batches_lost(struct shc *shc)
{
	shc->stats.unsent += shc->batches[shc->batch_open].count;
	for (size_t i = 0; i < BATCH_SLOTS; i++)
		batch_clear(&shc->batches[i]);
	shc->batches_unanswered = 0;
	shc->refusal = SHC_OK;
	shc->refused_in_flush = 0;
}

/* Waits until at most `unanswered_max` batches are. */
static enum shc_status settle(struct shc *shc, uint32_t unanswered_max)
{
	enum shc_status status = SHC_OK;
	while (status == SHC_OK && shc->batches_unanswered > unanswered_max) {
		const struct resp_reply *reply;
		struct wire_pending answered;
		status = wire_next(&shc->wire, &reply, &answered);
		if (status == SHC_OK)
			status = shcount_batch_answered(shc, reply);
	}
	return status;
}

/* ---- sending ---- */

static enum shc_status append_batch(struct shc *shc, const struct add_batch *b)
{
	struct buf *out = &shc->wire.out;
	size_t out_len = buf_len(out);
	resp_put_array(out, 1 + 2 * (size_t)b->count);
	resp_put_bulk_str(out, "SHC.ADD");
	for (size_t pos = 0; pos < buf_len(&b->body);) {
		int64_t delta;
		struct slice name = batch_take(b, &pos, &delta);
		resp_put_bulk(out, name.data, name.len);
		resp_put_bulk_i64(out, delta);
	}
	return wire_appended(&shc->wire, out_len, b->count, true);
}

/* Sends the open batch, if there is anything in it, and opens the next one. On SHC_MEMORY it stays as it is.
 */
static enum shc_status send_open(struct shc *shc)
{
	struct add_batch *b = &shc->batches[shc->batch_open];
	if (b->count == 0)
		return SHC_OK;
	enum shc_status status = settle(shc, ADD_BATCHES_UNANSWERED - 1);
	if (status == SHC_OK) {
		status = append_batch(shc, b);
		if (status)
			return status;
		shc->batch_open = (shc->batch_open + 1) % BATCH_SLOTS;
		shc->batches_unanswered++;
		status = wire_send(&shc->wire);
	}
	if (status)
		shcount_batches_lost(shc);
	return status;
}

/* Most additions only go to the open batch, and look at no clock: that alone was an eighth of what they cost.
 */
enum shc_status shc_add(struct shc *shc, const char *name, size_t name_len, int64_t delta)
{
	struct slice s = {name, name_len};
	char room[NAME_LEN_MAX]; /* it may lie in a reply, which the answers overwrite */
	enum shc_status status = shcount_begin_untimed(shc);
	if (status == SHC_OK && !slice_is_name(s))
		return wire_say(&shc->wire, SHC_USAGE,
				"bad name: 1 to %d bytes without control characters are expected",
				NAME_LEN_MAX);
	if (status)
		return status;
	const struct add_batch *open = &shc->batches[shc->batch_open];
	bool is_full = open->count >= ADD_PAIRS_MAX || buf_len(&open->body) >= ADD_BYTES_MAX;
	bool is_known = shc->is_identified || shc->wire.url.kind != URL_TCP;
	if (is_full || !is_known || shc->redis) {
		s.data = memcpy(room, s.data, s.len);
		wire_begin_clock(&shc->wire);
		status = shcount_identify(shc, false);
	}
	if (status == SHC_OK && shc->redis)
		return redis_add(shc, s, delta);
	if (status == SHC_OK && is_full)
		status = send_open(shc);
	if (status == SHC_OK && !batch_put(&shc->batches[shc->batch_open], s, delta))
		status = wire_say(&shc->wire, SHC_MEMORY, "out of memory; this addition was not taken");
	return status;
}

enum shc_status shc_flush(struct shc *shc, uint64_t *refused)
{
	enum shc_status status = shcount_begin(shc);
	if (status == SHC_OK)
		status = shcount_identify(shc, false);
	if (status)
		return status;
	if (shc->redis)
		return redis_flush(shc, refused);
	status = send_open(shc);
	if (status == SHC_MEMORY)
		return status;
	if (status == SHC_OK) {
		status = settle(shc, 0);
		if (status)
			shcount_batches_lost(shc);
	}
	if (status)
		return status;
	status = shc->refusal;
	if (status)
		wire_say(&shc->wire, status, "%s", shc->refusal_text);
	if (refused)
		*refused = shc->refused_in_flush;
	shc->refusal = SHC_OK;
	shc->refused_in_flush = 0;
	return status;
}
