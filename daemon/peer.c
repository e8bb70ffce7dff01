/* SPDX-License-Identifier: MIT */
/* peer.c - see peer.h. Entered by the worker that owns the peer. */
#include "peer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/log.h"
#include "peer_access.h"
#include "peer_limit.h"
#include "peer_memory.h"
#include "request_access.h"
#include "request_quick.h"
#include "server.h"
#include "worker.h"

enum {
	SEND_BYTES_MAX = 64 << 10,     /* a send: so that a slow reader who does read shows progress */
	STRANGER_BYTES_MAX = 16 << 10, /* of a request that is not whole, before AUTH; of a word in Redis */
	PARKED_INPUT_MAX = 256 << 10,  /* bytes taken in behind a parked request before reading stops */
};

struct peer *peer_new(struct worker *w, int fd, struct client_address *address, struct source *source)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (!p) {
		close(fd);
		return NULL;
	}
	p->worker = w;
	p->source = source;
	p->proto = 2;
	p->progress_ms = w->now_ms;
	p->client.worker = w->index;
	p->client.fd = fd;
	p->client.since_ms = w->now_ms;
	p->client.address = *address;
	atomic_init(&p->client.active_ms, w->now_ms);
	atomic_init(&p->client.multi_count, -1);
	atomic_init(&p->client.proto, 2);
	resp_parser_init(&p->parser);
	if (peer_resolve(p) || io_conn_start(w->io, &p->io, fd)) {
		close(fd);
		rights_fini(&p->rights);
		resp_parser_fini(&p->parser);
		free(p);
		return NULL;
	}
	client_add(&w->server->clients, &p->client);
	return p;
}

static void stop_waiting(struct peer *p)
{
	TAILQ_REMOVE(&p->worker->waiting, p, waiting);
	p->wait.kind = WAIT_NONE;
	atomic_fetch_sub_explicit(&p->worker->stats.waiting, 1, memory_order_relaxed);
}

struct peer *peer_free(struct peer *p)
{
	struct worker *w = p->worker;

	peer_limit_leave(p);
	if (p->wait.kind != WAIT_NONE)
		stop_waiting(p);
	if (p->is_in_flush)
		TAILQ_REMOVE(&w->flushing, p, flush);
	if (p->is_in_held)
		TAILQ_REMOVE(&w->held, p, held);
	request_session_end(p);
	backup_drop(&w->server->backup, p->client.id);
	audit_reader_drop(&w->server->audit_reader, p->question);
	if (p->uplink_question)
		uplink_drop(&w->server->uplink->asks, p->uplink_question);
	peer_memory_forget(p);
	client_remove(&w->server->clients, &p->client);
	request_multi_reset(p);
	rights_fini(&p->rights);
	resp_parser_fini(&p->parser);
	buf_fini(&p->in);
	buf_fini(&p->out);
	buf_fini(&p->sending);
	buf_fini(&p->keys_body);
	free(p);
	return NULL;
}

/* ---- closing ---- */

static void close_now(struct peer *p)
{
	p->is_closing = true;
	if (p->is_closed)
		return;
	p->is_closed = true;
	peer_memory_forget(p); /* not the next one, too, for what is on its way back */
	io_conn_close(p->worker->io, &p->io);
}

static void out_of_memory(struct peer *p, const char *of_what)
{
	log_warning("client %" PRIu64 ": out of memory for its %s: connection closed", p->client.id, of_what);
	close_now(p);
}

void peer_close(struct peer *p, bool is_polite)
{
	p->is_closing = true;
	if (!is_polite || peer_unsent(p) == 0)
		close_now(p);
	else
		io_recv_pause(p->worker->io, &p->io);
}

/* ---- output ---- */

static size_t free_bytes(const struct peer *p)
{
	return hold_free_bytes(&p->hold, buf_len(&p->out));
}

static void want_flush(struct peer *p)
{
	if (p->is_in_flush || p->is_closed || free_bytes(p) == 0)
		return;
	p->is_in_flush = true;
	TAILQ_INSERT_TAIL(&p->worker->flushing, p, flush);
}

/* Quietly when nothing waits for its end: no wake-up only to hear that all is well, one system call a round
 * trip. Only at the end of a turn: what is put into `out` after a quiet send would wait for the next event.
 */
static void send_chunk(struct peer *p, bool is_end_of_turn)
{
	struct io *io = p->worker->io;
	size_t len = buf_len(&p->sending);
	bool is_last = len <= SEND_BYTES_MAX && buf_len(&p->out) == 0;

	if (!is_last || !is_end_of_turn || p->is_closing || p->is_eof || p->is_paused)
		io_send(io, &p->io, buf_head(&p->sending), len < SEND_BYTES_MAX ? len : SEND_BYTES_MAX);
	else
		io_send_quiet(io, &p->io, buf_head(&p->sending), len);
}

/* From `out` to `sending`, which is empty: all of it, or what is not held. */
static void take_free(struct peer *p, size_t len)
{
	struct buf empty = p->sending;

	if (len == buf_len(&p->out)) {
		p->sending = p->out;
		p->out = empty;
		return;
	}
	buf_append(&p->sending, buf_head(&p->out), len);
	buf_consume(&p->out, len);
	hold_shift(&p->hold, len);
}

void peer_flush(struct peer *p)
{
	size_t len = free_bytes(p);

	if (p->is_in_flush)
		TAILQ_REMOVE(&p->worker->flushing, p, flush);
	p->is_in_flush = false;
	if (p->is_closed || io_is_sending(&p->io) || len == 0)
		return;
	take_free(p, len);
	if (p->sending.failed) {
		out_of_memory(p, "replies");
		return;
	}
	p->progress_ms = p->worker->now_ms;
	p->worker->sending_count++;
	send_chunk(p, true);
}

void peer_hold(struct peer *p, uint64_t epoch, size_t start)
{
	struct worker *w = p->worker;
	uint64_t durable = epoch_durable(&w->server->clock);

	if (epoch <= durable)
		return;
	hold_add(&p->hold, epoch, start, durable);
	if (!p->is_in_held)
		TAILQ_INSERT_TAIL(&w->held, p, held);
	p->is_in_held = true;
	if (w->want_epoch < epoch)
		w->want_epoch = epoch;
}

static int64_t output_limit(const struct peer *p)
{
	return atomic_load_explicit(&p->worker->server->config->output_limit_bytes, memory_order_relaxed);
}

static bool is_throttled(const struct peer *p)
{
	return (int64_t)peer_unsent(p) > output_limit(p) / 2;
}

/* After requests were executed: true when the connection cannot go on. */
static bool check_output(struct peer *p)
{
	if (p->out.failed) {
		out_of_memory(p, "replies");
		return true;
	}
	if ((int64_t)peer_unsent(p) <= output_limit(p))
		return false;
	log_warning("client %" PRIu64 ": more than output-limit (%" PRId64
		    " bytes) of replies unread: connection closed",
		    p->client.id, output_limit(p));
	close_now(p);
	return true;
}

static void show_buffers(struct peer *p)
{
	size_t in = buf_len(&p->in), out = peer_unsent(p);

	atomic_store_explicit(&p->client.input_bytes, in, memory_order_relaxed);
	atomic_store_explicit(&p->client.output_bytes, out, memory_order_relaxed);
	if (p->memory_bytes ||
	    in + out + buf_len(&p->multi.bytes) + buf_len(&p->keys_body) > PEER_MEMORY_FREE / 2)
		peer_memory_look(p);
}

/* ---- input ---- */

static enum request_result execute(struct peer *p, const struct batch_item *item)
{
	struct worker *w = p->worker;
	enum request_result result;

	if (item->argc == 0)
		return REQUEST_DONE;
	epoch_look(&w->slot);
	if (item->has_name)
		txn_hint(&w->txn, item->argv[1], item->hash);
	/* One that has waited is executed again, and is one all the same. */
	stat_add(&w->stats.requests, !p->wait.is_resumed);
	result = request_execute(p, item->command, item->argv, item->argc);
	txn_hint(&w->txn, (struct slice){0}, 0);
	return result;
}

/* Only what he may do goes the short way, which asks nobody. */
static void forget_forbidden(struct peer *p, struct batch *b)
{
	for (size_t i = 0; i < b->count; i++) {
		struct batch_item *item = &b->items[i];

		if (item->guess && !request_may_quickly(p, item->command, item->argv[1]))
			item->guess = NULL;
	}
}

/* Parses the next batch. */
static void parse(struct peer *p, const char *data, size_t len, int *outcome)
{
	struct worker *w = p->worker;

	if (p->has_stale_parser) {
		resp_parser_fini(&p->parser);
		resp_parser_init(&p->parser);
		p->has_stale_parser = false;
	}
	batch_parse(&w->batch, &p->parser, data, len, outcome);
	epoch_look(&w->slot);
	batch_look_ahead(&w->batch, &w->txn);
	if (!p->rights.is_free)
		forget_forbidden(p, &w->batch);
}

/* Executes the batch, until one parks, closes, or replies pile up. *done grows by the bytes used up. */
static enum request_result execute_batch(struct peer *p, size_t *done)
{
	struct worker *w = p->worker;
	uint64_t epoch = w->slot.own;
	int64_t unsent_max = output_limit(p) / 2; /* as is_throttled */
	size_t i = 0, n;

	for (; i < w->batch.count && (int64_t)peer_unsent(p) <= unsent_max; i += n) {
		const struct batch_item *item = &w->batch.items[i];
		enum request_result result;

		/* A worker that has sealed holds no guess. */
		n = w->slot.own == epoch ? request_quick(p, item, w->batch.count - i) : 0;
		if (n == 0) {
			result = execute(p, item);
			if (result != REQUEST_DONE)
				return result;
			n = 1;
		}
		if (p->wait.is_resumed)
			p->wait = (struct peer_wait){0};
		for (size_t k = 0; k < n; k++)
			*done += item[k].size_bytes;
	}
	/* Large replies: the rest of the batch is parsed again when these are taken. */
	if (i < w->batch.count)
		p->has_stale_parser = true;
	return REQUEST_DONE;
}

/* Executes requests at data[0..len) until the bytes end, one parks, replies pile up, or its budget is used
 * up. Returns how many bytes were used up. */
static size_t process(struct peer *p, const char *data, size_t len)
{
	enum request_result result;
	int outcome = RESP_DONE;
	size_t done = 0;

	if (p->out.cap == 0 && !p->out.failed)
		p->out = worker_take_spare(p->worker);
	/* Of a batch that was cut the rest is parsed again. */
	while ((outcome == RESP_DONE || p->has_stale_parser) && done < len && !is_throttled(p)) {
		if (p->is_limited && !peer_limit_may(p)) {
			peer_limit_hold(p);
			return done;
		}
		parse(p, data + done, len - done, &outcome);
		if (p->is_limited)
			peer_limit_begin(p, done);
		result = execute_batch(p, &done);
		if (p->worker->use.account)
			peer_limit_end(p, done);
		switch (result) {
		case REQUEST_DONE: break;
		case REQUEST_PARK: p->has_stale_parser = true; return done;
		case REQUEST_CLOSE: peer_close(p, true); return len;
		}
	}
	if (p->has_stale_parser)
		return done;
	if (outcome == RESP_BAD || outcome < 0) {
		resp_put_errorf(&p->out, "ERR %s", outcome < 0 ? "out of memory" : p->parser.error);
		stat_add(&p->worker->stats.errors, 1);
		peer_close(p, true);
		return len;
	}
	return done;
}

static void pause_reading(struct peer *p, bool is_paused)
{
	if (p->is_paused == is_paused || p->is_closing)
		return;
	p->is_paused = is_paused;
	if (is_paused) {
		stat_add(&p->worker->stats.throttled, p->wait.kind != WAIT_BUDGET);
		io_recv_pause(p->worker->io, &p->io);
	} else {
		io_recv_resume(p->worker->io, &p->io);
	}
}

/* Nothing keeps it from being read, and nothing was read behind a request that waits. */
static inline bool is_flowing(const struct peer *p)
{
	return p->wait.kind == WAIT_NONE && !p->is_paused && !p->is_closing && !p->is_eof && !p->out.failed &&
	       !is_throttled(p);
}

/* After processing: send, read on or not, end. */
static void settle(struct peer *p)
{
	bool is_held;

	want_flush(p);
	/* One that has failed must be seen by check_output. */
	if (p->out.cap && buf_len(&p->out) == 0 && !p->out.failed)
		worker_give_spare(p->worker, &p->out);
	show_buffers(p);
	if (is_flowing(p))
		return;
	if (check_output(p) || p->is_closing)
		return;
	is_held = p->wait.kind != WAIT_NONE || is_throttled(p);
	pause_reading(p, is_throttled(p) || p->wait.kind == WAIT_BUDGET ||
				 (is_held && buf_len(&p->in) > PARKED_INPUT_MAX));
	if (p->is_eof && !is_held)
		peer_close(p, true);
}

static void process_in(struct peer *p)
{
	size_t done;

	if (p->is_closing || buf_len(&p->in) == 0)
		return;
	done = process(p, buf_head(&p->in), buf_len(&p->in));
	buf_consume(&p->in, done);
	buf_shrink(&p->in, 0);
}

/* In Redis's words. What a log-in takes is short. */
static void refuse_stranger(struct peer *p)
{
	resp_put_error(&p->out, "ERR Protocol error: unauthenticated bulk length");
	stat_add(&p->worker->stats.errors, 1);
	peer_close(p, true);
}

void peer_on_recv(struct peer *p, const char *data, size_t len)
{
	stat_add(&p->worker->stats.bytes_in, len);
	if (p->is_closing)
		return;
	atomic_store_explicit(&p->client.active_ms, p->worker->now_ms, memory_order_relaxed);
	if (buf_len(&p->in) == 0 && p->wait.kind == WAIT_NONE) {
		size_t done = process(p, data, len);

		buf_append(&p->in, data + done, len - done);
	} else {
		buf_append(&p->in, data, len);
		if (p->wait.kind == WAIT_NONE && !is_throttled(p))
			process_in(p);
	}
	if (p->in.failed) {
		out_of_memory(p, "requests");
		return;
	}
	/* One request, not many that wait until there is room for their replies. */
	if (buf_len(&p->in) > STRANGER_BYTES_MAX && p->wait.kind == WAIT_NONE && !is_throttled(p) &&
	    peer_is_nobody(p))
		refuse_stranger(p);
	settle(p);
}

/* Nothing comes from it any more, and what it should get waits for a disk that may stay full. */
static bool close_if_stuck(struct peer *p)
{
	bool is_waiting = peer_is_parked(p) || !hold_is_empty(&p->hold);

	if (!p->is_eof || !is_waiting || !commit_is_stuck(&p->worker->server->commit))
		return false;
	close_now(p);
	return true;
}

void peer_on_eof(struct peer *p)
{
	p->is_eof = true;
	/* Half a close still gets its replies, but nobody waits for time to pass. */
	if (!p->is_closing && p->wait.kind == WAIT_TIME)
		close_now(p);
	else if (!close_if_stuck(p) && !p->is_closing)
		settle(p);
}

void peer_release(struct peer *p, uint64_t durable)
{
	hold_release(&p->hold, durable);
	if (p->is_in_held && hold_is_empty(&p->hold)) {
		TAILQ_REMOVE(&p->worker->held, p, held);
		p->is_in_held = false;
	}
	want_flush(p);
	(void)close_if_stuck(p);
}

void peer_on_failed(struct peer *p, int error)
{
	if (error != ECONNRESET && error != EPIPE)
		log_warning("client %" PRIu64 ": %s: connection closed", p->client.id, strerror(error));
	close_now(p);
}

void peer_on_sent(struct peer *p)
{
	struct worker *w = p->worker;
	size_t len = buf_len(&p->sending);

	len = len < SEND_BYTES_MAX ? len : SEND_BYTES_MAX;
	stat_add(&w->stats.bytes_out, len);
	buf_consume(&p->sending, len);
	p->progress_ms = w->now_ms;
	if (p->is_closed)
		return;
	if (buf_len(&p->sending)) {
		send_chunk(p, false);
	} else {
		w->sending_count--;
		worker_give_spare(w, &p->sending);
		want_flush(p);
	}
	if (p->is_closing) {
		if (peer_unsent(p) == 0)
			close_now(p);
		return;
	}
	if (!is_throttled(p) && p->wait.kind == WAIT_NONE)
		process_in(p);
	settle(p);
}

/* ---- waiting ---- */

enum request_result peer_park(struct peer *p, enum peer_wait_kind kind, uint64_t target, int64_t timeout_ms)
{
	struct worker *w = p->worker;
	int64_t deadline_ms = p->wait.deadline_ms;

	if (timeout_ms == -1)
		deadline_ms = -1;
	else if (timeout_ms >= 0)
		deadline_ms = timeout_ms > INT64_MAX - w->now_ms ? -1 : w->now_ms + timeout_ms;
	p->wait = (struct peer_wait){
		.kind = kind,
		.target = target,
		.deadline_ms = deadline_ms,
		.refusals = atomic_load(&w->server->commit.refusals),
	};
	TAILQ_INSERT_TAIL(&w->waiting, p, waiting);
	atomic_fetch_add_explicit(&w->stats.waiting, 1, memory_order_relaxed);
	stat_add(&w->stats.parked, 1);
	return REQUEST_PARK;
}

void peer_resume(struct peer *p, bool is_timed_out)
{
	stop_waiting(p);
	p->wait.is_resumed = true;
	p->wait.is_timed_out = is_timed_out;
	peer_go_on(p);
}

void peer_go_on(struct peer *p)
{
	process_in(p);
	if (!p->is_closed)
		settle(p);
}
