/* SPDX-License-Identifier: MIT */
/* actors.c - see actors.h. */
#include "actors.h"

#include <stdio.h>
#include <string.h>

#include "oracle.h"
#include "sim.h"

static void check_said(const struct op *op, const struct resp_reply *reply, const char *wrong)
{
	if (wrong)
		op_fail(op, reply, wrong);
}

static bool is_number(const struct resp_reply *reply, int64_t *value)
{
	*value = 0;
	if (reply->type == RESP_NULL)
		return true;
	if (reply->type == RESP_INT)
		*value = reply->i64;
	return reply->type == RESP_INT ||
	       (reply->type == RESP_BULK && sscanf(reply->str.data, "%lld", (long long *)value) == 1);
}

static int64_t number_of(const struct op *op, const struct resp_reply *reply)
{
	int64_t value;

	op_check(op, reply, is_number(reply, &value), "not a number");
	return value;
}

/* ---- sums ---- */

static void sum_is_lost(const struct op *op)
{
	oracle_sum_lost(op->what, op->number);
}

static void sum_is_refused(const struct op *op)
{
	oracle_sum_refused(op->what, op->number);
}

static void value_leaves(const struct op *op, const struct resp_reply *reply)
{
	check_said(op, reply, oracle_sum_leaves(op->what, number_of(op, reply)));
}

static void incr_arrives(struct op *op, const struct resp_reply *reply)
{
	int64_t value = number_of(op, reply);

	check_said(op, reply, oracle_ticket(op->what, value, op->low[op->what]));
	oracle_sum_acked(op->what, op->number);
}

static void add_leaves(const struct op *op, const struct resp_reply *reply)
{
	check_said(op, reply, oracle_sum_ack_leaves(op->what, op->number));
}

static void add_arrives(struct op *op, const struct resp_reply *reply)
{
	op_check(op, reply, reply_is(reply, "OK"), "not OK");
	oracle_sum_acked(op->what, op->number);
}

static void get_arrives(struct op *op, const struct resp_reply *reply)
{
	check_said(op, reply, oracle_sum_read(op->what, number_of(op, reply), op->low[op->what]));
}

/* Base and cells. */
static int64_t total_of(const struct op *op, const struct resp_reply *reply)
{
	int64_t total = 0;

	op_check(op, reply, reply->type == RESP_ARRAY && reply->count > 0, "no parts");
	for (size_t i = 0; i < reply->count; i++)
		total += number_of(op, &reply->elements[i]);
	return total;
}

static void shards_leaves(const struct op *op, const struct resp_reply *reply)
{
	check_said(op, reply, oracle_sum_leaves(op->what, total_of(op, reply)));
}

static void shards_arrives(struct op *op, const struct resp_reply *reply)
{
	check_said(op, reply, oracle_sum_read(op->what, total_of(op, reply), op->low[op->what]));
}

static int64_t part_of(const struct op *op, const struct resp_reply *reply, const char *name)
{
	for (size_t i = 0; i + 1 < reply->count; i += 2)
		if (slice_equal(reply->elements[i].str, slice_str(name)))
			return number_of(op, &reply->elements[i + 1]);
	op_fail(op, reply, "a part is missing");
	return 0;
}

static void explain_leaves(const struct op *op, const struct resp_reply *reply)
{
	check_said(op, reply, oracle_sum_leaves(op->what, part_of(op, reply, "value")));
	op_check(op, reply, part_of(op, reply, "stored") == 1, "it leaves, and says that it is not on disk");
}

static void explain_arrives(struct op *op, const struct resp_reply *reply)
{
	int64_t value = part_of(op, reply, "value");

	check_said(op, reply, oracle_sum_read(op->what, value, op->low[op->what]));
	if (part_of(op, reply, "stored"))
		check_said(op, reply, oracle_sum_stored(op->what, value));
}

/* All sums in one reply. */
static void mget_leaves(const struct op *op, const struct resp_reply *reply)
{
	for (uint32_t i = 0; i < reply->count; i++)
		check_said(op, reply, oracle_sum_leaves(i, number_of(op, &reply->elements[i])));
}

static void mget_arrives(struct op *op, const struct resp_reply *reply)
{
	op_check(op, reply, reply->count == SUM_COUNT, "not all of them");
	for (uint32_t i = 0; i < SUM_COUNT; i++)
		check_said(op, reply, oracle_sum_read(i, number_of(op, &reply->elements[i]), op->low[i]));
}

static void barrier_arrives(struct op *op, const struct resp_reply *reply)
{
	op_check(op, reply, reply->count == 2 && reply->elements[0].i64 <= 1, "not two numbers");
	if (reply->elements[0].i64 == 1)
		oracle_barrier(op);
}

static bool has_name(const struct resp_reply *reply, const char *name)
{
	for (size_t i = 0; i < reply->count; i++)
		if (slice_equal(reply->elements[i].str, slice_str(name)))
			return true;
	return false;
}

static void keys_arrives(struct op *op, const struct resp_reply *reply)
{
	for (uint32_t i = 0; i < SUM_COUNT && !oracle_is_flushing(); i++)
		op_check(op, reply, op->low[i] == 0 || has_name(reply, oracle_sum_name(i)),
			 "a name is missing");
}

static void dbsize_arrives(struct op *op, const struct resp_reply *reply)
{
	int64_t least = 0, size = number_of(op, reply);

	for (uint32_t i = 0; i < SUM_COUNT && !oracle_is_flushing(); i++)
		least += op->low[i] > 0;
	op_check(op, reply, size >= least, "too few");
}

static const struct op_kind op_incr = {.name = "INCR",
				       .leaves = value_leaves,
				       .arrives = incr_arrives,
				       .is_lost = sum_is_lost,
				       .is_refused = sum_is_refused},
			    op_add = {.name = "SHC.ADD",
				      .leaves = add_leaves,
				      .arrives = add_arrives,
				      .is_lost = sum_is_lost,
				      .is_refused = sum_is_refused},
			    op_get = {.name = "GET", .leaves = value_leaves, .arrives = get_arrives},
			    op_shards = {.name = "SHC.SHARDS",
					 .leaves = shards_leaves,
					 .arrives = shards_arrives},
			    op_explain = {.name = "SHC.EXPLAIN",
					  .leaves = explain_leaves,
					  .arrives = explain_arrives},
			    op_mget = {.name = "MGET", .leaves = mget_leaves, .arrives = mget_arrives},
			    op_barrier = {.name = "WAITAOF", .arrives = barrier_arrives},
			    op_keys = {.name = "KEYS", .arrives = keys_arrives},
			    op_dbsize = {.name = "DBSIZE", .arrives = dbsize_arrives};

static void send_get(struct link *l, uint32_t sum)
{
	(void)link_send(l, &op_get, sum, 0, "GET %s", oracle_sum_name(sum));
}

static void send_mget(struct link *l)
{
	char text[256] = "MGET";
	size_t len = strlen(text);

	for (uint32_t i = 0; i < SUM_COUNT; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, " %s", oracle_sum_name(i));
	(void)link_send(l, &op_mget, 0, 0, "%s", text);
}

static void send_addition(struct link *l, uint32_t sum)
{
	int64_t delta = sum <= SUM_TICKET_2 ? 1 : 1 + sim_below(5);

	oracle_sum_sent(sum, delta);
	if (sum <= SUM_TICKET_2)
		(void)link_send(l, &op_incr, sum, delta, "INCR %s", oracle_sum_name(sum));
	else
		(void)link_send(l, &op_add, sum, delta, "SHC.ADD %s %d", oracle_sum_name(sum), (int)delta);
}

static void send_counter(struct actor *a, struct link *l)
{
	uint32_t sum = sim_below(SUM_COUNT);

	/* Some want barriers all the time. */
	if (!a->memo)
		a->memo = 4U << sim_below(6);
	if (sim_one_in((uint32_t)a->memo))
		(void)link_send(l, &op_barrier, 0, 0, "WAITAOF 1 0 %u",
				sim_one_in(4) ? 1 + sim_below(50) : 0);
	switch (sim_below(40)) {
	case 1: (void)link_send(l, &op_keys, 0, 0, "KEYS *"); break;
	case 2: (void)link_send(l, &op_dbsize, 0, 0, "DBSIZE"); break;
	case 3:
	case 4: send_mget(l); break;
	case 5: (void)link_send(l, &op_shards, sum, 0, "SHC.SHARDS %s", oracle_sum_name(sum)); break;
	case 6: (void)link_send(l, &op_explain, sum, 0, "SHC.EXPLAIN %s", oracle_sum_name(sum)); break;
	case 7:
	case 8: send_get(l, sum); break;
	default: send_addition(l, sum); break;
	}
}

const struct script script_counter = {.name = "counter", .send = send_counter};

/* Left and right only grow, and together: whichever is read next is not less. */
static void step_arrives(struct op *op, const struct resp_reply *reply)
{
	int64_t value = number_of(op, reply);

	op_check(op, reply, oracle_is_flushing() || value >= (int64_t)op->link->memo,
		 "half a transaction is seen");
	op->link->memo = (uint64_t)value;
}

static const struct op_kind op_step = {.name = "GET step", .arrives = step_arrives};

/* Changes nothing: none of its replies waits behind one that is held for a change. */
static void send_reader(struct actor *a, struct link *l)
{
	(void)a;
	switch (sim_below(8)) {
	case 0: send_mget(l); break;
	case 1:
	case 2: (void)link_send(l, &op_step, 0, 0, "GET left"); break;
	case 3:
	case 4: (void)link_send(l, &op_step, 0, 0, "GET right"); break;
	default: send_get(l, sim_below(SUM_COUNT)); break;
	}
}

const struct script script_reader = {.name = "reader", .send = send_reader};

/* ---- the pair ---- */

static void ok_arrives(struct op *op, const struct resp_reply *reply)
{
	op_check(op, reply, reply_is(reply, "OK") || reply_is(reply, "QUEUED"), "not OK");
}

static void may_be_refused(const struct op *op)
{
	(void)op;
}

static bool is_same(const struct resp_reply *a, const struct resp_reply *b)
{
	return a->type == b->type && a->i64 == b->i64 && slice_equal(a->str, b->str);
}

static void pair_arrives(struct op *op, const struct resp_reply *reply)
{
	op_check(op, reply, reply->count == 2, "not two");
	op_check(op, reply, is_same(&reply->elements[0], &reply->elements[1]), "half a transaction is seen");
}

static void any_arrives(struct op *op, const struct resp_reply *reply)
{
	op_check(op, reply, reply->type != RESP_ERROR, "an error");
}

static const struct op_kind op_multi = {.name = "MULTI ...",
					.arrives = ok_arrives,
					.is_refused = may_be_refused},
			    op_exec = {.name = "EXEC", .arrives = pair_arrives, .is_refused = may_be_refused},
			    op_pair = {.name = "MGET pair", .arrives = pair_arrives},
			    op_any = {.name = "any", .arrives = any_arrives, .is_refused = may_be_refused};

/* The sharded path is all or none on disk, but no reader waits for it. */
static void send_twins(struct link *l, int delta)
{
	switch (sim_below(10)) {
	case 0: (void)link_send(l, &op_any, 0, 0, "DEL twin1 twin2"); break;
	case 1: (void)link_send(l, &op_any, 0, 0, "MSET twin1 %d twin2 %d", delta, delta); break;
	default: (void)link_send(l, &op_any, 0, 0, "SHC.ADD twin1 %d twin2 %d", delta, delta); break;
	}
}

static void send_exec(struct link *l, const char *one, const char *other, int delta)
{
	(void)link_send(l, &op_multi, 0, 0, "MULTI");
	(void)link_send(l, &op_multi, 0, 0, "INCRBY %s %d", one, delta);
	(void)link_send(l, &op_multi, 0, 0, "INCRBY %s %d", other, delta);
	(void)link_send(l, &op_exec, 0, 0, "EXEC");
}

/* Both at the same moment, in some milliseconds, never or at once. */
static void send_expiry(struct link *l, const char *one, const char *other)
{
	int ms = sim_one_in(5) ? -1 : 1 + (int)sim_below(60);

	(void)link_send(l, &op_multi, 0, 0, "MULTI");
	if (sim_one_in(4)) {
		(void)link_send(l, &op_multi, 0, 0, "PERSIST %s", one);
		(void)link_send(l, &op_multi, 0, 0, "PERSIST %s", other);
	} else {
		(void)link_send(l, &op_multi, 0, 0, "PEXPIRE %s %d", one, ms);
		(void)link_send(l, &op_multi, 0, 0, "PEXPIRE %s %d", other, ms);
	}
	(void)link_send(l, &op_exec, 0, 0, "EXEC");
}

static void send_pair(struct actor *a, struct link *l)
{
	int delta = (int)sim_below(9) - 3;

	(void)a;
	if (oracle_is_expiring() && sim_one_in(4)) {
		if (sim_one_in(3))
			send_expiry(l, "twin1", "twin2");
		else
			send_expiry(l, "pair1", "pair2");
		return;
	}
	switch (sim_below(14)) {
	case 0: (void)link_send(l, &op_any, 0, 0, "DEL pair1 pair2"); break;
	case 1: (void)link_send(l, &op_any, 0, 0, "MSET pair1 %d pair2 %d", delta, delta); break;
	case 2:
	case 3: send_twins(l, delta); break;
	case 4:
	case 5: (void)link_send(l, &op_pair, 0, 0, "MGET pair2 pair1"); break;
	case 6:
	case 7: send_exec(l, "left", "right", 1); break;
	default: send_exec(l, "pair1", "pair2", delta); break;
	}
}

const struct script script_pair = {.name = "pair", .send = send_pair};

/* ---- the life ---- */

static void life_arrives(struct op *op, const struct resp_reply *reply)
{
	const struct resp_reply *pair;

	op_check(op, reply, reply->count == 2 && reply->elements[0].count == 2, "not a pair and a moment");
	pair = reply->elements[0].elements;
	op_check(op, reply, pair[1].i64 == 1 && reply->elements[1].i64 > 0, "not added, or it never expires");
	check_said(op, reply, oracle_life(pair[0].i64, reply->elements[1].i64));
}

static const struct op_kind op_life = {
	.name = "EXEC life", .arrives = life_arrives, .is_refused = may_be_refused};

static void send_life(struct actor *a, struct link *l)
{
	(void)a;
	(void)link_send(l, &op_multi, 0, 0, "MULTI");
	(void)link_send(l, &op_multi, 0, 0, "SHC.INCR life 1 PX 40");
	(void)link_send(l, &op_multi, 0, 0, "PEXPIRETIME life");
	(void)link_send(l, &op_life, 0, 0, "EXEC");
}

const struct script script_life = {.name = "life", .send = send_life};

/* ---- the chain ---- */

/* src at least dst, also in one look. */
static void chain_arrives(struct op *op, const struct resp_reply *reply)
{
	op_check(op, reply, reply->count == 2, "not two");
	op_check(op, reply,
		 oracle_is_flushing() ||
			 number_of(op, &reply->elements[0]) <= number_of(op, &reply->elements[1]),
		 "dst is ahead of src");
	check_said(op, reply,
		   oracle_sum_read(SUM_TICKET, number_of(op, &reply->elements[1]), op->low[SUM_TICKET]));
}

static const struct op_kind op_chain = {.name = "MGET chain", .arrives = chain_arrives};

static void send_chain(struct actor *a, struct link *l)
{
	(void)a;
	switch (sim_below(8)) {
	case 0: (void)link_send(l, &op_any, 0, 0, "DEL dst"); break;
	case 1:
	case 2: send_get(l, SUM_TICKET); break;
	case 3: (void)link_send(l, &op_chain, 0, 0, "MGET dst src"); break;
	default:
		(void)link_send(l, &op_any, 0, 0, "%s dst %lld", sim_one_in(3) ? "GETSET" : "SET",
				(long long)oracle_told());
		break;
	}
}

const struct script script_chain = {.name = "chain", .send = send_chain};

/* ---- the bag ---- */

/* A number for #. */
static void send_text(struct link *l, const char *text)
{
	char number = (char)('0' + sim_below(8)), words[64];

	(void)snprintf(words, sizeof(words), "%s", text);
	*strchr(words, '#') = number;
	(void)link_send(l, &op_any, 0, 0, "%s", words);
}

static void send_bag(struct actor *a, struct link *l)
{
	static const char *const texts[] = {
		"INCR bag#",	      "INCRBY bag# 7",
		"DECR bag#",	      "SET bag# 5",
		"GET bag#",	      "DEL bag#",
		"DEL bag#",	      "GETDEL bag#",
		"SHC.ADD bag# 3",     "SHC.ADD bag# -2",
		"SHC.ADD bag# 1",     "SETNX bag# 1",
		"EXISTS bag#",	      "SHC.ADD bag# 1 bag4 2",
		"MSET bag# 1 bag5 2", "SHC.SHARDS bag#",
		"DEL bag# bag3 bag2", "SHC.ADD bag# 1 bag1 1 bag2 -1 bag6 1",
	};

	static const char *const beside[] = {
		"PEXPIRE bag# 40",	 "PEXPIRE bag# 3",	   "PERSIST bag#",
		"SHC.HIT bag#",		 "SHC.HIT bag# 2",	   "SET bag# 3 PX 15",
		"SHC.INCR bag# 1 PX 30", "SHC.ALLOW bag# 5 100",   "GETEX bag# PX 9",
		"SHC.HITS bag# 60000",	 "INCREX bag# PX 20 ENX",  "TTL bag#",
		"PEXPIREAT bag# 10",	 "SHC.ALLOW bag# 3 500 2",
	};

	(void)a;
	if (oracle_is_expiring() && sim_one_in(2))
		send_text(l, beside[sim_below(sizeof(beside) / sizeof(beside[0]))]);
	else if (oracle_is_flushing() && sim_one_in(60))
		(void)link_send(l, &op_any, 0, 0, "FLUSHALL");
	else if (sim_one_in(200))
		(void)link_send(l, &op_any, 0, 0, "SAVE");
	else
		send_text(l, texts[sim_below(sizeof(texts) / sizeof(texts[0]))]);
}

const struct script script_bag = {.name = "bag", .send = send_bag};
