/* SPDX-License-Identifier: MIT */
/* request_counter.c - commands on counters. Pure computing on staged keys; see request.h for who does the
 * rest. */

#include "../lib/num.h"
#include "../lib/resp.h"
#include "config_default.h"
#include "peer.h"
#include "request.h"
#include "server.h"
#include "worker.h"

/* nil, or the value as a bulk string: what GET answers. */
static void put_value(struct request *r, bool is_live, int64_t value)
{
	if (is_live)
		resp_put_bulk_i64(r->out, value);
	else
		resp_put_null(r->out, r->proto);
}

enum request_result request_get(struct request *r)
{
	const struct txn_key *k = request_key(r, 0);

	put_value(r, k->is_live, k->value);
	return REQUEST_DONE;
}

enum request_result request_mget(struct request *r)
{
	resp_put_array(r->out, r->argc - 1);
	for (size_t i = 0; i + 1 < r->argc; i++)
		put_value(r, request_key(r, i)->is_live, request_key(r, i)->value);
	return REQUEST_DONE;
}

/* ---- SET ---- */

struct set_options {
	bool is_nx, is_xx, is_get, is_keepttl;
	struct moment_option moment;
	int64_t expire_at_ms;
};

/* The option at argv[*i]; *i moves onto its value, if it has one. False: there is no such option here. */
static bool parse_set_option(const struct request *r, size_t *i, struct set_options *o)
{
	struct slice word = r->argv[*i];

	if (slice_is_word(word, "nx") && !o->is_xx) {
		o->is_nx = true;
	} else if (slice_is_word(word, "xx") && !o->is_nx) {
		o->is_xx = true;
	} else if (slice_is_word(word, "get")) {
		o->is_get = true;
	} else if (slice_is_word(word, "keepttl") && !o->moment.number.data) {
		o->is_keepttl = true;
	} else {
		return !o->is_keepttl && request_take_moment(r, i, &o->moment);
	}
	return true;
}

/* 0, or an error was put. */
static int parse_set_options(struct request *r, struct set_options *o)
{
	for (size_t i = 3; i < r->argc; i++) {
		if (!parse_set_option(r, &i, o)) {
			reply_syntax(r);
			return -1;
		}
	}
	if (o->moment.number.data &&
	    !request_parse_moment(r, o->moment.number, o->moment.unit, &o->expire_at_ms))
		return -1;
	return 0;
}

enum request_result request_set(struct request *r)
{
	struct txn_key *k = request_key(r, 0);
	struct set_options o = {0};
	bool was_live = k->is_live, is_refused;
	int64_t before = k->value, value;

	if (parse_set_options(r, &o))
		return REQUEST_DONE;
	if (!num_parse_i64(r->argv[2], &value))
		return reply_not_integer(r);
	is_refused = (o.is_nx && was_live) || (o.is_xx && !was_live);
	if (!is_refused) {
		txn_set(k, value);
		if (!o.is_keepttl)
			txn_expire(r->txn, k, o.expire_at_ms);
	}
	if (o.is_get)
		put_value(r, was_live, before);
	else if (is_refused)
		resp_put_null(r->out, r->proto);
	else
		reply_ok(r);
	return REQUEST_DONE;
}

enum request_result request_setnx(struct request *r)
{
	struct txn_key *k = request_key(r, 0);
	bool was_live = k->is_live;
	int64_t value;

	if (!num_parse_i64(r->argv[2], &value))
		return reply_not_integer(r);
	if (!was_live)
		txn_set(k, value);
	return reply_int(r, !was_live);
}

enum request_result request_getset(struct request *r)
{
	struct txn_key *k = request_key(r, 0);
	int64_t value;

	if (!num_parse_i64(r->argv[2], &value))
		return reply_not_integer(r);
	put_value(r, k->is_live, k->value);
	txn_set(k, value);
	txn_expire(r->txn, k, 0);
	return REQUEST_DONE;
}

enum request_result request_getdel(struct request *r)
{
	struct txn_key *k = request_key(r, 0);

	put_value(r, k->is_live, k->value);
	txn_delete(k);
	return REQUEST_DONE;
}

enum request_result request_mset(struct request *r)
{
	int64_t value;

	for (size_t i = 2; i < r->argc; i += 2)
		if (!num_parse_i64(r->argv[i], &value))
			return reply_not_integer(r);
	for (size_t i = 2; i < r->argc; i += 2) {
		(void)num_parse_i64(r->argv[i], &value);
		txn_set(request_key(r, i / 2 - 1), value);
		txn_expire(r->txn, request_key(r, i / 2 - 1), 0);
	}
	return reply_ok(r);
}

/* ---- adding ---- */

static enum request_result add(struct request *r, int64_t delta)
{
	struct txn_key *k = request_key(r, 0);

	if (!txn_incr(k, delta))
		return reply_overflow(r);
	return reply_int(r, k->value);
}

enum request_result request_incr(struct request *r)
{
	return add(r, 1);
}

enum request_result request_decr(struct request *r)
{
	return add(r, -1);
}

enum request_result request_incrby(struct request *r)
{
	int64_t delta;

	if (!num_parse_i64(r->argv[2], &delta))
		return reply_not_integer(r);
	return add(r, delta);
}

enum request_result request_decrby(struct request *r)
{
	int64_t delta;

	if (!num_parse_i64(r->argv[2], &delta))
		return reply_not_integer(r);
	if (delta == INT64_MIN)
		return reply_error(r, "ERR decrement would overflow");
	return add(r, -delta);
}

/* ---- existence ---- */

enum request_result request_del(struct request *r)
{
	int64_t count = 0;

	for (size_t i = 0; i + 1 < r->argc; i++) {
		count += request_key(r, i)->is_live;
		txn_delete(request_key(r, i));
	}
	return reply_int(r, count);
}

enum request_result request_exists(struct request *r)
{
	int64_t count = 0;

	for (size_t i = 0; i + 1 < r->argc; i++)
		count += request_key(r, i)->is_live;
	return reply_int(r, count);
}

enum request_result request_type(struct request *r)
{
	resp_put_simple(r->out, request_key(r, 0)->is_live ? "string" : "none");
	return REQUEST_DONE;
}

/* ---- SHC.* ---- */

/* Inside EXEC the counters stand open under the locks of all, and an addition is staged like any other. All
 * or none: each step is taken back in turn, so that repeated names come out right. */
static enum request_result add_staged(struct request *r, const int64_t *deltas, size_t count)
{
	struct worker *w = r->worker;

	if (txn_grow(&w->undo, &w->undo_cap, count, sizeof(*w->undo)))
		return reply_error(r, "OOM out of memory: nothing has changed");
	for (size_t i = 0; i < count; i++) {
		struct txn_key *k = request_key(r, i);

		w->undo[i] = *k;
		if (txn_incr(k, deltas[i]))
			continue;
		while (i-- > 0)
			*request_key(r, i) = w->undo[i];
		return reply_overflow(r);
	}
	return reply_ok(r);
}

static enum request_result add_sharded(struct request *r, const struct slice *names, const int64_t *deltas,
				       size_t count)
{
	enum request_result result;

	for (;;) {
		int rc = txn_add(r->txn, names, deltas, count);

		if (rc == TXN_OK)
			return reply_ok(r);
		if (rc == TXN_OVERFLOW)
			return reply_overflow(r);
		if (rc < 0)
			return reply_no_memory(r, rc, "");
		if (request_park_for_cells(r, &result))
			return result;
	}
}

int request_parse_adds(struct request *r, size_t first, size_t count)
{
	struct worker *w = r->worker;

	if (txn_grow(&w->names, &w->name_cap, count, sizeof(*w->names)) ||
	    txn_grow(&w->deltas, &w->delta_cap, count, sizeof(*w->deltas))) {
		reply_error(r, "OOM out of memory: nothing has changed");
		return -1;
	}
	for (size_t i = 0; i < count; i++) {
		w->names[i] = r->argv[first + 2 * i];
		if (!slice_is_name(w->names[i])) {
			reply_bad_name(r);
			return -1;
		}
		if (!num_parse_i64(r->argv[first + 1 + 2 * i], &w->deltas[i])) {
			reply_not_integer(r);
			return -1;
		}
	}
	return 0;
}

enum request_result request_shc_add(struct request *r)
{
	struct worker *w = r->worker;
	size_t count = (r->argc - 1) / 2;

	if (request_parse_adds(r, 1, count))
		return REQUEST_DONE;
	return r->is_in_exec ? add_staged(r, w->deltas, count) : add_sharded(r, w->names, w->deltas, count);
}

enum request_result request_shc_shards(struct request *r)
{
	int64_t cells[CONFIG_WORKERS_MAX];
	struct txn_parts parts = {0};

	if (!slice_is_name(r->argv[1]))
		return reply_bad_name(r);
	if (r->is_in_exec)
		parts.base = request_key(r, 0)->value; /* merged for the transaction */
	else
		txn_look_at_parts(r->txn, r->argv[1], &parts, cells);
	resp_put_array(r->out, 1 + (size_t)parts.cell_count);
	resp_put_int(r->out, parts.base);
	for (uint32_t i = 0; i < parts.cell_count; i++)
		resp_put_int(r->out, cells[i]);
	return REQUEST_DONE;
}
