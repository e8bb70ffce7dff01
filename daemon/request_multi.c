/* SPDX-License-Identifier: MIT */
/*
 * request_multi.c - MULTI, EXEC, DISCARD. EXEC opens the counters of all queued commands at once (one txn,
 * locks in order), runs the handlers on the staged copies, and commits: isolated, and recorded in one epoch.
 */
#include <errno.h>
#include <stdlib.h>

#include "../lib/resp.h"
#include "peer.h"
#include "request_access.h"
#include "server.h"
#include "worker.h"

enum {
	PATTERN_LEN_MAX = 4096,	  /* names have 255 bytes */
	EXEC_STEPS_MAX = 1 << 30, /* some seconds; a pattern of ten bytes and 400 000 names */
};

static void multi_reset(struct peer_multi *m)
{
	free(m->queue);
	free(m->args);
	buf_fini(&m->bytes);
	*m = (struct peer_multi){0};
}

static void show_count(struct peer *p)
{
	int32_t count = p->multi.is_open ? (int32_t)p->multi.count : -1;

	atomic_store_explicit(&p->client.multi_count, count, memory_order_relaxed);
}

enum request_result request_multi(struct request *r)
{
	struct peer *p = r->peer;

	if (p->multi.is_open)
		return reply_error(r, "ERR MULTI calls can not be nested");
	p->multi.is_open = true;
	show_count(p);
	return reply_ok(r);
}

enum request_result request_discard(struct request *r)
{
	if (!r->peer->multi.is_open)
		return reply_error(r, "ERR DISCARD without MULTI");
	multi_reset(&r->peer->multi);
	show_count(r->peer);
	return reply_ok(r);
}

enum request_result request_watch(struct request *r)
{
	if (r->peer->multi.is_open)
		return reply_error(r, "ERR WATCH inside MULTI is not allowed");
	return reply_error(
		r, "ERR WATCH is not supported: transactions here are isolated, but there is no optimistic "
		   "locking; use INCRBY, or MULTI and EXEC alone");
}

/* ---- queueing ---- */

static int queue_add(struct peer_multi *m, const struct command *command, const struct slice *argv,
		     size_t argc)
{
	struct queued *q;

	if (txn_grow(&m->queue, &m->cap, m->count + 1, sizeof(*m->queue)) ||
	    txn_grow(&m->args, &m->arg_cap, m->arg_count + argc, sizeof(*m->args)))
		return -ENOMEM;
	q = &m->queue[m->count];
	*q = (struct queued){.command = command, .argc = argc, .arg_first = m->arg_count};
	for (size_t i = 0; i < argc; i++) {
		m->args[q->arg_first + i] =
			(struct queued_arg){.offset = buf_len(&m->bytes), .len = argv[i].len};
		buf_append(&m->bytes, argv[i].data, argv[i].len);
	}
	if (m->bytes.failed)
		return -ENOMEM;
	m->arg_count += argc;
	m->count++;
	return 0;
}

void request_queue(struct peer *p, const struct command *command, const struct slice *argv, size_t argc)
{
	struct peer_multi *m = &p->multi;
	const char *refusal = NULL;

	if (buf_len(&m->bytes) > RESP_REQUEST_MAX || m->arg_count > RESP_ARGS_MAX)
		refusal = "ERR transaction too large: at most 64 MiB and 1048576 words may be queued";
	else if (queue_add(m, command, argv, argc))
		refusal = "OOM out of memory: the command was not queued";
	if (refusal) {
		m->is_broken = true;
		resp_put_error(&p->out, refusal);
		return;
	}
	show_count(p);
	resp_put_simple(&p->out, "QUEUED");
}

/* ---- what takes long ---- */

bool request_is_pattern(struct request *r, struct slice pattern)
{
	if (pattern.len <= PATTERN_LEN_MAX)
		return true;
	reply_error(r, "ERR a pattern has at most 4096 bytes");
	return false;
}

bool request_may_look(struct request *r, uint64_t steps)
{
	if (!r->is_in_exec)
		return true;
	r->peer->multi.steps += steps;
	return r->peer->multi.steps <= EXEC_STEPS_MAX;
}

int64_t request_output_limit(const struct request *r)
{
	return atomic_load_explicit(&r->worker->server->config->output_limit_bytes, memory_order_relaxed);
}

/* ---- EXEC ---- */

struct execution {
	struct slice *args; /* of all queued commands */
	struct slice *names;
	size_t name_count;
	bool is_writing;
	bool is_too_long; /* what its replies come to */
};

static void execution_fini(struct execution *e)
{
	free(e->args);
	free(e->names);
}

static void collect_names(struct execution *e, const struct queued *q)
{
	long count = command_key_count(q->command, q->argc);

	for (long i = 0; i < count; i++)
		e->names[e->name_count++] =
			e->args[q->arg_first + (size_t)(q->command->key_first + i * q->command->key_step)];
	e->is_writing |= (q->command->flags & COMMAND_WRITE) != 0;
}

/* The words of the queue as slices, and the names among them. */
static int execution_init(struct execution *e, const struct peer_multi *m)
{
	*e = (struct execution){0};
	e->args = reallocarray(NULL, m->arg_count + 1, sizeof(*e->args));
	e->names = reallocarray(NULL, m->arg_count + 1, sizeof(*e->names));
	if (!e->args || !e->names) {
		execution_fini(e);
		return -ENOMEM;
	}
	for (size_t i = 0; i < m->arg_count; i++)
		e->args[i] = (struct slice){.data = buf_head(&m->bytes) + m->args[i].offset,
					    .len = m->args[i].len};
	for (size_t i = 0; i < m->count; i++)
		collect_names(e, &m->queue[i]);
	return 0;
}

static bool has_bad_name(const struct execution *e)
{
	for (size_t i = 0; i < e->name_count; i++)
		if (!slice_is_name(e->names[i]))
			return true;
	return false;
}

static enum request_result run_queued(struct request *r)
{
	enum request_result result;

	if (!r->peer->rights.is_free && !request_may_still(r))
		return REQUEST_DONE;
	result = request_run(r);
	if (r->command->flags & COMMAND_WRITE)
		txn_note_steps(r->txn, r->key_index, (size_t)command_key_count(r->command, r->argc));
	return result;
}

/* Ends early when the replies are longer than a connection may buffer: nothing is committed then. */
static enum request_result run_queue(struct request *exec, struct execution *e)
{
	struct peer_multi *m = &exec->peer->multi;
	enum request_result result = REQUEST_DONE;
	size_t key_index = 0, mark = buf_len(exec->out);

	m->steps = 0;
	resp_put_array(exec->out, m->count);
	for (size_t i = 0; i < m->count && !e->is_too_long; i++) {
		const struct queued *q = &m->queue[i];
		long key_count = command_key_count(q->command, q->argc);
		struct request r = *exec;

		r.command = q->command;
		r.argv = &e->args[q->arg_first];
		r.argc = q->argc;
		r.proto = exec->peer->proto;
		r.is_in_exec = true;
		r.key_index = key_index;
		if (key_count < 0) { /* a name without a value */
			reply_arity(&r);
			continue;
		}
		if (run_queued(&r) == REQUEST_CLOSE)
			result = REQUEST_CLOSE;
		key_index += (size_t)key_count;
		e->is_too_long = (int64_t)(buf_len(exec->out) - mark) > request_output_limit(exec);
	}
	return result;
}

/* Opens, runs, commits; TXN_WAIT: the replies are taken back. */
static int execute(struct request *exec, struct execution *e, enum request_result *result)
{
	unsigned mode = e->is_writing ? TXN_WRITE | TXN_CREATE | TXN_WHOLE : TXN_LOCKED;
	size_t mark = buf_len(exec->out);
	int rc = TXN_OK;

	/* Also without names: FLUSHALL alone is committed here. */
	if (e->name_count || e->is_writing)
		rc = txn_open(exec->txn, e->names, e->name_count, mode);
	if (rc)
		return rc;
	*result = run_queue(exec, e);
	if (e->is_too_long)
		txn_abort(exec->txn);
	else if (e->name_count || e->is_writing)
		rc = txn_commit(exec->txn);
	if (rc || e->is_too_long)
		exec->out->tail = exec->out->head + mark;
	return rc;
}

/* True: parked. */
static bool execute_until_done(struct request *exec, struct execution *e, enum request_result *result)
{
	int rc;

	do {
		rc = execute(exec, e, result);
		if (rc == TXN_WAIT && request_park_for_cells(exec, result))
			return *result == REQUEST_PARK;
	} while (rc == TXN_WAIT);
	if (rc)
		reply_no_memory(exec, rc, "EXECABORT Transaction discarded: ");
	else if (e->is_too_long)
		reply_error(exec,
			    "EXECABORT Transaction discarded: its replies are longer than a connection may "
			    "buffer (output-limit)");
	return false;
}

enum request_result request_exec_refused(struct request *r, const char *why)
{
	multi_reset(&r->peer->multi);
	show_count(r->peer);
	resp_put_errorf(r->out, "EXECABORT Transaction discarded because of: %s", why);
	return REQUEST_DONE;
}

enum request_result request_exec(struct request *r)
{
	struct peer *p = r->peer;
	enum request_result result = REQUEST_DONE;
	struct execution e;
	bool is_parked = false;

	if (!p->multi.is_open)
		return reply_error(r, "ERR EXEC without MULTI");
	if (p->multi.is_broken) {
		reply_error(r, "EXECABORT Transaction discarded because of previous errors.");
	} else if (execution_init(&e, &p->multi)) {
		reply_error(r, "EXECABORT Transaction discarded: out of memory");
	} else {
		if (has_bad_name(&e))
			reply_error(r, "EXECABORT Transaction discarded: invalid counter name: 1 to 255 "
				       "bytes without "
				       "control characters");
		else if (e.is_writing && request_wait_for_audit(r))
			is_parked = true;
		else if (!e.is_writing || !request_refuse_stuck(r))
			is_parked = execute_until_done(r, &e, &result);
		execution_fini(&e);
	}
	if (is_parked)
		return REQUEST_PARK;
	stat_add(&r->worker->stats.transactions, 1);
	multi_reset(&p->multi);
	show_count(p);
	return result;
}

void request_multi_reset(struct peer *p)
{
	multi_reset(&p->multi);
	show_count(p);
}
