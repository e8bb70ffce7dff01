/* SPDX-License-Identifier: MIT */
/*
 * uplink.h - what `shcount uplink` shows that is more than a line: uplink_status.c, uplink_verify.c. Both ask
 * the daemon on `shc`, print, and return the exit status.
 */
#ifndef SHC_UPLINK_H
#define SHC_UPLINK_H

#include <stdbool.h>

#include "command.h"

/* How it stands between the daemon and its cluster. */
int uplink_status(const struct invocation *inv, struct shc *shc);

/* Counter by counter: what the daemon has, and what the cluster has. With `is_repairing` what differs is put
 * right, as far as a daemon can. EXIT_NO: something differs, or did. */
int uplink_verify(const struct invocation *inv, struct shc *shc, bool is_repairing);

/* The answer to `command` is of a kind that it does not have. An exit status, after a complaint. */
int uplink_no_sense(const char *command);

#endif
