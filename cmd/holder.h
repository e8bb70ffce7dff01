/* SPDX-License-Identifier: MIT */
/*
 * holder.h - who has a lock, by what he wrote into it: the daemon with the user's state, or the shcount that
 * is starting one.
 */
#ifndef SHC_HOLDER_H
#define SHC_HOLDER_H

#include <limits.h>
#include <stdbool.h>

enum holder_phase { HOLDER_UNKNOWN, HOLDER_LOADING, HOLDER_SERVING, HOLDER_LEAVING };

struct holder {
	long pid;	       /* 0: it does not say */
	char socket[PATH_MAX]; /* where that daemon listens; "": it does not say */
	enum holder_phase phase;
};

/* Whether somebody holds the lock `path`, and what stands in it. Does not keep it; a daemon that is started
 * in that very moment may find it taken and end with 69. */
bool holder_look(const char *path, struct holder *out);

/* Writes this process into the lock that it holds. */
void holder_write(int lock_fd);

#endif
