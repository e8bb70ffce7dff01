/* SPDX-License-Identifier: MIT */
/*
 * request_once.c - what is applied at most once: SHC.SESSION, SHC.APPLY, SHC.ONCE. The only place that knows
 * sessions and tokens as well as counters: it takes the lock of the one before those of the others, and has
 * both recorded as one (txn_ride).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/hash.h"
#include "../lib/num.h"
#include "../lib/resp.h"
#include "peer.h"
#include "request.h"
#include "server.h"
#include "worker.h"

/* A session that is used but not advanced is recorded again when its record is this part of its life old. */
enum { TOUCH_PART = 8 };

/* A full table is looked through for sessions that have expired so often at most: there are 100000 of them.
 */
enum { LOOK_MS = 500 };

static uint64_t durable_of(const struct request *r)
{
	return epoch_durable(r->txn->epoch->clock);
}

static int64_t setting(const _Atomic int64_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

static int64_t sessions_before_ms(const struct request *r)
{
	return clock_wall_ms() - setting(&r->worker->server->config->session_ttl_ms);
}

static int64_t tokens_before_ms(const struct request *r)
{
	return clock_wall_ms() - setting(&r->worker->server->config->token_ttl_ms);
}

/* In commit mode the reply leaves when all of it is durable. */
static uint64_t told_stored_seq(const struct request *r, const struct session *s)
{
	return r->worker->is_holding ? s->last.seq : session_stored_seq(s, durable_of(r));
}

/* A copy of an older state may know less than clients were told. */
static bool is_restored(const struct request *r)
{
	const struct uplink *u = r->worker->server->uplink;

	return u && atomic_load_explicit(&u->is_restored, memory_order_relaxed);
}

static enum request_result reply_restored(struct request *r)
{
	return reply_error(r,
			   "SESSIONRESTORED this state is a copy of an older one: see shcount uplink status; "
			   "shcount uplink accept allows sessions and tokens again");
}

/* ---- SHC.SESSION ---- */

struct session_record {
	struct session *session;
	uint64_t seq;
	struct slice cursor;
	uint32_t worker;
};

/* txn_rider_fn. The session is locked. */
static int record_session(void *arg, struct epoch_slot *epoch)
{
	struct session_record *record = arg;
	struct session *s = record->session;
	bool is_there = s->last.epoch == epoch->own && s->record_worker == record->worker;
	size_t at = is_there ? s->record_at : SIZE_MAX;

	if (epoch_buffer_session(epoch->open, &at, session_id(s), record->seq, record->cursor))
		return -ENOMEM;
	s->record_worker = record->worker;
	s->record_at = at;
	return 0;
}

void request_session_end(struct peer *p)
{
	if (p->session)
		p->session = session_put(&p->worker->server->sessions, p->session, p->client.id);
	p->is_session_lost = false;
}

/* Locks it at an instant at which nothing of it is newer than this worker's epoch. */
static void lock_session(struct request *r, struct session *s)
{
	for (;;) {
		session_lock(s);
		if (s->last.epoch <= r->txn->epoch->own)
			return;
		session_unlock(s);
		epoch_catch_up(r->txn->epoch);
	}
}

/* That it was used is to survive a restart, too. Nobody waits for that: it may fail. */
static void touch(struct request *r, struct session *s)
{
	struct session_record record = {
		.session = s,
		.seq = s->last.seq,
		.cursor = {.data = s->cursor, .len = s->cursor_len},
		.worker = r->txn->worker,
	};
	int64_t ttl_ms = setting(&r->worker->server->config->session_ttl_ms);

	s->used_ms = clock_wall_ms();
	if (s->last.seq == 0 || s->used_ms - s->recorded_ms < ttl_ms / TOUCH_PART)
		return;
	if (epoch_buffer_is_empty(r->txn->epoch->open))
		epoch_note_dirty(r->txn->epoch);
	if (record_session(&record, r->txn->epoch) == 0)
		session_note_record(s, r->txn->epoch->own, s->used_ms);
}

static int get_session(struct request *r, struct session **out)
{
	struct session_table *t = &r->worker->server->sessions;
	int rc = session_get(t, r->argv[1], out);

	if (rc != -EDQUOT || r->worker->now_ms - r->worker->sessions_looked_ms < LOOK_MS)
		return rc;
	r->worker->sessions_looked_ms = r->worker->now_ms;
	session_expire(t, sessions_before_ms(r), durable_of(r));
	return session_get(t, r->argv[1], out);
}

static enum request_result reply_lost(struct request *r)
{
	r->peer->is_session_lost = true;
	return reply_error(r, "SESSIONLOST the session is bound to another connection, or an earlier batch "
			      "was refused: ask with SHC.SESSION where it stands");
}

enum request_result request_shc_session(struct request *r)
{
	struct peer *p = r->peer;
	struct session *s;
	int rc;

	if (is_restored(r))
		return reply_restored(r);
	if (!slice_is_name(r->argv[1]))
		return reply_error(r, "ERR invalid session id: 1 to 255 bytes without control characters");
	request_session_end(p);
	/* A run that follows one that was killed has it, or will ask: nobody else would read our answer. */
	if (io_conn_is_hung_up(&p->io))
		return reply_lost(r);
	rc = get_session(r, &s);
	if (rc)
		return rc == -EDQUOT ? reply_error(r, "OOM too many sessions (max-sessions): none was made")
				     : reply_no_memory(r, rc, "");
	p->session = s;
	lock_session(r, s);
	s->owner = p->client.id;
	txn_tell(r->txn, s->last.epoch);
	resp_put_array(r->out, 3);
	resp_put_int(r->out, (int64_t)s->last.seq);
	resp_put_bulk(r->out, s->cursor_len ? s->cursor : "", s->cursor_len);
	resp_put_int(r->out, (int64_t)told_stored_seq(r, s));
	touch(r, s);
	session_unlock(s);
	return REQUEST_DONE;
}

/* ---- SHC.APPLY ---- */

struct apply {
	struct session_record record;
	const struct slice *names;
	const int64_t *deltas;
	size_t count;
};

/* What was refused for the state of things: nothing behind it in the pipeline may slip through. */
static enum request_result end_binding(struct request *r)
{
	r->peer->is_session_lost = true;
	return REQUEST_DONE;
}

/* 0, or an error was put. Names and numbers go to the worker's scratch. */
static int parse_apply(struct request *r, struct apply *a)
{
	struct worker *w = r->worker;
	int64_t seq;

	if (!num_parse_i64(r->argv[1], &seq)) {
		reply_not_integer(r);
		return -1;
	}
	if (r->argv[2].len > SESSION_CURSOR_MAX) {
		reply_error(r, "ERR the cursor is longer than 4096 bytes");
		return -1;
	}
	a->count = (r->argc - 3) / 2;
	if (request_parse_adds(r, 3, a->count))
		return -1;
	a->names = w->names;
	a->deltas = w->deltas;
	a->record = (struct session_record){
		.session = r->peer->session,
		.seq = seq > 0 ? (uint64_t)seq : 0, /* which is not above any last one */
		.cursor = r->argv[2],
		.worker = r->txn->worker,
	};
	return 0;
}

static enum request_result reply_gap(struct request *r, const struct session *s, uint64_t seq)
{
	txn_tell(r->txn, s->last.epoch);
	resp_put_errorf(r->out, "ERR sequence %llu is not the next: %llu is", (unsigned long long)seq,
			(unsigned long long)s->last.seq + 1);
	return REQUEST_DONE;
}

/* The session is locked, and the sequence is its next. TXN_WAIT, -EAGAIN (a reply was put), or as txn_add. */
static int apply(struct request *r, struct apply *a)
{
	struct session *s = a->record.session;
	size_t len = a->record.cursor.len;
	char *cursor;
	int rc;

	if (request_refuse_stuck(r))
		return -EAGAIN;
	cursor = len ? malloc(len) : NULL;
	if (len && !cursor)
		return -ENOMEM;
	if (len)
		memcpy(cursor, a->record.cursor.data, len);
	txn_ride(r->txn, record_session, &a->record);
	rc = txn_add(r->txn, a->names, a->deltas, a->count);
	if (rc) {
		free(cursor);
		return rc;
	}
	session_advance(&r->worker->server->sessions, s, a->record.seq, cursor, len, r->txn->epoch->own,
			clock_wall_ms());
	txn_tell(r->txn, s->last.epoch);
	return 0;
}

static enum request_result reply_apply(struct request *r, int rc)
{
	switch (rc) {
	case 0: return reply_int(r, 1);
	case -EAGAIN: break;
	case TXN_OVERFLOW: reply_overflow(r); break;
	default: reply_no_memory(r, rc, ""); break;
	}
	return end_binding(r);
}

/* One attempt. TXN_WAIT, or *result. */
static int try_apply(struct request *r, struct apply *a, enum request_result *result)
{
	struct session *s = a->record.session;
	int rc = 0;

	lock_session(r, s);
	if (s->owner != r->peer->client.id) {
		*result = reply_lost(r);
	} else if (a->record.seq <= s->last.seq) {
		/* Nothing need stand before this reply that is held for it: see CLIENT REPLY. */
		txn_tell(r->txn, session_epoch_of(s, a->record.seq));
		*result = reply_int(r, 0);
	} else if (a->record.seq != s->last.seq + 1) {
		*result = reply_gap(r, s, a->record.seq);
	} else {
		rc = apply(r, a);
		if (rc != TXN_WAIT)
			*result = reply_apply(r, rc);
	}
	session_unlock(s);
	return rc == TXN_WAIT ? TXN_WAIT : 0;
}

enum request_result request_shc_apply(struct request *r)
{
	enum request_result result = REQUEST_DONE;
	struct apply a;

	if (is_restored(r))
		return reply_restored(r);
	if (!r->peer->session)
		return reply_error(r, "ERR SHC.APPLY needs a session: SHC.SESSION first");
	if (r->peer->is_session_lost)
		return reply_lost(r);
	if (parse_apply(r, &a))
		return REQUEST_DONE;
	while (try_apply(r, &a, &result) == TXN_WAIT) {
		if (!request_park_for_cells(r, &result))
			continue;
		return result == REQUEST_PARK ? result : end_binding(r);
	}
	return result;
}

/* ---- SHC.ONCE ---- */

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

	if (is_restored(r))
		return reply_restored(r);
	if (parse_once(r, &o))
		return REQUEST_DONE;
	make_room(r);
	while (try_once(r, &o) == TXN_WAIT)
		if (request_park_for_cells(r, &result))
			break;
	once_free(&r->worker->server->tokens, o.token);
	return result;
}
