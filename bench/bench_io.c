/* SPDX-License-Identifier: MIT */
/*
 * bench_io.c - what one echo of 37 bytes costs a server thread over each backend of the io.
 *
 * bench_io [seconds per window, default 1]: 50 blocking clients on Unix sockets, 1 and 16 requests per round
 * trip. The backends take turns; figures are the CPU time of the server thread alone, per request. The server
 * is kept on the first allowed CPU and the clients on the last.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../daemon/io.h"

#define CLIENTS	      50
#define REQUEST_BYTES 37
#define PIPELINE_MAX  16
#define ROUNDS	      5
#define NS_PER_S      1e9

struct peer {
	struct io_conn conn;
	char data[REQUEST_BYTES * PIPELINE_MAX * 2];
	size_t len;
	bool is_dirty;
};

struct server {
	enum io_kind kind;
	int wake_fd;
	int fds[CLIENTS];
	struct peer *peers;
	uint64_t requests;
	uint64_t waits;
	double cpu_ns;
	double wall_ns;
	int error;
};

struct client {
	int fd;
	unsigned pipeline;
	_Atomic bool *is_over;
};

static void die(const char *what, int error)
{
	(void)fprintf(stderr, "bench_io: %s: %s\n", what, strerror(error));
	exit(1);
}

static void pin(bool is_server)
{
	cpu_set_t allowed;
	cpu_set_t one;
	size_t cpu = 0;

	CPU_ZERO(&one);
	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return;
	for (size_t i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &allowed))
			continue;
		cpu = i;
		if (is_server)
			break;
	}
	CPU_SET(cpu, &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
}

static double clock_ns(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts);
	return (double)ts.tv_sec * NS_PER_S + (double)ts.tv_nsec;
}

/* Replies once per wake-up and connection, as the worker does. */
static void server_round(struct server *s, struct io *io, struct peer **dirty, unsigned *open_count)
{
	struct io_event event;
	unsigned count = 0;

	while (io_next(io, &event)) {
		struct peer *p = (struct peer *)event.conn;

		if (event.type == IO_RECV) {
			memcpy(p->data + p->len, event.data, event.len);
			p->len += event.len;
			s->requests += event.len / REQUEST_BYTES;
			if (!p->is_dirty)
				dirty[count++] = p;
			p->is_dirty = true;
		} else if (event.type == IO_EOF || event.type == IO_FAILED) {
			io_conn_close(io, event.conn);
		} else if (event.type == IO_CLOSED) {
			(*open_count)--;
		}
	}
	for (unsigned i = 0; i < count; i++) {
		io_send_quiet(io, &dirty[i]->conn, dirty[i]->data, dirty[i]->len);
		dirty[i]->len = 0;
		dirty[i]->is_dirty = false;
	}
}

static void *server_run(void *arg)
{
	struct server *s = arg;
	struct io_options options = {.kind = s->kind, .conns_hint = CLIENTS, .wake_fd = s->wake_fd};
	struct peer *dirty[CLIENTS];
	unsigned open_count = CLIENTS;
	struct io *io = NULL;
	double start_cpu_ns;
	double start_ns;

	pin(true);
	s->error = io_new(&io, &options);
	for (int i = 0; i < CLIENTS && s->error == 0; i++)
		s->error = io_conn_start(io, &s->peers[i].conn, s->fds[i]);
	if (s->error < 0)
		die(io_why(s->error), -s->error);
	start_cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	start_ns = clock_ns(CLOCK_MONOTONIC);
	while (open_count > 0 && s->error == 0) {
		s->error = io_wait(io, -1);
		s->waits++;
		server_round(s, io, dirty, &open_count);
	}
	s->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - start_cpu_ns;
	s->wall_ns = clock_ns(CLOCK_MONOTONIC) - start_ns;
	io_free(io);
	return NULL;
}

static void *client_run(void *arg)
{
	struct client *c = arg;
	size_t len = REQUEST_BYTES * (size_t)c->pipeline;
	char out[REQUEST_BYTES * PIPELINE_MAX];
	char in[sizeof(out)];

	pin(false);
	memset(out, 'x', sizeof(out));
	while (!atomic_load_explicit(c->is_over, memory_order_relaxed)) {
		if (send(c->fd, out, len, MSG_NOSIGNAL) != (ssize_t)len ||
		    recv(c->fd, in, len, MSG_WAITALL) != (ssize_t)len)
			die("client", errno);
	}
	(void)close(c->fd);
	return NULL;
}

static void window(struct server *s, enum io_kind kind, unsigned pipeline, double seconds)
{
	struct timespec pause = {.tv_sec = (time_t)seconds,
				 .tv_nsec = (long)((seconds - (double)(time_t)seconds) * NS_PER_S)};
	struct client clients[CLIENTS];
	pthread_t client_threads[CLIENTS];
	pthread_t server_thread;
	_Atomic bool is_over = false;

	*s = (struct server){.kind = kind, .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	s->peers = calloc(CLIENTS, sizeof(*s->peers));
	if (s->wake_fd < 0 || !s->peers)
		die("setup", errno);
	for (int i = 0; i < CLIENTS; i++) {
		int fds[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
			die("socketpair", errno);
		s->fds[i] = fds[0];
		clients[i] = (struct client){.fd = fds[1], .pipeline = pipeline, .is_over = &is_over};
	}
	if (pthread_create(&server_thread, NULL, server_run, s) != 0)
		die("thread", EAGAIN);
	for (int i = 0; i < CLIENTS; i++) {
		if (pthread_create(&client_threads[i], NULL, client_run, &clients[i]) != 0)
			die("thread", EAGAIN);
	}
	(void)nanosleep(&pause, NULL);
	atomic_store(&is_over, true);
	for (int i = 0; i < CLIENTS; i++)
		(void)pthread_join(client_threads[i], NULL);
	(void)pthread_join(server_thread, NULL);
	free(s->peers);
	(void)close(s->wake_fd);
}

static int compare(const void *a, const void *b)
{
	const double *x = a;
	const double *y = b;

	return (*x > *y) - (*x < *y);
}

int main(int argc, char **argv)
{
	static const enum io_kind kinds[] = {IO_URING, IO_EPOLL};
	static const unsigned pipelines[] = {1, PIPELINE_MAX};
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;

	for (size_t p = 0; p < 2; p++) {
		double ns[2][ROUNDS];
		struct server s[2];

		for (int round = 0; round < ROUNDS; round++) {
			for (size_t k = 0; k < 2; k++) {
				window(&s[k], kinds[k], pipelines[p], seconds);
				ns[k][round] = s[k].cpu_ns / (double)s[k].requests;
			}
		}
		for (size_t k = 0; k < 2; k++) {
			qsort(ns[k], ROUNDS, sizeof(double), compare);
			(void)printf("%-8s P=%-2u %7.0f ns/op (%.0f-%.0f), last window %.0f kop/s, %.2f "
				     "requests a wait\n",
				     io_kind_name(kinds[k]), pipelines[p], ns[k][ROUNDS / 2], ns[k][0],
				     ns[k][ROUNDS - 1], (double)s[k].requests / s[k].wall_ns * 1e6,
				     (double)s[k].requests / (double)s[k].waits);
		}
	}
	return 0;
}
