/* SPDX-License-Identifier: MIT */
/* role.h - what somebody may do with counters: each role has what those before it have. Pure. */
#ifndef SHC_ROLE_H
#define SHC_ROLE_H

#include <stdbool.h>
#include <stddef.h>

#include "slice.h"

/* ROLE_NOBODY: what anybody may who is let in at all. */
enum role { ROLE_NOBODY, ROLE_READ, ROLE_WRITE, ROLE_ADMIN };

/* Its word in files. */
static inline const char *role_name(enum role role)
{
	static const char *const words[] = {"nobody", "read", "write", "admin"};

	return words[role];
}

/* False: the word is none of read, write, admin. */
static inline bool role_parse(struct slice word, enum role *out)
{
	for (enum role r = ROLE_READ; r <= ROLE_ADMIN; r++)
		if (slice_equal(word, slice_str(role_name(r)))) {
			*out = r;
			return true;
		}
	return false;
}

#endif
