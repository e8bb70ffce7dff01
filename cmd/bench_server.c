/* SPDX-License-Identifier: MIT */
/*
 * bench_server.c - a thread of a load generator over its connections to one server: an epoll(7) loop. A
 * connection has a pipeline of requests under way, sent at once, or nothing.
 *
 * Without a rate the loop is closed: the last reply is followed by the next pipeline. At a rate the thread
 * has a schedule: pipelines are due at even times, one connection after the other, whatever the server does.
 * One whose connection is still busy waits for it, and its latency counts from when it was due: a server that
 * stops for a while is charged with all that a world outside would have sent meanwhile, not with one slow
 * request.
 *
 * What a request costs here the server lacks, on a machine that they share: hence batches that are made in
 * advance, one for all connections of a thread; one send for each; no timestamp for each reply. The
 * connections are used directly, past the calls of shcount.h: those wait.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "../lib/conn.h"
#include "bench_batch.h"
#include "bench_reply.h"

enum {
	BEAT_NS = 100000000,
	EVENTS = 256,
	IN_BYTES = 2 * REPLY_BYTES_MAX,
	GRACE_NS = 10000000, /* what was due before the end and is not later than this is still sent */
	NS_PER_S = 1000000000,
};

#define FOREVER_NS 1e18 /* 30 years */

/* A connection. */
struct lane {
	struct bench_link *link;
	unsigned waiting; /* replies that have not come */
	int64_t begun_ns; /* when the requests were sent, or should have been */
	int64_t heard_ns; /* since then the server has let us wait */
	int64_t last;	  /* the value of the last reply, where there is one counter */
	uint64_t turn;	  /* at a rate: which of the thread's pipelines is its next one */
	struct buf out;	  /* of the requests, what the kernel has not taken */
	struct buf in;	  /* of the replies, one that is not whole */
	bool has_heard;	  /* something came from the server */
	bool is_lost;
};

struct loop {
	struct bench_worker *worker;
	struct lane *lanes;
	unsigned busy; /* lanes that wait for replies */
	int poll_fd;
	int beat_fd; /* a timer: silence and the end are looked for */
	struct bench_batch batch;
	enum reply_kind kind;
	bool must_rise;	    /* every value is greater than the one before */
	char *in;	    /* IN_BYTES: what is received, of whichever lane */
	double interval_ns; /* at a rate: from one pipeline to the next; else 0 */
	uint64_t turn;	    /* at a rate: the first pipeline that is not due yet */
	bool is_over;	    /* nothing more is sent */
};

static enum reply_kind kind_of_reply(const struct bench_plan *plan)
{
	static const enum reply_kind memcached[] = {
		[BENCH_INCR] = REPLY_DECIMAL, [BENCH_ADD] = REPLY_HD, [BENCH_GET] = REPLY_VALUE};
	if (plan->memcached)
		return memcached[plan->kind];
	if (plan->kind == BENCH_GET)
		return REPLY_BULK;
	return plan->kind == BENCH_ADD && !plan->is_redis ? REPLY_OK : REPLY_INT;
}

/* ---- a connection that fails ---- */

/* It is of no use any more. What of the requests is still here has surely not been executed. */
static void lose(struct loop *l, struct lane *lane, const char *why)
{
	struct bench_worker *w = l->worker;
	unsigned unsent = (unsigned)(buf_len(&lane->out) / l->batch.size);
	unsent = unsent < lane->waiting ? unsent : lane->waiting;
	bench_lost(w, lane->waiting - unsent, bench_is_write(w->run->plan), why);
	bench_lost(w, unsent, false, why);
	l->busy -= lane->waiting > 0;
	lane->waiting = 0;
	lane->is_lost = true;
	if (lane->link->shc)
		wire_drop(&lane->link->shc->wire);
	else
		conn_close(&lane->link->own);
	l->is_over = true;
	bench_stop(w);
}

static void lose_wrong(struct loop *l, struct lane *lane, const char *how)
{
	bench_wrong(l->worker, how);
	lose(l, lane, how);
}

static void lose_memcached(struct loop *l, struct lane *lane, int rc)
{
	bool is_closed = rc == -ECONNRESET || rc == -EPIPE;
	char why[BENCH_WHY_SIZE];
	snprintf(why, sizeof(why), "memcached at %.200s: %s", l->worker->run->plan->memcached,
		 is_closed	    ? "the server closed the connection without an answer"
		 : rc == -ETIMEDOUT ? "no answer in time"
				    : strerror(-rc));
	lose(l, lane, why);
}

/* rc: -errno. */
static void lose_by(struct loop *l, struct lane *lane, int rc)
{
	if (!lane->link->shc) {
		lose_memcached(l, lane, rc);
		return;
	}
	struct wire *wire = &lane->link->shc->wire;
	wire->has_heard |= lane->has_heard; /* what we receive goes past it */
	wire_say_lost(wire, rc);
	lose(l, lane, wire->error);
}

/* ---- requests ---- */

static void watch_for(struct loop *l, struct lane *lane, int operation, bool wants_send)
{
	struct conn *conn = bench_link_conn(lane->link);
	struct epoll_event event = {.data.ptr = lane};
	event.events = (uint32_t)conn_events(conn, wants_send); /* EPOLLIN is POLLIN, and so on */
	if (epoll_ctl(l->poll_fd, operation, conn->fd, &event))
		lose_by(l, lane, -errno);
}

/* What is left of a batch that the kernel did not take at once. */
static void send_rest(struct loop *l, struct lane *lane)
{
	struct buf *out = &lane->out;
	while (!lane->is_lost && buf_len(out) > 0) {
		ssize_t n = conn_send_some(bench_link_conn(lane->link), buf_head(out), buf_len(out));
		if (n == -EAGAIN)
			break;
		if (n < 0)
			lose_by(l, lane, (int)n);
		else
			buf_consume(out, (size_t)n);
	}
	if (!lane->is_lost)
		watch_for(l, lane, EPOLL_CTL_MOD, buf_len(out) > 0);
}

static void send_batch(struct loop *l, struct lane *lane, unsigned count)
{
	const char *data = l->batch.data;
	size_t len = count * l->batch.size;
	bench_batch_fill(&l->batch, &l->worker->keys, count);
	ssize_t n = conn_send_some(bench_link_conn(lane->link), data, len);
	if (n == (ssize_t)len)
		return;
	if (n < 0 && n != -EAGAIN) {
		lose_by(l, lane, (int)n);
		return;
	}
	size_t taken = n > 0 ? (size_t)n : 0;
	buf_append(&lane->out, data + taken, len - taken);
	if (lane->out.failed)
		lose(l, lane, "out of memory");
	else
		send_rest(l, lane);
}

static int64_t due_ns(const struct loop *l, uint64_t turn)
{
	return l->worker->run->window.begin_ns +
	       (int64_t)(((double)turn + l->worker->phase) * l->interval_ns);
}

/* The next requests on a lane that waits for nothing, if there are to be any; at a rate they are due. */
static void begin_batch(struct loop *l, struct lane *lane, int64_t now_ns)
{
	int64_t begun_ns = l->interval_ns > 0 ? due_ns(l, lane->turn) : now_ns, late_ns = now_ns - begun_ns;
	int64_t counts_as_ns = now_ns - (late_ns < GRACE_NS ? late_ns : GRACE_NS);
	unsigned count = l->is_over ? 0 : bench_take(l->worker, counts_as_ns, l->worker->run->plan->pipeline);
	if (count == 0) {
		l->is_over = true;
		return;
	}
	lane->waiting = count;
	l->busy++;
	lane->heard_ns = now_ns;
	lane->begun_ns = begun_ns;
	lane->turn += l->worker->links_count;
	send_batch(l, lane, count);
}

/* What has become due: those lanes begin that are not busy, the others when they have come to the end. */
static void keep_schedule(struct loop *l, int64_t now_ns)
{
	for (; !l->is_over && due_ns(l, l->turn) <= now_ns; l->turn++) {
		struct lane *lane = &l->lanes[l->turn % l->worker->links_count];
		histogram_add(&l->worker->tally.late_ns, (uint64_t)(now_ns - due_ns(l, l->turn)), 1);
		if (lane->waiting == 0)
			begin_batch(l, lane, now_ns);
	}
}

/* When it is over, whether or not all that was due could be sent. */
static int64_t schedule_end_ns(const struct loop *l)
{
	const struct bench_plan *plan = l->worker->run->plan;
	double requests_ns = (double)plan->requests / plan->rate * NS_PER_S, end_ns = FOREVER_NS;
	if (plan->requests && requests_ns < end_ns)
		end_ns = requests_ns;
	if (plan->time_ns && (double)plan->time_ns < end_ns)
		end_ns = (double)plan->time_ns;
	return l->worker->run->window.begin_ns + (int64_t)end_ns;
}

/* The time up to the end belongs to the run, also when the next requests would be due behind it. */
static bool is_at_end(const struct loop *l, int64_t now_ns)
{
	const struct bench_run *run = l->worker->run;
	if (l->busy > 0 || now_ns < schedule_end_ns(l))
		return false;
	return (run->plan->time_ns && now_ns - run->window.begin_ns >= run->plan->time_ns) ||
	       atomic_load_explicit(&run->untaken, memory_order_relaxed) == 0;
}

/* Of what was due by the end, what nobody was free for. */
static void count_overdue(struct loop *l)
{
	const struct bench_run *run = l->worker->run;
	int64_t end_ns = run->window.begin_ns + run->plan->time_ns;
	if (l->interval_ns == 0 || !run->plan->time_ns || conn_now_ns() < end_ns)
		return;
	for (unsigned i = 0; i < l->worker->links_count; i++)
		for (uint64_t t = l->lanes[i].turn; due_ns(l, t) < end_ns; t += l->worker->links_count)
			l->worker->tally.overdue += run->plan->pipeline;
}

/* ---- replies ---- */

static void count_down(struct loop *l, struct lane *lane, unsigned count, int64_t now_ns)
{
	lane->heard_ns = now_ns;
	lane->waiting -= count;
	l->busy -= lane->waiting == 0;
}

static void take_run(struct loop *l, struct lane *lane, const struct reply_run *run, int64_t now_ns)
{
	if (run->count == 0)
		return;
	bench_answered(l->worker, run->count, &run->values, lane->begun_ns, now_ns);
	count_down(l, lane, run->count, now_ns);
	lane->last = run->last;
	if (l->must_rise && !run->is_rising)
		lose_wrong(l, lane,
			   "a counter that only grows was answered with a value that is not above the last");
}

static void take_refusal(struct loop *l, struct lane *lane, const struct reply *reply, int64_t now_ns)
{
	bool is_denied = lane->link->shc && shcount_classify(reply->words) == SHC_DENIED;
	bench_refused(l->worker, is_denied, reply->words);
	count_down(l, lane, 1, now_ns);
}

/* The rest is not whole, and waits for more. */
static void keep_rest(struct loop *l, struct lane *lane, const char *data, size_t len)
{
	buf_append(&lane->in, data, len);
	if (lane->in.failed)
		lose(l, lane, "out of memory");
}

static void take_replies(struct loop *l, struct lane *lane, size_t len, int64_t now_ns)
{
	struct reply reply;
	struct reply_run run;
	size_t at = 0;
	while (at < len && lane->waiting > 0) {
		run.last = lane->last;
		int rc = reply_read_run(l->kind, l->in + at, len - at, lane->waiting, &run, &reply);
		at += run.size;
		take_run(l, lane, &run, now_ns);
		if (lane->is_lost || rc == REPLY_GOOD)
			continue;
		if (rc == REPLY_REFUSED) {
			take_refusal(l, lane, &reply, now_ns);
			at += reply.size;
		} else if (rc == REPLY_MORE) {
			keep_rest(l, lane, l->in + at, len - at);
			return;
		} else {
			lose(l, lane, "the answer is of a kind that this command does not have");
		}
	}
	if (!lane->is_lost && at < len)
		lose_wrong(l, lane, "there are more answers than requests");
}

/* What came of it, behind what is left of the last time. False: nothing more is there. */
static bool receive(struct loop *l, struct lane *lane)
{
	size_t kept = buf_len(&lane->in);
	struct conn *conn = bench_link_conn(lane->link);
	if (kept > 0)
		memcpy(l->in, buf_head(&lane->in), kept);
	ssize_t n = conn_recv_some(conn, l->in + kept, IN_BYTES - kept);
	if (n == -EAGAIN)
		return false;
	if (n <= 0) {
		lose_by(l, lane, n == 0 ? -ECONNRESET : (int)n);
		return false;
	}
	int64_t now_ns = conn_now_ns();
	lane->has_heard = true;
	buf_consume(&lane->in, kept);
	take_replies(l, lane, kept + (size_t)n, now_ns);
	if (lane->is_lost)
		return false;
	if (lane->waiting == 0 && (l->interval_ns == 0 || lane->turn < l->turn))
		begin_batch(l, lane, now_ns);
	/* TLS may have more than the socket. */
	return !lane->is_lost && (conn_has_input(conn) || kept + (size_t)n == IN_BYTES);
}

/* ---- the loop ---- */

/* Ten times a second. */
static void take_beat(struct loop *l)
{
	int64_t now_ns = conn_now_ns();
	uint64_t beats;
	(void)!read(l->beat_fd, &beats, sizeof(beats));
	for (unsigned i = 0; i < l->worker->links_count; i++) {
		struct lane *lane = &l->lanes[i];
		if (lane->waiting > 0 && now_ns - lane->heard_ns > l->worker->run->plan->timeout_ns)
			lose_by(l, lane, -ETIMEDOUT);
	}
	if (atomic_load_explicit(&l->worker->run->is_over, memory_order_relaxed))
		l->is_over = true;
}

/* How many events; at a rate none when the next pipeline is due, or the schedule ends. A timeout costs a
 * timer for each sleep, so there is none otherwise: the beat is a descriptor. */
static int wait_for_events(struct loop *l, struct epoll_event *events)
{
	if (l->interval_ns == 0 || l->is_over)
		return epoll_wait(l->poll_fd, events, EVENTS, -1);
	int64_t now_ns = conn_now_ns(), next_ns = due_ns(l, l->turn), end_ns = schedule_end_ns(l);
	next_ns = end_ns > now_ns && end_ns < next_ns ? end_ns : next_ns;
	int64_t left_ns = next_ns > now_ns ? next_ns - now_ns : 0;
	const struct timespec timeout = {left_ns / NS_PER_S, left_ns % NS_PER_S};
	return epoll_pwait2(l->poll_fd, events, EVENTS, &timeout, NULL);
}

static void serve(struct loop *l, struct lane *lane, uint32_t events)
{
	if (lane->is_lost)
		return;
	if ((events & EPOLLOUT) && buf_len(&lane->out) > 0)
		send_rest(l, lane);
	if (!lane->is_lost && (events & ~(uint32_t)EPOLLOUT || conn_has_input(bench_link_conn(lane->link))))
		while (receive(l, lane))
			;
}

static void run(struct loop *l)
{
	struct epoll_event events[EVENTS];
	bool has_rate = l->interval_ns > 0;
	for (unsigned i = 0; !has_rate && i < l->worker->links_count; i++)
		begin_batch(l, &l->lanes[i], conn_now_ns());
	while (l->busy > 0 || (has_rate && !l->is_over)) {
		int count = wait_for_events(l, events);
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr)
				serve(l, events[i].data.ptr, events[i].events);
			else
				take_beat(l);
		}
		if (!has_rate)
			continue;
		int64_t now_ns = conn_now_ns();
		keep_schedule(l, now_ns);
		l->is_over |= is_at_end(l, now_ns);
	}
	count_overdue(l);
}

static void prepare_lane(struct loop *l, unsigned i)
{
	struct lane *lane = &l->lanes[i];
	*lane = (struct lane){.link = &l->worker->links[i], .last = INT64_MIN, .turn = i};
	watch_for(l, lane, EPOLL_CTL_ADD, false);
}

static bool prepare_beat(struct loop *l)
{
	const struct timespec beat = {.tv_nsec = BEAT_NS};
	const struct itimerspec beats = {beat, beat};
	struct epoll_event event = {.events = EPOLLIN};
	l->beat_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return l->beat_fd >= 0 && timerfd_settime(l->beat_fd, 0, &beats, NULL) == 0 &&
	       epoll_ctl(l->poll_fd, EPOLL_CTL_ADD, l->beat_fd, &event) == 0;
}

static bool prepare(struct loop *l)
{
	const struct bench_plan *plan = l->worker->run->plan;
	unsigned count = l->worker->links_count;
	l->kind = kind_of_reply(plan);
	l->must_rise = plan->keys == 1 && plan->kind == BENCH_INCR;
	if (plan->rate)
		l->interval_ns = (double)plan->pipeline * NS_PER_S / (plan->rate * l->worker->share);
	l->lanes = calloc(count, sizeof(*l->lanes));
	l->in = malloc(IN_BYTES);
	l->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!l->lanes || !l->in || l->poll_fd < 0 || !bench_batch_init(&l->batch, plan) || !prepare_beat(l))
		return false;
	prctl(PR_SET_TIMERSLACK, 1UL); /* 50 us is what a thread is late otherwise */
	for (unsigned i = 0; i < count; i++)
		prepare_lane(l, i);
	return true;
}

static void clean_up(struct loop *l)
{
	for (unsigned i = 0; l->lanes && i < l->worker->links_count; i++) {
		buf_fini(&l->lanes[i].out);
		buf_fini(&l->lanes[i].in);
	}
	free(l->lanes);
	free(l->in);
	bench_batch_fini(&l->batch);
	if (l->poll_fd >= 0)
		close(l->poll_fd);
	if (l->beat_fd >= 0)
		close(l->beat_fd);
}

void bench_server_loop(struct bench_worker *w)
{
	struct loop l = {.worker = w, .poll_fd = -1, .beat_fd = -1};
	bool is_prepared = prepare(&l);
	if (!is_prepared) {
		bench_lost(w, 0, false, strerror(errno));
		bench_stop(w);
	}
	bench_window_enter(&w->run->window);
	if (is_prepared)
		run(&l);
	bench_window_leave(&w->run->window);
	clean_up(&l);
}
