/* SPDX-License-Identifier: MIT */
/*
 * request_session.c - SHC.SESSION and SHC.APPLY: batches that are applied once, in order. Knows sessions as
 * well as counters: it takes the lock of the one before those of the others, and has both recorded as one
 * (txn_ride).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

static int64_t ttl_ms_of(const struct request *r)
{
	return atomic_load_explicit(&r->worker->server->config->session_ttl_ms, memory_order_relaxed);
}

/* In commit mode the reply leaves when all of it is durable. */
static uint64_t told_stored_seq(const struct request *r, const struct session *s)
{
	return r->worker->is_holding ? s->last.seq : session_stored_seq(s, durable_of(r));
}

bool request_refuse_restored(struct request *r)
{
	const struct uplink *u = r->worker->server->uplink;

	if (!u || !atomic_load_explicit(&u->is_restored, memory_order_relaxed))
		return false;
	reply_error(r, "SESSIONRESTORED this state is a copy of an older one: see shcount uplink status; "
		       "shcount uplink accept allows sessions and tokens again");
	return true;
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
	int64_t ttl_ms = ttl_ms_of(r);

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
	session_expire(t, clock_wall_ms() - ttl_ms_of(r), durable_of(r));
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

	if (request_refuse_restored(r))
		return REQUEST_DONE;
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

	if (request_refuse_restored(r))
		return REQUEST_DONE;
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
