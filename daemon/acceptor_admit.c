/* SPDX-License-Identifier: MIT */
/*
 * acceptor_admit.c - whether a connection's source may have one more, and the entry it counts in. Here and
 * not in its worker, so that one source cannot hold what max-clients leaves to all. The acceptor's thread.
 */
#include "acceptor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "../lib/log.h"
#include "../lib/num.h"
#include "clock.h"
#include "limits.h"
#include "server.h"
#include "who.h"
#include "worker.h"

/* By the rules as they are now. */
static void follow_access(struct acceptor *a)
{
	struct access *before = a->access;

	if (!access_now_is_new(&a->server->access, a->access_generation))
		return;
	a->access = access_now_get(&a->server->access, &a->access_generation);
	access_unref(before);
}

/* 0, or -ENOMEM. */
static int clients_max(struct acceptor *a, const struct handoff *h, int64_t *out)
{
	struct who_groups groups;
	struct rights_who who;
	struct limits settings, limits;
	int rc = -ENOTSUP;

	who_of_address(&h->address, &who);
	limits_of_settings(a->server->config, &settings);
	if (who.is_unix && limits_need_groups(a->access))
		rc = who_groups_find(&groups, h->fd);
	if (rc == -ENOMEM)
		return rc;
	/* A kernel that does not say leaves him without them: his worker says so in the log. */
	if (!rc) {
		who.groups = groups.all;
		who.group_count = groups.count;
	}
	limits_resolve(&settings, a->access, &who, &limits);
	if (!rc)
		who_groups_free(&groups);
	*out = limits.values[LIMIT_CLIENTS];
	return 0;
}

/* In Redis's words, and whose limit it is; as far as the socket takes them at once. */
static void refuse(struct acceptor *a, const struct handoff *h, const struct source_key *key, int64_t max)
{
	char who[SOURCE_TEXT_SIZE], text[SOURCE_TEXT_SIZE + 64];
	char more[REFUSALS_MORE_SIZE];
	uint64_t unsaid;
	int len;

	source_key_print(key, who);
	len = snprintf(text, sizeof(text), "-ERR max number of clients reached by %s\r\n", who);
	(void)send(h->fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (!refusals_note(&a->server->refusals, who, clock_ms(CLOCK_MONOTONIC), &unsaid))
		return;
	refusals_more(unsaid, more);
	log_warning("%s has %" PRId64
		    " connection%s (max-source-clients, or its limit in the rules): further "
		    "ones are refused%s",
		    who, max, num_plural((uint64_t)max), more);
}

int acceptor_admit(struct acceptor *a, struct handoff *h)
{
	struct server *s = a->server;
	struct source_key key;
	int64_t max = 0;
	int rc;

	follow_access(a);
	rc = clients_max(a, h, &max);
	if (rc)
		return rc;
	source_key_of_address(&h->address, &key);
	rc = sources_join(&s->sources, &key, max, steady_clock_ns(&s->registry.steady), &h->source);
	if (rc == -EUSERS)
		refuse(a, h, &key, max);
	return rc;
}

void acceptor_unadmit(struct acceptor *a, struct handoff *h)
{
	struct server *s = a->server;

	sources_leave(&s->sources, h->source, steady_clock_ns(&s->registry.steady));
	h->source = NULL;
}
