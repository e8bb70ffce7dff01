/* SPDX-License-Identifier: MIT */
/* listen.c - see listen.h. */
#include "listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/loopback.h"

enum { BACKLOG = 1024, PORT_MAX = 65535 };

/* getaddrinfo takes what is beyond for what is left of it in 16 bits. */
static bool is_port(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len <= 5 && strspn(text, "0123456789") == len && atoi(text) <= PORT_MAX;
}

/* "HOST:PORT" in two. */
static bool split(const char *where, char host[256], char port[8])
{
	const char *colon = strrchr(where, ':');
	size_t len = colon ? (size_t)(colon - where) : 0;

	if (!colon || len == 0 || len >= 256 || !is_port(colon + 1))
		return false;
	if (where[0] == '[' && where[len - 1] == ']') {
		where++;
		len -= 2;
	}
	memcpy(host, where, len);
	host[len] = '\0';
	strcpy(port, colon + 1);
	return true;
}

/* The first is bound alone: where anybody listens already that fails, other gateways included. Only then may
 * others of this process join it. */
static int bind_shared(int fd, const struct sockaddr *addr, socklen_t len, bool is_first)
{
	static const int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) || (is_first && bind(fd, addr, len)) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)))
		return -1;
	return is_first ? 0 : bind(fd, addr, len);
}

static int open_one(const struct sockaddr *addr, socklen_t len, bool is_first)
{
	int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), saved;

	if (fd < 0)
		return -errno;
	if (bind_shared(fd, addr, len, is_first) || listen(fd, BACKLOG)) {
		saved = errno;
		close(fd);
		return -saved;
	}
	return fd;
}

/* The others at the port that the first one has got. */
static int open_all(struct addrinfo *a, int *fds, size_t count)
{
	struct sockaddr_storage addr;
	socklen_t len = a->ai_addrlen;

	memcpy(&addr, a->ai_addr, len);
	for (size_t i = 0; i < count; i++) {
		fds[i] = open_one((struct sockaddr *)&addr, len, i == 0);
		if (fds[i] < 0) {
			int rc = fds[i];

			while (i-- > 0)
				close(fds[i]);
			return rc;
		}
		(void)getsockname(fds[i], (struct sockaddr *)&addr, &len);
	}
	return 0;
}

int listen_open(const char *where, int *fds, size_t count, bool *is_loopback, char why[OPTIONS_ERROR_SIZE])
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *found;
	char host[256], port[8];
	int rc;

	if (!split(where, host, port)) {
		(void)snprintf(why, OPTIONS_ERROR_SIZE,
			       "listen: '%.100s' is not HOST:PORT, with a port from 0 to %d", where,
			       PORT_MAX);
		return -EINVAL;
	}
	rc = getaddrinfo(strcmp(host, "*") ? host : NULL, port, &hints, &found);
	if (rc) {
		(void)snprintf(why, OPTIONS_ERROR_SIZE, "listen: %.100s: %s", where, gai_strerror(rc));
		return -EINVAL;
	}
	*is_loopback = loopback_is(found->ai_addr);
	rc = open_all(found, fds, count);
	if (rc)
		(void)snprintf(why, OPTIONS_ERROR_SIZE, "cannot listen on %.100s: %s", where, strerror(-rc));
	freeaddrinfo(found);
	return rc;
}

void listen_name(int fd, char *out, size_t size)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	char host[INET6_ADDRSTRLEN], port[8];

	(void)snprintf(out, size, "?");
	if (getsockname(fd, (struct sockaddr *)&addr, &len) ||
	    getnameinfo((struct sockaddr *)&addr, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV))
		return;
	(void)snprintf(out, size, addr.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}
