/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "conn.h"
#include "tls.h"

enum { NS_PER_S = 1000000000, NS_PER_US = 1000 };

int64_t conn_now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

void conn_close(struct conn *c)
{
	c->tls = tls_free(c->tls);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

int conn_wait(const struct conn *c, short events, int64_t deadline_ns)
{
	if ((events & POLLIN) && conn_has_input(c))
		return POLLIN;
	struct pollfd pfd = {.fd = c->fd, .events = events};
	if (c->tls && tls_has_output(c->tls))
		pfd.events |= POLLOUT;
	for (;;) {
		int64_t left_ns = deadline_ns - conn_now_ns();
		if (left_ns <= 0)
			return -ETIMEDOUT;
		struct timespec ts = {.tv_sec = left_ns / NS_PER_S, .tv_nsec = left_ns % NS_PER_S};
		int n = ppoll(&pfd, 1, &ts, NULL);
		if (n > 0)
			return pfd.revents;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

/* A full accept queue of a Unix socket is told by EAGAIN, and there is nothing to poll: wait inside
 * connect(2), whose patience is SO_SNDTIMEO. -EINTR: nothing has happened, call again. */
static int connect_unix_patiently(int fd, const struct sockaddr_un *addr, int64_t deadline_ns)
{
	int64_t left_ns = deadline_ns - conn_now_ns();
	if (left_ns < NS_PER_US)
		return -ETIMEDOUT; /* 0 would mean for ever */
	struct timeval tv = {.tv_sec = left_ns / NS_PER_S, .tv_usec = left_ns % NS_PER_S / NS_PER_US};
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)))
		return -errno;
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK))
		return -errno;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return fcntl(fd, F_SETFL, flags | O_NONBLOCK) ? -errno : 0;
}

/* Never one of the first three descriptors: a program that has closed its standard output would print into
 * the connection, and the server would take it for commands. */
static int open_socket(int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), error = errno;
	close(fd);
	errno = error;
	return higher;
}

int conn_open_unix(struct conn *c, const char *path, int64_t deadline_ns)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	if (len >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, len);
	int fd = open_socket(AF_UNIX);
	if (fd < 0)
		return -errno;
	int rc = connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
	while (rc == -EAGAIN || rc == -EINTR)
		rc = connect_unix_patiently(fd, &addr, deadline_ns);
	if (rc) {
		close(fd);
		return rc;
	}
	c->fd = fd;
	return 0;
}

int conn_begin(struct conn *c, const struct sockaddr *addr, socklen_t len)
{
	struct conn begun = {.fd = open_socket(addr->sa_family)};
	if (begun.fd < 0)
		return -errno;
	int on = 1, rc = 0;
	bool is_unix = addr->sa_family == AF_UNIX;
	if (!is_unix && setsockopt(begun.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		rc = -errno;
	else if (connect(begun.fd, addr, len))
		rc = errno == EINPROGRESS || errno == EINTR ? 0 : -errno;
	if (rc)
		conn_close(&begun);
	else
		*c = begun;
	return rc;
}

int conn_finish(const struct conn *c)
{
	struct pollfd pfd = {.fd = c->fd, .events = POLLOUT};
	int n = poll(&pfd, 1, 0);
	if (n == 0 || (n < 0 && errno == EINTR))
		return -EAGAIN;
	int error = 0;
	socklen_t len = sizeof(error);
	if (n < 0 || getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len))
		return -errno;
	return -error;
}

int conn_resolve(const char *host, uint16_t port, struct addrinfo **out, const char **why)
{
	char service[8];
	snprintf(service, sizeof(service), "%u", (unsigned)port);
	struct addrinfo hints = {.ai_family = AF_UNSPEC,
				 .ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	int rc = getaddrinfo(host, service, &hints, out);
	if (rc == EAI_NONAME) {
		hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
		rc = getaddrinfo(host, service, &hints, out);
	}
	if (rc == 0)
		return 0;
	*why = gai_strerror(rc);
	return -EHOSTUNREACH;
}

static int open_address(struct conn *c, const struct addrinfo *ai, int64_t deadline_ns)
{
	int rc = conn_begin(c, ai->ai_addr, ai->ai_addrlen);
	if (rc)
		return rc;
	do {
		rc = conn_wait(c, POLLOUT, deadline_ns);
		if (rc >= 0)
			rc = conn_finish(c);
	} while (rc == -EAGAIN);
	if (rc)
		conn_close(c);
	return rc;
}

int conn_open_tcp(struct conn *c, const char *host, uint16_t port, int64_t deadline_ns, const char **why)
{
	*why = NULL;
	struct addrinfo *list;
	int rc = conn_resolve(host, port, &list, why);
	if (rc)
		return rc;
	rc = -EHOSTUNREACH;
	for (struct addrinfo *ai = list; ai && rc && rc != -ETIMEDOUT; ai = ai->ai_next)
		rc = open_address(c, ai, deadline_ns);
	freeaddrinfo(list);
	return rc;
}

/* ---- TLS ---- */

int conn_secure(struct conn *c, struct tls_context *context, const char *host)
{
	return tls_new(&c->tls, context, c->fd, host);
}

int conn_handshake(struct conn *c, char *why, size_t why_size)
{
	int rc = tls_handshake(c->tls);
	if (rc && rc != -EAGAIN) {
		const char *said = tls_why(c->tls);
		snprintf(why, why_size, "%s",
			 said ? said
			 : rc == -ECONNRESET
				 ? "the server closed the connection in the middle of the TLS handshake"
				 : strerror(-rc));
	}
	return rc;
}

const char *conn_why(const struct conn *c)
{
	return c->tls ? tls_why(c->tls) : NULL;
}

/* ---- bytes and waiting ---- */

ssize_t conn_send_some(struct conn *c, const void *data, size_t len)
{
	if (c->tls)
		return tls_send_some(c->tls, data, len);
	for (;;) {
		ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0)
			return n;
		if (errno != EINTR)
			return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	}
}

ssize_t conn_recv_some(struct conn *c, void *data, size_t len)
{
	if (c->tls)
		return tls_recv_some(c->tls, data, len);
	for (;;) {
		ssize_t n = recv(c->fd, data, len, MSG_DONTWAIT);
		if (n >= 0)
			return n;
		if (errno != EINTR)
			return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	}
}

short conn_events(const struct conn *c, bool wants_send)
{
	if (c->tls)
		wants_send = tls_has_output(c->tls) || (wants_send && tls_is_established(c->tls));
	return wants_send ? POLLIN | POLLOUT : POLLIN;
}

bool conn_has_input(const struct conn *c)
{
	return c->tls && tls_has_input(c->tls);
}

bool conn_is_stale(const struct conn *c)
{
	if (c->tls)
		return tls_is_stale(c->tls);
	char byte;
	ssize_t n;
	do {
		n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return !(n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
}
