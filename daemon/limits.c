/* SPDX-License-Identifier: MIT */
/* limits.c - see limits.h. */
#include "limits.h"

#include <string.h>

#include "budget.h"
#include "config.h"

const char *const limits_names[LIMITS] = {
	[LIMIT_OPERATIONS] = "operations", [LIMIT_BYTES] = "bytes", [LIMIT_CLIENTS] = "clients"};

const struct config_value_rule limits_rules[LIMITS] = {
	[LIMIT_OPERATIONS] = {.kind = CONFIG_VALUE_COUNT, .min = 0, .max = LIMITS_OPERATIONS_MAX},
	[LIMIT_BYTES] = {.kind = CONFIG_VALUE_SIZE, .min = 0, .max = BUDGET_RATE_MAX},
	[LIMIT_CLIENTS] = {.kind = CONFIG_VALUE_COUNT, .min = 0, .max = LIMITS_CLIENTS_MAX},
};

void limits_of_settings(const struct config *config, struct limits *out)
{
	out->values[LIMIT_OPERATIONS] =
		atomic_load_explicit(&config->max_source_operations, memory_order_relaxed);
	out->values[LIMIT_BYTES] = atomic_load_explicit(&config->max_source_bytes, memory_order_relaxed);
	out->values[LIMIT_CLIENTS] = atomic_load_explicit(&config->max_source_clients, memory_order_relaxed);
}

static bool is_owner(const struct rights_who *who)
{
	return who->is_unix && who->is_owner && !who->login;
}

/* By name, which a group is not. */
static bool is_about(const struct access_whom *whom, const struct rights_who *who)
{
	if (who->login)
		return whom->kind == ACCESS_LOGIN && strcmp(whom->login, who->login) == 0;
	return who->is_unix && whom->kind == ACCESS_USER && whom->id == who->uid;
}

static bool is_about_group(const struct access_whom *whom, const struct rights_who *who)
{
	return who->is_unix && !who->login && whom->kind == ACCESS_GROUP && rights_is_in_group(who, whom->id);
}

static int64_t value_of(const struct access_limit *limit, enum limit_kind kind, const struct limits *base)
{
	return limit->is_given[kind] ? limit->values[kind] : base->values[kind];
}

static int64_t more_generous(int64_t a, int64_t b)
{
	return a == 0 || b == 0 ? 0 : a > b ? a : b;
}

static void take(const struct access_limit *limit, const struct limits *base, struct limits *out)
{
	for (enum limit_kind k = 0; k < LIMITS; k++)
		out->values[k] = value_of(limit, k, base);
}

/* True: a line names him. */
static bool take_named(const struct access *set, const struct rights_who *who, const struct limits *base,
		       struct limits *out)
{
	for (size_t i = 0; i < set->limit_count; i++)
		if (is_about(&set->limits[i].whom, who)) {
			take(&set->limits[i], base, out);
			return true;
		}
	return false;
}

/* True: a line names one of his groups. */
static bool take_groups(const struct access *set, const struct rights_who *who, const struct limits *base,
			struct limits *out)
{
	bool is_found = false;

	for (size_t i = 0; i < set->limit_count; i++) {
		const struct access_limit *limit = &set->limits[i];

		if (!is_about_group(&limit->whom, who))
			continue;
		for (enum limit_kind k = 0; k < LIMITS; k++) {
			int64_t value = value_of(limit, k, base);

			out->values[k] = is_found ? more_generous(out->values[k], value) : value;
		}
		is_found = true;
	}
	return is_found;
}

static void take_others(const struct access *set, const struct limits *base, struct limits *out)
{
	for (size_t i = 0; i < set->limit_count; i++)
		if (set->limits[i].whom.kind == ACCESS_OTHERS)
			take(&set->limits[i], base, out);
}

void limits_resolve(const struct limits *settings, const struct access *set, const struct rights_who *who,
		    struct limits *out)
{
	const struct limits none = {0}, *base = is_owner(who) ? &none : settings;

	*out = *base;
	if (!set || take_named(set, who, base, out) || take_groups(set, who, base, out) || is_owner(who))
		return;
	take_others(set, base, out);
}

bool limits_need_groups(const struct access *set)
{
	for (size_t i = 0; set && i < set->limit_count; i++)
		if (set->limits[i].whom.kind == ACCESS_GROUP)
			return true;
	return false;
}
