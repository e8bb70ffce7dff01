/* SPDX-License-Identifier: MIT */
/*
 * conn.h - one stream socket of a client: opened under a deadline, then sent to and received from piecemeal.
 *
 * The descriptor never blocks; conn_wait is the only place that sleeps, up to a deadline on the monotonic
 * clock. An object belongs to one thread at a time.
 */
#ifndef SHC_CONN_H
#define SHC_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct conn {
	int fd; /* -1: closed */
};

#define CONN_INIT                                                                                            \
	{                                                                                                    \
		.fd = -1                                                                                     \
	}

/* CLOCK_MONOTONIC. */
int64_t conn_now_ns(void);

static inline bool conn_is_open(const struct conn *c)
{
	return c->fd >= 0;
}

/* 0; -ETIMEDOUT; -ENAMETOOLONG; what socket(2) and connect(2) say (-ENOENT, -ECONNREFUSED, -EACCES, ...). */
int conn_open_unix(struct conn *c, const char *path, int64_t deadline_ns);

/* Tries every address of the host. Looking up a name is the resolver's and not bound by the deadline; a
 * numeric address does without. On -EHOSTUNREACH *why may be set to what the resolver said (static), else it
 * is null. */
int conn_open_tcp(struct conn *c, const char *host, uint16_t port, int64_t deadline_ns, const char **why);

/* Allowed on a closed one. */
void conn_close(struct conn *c);

/* Hands over what the kernel takes now: bytes (at least 1), -EAGAIN, or -errno when the connection is gone.
 */
ssize_t conn_send_some(struct conn *c, const void *data, size_t len);

/* Takes what is there: bytes, 0 at the end of the stream, -EAGAIN, or -errno. */
ssize_t conn_recv_some(struct conn *c, void *data, size_t len);

/* Sleeps until one of `events` (POLLIN, POLLOUT), an error or a hang-up: the events, or -ETIMEDOUT, or
 * -errno. */
int conn_wait(const struct conn *c, short events, int64_t deadline_ns);

/* For a connection on which nothing is expected: has the peer closed it, or sent what nobody asked for? */
bool conn_is_stale(const struct conn *c);

#endif
