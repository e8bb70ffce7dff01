/* SPDX-License-Identifier: MIT */
/*
 * io_epoll.c - the io over epoll, for places that refuse io_uring.
 *
 * Edge-triggered: a connection is registered once, and what an edge said is kept in its flags until a call
 * says that it is used up (a short read, EAGAIN). So a paused connection costs no system call and does not
 * spin. EPOLLOUT is asked for only while a send waits for room: as an edge it would fire each time the peer
 * reads a reply.
 *
 * Connections with something to tell stand in `now`, those that have had their turn and have more to read in
 * `later`, which is the next round's: nobody is read from twice in a round.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io_backend.h"

#define EVENTS_MAX 256
#define BUF_SIZE   65536u
#define NS_PER_MS  1000000
#define WAKE_DATA  UINT64_MAX /* no slot has this number */

#define ERROR_SHIFT 16 /* the upper half of conn->flags: errno of a send, until it is told */

enum flag {
	FLAG_PAUSED = 1u << 0,	 /* the owner wants no data */
	FLAG_CLOSING = 1u << 1,	 /* io_conn_close was called */
	FLAG_ENDED = 1u << 2,	 /* nothing will come in any more */
	FLAG_FAILED = 1u << 3,	 /* IO_FAILED was told */
	FLAG_READABLE = 1u << 4, /* there may be bytes to read */
	FLAG_HUP = 1u << 5,	 /* the end stands behind them */
	FLAG_OUT = 1u << 6,	 /* EPOLLOUT is asked for: a send waits for room */
	FLAG_SENT = 1u << 7,	 /* IO_SENT is to be told */
	FLAG_LISTED = 1u << 8,	 /* in `now` or in `later` */
};

struct epoll {
	struct io base;
	int epoll_fd;
	int wake_fd;
	struct io_slots slots;
	struct io_list now;
	struct io_list later;
	bool is_urgent; /* `now` has more than quiet sends: do not sleep */
	bool is_woken;
	struct epoll_event events[EVENTS_MAX];
	char buf[BUF_SIZE];
};

static struct epoll *epoll_of(struct io *io)
{
	return (struct epoll *)io;
}

static void list_push(struct epoll *e, struct io_list *list, struct io_conn *conn)
{
	if (conn->flags & FLAG_LISTED)
		return;
	conn->flags |= FLAG_LISTED;
	io_list_push(list, &e->slots, conn);
}

static int epoll_ask(const struct epoll *e, const struct io_conn *conn, int op, uint32_t more)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET | more,
				    .data.u64 = (uint64_t)conn->generation << 32 | conn->slot};

	return epoll_ctl(e->epoll_fd, op, conn->fd, &event) < 0 ? -errno : 0;
}

static bool conn_fail(struct io_conn *conn, int error, struct io_event *out)
{
	if (conn->flags & FLAG_FAILED)
		return false;
	conn->flags |= FLAG_FAILED;
	(void)io_event(out, IO_FAILED, conn);
	out->error = error;
	return true;
}

/* -- sending -- */

static int error_of(const struct io_conn *conn)
{
	return (int)(conn->flags >> ERROR_SHIFT);
}

static void error_set(struct io_conn *conn, int error)
{
	conn->flags |= (uint32_t)error << ERROR_SHIFT;
}

/* Asks for EPOLLOUT, or no longer. The edge comes also when there is room already. */
static void out_ask(const struct epoll *e, struct io_conn *conn, bool is_wanted)
{
	int ret;

	if (((conn->flags & FLAG_OUT) != 0) == is_wanted)
		return;
	ret = epoll_ask(e, conn, EPOLL_CTL_MOD, is_wanted ? (uint32_t)EPOLLOUT : 0);
	if (ret < 0)
		error_set(conn, -ret);
	conn->flags ^= FLAG_OUT;
}

/* Gives the kernel what it takes. Ends with FLAG_SENT, with an error set, or waiting for room. */
static void send_more(const struct epoll *e, struct io_conn *conn)
{
	while (conn->send_done < conn->send_len) {
		ssize_t n = send(conn->fd, conn->send_data + conn->send_done,
				 conn->send_len - conn->send_done, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n >= 0) {
			conn->send_done += (size_t)n;
		} else if (errno == EAGAIN) {
			out_ask(e, conn, true);
			return;
		} else if (errno != EINTR) {
			error_set(conn, errno);
			return;
		}
	}
	conn->flags |= FLAG_SENT;
	out_ask(e, conn, false);
}

static void epoll_send(struct io *io, struct io_conn *conn, bool is_quiet)
{
	struct epoll *e = epoll_of(io);

	assert(!(conn->flags & FLAG_CLOSING));
	send_more(e, conn);
	if (!(conn->flags & FLAG_SENT) && error_of(conn) == 0)
		return;
	list_push(e, &e->now, conn);
	if (!is_quiet || error_of(conn))
		e->is_urgent = true;
}

/* -- receiving -- */

static bool recv_end(struct io_conn *conn, int error, struct io_event *out)
{
	conn->flags |= FLAG_ENDED;
	conn->flags &= ~(unsigned)(FLAG_READABLE | FLAG_HUP);
	return error == 0 ? io_event(out, IO_EOF, conn) : conn_fail(conn, error, out);
}

/* While paused: is there nothing but the end? Behind unread bytes it is told after them. */
static bool recv_peek(struct io_conn *conn, struct io_event *out)
{
	char byte;
	ssize_t n = recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return false;
	return recv_end(conn, n < 0 ? errno : 0, out);
}

static bool recv_take(struct epoll *e, struct io_conn *conn, struct io_event *out)
{
	ssize_t n;

	do
		n = recv(conn->fd, e->buf, BUF_SIZE, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN) {
		conn->flags &= ~(unsigned)(FLAG_READABLE | FLAG_HUP);
		return false;
	}
	if (n <= 0)
		return recv_end(conn, n < 0 ? errno : 0, out);
	/* A short read has emptied the socket: what comes later makes a new edge. The end that stood behind
	 * it will not. */
	if ((size_t)n < BUF_SIZE && !(conn->flags & FLAG_HUP))
		conn->flags &= ~(unsigned)FLAG_READABLE;
	else
		list_push(e, &e->later, conn);
	(void)io_event(out, IO_RECV, conn);
	out->data = e->buf;
	out->len = (size_t)n;
	return true;
}

/* -- events -- */

static bool conn_next(struct epoll *e, struct io_conn *conn, struct io_event *out)
{
	int error = error_of(conn);

	if (conn->flags & FLAG_CLOSING) {
		(void)close(conn->fd);
		conn->fd = -1;
		io_slots_put(&e->slots, conn);
		return io_event(out, IO_CLOSED, conn);
	}
	if (error && conn_fail(conn, error, out))
		return true;
	if (conn->flags & FLAG_SENT) {
		conn->flags &= ~(unsigned)FLAG_SENT;
		conn->send_len = 0;
		if (conn->flags & FLAG_READABLE)
			list_push(e, &e->now, conn);
		return io_event(out, IO_SENT, conn);
	}
	if (!(conn->flags & FLAG_READABLE) || (conn->flags & FLAG_ENDED))
		return false;
	if (!(conn->flags & FLAG_PAUSED))
		return recv_take(e, conn, out);
	return (conn->flags & FLAG_HUP) && recv_peek(conn, out);
}

static bool epoll_next(struct io *io, struct io_event *out)
{
	struct epoll *e = epoll_of(io);

	if (e->is_woken) {
		e->is_woken = false;
		return io_event(out, IO_WAKE, NULL);
	}
	while (!io_list_is_empty(&e->now)) {
		struct io_conn *conn = io_list_pop(&e->now, &e->slots);

		conn->flags &= ~(unsigned)FLAG_LISTED;
		if (conn_next(e, conn, out))
			return true;
	}
	e->is_urgent = false;
	return false;
}

static void edge_take(struct epoll *e, const struct epoll_event *event)
{
	struct io_conn *conn;

	if (event->data.u64 == WAKE_DATA) {
		e->is_woken = true;
		return;
	}
	conn = io_slots_find(&e->slots, (uint32_t)event->data.u64, (uint32_t)(event->data.u64 >> 32));
	if (!conn)
		return;
	if (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		conn->flags |= FLAG_READABLE;
	if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		conn->flags |= FLAG_HUP;
	if ((conn->flags & (FLAG_OUT | FLAG_CLOSING)) == FLAG_OUT && error_of(conn) == 0 &&
	    (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR)))
		send_more(e, conn);
	list_push(e, &e->now, conn);
}

/* Rounded up: a timer that ends early would make its owner come back for nothing. */
static int timeout_ms(int64_t timeout_ns)
{
	if (timeout_ns < 0)
		return -1;
	if (timeout_ns / NS_PER_MS >= INT_MAX)
		return INT_MAX;
	return (int)((timeout_ns + NS_PER_MS - 1) / NS_PER_MS);
}

static int epoll_wait_io(struct io *io, int64_t timeout_ns)
{
	struct epoll *e = epoll_of(io);
	struct io_conn *conn;
	int count;

	if (e->is_urgent || e->is_woken || !io_list_is_empty(&e->later))
		timeout_ns = 0;
	count = epoll_wait(e->epoll_fd, e->events, EVENTS_MAX, timeout_ms(timeout_ns));
	if (count < 0 && errno != EINTR)
		return -errno;
	for (int i = 0; i < count; i++)
		edge_take(e, &e->events[i]);
	while ((conn = io_list_pop(&e->later, &e->slots)) != NULL)
		io_list_push(&e->now, &e->slots, conn);
	return 0;
}

/* -- what the owner asks for -- */

static int epoll_conn_start(struct io *io, struct io_conn *conn, int fd)
{
	struct epoll *e = epoll_of(io);
	int ret;

	ret = io_slots_take(&e->slots, conn);
	if (ret < 0)
		return ret;
	conn->fd = fd;
	conn->flags = 0;
	conn->in_flight = 0;
	ret = epoll_ask(e, conn, EPOLL_CTL_ADD, 0);
	if (ret < 0)
		io_slots_put(&e->slots, conn);
	return ret;
}

static void epoll_recv_pause(struct io *io, struct io_conn *conn)
{
	(void)io;
	conn->flags |= FLAG_PAUSED;
	/* An end that is known already is told from here on only by a look at the socket. */
	if (conn->flags & FLAG_HUP)
		list_push(epoll_of(io), &epoll_of(io)->later, conn);
}

static void epoll_recv_resume(struct io *io, struct io_conn *conn)
{
	conn->flags &= ~(unsigned)FLAG_PAUSED;
	if (conn->flags & FLAG_READABLE)
		list_push(epoll_of(io), &epoll_of(io)->later, conn);
}

/* Nothing is ever in flight here: only the telling is left. */
static void epoll_conn_close(struct io *io, struct io_conn *conn)
{
	struct epoll *e = epoll_of(io);

	assert(!(conn->flags & FLAG_CLOSING));
	conn->flags |= FLAG_CLOSING;
	(void)shutdown(conn->fd, SHUT_RDWR);
	list_push(e, &e->now, conn);
	e->is_urgent = true;
}

/* -- making and freeing -- */

static struct io *epoll_free(struct io *io)
{
	struct epoll *e = epoll_of(io);

	if (e->epoll_fd >= 0)
		(void)close(e->epoll_fd);
	io_slots_fini(&e->slots);
	free(e);
	return NULL;
}

static const struct io_ops epoll_ops = {
	.free = epoll_free,
	.conn_start = epoll_conn_start,
	.recv_pause = epoll_recv_pause,
	.recv_resume = epoll_recv_resume,
	.send = epoll_send,
	.conn_close = epoll_conn_close,
	.wait = epoll_wait_io,
	.next = epoll_next,
};

static int epoll_open(struct epoll *e)
{
	/* An edge for each write, whether the counter is read or not. */
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = WAKE_DATA};

	e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (e->epoll_fd < 0)
		return -errno;
	return epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, e->wake_fd, &event) < 0 ? -errno : 0;
}

int epoll_new(struct io **out, const struct io_options *options)
{
	struct epoll *e = malloc(sizeof(*e)); /* not calloc: pages of buf that are not used yet stay away */
	int ret;

	if (!e)
		return -ENOMEM;
	e->base.ops = &epoll_ops;
	e->wake_fd = options->wake_fd;
	e->is_urgent = false;
	e->is_woken = false;
	io_slots_init(&e->slots);
	io_list_init(&e->now, IO_LINK_READY);
	io_list_init(&e->later, IO_LINK_READY);
	ret = epoll_open(e);
	if (ret < 0) {
		epoll_free(&e->base);
		return ret;
	}
	*out = &e->base;
	return 0;
}
