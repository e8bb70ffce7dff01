/* SPDX-License-Identifier: MIT */
/*
 * hotpath.c - the daemon's way of a request without sockets: bytes into a connection, bytes out of it, on an
 * io that takes everything at once. Deterministic, so that callgrind's count of instructions is exact and the
 * same in every run (bench/instructions has the counts that are agreed on).
 *
 * Usage: hotpath [SCENARIO]: runs one, or all, and prints the nanoseconds of a request, for eyes only.
 *
 * Each scenario ends in a function of its own name, run_NAME, which callgrind's inclusive costs are read for.
 * It makes PASSES passes of REQUESTS requests over a table that is warm.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../daemon/io_backend.h"
#include "../daemon/server.h"

enum {
	COUNTERS = 10000,
	REQUESTS = 8192, /* of a pass; a multiple of each pipeline */
	PASSES = 4,
	NAME_SIZE = 32,
	WORKERS = 2, /* cells of a counter */
};

static _Noreturn void die(const char *what)
{
	(void)fprintf(stderr, "hotpath: %s\n", what);
	exit(1);
}

/* ---- an io that takes everything at once ---- */

static int conn_start(struct io *io, struct io_conn *conn, int fd)
{
	(void)io;
	conn->fd = fd;
	return 0;
}

static void nothing(struct io *io, struct io_conn *conn)
{
	(void)io;
	(void)conn;
}

static void send_all(struct io *io, struct io_conn *conn, bool is_quiet)
{
	(void)io;
	(void)is_quiet;
	conn->send_done = conn->send_len;
}

static const struct io_ops ops = {
	.conn_start = conn_start,
	.recv_pause = nothing,
	.recv_resume = nothing,
	.send = send_all,
	.conn_close = nothing,
};

/* ---- a daemon of one worker ---- */

struct rig {
	struct server server;
	struct config config;
	struct worker workers[WORKERS];
	struct waker committer;
	struct io io;
	struct peer *peer;
	uint64_t replies; /* bytes */
};

static void rig_init(struct rig *r, enum cells_mode cells)
{
	struct client_address address = {.uid = (uid_t)-1};
	struct server *s = &r->server;

	memset(r, 0, sizeof(*r));
	config_init(&r->config);
	r->config.workers = WORKERS;
	r->config.cells = cells;
	r->io.ops = &ops;
	s->config = &r->config;
	s->workers = r->workers;
	s->worker_count = WORKERS;
	if (waker_init(&r->committer) || registry_init(&s->registry, &r->config.max_memory_bytes))
		die("out of memory");
	/* The order of the table must not change from run to run. */
	s->registry.key = (struct hash_key){.k0 = 1, .k1 = 2};
	epoch_clock_init(&s->clock, 1, &r->committer);
	client_directory_init(&s->clients);
	audit_init(&s->audit, &r->config);
	for (uint32_t i = 0; i < WORKERS; i++) {
		if (worker_init(&r->workers[i], s, i, -1))
			die("out of memory");
		r->workers[i].io = &r->io;
	}
	r->peer = peer_new(&r->workers[0], -1, &address, NULL);
	if (!r->peer)
		die("out of memory");
}

static void rig_fini(struct rig *r)
{
	peer_free(r->peer);
	for (uint32_t i = 0; i < WORKERS; i++)
		worker_fini(&r->workers[i]);
	client_directory_fini(&r->server.clients);
	registry_fini(&r->server.registry);
	waker_fini(&r->committer);
	config_fini(&r->config);
}

/* As a worker's turn does. */
static void deliver(struct rig *r, const char *data, size_t len)
{
	struct worker *w = &r->workers[0];
	struct peer *p = r->peer;

	peer_on_recv(p, data, len);
	while (!TAILQ_EMPTY(&w->flushing))
		peer_flush(TAILQ_FIRST(&w->flushing));
	r->replies += p->io.send_done;
	p->io.send_len = p->io.send_done = 0;
	peer_on_sent(p);
}

/* ---- requests ---- */

struct requests {
	char *bytes;
	size_t *ends; /* of each request in `bytes` */
	size_t len;
};

enum choice { ONE_KEY, ANY_KEY, EACH_KEY };

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* `count` requests COMMAND counter:NNNNNNNN [operand]. */
static struct requests make_requests(const char *command, const char *operand, enum choice choice,
				     size_t count)
{
	enum { REQUEST_SIZE = 128 };
	struct requests q = {.bytes = malloc(count * REQUEST_SIZE), .ends = malloc(count * sizeof(*q.ends))};
	uint64_t state = 1;

	if (!q.bytes || !q.ends)
		die("out of memory");
	for (size_t i = 0; i < count; i++) {
		uint64_t key = choice == ONE_KEY ? 0 : choice == ANY_KEY ? next_random(&state) % COUNTERS : i;
		char name[NAME_SIZE];
		int name_len = snprintf(name, sizeof(name), "counter:%08" PRIu64, key);
		int n = snprintf(q.bytes + q.len, REQUEST_SIZE, "*%d\r\n$%zu\r\n%s\r\n$%d\r\n%s\r\n",
				 operand ? 3 : 2, strlen(command), command, name_len, name);

		q.len += (size_t)n;
		if (operand)
			q.len += (size_t)snprintf(q.bytes + q.len, REQUEST_SIZE - (size_t)n, "$%zu\r\n%s\r\n",
						  strlen(operand), operand);
		q.ends[i] = q.len;
	}
	return q;
}

static void requests_fini(struct requests *q)
{
	free(q->bytes);
	free(q->ends);
}

static void send_requests(struct rig *r, const struct requests *q, size_t count, size_t pipeline)
{
	size_t begin = 0;

	for (size_t i = pipeline; i <= count; i += pipeline) {
		deliver(r, q->bytes + begin, q->ends[i - 1] - begin);
		begin = q->ends[i - 1];
	}
}

/* ---- scenarios ---- */

struct scenario {
	const char *name;
	const char *command, *operand;
	enum choice choice;
	size_t pipeline;
	enum cells_mode cells;
	void (*run)(struct rig *r, const struct requests *q, size_t pipeline);
};

#ifdef __clang__
#define OWN_FUNCTION __attribute__((noinline))
#else
#define OWN_FUNCTION __attribute__((noinline, noclone))
#endif

#define SCENARIO(NAME)                                                                                       \
	static OWN_FUNCTION void run_##NAME(struct rig *r, const struct requests *q, size_t pipeline)        \
	{                                                                                                    \
		for (int i = 0; i < PASSES; i++)                                                             \
			send_requests(r, q, REQUESTS, pipeline);                                             \
		__asm__ volatile(                                                                            \
			"" ::                                                                                \
				: "memory"); /* no call in the tail: the costs would be the caller's */      \
	}

SCENARIO(incr_one_p1)
SCENARIO(incr_one_p16)
SCENARIO(incr_one_p128)
SCENARIO(incr_any_p1)
SCENARIO(incr_any_p16)
SCENARIO(incr_any_p128)
SCENARIO(incrby_any_p16)
SCENARIO(get_any_p16)
SCENARIO(set_any_p16)
SCENARIO(add_any_p16)
SCENARIO(add_cells_p16)

static const struct scenario scenarios[] = {
	{"incr_one_p1", "INCR", NULL, ONE_KEY, 1, CELLS_AUTO, run_incr_one_p1},
	{"incr_one_p16", "INCR", NULL, ONE_KEY, 16, CELLS_AUTO, run_incr_one_p16},
	{"incr_one_p128", "INCR", NULL, ONE_KEY, 128, CELLS_AUTO, run_incr_one_p128},
	{"incr_any_p1", "INCR", NULL, ANY_KEY, 1, CELLS_AUTO, run_incr_any_p1},
	{"incr_any_p16", "INCR", NULL, ANY_KEY, 16, CELLS_AUTO, run_incr_any_p16},
	{"incr_any_p128", "INCR", NULL, ANY_KEY, 128, CELLS_AUTO, run_incr_any_p128},
	{"incrby_any_p16", "INCRBY", "25", ANY_KEY, 16, CELLS_AUTO, run_incrby_any_p16},
	{"get_any_p16", "GET", NULL, ANY_KEY, 16, CELLS_AUTO, run_get_any_p16},
	{"set_any_p16", "SET", "12345", ANY_KEY, 16, CELLS_AUTO, run_set_any_p16},
	{"add_any_p16", "SHC.ADD", "25", ANY_KEY, 16, CELLS_AUTO, run_add_any_p16},
	{"add_cells_p16", "SHC.ADD", "25", ANY_KEY, 16, CELLS_ALWAYS, run_add_cells_p16},
};

enum { SCENARIOS = sizeof(scenarios) / sizeof(scenarios[0]) };

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void run(const struct scenario *s)
{
	struct rig *r = malloc(sizeof(*r));
	struct requests make = make_requests("SHC.ADD", "1000000", EACH_KEY, COUNTERS);
	struct requests q = make_requests(s->command, s->operand, s->choice, REQUESTS);
	uint64_t begin;

	if (!r)
		die("out of memory");
	rig_init(r, s->cells);
	send_requests(r, &make, COUNTERS, 16);
	send_requests(r, &q, REQUESTS, s->pipeline); /* warm */
	begin = now_ns();
	s->run(r, &q, s->pipeline);
	printf("%-16s %d requests, %.1f ns each\n", s->name, REQUESTS * PASSES,
	       (double)(now_ns() - begin) / (REQUESTS * PASSES));
	if (atomic_load(&r->workers[0].stats.errors) || r->replies < (uint64_t)REQUESTS * (PASSES + 1) * 4)
		die("an error, or replies are missing");
	rig_fini(r);
	requests_fini(&make);
	requests_fini(&q);
	free(r);
}

int main(int argc, char **argv)
{
	bool is_found = false;

	for (size_t i = 0; i < SCENARIOS; i++) {
		if (argc > 1 && strcmp(argv[1], scenarios[i].name) != 0)
			continue;
		run(&scenarios[i]);
		is_found = true;
	}
	if (!is_found)
		die("no such scenario");
	return 0;
}
