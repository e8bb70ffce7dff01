/* SPDX-License-Identifier: MIT */
/* peer_access.c - see peer_access.h. */
#include "peer_access.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/log.h"
#include "peer.h"
#include "server.h"
#include "worker.h"

enum {
	GROUPS_FEW = 64,	   /* most people have fewer */
	FAILURE_MS = 100,	   /* a wrong password, */
	FAILURE_DOUBLINGS_MAX = 4, /* ... and each further one; a stopping worker has to wait for it */
	NAME_SHOWN_MAX = 64,
};

/* ---- who ---- */

/* Those he had when he connected, into `few` or onto the heap. 0 or -errno. */
static int find_groups(int fd, gid_t few[GROUPS_FEW], gid_t **groups, size_t *count)
{
	socklen_t len = GROUPS_FEW * sizeof(gid_t);

	*groups = few;
	while (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, *groups, &len)) {
		if (errno != ERANGE || *groups != few)
			return -errno;
		*groups = malloc(len); /* as many as there are */
		if (!*groups)
			return -ENOMEM;
	}
	*count = len / sizeof(gid_t);
	return 0;
}

static int resolve_unix(struct peer *p, struct rights_who *who, struct rights *out)
{
	gid_t few[GROUPS_FEW], *groups = few;
	int rc = find_groups(p->client.fd, few, &groups, &who->group_count);

	/* A kernel that does not say leaves him without them. */
	if (rc == -ENOMEM)
		return rc;
	if (rc) {
		log_warning("client %" PRIu64 ": its groups are not known: %s", p->client.id, strerror(-rc));
		who->group_count = 0;
	}
	who->groups = groups;
	rc = rights_resolve(out, p->worker->access, who);
	if (groups != few)
		free(groups);
	return rc;
}

static int resolve(struct peer *p, struct rights *out)
{
	const struct client_address *address = &p->client.address;
	struct rights_who who = {
		.is_unix = address->uid != (uid_t)-1,
		.uid = address->uid,
		.gid = address->gid,
		.is_owner = address->uid == 0 || address->uid == geteuid(),
		.is_loopback = address->is_loopback,
		.login = p->is_logged_in ? p->login : NULL,
		.hash = p->login_hash,
	};

	if (p->worker->access && who.is_unix && !who.login)
		return resolve_unix(p, &who, out);
	return rights_resolve(out, p->worker->access, &who);
}

int peer_resolve(struct peer *p)
{
	struct rights rights = {0};
	int rc = p->is_closed ? 0 : resolve(p, &rights); /* closed: the descriptor may be another's by now */

	rights_fini(&p->rights);
	p->rights = rights;
	/* Guesses were made with other rights. */
	batch_forget(&p->worker->batch);
	return rc;
}

bool peer_is_nobody(const struct peer *p)
{
	return p->rights.role == ROLE_NOBODY;
}

/* ---- logging in ---- */

bool peer_login(struct peer *p, struct slice name, struct slice password)
{
	uint8_t hash[SECRET_HASH_SIZE];

	secret_hash(password, hash);
	if (!access_is_login(p->worker->access, name, hash))
		return false;
	memcpy(p->login_hash, hash, sizeof(hash));
	memcpy(p->login, name.data, name.len);
	p->login[name.len] = '\0';
	p->is_logged_in = true;
	p->failures = 0;
	client_set_string(&p->worker->server->clients, p->client.user, name);
	if (peer_resolve(p))
		peer_close(p, false);
	return true;
}

void peer_logout(struct peer *p)
{
	if (!p->is_logged_in)
		return;
	p->is_logged_in = false;
	client_set_string(&p->worker->server->clients, p->client.user, (struct slice){0});
	if (peer_resolve(p))
		peer_close(p, false);
}

int64_t peer_count_failure(struct peer *p)
{
	unsigned doublings = p->failures < FAILURE_DOUBLINGS_MAX ? p->failures : FAILURE_DOUBLINGS_MAX;

	p->failures++;
	return (int64_t)FAILURE_MS << doublings;
}

/* ---- the log ---- */

/* One source of refusals: a user of this machine, or an address without its port. */
static void describe_source(const struct peer *p, char out[REFUSALS_WHO_SIZE])
{
	const struct client_address *address = &p->client.address;
	const char *colon = strrchr(address->peer, ':');

	if (address->uid != (uid_t)-1)
		(void)snprintf(out, REFUSALS_WHO_SIZE, "uid %u", (unsigned)address->uid);
	else
		(void)snprintf(out, REFUSALS_WHO_SIZE, "%.*s",
			       colon ? (int)(colon - address->peer) : (int)strlen(address->peer),
			       address->peer);
}

void peer_log_refusal(struct peer *p, const char *error, const char *what, struct slice name)
{
	char who[REFUSALS_WHO_SIZE], more[96] = "", on[NAME_SHOWN_MAX + 16] = "",
				     login[ACCESS_LOGIN_SIZE + 16] = "";
	uint64_t unsaid;

	describe_source(p, who);
	if (!refusals_note(&p->worker->server->refusals, who, p->worker->now_ms, &unsaid))
		return;
	if (unsaid)
		(void)snprintf(more, sizeof(more), "; %" PRIu64 " more refusals since the last such line",
			       unsaid);
	if (name.data)
		(void)snprintf(on, sizeof(on), " on \"%.*s\"",
			       name.len < NAME_SHOWN_MAX ? (int)name.len : NAME_SHOWN_MAX, name.data);
	if (p->is_logged_in)
		(void)snprintf(login, sizeof(login), " as %s", p->login);
	log_warning("%s%s (client %" PRIu64 ") was refused %s%s: %s%s", who, login, p->client.id, what, on,
		    error, more);
}
