/* SPDX-License-Identifier: MIT */
#include "acceptor.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "../lib/log.h"
#include "../lib/num.h"
#include "server.h"
#include "worker.h"

enum {
	LOOK_NS = 100 * 1000 * 1000, /* how old the shares of busy time may be */
	PAUSE_MS = 100,		     /* after accept(2) had no descriptor left */
	STATUS_IO = 74,
	DRAIN_TRIES_MAX = 30, /* without descriptors, and with workers that give some back */
};

/* ---- the choice ---- */

uint32_t acceptor_choose(const uint32_t *busy_eighths, const int64_t *peers, uint32_t count)
{
	uint32_t least = UINT32_MAX, best = 0;
	bool has_best = false;

	for (uint32_t i = 0; i < count; i++)
		if (busy_eighths[i] < least)
			least = busy_eighths[i];
	for (uint32_t i = 0; i < count; i++) {
		if (busy_eighths[i] > least + 1)
			continue;
		if (!has_best || peers[i] < peers[best] ||
		    (peers[i] == peers[best] && busy_eighths[i] < busy_eighths[best]))
			best = i;
		has_best = true;
	}
	return best;
}

/* Not more often than makes sense: a share of a very short time is noise. */
static void look_at_workers(struct acceptor *a)
{
	int64_t now = clock_ns(CLOCK_MONOTONIC), elapsed = now - a->looked_ns;

	if (elapsed < LOOK_NS)
		return;
	for (uint32_t i = 0; i < a->server->worker_count; i++) {
		int64_t busy =
			atomic_load_explicit(&a->server->workers[i].stats.busy_ns, memory_order_relaxed);
		int64_t eighths = (busy - a->busy_before_ns[i]) / (elapsed / 8);

		a->busy_eighths[i] = eighths < 0 ? 0 : eighths > 8 ? 8 : (uint32_t)eighths;
		a->busy_before_ns[i] = busy;
	}
	a->looked_ns = now;
}

/* Connections of all workers, those on their way included. */
static int64_t count_peers(struct acceptor *a)
{
	int64_t sum = 0;

	for (uint32_t i = 0; i < a->server->worker_count; i++) {
		a->peers[i] = atomic_load_explicit(&a->server->workers[i].stats.peers, memory_order_relaxed);
		sum += a->peers[i];
	}
	return sum;
}

/* ---- one connection ---- */

/* One line in SELDOM_MS: the number may go up and down around the limit all the time. */
static void say_full(struct acceptor *a, int64_t limit)
{
	uint64_t unsaid;
	char more[REFUSALS_MORE_SIZE];

	if (!seldom_note(&a->full, clock_ms(CLOCK_MONOTONIC), &unsaid))
		return;
	refusals_more(unsaid, more);
	log_warning("%" PRId64 " client%s (max-clients): further ones are refused%s", limit,
		    num_plural((uint64_t)limit), more);
}

/* In Redis's words, as far as the socket takes them at once. */
static void refuse(struct acceptor *a, const struct handoff *h, int64_t limit)
{
	static const char text[] = "-ERR max number of clients reached\r\n";

	atomic_fetch_add_explicit(&a->refused, 1, memory_order_relaxed);
	(void)send(h->fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	say_full(a, limit);
}

/* What its source may not have is none of all's. False: there is no room for it. */
static bool admit(struct acceptor *a, struct handoff *h)
{
	int64_t limit = atomic_load_explicit(&a->server->config->max_clients, memory_order_relaxed);
	int rc = acceptor_admit(a, h);

	if (rc == -ENOMEM)
		log_warning("no memory for a new connection: closed");
	if (rc)
		return false;
	if (count_peers(a) >= limit) {
		acceptor_unadmit(a, h);
		refuse(a, h, limit);
		return false;
	}
	return true;
}

static void give(struct acceptor *a, struct handoff *h)
{
	struct worker *w;

	look_at_workers(a);
	w = &a->server->workers[acceptor_choose(a->busy_eighths, a->peers, a->server->worker_count)];
	/* Here and not when the worker takes it: a burst of connections must be spread, too. */
	atomic_fetch_add_explicit(&w->stats.peers, 1, memory_order_relaxed);
	idle_open(&a->idle);
	a->accepted++;
	worker_give(w, h);
}

static void take(struct acceptor *a, int fd, const struct sockaddr_storage *from, socklen_t from_len)
{
	struct handoff *h = calloc(1, sizeof(*h));

	if (!h) {
		log_warning("no memory for a new connection: closed");
		close(fd);
		return;
	}
	h->fd = fd;
	acceptor_describe(fd, from, from_len, &h->address);
	if (admit(a, h)) {
		give(a, h);
		return;
	}
	close(fd);
	free(h);
}

/* ---- the listeners ---- */

/* True: accept again. False: nothing to accept now, or ever on this listener (then *is_dead). */
static bool accept_failed(struct acceptor *a, int error, bool *is_dead)
{
	switch (error) {
	case EAGAIN: return false;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		atomic_fetch_add_explicit(&a->failures, 1, memory_order_relaxed);
		if (!a->is_short)
			log_warning("cannot accept connections: %s; trying again every %d ms (raise "
				    "LimitNOFILE, or "
				    "lower max-clients)",
				    strerror(error), PAUSE_MS);
		a->is_short = true;
		return false;
	case EINVAL:
		if (a->is_shut)
			return false;
		/* fallthrough */
	case EBADF:
	case ENOTSOCK:
	case EOPNOTSUPP:
		log_error("a listener has failed and is given up: %s", strerror(error));
		*is_dead = true;
		return false;
	default:
		return true; /* EINTR, and what befell the connection before it was ours: ECONNABORTED, ... */
	}
}

/* Takes one. False: nothing to accept now, or ever on this listener (then *is_dead). */
static bool accept_one(struct acceptor *a, int listener, bool *is_dead)
{
	struct sockaddr_storage from = {0};
	socklen_t from_len = sizeof(from);
	int fd = accept4(listener, (struct sockaddr *)&from, &from_len, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return accept_failed(a, errno, is_dead);
	if (a->is_short)
		log_info("connections are accepted again");
	a->is_short = false;
	take(a, fd, &from, from_len);
	return true;
}

/* Takes what has come in. False: the listener is dead. */
static bool accept_all(struct acceptor *a, int listener)
{
	bool is_dead = false;

	while (!atomic_load(&a->is_stopping) && accept_one(a, listener, &is_dead))
		continue;
	return !is_dead;
}

/* ---- leaving ---- */

/* A queue holds one more than the backlog; a TCP listener that could not be made deaf has no end. */
static void drain_listener(struct acceptor *a, int listener)
{
	bool is_dead = false;
	int taken = 0;

	for (int tries = 0; tries < DRAIN_TRIES_MAX; tries++) {
		while (taken <= ACCEPTOR_BACKLOG && accept_one(a, listener, &is_dead))
			taken++;
		if (!a->is_short || atomic_load(&a->is_stopping))
			break;
		(void)poll(NULL, 0, PAUSE_MS);
	}
}

/* Shuts the door and takes everybody who has come in. True: there was somebody. */
static bool drain(struct acceptor *a)
{
	uint64_t before = a->accepted;

	acceptor_shut(a);
	for (size_t i = 0; i < a->listener_count; i++)
		if (a->listeners[i].kind != LISTENER_INHERITED && a->listeners[i].fd >= 0)
			drain_listener(a, a->listeners[i].fd);
	return a->accepted != before;
}

/* Nobody has been connected for so long. False: somebody came in meanwhile, so we stay. */
static bool leave(struct acceptor *a)
{
	char why[512];

	if (!drain(a)) {
		server_stop(a->server, true, "nobody is connected (idle-exit)");
		return true;
	}
	log_debug("somebody has connected while the daemon was leaving: it stays");
	if (acceptor_reopen(a, why, sizeof(why))) {
		log_error("%s; leaving with the last connection", why);
		idle_hurry(&a->idle);
	} else {
		acceptor_watch(a);
	}
	return false;
}

/* ---- what was not said ---- */

/* Logs what is due; or, at the end, all of what the acceptor itself has refused: workers go on refusing. */
static void tell(struct acceptor *a, bool is_end)
{
	int64_t now_ms = clock_ms(CLOCK_MONOTONIC);
	uint64_t unsaid = seldom_tell(&a->full, now_ms, is_end);

	if (unsaid)
		log_warning("max-clients: %" PRIu64 " more client%s refused since the last line about it",
			    unsaid, unsaid == 1 ? " was" : "s were");
	refusals_tell(&a->server->refusals, now_ms, false);
}

/* How long to sleep, -1 for ever; 0: it is time to leave. */
static int wait_ms(struct acceptor *a)
{
	int64_t now_ms = clock_ms(CLOCK_MONOTONIC);
	int64_t untold_ms = clock_sooner_ms(seldom_wait_ms(&a->full, now_ms),
					    refusals_wait_ms(&a->server->refusals, now_ms));
	int idle_ms = idle_wait_ms(&a->idle, clock_ns(CLOCK_MONOTONIC));

	if (untold_ms == 0)
		untold_ms = 1; /* has become due just now */
	return idle_ms == 0 ? 0 : (int)clock_sooner_ms(idle_ms, untold_ms);
}

/* ---- the thread ---- */

static void fill_poll(const struct acceptor *a, struct pollfd *fds)
{
	fds[0] = (struct pollfd){.fd = a->waker.fd, .events = POLLIN};
	for (size_t i = 0; i < a->listener_count; i++)
		fds[1 + i] = (struct pollfd){.fd = a->listeners[i].fd, .events = POLLIN};
	fds[1 + a->listener_count] = (struct pollfd){.fd = a->watch_fd, .events = POLLIN};
}

static void look_at_place(struct acceptor *a, struct pollfd *watch)
{
	if (!(watch->revents & POLLIN) || !acceptor_watch_tells_end(a))
		return;
	log_info("%s is not there any more: leaving with the last connection (idle-exit)", a->socket_path);
	idle_hurry(&a->idle);
	watch->fd = -1;
}

/* Sleeps for `ms` at most, and takes who has come. */
static void wait_and_accept(struct acceptor *a, struct pollfd *fds, int ms)
{
	bool was_short = a->is_short;

	/* Out of descriptors: the listeners stay readable, and poll would return at once. */
	(void)poll(fds, was_short ? 1 : (nfds_t)(2 + a->listener_count), was_short ? PAUSE_MS : ms);
	waker_unpark(&a->waker);
	waker_drain(&a->waker);
	for (size_t i = 0; i < a->listener_count; i++)
		if (fds[1 + i].fd >= 0 && (was_short || fds[1 + i].revents) && !accept_all(a, fds[1 + i].fd))
			fds[1 + i].fd = -1; /* poll skips it */
	if (!was_short)
		look_at_place(a, &fds[1 + a->listener_count]);
}

static void *run(void *arg)
{
	struct acceptor *a = arg;
	struct pollfd fds[2 + ACCEPTOR_LISTENERS_MAX];

	pthread_setname_np(pthread_self(), "acceptor");
	acceptor_watch(a);
	fill_poll(a, fds);
	for (;;) {
		int ms;

		waker_park(&a->waker);
		pulse_answer(&a->pulse); /* parked: a later question wakes us */
		if (atomic_load(&a->is_stopping)) {
			(void)drain(a);
			break;
		}
		tell(a, false);
		ms = wait_ms(a);
		if (ms != 0)
			wait_and_accept(a, fds, ms);
		else if (leave(a))
			break;
		else
			fill_poll(a, fds);
	}
	tell(a, true);
	waker_unpark(&a->waker);
	return NULL;
}

/* ---- start and stop ---- */

static void fini(struct acceptor *a)
{
	refusals_set_teller(&a->server->refusals, NULL);
	acceptor_unlisten(a);
	free(a->busy_before_ns);
	free(a->busy_eighths);
	free(a->peers);
	a->busy_before_ns = NULL;
	a->busy_eighths = NULL;
	a->peers = NULL;
	a->access = access_unref(a->access);
	waker_fini(&a->waker);
	a->is_open = false;
}

int acceptor_open(struct acceptor *a, struct server *server, char *why, size_t why_size)
{
	uint32_t count = server->worker_count;
	int status;

	memset(a, 0, sizeof(*a));
	a->server = server;
	a->watch_fd = -1;
	idle_init(&a->idle, server->config->idle_exit_ms, &a->waker, clock_ns(CLOCK_MONOTONIC));
	if (waker_init(&a->waker)) {
		snprintf(why, why_size, "cannot make an eventfd: %s", strerror(errno));
		return STATUS_IO;
	}
	refusals_set_teller(&server->refusals, &a->waker);
	a->busy_before_ns = calloc(count, sizeof(*a->busy_before_ns));
	a->busy_eighths = calloc(count, sizeof(*a->busy_eighths));
	a->peers = calloc(count, sizeof(*a->peers));
	if (a->busy_before_ns && a->busy_eighths && a->peers) {
		status = acceptor_listen(a, why, why_size);
	} else {
		snprintf(why, why_size, "out of memory");
		status = STATUS_IO;
	}
	if (status)
		fini(a);
	a->is_open = status == 0;
	return status;
}

int acceptor_start(struct acceptor *a)
{
	int rc = -pthread_create(&a->thread, NULL, run, a);

	a->is_running = rc == 0;
	return rc;
}

void acceptor_stop(struct acceptor *a)
{
	if (!a->is_open)
		return;
	if (a->is_running) {
		atomic_store(&a->is_stopping, true);
		waker_wake(&a->waker);
		pthread_join(a->thread, NULL);
		a->is_running = false;
	}
	fini(a);
}
