/* SPDX-License-Identifier: MIT */
/*
 * uplink_verify.c - counter by counter: what this daemon has, what its field of the ledger says, what the
 * total is, and what of that is nobody's contribution.
 *
 * What is due is pushed first, so what differs then is a difference, though others count on: a name that has
 * changed meanwhile is compared with what was pushed.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/cluster.h"
#include "../lib/num.h"
#include "../lib/resp.h"
#include "../lib/script.h"
#include "uplink.h"

enum { PAGE = 256, WHY_SIZE = 160 };

struct row {
	struct uplink *uplink;
	struct uplink_state state;
	bool is_answered, has_total, has_field;
	bool is_denied;		  /* nothing may be read */
	bool is_lost;		  /* there is nobody to read it from */
	bool is_late;		  /* what was due could not be pushed before */
	int64_t total, ledger;	  /* of this incarnation */
	uint64_t fields, retired; /* sums, modulo 2^64 */
	char why[WHY_SIZE];
};

static struct slice name_of(const struct row *r)
{
	return (struct slice){r->state.name, r->state.name_len};
}

static void say(struct row *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct row *r, const char *fmt, ...)
{
	va_list ap;

	if (r->why[0])
		return; /* the first reason is enough */
	va_start(ap, fmt);
	(void)vsnprintf(r->why, sizeof(r->why), fmt, ap);
	va_end(ap);
}

/* ---- one row ---- */

static void read_own_field(struct row *r, struct slice text)
{
	struct uplink_field field = {.value = 0};

	switch (uplink_judge_field(&r->uplink->lineage, text, &field)) {
	case UPLINK_OURS:
		r->has_field = true;
		r->ledger = field.value;
		break;
	case UPLINK_STRANGE: say(r, "another copy of this state has written its field"); break;
	case UPLINK_RETIRED: say(r, "this incarnation is retired there"); break;
	default: say(r, "its field is nothing that a daemon writes"); break;
	}
}

static void read_field(struct row *r, struct slice name, struct slice text)
{
	struct uplink_field field;
	int64_t retired;

	if (name.len == UPLINK_ID_CHARS && memcmp(name.data, r->uplink->incarnation_id, name.len) == 0)
		read_own_field(r, text);
	if (slice_is_word(name, "retired") && num_parse_i64(text, &retired))
		r->retired += (uint64_t)retired;
	else if (uplink_parse_field(text, &field))
		r->fields += uplink_field_sum(&field);
}

/* [total, its PTTL, the ledger's, fields] */
static bool read_look(struct row *r, const struct resp_reply *reply)
{
	const struct resp_reply *e = reply->elements, *fields;

	if (reply->type != RESP_ARRAY || reply->count != 4 || e[0].type != RESP_BULK ||
	    e[1].type != RESP_INT || e[2].type != RESP_INT || e[3].type != RESP_ARRAY || e[3].count % 2)
		return false;
	r->has_total = e[0].str.len > 0;
	if (r->has_total && !num_parse_i64(e[0].str, &r->total))
		say(r, "the total is no integer of 64 bits");
	if (e[1].i64 >= 0)
		say(r, "the total has an expiry: it will be lost");
	if (e[2].i64 >= 0)
		say(r, "the ledger has an expiry: it will be lost");
	fields = e[3].elements;
	for (size_t i = 0; i < e[3].count; i += 2)
		read_field(r, fields[i].str, fields[i + 1].str);
	return true;
}

static void take_look(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct row *r = arg;

	(void)op;
	r->is_answered = true;
	r->is_denied = status == SHC_DENIED;
	if (uplink_is_refusal(status, reply))
		say(r, "%.*s", (int)reply->str.len, reply->str.data);
	else if (status || !read_look(r, reply))
		r->is_answered = false;
	r->is_lost = !r->is_answered && status != SHC_UNREACHABLE;
}

/* What should be there; of a name that has changed since, what was pushed. */
static void compare(struct row *r)
{
	const struct uplink_state *s = &r->state;
	int64_t wanted = r->ledger;
	char why[WHY_SIZE];

	if (!uplink_contribution(s->committed, s->baseline, &wanted))
		say(r, "its contribution does not fit 64 bits");
	else if (s->is_due && s->belief == UPLINK_PRESENT)
		wanted = s->there.value;
	else if (s->is_due)
		wanted = r->ledger;
	if (uplink_put_why(r->uplink, s, why, sizeof(why)))
		say(r, "%s", why);
	else if (s->is_due && r->is_late)
		say(r, "what has changed is not in the cluster yet: %s", r->uplink->error);
	if (wanted != r->ledger)
		say(r, "the ledger has %" PRId64 " instead of %" PRId64, r->ledger, wanted);
}

static void put_row(struct uplink_question *q, const struct row *r)
{
	struct buf *out = &q->reply;

	resp_put_array(out, 7);
	resp_put_bulk(out, r->state.name, r->state.name_len);
	resp_put_int(out, r->state.committed);
	resp_put_int(out, r->state.baseline);
	resp_put_int(out, r->ledger);
	if (r->has_total)
		resp_put_int(out, r->total);
	else
		resp_put_null(out, q->is_resp3 ? 3 : 2);
	resp_put_int(out, (int64_t)((uint64_t)r->total - r->fields - r->retired));
	resp_put_bulk_str(out, r->why);
}

/* ---- a page ---- */

/* Names whose slot is half moved are no reason to tell nothing of the others. False: a master did not answer.
 */
static bool look(struct uplink *u, struct row *rows, size_t count)
{
	bool is_whole = true, is_lost = false;

	cluster_begin(u->cluster, UPLINK_CALL_MS, true);
	for (size_t i = 0; i < count; i++) {
		struct cluster_way way = {
			.kind = OP_READ, .is_hasty = true, .done = take_look, .arg = &rows[i]};
		struct shard_key ledger;

		rows[i].uplink = u;
		uplink_ledger_key(u, name_of(&rows[i]), &ledger, &way.slot);
		const struct slice argv[] = {slice_str("2"), name_of(&rows[i]), shard_slice(&ledger)};
		if (shard_is_own(name_of(&rows[i])))
			rows[i].is_answered = true; /* stays here */
		else
			(void)cluster_put_script(u->cluster, &way, &script_look, 3, argv);
	}
	cluster_run(u->cluster, 0);
	for (size_t i = 0; i < count; i++) {
		is_whole &= rows[i].is_answered;
		is_lost |= rows[i].is_lost;
		if (!rows[i].is_answered)
			say(&rows[i], "it cannot be read now: %s", cluster_error(u->cluster));
	}
	return is_whole || (!is_lost && !cluster_is_over(u->cluster));
}

/* One sentence is enough where none may be read. */
static bool is_denied(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!rows[i].is_denied)
			return false;
	return count > 0;
}

/* A name that was deleted, and of which nothing is left, is no counter. */
static bool is_told(const struct row *r)
{
	return r->state.is_there || r->ledger != 0 || r->why[0];
}

static void put_page(struct uplink_question *q, const struct row *rows, size_t count, uint64_t next)
{
	char cursor[24];
	size_t told = 0;

	(void)snprintf(cursor, sizeof(cursor), "%" PRIu64, next);
	for (size_t i = 0; i < count; i++)
		told += is_told(&rows[i]);
	resp_put_array(&q->reply, 2);
	resp_put_bulk_str(&q->reply, cursor);
	resp_put_array(&q->reply, told);
	for (size_t i = 0; i < count; i++)
		if (is_told(&rows[i]))
			put_row(q, &rows[i]);
}

/* The names of a page, as they are when everything has been pushed. */
static size_t take_page(struct uplink *u, struct uplink_question *q, struct row *rows, uint64_t *next)
{
	struct uplink_state *states = calloc(PAGE, sizeof(*states));
	size_t count = 0;

	*next = q->number;
	if (states)
		count = uplink_table_page(&u->table, next, states, PAGE);
	for (size_t i = 0; i < count; i++) {
		rows[i].state = states[i];
		/* What nobody has looked at since the start, too. */
		if (q->is_repair || states[i].belief == UPLINK_UNKNOWN)
			uplink_table_look_again(&u->table, name_of(&rows[i]));
	}
	free(states);
	return count;
}

static void refresh(struct uplink *u, struct row *rows, size_t count)
{
	struct uplink_state now;

	for (size_t i = 0; i < count; i++)
		if (uplink_table_state(&u->table, name_of(&rows[i]), &now))
			rows[i].state = now;
}

void uplink_verify(struct uplink *u, struct uplink_question *q)
{
	struct row *rows = calloc(PAGE, sizeof(*rows));
	bool is_pushed = false;
	uint64_t next;
	size_t count;

	if (!rows) {
		resp_put_error(&q->reply, "OOM out of memory");
		return;
	}
	count = take_page(u, q, rows, &next);
	if (u->condition != UPLINK_DOWN && uplink_register(u))
		is_pushed = uplink_round(u);
	refresh(u, rows, count);
	if (!look(u, rows, count)) {
		resp_put_errorf(&q->reply, "UPLINKDOWN %s", cluster_error(u->cluster));
	} else if (is_denied(rows, count)) {
		resp_put_error(&q->reply, rows[0].why);
	} else {
		for (size_t i = 0; i < count; i++) {
			rows[i].is_late = !is_pushed;
			compare(&rows[i]);
		}
		put_page(q, rows, count, next);
	}
	free(rows);
}
