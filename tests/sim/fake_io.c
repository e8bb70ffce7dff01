/* SPDX-License-Identifier: MIT */
/*
 * fake_io.c - in the place of io_uring.c, io_epoll.c and ring.c: a backend of io.h on connections in memory
 * (net.h). Everything that io.h allows comes here by chance: a request in pieces, events that wait for the
 * next turn, short sends, a wait that returns for nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "../../daemon/io_backend.h"
#include "../../daemon/server.h"
#include "net.h"
#include "replaced.h"
#include "sim.h"

enum {
	RECV_BYTES_MAX = 4096,
	WINDOW_BYTES = 8192, /* a client that reads nothing takes so many */
	EVENTS_A_TURN = 12,
	CONNS_A_TURN = 64,
};

struct bytes {
	char *data;
	size_t len, cap, head;
};

struct net_conn {
	TAILQ_ENTRY(net_conn) link;
	int fd;
	void *arg;
	struct bytes up, down; /* to the daemon, to the client */
	bool is_shut, is_reset, is_ended, is_forgotten;
	/* the daemon's end */
	struct io *io; /* null: not started, or over */
	struct io_conn *conn;
	bool is_paused, is_eof_told, is_failed_told, is_closing, is_quiet;
};

/* The backend's own; in the daemon's memory. */
struct fake_io {
	struct io io; /* first */
	int wake_fd;
	uint64_t wakes_told;
	unsigned events_left; /* this turn */
	char data[RECV_BYTES_MAX];
};

static TAILQ_HEAD(, net_conn) conns = TAILQ_HEAD_INITIALIZER(conns);
static int fd_next = SIM_CONN_FD_FIRST;
static net_left_fn *on_left;
static struct server *server;

/* ---- bytes ---- */

static void bytes_add(struct bytes *b, const char *data, size_t len)
{
	if (b->len + len > b->cap) {
		b->cap = (b->len + len) * 2;
		b->data = realloc(b->data, b->cap);
		sim_check(b->data, "out of memory");
	}
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

static size_t bytes_count(const struct bytes *b)
{
	return b->len - b->head;
}

static void bytes_take(struct bytes *b, size_t len)
{
	b->head += len;
	if (b->head == b->len)
		b->head = b->len = 0;
}

/* ---- the clients' end ---- */

void net_init(net_left_fn *fn)
{
	on_left = fn;
}

static void conn_free(struct net_conn *c)
{
	TAILQ_REMOVE(&conns, c, link);
	free(c->up.data);
	free(c->down.data);
	free(c);
}

static void free_if_over(struct net_conn *c)
{
	if (c->is_forgotten && c->is_ended && !c->io)
		conn_free(c);
}

void net_crash(void)
{
	struct net_conn *c, *next;

	server = NULL;
	for (c = TAILQ_FIRST(&conns); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (bytes_count(&c->down) && sim_one_in(2))
			c->down.len = c->down.head + sim_below((uint32_t)bytes_count(&c->down) + 1);
		c->io = NULL;
		c->conn = NULL;
		c->is_ended = true;
		free_if_over(c);
	}
}

void net_fini(void)
{
	while (!TAILQ_EMPTY(&conns))
		conn_free(TAILQ_FIRST(&conns));
	fd_next = SIM_CONN_FD_FIRST;
}

bool net_is_accepting(void)
{
	return server != NULL;
}

struct server *net_server(void)
{
	return server;
}

/* Where connections come from. Each has more clients than there will be: nobody joins for one that comes, as
 * the acceptor does, since that takes a mutex that a thread of the daemon may hold. */
enum { SOURCES = 2, CLIENTS_MANY = 1 << 20 };
static struct source *sources[SOURCES];

struct net_conn *net_connect(void *arg)
{
	struct net_conn *c = calloc(1, sizeof(*c));
	struct handoff *h = sim_daemon_calloc(sizeof(*h));
	struct worker *w = &server->workers[sim_below(server->worker_count)];

	sim_check(c, "out of memory");
	c->fd = fd_next++;
	c->arg = arg;
	TAILQ_INSERT_TAIL(&conns, c, link);
	h->fd = c->fd;
	h->address.uid = (uid_t)-1;
	h->source = sources[sim_below(SOURCES)];
	atomic_fetch_add_explicit(&w->stats.peers, 1, memory_order_relaxed);
	worker_give(w, h);
	return c;
}

void net_send(struct net_conn *c, const char *data, size_t len)
{
	if (!c->is_ended && !c->is_reset)
		bytes_add(&c->up, data, len);
}

size_t net_received(struct net_conn *c, const char **data)
{
	*data = c->down.data + c->down.head;
	return bytes_count(&c->down);
}

void net_take(struct net_conn *c, size_t len)
{
	bytes_take(&c->down, len);
}

void net_shutdown(struct net_conn *c)
{
	c->is_shut = true;
}

void net_reset(struct net_conn *c)
{
	c->is_reset = true;
	/* What has arrived may still be read by the daemon, or not. */
	if (sim_one_in(2))
		c->up.len = c->up.head;
}

bool net_is_ended(const struct net_conn *c)
{
	return c->is_ended;
}

void net_forget(struct net_conn *c)
{
	c->is_forgotten = true;
	free_if_over(c);
}

/* ---- the kernel ---- */

static bool is_send_failed(const struct net_conn *c)
{
	return c->is_reset;
}

static bool is_sent(const struct net_conn *c)
{
	return c->conn->send_len && c->conn->send_done == c->conn->send_len;
}

static void move_some(struct net_conn *c)
{
	struct io_conn *conn = c->conn;
	size_t left, n;

	if (!c->io || c->is_closing || !conn->send_len || is_send_failed(c) ||
	    bytes_count(&c->down) >= WINDOW_BYTES)
		return;
	left = conn->send_len - conn->send_done;
	if (!left)
		return;
	n = sim_one_in(4) ? 1 + sim_below((uint32_t)left) : left;
	if (n > WINDOW_BYTES)
		n = WINDOW_BYTES;
	bytes_add(&c->down, conn->send_data + conn->send_done, n);
	conn->send_done += n;
}

void net_step(void)
{
	struct net_conn *c;

	TAILQ_FOREACH (c, &conns, link)
		if (c->io && sim_one_in(2))
			move_some(c);
}

/* ---- events ---- */

static bool may_fail(const struct net_conn *c)
{
	return c->is_reset && !c->is_failed_told && (bytes_count(&c->up) == 0 || c->conn->send_len);
}

/* What ends a wait. Quiet sends do not: they are told when it has ended. */
static bool has_event(const struct net_conn *c)
{
	if (c->is_closing)
		return true;
	if (is_sent(c) && !c->is_quiet)
		return true;
	if (c->is_failed_told)
		return false;
	if (may_fail(c) || (bytes_count(&c->up) && !c->is_paused))
		return true;
	return c->is_shut && !c->is_eof_told && bytes_count(&c->up) == 0;
}

static bool is_ready(void *arg)
{
	struct fake_io *f = arg;
	struct net_conn *c;

	if (sim_eventfd_count(f->wake_fd) != f->wakes_told)
		return true;
	TAILQ_FOREACH (c, &conns, link)
		if (c->io == &f->io && has_event(c))
			return true;
	return false;
}

static bool tell(struct io_event *out, enum io_event_type type, struct net_conn *c)
{
	*out = (struct io_event){.type = type, .conn = c->conn};
	return true;
}

static bool tell_sent(struct net_conn *c, struct io_event *out)
{
	c->conn->send_len = 0;
	return tell(out, IO_SENT, c);
}

static bool tell_recv(struct fake_io *f, struct net_conn *c, struct io_event *out)
{
	size_t len = bytes_count(&c->up);

	if (len > RECV_BYTES_MAX)
		len = RECV_BYTES_MAX;
	if (sim_one_in(3))
		len = 1 + sim_below((uint32_t)len);
	memset(f->data, 0xa5, sizeof(f->data));
	memcpy(f->data, c->up.data + c->up.head, len);
	bytes_take(&c->up, len);
	tell(out, IO_RECV, c);
	out->data = f->data;
	out->len = len;
	return true;
}

static bool tell_closed(struct net_conn *c, struct io_event *out)
{
	tell(out, IO_CLOSED, c);
	c->io = NULL;
	c->conn = NULL;
	free_if_over(c);
	return true;
}

static bool tell_of(struct fake_io *f, struct net_conn *c, struct io_event *out)
{
	if (c->is_closing)
		return tell_closed(c, out);
	if (is_sent(c) && !c->is_quiet)
		return tell_sent(c, out);
	if (may_fail(c)) {
		c->is_failed_told = true;
		tell(out, IO_FAILED, c);
		out->error = c->conn->send_len && sim_one_in(2) ? EPIPE : ECONNRESET;
		return true;
	}
	if (bytes_count(&c->up) && !c->is_paused)
		return tell_recv(f, c, out);
	c->is_eof_told = true;
	return tell(out, IO_EOF, c);
}

/* ---- the backend ---- */

static struct net_conn *find(const struct io_conn *conn)
{
	struct net_conn *c;

	TAILQ_FOREACH (c, &conns, link)
		if (c->io && c->conn == conn)
			return c;
	sim_fail("an io_conn that io does not have");
}

static struct io *fake_free(struct io *io)
{
	struct net_conn *c;

	TAILQ_FOREACH (c, &conns, link)
		sim_check(c->io != io, "io_free with a connection");
	sim_free(io);
	return NULL;
}

static int fake_conn_start(struct io *io, struct io_conn *conn, int fd)
{
	struct net_conn *c;

	TAILQ_FOREACH (c, &conns, link)
		if (c->fd == fd)
			break;
	sim_check(c && !c->io, "io_conn_start of descriptor %d", fd);
	c->io = io;
	c->conn = conn;
	conn->fd = fd;
	return 0;
}

static void fake_recv_pause(struct io *io, struct io_conn *conn)
{
	(void)io;
	find(conn)->is_paused = true;
}

static void fake_recv_resume(struct io *io, struct io_conn *conn)
{
	(void)io;
	find(conn)->is_paused = false;
}

static void fake_send(struct io *io, struct io_conn *conn, bool is_quiet)
{
	struct net_conn *c = find(conn);
	int fiber;

	sim_check(c->io == io && !c->is_closing, "io_send on a connection that is closed, or another's");
	c->is_quiet = is_quiet;
	fiber = sim_step_out();
	if (!c->is_forgotten)
		on_left(c->arg, conn->send_data, conn->send_len);
	move_some(c);
	sim_step_in(fiber);
}

static void fake_conn_close(struct io *io, struct io_conn *conn)
{
	struct net_conn *c = find(conn);

	sim_check(c->io == io && !c->is_closing, "io_conn_close twice, or of another's");
	c->is_closing = c->is_ended = true;
}

static int fake_wait(struct io *io, int64_t timeout_ns)
{
	struct fake_io *f = (struct fake_io *)(void *)io;
	struct net_conn *c;

	TAILQ_FOREACH (c, &conns, link)
		if (c->io == io)
			move_some(c);
	sim_point();
	f->events_left = 0;
	if (sim_one_in(100))
		return 0; /* a signal */
	if (timeout_ns != 0)
		(void)sim_sleep(is_ready, f, timeout_ns < 0 ? -1 : sim_now_ns() + timeout_ns);
	f->events_left = 1 + sim_below(EVENTS_A_TURN);
	return 0;
}

static bool fake_next(struct io *io, struct io_event *out)
{
	struct fake_io *f = (struct fake_io *)(void *)io;
	struct net_conn *able[CONNS_A_TURN], *c, *quiet = NULL;
	uint32_t count = 0;

	sim_point();
	if (!f->events_left)
		return false;
	TAILQ_FOREACH (c, &conns, link) {
		if (c->io != io)
			continue;
		if (has_event(c) && count < CONNS_A_TURN)
			able[count++] = c;
		if (!c->is_closing && is_sent(c) && c->is_quiet)
			quiet = c;
	}
	if (quiet)
		return tell_sent(quiet, out);
	f->events_left--;
	if (sim_eventfd_count(f->wake_fd) != f->wakes_told && sim_one_in(count + 1)) {
		f->wakes_told = sim_eventfd_count(f->wake_fd);
		*out = (struct io_event){.type = IO_WAKE};
		return true;
	}
	return count && tell_of(f, able[sim_below(count)], out);
}

static int fake_new(struct io **out, const struct io_options *options)
{
	static const struct io_ops ops = {
		.free = fake_free,
		.conn_start = fake_conn_start,
		.recv_pause = fake_recv_pause,
		.recv_resume = fake_recv_resume,
		.send = fake_send,
		.conn_close = fake_conn_close,
		.wait = fake_wait,
		.next = fake_next,
	};
	struct fake_io *f = sim_calloc(1, sizeof(*f));

	f->io.ops = &ops;
	f->wake_fd = options->wake_fd;
	f->wakes_told = sim_eventfd_count(f->wake_fd);
	*out = &f->io;
	return 0;
}

int uring_new(struct io **out, const struct io_options *options)
{
	return fake_new(out, options);
}

int epoll_new(struct io **out, const struct io_options *options)
{
	return fake_new(out, options);
}

/* A descriptor that no io took. */
void sim_conn_close(int fd)
{
	struct net_conn *c;

	TAILQ_FOREACH (c, &conns, link)
		if (c->fd == fd && !c->io)
			c->is_ended = true;
}

bool sim_conn_is_reset(int fd)
{
	const struct net_conn *c;

	TAILQ_FOREACH (c, &conns, link)
		if (c->fd == fd)
			return c->is_reset;
	return false;
}

/* ---- in the place of the acceptor ---- connections are handed over by net_connect */

int acceptor_open(struct acceptor *a, struct server *s, char *why, size_t why_size)
{
	(void)why, (void)why_size;
	for (uint8_t i = 0; i < SOURCES; i++) {
		const struct client_address address = {
			.uid = (uid_t)-1, .net_len = CLIENT_NET_V4, .net = {127, 0, 0, i}};
		struct source_key key;

		source_key_of_address(&address, &key);
		if (sources_join(&s->sources, &key, 0, 0, &sources[i]))
			return EXIT_FAILURE;
		sources[i]->clients += CLIENTS_MANY;
	}
	a->server = s;
	a->is_open = true;
	return 0;
}

bool acceptor_name_inherited(int count, char *out, size_t size)
{
	(void)count, (void)out, (void)size;
	return false;
}

int acceptor_start(struct acceptor *a)
{
	server = a->server;
	return 0;
}

void acceptor_stop(struct acceptor *a)
{
	(void)a;
	server = NULL;
}
