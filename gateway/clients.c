/* SPDX-License-Identifier: MIT */
/* clients.c - see clients.h. */
#include "clients.h"

#include <stdlib.h>
#include <sys/socket.h>

void clients_init(struct clients *c, int64_t patience_ms)
{
	TAILQ_INIT(&c->waited_for);
	c->patience_ms = patience_ms;
}

/* Times only grow, so the list is in order. */
static void wait_for(struct clients *c, struct client *client, int64_t now_ms)
{
	client->since_ms = now_ms;
	client->is_waited_for = true;
	TAILQ_INSERT_TAIL(&c->waited_for, client, link);
}

static void leave(struct clients *c, struct client *client)
{
	if (client->is_waited_for)
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

void clients_shut_slow(struct clients *c, int64_t now_ms)
{
	struct client *client;

	while ((client = TAILQ_FIRST(&c->waited_for)) && now_ms - client->since_ms >= c->patience_ms) {
		(void)shutdown(client->fd, SHUT_RDWR);
		leave(c, client);
	}
}
