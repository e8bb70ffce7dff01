/* SPDX-License-Identifier: MIT */
/* worker.c - see worker.h. */
#include "worker.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "../lib/log.h"
#include "peer_access.h"
#include "peer_limit.h"
#include "server.h"

enum {
	SPARE_BYTES_MAX = 64 << 10, /* larger output buffers are freed */
	SWEEP_SLICE = 1000,	    /* records a turn */
	SLOW_CHECK_MS = 1000,  /* how often slow readers are looked for, while there are sends in flight */
	EXPIRE_MS_MIN = 50,    /* between two looks at what has expired: nobody sees the difference, */
	EXPIRE_MS_MAX = 60000, /* ... and at most: the wall clock may be set */
	STOP_MS_MAX = 3000,    /* for the last replies to be read */
	STOP_TURN_MS = 50,     /* a turn while stopping, at most */
	EXIT_IO = 74,
};

int worker_init(struct worker *w, struct server *server, uint32_t index, int cpu)
{
	memset(w, 0, sizeof(*w));
	w->server = server;
	w->index = index;
	w->cpu = cpu;
	w->is_holding = server->config->durability == DURABILITY_COMMIT;
	TAILQ_INIT(&w->peers);
	TAILQ_INIT(&w->waiting);
	TAILQ_INIT(&w->flushing);
	TAILQ_INIT(&w->held);
	TAILQ_INIT(&w->held_back);
	epoch_slot_init(&w->slot, &server->clock);
	w->slot.is_asking = w->is_holding;
	txn_init(&w->txn, &server->registry, &w->slot, index, server->config->workers,
		 server->config->cells == CELLS_ALWAYS);
	w->txn.audit = &server->audit;
	return waker_init(&w->waker);
}

void worker_fini(struct worker *w)
{
	for (size_t i = 0; i < w->spare_count; i++)
		buf_fini(&w->spares[i]);
	free(w->names);
	free(w->deltas);
	free(w->undo);
	txn_fini(&w->txn);
	w->access = access_unref(w->access);
	audit_sweep_fini(&w->audit_sweep);
	epoch_slot_fini(&w->slot);
	waker_fini(&w->waker);
}

struct buf worker_take_spare(struct worker *w)
{
	return w->spare_count ? w->spares[--w->spare_count] : (struct buf)BUF_INIT;
}

void worker_give_spare(struct worker *w, struct buf *b)
{
	buf_consume(b, buf_len(b));
	if (b->cap == 0 || b->cap > SPARE_BYTES_MAX || b->failed || w->spare_count == WORKER_SPARES)
		buf_fini(b);
	else
		w->spares[w->spare_count++] = *b;
	*b = (struct buf)BUF_INIT;
}

void worker_begin_sweep(struct worker *w)
{
	w->is_sweeping = true;
	w->sweep_cursor = 0;
}

/* ---- new connections ---- */

/* Counted by the acceptor when it gave it to us. */
static void conn_ended(struct worker *w)
{
	atomic_fetch_sub_explicit(&w->stats.peers, 1, memory_order_relaxed);
	idle_close(&w->server->acceptor.idle, clock_ns(CLOCK_MONOTONIC));
}

void worker_give(struct worker *w, struct handoff *h)
{
	h->next = atomic_load_explicit(&w->inbox, memory_order_relaxed);
	/* release: the worker reads what h points to. The order among them does not matter. */
	while (!atomic_compare_exchange_weak_explicit(&w->inbox, &h->next, h, memory_order_release,
						      memory_order_relaxed))
		continue;
	waker_wake(&w->waker);
}

/* True: somebody has come, and what he has sent will be told in the next turn. */
static bool take_inbox(struct worker *w)
{
	struct handoff *h;

	if (!atomic_load_explicit(&w->inbox, memory_order_relaxed))
		return false;
	h = atomic_exchange_explicit(&w->inbox, NULL, memory_order_acquire);
	while (h) {
		struct handoff *next = h->next;
		struct peer *p = peer_new(w, h->fd, &h->address, h->source);

		if (p) {
			TAILQ_INSERT_TAIL(&w->peers, p, all);
			stat_add(&w->stats.connections, 1);
		} else {
			log_warning("no memory for a new connection: closed");
			sources_leave(&w->server->sources, h->source,
				      steady_clock_ns(&w->server->registry.steady));
			conn_ended(w);
		}
		free(h);
		h = next;
	}
	return true;
}

/* ---- events ---- */

static void peer_gone(struct worker *w, struct peer *p)
{
	TAILQ_REMOVE(&w->peers, p, all);
	/* A send that was cut short is not in flight any more. */
	if (buf_len(&p->sending))
		w->sending_count--;
	peer_free(p);
	conn_ended(w);
}

static void handle(struct worker *w, const struct io_event *ev)
{
	struct peer *p = (struct peer *)(void *)ev->conn; /* io is its first member */

	switch (ev->type) {
	case IO_RECV: peer_on_recv(p, ev->data, ev->len); break;
	case IO_EOF: peer_on_eof(p); break;
	case IO_SENT: peer_on_sent(p); break;
	case IO_FAILED: peer_on_failed(p, ev->error); break;
	case IO_CLOSED: peer_gone(w, p); break;
	case IO_WAKE: break;
	}
}

/* ---- waiting peers ---- */

static bool has_backup_ended(struct worker *w, const struct peer *p)
{
	int64_t size_bytes;
	const char *why;

	return backup_look(&w->server->backup, p->client.id, &size_bytes, &why) != BACKUP_RUNNING;
}

/* The store has refused since it waits. */
static bool is_refused(const struct worker *w, const struct peer_wait *wait)
{
	return atomic_load(&w->server->commit.refusals) != wait->refusals;
}

static bool is_over(struct worker *w, const struct peer *p)
{
	const struct peer_wait *wait = &p->wait;

	switch (wait->kind) {
	case WAIT_SEALED:
		/* Stuck: the request hears that instead. */
		return epoch_sealed(&w->server->clock) >= wait->target || commit_is_stuck(&w->server->commit);
	case WAIT_DURABLE: return epoch_durable(&w->server->clock) >= wait->target;
	case WAIT_COMMITTED: return epoch_durable(&w->server->clock) >= wait->target || is_refused(w, wait);
	case WAIT_FOLDED:
		return atomic_load(&w->server->commit.fold_done) >= wait->target || is_refused(w, wait);
	case WAIT_TOP:
		return atomic_load(&w->server->commit.top.periods) > wait->target ||
		       commit_is_stuck(&w->server->commit);
	case WAIT_BACKUP: return has_backup_ended(w, p);
	case WAIT_LOG: return audit_reader_is_answered(&w->server->audit_reader, p->question);
	case WAIT_UPLINK: return uplink_is_answered(&w->server->uplink->asks, p->uplink_question);
	case WAIT_TURN: return true;
	case WAIT_BUDGET: /* is not in the list */
	case WAIT_TIME:
	case WAIT_NONE: break;
	}
	return false;
}

static bool is_late(const struct worker *w, const struct peer_wait *wait)
{
	return wait->deadline_ms >= 0 && w->now_ms >= wait->deadline_ms;
}

/* Those that are parked again stand at the end of the list: one round is enough. */
static void resume_waiting(struct worker *w)
{
	struct peer *p, *next, *last = TAILQ_LAST(&w->waiting, peer_list);

	for (p = TAILQ_FIRST(&w->waiting); p; p = next) {
		bool is_last = p == last;

		next = TAILQ_NEXT(p, waiting);
		if (p->is_closed) {
			/* its IO_CLOSED will take it away */
		} else if (is_over(w, p)) {
			epoch_look(&w->slot);
			peer_resume(p, false);
		} else if (is_late(w, &p->wait)) {
			peer_resume(p, true);
		}
		if (is_last)
			break;
	}
}

/* ---- held replies ---- */

/* Asked once a turn, so that all of it is one group. */
static void want_held(struct worker *w)
{
	if (w->want_epoch) {
		epoch_want(&w->server->clock, w->want_epoch);
		w->slot.is_untold = false;
	}
	w->want_epoch = 0;
	epoch_tell_dirty(&w->slot);
}

static bool is_release_due(const struct worker *w)
{
	return !TAILQ_EMPTY(&w->held) && (epoch_durable(&w->server->clock) != w->durable ||
					  commit_is_stuck(&w->server->commit) != w->was_stuck);
}

static void release_held(struct worker *w)
{
	struct peer *p, *next;

	if (!is_release_due(w))
		return;
	w->durable = epoch_durable(&w->server->clock);
	w->was_stuck = commit_is_stuck(&w->server->commit);
	for (p = TAILQ_FIRST(&w->held); p; p = next) {
		next = TAILQ_NEXT(p, held);
		peer_release(p, w->durable);
	}
}

/* ---- active expiry ---- */

static int64_t first_expiry_ms(const struct worker *w)
{
	return expiry_first_ms(&w->server->registry.expiry, w->index);
}

/* While the disk is full nothing is ended that need not be: it would only grow what waits. */
static void expire(struct worker *w)
{
	int64_t first_ms = first_expiry_ms(w);

	w->is_expiring = false;
	if (first_ms == 0 || commit_is_stuck(&w->server->commit) || first_ms > clock_wall_ms())
		return;
	epoch_look(&w->slot);
	w->is_expiring = txn_expire_some(&w->txn);
}

/* `ms`, or less when something expires before. */
static int64_t until_expiry(const struct worker *w, int64_t ms)
{
	int64_t first_ms = first_expiry_ms(w), left;

	if (first_ms == 0 || w->stop_deadline_ms)
		return ms;
	left = first_ms - clock_wall_ms();
	if (left < EXPIRE_MS_MIN)
		left = EXPIRE_MS_MIN;
	if (left > EXPIRE_MS_MAX)
		left = EXPIRE_MS_MAX;
	return clock_sooner_ms(ms, left);
}

/* ---- the patterns of the audit log ---- */

static bool is_audit_due(const struct worker *w)
{
	return w->index == 0 && audit_sweep_is_due(&w->audit_sweep, &w->server->audit, &w->server->clock);
}

static void follow_audit(struct worker *w)
{
	if (!is_audit_due(w))
		return;
	epoch_look(&w->slot);
	audit_sweep_some(&w->audit_sweep, &w->server->audit, &w->txn);
}

/* ---- who may do what ---- */

/* Before anything else is done in a turn: nobody is served by rules that are not in force any more. */
static void follow_access(struct worker *w)
{
	struct access *before = w->access;
	struct peer *p, *next;

	if (!access_now_is_new(&w->server->access, w->access_generation))
		return;
	w->access = access_now_get(&w->server->access, &w->access_generation);
	for (p = TAILQ_FIRST(&w->peers); p; p = next) {
		next = TAILQ_NEXT(p, all);
		if (peer_resolve(p)) {
			log_warning("client %" PRIu64 ": out of memory for its rights: connection closed",
				    p->client.id);
			peer_close(p, false);
		}
	}
	access_unref(before);
	w->release_ns = 0; /* who is held back has other limits, or none */
}

/* Milliseconds that io_wait may sleep; -1: for ever. Says to the committer whether wake-ups are wanted. */
static int64_t sleep_ms(struct worker *w)
{
	int64_t ms = w->stop_deadline_ms ? STOP_TURN_MS : w->sending_count ? SLOW_CHECK_MS : -1;
	uint32_t waits = TAILQ_EMPTY(&w->held) ? 0 : EPOCH_WAITS_DISK;
	struct peer *p;

	if (w->is_sweeping || w->is_expiring)
		return 0;
	if (audit_sweep_is_waiting(&w->audit_sweep))
		waits |= EPOCH_WAITS_SEALED;
	ms = clock_sooner_ms(until_expiry(w, ms), peer_limit_wait_ms(w));
	TAILQ_FOREACH (p, &w->waiting, waiting) {
		int64_t left = p->wait.deadline_ms - w->now_ms;

		if (p->wait.kind == WAIT_TURN)
			return 0;
		waits |= p->wait.kind == WAIT_SEALED ? EPOCH_WAITS_SEALED | EPOCH_WAITS_DISK
						     : EPOCH_WAITS_DISK;
		if (p->wait.deadline_ms >= 0 && (ms < 0 || left < ms))
			ms = left > 0 ? left : 0;
	}
	atomic_store(&w->slot.waits, waits);
	/* After the flag: what came before it is seen here, what comes after it wakes us. */
	TAILQ_FOREACH (p, &w->waiting, waiting)
		if (is_over(w, p))
			return 0;
	return is_release_due(w) || is_audit_due(w) ? 0 : ms;
}

/* Closes who takes no reply for output-timeout. */
static void check_slow(struct worker *w)
{
	int64_t limit = atomic_load_explicit(&w->server->config->output_timeout_ms, memory_order_relaxed);
	struct peer *p, *next;

	if (!w->sending_count || w->now_ms - w->slow_checked_ms < SLOW_CHECK_MS)
		return;
	w->slow_checked_ms = w->now_ms;
	for (p = TAILQ_FIRST(&w->peers); p; p = next) {
		next = TAILQ_NEXT(p, all);
		if (!io_is_sending(&p->io) || w->now_ms - p->progress_ms < limit || p->is_closed)
			continue;
		peer_log_slow(p, limit);
		stat_add(&w->stats.timed_out, 1);
		peer_close(p, false);
	}
}

/* ---- the turn ---- */

/* What is nearly always the answer, without a call. */
static inline bool peer_memory_is_held(const struct server *s)
{
	return atomic_load_explicit(&s->peer_memory.bytes, memory_order_relaxed) > 0;
}

static int wait_for_events(struct worker *w)
{
	int64_t ms, before = clock_ns(CLOCK_MONOTONIC), after;
	int rc;

	waker_park(&w->waker);
	ms = sleep_ms(w);
	if (ms != 0 && (atomic_load(&w->inbox) || pulse_is_asked(&w->pulse) ||
			(atomic_load(&w->is_stopping) && !w->stop_deadline_ms)))
		ms = 0;
	if (ms != 0 && !epoch_park(&w->slot))
		ms = 0;
	rc = io_wait(w->io, ms < 0 ? -1 : ms * 1000000);
	waker_unpark(&w->waker);
	epoch_unpark(&w->slot);
	after = clock_ns(CLOCK_MONOTONIC);
	w->now_ms = after / 1000000;
	atomic_store_explicit(&w->stats.busy_ns,
			      atomic_load_explicit(&w->stats.busy_ns, memory_order_relaxed) + before -
				      w->awake_since_ns,
			      memory_order_relaxed);
	w->awake_since_ns = after;
	return rc;
}

static void sweep(struct worker *w)
{
	if (!w->is_sweeping)
		return;
	epoch_look(&w->slot);
	w->sweep_cursor = txn_sweep(&w->txn, w->sweep_cursor, SWEEP_SLICE);
	w->is_sweeping = w->sweep_cursor != 0;
}

static void turn(struct worker *w)
{
	struct io_event ev;
	struct peer *p;
	int rc = wait_for_events(w);

	if (rc < 0) {
		log_error("worker %u: %s: cannot wait for events: %s; stopping", w->index,
			  io_kind_name(w->server->io), strerror(-rc));
		_exit(EXIT_IO);
	}
	follow_access(w);
	w->has_events = take_inbox(w);
	while (io_next(w->io, &ev)) {
		w->has_events = true;
		handle(w, &ev);
	}
	resume_waiting(w);
	peer_limit_release(w);
	release_held(w);
	sweep(w);
	follow_audit(w);
	expire(w);
	check_slow(w);
	if (peer_memory_is_held(w->server))
		peer_memory_evict(w);
	want_held(w);
	while ((p = TAILQ_FIRST(&w->flushing)))
		peer_flush(p);
	pulse_answer(&w->pulse);
}

/* ---- start and stop ---- */

/* What had been received is answered, but for those that are held back: turns until nothing more comes at
 * once. Then everybody is closed when its replies are sent, and at the deadline in any case. */
static void run_down(struct worker *w)
{
	struct peer *p, *next;
	int64_t deadline_ms = w->now_ms + STOP_MS_MAX;

	w->stop_deadline_ms = deadline_ms;
	for (p = TAILQ_FIRST(&w->peers); p; p = next) {
		next = TAILQ_NEXT(p, all);
		if (!peer_is_parked(p))
			peer_close(p, true);
	}
	while (!TAILQ_EMPTY(&w->peers)) {
		bool is_late = w->now_ms >= deadline_ms;

		for (p = TAILQ_FIRST(&w->peers); p; p = next) {
			next = TAILQ_NEXT(p, all);
			if (is_late)
				peer_close(p, false);
			else if (!peer_is_parked(p) && !p->is_closing)
				peer_close(p, true);
		}
		turn(w);
	}
}

static void pin(const struct worker *w)
{
	cpu_set_t set;

	if (w->cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)w->cpu, &set);
	/* A sandbox may forbid it: then the kernel chooses. */
	if (sched_setaffinity(0, sizeof(set), &set))
		log_debug("worker %u is not pinned: %s", w->index, strerror(errno));
}

static void *run(void *arg)
{
	struct worker *w = arg;
	struct io_options options = {.kind = w->server->io, .conns_hint = 1024, .wake_fd = w->waker.fd};
	char name[16];
	int rc;

	(void)snprintf(name, sizeof(name), "worker-%u", w->index);
	pthread_setname_np(pthread_self(), name);
	pin(w);
	rc = io_new(&w->io, &options);
	w->start_error = rc;
	w->awake_since_ns = clock_ns(CLOCK_MONOTONIC);
	w->now_ms = w->awake_since_ns / 1000000;
	sem_post(&w->started);
	if (rc) {
		epoch_end(&w->slot);
		return NULL;
	}
	while (!atomic_load(&w->is_stopping))
		turn(w);
	do
		turn(w);
	while (w->has_events);
	run_down(w);
	w->io = io_free(w->io);
	epoch_end(&w->slot);
	return NULL;
}

int worker_start(struct worker *w)
{
	int rc = sem_init(&w->started, 0, 0) ? -errno : 0;

	if (!rc)
		rc = -pthread_create(&w->thread, NULL, run, w);
	if (rc)
		return rc;
	while (sem_wait(&w->started) && errno == EINTR)
		continue;
	if (w->start_error)
		pthread_join(w->thread, NULL);
	return w->start_error;
}

void worker_stop_begin(struct worker *w)
{
	atomic_store(&w->is_stopping, true);
	waker_wake(&w->waker);
}

void worker_join(struct worker *w)
{
	pthread_join(w->thread, NULL);
	sem_destroy(&w->started);
}
