/* SPDX-License-Identifier: MIT */
/*
 * bench_server.c - a thread of a load generator over its connections to one server: a poll(2) loop in which
 * each reply is followed by the next request on the same connection.
 *
 * The handles' connections are used directly, past the calls of shcount.h: those wait.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/conn.h"
#include "../lib/resp.h"
#include "../lib/shcount_impl.h"
#include "bench.h"

enum { BEAT_MS = 100 /* how often silence and the end are looked for, when nothing comes */ };

/* A connection. */
struct lane {
	struct wire *wire;
	int64_t *sent_ns; /* of the unanswered requests: a ring of as many as the pipeline is long */
	unsigned oldest, unanswered;
	int64_t heard_ns; /* since then the server has let us wait */
	bool is_lost;
};

struct loop {
	struct bench_worker *worker;
	struct lane *lanes;
	struct pollfd *polls;
	int64_t *ring;	      /* of all lanes */
	struct buf request;   /* all are the same, but for the digits, */
	size_t digits_offset; /* which stand here */
	unsigned unanswered;  /* of all lanes */
	int64_t looked_ns;    /* for silence */
};

/* ---- requests ---- */

static bool make_request(struct loop *l)
{
	const struct bench_plan *plan = l->worker->run->plan;
	char name[BENCH_NAME_SIZE];
	bench_name(plan, 0, name);
	const char *verb = plan->kind == BENCH_GET    ? "GET"
			   : plan->kind == BENCH_INCR ? "INCR"
			   : plan->is_redis	      ? "INCRBY"
						      : "SHC.ADD";
	const struct slice argv[] = {slice_str(verb), slice_str(name), slice_str("1")};
	bool has_delta = plan->kind == BENCH_ADD;
	resp_put_request(&l->request, has_delta ? 3 : 2, argv);
	size_t behind = sizeof("\r\n") - 1 + (has_delta ? sizeof("$1\r\n1\r\n") - 1 : 0);
	l->digits_offset = buf_len(&l->request) - behind - BENCH_DIGITS;
	return !l->request.failed;
}

/* Puts as many as there is room for. */
static void put_requests(struct loop *l, struct lane *lane, int64_t now_ns)
{
	unsigned window = l->worker->run->plan->pipeline;
	size_t size = buf_len(&l->request);
	if (lane->unanswered == 0)
		lane->heard_ns = now_ns;
	while (lane->unanswered < window) {
		char *to = buf_reserve(&lane->wire->out, size);
		if (!to || !bench_take(l->worker, now_ns))
			break;
		memcpy(to, buf_head(&l->request), size);
		bench_put_digits(to + l->digits_offset, bench_next_key(l->worker));
		buf_commit(&lane->wire->out, size);
		lane->sent_ns[(lane->oldest + lane->unanswered) % window] = now_ns;
		lane->unanswered++;
		l->unanswered++;
	}
}

/* ---- replies ---- */

static bool is_expected(const struct bench_plan *plan, const struct resp_reply *reply)
{
	if (plan->kind == BENCH_GET)
		return reply->type == RESP_BULK || reply->type == RESP_NULL;
	if (plan->kind == BENCH_ADD && !plan->is_redis)
		return reply->type == RESP_SIMPLE;
	return reply->type == RESP_INT;
}

/* The connection is of no use any more. What of the requests is still here has surely not been executed. */
static void lose(struct loop *l, struct lane *lane, const char *why)
{
	struct bench_worker *w = l->worker;
	uint64_t unsent = buf_len(&lane->wire->out) / buf_len(&l->request);
	unsent = unsent < lane->unanswered ? unsent : lane->unanswered;
	bench_lost(w, lane->unanswered - unsent, bench_is_write(w->run->plan), why);
	bench_lost(w, unsent, false, why);
	l->unanswered -= lane->unanswered;
	lane->unanswered = 0;
	lane->is_lost = true;
	wire_drop(lane->wire);
	bench_stop(w);
}

static void lose_by(struct loop *l, struct lane *lane, int rc)
{
	wire_say_lost(lane->wire, rc);
	lose(l, lane, lane->wire->error);
}

static void take_reply(struct loop *l, struct lane *lane, const struct resp_reply *reply)
{
	struct bench_worker *w = l->worker;
	if (lane->unanswered == 0 || (reply->type != RESP_ERROR && !is_expected(w->run->plan, reply))) {
		lose(l, lane, "the answer is of a kind that this command does not have");
		return;
	}
	int64_t now_ns = conn_now_ns();
	if (reply->type == RESP_ERROR)
		bench_refused(w, shcount_classify(reply->str) == SHC_DENIED, reply->str);
	else
		bench_answered(w, lane->sent_ns[lane->oldest], now_ns);
	lane->oldest = (lane->oldest + 1) % w->run->plan->pipeline;
	lane->unanswered--;
	l->unanswered--;
	lane->heard_ns = now_ns;
}

/* ---- a connection's turn ---- */

static void send_some(struct loop *l, struct lane *lane)
{
	struct buf *out = &lane->wire->out;
	while (!lane->is_lost && buf_len(out) > 0) {
		ssize_t n = conn_send_some(&lane->wire->conn, buf_head(out), buf_len(out));
		if (n == -EAGAIN)
			return;
		if (n < 0)
			lose_by(l, lane, (int)n);
		else
			buf_consume(out, (size_t)n);
	}
}

static void serve(struct loop *l, struct lane *lane)
{
	const struct resp_reply *reply;
	int rc = RESP_DONE;
	while (lane->unanswered > 0 && (rc = wire_try_next(lane->wire, false, &reply)) == RESP_DONE)
		take_reply(l, lane, reply);
	if (rc == RESP_BAD)
		lose(l, lane, lane->wire->reader.error);
	else if (rc < 0 && rc != -EAGAIN)
		lose_by(l, lane, rc);
	if (!lane->is_lost)
		put_requests(l, lane, conn_now_ns());
	send_some(l, lane);
}

static void look_at_silence(struct loop *l)
{
	int64_t now_ns = conn_now_ns();
	if (now_ns - l->looked_ns < (int64_t)BEAT_MS * 1000000)
		return;
	l->looked_ns = now_ns;
	for (unsigned i = 0; i < l->worker->handles_count; i++) {
		struct lane *lane = &l->lanes[i];
		if (lane->unanswered > 0 && now_ns - lane->heard_ns > l->worker->run->plan->timeout_ns)
			lose_by(l, lane, -ETIMEDOUT);
	}
}

/* ---- the loop ---- */

/* Sleeps until one that waits has something to do. */
static void sleep_in_poll(struct loop *l)
{
	int timeout_ms = BEAT_MS;
	for (unsigned i = 0; i < l->worker->handles_count; i++) {
		const struct lane *lane = &l->lanes[i];
		const struct conn *conn = &lane->wire->conn;
		l->polls[i] = (struct pollfd){.fd = -1};
		if (lane->unanswered == 0)
			continue;
		l->polls[i].fd = conn->fd;
		l->polls[i].events = conn_events(conn, buf_len(&lane->wire->out) > 0);
		if (conn_has_input(conn))
			timeout_ms = 0;
	}
	if (poll(l->polls, l->worker->handles_count, timeout_ms) < 0)
		for (unsigned i = 0; i < l->worker->handles_count; i++)
			l->polls[i].revents = 0;
}

static void run(struct loop *l)
{
	unsigned count = l->worker->handles_count;
	for (unsigned i = 0; i < count; i++)
		serve(l, &l->lanes[i]);
	while (l->unanswered > 0) {
		sleep_in_poll(l);
		look_at_silence(l);
		for (unsigned i = 0; i < count; i++) {
			struct lane *lane = &l->lanes[i];
			if (lane->unanswered > 0 &&
			    (l->polls[i].revents || conn_has_input(&lane->wire->conn)))
				serve(l, lane);
		}
	}
}

static bool prepare(struct loop *l)
{
	unsigned count = l->worker->handles_count, window = l->worker->run->plan->pipeline;
	l->lanes = calloc(count, sizeof(*l->lanes));
	l->polls = calloc(count, sizeof(*l->polls));
	l->ring = calloc((size_t)count * window, sizeof(*l->ring));
	if (!l->lanes || !l->polls || !l->ring || !make_request(l))
		return false;
	for (unsigned i = 0; i < count; i++)
		l->lanes[i] = (struct lane){.wire = &l->worker->handles[i]->wire,
					    .sent_ns = l->ring + (size_t)i * window};
	return true;
}

void bench_server_loop(struct bench_worker *w)
{
	struct loop l = {.worker = w};
	if (prepare(&l)) {
		run(&l);
	} else {
		bench_lost(w, 0, false, "out of memory");
		bench_stop(w);
	}
	free(l.lanes);
	free(l.polls);
	free(l.ring);
	buf_fini(&l.request);
}
