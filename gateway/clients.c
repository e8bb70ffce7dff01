/* SPDX-License-Identifier: MIT */
/* clients.c - see clients.h. */
#include "clients.h"

#include <stdlib.h>
#include <sys/socket.h>

/* Whatever had come when a client began to owe a request was read long before. */
enum { LOOK_MS = 1000 };

void clients_init(struct clients *c, int64_t patience_ms)
{
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
	wait_for(c, client, now_ms);
	return client;
}

void clients_remove(struct clients *c, struct client *client)
{
	if (!client)
		return;
	leave(c, client);
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
