/* SPDX-License-Identifier: MIT */
/*
 * rights.h - what one peer may do: the rules of a set (access.h) that are about him, added up.
 *
 * Rights borrow the set they were made of. Pure; whoever owns them.
 */
#ifndef SHC_RIGHTS_H
#define SHC_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "access.h"

/* Who somebody is. */
struct rights_who {
	bool is_unix;
	/* of a Unix socket */
	uid_t uid;
	gid_t gid;
	const gid_t *groups; /* supplementary ones; borrowed */
	size_t group_count;
	bool is_owner; /* root, or the daemon's own user: nobody locks himself out */
	/* of TCP */
	bool is_loopback;
	/* who has logged in is that, and nobody else any more */
	const char *login;   /* null: has not */
	const uint8_t *hash; /* of the password it was done with */
};

bool rights_is_in_group(const struct rights_who *who, uint32_t gid);

struct rights {
	bool is_free;	    /* everything: nothing else here is looked at */
	enum role role;	    /* the highest on any name; ROLE_NOBODY: nothing at all */
	enum role role_all; /* the highest on all names */
	const struct access *set;
	uint16_t *rules; /* indexes of those with more than role_all; owned */
	size_t rule_count;
};

#define RIGHTS_FREE                                                                                          \
	{                                                                                                    \
		.is_free = true, .role = ROLE_ADMIN, .role_all = ROLE_ADMIN                                  \
	}

/* Those of `who` by the set; null: everything. 0, or -ENOMEM with *out untouched. What was in *out before is
 * not freed. */
int rights_resolve(struct rights *out, const struct access *set, const struct rights_who *who);
void rights_fini(struct rights *r);

/* The role on this name; on all names. */
bool rights_may(const struct rights *r, enum role role, struct slice name);
static inline bool rights_may_all(const struct rights *r, enum role role)
{
	return r->role_all >= role;
}

#endif
