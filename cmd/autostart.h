/* SPDX-License-Identifier: MIT */
/*
 * autostart.h - a daemon of the user's own, started because nobody answers in the usual places.
 *
 * However many ask for it at once, one is started: whoever gets the lock beside the socket looks again and
 * starts it, the others connect as soon as it listens. It is nobody's child any more, holds none of the
 * caller's files, and leaves by itself when nobody has been connected for a while.
 */
#ifndef SHC_AUTOSTART_H
#define SHC_AUTOSTART_H

#include <stdint.h>

#include "command.h"

/* Null: a daemon may be started. Else why not, and what to do, in a sentence (static). */
const char *autostart_refusal(void);

/* Starts a daemon on `socket`, or waits for the one that somebody else is starting, and connects to it. The
 * socket's directory is made when it is missing, and must be the user's alone. A daemon that has the user's
 * state already is taken where it is: cron has no XDG_RUNTIME_DIR, and so looks elsewhere than a session.
 * Ends at `deadline_ns` (conn_now_ns). EX_OK, or the exit status after a complaint; the caller closes *out,
 * which is null on failure. */
int autostart_connect(const struct invocation *inv, const char *socket, int64_t deadline_ns,
		      struct shc **out);

#endif
