/* SPDX-License-Identifier: MIT */
/*
 * watch.h - once a second, while anybody listens: how the backends are, and what is busiest, in a thread and
 * over connections of its own. SHC.TOP waits for the end of a period when nobody has asked lately, and a
 * backend that hangs is waited for: no request of a client has to stand behind that.
 */
#ifndef SHC_GATEWAY_WATCH_H
#define SHC_GATEWAY_WATCH_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"

struct loop;
struct watch;

/* Not changed once it is out. */
struct news {
	_Atomic unsigned refs;
	uint64_t number; /* 1, 2, 3, ... */
	int64_t made_ms; /* monotonic */
	size_t len;	 /* bytes */
	char *text;	 /* owned */
};
void news_unref(struct news *n); /* any thread; null is fine */

/* `options` are borrowed. 0 or negative with a sentence in `why`. */
int watch_start(struct watch **out, const struct options *options, char why[OPTIONS_ERROR_SIZE]);
/* Behind the loops' end, but they are there still. Waits for a backend that hangs as long as it waits. */
void watch_stop(struct watch *w);

/* ---- a loop's thread ---- */

/* It is woken for news from now on; from then on not any more. */
void watch_listen(struct watch *w, struct loop *l);
void watch_leave(struct watch *w, struct loop *l);

/* What is newer than that number; a reference. Null: nothing. */
struct news *watch_newest(struct watch *w, uint64_t seen);

#endif
