/* SPDX-License-Identifier: MIT */
/*
 * target.h - which server a command talks to: the options, then the environment, then the usual places.
 */
#ifndef SHC_TARGET_H
#define SHC_TARGET_H

#include "command.h"

/* Opens a handle and connects it. EX_OK, or the exit status after a complaint that says what was tried. The
 * caller closes *out, which is null on failure. */
int target_connect(const struct invocation *inv, struct shc **out);

/* Only opens the handle, and gives the URL or path that it is on: connects nowhere, starts nothing. EX_OK
 * also when no server is named and there is no socket in the usual places: both are null then. The caller
 * closes and frees. */
int target_open(const struct invocation *inv, struct shc **out, char **url);

/* A command that is one conversation: connects, runs `ask` with the handle, closes it. The exit status. */
int target_ask(struct invocation *inv, int (*ask)(struct invocation *inv, struct shc *shc));

/* Whether the server that is named is a Redis Cluster. Connects nowhere, complains of nothing. */
bool target_is_cluster(const struct invocation *inv);

/* For a command that outlives the end of its server: whenever the user's own daemon, which target_connect has
 * found or started, is gone, it is started again from inside the calls on `shc`. Nothing for other servers.
 * `inv` must live as long. */
void target_keep(struct invocation *inv, struct shc *shc);

/* An exit status, after a complaint when an operand is a name that begins with shc: and the server is a
 * Redis: nothing of what was asked for is done then. */
int target_check_names(const struct invocation *inv, struct shc *shc);

/* An exit status, after a complaint when the server is a Redis: for a command about what only a shcounterd
 * has. */
int target_check_daemon(const struct invocation *inv, struct shc *shc);

#endif
