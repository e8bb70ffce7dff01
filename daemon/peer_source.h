/* SPDX-License-Identifier: MIT */
/*
 * peer_source.h - whom a connection comes from, for limits that all connections of one share: a user of this
 * machine (on a Unix socket), an address (IPv4, or the /64 of an IPv6 one), or a login, once logged in.
 *
 * The table has an entry for each that has a connection, and keeps it while a budget is used up: who
 * reconnects has what is left. Of those without a connection SOURCES_IDLE_MAX are kept; beyond it the one
 * that left first is forgotten, and begins with a full budget. Who can be so many sources has their budgets
 * anyway.
 *
 * The acceptor joins for a connection that comes, before it counts against max-clients; its worker moves it
 * at a log-in, and leaves for it. Requests touch the budgets of their source only, without a lock.
 */
#ifndef SHC_PEER_SOURCE_H
#define SHC_PEER_SOURCE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "../lib/hash.h"
#include "../lib/slice.h"
#include "access.h"
#include "budget.h"

struct client_address;
struct peer;

enum { SOURCES_IDLE_MAX = 4096, SOURCE_TEXT_SIZE = 80 };

enum source_kind { SOURCE_USER, SOURCE_ADDRESS, SOURCE_LOGIN };

/* Zeros behind `bytes`: compared and hashed as it lies in memory. */
struct source_key {
	uint8_t kind;
	uint8_t len;
	char bytes[ACCESS_LOGIN_SIZE];
};

TAILQ_HEAD(source_peers, peer);

/* Peers of one source that one worker holds back: the first that came goes on first. Of that worker. */
struct source_queue {
	TAILQ_ENTRY(source_queue) link; /* of the worker, while there are some */
	struct source_peers peers;
};
TAILQ_HEAD(source_queues, source_queue);

struct source {
	struct source_key key;
	struct budget operations, bytes; /* any worker */
	/* under the table's mutex */
	int64_t clients;
	LIST_ENTRY(source) same;      /* bucket */
	TAILQ_ENTRY(source) idle;     /* while it has no client */
	struct source_queue queues[]; /* by worker */
};
LIST_HEAD(source_bucket, source);

enum { SOURCE_BUCKETS = 4096 };

struct sources {
	pthread_mutex_t mutex; /* a leaf; cold */
	struct hash_key hash_key;
	uint32_t worker_count;
	struct source_bucket *buckets;
	TAILQ_HEAD(, source) idle; /* those that are looked at next first */
	size_t idle_count;
	_Atomic int64_t count;	  /* with a client */
	_Atomic uint64_t refused; /* connections and log-ins beyond a limit of clients */
};

int sources_init(struct sources *t, uint32_t worker_count); /* 0 or -ENOMEM */
void sources_fini(struct sources *t);			    /* nobody is connected any more */

/* Another client of that source, which has at most clients_max (0: any number). 0 with *out, for
 * sources_leave(); -EUSERS: it has as many, which is counted as a refusal; -ENOMEM. Times: steady clock. */
int sources_join(struct sources *t, const struct source_key *key, int64_t clients_max, int64_t now_ns,
		 struct source **out);
/* Null is allowed. */
void sources_leave(struct sources *t, struct source *s, int64_t now_ns);

/* By other limits from now on: nobody owes more than a second. */
void sources_forgive(struct sources *t, int64_t now_ns);

/* ---- keys ---- pure */

void source_key_of_address(const struct client_address *address, struct source_key *out);
/* A name shorter than ACCESS_LOGIN_SIZE. */
void source_key_of_login(struct slice login, struct source_key *out);
bool source_key_equal(const struct source_key *a, const struct source_key *b);
/* "uid 7", "127.0.0.1", "2001:db8::/64", "login web". */
void source_key_print(const struct source_key *key, char out[SOURCE_TEXT_SIZE]);

#endif
