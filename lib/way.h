/* SPDX-License-Identifier: MIT */
/*
 * way.h - the way to a file: could somebody else put another thing in the place of what is on it? Whoever may
 * write to a directory renames what is in it, also a directory further up. As sshd's StrictModes looks at the
 * keys of a user, but with two answers: where anybody could, right where the file is, is a mistake; what is
 * further up, or for a group or another user, somebody has decided, and is to know. Main thread (names of
 * users and groups).
 */
#ifndef SHC_WAY_H
#define SHC_WAY_H

#include <limits.h>

enum { WAY_WHY_SIZE = 2 * PATH_MAX + 256 };

enum way {
	WAY_SAFE = 0,
	WAY_DOUBTFUL, /* somebody could: a group, another user who has a directory on it, anybody further up
		       */
	WAY_OPEN,     /* anybody could */
};

/* Of the directory that the file itself is in. */
enum way_use {
	WAY_FOR_SOCKET, /* may be as /tmp, where each takes away only what is his; a link at the end is not
			   followed */
	WAY_FOR_STATE,	/* may not: what others make beside the file is believed */
};

/* Looks at every directory up to "/", those that symbolic links lead through, too. Trusted are root, this
 * process's user, and whoever has "/" (root, seen from inside a name space of users); of groups root's, and
 * one that is this user's alone. Sticky directories are right where the next on the way is no link and
 * belongs to one of those.
 *
 * A way that ends early, or may not be looked at, is safe as far as it goes. A sentence in `why`, which names
 * the directory and what to do, unless it is safe. */
enum way way_look(const char *path, enum way_use use, char why[WAY_WHY_SIZE]);

#endif
