/* SPDX-License-Identifier: MIT */
/*
 * io.h - how one worker moves bytes: io_uring or epoll behind the same small interface.
 *
 * Completion-shaped: the worker asks (start, send, close), io_wait() sleeps, io_next() tells what has
 * happened, one event at a time. Nothing calls up. One `struct io` per worker; every function is for its
 * owner thread, which must also be the one that made it (SINGLE_ISSUER), except where said.
 *
 * A connection's life: io_conn_start -> IO_RECV* -> [IO_EOF | IO_FAILED] -> io_conn_close (by the owner, at
 * any time after start, once) -> IO_CLOSED. After io_conn_close no event but IO_CLOSED comes for it; after
 * IO_CLOSED its memory is the owner's again, its descriptor is closed. IO_CLOSED comes only when nothing of
 * it is in flight any more.
 */
#ifndef SHC_IO_H
#define SHC_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum io_kind { IO_AUTO, IO_URING, IO_EPOLL };

/* Embedded in the owner's connection; zeroed by the owner before io_conn_start, private after. */
struct io_conn {
	int fd;
	uint32_t slot;	       /* index in the table of the io */
	uint32_t generation;   /* tells a stale completion of the slot's last tenant from ours */
	uint32_t flags;	       /* private to the backend */
	uint32_t in_flight;    /* operations the kernel still holds */
	const char *send_data; /* borrowed from the owner until IO_SENT or IO_CLOSED */
	size_t send_len;       /* of the whole send; 0: none */
	size_t send_done;      /* taken by the kernel so far */
};

enum io_event_type {
	IO_RECV,   /* data[0..len) came in; valid until the next io_next() or io_wait() */
	IO_EOF,	   /* the peer sent its last byte; sends are still possible; told once */
	IO_SENT,   /* the whole of the last io_send has been taken by the kernel; its bytes are the owner's
		      again */
	IO_FAILED, /* receiving or sending failed, error = errno (ECONNRESET, EPIPE: a normal end); told once
		    */
	IO_CLOSED, /* see above */
	IO_WAKE,   /* somebody wrote to wake_fd */
};

struct io_event {
	enum io_event_type type;
	int error;
	struct io_conn *conn; /* null for IO_WAKE */
	const char *data;
	size_t len;
};

struct io;

struct io_options {
	enum io_kind kind;   /* IO_URING or IO_EPOLL; io_probe() has turned AUTO into one of them */
	uint32_t conns_hint; /* about how many connections to expect: sizes of queues, not a limit */
	int wake_fd; /* an eventfd of the owner's: each write to it is an IO_WAKE (several may become one);
		      * the io does not read it, needs no draining, and does not close it */
};

/* Decides for the whole process, once, before any worker starts: tries a ring with the flags that io_uring.c
 * uses. IO_AUTO: io_uring, or epoll where the kernel or a sandbox refuses (ENOSYS, EPERM, EINVAL), with *why
 * set to a static or thread-local sentence for the one warning. IO_URING: fails with -errno instead. A
 * shortage (ENOMEM, EMFILE) is an error in both, *why says what to raise (RLIMIT_MEMLOCK, ...). IO_EPOLL:
 * always 0. Callable from any thread. */
int io_probe(enum io_kind wanted, enum io_kind *chosen, const char **why);

/* The same kind of sentence for a failure of io_new() (-errno): what is wrong and what to raise. Static or
 * thread-local. */
const char *io_why(int error);

const char *io_kind_name(enum io_kind kind); /* "io_uring", "epoll", "auto" */

/* In the thread that will use it. 0 or -errno. */
int io_new(struct io **out, const struct io_options *options);

/* All connections must have had their IO_CLOSED. Returns null. */
struct io *io_free(struct io *io);

/* Takes `fd` (connected stream socket, non-blocking or not; the io sets what it needs) and begins to receive.
 * On failure the descriptor stays the caller's. */
int io_conn_start(struct io *io, struct io_conn *conn, int fd);

/* Stops and resumes receiving (a slow reader is not read from). What was already on its way may still come as
 * IO_RECV (at most a few provided buffers). Idempotent. The end and errors are still found out while paused,
 * except behind bytes that nobody has read yet: those come first, after the resume. */
void io_recv_pause(struct io *io, struct io_conn *conn);
void io_recv_resume(struct io *io, struct io_conn *conn);

/* Starts the one send in flight: borrows data[0..len) until IO_SENT or IO_CLOSED. Short sends are continued
 * inside. Must not be called while one is in flight (assert). MSG_NOSIGNAL. */
void io_send(struct io *io, struct io_conn *conn, const char *data, size_t len);

/* The same for an owner that waits for nothing but the next request: io_wait() does not wake up only to tell
 * this IO_SENT, it is told together with the next event of whatever kind, and before it. With it a request
 * and its reply cost one system call. Not for a send that something waits behind (more output, a close):
 * io_send() is for those. */
void io_send_quiet(struct io *io, struct io_conn *conn, const char *data, size_t len);

static inline bool io_is_sending(const struct io_conn *conn)
{
	return conn->send_len != 0;
}

/* The other end is gone: whatever is sent now, nobody will read it. Half a close (SHUT_WR) is none. Exact for
 * Unix sockets, from the moment of a close() or the end of a process on, however much of what it sent is not
 * read yet; over TCP it is known only when our bytes have been refused. One system call. */
bool io_conn_is_hung_up(const struct io_conn *conn);

/* shutdown(SHUT_RDWR), cancel what is in flight, close when it has come back, then IO_CLOSED (also when there
 * was nothing in flight: never from inside this call). A send in flight may be cut short. */
void io_conn_close(struct io *io, struct io_conn *conn);

/* Hands queued operations to the kernel and, when no event is ready, sleeps until one is or `timeout_ns` has
 * passed (-1: for ever; 0: not at all). Returns 0 (also on timeout and on EINTR) or -errno for what is broken
 * for good. */
int io_wait(struct io *io, int64_t timeout_ns);

/* The next event, or false when all have been told. Events of operations started meanwhile may come in the
 * same run or after the next io_wait. */
bool io_next(struct io *io, struct io_event *out);

#endif
