/* SPDX-License-Identifier: MIT */
/*
 * clients.h - the connections of a loop, and since when each of them owes us a whole request. libmicrohttpd
 * closes one on which nothing moves; here is an end for those on which a byte moves now and then, and for
 * those whose client has said that it sends no more: when that comes together with bytes, libmicrohttpd
 * (0.9.75) reads these, and looks no further until the next ones. A loop's thread.
 */
#ifndef SHC_GATEWAY_CLIENTS_H
#define SHC_GATEWAY_CLIENTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct client {
	TAILQ_ENTRY(client) all;
	TAILQ_ENTRY(client) link; /* of those that are waited for */
	int fd;			  /* borrowed */
	int64_t since_ms;
	bool is_waited_for;
	bool is_read_out; /* clients_linger */
};

/* `patience_ms` is how long a request may take to come. */
struct clients {
	TAILQ_HEAD(, client) all;
	TAILQ_HEAD(, client) waited_for; /* the longest first */
	struct client *unseen;		 /* the first of them that was not looked at */
	int64_t patience_ms;
};

void clients_init(struct clients *c, int64_t patience_ms);

/* A connection has come, and owes a request. Null: no memory; it has no such end then. */
struct client *clients_add(struct clients *c, int fd, int64_t now_ms);
void clients_remove(struct clients *c, struct client *client);

/* Of a client that is null, nothing. Its request has come; its reply is done, it owes the next one. */
void clients_has_asked(struct clients *c, struct client *client);
void clients_has_reply(struct clients *c, struct client *client, int64_t now_ms);

/* Shuts the sockets of those who are too slow, and of those who will send no more: libmicrohttpd closes them
 * next. */
void clients_shut(struct clients *c, int64_t now_ms);

/* Before the end, when nobody is read from any more: a connection that is closed with bytes unread is reset,
 * and replies that its client has yet to read are lost with it. Those that have some are read out until their
 * clients have ended, too, for so long at most. */
void clients_linger(struct clients *c, int64_t most_ms);

#endif
