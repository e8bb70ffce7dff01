/* SPDX-License-Identifier: MIT */
/*
 * Goal: no file of rules makes the daemon read or write where it must not; whoever is refused is told where;
 * and nobody has more on a name than a rule of his gives on it, or limits that nobody has given.
 *
 * Method: the input is a file. For what it says, some peers are resolved and asked for roles on words of the
 * file itself; each role they have must be that of a rule which is about them, found without rights.c. So are
 * their limits.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../daemon/access.h"
#include "../../daemon/limits.h"
#include "../../daemon/rights.h"
#include "../../lib/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool is_so)
{
	if (!is_so)
		abort();
}

static bool id_of(const char *name, uint32_t *out)
{
	*out = (uint32_t)strlen(name);
	return name[0] != '!';
}

static const struct access_names names = {id_of, id_of};

/* By the rules as they stand: the highest role on the name of rules of these kinds about this number. */
static enum role role_by_rules(const struct access *a, uint32_t id, bool is_others, struct slice name)
{
	enum role role = ROLE_NOBODY;

	for (size_t i = 0; i < a->rule_count; i++) {
		const struct access_rule *rule = &a->rules[i];
		bool is_about = is_others ? rule->whom.kind == ACCESS_OTHERS
					  : rule->whom.kind <= ACCESS_GROUP && rule->whom.id == id;
		bool fits = rule->pattern_count == 0;

		for (size_t k = 0; k < rule->pattern_count; k++)
			fits |= glob_match(a->patterns[rule->pattern_first + k], name);
		if (is_about && fits && rule->role > role)
			role = rule->role;
	}
	return role;
}

static bool has_rule(const struct access *a, uint32_t id)
{
	for (size_t i = 0; i < a->rule_count; i++)
		if (a->rules[i].whom.kind <= ACCESS_GROUP && a->rules[i].whom.id == id)
			return true;
	return false;
}

/* Somebody whose uid and gid are the same number. */
static void ask(const struct access *a, uint32_t id, struct slice name)
{
	const struct rights_who who = {.is_unix = true, .uid = id, .gid = id};
	enum role role = role_by_rules(a, id, !has_rule(a, id), name);
	struct rights r;

	expect(rights_resolve(&r, a, &who) == 0);
	for (enum role k = ROLE_READ; k <= ROLE_ADMIN; k++)
		expect(rights_may(&r, k, name) == (k <= role));
	expect(r.role >= role && r.role_all <= role);
	rights_fini(&r);
}

/* His limits are those of the settings, or of a line. */
static void ask_limits(const struct access *a, uint32_t id)
{
	const struct rights_who who = {.is_unix = true, .uid = id, .gid = id};
	const struct limits settings = {{7, 8, 9}};
	struct limits l;

	limits_resolve(&settings, a, &who, &l);
	for (enum limit_kind k = 0; k < LIMITS; k++) {
		bool is_said = l.values[k] == settings.values[k];

		for (size_t i = 0; i < a->limit_count; i++)
			is_said |= a->limits[i].is_given[k] && a->limits[i].values[k] == l.values[k];
		expect(is_said && l.values[k] >= limits_rules[k].min && l.values[k] <= limits_rules[k].max);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char why[GUARDED_WHY_SIZE] = "";
	struct access *a = NULL;
	int rc = access_parse(&a, (const char *)data, size, &names, "file", why);

	expect((rc == 0) == (a != NULL));
	expect(rc == 0 || strncmp(why, "file:", 5) == 0);
	if (!a)
		return 0;
	for (uint32_t id = 0; id < 4; id++) {
		ask(a, id, slice_str("x"));
		ask_limits(a, id);
		for (size_t i = 0; i < a->pattern_count && i < 8; i++)
			ask(a, id, a->patterns[i]);
	}
	expect(!access_has_login(a, slice_str("default")) || access_has_logins(a));
	access_unref(a);
	return 0;
}
