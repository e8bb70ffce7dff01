/* SPDX-License-Identifier: MIT */
/*
 * acceptor_leave.c - stops listening so that nobody is lost: first nobody can come any more, then those who
 * have come are taken (acceptor.c), and only then the sockets are closed. The acceptor's thread.
 *
 * A Unix listener that is shut down refuses at once, whoever is in its queue stays there, and nobody is
 * connected and not in it: unix(7)'s connect looks at the same flag under the same lock. A TCP listener would
 * reset its queue instead, so it is made deaf: it ignores who knocks (the client's kernel knocks again after
 * a second, and finds it open again or closed), and hears the end of the handshakes that have begun.
 */
#include <errno.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include "acceptor.h"
#include "../lib/log.h"

/* Of the byte with the flags in the TCP header, where the filter's packet begins. */
enum { FLAGS_OFFSET = 13 };

/* Drops SYN without ACK. */
static int deafen(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS_OFFSET),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, TH_SYN | TH_ACK),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TH_SYN, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	const struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

static int hear(int fd)
{
	const int unused = 0;

	return setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused));
}

void acceptor_shut(struct acceptor *a)
{
	for (size_t i = 0; i < a->listener_count; i++) {
		const struct listener *l = &a->listeners[i];

		if (l->kind == LISTENER_UNIX)
			(void)shutdown(l->fd, SHUT_RDWR);
		/* A sandbox may forbid it: then who comes in the last moment is reset. */
		if (l->kind == LISTENER_TCP && deafen(l->fd))
			log_debug("a TCP listener cannot be made deaf: %s", strerror(errno));
	}
	a->is_shut = true;
}

int acceptor_reopen(struct acceptor *a, char *why, size_t why_size)
{
	int status = 0;

	for (size_t i = 0; i < a->listener_count && !status; i++) {
		struct listener *l = &a->listeners[i];

		if (l->kind == LISTENER_TCP)
			(void)hear(l->fd);
		if (l->kind == LISTENER_UNIX)
			status = acceptor_listen_again(a, l, why, why_size);
	}
	a->is_shut = false;
	return status;
}

/* ---- the file of the socket ---- */

void acceptor_watch(struct acceptor *a)
{
	if (!a->idle.is_on || !a->socket_path[0])
		return;
	if (a->watch_fd < 0)
		a->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	/* The count of links is an attribute: the socket itself lives on when its file is removed. */
	if (inotify_add_watch(a->watch_fd, a->socket_path, IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF) < 0)
		log_debug("%s: cannot be watched: %s", a->socket_path, strerror(errno));
}

bool acceptor_watch_tells_end(struct acceptor *a)
{
	char events[1024];

	while (read(a->watch_fd, events, sizeof(events)) > 0)
		continue;
	return !acceptor_has_place(a);
}
