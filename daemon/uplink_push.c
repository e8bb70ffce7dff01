/* SPDX-License-Identifier: MIT */
/* uplink_push.c - a round of the uplink: a push of each name that is due. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../lib/cluster.h"
#include "../lib/num.h"
#include "../lib/script.h"
#include "clock.h"
#include "../lib/log.h"
#include "uplink.h"

enum {
	SHOWN_MAX = 100, /* bytes of a name in a sentence, so that it has room for the reason */
};

static int shown_len(const struct uplink_push *p)
{
	return p->entry->name_len < SHOWN_MAX ? p->entry->name_len : SHOWN_MAX;
}

/* What has become of a request that was not answered. */
static enum uplink_outcome outcome_of(enum shc_status status)
{
	switch (status) {
	case SHC_UNREACHABLE:
	case SHC_DENIED:
	case SHC_REFUSED:
	case SHC_MEMORY:
	case SHC_USAGE: return UPLINK_UNSENT;
	default: return UPLINK_LOST;
	}
}

/* ---- a push ---- */

static struct uplink_answer refuse(struct uplink *u, struct uplink_node *n, const struct uplink_push *p,
				   struct slice why)
{
	return (struct uplink_answer){.outcome = UPLINK_REFUSED, .why = uplink_refuse(u, n, p, why)};
}

static struct uplink_answer judge_field(struct uplink *u, struct uplink_node *n, const struct uplink_push *p,
					struct slice there)
{
	struct uplink_answer a = {.outcome = UPLINK_OTHER};

	uplink_see_epoch(u);
	switch (uplink_judge_field(&u->lineage, there, &a.field)) {
	case UPLINK_NOTHING: break;
	case UPLINK_OURS: a.has_field = true; break;
	case UPLINK_STRANGE:
		uplink_break_off(u, UPLINK_COPIED);
		a.outcome = UPLINK_BROKEN;
		break;
	case UPLINK_RETIRED:
		uplink_break_off(u, UPLINK_GIVEN_UP);
		/* It stays as it is: so that is what there is of it. */
		a.is_final = a.has_field = u->table.is_looking && a.field.mark.start;
		a.outcome = a.has_field ? UPLINK_OTHER : UPLINK_BROKEN;
		break;
	case UPLINK_SENSELESS:
		a = refuse(u, n, p, slice_str("its field of the ledger is nothing that a daemon writes"));
		break;
	}
	return a;
}

static void say_of(struct uplink *u, struct uplink_node *n, const struct uplink_push *p, struct slice why)
{
	char text[UPLINK_ERROR_SIZE];

	/* Not so much of the name that nothing is left of the reason. */
	(void)snprintf(text, sizeof(text), "%.*s%s: %.*s", shown_len(p), p->entry->name,
		       p->entry->name_len > SHOWN_MAX ? "..." : "", (int)why.len, why.data);
	uplink_say(u, "%s", text);
	if (n)
		memcpy(n->error, text, sizeof(text));
}

static struct uplink_answer read_answer(struct uplink *u, struct uplink_node *n, const struct uplink_push *p,
					enum shc_status status, const struct resp_reply *reply)
{
	struct slice text;
	bool is_done;

	if (status == SHC_OK && uplink_read_pair(reply, &is_done, &text)) {
		if (is_done && slice_is_word(text, "expires"))
			say_of(u, n, p,
			       slice_str("somebody has given it an expiry in the cluster, where it will be "
					 "lost with its ledger: PERSIST both"));
		return is_done ? (struct uplink_answer){.outcome = UPLINK_PUSHED}
			       : judge_field(u, n, p, text);
	}
	if (uplink_is_refusal(status, reply))
		return refuse(u, n, p, reply->str);
	uplink_note(u, status == SHC_OK ? uplink_senseless : cluster_error(u->cluster));
	return (struct uplink_answer){.outcome = status ? outcome_of(status) : UPLINK_LOST};
}

static void take_answer(void *arg, const struct op *op, enum shc_status status,
			const struct resp_reply *reply)
{
	struct uplink_flight *f = arg;
	struct uplink *u = f->uplink;
	struct uplink_node *n = uplink_node_of(u, op);
	const struct uplink_answer a = read_answer(u, n, &f->push, status, reply);
	bool is_pushed = a.outcome == UPLINK_PUSHED && !f->push.is_look;
	bool is_repair = uplink_table_answer(&u->table, &f->push, &a);

	u->pushes += is_pushed;
	u->repairs += is_repair;
	u->answers += a.outcome != UPLINK_LOST && a.outcome != UPLINK_UNSENT;
	if (n) {
		n->pushes += is_pushed;
		n->repairs += is_repair;
		n->left += a.outcome == UPLINK_LOST || a.outcome == UPLINK_UNSENT;
		if (a.outcome == UPLINK_LOST || a.outcome == UPLINK_UNSENT)
			(void)snprintf(n->error, sizeof(n->error), "%s", cluster_error(u->cluster));
	}
	f->next_free = u->free_flights;
	u->free_flights = f;
}

static void put_push(struct uplink *u, struct uplink_flight *f)
{
	const struct uplink_push *p = &f->push;
	struct slice name = {p->entry->name, p->entry->name_len};
	char after[UPLINK_FIELD_CHARS_MAX], digits[NUM_I64_CHARS_MAX];
	struct slice before = {p->before, p->before_len};
	struct cluster_way way = {.kind = OP_REPEATABLE, .is_hasty = true, .done = take_answer, .arg = f};
	struct shard_key ledger;

	uplink_ledger_key(u, name, &ledger, &way.slot);
	if (p->is_look)
		way.kind = OP_READ;
	const struct slice argv[] = {
		slice_str("2"),
		name,
		shard_slice(&ledger),
		slice_str(u->incarnation_id),
		before,
		p->is_look ? before : (struct slice){after, uplink_put_field(after, &p->after)},
		{digits, num_format_i64(digits, p->is_look ? 0 : p->delta)},
	};
	if (cluster_put_script(u->cluster, &way, &script_push, 7, argv) == SHC_OK)
		return;
	take_answer(f, &(struct op){.slot = (uint16_t)way.slot}, SHC_MEMORY, NULL);
}

/* At a stop nobody waits for a master that does not answer: what would be under way there would leave no room
 * for others. */
static bool leave_out(struct uplink *u, const struct uplink_push *p)
{
	static const struct uplink_answer unsent = {.outcome = UPLINK_UNSENT};

	if (!u->until_ms ||
	    uplink_is_slot_there(u, slot_of((struct slice){p->entry->name, p->entry->name_len})))
		return false;
	uplink_table_answer(&u->table, p, &unsent);
	return true;
}

/* Sends the next of the round. False: there is none now. */
static bool push_next(struct uplink *u)
{
	struct uplink_flight *f = u->free_flights;

	if (!f || (u->broken && !u->table.is_looking) ||
	    !uplink_table_take(&u->table, u->lineage.now.start, &f->push))
		return false;
	if (uplink_keep(u, &f->push) || leave_out(u, &f->push))
		return true;
	u->free_flights = f->next_free;
	put_push(u, f);
	return true;
}

/* ---- a round ---- */

static void end_nodes(struct uplink *u, int64_t begun_ms)
{
	for (size_t i = 0; i < u->node_count; i++) {
		struct uplink_node *n = &u->nodes[i];

		if (n->left == 0)
			n->behind_ms = 0;
		else if (n->behind_ms == 0)
			n->behind_ms = begun_ms;
		n->left = 0;
	}
}

bool uplink_round(struct uplink *u)
{
	int64_t begun_ms = clock_ms(CLOCK_MONOTONIC);
	bool is_through;

	uplink_table_begin_round(&u->table);
	uplink_begin(u, UPLINK_ROUND_MS);
	for (;;) {
		uint64_t answered = u->answers;
		bool is_idle = cluster_left(u->cluster) == 0;

		uplink_answer_meanwhile(u);
		while (push_next(u))
			is_idle = false;
		if (cluster_left(u->cluster) == 0)
			break;
		cluster_run(u->cluster, u->free_flights ? 0 : UPLINK_WINDOW / 2);
		if (u->answers != answered && !u->until_ms)
			cluster_extend(u->cluster);
		else if (cluster_is_over(u->cluster))
			break; /* nobody answers, or there is no more time: the rest need not be tried now */
		if (!u->until_ms && atomic_load_explicit(&u->is_stopping, memory_order_relaxed)) {
			cluster_drain(u->cluster);
			break;
		}
		if (is_idle)
			break; /* questions alone do not keep it going */
	}
	end_nodes(u, begun_ms);
	is_through = uplink_table_end_round(&u->table) && !u->broken;
	u->round_ms = begun_ms;
	return is_through;
}
