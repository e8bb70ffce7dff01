/* SPDX-License-Identifier: MIT */
/*
 * io_uring.c - the io over a ring (ring.h): what each connection has in flight, and what its completions
 * mean.
 *
 * Receiving is one multishot request per connection. What of it the kernel should hold follows from the
 * connection's flags alone: recv_update() compares and queues what is missing, and every change of state
 * (pause, resume, end, close, a request that came back) ends there.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "io_backend.h"
#include "ring.h"

#define NS_PER_S 1000000000
#define STARVED_ROUND_MAX                                                                                    \
	(RING_BUF_COUNT / 2)	/* re-armed at once: more would only come back empty-handed                  \
				 */
#define TRY_SEND_MAX (1u << 20) /* bytes for which a send may hope to be taken at once */
#define SWEEP_NS     (NS_PER_S / 5)
#define SWEEP_BATCH  64

/* What a completion is about: the top 8 bits of user data, above 24 of generation and 32 of slot. */
enum op { OP_RECV = 1, OP_SEND, OP_POLL, OP_CANCEL, OP_WAKE };

enum flag {
	FLAG_PAUSED = 1u << 0,	    /* the owner wants no data */
	FLAG_CLOSING = 1u << 1,	    /* io_conn_close was called */
	FLAG_ENDED = 1u << 2,	    /* nothing will come in any more */
	FLAG_FAILED = 1u << 3,	    /* IO_FAILED was told */
	FLAG_RECV = 1u << 4,	    /* a multishot recv is with the kernel */
	FLAG_RECV_CANCEL = 1u << 5, /* ... and is being cancelled */
	FLAG_POLL = 1u << 6,	    /* a poll for the end is with the kernel (while paused) */
	FLAG_POLL_CANCEL = 1u << 7, /* ... and is being cancelled */
	FLAG_POLLED = 1u << 8,	    /* it found the end, behind unread bytes */
	FLAG_STARVED = 1u << 9,	    /* in `starved` */
	FLAG_SEND = 1u << 10,	    /* a send is with the kernel */
	FLAG_TRYING = 1u << 11,	    /* ... which says nothing when it succeeds */
	FLAG_IN_TRIES = 1u << 12,   /* in `tries` */
	FLAG_SENT = 1u << 13,	    /* IO_SENT is to be told */
	FLAG_READY = 1u << 14,	    /* in `ready` */
	FLAG_UNSWEPT = 1u << 15,    /* has received since the last sweep */
};

struct uring {
	struct io base;
	struct ring *ring;
	struct io_slots slots;
	struct io_list ready;	/* have an event that no completion carries: IO_SENT of a try, IO_CLOSED */
	struct io_list tries;	/* sends that succeed silently; a place in it counts as in flight */
	struct io_list starved; /* came back for want of a buffer; a place in it counts as in flight */
	int buf_held;		/* the buffer of the event told last */
	int error;		/* of the wake-up poll; the next wait says so */
	int wake_fd;
	bool is_hurried;      /* a connection is closing with a silent send: do not sleep on it */
	bool is_unswept;      /* some connection is, and the kernel loses ends of file */
	int64_t sweep_due_ns; /* 0: none */
};

static struct uring *uring_of(struct io *io)
{
	return (struct uring *)io;
}

static uint64_t data_of(enum op op, const struct io_conn *conn)
{
	return (uint64_t)op << 56 | (uint64_t)conn->generation << 32 | conn->slot;
}

static enum op op_of(uint64_t data)
{
	return (enum op)(data >> 56);
}

static struct io_conn *conn_of(const struct uring *u, uint64_t data)
{
	return io_slots_find(&u->slots, (uint32_t)data, (uint32_t)(data >> 32) & IO_GENERATION_MASK);
}

static void held_return(struct uring *u)
{
	if (u->buf_held != RING_BUF_NONE)
		ring_buf_return(u->ring, u->buf_held);
	u->buf_held = RING_BUF_NONE;
}

/* -- a connection's requests -- */

static void ready_push(struct uring *u, struct io_conn *conn)
{
	if (conn->flags & FLAG_READY)
		return;
	conn->flags |= FLAG_READY;
	io_list_push(&u->ready, &u->slots, conn);
}

/* Notes an operation that was queued. When it was not the ring is broken, and the owner will learn it. */
static void started(struct io_conn *conn, bool is_queued, enum flag flag)
{
	if (!is_queued)
		return;
	conn->in_flight++;
	conn->flags |= flag;
}

static void ended(struct io_conn *conn, unsigned flags)
{
	assert(conn->in_flight > 0);
	conn->in_flight--;
	conn->flags &= ~flags;
}

static void cancel(struct uring *u, struct io_conn *conn, enum op op, enum flag flag)
{
	started(conn, ring_cancel(u->ring, data_of(op, conn), data_of(OP_CANCEL, conn)), flag);
}

/* Brings what the kernel holds of conn's receiving side to what the flags ask for. Operations are executed in
 * order, so a cancel never hits a request that was queued behind it. */
static void recv_update(struct uring *u, struct io_conn *conn)
{
	uint32_t flags = conn->flags;
	bool is_over = (flags & (FLAG_ENDED | FLAG_CLOSING)) != 0;
	bool wants_recv = !is_over && !(flags & FLAG_PAUSED);
	bool wants_poll = !is_over && (flags & FLAG_PAUSED) && !(flags & (FLAG_RECV | FLAG_POLLED));

	if (wants_recv && !(flags & (FLAG_RECV | FLAG_STARVED)))
		started(conn, ring_recv(u->ring, conn->fd, data_of(OP_RECV, conn)), FLAG_RECV);
	if (!wants_recv && (flags & (FLAG_RECV | FLAG_RECV_CANCEL)) == FLAG_RECV)
		cancel(u, conn, OP_RECV, FLAG_RECV_CANCEL);
	if (wants_poll && !(flags & FLAG_POLL))
		started(conn, ring_poll(u->ring, conn->fd, POLLRDHUP, data_of(OP_POLL, conn)), FLAG_POLL);
	if (!wants_poll && (flags & (FLAG_POLL | FLAG_POLL_CANCEL)) == FLAG_POLL)
		cancel(u, conn, OP_POLL, FLAG_POLL_CANCEL);
}

static void send_start(struct uring *u, struct io_conn *conn, bool is_try)
{
	started(conn,
		ring_send(u->ring, conn->fd, conn->send_data + conn->send_done,
			  conn->send_len - conn->send_done, is_try, data_of(OP_SEND, conn)),
		FLAG_SEND);
}

/* A try posts no completion when all was taken, and has ended when the entry that submitted it returns: no
 * completion then means done. A posted one would wake us out of that same entry for nothing. */
static void try_start(struct uring *u, struct io_conn *conn)
{
	send_start(u, conn, true);
	if (!(conn->flags & FLAG_SEND))
		return;
	conn->flags |= FLAG_TRYING;
	if (conn->flags & FLAG_IN_TRIES)
		return;
	started(conn, true, FLAG_IN_TRIES);
	io_list_push(&u->tries, &u->slots, conn);
}

/* Frees what is closing and has nothing in flight. True with IO_CLOSED in out. */
static bool close_finish(struct uring *u, struct io_conn *conn, struct io_event *out)
{
	if (!(conn->flags & FLAG_CLOSING) || conn->in_flight > 0)
		return false;
	/* `ready` is emptied before completions are taken, and whoever stands in it has none to come. */
	assert(!(conn->flags & FLAG_READY));
	(void)close(conn->fd);
	conn->fd = -1;
	io_slots_put(&u->slots, conn);
	return io_event(out, IO_CLOSED, conn);
}

/* The same where no event can be told. */
static void close_later(struct uring *u, struct io_conn *conn)
{
	if ((conn->flags & FLAG_CLOSING) && conn->in_flight == 0)
		ready_push(u, conn);
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

/* -- completions -- */

static bool recv_data(struct uring *u, struct io_conn *conn, int len, struct io_event *out)
{
	assert(u->buf_held != RING_BUF_NONE);
	if (ring_loses_eof(u->ring)) {
		conn->flags |= FLAG_UNSWEPT;
		u->is_unswept = true;
	}
	(void)io_event(out, IO_RECV, conn);
	out->data = ring_buf(u->ring, u->buf_held);
	out->len = (size_t)len;
	return true;
}

static bool recv_end(struct uring *u, struct io_conn *conn, int error, struct io_event *out)
{
	conn->flags |= FLAG_ENDED;
	recv_update(u, conn);
	return error == 0 ? io_event(out, IO_EOF, conn) : conn_fail(conn, error, out);
}

static bool recv_done(struct uring *u, struct io_conn *conn, const struct ring_completion *completion,
		      struct io_event *out)
{
	if (completion->is_last)
		ended(conn, FLAG_RECV | FLAG_RECV_CANCEL);
	if (conn->flags & FLAG_CLOSING)
		return close_finish(u, conn, out);
	if (conn->flags & FLAG_ENDED)
		return false;
	switch (completion->res) {
	case -ENOBUFS:
		/* Armed again only when buffers are back: before that it would fail at once, and for ever. */
		started(conn, true, FLAG_STARVED);
		io_list_push(&u->starved, &u->slots, conn);
		return false;
	case -ECANCELED: /* a pause, or a sweep */
	case -EINTR:
	case -EAGAIN: recv_update(u, conn); return false;
	default: break;
	}
	if (completion->res <= 0)
		return recv_end(u, conn, -completion->res, out);
	/* The last of a request may carry bytes: the completion queue was full, or the kernel wants a rest.
	 */
	recv_update(u, conn);
	return recv_data(u, conn, completion->res, out);
}

static bool send_done(struct uring *u, struct io_conn *conn, int res, struct io_event *out)
{
	ended(conn, FLAG_SEND | FLAG_TRYING);
	if (conn->flags & FLAG_CLOSING)
		return close_finish(u, conn, out);
	if (res > 0)
		conn->send_done += (size_t)res;
	else if (res != -EAGAIN && res != -EINTR)
		return conn_fail(conn, res < 0 ? -res : EIO, out);
	if (conn->send_done < conn->send_len) {
		send_start(u, conn, false);
		return false;
	}
	conn->send_len = 0;
	return io_event(out, IO_SENT, conn);
}

/* While paused: has the peer gone? Behind unread bytes the end is told after them. */
static bool poll_done(struct uring *u, struct io_conn *conn, int res, struct io_event *out)
{
	ssize_t n;
	char byte;

	ended(conn, FLAG_POLL | FLAG_POLL_CANCEL);
	if (conn->flags & FLAG_CLOSING)
		return close_finish(u, conn, out);
	if (res < 0 || !(conn->flags & FLAG_PAUSED) || (conn->flags & (FLAG_RECV | FLAG_ENDED))) {
		recv_update(u, conn);
		return false;
	}
	conn->flags |= FLAG_POLLED;
	n = recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n > 0 || (n < 0 && errno == EAGAIN))
		return false;
	return recv_end(u, conn, n < 0 ? errno : 0, out);
}

static void wake_arm(struct uring *u)
{
	/* A completion for each write, whether the counter is read or not. */
	(void)ring_poll_every(u->ring, u->wake_fd, POLLIN, (uint64_t)OP_WAKE << 56);
}

static bool wake_done(struct uring *u, const struct ring_completion *completion, struct io_event *out)
{
	if (completion->res < 0) {
		u->error = completion->res;
		return false;
	}
	if (completion->is_last)
		wake_arm(u);
	return io_event(out, IO_WAKE, NULL);
}

static bool completion_tell(struct uring *u, const struct ring_completion *completion, struct io_event *out)
{
	struct io_conn *conn;

	if (op_of(completion->data) == OP_WAKE)
		return wake_done(u, completion, out);
	conn = conn_of(u, completion->data);
	if (!conn)
		return false;
	switch (op_of(completion->data)) {
	case OP_RECV: return recv_done(u, conn, completion, out);
	case OP_SEND: return send_done(u, conn, completion->res, out);
	case OP_POLL: return poll_done(u, conn, completion->res, out);
	case OP_CANCEL: ended(conn, 0); return close_finish(u, conn, out);
	case OP_WAKE: break;
	}
	return false;
}

static bool ready_tell(struct uring *u, struct io_event *out)
{
	struct io_conn *conn = io_list_pop(&u->ready, &u->slots);

	if (!conn)
		return false;
	conn->flags &= ~(unsigned)FLAG_READY;
	if (conn->flags & FLAG_CLOSING)
		return close_finish(u, conn, out);
	if (!(conn->flags & FLAG_SENT))
		return false;
	conn->flags &= ~(unsigned)FLAG_SENT;
	conn->send_len = 0;
	return io_event(out, IO_SENT, conn);
}

static bool uring_next(struct io *io, struct io_event *out)
{
	struct uring *u = uring_of(io);
	struct ring_completion completion;

	held_return(u);
	for (;;) {
		if (!io_list_is_empty(&u->ready)) {
			if (ready_tell(u, out))
				return true;
			continue;
		}
		if (!ring_take(u->ring, &completion))
			return false;
		/* Whomever it was meant for, living or not, the buffer is ours to give back after this event.
		 */
		u->buf_held = completion.buf;
		if (completion_tell(u, &completion, out))
			return true;
		held_return(u);
	}
}

/* -- waiting -- */

/* Every completion has been taken, so every buffer is back in the kernel's hands. */
static bool is_drained(const struct uring *u)
{
	return ring_ready(u->ring) == 0 && !ring_has_overflow(u->ring);
}

static void starved_rearm(struct uring *u)
{
	if (io_list_is_empty(&u->starved) || !is_drained(u))
		return;
	for (unsigned i = 0; i < STARVED_ROUND_MAX && !io_list_is_empty(&u->starved); i++) {
		struct io_conn *conn = io_list_pop(&u->starved, &u->slots);

		ended(conn, FLAG_STARVED);
		recv_update(u, conn);
		close_later(u, conn);
	}
}

/* Tries that did post a completion failed: they are no tries any more, send_done() goes on with them. */
static void tries_strike_failed(struct uring *u)
{
	unsigned count = ring_ready(u->ring);

	for (unsigned i = 0; i < count; i++) {
		uint64_t data = ring_peek(u->ring, i);
		struct io_conn *conn = op_of(data) == OP_SEND ? conn_of(u, data) : NULL;

		if (conn)
			conn->flags &= ~(unsigned)FLAG_TRYING;
	}
}

static void tries_resolve(struct uring *u)
{
	if (io_list_is_empty(&u->tries))
		return;
	/* Not begun yet, or the word of a failure may stand outside the queue: nothing can be told. */
	if (!ring_is_submitted(u->ring) || ring_has_overflow(u->ring))
		return;
	tries_strike_failed(u);
	while (!io_list_is_empty(&u->tries)) {
		struct io_conn *conn = io_list_pop(&u->tries, &u->slots);

		ended(conn, FLAG_IN_TRIES);
		if (conn->flags & FLAG_TRYING) {
			ended(conn, FLAG_TRYING | FLAG_SEND);
			conn->flags |= FLAG_SENT;
			ready_push(u, conn);
		}
		close_later(u, conn);
	}
}

static void sweep_batch(struct uring *u, struct pollfd *fds, struct io_conn **conns, nfds_t count)
{
	if (count == 0 || poll(fds, count, 0) <= 0)
		return;
	for (nfds_t i = 0; i < count; i++) {
		/* A new request looks at the socket before it waits; the old one comes back as ECANCELED. */
		if (fds[i].revents & (POLLRDHUP | POLLHUP | POLLERR))
			cancel(u, conns[i], OP_RECV, FLAG_RECV_CANCEL);
	}
}

/* Finds the ends that the kernel has lost (ring_loses_eof()). They get lost only behind data, so a connection
 * that has received nothing since the last sweep needs none, and silence costs no wake-ups. */
static void sweep(struct uring *u)
{
	struct pollfd fds[SWEEP_BATCH];
	struct io_conn *conns[SWEEP_BATCH];
	nfds_t count = 0;

	for (uint32_t i = 0; i < u->slots.size; i++) {
		struct io_conn *conn = u->slots.table[i].conn;

		if (!conn || !(conn->flags & FLAG_UNSWEPT))
			continue;
		conn->flags &= ~(unsigned)FLAG_UNSWEPT;
		if ((conn->flags & (FLAG_RECV | FLAG_RECV_CANCEL)) != FLAG_RECV)
			continue;
		fds[count] = (struct pollfd){.fd = conn->fd, .events = POLLRDHUP};
		conns[count++] = conn;
		if (count == SWEEP_BATCH) {
			sweep_batch(u, fds, conns, count);
			count = 0;
		}
	}
	sweep_batch(u, fds, conns, count);
	u->is_unswept = false;
	u->sweep_due_ns = 0;
}

static int64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* Sweeps when it is time; else shortens the sleep until then. */
static int64_t sweep_timeout(struct uring *u, int64_t timeout_ns)
{
	int64_t now = now_ns();

	if (u->sweep_due_ns == 0)
		u->sweep_due_ns = now + SWEEP_NS;
	if (now >= u->sweep_due_ns) {
		sweep(u);
		return timeout_ns;
	}
	if (timeout_ns < 0 || timeout_ns > u->sweep_due_ns - now)
		return u->sweep_due_ns - now;
	return timeout_ns;
}

static int uring_wait(struct io *io, int64_t timeout_ns)
{
	struct uring *u = uring_of(io);
	int ret;

	if (u->error < 0)
		return u->error;
	held_return(u);
	starved_rearm(u);
	if (u->is_unswept)
		timeout_ns = sweep_timeout(u, timeout_ns);
	if (u->is_hurried || !is_drained(u) || !io_list_is_empty(&u->ready) || !io_list_is_empty(&u->starved))
		timeout_ns = 0;
	u->is_hurried = false;
	ret = ring_enter(u->ring, timeout_ns);
	if (ret < 0)
		return ret;
	tries_resolve(u);
	return 0;
}

/* -- what the owner asks for -- */

static int uring_conn_start(struct io *io, struct io_conn *conn, int fd)
{
	struct uring *u = uring_of(io);
	int ret;

	ret = io_slots_take(&u->slots, conn);
	if (ret < 0)
		return ret;
	conn->fd = fd;
	conn->flags = 0;
	conn->in_flight = 0;
	recv_update(u, conn);
	if (conn->flags & FLAG_RECV)
		return 0;
	io_slots_put(&u->slots, conn);
	return ring_enter(u->ring, 0);
}

static void uring_recv_pause(struct io *io, struct io_conn *conn)
{
	conn->flags |= FLAG_PAUSED;
	recv_update(uring_of(io), conn);
}

static void uring_recv_resume(struct io *io, struct io_conn *conn)
{
	conn->flags &= ~(unsigned)(FLAG_PAUSED | FLAG_POLLED);
	recv_update(uring_of(io), conn);
}

static void uring_send(struct io *io, struct io_conn *conn, bool is_quiet)
{
	assert(!(conn->flags & FLAG_CLOSING));
	if (is_quiet && conn->send_len <= TRY_SEND_MAX)
		try_start(uring_of(io), conn);
	else
		send_start(uring_of(io), conn, false);
}

static void uring_conn_close(struct io *io, struct io_conn *conn)
{
	struct uring *u = uring_of(io);

	assert(!(conn->flags & FLAG_CLOSING));
	conn->flags |= FLAG_CLOSING;
	/* A plain system call: as an operation it would start a kernel thread. It ends what is in flight; the
	 * cancels make sure. */
	(void)shutdown(conn->fd, SHUT_RDWR);
	recv_update(u, conn);
	if (conn->flags & FLAG_TRYING)
		u->is_hurried = true;
	else if (conn->flags & FLAG_SEND)
		cancel(u, conn, OP_SEND, 0);
	close_later(u, conn);
}

/* -- making and freeing -- */

static struct io *uring_free(struct io *io)
{
	struct uring *u = uring_of(io);

	u->ring = ring_free(u->ring);
	io_slots_fini(&u->slots);
	free(u);
	return NULL;
}

static const struct io_ops uring_ops = {
	.free = uring_free,
	.conn_start = uring_conn_start,
	.recv_pause = uring_recv_pause,
	.recv_resume = uring_recv_resume,
	.send = uring_send,
	.conn_close = uring_conn_close,
	.wait = uring_wait,
	.next = uring_next,
};

int uring_new(struct io **out, const struct io_options *options)
{
	struct uring *u = calloc(1, sizeof(*u));
	int ret;

	if (!u)
		return -ENOMEM;
	u->base.ops = &uring_ops;
	u->wake_fd = options->wake_fd;
	u->buf_held = RING_BUF_NONE;
	io_slots_init(&u->slots);
	io_list_init(&u->ready, IO_LINK_READY);
	io_list_init(&u->tries, IO_LINK_TRY);
	io_list_init(&u->starved, IO_LINK_STARVED);
	ret = ring_new(&u->ring, options->conns_hint);
	if (ret < 0) {
		free(u);
		return ret;
	}
	wake_arm(u);
	*out = &u->base;
	return 0;
}
