/* SPDX-License-Identifier: MIT */
/* actors_once.c - see actors.h: sessions and tokens; oracle_once.h says what they are good for. */
#include <stdio.h>

#include "actors.h"
#include "oracle_once.h"
#include "sim.h"

static void check_said(const struct op *op, const struct resp_reply *reply, const char *wrong)
{
	if (wrong)
		op_fail(op, reply, wrong);
}

/* ---- sessions ---- */

enum { UNBOUND = 0, ASKED = 1, NEXT = 2 /* link->memo - NEXT is the last sequence sent */ };

static bool is_number(const struct resp_reply *reply, int64_t value)
{
	return reply->type == RESP_INT && reply->i64 == value;
}

static void session_leaves(const struct op *op, const struct resp_reply *reply)
{
	check_said(op, reply, oracle_apply_leaves(op->what, (uint64_t)reply->elements[0].i64));
}

static void session_arrives(struct op *op, const struct resp_reply *reply)
{
	const struct resp_reply *e = reply->elements;
	char cursor[32] = "";

	op_check(op, reply, reply->count == 3, "not three");
	if (e[0].i64)
		(void)snprintf(cursor, sizeof(cursor), "c%lld", (long long)e[0].i64);
	op_check(op, reply, reply_is(&e[1], cursor), "a cursor of another batch");
	check_said(op, reply,
		   oracle_bound(op->what, (uint64_t)e[0].i64, (uint64_t)e[2].i64, op->low_once[op->what],
				op->link->actor ? &op->link->binding : NULL));
	op->link->memo = NEXT + (uint64_t)e[0].i64;
	op->link->is_unbound = false;
}

/* Nothing behind it in the pipeline may slip through; but the script may have asked anew since it was sent.
 */
static void apply_is_refused(const struct op *op)
{
	struct link *l = op->link;

	l->is_unbound = true;
	if (l->arrived > l->asked)
		l->memo = UNBOUND;
}

static bool is_refusal(struct op *op, const struct resp_reply *reply)
{
	if (!reply_has_error(reply, "SESSIONLOST"))
		return false;
	apply_is_refused(op);
	return true;
}

static void apply_leaves(const struct op *op, const struct resp_reply *reply)
{
	(void)reply;
	check_said(op, reply, oracle_apply_leaves(op->what, (uint64_t)op->number));
}

static void apply_arrives(struct op *op, const struct resp_reply *reply)
{
	if (is_refusal(op, reply))
		return;
	op_check(op, reply, !op->link->is_unbound, "the binding had ended");
	op_check(op, reply, is_number(reply, 1), "a new batch is not applied");
	check_said(op, reply, oracle_applied(op->what, (uint64_t)op->number, op->link->binding));
}

static void again_arrives(struct op *op, const struct resp_reply *reply)
{
	if (is_refusal(op, reply))
		return;
	op_check(op, reply, is_number(reply, 0) && !op->link->is_unbound,
		 "a batch that was applied is not known");
	oracle_known(op->what, (uint64_t)op->number);
}

static void gap_arrives(struct op *op, const struct resp_reply *reply)
{
	if (!is_refusal(op, reply))
		op_check(op, reply, reply_has_error(reply, "ERR sequence"), "a gap is not noticed");
}

static const struct op_kind op_session = {.name = "SHC.SESSION",
					  .leaves = session_leaves,
					  .arrives = session_arrives},
			    op_apply = {.name = "SHC.APPLY",
					.leaves = apply_leaves,
					.arrives = apply_arrives,
					.is_refused = apply_is_refused},
			    op_again = {.name = "SHC.APPLY again",
					.leaves = apply_leaves,
					.arrives = again_arrives},
			    op_gap = {.name = "SHC.APPLY gap", .arrives = gap_arrives};

enum { BATCH_MAX = 96 };

static const char *batch_text(char *text, uint32_t session, uint64_t seq)
{
	int own = (int)oracle_batch_own(seq), shared = (int)oracle_batch_shared(seq);
	long long n = (long long)seq;

	if (sim_one_in(2))
		(void)snprintf(text, BATCH_MAX, "SHC.APPLY %lld c%lld own%u %d shared %d", n, n, session, own,
			       shared);
	else
		(void)snprintf(text, BATCH_MAX, "SHC.APPLY %lld c%lld shared %d own%u 1 own%u %d", n, n,
			       shared, session, session, own - 1);
	return text;
}

static void send_batch(struct link *l, const struct op_kind *kind, uint32_t session, uint64_t seq)
{
	char text[BATCH_MAX];

	if (kind == &op_apply)
		oracle_apply_sent(session, seq);
	(void)link_send(l, kind, session, (int64_t)seq, "%s", batch_text(text, session, seq));
}

/* Its own reply is not wanted: then what a repetition is told is not held behind it. */
static void send_unheard(struct link *l, uint32_t session, uint64_t seq)
{
	char text[BATCH_MAX];

	oracle_apply_sent(session, seq);
	link_send_silent(l, "CLIENT REPLY SKIP");
	link_send_silent(l, "%s", batch_text(text, session, seq));
	send_batch(l, &op_again, session, seq);
}

static void send_session(struct actor *a, struct link *l)
{
	uint64_t last = l->memo - NEXT;

	if (l->memo == UNBOUND) {
		(void)link_send(l, &op_session, a->index, 0, "SHC.SESSION session%u", a->index);
		l->memo = ASKED;
		l->asked = l->sent;
	} else if (l->memo == ASKED) {
		return;
	} else if (last && sim_one_in(12)) {
		send_batch(l, &op_again, a->index, 1 + sim_below((uint32_t)last));
	} else if (sim_one_in(60)) {
		send_batch(l, &op_gap, a->index, last + 2);
	} else if (sim_one_in(12)) {
		send_unheard(l, a->index, last + 1);
		l->memo++;
	} else {
		send_batch(l, &op_apply, a->index, last + 1);
		l->memo++;
	}
}

const struct script script_session = {.name = "session", .send = send_session, .may_take_over = true};

/* ---- tokens ---- */

static void once_leaves(const struct op *op, const struct resp_reply *reply)
{
	check_said(op, reply, oracle_token_leaves(op->what, reply->elements[0].i64));
}

static void once_arrives(struct op *op, const struct resp_reply *reply)
{
	size_t last = oracle_token_is_of_several(op->what) ? 3 : 1;
	bool is_applied;

	op_check(op, reply, reply->count == last + 1, "not so many");
	is_applied = reply->elements[last].i64 == 1;
	op_check(op, reply, last == 1 || reply->elements[0].i64 == reply->elements[1].i64,
		 "a counter has two values");
	check_said(op, reply,
		   oracle_token_answered(op->what, reply->elements[0].i64, is_applied, op->number));
	op_check(op, reply, !op->was_acked || !is_applied, "a used token is applied again");
}

static void once_is_refused(const struct op *op)
{
	(void)op;
}

static void other_arrives(struct op *op, const struct resp_reply *reply)
{
	op_check(op, reply, reply_has_error(reply, "ERR this token"), "another delta is taken");
}

static const struct op_kind op_once = {.name = "SHC.ONCE",
				       .leaves = once_leaves,
				       .arrives = once_arrives,
				       .is_refused = once_is_refused},
			    op_other = {.name = "SHC.ONCE other", .arrives = other_arrives};

enum { ONCE_MAX = 96 };

static const char *once_text(char *text, uint32_t token, int delta)
{
	uint32_t counter = token % TOKEN_COUNTERS;

	if (oracle_token_is_of_several(token))
		(void)snprintf(text, ONCE_MAX, "SHC.ONCE token%u once%u %d once%u -5 several 1", token,
			       counter, delta + 5, counter);
	else
		(void)snprintf(text, ONCE_MAX, "SHC.ONCE token%u once%u %d", token, counter, delta);
	return text;
}

static void send_token(struct actor *a, struct link *l)
{
	char text[ONCE_MAX];
	uint32_t token = oracle_token_choose();
	int delta = (int)oracle_token_delta(token);
	bool was_acked = oracle_token_is_acked(token);
	struct op *op;

	(void)a;
	if (was_acked && sim_one_in(10)) {
		(void)link_send(l, &op_other, token, 0, "%s", once_text(text, token, delta + 1));
		return;
	}
	op = link_send(l, &op_once, token, oracle_token_sent(token), "%s", once_text(text, token, delta));
	op->was_acked = was_acked;
}

const struct script script_token = {.name = "token", .send = send_token, .may_take_over = true};
