/* SPDX-License-Identifier: MIT */
/*
 * uplink_retire.c - an incarnation is given up: what it has brought stays in the totals, and goes from its
 * fields to `retired`. First its record says so, so that no start of it begins to push; then ledger after
 * ledger, a page of each node at a time, between rounds.
 */
#include <string.h>

#include "../lib/cluster.h"
#include "../lib/resp.h"
#include "../lib/script.h"
#include "uplink.h"

struct answer {
	bool is_done;
	int64_t count;
};

static void take_answer(void *arg, const struct op *op, enum shc_status status,
			const struct resp_reply *reply)
{
	struct answer *a = arg;

	(void)op;
	a->is_done = status == SHC_OK;
	if (a->is_done && reply->type == RESP_ARRAY && reply->count > 0 &&
	    reply->elements[0].type == RESP_INT)
		a->count = reply->elements[0].i64;
}

static bool record(struct uplink *u, const char *id)
{
	struct answer a = {.is_done = false};
	struct shard_key key;
	struct cluster_way way = {.kind = OP_REPEATABLE, .done = take_answer, .arg = &a};

	shard_record(&key, slice_str(id));
	way.slot = slot_of(shard_slice(&key));
	const struct slice argv[] = {slice_str("HSET"), shard_slice(&key), slice_str("at"),
				     slice_str("retired")};
	cluster_begin(u->cluster, UPLINK_CALL_MS, true);
	if (cluster_put(u->cluster, &way, 4, argv))
		return false;
	cluster_run(u->cluster, 0);
	return a.is_done;
}

/* Kept until the page is whole: where it is read nothing may be run. */
static bool collect(struct uplink *u, void *arg, struct slice name)
{
	struct buf *names = arg;
	const uint8_t len = (uint8_t)name.len;

	(void)u;
	buf_append(names, &len, 1);
	buf_append(names, name.data, name.len);
	return !names->failed;
}

/* Those of a page, each once; asked again it finds them done. */
static bool retire_page(struct uplink *u, struct uplink_retirement *r, const struct buf *names,
			const char *id)
{
	enum { ANSWERS = 512 };
	struct answer answers[ANSWERS];
	const unsigned char *at = (const unsigned char *)buf_head(names), *end = at + buf_len(names);
	bool is_done = true;

	while (at < end && is_done) {
		size_t count = 0;

		cluster_begin(u->cluster, UPLINK_CALL_MS, true);
		for (; at < end && count < ANSWERS; at += 1 + at[0], count++) {
			struct cluster_way way = {
				.kind = OP_REPEATABLE, .done = take_answer, .arg = &answers[count]};
			struct shard_key ledger;

			answers[count] = (struct answer){.is_done = false};
			uplink_ledger_key(u, (struct slice){(const char *)at + 1, at[0]}, &ledger, &way.slot);
			const struct slice argv[] = {slice_str("1"), shard_slice(&ledger), slice_str(id)};
			is_done &= cluster_put_script(u->cluster, &way, &script_retire, 3, argv) == SHC_OK;
		}
		cluster_run(u->cluster, 0);
		for (size_t i = 0; i < count; i++) {
			is_done &= answers[i].is_done;
			r->count += answers[i].count;
		}
	}
	return is_done;
}

static bool fits(void *arg, const struct uplink_question *q)
{
	(void)arg;
	return q->kind == UPLINK_ASK_RETIRE;
}

static void begin(struct uplink *u)
{
	struct uplink_retirement *r = &u->retirement;

	r->question = uplink_take(&u->asks, fits, NULL);
	if (!r->question)
		return;
	r->walk.count = 0;
	r->count = 0;
	r->is_recorded = false;
	if (r->question->number != u->incarnation)
		return;
	resp_put_error(&r->question->reply, "ERR that is this daemon's own incarnation, which is alive");
	uplink_answer(&u->asks, r->question);
	r->question = NULL;
}

static void end(struct uplink *u)
{
	struct uplink_retirement *r = &u->retirement;

	uplink_answer(&u->asks, r->question);
	r->question = NULL;
}

void uplink_retire_some(struct uplink *u)
{
	struct uplink_retirement *r = &u->retirement;
	enum uplink_progress progress = UPLINK_NOT_NOW;
	char id[UPLINK_ID_SIZE];
	struct buf names = {0};

	if (!r->question)
		begin(u);
	if (!r->question)
		return;
	uplink_put_id(id, r->question->number);
	r->walk.fn = collect;
	r->walk.arg = &names;
	r->is_recorded = r->is_recorded || record(u, id);
	if (r->is_recorded)
		progress = uplink_walk_some(u, &r->walk);
	if (progress != UPLINK_NOT_NOW && !retire_page(u, r, &names, id))
		progress = UPLINK_NOT_NOW;
	buf_fini(&names);
	if (progress == UPLINK_THROUGH) {
		resp_put_int(&r->question->reply, r->count);
		end(u);
	} else if (progress == UPLINK_NOT_NOW) {
		resp_put_errorf(&r->question->reply,
				"UPLINKDOUBT %s; some ledgers may have been done, ask again for the others",
				cluster_error(u->cluster));
		end(u);
	}
}
