/* SPDX-License-Identifier: MIT */
/* request_access.c - see request_access.h. */
#include "request_access.h"

#include <stdio.h>

#include "../lib/resp.h"
#include "peer.h"
#include "peer_access.h"
#include "request_sub.h"
#include "server.h"
#include "worker.h"

enum verdict { MAY, NOT_LOGGED_IN, NOT_COMMAND, NOT_NAME };

/* What was found out about a request. */
struct look {
	const struct subcommand *sub; /* null: its command is no container */
	struct command_need need;
	struct slice name; /* the first that it may not touch */
};

/* ---- what a request needs ---- */

static struct command_need need_of(const struct command *c, const struct subcommand *sub)
{
	return sub && sub->need.role != ROLE_NOBODY ? sub->need : command_need(c);
}

/* The full name, "config|get". */
static const char *name_of(const struct request *r, const struct look *l)
{
	return l->sub ? l->sub->name : r->command->name;
}

/* ---- the verdict ---- */

static bool may_name(const struct request *r, struct look *l, struct slice name)
{
	if (rights_may(&r->peer->rights, l->need.role, name))
		return true;
	l->name = name;
	return false;
}

static bool may_names(const struct request *r, struct look *l)
{
	const struct command *c = r->command;
	long count = command_key_count(c, r->argc);

	if (l->need.name_at && l->need.name_at < r->argc && !may_name(r, l, r->argv[l->need.name_at]))
		return false;
	for (long i = 0; i < count; i++)
		if (!may_name(r, l, r->argv[c->key_first + i * c->key_step]))
			return false;
	return true;
}

static enum verdict judge(const struct request *r, struct look *l)
{
	const struct rights *rights = &r->peer->rights;

	if (l->need.role == ROLE_NOBODY)
		return MAY;
	if (peer_is_nobody(r->peer))
		return NOT_LOGGED_IN;
	if (rights->role < l->need.role || (l->need.is_all && !rights_may_all(rights, l->need.role)))
		return NOT_COMMAND;
	return may_names(r, l) ? MAY : NOT_NAME;
}

static void count(struct request *r, enum verdict v)
{
	struct worker_stats *stats = &r->worker->stats;

	switch (v) {
	case MAY: break;
	case NOT_LOGGED_IN: stat_add(&stats->denied_auth, 1); break;
	case NOT_COMMAND: stat_add(&stats->denied_commands, 1); break;
	case NOT_NAME: stat_add(&stats->denied_names, 1); break;
	}
}

static void note(struct request *r, const struct look *l, enum verdict v)
{
	char what[80];

	count(r, v);
	(void)snprintf(what, sizeof(what), "'%s'", name_of(r, l));
	peer_log_refusal(r->peer, v == NOT_LOGGED_IN ? "NOAUTH" : "NOPERM", what, l->name);
}

/* ---- before it is done ---- */

static void put_refusal(struct request *r, const struct look *l, enum verdict v)
{
	char text[160];

	switch (v) {
	case MAY: return;
	case NOT_LOGGED_IN: (void)snprintf(text, sizeof(text), "NOAUTH Authentication required."); break;
	case NOT_COMMAND:
		(void)snprintf(text, sizeof(text),
			       "NOPERM this user has no permissions to run the '%s' command", name_of(r, l));
		break;
	case NOT_NAME:
		(void)snprintf(text, sizeof(text),
			       "NOPERM this user has no permissions to access one of the keys used as "
			       "arguments");
		break;
	}
	if (r->command->handler == request_exec)
		request_exec_refused(r, text);
	else
		reply_error(r, text);
}

/* Looks the subcommand up. False: there is none, or with other words, and the error was put. */
static bool look(struct request *r, struct look *l)
{
	const struct subcommands *table = subcommands_of(r->command);

	*l = (struct look){0};
	if (table && r->argc > 1) {
		if (!subcommand_is_right(r))
			return false;
		l->sub = subcommand_find(table, r->argv[1]);
	}
	l->need = need_of(r->command, l->sub);
	return true;
}

/* False: it may not, which was noted, and `put` has put the error; or there is no such subcommand. */
static bool may(struct request *r, void (*put)(struct request *r, const struct look *l, enum verdict v))
{
	struct look l;
	enum verdict v;

	if (!look(r, &l))
		return false;
	v = judge(r, &l);
	if (v == MAY)
		return true;
	note(r, &l, v);
	put(r, &l, v);
	return false;
}

bool request_may(struct request *r)
{
	/* One that has waited was let in then, and has something in hand. */
	return r->peer->wait.is_resumed || may(r, put_refusal);
}

/* ---- in EXEC ---- */

static void put_change(struct request *r, const struct look *l, enum verdict v)
{
	(void)l;
	resp_put_errorf(r->out,
			"NOPERM ACLs rules changed between the moment the transaction was accumulated and "
			"the EXEC call. This command is no longer allowed for the following reason: %s",
			v == NOT_NAME ? "no permission to touch the specified keys"
				      : "no permission to execute the command or subcommand");
}

bool request_may_still(struct request *r)
{
	return may(r, put_change);
}

bool request_may_quickly(const struct peer *p, const struct command *c, struct slice name)
{
	return rights_may(&p->rights, command_need(c).role, name);
}
