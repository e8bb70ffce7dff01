/* SPDX-License-Identifier: MIT */
/*
 * acceptor.h - the thread with the listeners: accepts, and hands each connection to the least busy worker.
 *
 * Several rings on one Unix listener would give every connection to the first ring, so there is one acceptor.
 * Least busy: the share of time not asleep of late, in eighths; among those within one eighth of the least
 * (so that noise does not decide) the one with the fewest connections.
 *
 * With idle-exit it has the daemon stop when nobody has been connected for so long (idle.h).
 *
 * A connection counts for its source (peer_source.h) before it counts for all (max-clients).
 *
 * acceptor.c is the thread, acceptor_admit.c counts for sources, acceptor_listen.c makes the listeners,
 * acceptor_leave.c stops listening.
 */
#ifndef SHC_ACCEPTOR_H
#define SHC_ACCEPTOR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "../lib/pulse.h"
#include "client.h"
#include "idle.h"
#include "seldom.h"
#include "waker.h"

struct access;
struct config;
struct handoff;
struct server;

enum { ACCEPTOR_LISTENERS_MAX = 16, ACCEPTOR_BACKLOG = 4096 };

/* Inherited: from LISTEN_FDS. Whoever passed it keeps it, with its queue, and starts the next daemon. */
enum listener_kind { LISTENER_INHERITED, LISTENER_UNIX, LISTENER_TCP };

struct listener {
	int fd;
	enum listener_kind kind;
};

struct acceptor {
	struct server *server;
	pthread_t thread;
	struct waker waker;
	struct listener listeners[ACCEPTOR_LISTENERS_MAX];
	size_t listener_count;
	uint16_t tcp_port; /* of the first TCP listener; 0: none */
	bool is_exposed;   /* a listener is not on loopback: strangers can reach it */
	bool is_inherited; /* from LISTEN_FDS: the path is not ours to remove */
	bool is_open;	   /* acceptor_open has succeeded */
	bool is_running;   /* the thread */
	/* Bound by us, and removed at the end; empty: none. Workers read it until they end, after us. */
	char socket_path[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];
	dev_t socket_dev;
	ino_t socket_ino;
	int watch_fd;	  /* with idle-exit: readable when something happens to the socket's file; or -1 */
	struct idle idle; /* the workers tell it of closes */
	_Atomic bool is_stopping;
	struct pulse pulse;
	_Atomic uint64_t refused;  /* over max-clients */
	_Atomic uint64_t failures; /* accept(2) had no descriptor or no memory */
	/* the thread's own */
	int64_t *busy_before_ns; /* how busy each worker was when last looked at */
	uint32_t *busy_eighths;
	int64_t *peers; /* of each worker, with those on their way to it; scratch */
	int64_t looked_ns;
	bool is_short;	    /* of descriptors: has said so, and waits */
	struct seldom full; /* max-clients: what is said of it */
	bool is_shut;	    /* nobody can come in */
	uint64_t accepted;
	struct access *access; /* the rules, a reference; null: none */
	uint64_t access_generation;
};

/* Takes over inherited sockets or makes those of the configuration. On failure `why` has a sentence; returns
 * an exit status (69, 74, 77, 78), 0 done. */
int acceptor_open(struct acceptor *a, struct server *server, char *why, size_t why_size);
int acceptor_start(struct acceptor *a); /* 0 or -errno */
/* No more connections: gives those that have come in to the workers, ends the thread, closes the listeners,
 * removes the socket. Allowed after a failed open. */
void acceptor_stop(struct acceptor *a);

/* acceptor_listen.c: the listeners; results as acceptor_open. On failure those made so far stand in `a`. */
int acceptor_listen(struct acceptor *a, char *why, size_t why_size);
/* Where the service manager's sockets listen: a Unix socket's path, or of others the first one's address.
 * False: nothing is known. */
bool acceptor_name_inherited(int count, char *out, size_t size);
/* Whether the socket of the configuration would find its place, without making anything: results as
 * acceptor_open. One that somebody listens on is in its place. */
int acceptor_look(const struct config *config, char *why, size_t why_size);
/* Whether the socket is at its place. */
bool acceptor_has_place(const struct acceptor *a);
/* Closes them, and removes the socket if it is still the one that was made. */
void acceptor_unlisten(struct acceptor *a);
/* A fresh socket in the place of `l`, which is shut and drained. On failure l->fd is -1. */
int acceptor_listen_again(struct acceptor *a, struct listener *l, char *why, size_t why_size);
/* acceptor_admit.c: counts a connection for its source. 0; -EUSERS: its source has as many as it may, which
 * it was told; -ENOMEM. And takes that back. */
int acceptor_admit(struct acceptor *a, struct handoff *h);
void acceptor_unadmit(struct acceptor *a, struct handoff *h);

/* What CLIENT LIST shows of an accepted connection; who is at its other end as accept(2) has told. */
void acceptor_describe(int fd, const struct sockaddr_storage *from, socklen_t from_len,
		       struct client_address *out);

/* acceptor_leave.c, the thread: nobody can come in any more, but for inherited listeners; those who have,
 * are in the queues. And back; results as acceptor_open, on failure there is no Unix listener. */
void acceptor_shut(struct acceptor *a);
int acceptor_reopen(struct acceptor *a, char *why, size_t why_size);

/* A daemon whose socket was removed, as a user's runtime directory is at the end of the last session, is
 * found by nobody any more, and keeps its state from the next one: with idle-exit it leaves with the last
 * connection. Begins to watch, also after a reopen; reads what watch_fd has to tell: true when it is gone. */
void acceptor_watch(struct acceptor *a);
bool acceptor_watch_tells_end(struct acceptor *a);

/* The choice, pure, for tests: index of the least busy. */
uint32_t acceptor_choose(const uint32_t *busy_eighths, const int64_t *peers, uint32_t count);

#endif
