/* SPDX-License-Identifier: MIT */
/*
 * revive.h - for a program that can start the server it talks to: a handle that has it started again.
 *
 * Not in the library's face: a handle made by shc_open has nobody to ask.
 */
#ifndef SHC_REVIVE_H
#define SHC_REVIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "shcount.h"

/* Nobody listens on `path`. True: somebody does now, and the connection is tried once more. False: it cannot
 * be had before `deadline_ns`, and is not asked for again until there was a connection. May not use the
 * handle. */
typedef bool revive_fn(void *arg, const char *path, int64_t deadline_ns);

/* Has `fn` asked whenever a call finds nobody on the handle's Unix socket. */
void revive_on(struct shc *shc, revive_fn *fn, void *arg);

/* The handle's Unix socket; null when it has none. */
const char *revive_path(const struct shc *shc);

#endif
