/* SPDX-License-Identifier: MIT */
/*
 * net.h - connections in memory: the clients' end. The daemon's end is fake_io.c, behind io_backend.h and in
 * the place of the acceptor.
 *
 * Bytes come in seeded fragments and late, sends are short, ends come behind bytes or cut them off.
 */
#ifndef SHC_SIM_NET_H
#define SHC_SIM_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct server;
struct net_conn;

/* The daemon has handed bytes to the kernel; called once for each, in order. From any stack, stepped out. */
typedef void net_left_fn(void *arg, const char *data, size_t len);

void net_init(net_left_fn *on_left);
/* The daemon is gone: bytes under way come or do not, every connection ends. */
void net_crash(void);
/* No connections are left of a seed that is over. */
void net_fini(void);

bool net_is_accepting(void);
struct server *net_server(void); /* the daemon's; null before it accepts */

/* To a worker of the seed's choice. `arg` goes to on_left. */
struct net_conn *net_connect(void *arg);
void net_send(struct net_conn *c, const char *data, size_t len);
/* What has come and was not taken yet. */
size_t net_received(struct net_conn *c, const char **data);
void net_take(struct net_conn *c, size_t len);
void net_shutdown(struct net_conn *c);	     /* the last byte was sent */
void net_reset(struct net_conn *c);	     /* the client is gone, with what it has not read */
bool net_is_ended(const struct net_conn *c); /* by the daemon; what was received can still be taken */
/* The client needs it no more (after net_reset, or when it is ended). */
void net_forget(struct net_conn *c);

/* The kernel moves some bytes of sends that were cut short. */
void net_step(void);

#endif
