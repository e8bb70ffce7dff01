/* SPDX-License-Identifier: MIT */
/*
 * who.h - who is at the other end of a connection, as the kernel says: what rules and limits are looked up
 * by. Any thread.
 */
#ifndef SHC_WHO_H
#define SHC_WHO_H

#include <sys/types.h>

#include "rights.h"

struct client_address;

enum { WHO_GROUPS_FEW = 64 }; /* most people have fewer */

/* The groups he had when he connected. */
struct who_groups {
	gid_t few[WHO_GROUPS_FEW], *all; /* `few`, or the heap */
	size_t count;
};

/* Without login and groups. */
void who_of_address(const struct client_address *address, struct rights_who *out);

/* Those of a Unix socket. 0, to be freed; or -errno: then there are none, and nothing to free. */
int who_groups_find(struct who_groups *g, int fd);
void who_groups_free(struct who_groups *g);

#endif
