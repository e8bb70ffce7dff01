/* SPDX-License-Identifier: MIT */
/*
 * uplink_record.c - the record of an incarnation in the cluster: which start of it was the last to push, or
 * that it was given up, and who goes on from there. Copies of a disk meet there first.
 */
#include <string.h>

#include "../lib/cluster.h"
#include "../lib/script.h"
#include "clock.h"
#include "uplink.h"

enum { RECORD_MS = 10000 /* between two looks at it, while there is something to push */ };

const char uplink_senseless[] = "the answer to a script makes no sense";

/* An array whose first element is a number, and the second a string. */
bool uplink_read_pair(const struct resp_reply *reply, bool *is_done, struct slice *text)
{
	if (reply->type != RESP_ARRAY || reply->count != 2 || reply->elements[0].type != RESP_INT ||
	    reply->elements[1].type != RESP_BULK)
		return false;
	*is_done = reply->elements[0].i64 == 1;
	*text = reply->elements[1].str;
	return true;
}

void uplink_see_epoch(struct uplink *u)
{
	uint64_t fed;

	u->lineage.now.epoch = uplink_table_epoch(&u->table, &fed);
}

/* Where others go on with it, it does not matter any more that it was given up. */
void uplink_break_off(struct uplink *u, enum uplink_break why)
{
	if (why > u->broken)
		u->broken = why;
}

struct registration {
	struct uplink *uplink;
	char text[UPLINK_RECORD_CHARS_MAX]; /* to be in it */
	size_t len;
	uint64_t epoch;
	bool is_claim; /* of what was given up */
	bool is_done, is_again;
};

static void believe_record(struct uplink *u, struct slice there)
{
	u->record_len = there.len;
	if (there.len)
		memcpy(u->record, there.data, there.len);
}

static void judge_record(struct registration *r, struct slice there)
{
	struct uplink *u = r->uplink;

	uplink_see_epoch(u);
	switch (uplink_judge_record(&u->lineage, there)) {
	case UPLINK_NOTHING:
	case UPLINK_OURS:
		believe_record(u, there);
		r->is_again = true;
		break;
	case UPLINK_STRANGE: uplink_break_off(u, UPLINK_COPIED); break;
	case UPLINK_RETIRED:
		uplink_break_off(u, UPLINK_GIVEN_UP);
		believe_record(u, there);
		r->is_again = r->is_claim;
		break;
	case UPLINK_SENSELESS:
		uplink_say(u, "shc:uplink:%s is nothing that a daemon writes: delete it", u->incarnation_id);
		break;
	}
}

static void take_registration(void *arg, const struct op *op, enum shc_status status,
			      const struct resp_reply *reply)
{
	struct registration *r = arg;
	struct uplink *u = r->uplink;
	struct slice there;

	(void)op;
	if (uplink_is_refusal(status, reply)) {
		uplink_say(u, "shc:uplink:%s: %.*s", u->incarnation_id, (int)reply->str.len, reply->str.data);
		return;
	}
	if (status || !uplink_read_pair(reply, &r->is_done, &there)) {
		r->is_done = false;
		uplink_note(u, status == SHC_OK ? uplink_senseless : cluster_error(u->cluster));
		return;
	}
	if (!r->is_done) {
		judge_record(r, there);
		return;
	}
	believe_record(u, (struct slice){r->text, r->len});
	if (r->is_claim)
		return;
	u->record_epoch = r->epoch;
	u->is_registered = true;
	u->is_record_due = false;
	u->registered_ms = clock_ms(CLOCK_MONOTONIC);
}

static unsigned record_key(const struct uplink *u, struct shard_key *key)
{
	shard_record(key, slice_str(u->incarnation_id));
	return slot_of(shard_slice(key));
}

static void ask_registration(struct registration *r)
{
	struct uplink *u = r->uplink;
	struct shard_key key;
	struct cluster_way way = {.kind = OP_REPEATABLE, .done = take_registration, .arg = r};

	uplink_see_epoch(u);
	r->epoch = u->lineage.now.epoch;
	r->len = uplink_put_record(r->text, &u->lineage.now, r->is_claim);
	r->is_again = false;
	way.slot = record_key(u, &key);
	const struct slice argv[] = {slice_str("1"),
				     shard_slice(&key),
				     {u->record, u->record_len},
				     {r->text, r->len},
				     slice_str(u->host)};
	if (cluster_put_script(u->cluster, &way, &script_register, 5, argv) == SHC_OK)
		cluster_run(u->cluster, 0);
}

bool uplink_register(struct uplink *u)
{
	struct registration r = {.uplink = u};
	struct shard_key key;

	if (u->broken)
		return false;
	uplink_see_epoch(u);
	if (u->is_registered && !u->is_record_due &&
	    (u->lineage.now.epoch == u->record_epoch ||
	     clock_ms(CLOCK_MONOTONIC) - u->registered_ms < RECORD_MS))
		return true;
	if (u->until_ms && !uplink_is_slot_there(u, record_key(u, &key)))
		return u->is_registered;
	uplink_begin(u, UPLINK_ROUND_MS);
	do
		ask_registration(&r);
	while (r.is_again && !cluster_is_over(u->cluster));
	/* Who could not ask again goes on: fields tell the same. */
	return u->is_registered && !u->broken;
}

bool uplink_claim(struct uplink *u)
{
	struct registration r = {.uplink = u, .is_claim = true};

	uplink_begin(u, UPLINK_ROUND_MS);
	do
		ask_registration(&r);
	while (r.is_again && !cluster_is_over(u->cluster));
	return r.is_done;
}
