/* SPDX-License-Identifier: MIT */
/*
 * guard.c - see guard.h. origin.c knows whose page asks, tokens.c who may what, rate.c how often; here is
 * which of them is asked when, and the set of tokens that is in force.
 */
#include "guard.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "origin.h"
#include "rate.h"

struct guard {
	struct origin_self self;
	const char *path;      /* of the tokens; null: everybody who reaches us has all roles */
	struct tokens *tokens; /* under `lock`: what is in force */
	pthread_rwlock_t lock;
	struct rate *rate; /* null: no limit */
};

/* ---- open, reload, close ---- */

static int check_hosts(const struct options *o, char why[OPTIONS_ERROR_SIZE])
{
	for (size_t i = 0; i < o->host_count; i++)
		if (!origin_is_host(o->hosts[i])) {
			(void)snprintf(why, OPTIONS_ERROR_SIZE,
				       "host: '%.100s' is no name that stands in a Host header, as "
				       "counters.example.com",
				       o->hosts[i]);
			return -EINVAL;
		}
	return 0;
}

int guard_open(struct guard **out, const struct options *options, char why[OPTIONS_ERROR_SIZE])
{
	struct guard *g = calloc(1, sizeof(*g));
	pthread_rwlockattr_t attr;
	int rc = 0;

	(void)snprintf(why, OPTIONS_ERROR_SIZE, "out of memory");
	if (!g)
		return -ENOMEM;
	/* Or a reload would wait until no thread is busy. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&g->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	g->self = (struct origin_self){.listen = options->listen,
				       .hosts = (const char *const *)options->hosts,
				       .host_count = options->host_count,
				       .is_tls = options->tls_cert != NULL};
	g->path = options->tokens;
	if (options->rate_limit > 0 && !(g->rate = rate_new(options->rate_limit)))
		rc = -ENOMEM;
	if (!rc)
		rc = check_hosts(options, why);
	if (!rc && g->path)
		rc = tokens_read(&g->tokens, g->path, why);
	if (rc)
		guard_close(g);
	else
		*out = g;
	return rc;
}

void guard_close(struct guard *g)
{
	if (!g)
		return;
	tokens_free(g->tokens);
	rate_free(g->rate);
	pthread_rwlock_destroy(&g->lock);
	free(g);
}

/* A request has been judged by the one or by the other; what was let in goes on. */
int guard_reload(struct guard *g, char why[OPTIONS_ERROR_SIZE])
{
	struct tokens *fresh, *old;
	int rc;

	if (!g->path)
		return 0;
	rc = tokens_read(&fresh, g->path, why);
	if (rc)
		return rc;
	pthread_rwlock_wrlock(&g->lock);
	old = g->tokens;
	g->tokens = fresh;
	pthread_rwlock_unlock(&g->lock);
	tokens_free(old);
	return 0;
}

/* ---- judging ---- */

static struct verdict say(unsigned status, const char *details)
{
	return (struct verdict){.status = status, .details = details};
}

static struct verdict judge_page(const struct guard *g, const struct guard_request *r)
{
	if (r->is_twice)
		return say(400, "a header that says who asks, or the Idempotency-Key, is there twice");
	if (!r->host)
		return say(400, "a request needs a Host header");
	if (!origin_is_our_host(&g->self, r->host))
		return say(403, "this gateway is not known by the name in the Host header; the setting "
				"host = NAME makes it one of its names");
	if (r->origin && !origin_is_same(&g->self, r->origin, r->host))
		return say(403, "a page of another origin asks (Origin)");
	if (!origin_may_fetch(r->fetch_site, r->fetch_mode, r->fetch_dest,
			      r->is_get && r->role == ROLE_NOBODY))
		return say(403, "a page of another origin asks (Sec-Fetch-Site)");
	return say(0, NULL);
}

static struct verdict count(struct guard *g, uint64_t client, int64_t now_ms)
{
	unsigned wait_s = g->rate ? rate_take(g->rate, client, now_ms) : 0;
	struct verdict v = say(429, "more requests than the rate limit allows a client");

	v.retry_after_s = wait_s;
	return wait_s ? v : say(0, NULL);
}

static const struct token *token_of(const struct guard *g, const struct guard_request *r)
{
	size_t len = 0;
	const char *token = r->authorization ? tokens_bearer(r->authorization, &len) : NULL;

	return token ? tokens_find(g->tokens, token, len) : NULL;
}

static uint64_t client_of(const struct guard *g, const struct token *t, const struct guard_request *r)
{
	if (!g->rate)
		return 0;
	return t ? rate_client_of_name(g->rate, t->name) : rate_client_of_peer(g->rate, r->peer);
}

struct verdict guard_judge_role(enum role has, enum role needs)
{
	static const char *const needed[] = {"", "this needs a token with the role read",
					     "this needs a token with the role write",
					     "this needs a token with the role admin"};
	struct verdict v = has >= needs ? say(0, NULL) : say(403, needed[needs]);

	v.has = has;
	return v;
}

/* The name of a token counts, wherever it is used from; who has none that is known is his address, so that
 * guessing has a limit, too. */
static struct verdict judge_token(struct guard *g, const struct guard_request *r, int64_t now_ms)
{
	const struct token *t = token_of(g, r);
	struct verdict v = count(g, client_of(g, t, r), now_ms);

	if (v.status)
		return v;
	if (t)
		return guard_judge_role(t->role, r->role);
	return r->authorization
		       ? say(401, "there is no such token; the header is Authorization: Bearer TOKEN")
		       : say(401, "this needs a token: Authorization: Bearer TOKEN");
}

struct verdict guard_judge(struct guard *g, const struct guard_request *r, int64_t now_ms)
{
	struct verdict v = judge_page(g, r);

	if (v.status || r->role == ROLE_NOBODY)
		return v;
	if (!g->path) {
		v = count(g, client_of(g, NULL, r), now_ms);
		v.has = ROLE_ADMIN;
		return v;
	}
	pthread_rwlock_rdlock(&g->lock);
	v = judge_token(g, r, now_ms);
	pthread_rwlock_unlock(&g->lock);
	return v;
}
