/* SPDX-License-Identifier: MIT */
/*
 * client.h - what CLIENT LIST shows of a connection, and the directory of all of them.
 *
 * Each peer embeds a `struct client`, linked in one list under a mutex that is taken when a connection comes,
 * goes or names itself, and by CLIENT LIST: cold all of it. Numbers are written by the owner worker and read
 * by anyone, relaxed.
 */
#ifndef SHC_CLIENT_H
#define SHC_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "../lib/buf.h"
#include "../lib/slice.h"
#include "access.h"

enum { CLIENT_NAME_MAX = 255 };

/* How much of an address is one source: an IPv4 address, the /64 of an IPv6 one. */
enum { CLIENT_NET_V4 = 4, CLIENT_NET_V6 = 8 };

/* As accept4, getsockname and getpeereid said at accept. */
struct client_address {
	char peer[128]; /* "127.0.0.1:5555", "/path:0" */
	char local[128];
	uid_t uid; /* (uid_t)-1: not a Unix socket */
	gid_t gid; /* of a Unix socket */
	pid_t pid;
	bool is_loopback; /* TCP from this machine */
	uint8_t net_len;  /* of TCP: CLIENT_NET_V4 or _V6; 0: not known, or a Unix socket */
	uint8_t net[CLIENT_NET_V6];
};

struct client {
	TAILQ_ENTRY(client) link;
	/* constant */
	uint64_t id;
	uint32_t worker;
	int fd;
	int64_t since_ms; /* monotonic */
	struct client_address address;
	/* under the directory's mutex */
	char name[CLIENT_NAME_MAX + 1];
	char user[ACCESS_LOGIN_SIZE]; /* empty: has not logged in */
	char lib_name[CLIENT_NAME_MAX + 1];
	char lib_version[CLIENT_NAME_MAX + 1];
	/* owner worker writes; anyone reads; relaxed */
	_Atomic int64_t active_ms;     /* monotonic, last request */
	_Atomic(const char *) command; /* last, static string */
	_Atomic int32_t multi_count;   /* -1: no MULTI */
	_Atomic int32_t proto;
	_Atomic uint64_t input_bytes, output_bytes; /* waiting now */
	_Atomic bool is_held_back;		    /* its source has used up its budget */
};
TAILQ_HEAD(client_list, client);

struct client_directory {
	pthread_mutex_t mutex;
	struct client_list list; /* by id */
	uint64_t id_next;
	_Atomic uint64_t count;
};

void client_directory_init(struct client_directory *d);
void client_directory_fini(struct client_directory *d);

/* Gives the id; the rest of `c` is filled in already. */
void client_add(struct client_directory *d, struct client *c);
void client_remove(struct client_directory *d, struct client *c);

/* Copies `value` (at most CLIENT_NAME_MAX bytes, checked by the caller) into one of the strings of c. */
void client_set_string(struct client_directory *d, char *string, struct slice value);

/* CLOCK_MONOTONIC, as the times above. */
int64_t client_now_ms(void);

/* A line of CLIENT LIST, with newline. The caller holds the mutex or is the owner worker, who alone writes
 * the strings. */
void client_print(const struct client *c, int64_t now_ms, struct buf *out);
/* All lines, by id. `ids` (sorted; may be null) selects. Takes the mutex. */
void client_print_all(struct client_directory *d, const uint64_t *ids, size_t id_count, struct buf *out);

#endif
