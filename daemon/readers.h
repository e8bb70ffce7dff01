/* SPDX-License-Identifier: MIT */
/*
 * readers.h - who can read the state beside the daemon's user and root, by the modes of its file and of the
 * directories above it. Rules of access mean nothing to them, and a lock that they take on the file holds up
 * commits. Main thread.
 */
#ifndef SHC_READERS_H
#define SHC_READERS_H

#include <limits.h>
#include <stdbool.h>

enum { READERS_WHY_SIZE = PATH_MAX + 256 };

/* False: nobody can, or there is no state yet, which is made for its user alone. Else a sentence in `why`,
 * which says who, what, and what to do. */
bool readers_find(const char *db, char why[READERS_WHY_SIZE]);

#endif
