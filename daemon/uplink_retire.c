/* SPDX-License-Identifier: MIT */
/*
 * uplink_retire.c - an incarnation is given up: what it has brought stays in the totals, and goes from its
 * fields to `retired`. First its record says so, so that no start of it begins to push; then ledger after
 * ledger, a page of each node at a time, between rounds.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../lib/cluster.h"
#include "../lib/resp.h"
#include "../lib/script.h"
#include "uplink.h"

struct answer {
	struct uplink_retirement *retirement;
	struct slice name; /* of the ledger; empty: the record */
	bool is_done;
};

/* Nothing else can be done there, but by an operator: the others need not wait. */
static void note_refusal(struct answer *a, struct slice why)
{
	struct uplink_retirement *r = a->retirement;
	size_t shown = a->name.len < 100 ? a->name.len : 100;

	a->is_done = true;
	if (r->refused++ == 0)
		(void)snprintf(r->why, sizeof(r->why), "%.*s%s: %.*s", (int)shown, a->name.data,
			       shown < a->name.len ? "..." : "", (int)why.len, why.data);
}

/* Whether it had a field of it: one that is a tombstone already may be so by what was sent before, of which
 * the answer was lost. */
static bool is_counted(const struct op *op, const struct resp_reply *reply)
{
	if (reply->type != RESP_ARRAY || reply->count != 2 || reply->elements[0].type != RESP_INT)
		return false;
	return reply->elements[0].i64 == 1 || (op->may_be_done && reply->elements[1].str.len > 0);
}

static void take_answer(void *arg, const struct op *op, enum shc_status status,
			const struct resp_reply *reply)
{
	struct answer *a = arg;

	a->is_done = status == SHC_OK;
	if (status == SHC_REFUSED && reply && a->name.len)
		note_refusal(a, reply->str);
	else if (a->is_done)
		a->retirement->count += is_counted(op, reply);
}

static bool record(struct uplink *u, const char *id)
{
	struct answer a = {.retirement = &u->retirement};
	struct shard_key key;
	struct cluster_way way = {.kind = OP_REPEATABLE, .done = take_answer, .arg = &a};

	shard_record(&key, slice_str(id));
	way.slot = slot_of(shard_slice(&key));
	const struct slice argv[] = {slice_str("1"), shard_slice(&key)};
	cluster_begin(u->cluster, UPLINK_CALL_MS, true);
	if (cluster_put_script(u->cluster, &way, &script_give_up, 2, argv))
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

			answers[count] =
				(struct answer){.retirement = r, .name = {(const char *)at + 1, at[0]}};
			uplink_ledger_key(u, answers[count].name, &ledger, &way.slot);
			const struct slice argv[] = {slice_str("1"), shard_slice(&ledger), slice_str(id)};
			is_done &= cluster_put_script(u->cluster, &way, &script_retire, 3, argv) == SHC_OK;
		}
		cluster_run(u->cluster, 0);
		for (size_t i = 0; i < count; i++)
			is_done &= answers[i].is_done;
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
	r->count = r->refused = 0;
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

void uplink_retire_stop(struct uplink *u)
{
	if (u->retirement.question)
		uplink_put_back(&u->asks, u->retirement.question);
	u->retirement.question = NULL;
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
	if (progress == UPLINK_THROUGH && r->refused) {
		resp_put_errorf(&r->question->reply,
				"ERR %" PRId64 " ledgers are done, %" PRId64
				" cannot be; the first of those: %s",
				r->count, r->refused, r->why);
		end(u);
	} else if (progress == UPLINK_THROUGH) {
		resp_put_int(&r->question->reply, r->count);
		end(u);
	} else if (progress == UPLINK_NOT_NOW) {
		resp_put_errorf(&r->question->reply,
				"UPLINKDOUBT %s; some ledgers may have been done, ask again for the others",
				cluster_error(u->cluster));
		end(u);
	}
}
