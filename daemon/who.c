/* SPDX-License-Identifier: MIT */
/* who.c - see who.h. */
#include "who.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

void who_of_address(const struct client_address *address, struct rights_who *out)
{
	*out = (struct rights_who){
		.is_unix = address->uid != (uid_t)-1,
		.uid = address->uid,
		.gid = address->gid,
		.is_owner = address->uid == 0 || address->uid == geteuid(),
		.is_loopback = address->is_loopback,
	};
}

int who_groups_find(struct who_groups *g, int fd)
{
	socklen_t len = sizeof(g->few);

	g->all = g->few;
	g->count = 0;
	while (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, g->all, &len)) {
		int rc = -errno;

		if (rc != -ERANGE || g->all != g->few) {
			who_groups_free(g);
			return rc;
		}
		g->all = malloc(len); /* as many as there are */
		if (!g->all)
			return -ENOMEM;
	}
	g->count = len / sizeof(gid_t);
	return 0;
}

void who_groups_free(struct who_groups *g)
{
	if (g->all != g->few)
		free(g->all);
	g->all = NULL;
	g->count = 0;
}
