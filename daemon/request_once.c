/* SPDX-License-Identifier: MIT */
/*
 * request_once.c - SHC.ONCE: additions that a token makes known again. Knows tokens as well as counters: it
 * takes the lock of the one before those of the others, and has both recorded as one (txn_ride).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/hash.h"
#include "../lib/resp.h"
#include "request.h"
#include "server.h"
#include "worker.h"

/* A stripe is locked over all of them. */
enum { ONCE_ADDS_MAX = 1024 };

struct once {
	struct once_key key;
	const struct slice *names; /* the worker's scratch, as the deltas */
	const int64_t *deltas;
	size_t count;
	int64_t delta;		  /* that the token remembers */
	struct once_token *token; /* new, not in the table yet */
};

static uint64_t durable_of(const struct request *r)
{
	return epoch_durable(r->txn->epoch->clock);
}

static int64_t tokens_before_ms(const struct request *r)
{
	return clock_wall_ms() -
	       atomic_load_explicit(&r->worker->server->config->token_ttl_ms, memory_order_relaxed);
}

/* Several additions are remembered by their hash. It is on disk: it stays what it is. */
static int64_t delta_of_all(const struct once *o)
{
	uint64_t hash = o->count;

	if (o->count == 1)
		return o->deltas[0];
	for (size_t i = 0; i < o->count; i++) {
		struct hash_key key = {hash, (uint64_t)o->deltas[i]};

		hash = hash_bytes(&key, o->names[i].data, o->names[i].len);
	}
	return (int64_t)hash;
}

/* txn_rider_fn. The stripe is locked. */
static int record_token(void *arg, struct epoch_slot *epoch)
{
	const struct once *o = arg;

	return epoch_buffer_token(epoch->open, o->key.name, o->key.token, o->delta);
}

/* Locks the stripe at an instant at which the token, if it is known, is not newer than this worker's epoch.
 */
static const struct once_token *lock_token(struct request *r, const struct once *o)
{
	struct once_table *t = &r->worker->server->tokens;

	for (;;) {
		const struct once_token *token;

		once_lock(t, &o->key);
		token = once_find(t, &o->key, tokens_before_ms(r), durable_of(r));
		if (!token || token->epoch <= r->txn->epoch->own)
			return token;
		once_unlock(t, &o->key);
		epoch_catch_up(r->txn->epoch);
	}
}

/* The counters are open. */
static void put_once(struct request *r, const struct once *o, bool is_applied)
{
	resp_put_array(r->out, o->count + 1);
	for (size_t i = 0; i < o->count; i++)
		resp_put_int(r->out, txn_key(r->txn, i)->value);
	resp_put_int(r->out, is_applied);
}

/* It was used before: the values as they are now. */
static int answer_again(struct request *r, const struct once *o, const struct once_token *token)
{
	int rc;

	/* An addition of 0 has left the counter's stamp as it was. */
	txn_tell(r->txn, token->epoch);
	if (token->delta != o->delta) {
		reply_error(r, o->count == 1 ? "ERR this token was used with another delta for this counter"
					     : "ERR this token was used with other counters or deltas");
		return 0;
	}
	rc = txn_open(r->txn, o->names, o->count, TXN_READ);
	if (rc)
		return rc;
	put_once(r, o, false);
	txn_abort(r->txn);
	return 0;
}

/* Opens, adds, commits, and puts the reply. As txn_commit, or TXN_OVERFLOW. */
static int add_once(struct request *r, struct once *o)
{
	size_t mark = buf_len(r->out);
	int rc = txn_open(r->txn, o->names, o->count, TXN_WRITE | TXN_CREATE);

	if (rc)
		return rc;
	for (size_t i = 0; i < o->count; i++)
		if (!txn_incr(txn_key(r->txn, i), o->deltas[i])) {
			txn_abort(r->txn);
			return TXN_OVERFLOW;
		}
	put_once(r, o, true);
	txn_ride(r->txn, record_token, o);
	rc = txn_commit(r->txn);
	if (rc)
		r->out->tail = r->out->head + mark;
	return rc;
}

static int new_token(struct request *r, struct once *o)
{
	struct once_table *t = &r->worker->server->tokens;

	if (o->token)
		return 0;
	if (registry_is_full(r->txn->registry))
		return -EDQUOT;
	return once_new(t, &o->key, o->delta, tokens_before_ms(r), durable_of(r), &o->token);
}

/* It is new. The stripe is locked. As add_once; -EAGAIN: a reply was put. */
static int apply_once(struct request *r, struct once *o)
{
	struct once_table *t = &r->worker->server->tokens;
	int rc;

	if (request_refuse_stuck(r))
		return -EAGAIN;
	rc = new_token(r, o);
	if (rc == -EDQUOT) {
		reply_error(r, "OOM too many tokens (max-tokens, max-memory): not applied");
		return -EAGAIN;
	}
	if (!rc)
		rc = add_once(r, o);
	if (rc)
		return rc;
	once_add(t, &o->key, o->token, r->txn->epoch->own, clock_wall_ms());
	o->token = NULL;
	txn_tell(r->txn, r->txn->epoch->own);
	return 0;
}

/* One attempt. TXN_WAIT, or 0: a reply was put. */
static int try_once(struct request *r, struct once *o)
{
	const struct once_token *token = lock_token(r, o);
	int rc = token ? answer_again(r, o, token) : apply_once(r, o);

	once_unlock(&r->worker->server->tokens, &o->key);
	switch (rc) {
	case TXN_WAIT: return rc;
	case 0:
	case -EAGAIN: break;
	case TXN_OVERFLOW: reply_overflow(r); break;
	default: reply_no_memory(r, rc, ""); break;
	}
	return 0;
}

static void make_room(struct request *r)
{
	struct once_table *t = &r->worker->server->tokens;

	if (once_is_full(t))
		once_expire(t, tokens_before_ms(r), durable_of(r));
}

/* 0, or an error was put. */
static int parse_once(struct request *r, struct once *o)
{
	struct worker *w = r->worker;

	if (!slice_is_name(r->argv[1])) {
		reply_error(r, "ERR invalid token: 1 to 255 bytes without control characters");
		return -1;
	}
	o->count = (r->argc - 2) / 2;
	if (o->count > ONCE_ADDS_MAX) {
		resp_put_errorf(r->out, "ERR a token is for %d additions at most", ONCE_ADDS_MAX);
		return -1;
	}
	if (request_parse_adds(r, 2, o->count))
		return -1;
	o->names = w->names;
	o->deltas = w->deltas;
	o->delta = delta_of_all(o);
	o->key = once_key(&w->server->tokens, o->count == 1 ? o->names[0] : slice_str(ONCE_OF_SEVERAL),
			  r->argv[1]);
	return 0;
}

enum request_result request_shc_once(struct request *r)
{
	enum request_result result = REQUEST_DONE;
	struct once o = {0};

	if (request_refuse_restored(r))
		return REQUEST_DONE;
	if (parse_once(r, &o))
		return REQUEST_DONE;
	make_room(r);
	while (try_once(r, &o) == TXN_WAIT)
		if (request_park_for_cells(r, &result))
			break;
	once_free(&r->worker->server->tokens, o.token);
	return result;
}
