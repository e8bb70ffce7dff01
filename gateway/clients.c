/* SPDX-License-Identifier: MIT */
/* clients.c - see clients.h. */
#include "clients.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "../lib/conn.h"

/* Whatever had come when a client began to owe a request was read long before. */
enum { LOOK_MS = 1000 };

void clients_init(struct clients *c, int64_t patience_ms)
{
	TAILQ_INIT(&c->all);
	TAILQ_INIT(&c->waited_for);
	c->unseen = NULL;
	c->patience_ms = patience_ms;
}

/* Times only grow, so the list is in order. */
static void wait_for(struct clients *c, struct client *client, int64_t now_ms)
{
	client->since_ms = now_ms;
	client->is_waited_for = true;
	TAILQ_INSERT_TAIL(&c->waited_for, client, link);
	if (!c->unseen)
		c->unseen = client;
}

static void leave(struct clients *c, struct client *client)
{
	if (!client->is_waited_for)
		return;
	if (c->unseen == client)
		c->unseen = TAILQ_NEXT(client, link);
	TAILQ_REMOVE(&c->waited_for, client, link);
	client->is_waited_for = false;
}

struct client *clients_add(struct clients *c, int fd, int64_t now_ms)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	client->fd = fd;
	TAILQ_INSERT_TAIL(&c->all, client, all);
	wait_for(c, client, now_ms);
	return client;
}

void clients_remove(struct clients *c, struct client *client)
{
	if (!client)
		return;
	leave(c, client);
	TAILQ_REMOVE(&c->all, client, all);
	free(client);
}

void clients_has_asked(struct clients *c, struct client *client)
{
	if (client)
		leave(c, client);
}

void clients_has_reply(struct clients *c, struct client *client, int64_t now_ms)
{
	if (!client)
		return;
	leave(c, client);
	wait_for(c, client, now_ms);
}

static void shut(struct clients *c, struct client *client)
{
	(void)shutdown(client->fd, SHUT_RDWR);
	leave(c, client);
}

/* Nothing is left to be read, and nothing will come. */
static bool is_over(const struct client *client)
{
	char byte;

	return recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* Each once: what comes later wakes libmicrohttpd. */
static void look(struct clients *c, int64_t now_ms)
{
	struct client *client;

	while ((client = c->unseen) && now_ms - client->since_ms >= LOOK_MS) {
		c->unseen = TAILQ_NEXT(client, link);
		if (is_over(client))
			shut(c, client);
	}
}

void clients_shut(struct clients *c, int64_t now_ms)
{
	struct client *client;

	look(c, now_ms);
	while ((client = TAILQ_FIRST(&c->waited_for)) && now_ms - client->since_ms >= c->patience_ms)
		shut(c, client);
}

/* ---- the end ---- */

static bool has_unread(const struct client *client)
{
	char byte;

	return recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

/* False: its end has come. */
static bool read_out(const struct client *client)
{
	char bytes[16 << 10];
	ssize_t n;

	do
		n = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	while (n > 0);
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

void clients_linger(struct clients *c, int64_t most_ms)
{
	const struct timespec pause = {.tv_nsec = 2000000};
	int64_t end_ns = conn_now_ns() + most_ms * 1000000;
	bool is_any = false;
	struct client *client;

	TAILQ_FOREACH (client, &c->all, all) {
		client->is_read_out = has_unread(client) && shutdown(client->fd, SHUT_WR) == 0;
		is_any |= client->is_read_out;
	}
	while (is_any && conn_now_ns() < end_ns) {
		is_any = false;
		TAILQ_FOREACH (client, &c->all, all)
			is_any |= client->is_read_out = client->is_read_out && read_out(client);
		nanosleep(&pause, NULL);
	}
}
