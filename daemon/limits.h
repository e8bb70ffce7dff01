/* SPDX-License-Identifier: MIT */
/*
 * limits.h - what one connection's source may take: by the `limit` lines of the rules (access.h), then by the
 * settings max-source-*. Pure.
 *
 * A login, or a user of this machine, whom a line names has what that says. Else those of his groups whom
 * lines name give him the most generous of each. Else it is the line of others, if there is one. What no line
 * says is as the settings have it; but on a Unix socket those do not hold for root and the daemon's own user,
 * who have to get in when others fill it up, nor does the line of others.
 */
#ifndef SHC_LIMITS_H
#define SHC_LIMITS_H

#include <stdint.h>

#include "access.h"
#include "config_value.h"
#include "rights.h"

struct config;

enum { LIMITS_OPERATIONS_MAX = 1000000000, LIMITS_CLIENTS_MAX = 1000000 };

struct limits {
	int64_t values[LIMITS]; /* 0: none */
};

/* Of the rules' words, and the last ones of the settings' names. */
extern const char *const limits_names[LIMITS];
extern const struct config_value_rule limits_rules[LIMITS];

void limits_of_settings(const struct config *config, struct limits *out);

/* `set` may be null. */
void limits_resolve(const struct limits *settings, const struct access *set, const struct rights_who *who,
		    struct limits *out);

/* Is there a line about a group? Only then has anybody to be asked for his. */
bool limits_need_groups(const struct access *set);

#endif
