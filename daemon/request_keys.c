/* SPDX-License-Identifier: MIT */
/* request_keys.c - commands on the whole table: SCAN, KEYS, DBSIZE, RANDOMKEY, FLUSHALL. */
#include <stdlib.h>

#include "../lib/glob.h"
#include "../lib/num.h"
#include "../lib/resp.h"
#include "peer.h"
#include "request.h"
#include "worker.h"

enum {
	SCAN_COUNT_DEFAULT = 10,
	SCAN_COUNT_MAX = 100000,
	KEYS_SLICE = 2000,	 /* records a turn: some hundred microseconds */
	STEPS_MAX = 8 << 20,	 /* of comparing names with a pattern, in a turn: some milliseconds */
	STEPS_OF_A_RECORD = 100, /* that is looked at, and not compared */
};

/* Names that match, as bulk strings. */
struct match {
	struct txn *txn;
	struct slice pattern;
	bool is_all; /* no pattern */
	struct buf *out;
	uint64_t count;
};

/* At most. Others of this worker wait meanwhile, so a page or a slice has fewer names where it is much. */
static uint64_t steps_of_name(const struct match *m)
{
	return STEPS_OF_A_RECORD + (m->is_all ? 0 : m->pattern.len * NAME_LEN_MAX);
}

static size_t names_at_once(const struct match *m, uint64_t most)
{
	uint64_t fit = STEPS_MAX / steps_of_name(m);

	return (size_t)(fit < most ? fit : most);
}

/* False: there is an error. Of a page or a slice of so many names. */
static bool may_match(struct request *r, const struct match *m, size_t names)
{
	if (!request_is_pattern(r, m->pattern))
		return false;
	if (request_may_look(r, names * steps_of_name(m)))
		return true;
	reply_error(r, "ERR so many names are not looked through in a transaction; use SCAN, without MULTI");
	return false;
}

static void match_one(void *arg, struct counter *c)
{
	struct match *m = arg;
	struct slice name = counter_name(c);

	/* What does not match is not told. */
	if ((!m->is_all && !glob_match(m->pattern, name)) || !txn_is_live(m->txn, c))
		return;
	resp_put_bulk(m->out, name.data, name.len);
	m->count++;
}

/* ---- SCAN ---- */

struct scan_options {
	uint64_t cursor;
	struct slice pattern;
	bool has_pattern;
	int64_t count;
	bool is_other_type; /* TYPE list: nothing here is one */
};

static bool parse_cursor(struct slice s, uint64_t *cursor)
{
	int64_t v;

	if (!num_parse_i64(s, &v) || v < 0 || v >> REGISTRY_CURSOR_BITS)
		return false;
	*cursor = (uint64_t)v;
	return true;
}

/* 0, or an error was put. */
static int parse_scan(struct request *r, struct scan_options *o)
{
	*o = (struct scan_options){.count = SCAN_COUNT_DEFAULT};
	if (!parse_cursor(r->argv[1], &o->cursor)) {
		reply_error(r, "ERR invalid cursor");
		return -1;
	}
	for (size_t i = 2; i < r->argc; i += 2) {
		bool has_value = i + 1 < r->argc;

		if (has_value && slice_is_word(r->argv[i], "match")) {
			o->pattern = r->argv[i + 1];
			o->has_pattern = !slice_equal(o->pattern, slice_str("*"));
		} else if (has_value && slice_is_word(r->argv[i], "type")) {
			o->is_other_type = !slice_is_word(r->argv[i + 1], "string");
		} else if (has_value && slice_is_word(r->argv[i], "count")) {
			if (!num_parse_i64(r->argv[i + 1], &o->count)) {
				reply_not_integer(r);
				return -1;
			}
			if (o->count < 1) {
				reply_syntax(r);
				return -1;
			}
		} else {
			reply_syntax(r);
			return -1;
		}
	}
	if (o->count > SCAN_COUNT_MAX)
		o->count = SCAN_COUNT_MAX;
	return 0;
}

static void put_page(struct request *r, const struct scan_options *o, struct match *m, size_t count)
{
	char cursor[NUM_I64_CHARS_MAX];
	uint64_t next = registry_walk(r->txn->registry, o->cursor, count, match_one, m);

	if (o->is_other_type)
		m->count = 0;
	resp_put_array(r->out, 2);
	resp_put_bulk(r->out, cursor, num_format_i64(cursor, (int64_t)next));
	resp_put_array(r->out, m->count);
	if (m->count)
		buf_append(r->out, buf_head(m->out), buf_len(m->out));
	r->out->failed |= m->out->failed;
}

enum request_result request_scan(struct request *r)
{
	struct scan_options o;
	struct buf names = worker_take_spare(r->worker);
	struct match m = {.txn = r->txn, .out = &names};
	size_t count;

	if (!parse_scan(r, &o)) {
		m.pattern = o.pattern;
		m.is_all = !o.has_pattern;
		count = names_at_once(&m, (uint64_t)o.count);
		if (may_match(r, &m, count))
			put_page(r, &o, &m, count);
	}
	worker_give_spare(r->worker, &names);
	return REQUEST_DONE;
}

/* ---- KEYS ---- */

static void keys_reset(struct peer *p)
{
	buf_fini(&p->keys_body);
	p->keys_cursor = p->keys_count = p->keys_told = 0;
}

static enum request_result keys_finish(struct request *r)
{
	struct peer *p = r->peer;

	if ((int64_t)buf_len(&p->keys_body) > request_output_limit(r) / 2) {
		reply_error(r,
			    "ERR the reply is longer than a connection may buffer (output-limit); use SCAN");
	} else {
		resp_put_array(r->out, p->keys_count);
		if (p->keys_count)
			buf_append(r->out, buf_head(&p->keys_body), buf_len(&p->keys_body));
		r->out->failed |= p->keys_body.failed;
	}
	keys_reset(p);
	return REQUEST_DONE;
}

/* False: an error was put. */
static bool keys_walk(struct request *r, struct match *m)
{
	struct peer *p = r->peer;
	size_t names = names_at_once(m, KEYS_SLICE);

	do {
		if (!may_match(r, m, names))
			return false;
		p->keys_cursor = registry_walk(r->txn->registry, p->keys_cursor, names, match_one, m);
	} while (p->keys_cursor && r->is_in_exec);
	return true;
}

/* A slice a turn, so that others on this worker do not wait for ten million names. Inside EXEC at one go. */
enum request_result request_keys(struct request *r)
{
	struct peer *p = r->peer;
	struct match m = {
		.txn = r->txn,
		.pattern = r->argv[1],
		.is_all = slice_equal(r->argv[1], slice_str("*")),
		.out = &p->keys_body,
	};

	if (!p->wait.is_resumed || r->is_in_exec)
		keys_reset(p);
	if (!keys_walk(r, &m)) {
		keys_reset(p);
		return REQUEST_DONE;
	}
	p->keys_count += m.count;
	/* Each slice is a request of its own to the txn; the reply tells of all. */
	txn_tell(r->txn, p->keys_told);
	p->keys_told = r->txn->told;
	if (p->keys_cursor)
		return peer_park(p, WAIT_TURN, 0, -1);
	return keys_finish(r);
}

/* ---- the rest ---- */

static int64_t live_count(struct txn *t)
{
	uint64_t epoch;
	int64_t count = registry_live_count(t->registry, &epoch);

	txn_tell(t, epoch);
	return (t->is_flushing ? 0 : count) + txn_live_change(t);
}

enum request_result request_dbsize(struct request *r)
{
	return reply_int(r, live_count(r->txn));
}

struct first_live {
	struct txn *txn;
	struct counter *found;
};

static void take_first(void *arg, struct counter *c)
{
	struct first_live *f = arg;

	if (!f->found && txn_is_live(f->txn, c))
		f->found = c;
}

/* The first that lives behind a random place in the order of the hash. */
enum request_result request_randomkey(struct request *r)
{
	struct registry *registry = r->txn->registry;
	struct first_live f = {.txn = r->txn};
	uint64_t cursor =
		((uint64_t)random() << 24 ^ (uint64_t)random()) & ((UINT64_C(1) << REGISTRY_CURSOR_BITS) - 1);
	bool has_wrapped = false;

	while (!f.found && live_count(r->txn)) {
		cursor = registry_walk(registry, cursor, 1, take_first, &f);
		if (cursor == 0 && !f.found) {
			if (has_wrapped)
				break;
			has_wrapped = true;
		}
	}
	if (f.found)
		resp_put_bulk(r->out, f.found->name, f.found->name_len);
	else
		resp_put_null(r->out, r->proto);
	return REQUEST_DONE;
}

enum request_result request_flush(struct request *r)
{
	if (r->argc > 2 ||
	    (r->argc == 2 && !slice_is_word(r->argv[1], "async") && !slice_is_word(r->argv[1], "sync")))
		return reply_syntax(r);
	if (r->is_in_exec)
		txn_flush_staged(r->txn);
	else if (txn_flush(r->txn))
		return reply_error(r, "OOM out of memory: nothing has changed");
	worker_begin_sweep(r->worker);
	return reply_ok(r);
}
