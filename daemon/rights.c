/* SPDX-License-Identifier: MIT */
/* rights.c - see rights.h. */
#include "rights.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/glob.h"

/* ---- which rules are about him ---- */

bool rights_is_in_group(const struct rights_who *who, uint32_t gid)
{
	if (who->gid == gid)
		return true;
	for (size_t i = 0; i < who->group_count; i++)
		if (who->groups[i] == gid)
			return true;
	return false;
}

/* A rule of his own: by what the kernel says of him, or by what he has logged in as. */
static bool is_about(const struct access_rule *rule, const struct rights_who *who)
{
	const struct access_whom *whom = &rule->whom;

	if (who->login)
		return whom->kind == ACCESS_LOGIN && strcmp(whom->login, who->login) == 0 &&
		       secret_is_same(rule->hash, who->hash);
	if (!who->is_unix)
		return false;
	return (whom->kind == ACCESS_USER && whom->id == who->uid) ||
	       (whom->kind == ACCESS_GROUP && rights_is_in_group(who, whom->id));
}

static bool has_own_rule(const struct access *set, const struct rights_who *who)
{
	for (size_t i = 0; i < set->rule_count; i++)
		if (is_about(&set->rules[i], who))
			return true;
	return false;
}

/* ---- adding up ---- */

static void add_rule(struct rights *r, size_t i)
{
	const struct access_rule *rule = &r->set->rules[i];

	if (rule->role > r->role)
		r->role = rule->role;
	if (rule->is_all && rule->role > r->role_all)
		r->role_all = rule->role;
	r->rules[r->rule_count++] = (uint16_t)i;
}

/* What a rule on all names gives need not be looked for again. */
static void drop_covered(struct rights *r)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->rule_count; i++)
		if (r->set->rules[r->rules[i]].role > r->role_all)
			r->rules[kept++] = r->rules[i];
	r->rule_count = kept;
	if (kept == 0) {
		free(r->rules);
		r->rules = NULL;
	}
}

int rights_resolve(struct rights *out, const struct access *set, const struct rights_who *who)
{
	struct rights r = {.set = set};
	bool is_other;

	if (!set || (who->is_unix && who->is_owner && !who->login)) {
		*out = (struct rights)RIGHTS_FREE;
		return 0;
	}
	r.rules = calloc(set->rule_count, sizeof(*r.rules));
	if (!r.rules)
		return -ENOMEM;
	is_other = !who->login && (who->is_unix || who->is_loopback) && !has_own_rule(set, who);
	for (size_t i = 0; i < set->rule_count; i++)
		if (is_other ? set->rules[i].whom.kind == ACCESS_OTHERS : is_about(&set->rules[i], who))
			add_rule(&r, i);
	drop_covered(&r);
	r.is_free = r.role_all == ROLE_ADMIN;
	*out = r;
	return 0;
}

void rights_fini(struct rights *r)
{
	free(r->rules);
	*r = (struct rights){0};
}

/* ---- asking ---- */

static bool fits(const struct access *set, const struct access_rule *rule, struct slice name)
{
	for (size_t i = 0; i < rule->pattern_count; i++)
		if (glob_match(set->patterns[rule->pattern_first + i], name))
			return true;
	return false;
}

bool rights_may(const struct rights *r, enum role role, struct slice name)
{
	if (r->role_all >= role)
		return true;
	for (size_t i = 0; i < r->rule_count; i++) {
		const struct access_rule *rule = &r->set->rules[r->rules[i]];

		if (rule->role >= role && fits(r->set, rule, name))
			return true;
	}
	return false;
}
