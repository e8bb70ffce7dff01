/* SPDX-License-Identifier: MIT */
/*
 * greeting.h - who we are and who the server is: the AUTH of a URL with credentials, HELLO, and what their
 * answers mean. Pure; any thread.
 */
#ifndef SHC_GREETING_H
#define SHC_GREETING_H

#include <stdbool.h>

#include "buf.h"
#include "resp.h"
#include "url.h"

enum { GREETING_WHY_SIZE = 256 };

/* Whether a URL has credentials. */
static inline bool greeting_has_auth(const struct url *url)
{
	return url->user || url->password;
}

/* Appends its AUTH. The password is in `out` then, for the caller to wipe. */
void greeting_put_auth(struct buf *out, const struct url *url);

/* Whether the answer to it lets us in; else there is a sentence in `why`, without the password, whatever the
 * server says. */
bool greeting_is_in(const struct url *url, const struct resp_reply *reply, char why[GREETING_WHY_SIZE]);

/* Whether the answer to HELLO is a Redis server's, or that of another one which is no shcounterd. An error
 * is: HELLO came with Redis 6; but whoever wants credentials first may be either, and is taken for
 * shcounterd. */
bool greeting_is_redis(const struct resp_reply *hello);

/* Whether it is that of a node of a Redis Cluster. */
bool greeting_is_cluster(const struct resp_reply *hello);

#endif
