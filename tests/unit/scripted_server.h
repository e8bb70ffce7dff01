/* SPDX-License-Identifier: MIT */
/*
 * scripted_server.h - a server in a thread that does what a test tells it, step by step, over a Unix socket
 * or TCP. For one test program: everything is static.
 */
#ifndef SHC_SCRIPTED_SERVER_H
#define SHC_SCRIPTED_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../lib/resp.h"

enum step_op {
	END,
	ACCEPT,
	REQUEST, /* reads one, which must be these words */
	TAKE,	 /* reads `count`, whatever they are */
	REPLY,	 /* sends the text `count` times (0: once) */
	ANSWER,	 /* `count` times: reads a request, sends the text */
	CLOSE,
	DEAF,	/* closes the listener */
	ABSENT, /* that, and removes the socket */
	LISTEN, /* makes a new one in the same place; Unix only */
	SIGNAL, /* lets server_wait() return */
	PAUSE,	/* waits for server_go() */
};

struct step {
	enum step_op op;
	const char *text;
	unsigned count;
};

#define DO(op)                                                                                               \
	{                                                                                                    \
		(op), NULL, 0                                                                                \
	}
#define SAY(op, text)                                                                                        \
	{                                                                                                    \
		(op), (text), 0                                                                              \
	}

struct server {
	const struct step *steps;
	pthread_t thread;
	sem_t signal, go;
	int listener, fd;
	char url[96];
	char path[64], dir[32];
	struct buf in;
	struct resp_parser parser;
	char failure[256]; /* the first step that went wrong */
};

static void server_fail(struct server *s, const struct step *step, const char *got)
{
	if (!s->failure[0])
		snprintf(s->failure, sizeof(s->failure), "step %d: %.80s: %.120s", (int)(step - s->steps),
			 step->text ? step->text : "", got);
}

/* Reads one request into words joined by blanks; false at the end of the stream. */
static bool server_read(struct server *s, char *words, size_t size)
{
	for (;;) {
		int rc = buf_len(&s->in) ? resp_parse(&s->parser, buf_head(&s->in), buf_len(&s->in))
					 : RESP_MORE;
		if (rc == RESP_DONE)
			break;
		char *to = rc == RESP_MORE ? buf_reserve(&s->in, 65536) : NULL;
		ssize_t n = to ? read(s->fd, to, 65536) : 0;
		if (n <= 0)
			return false;
		buf_commit(&s->in, (size_t)n);
	}
	size_t len = 0;
	for (size_t i = 0; i < s->parser.argc && len < size; i++)
		len += (size_t)snprintf(words + len, size - len, "%s%.*s", i ? " " : "",
					(int)s->parser.argv[i].len, s->parser.argv[i].data);
	buf_consume(&s->in, s->parser.size_bytes);
	return true;
}

static void server_send(struct server *s, const struct step *step)
{
	size_t len = strlen(step->text);
	ssize_t n = send(s->fd, step->text, len, MSG_NOSIGNAL);
	/* A client that has what it wants need not wait for the last replies. Who must be there still is who
	 * asked last, and a step that reads finds out about the others. */
	if (n != (ssize_t)len && step->op == ANSWER)
		server_fail(s, step, "the client is gone");
}

static void server_new_connection(struct server *s)
{
	resp_parser_fini(&s->parser);
	resp_parser_init(&s->parser);
	buf_consume(&s->in, buf_len(&s->in));
	s->fd = accept(s->listener, NULL, NULL);
	/* A close may take back what was not sent yet. Over a Unix socket this does nothing. */
	int on = 1;
	(void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void server_listen(struct server *s)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	strcpy(addr.sun_path, s->path);
	s->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(s->listener, (struct sockaddr *)&addr, sizeof(addr)) || listen(s->listener, 8))
		abort();
}

static void server_step(struct server *s, const struct step *step)
{
	char words[256] = "";
	unsigned count = step->count ? step->count : 1;
	switch (step->op) {
	case ACCEPT: server_new_connection(s); break;
	case REQUEST:
		if (!server_read(s, words, sizeof(words)) || strcmp(words, step->text) != 0)
			server_fail(s, step, words);
		break;
	case REPLY:
		while (count--)
			server_send(s, step);
		break;
	case TAKE:
	case ANSWER:
		while (count--) {
			if (!server_read(s, words, sizeof(words))) {
				server_fail(s, step, "the client has hung up");
				break;
			}
			if (step->op == ANSWER)
				server_send(s, step);
		}
		break;
	case CLOSE: close(s->fd); break;
	case ABSENT:
	case DEAF:
		close(s->listener);
		s->listener = -1;
		if (step->op == ABSENT)
			unlink(s->path);
		break;
	case LISTEN:
		unlink(s->path);
		server_listen(s);
		break;
	case SIGNAL: sem_post(&s->signal); break;
	case PAUSE: sem_wait(&s->go); break;
	case END: break;
	}
}

static void *server_main(void *arg)
{
	struct server *s = arg;
	for (const struct step *step = s->steps; step->op != END; step++)
		server_step(s, step);
	return NULL;
}

static void server_init(struct server *s, const struct step *steps)
{
	*s = (struct server){.steps = steps, .fd = -1};
	resp_parser_init(&s->parser);
	sem_init(&s->signal, 0, 0);
	sem_init(&s->go, 0, 0);
}

static void server_start(struct server *s, const struct step *steps)
{
	server_init(s, steps);
	strcpy(s->dir, "/tmp/scripted.XXXXXX");
	if (!mkdtemp(s->dir))
		abort();
	snprintf(s->path, sizeof(s->path), "%s/s", s->dir);
	snprintf(s->url, sizeof(s->url), "unix://%s", s->path);
	server_listen(s);
	pthread_create(&s->thread, NULL, server_main, s);
}

/* `user` is "" or "NAME:PASSWORD@". */
__attribute__((unused)) static void server_start_tcp(struct server *s, const struct step *steps,
						     const char *user)
{
	server_init(s, steps);
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(addr);
	s->listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(s->listener, (struct sockaddr *)&addr, sizeof(addr)) || listen(s->listener, 8) ||
	    getsockname(s->listener, (struct sockaddr *)&addr, &len))
		abort();
	snprintf(s->url, sizeof(s->url), "redis://%s127.0.0.1:%u", user, (unsigned)ntohs(addr.sin_port));
	pthread_create(&s->thread, NULL, server_main, s);
}

/* Until the script's next SIGNAL. */
__attribute__((unused)) static void server_wait(struct server *s)
{
	while (sem_wait(&s->signal))
		;
}

__attribute__((unused)) static void server_go(struct server *s)
{
	sem_post(&s->go);
}

/* Waits for the end of the script, and cleans up. The first thing that went wrong, or "". */
static const char *server_stop(struct server *s)
{
	pthread_join(s->thread, NULL);
	if (s->listener >= 0)
		close(s->listener);
	if (s->path[0]) {
		unlink(s->path);
		rmdir(s->dir);
	}
	resp_parser_fini(&s->parser);
	buf_fini(&s->in);
	sem_destroy(&s->signal);
	sem_destroy(&s->go);
	return s->failure;
}

#endif
