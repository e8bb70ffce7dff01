/* SPDX-License-Identifier: MIT */
/* peer_access.c - see peer_access.h. */
#include "peer_access.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../lib/log.h"
#include "peer.h"
#include "peer_limit.h"
#include "server.h"
#include "who.h"
#include "worker.h"

enum {
	FAILURE_MS = 100,	   /* a wrong password, */
	FAILURE_DOUBLINGS_MAX = 4, /* ... and each further one; a stopping worker has to wait for it */
	NAME_SHOWN_MAX = 64,
};

/* ---- who ---- */

struct somebody {
	struct rights_who who;
	struct who_groups groups;
	bool has_groups;
};

/* 0, or -ENOMEM. */
static int find_groups(const struct peer *p, struct somebody *s)
{
	int rc = who_groups_find(&s->groups, p->client.fd);

	if (rc == -ENOMEM)
		return rc;
	s->has_groups = rc == 0;
	/* A kernel that does not say leaves him without them. */
	if (rc) {
		log_warning("client %" PRIu64 ": its groups are not known: %s", p->client.id, strerror(-rc));
		return 0;
	}
	s->who.groups = s->groups.all;
	s->who.group_count = s->groups.count;
	return 0;
}

/* As that login, or as the one who came (null). 0, to be freed; or -ENOMEM. */
static int somebody_find(const struct peer *p, const char *login, struct somebody *out)
{
	out->has_groups = false;
	who_of_address(&p->client.address, &out->who);
	out->who.login = login;
	out->who.hash = p->login_hash;
	return p->worker->access && out->who.is_unix && !login ? find_groups(p, out) : 0;
}

static void somebody_free(struct somebody *s)
{
	if (s->has_groups)
		who_groups_free(&s->groups);
}

static void find_limits(const struct peer *p, const struct rights_who *who, struct limits *out)
{
	struct limits settings;

	limits_of_settings(p->worker->server->config, &settings);
	limits_resolve(&settings, p->worker->access, who, out);
}

static int resolve(struct peer *p, struct rights *out)
{
	struct somebody s;
	struct limits limits;
	int rc = somebody_find(p, p->is_logged_in ? p->login : NULL, &s);

	if (rc)
		return rc;
	rc = rights_resolve(out, p->worker->access, &s.who);
	find_limits(p, &s.who, &limits);
	peer_limit_set(p, &limits);
	somebody_free(&s);
	return rc;
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

/* As peer_limit_move; by what it is as that login, or as the one who came (null). */
static int move_to(struct peer *p, const char *login)
{
	struct source_key key;
	struct limits limits;
	struct somebody s;
	int rc = somebody_find(p, login, &s);

	if (rc)
		return rc;
	find_limits(p, &s.who, &limits);
	somebody_free(&s);
	if (login)
		source_key_of_login(slice_str(login), &key);
	else
		source_key_of_address(&p->client.address, &key);
	return peer_limit_move(p, &key, limits.values[LIMIT_CLIENTS]);
}

static void renew(struct peer *p)
{
	if (peer_resolve(p))
		peer_close(p, false);
}

int peer_login(struct peer *p, struct slice name, struct slice password)
{
	uint8_t hash[SECRET_HASH_SIZE];
	char login[ACCESS_LOGIN_SIZE];
	int rc;

	secret_hash(password, hash);
	if (!access_is_login(p->worker->access, name, hash))
		return PEER_LOGIN_WRONG;
	memcpy(login, name.data, name.len);
	login[name.len] = '\0';
	rc = move_to(p, login);
	if (rc)
		return rc == -EUSERS ? PEER_LOGIN_FULL : rc;
	memcpy(p->login_hash, hash, sizeof(hash));
	memcpy(p->login, login, sizeof(login));
	p->is_logged_in = true;
	p->failures = 0;
	client_set_string(&p->worker->server->clients, p->client.user, name);
	renew(p);
	return 0;
}

int peer_logout(struct peer *p)
{
	int rc = p->is_logged_in ? move_to(p, NULL) : 0;

	if (rc || !p->is_logged_in)
		return rc;
	p->is_logged_in = false;
	client_set_string(&p->worker->server->clients, p->client.user, (struct slice){0});
	renew(p);
	return 0;
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
	else if (!address->peer[0])
		(void)snprintf(out, REFUSALS_WHO_SIZE, "an unknown address");
	else
		(void)snprintf(out, REFUSALS_WHO_SIZE, "%.*s",
			       colon ? (int)(colon - address->peer) : (int)strlen(address->peer),
			       address->peer);
}

/* True: say it, of `who`, with `more` behind it. */
static bool note_refusal(struct peer *p, char who[REFUSALS_WHO_SIZE], char more[REFUSALS_MORE_SIZE])
{
	uint64_t unsaid = 0;
	bool is_said;

	describe_source(p, who);
	is_said = refusals_note(&p->worker->server->refusals, who, p->worker->now_ms, &unsaid);
	refusals_more(unsaid, more);
	return is_said;
}

void peer_log_http(struct peer *p)
{
	char who[REFUSALS_WHO_SIZE], more[REFUSALS_MORE_SIZE];

	if (note_refusal(p, who, more))
		log_warning("%s (client %" PRIu64
			    ") speaks HTTP (POST or Host:) to the RESP port: connection closed%s",
			    who, p->client.id, more);
}

void peer_log_slow(struct peer *p, int64_t limit_ms)
{
	char who[REFUSALS_WHO_SIZE], more[REFUSALS_MORE_SIZE];

	if (note_refusal(p, who, more))
		log_warning("client %" PRIu64 " (%s): has read no reply for %" PRId64
			    " ms (output-timeout): connection closed%s",
			    p->client.id, who, limit_ms, more);
}

void peer_log_refusal(struct peer *p, const char *error, const char *what, struct slice name)
{
	char who[REFUSALS_WHO_SIZE], more[REFUSALS_MORE_SIZE],
		on[NAME_SHOWN_MAX + 16] = "", login[ACCESS_LOGIN_SIZE + 16] = "";

	if (!note_refusal(p, who, more))
		return;
	if (name.data)
		(void)snprintf(on, sizeof(on), " on \"%.*s%s\"",
			       name.len < NAME_SHOWN_MAX ? (int)name.len : NAME_SHOWN_MAX, name.data,
			       name.len > NAME_SHOWN_MAX ? "..." : "");
	if (p->is_logged_in)
		(void)snprintf(login, sizeof(login), " as %s", p->login);
	log_warning("%s%s (client %" PRIu64 ") was refused %s%s: %s%s", who, login, p->client.id, what, on,
		    error, more);
}
