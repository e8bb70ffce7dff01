/* SPDX-License-Identifier: MIT */
/*
 * conn.h - one stream socket of a client: opened, perhaps made secure, then sent to and received from
 * piecemeal.
 *
 * The descriptor never blocks. Only conn_wait and what takes a deadline (on the monotonic clock) sleep; a
 * caller with a poll(2) of its own goes conn_resolve, conn_begin, conn_finish, with TLS conn_secure and
 * conn_handshake, and asks conn_events and conn_has_input before it sleeps. An object belongs to one thread
 * at a time.
 */
#ifndef SHC_CONN_H
#define SHC_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

struct addrinfo;
struct tls;
struct tls_context;

struct conn {
	int fd;		 /* -1: closed */
	struct tls *tls; /* owned; null: plain */
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

/* ---- opening ---- a conn is closed before and, unless it says otherwise, after a failure */

/* 0; -ETIMEDOUT; -ENAMETOOLONG; what socket(2) and connect(2) say (-ENOENT, -ECONNREFUSED, -EACCES, ...). */
int conn_open_unix(struct conn *c, const char *path, int64_t deadline_ns);

/* Tries every address of the host. Looking up a name is the resolver's and not bound by the deadline; a
 * numeric address does without. On -EHOSTUNREACH *why may be set to what the resolver said (static), else it
 * is null. */
int conn_open_tcp(struct conn *c, const char *host, uint16_t port, int64_t deadline_ns, const char **why);

/* The addresses of a host, for freeaddrinfo(3). 0; or -EHOSTUNREACH with *why set to what the resolver said
 * (static). Only a name takes time. */
int conn_resolve(const char *host, uint16_t port, struct addrinfo **out, const char **why);

/* Begins to connect, and waits for nothing: 0: done or under way, which conn_finish tells; -errno. A Unix
 * socket whose queue is full says -EAGAIN. */
int conn_begin(struct conn *c, const struct sockaddr *addr, socklen_t len);

/* Whether that has come to an end, which poll(2) tells by POLLOUT: 0: connected; -EAGAIN: not yet; -errno:
 * failed, and the caller closes. */
int conn_finish(const struct conn *c);

/* Allowed on a closed one. Says no goodbye to a TLS peer: another process may go on with the connection after
 * fork(2), and a reply of RESP has its own end. */
void conn_close(struct conn *c);

/* ---- TLS ---- for a connected one; the context is borrowed until conn_close */

/* Prepares TLS with the server that `host` (a name or an address) stands for: 0; -ENOMEM; -EINVAL: no
 * certificate can be for such a host. Nothing is sent yet. */
int conn_secure(struct conn *c, struct tls_context *context, const char *host);

/* Goes on with the handshake: 0: done; -EAGAIN: not yet, poll for conn_events; else it has failed, with a
 * sentence in `why`, and the caller closes: -EKEYREJECTED: a certificate, the server's or ours, is not
 * accepted; -EPROTO: that is not TLS, or they do not agree; both are final, trying again gives no other
 * result. -ECONNRESET, -errno: the connection is gone. */
int conn_handshake(struct conn *c, char *why, size_t why_size);

/* The sentence for a -EKEYREJECTED or -EPROTO of conn_send_some or conn_recv_some; null when there is none.
 * Lasts as long as the connection. A server tells only behind the handshake that it does not accept our
 * certificate; nothing that was sent to it was executed then. */
const char *conn_why(const struct conn *c);

/* ---- bytes ---- */

/* Hands over what the kernel takes now: bytes (at least 1), -EAGAIN, or -errno when the connection is gone.
 * After -EAGAIN the next call must begin with the same bytes, wherever they are by then; none of them is
 * understood by the peer before a call has counted them. */
ssize_t conn_send_some(struct conn *c, const void *data, size_t len);

/* Takes what is there: bytes, 0 at the end of the stream, -EAGAIN, or -errno. */
ssize_t conn_recv_some(struct conn *c, void *data, size_t len);

/* ---- waiting ---- */

/* What poll(2) must wait for on behalf of a caller who receives what comes, and has something to send or not.
 * Whatever it wakes for: call conn_recv_some, and conn_send_some if there is something, or conn_handshake. */
short conn_events(const struct conn *c, bool wants_send);

/* Whether something may have been taken from the socket that conn_recv_some has not handed out: poll(2) must
 * not sleep then. False once that has said -EAGAIN. */
bool conn_has_input(const struct conn *c);

/* Sleeps until one of `events` (POLLIN, POLLOUT), an error or a hang-up: the events, or -ETIMEDOUT, or
 * -errno. */
int conn_wait(const struct conn *c, short events, int64_t deadline_ns);

/* For a connection on which nothing is expected: has the peer closed it, or sent what nobody asked for? */
bool conn_is_stale(const struct conn *c);

#endif
