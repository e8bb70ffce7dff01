/* SPDX-License-Identifier: MIT */
/*
 * peer_access.h - who a peer is, what he may therefore do and take, and what is told of what he was refused.
 *
 * The kernel says who is at the other end of a Unix socket: as whom he connected, with which groups. Rights
 * are made of that when he comes, logs in or resets, and when the rules have changed; requests look at what
 * was made (request_access.c). Thread: the worker that owns the peer.
 */
#ifndef SHC_PEER_ACCESS_H
#define SHC_PEER_ACCESS_H

#include <stdbool.h>

#include "../lib/slice.h"

struct peer;

/* Makes p->rights and p->limits of the worker's rules and the settings. 0, or -ENOMEM: then he has no rights.
 */
int peer_resolve(struct peer *p);

/* As whom he is from now on. 0; or nothing has changed: no login has this name and password; it has as many
 * clients as it may; -ENOMEM. */
enum { PEER_LOGIN_WRONG = 1, PEER_LOGIN_FULL };
int peer_login(struct peer *p, struct slice name, struct slice password);
/* Back to who he was when he came. 0; -EUSERS: there are as many of those as may be; -ENOMEM. */
int peer_logout(struct peer *p);

/* Nobody yet: a stranger's connection before AUTH. */
bool peer_is_nobody(const struct peer *p);

/* How long the answer to a wrong password waits: longer each time. Counts it. */
int64_t peer_count_failure(struct peer *p);

/* Says in the log that he was refused `what` ("'incr'"), on a name where data is not null; not each time
 * (refusals.h). */
void peer_log_refusal(struct peer *p, const char *error, const char *what, struct slice name);
/* The same of a connection that is closed because a browser was made to speak to us. */
void peer_log_http(struct peer *p);
/* ... and that is closed because nobody reads (output-timeout). */
void peer_log_slow(struct peer *p, int64_t limit_ms);

#endif
