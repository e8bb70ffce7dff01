/* SPDX-License-Identifier: MIT */
/* access_limit.c - the `limit` lines of the rules: see access_private.h. */
#include "access_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config_value.h"
#include "limits.h"

enum { WORD_SIZE = 64, SENTENCE_SIZE = 200 };

#define FORM                                                                                                    \
	"a line is: limit user NAME, group NAME, login NAME or others, and then none or some of operations=N, " \
	"bytes=SIZE, clients=N"

/* "operations=100": which, and its value as a string. */
static bool split(struct slice word, enum limit_kind *kind, char value[WORD_SIZE])
{
	for (*kind = 0; *kind < LIMITS; ++*kind) {
		size_t len = strlen(limits_names[*kind]);

		if (word.len <= len || word.data[len] != '=' || memcmp(word.data, limits_names[*kind], len))
			continue;
		if (word.len - len - 1 >= WORD_SIZE || memchr(word.data, '\0', word.len))
			return false;
		memcpy(value, word.data + len + 1, word.len - len - 1);
		value[word.len - len - 1] = '\0';
		return true;
	}
	return false;
}

static int take_value(const struct access_reading *r, struct slice word, struct access_limit *limit)
{
	char text[WORD_SIZE], why[SENTENCE_SIZE];
	struct config_value value = {0};
	enum limit_kind kind;

	if (!split(word, &kind, text))
		return ACCESS_REFUSE(r, FORM);
	if (limit->is_given[kind])
		return ACCESS_REFUSE(r, "%s is given twice", limits_names[kind]);
	if (strcmp(text, "none") != 0 &&
	    config_value_parse(&limits_rules[kind], text, NULL, &value, why, sizeof(why)))
		return ACCESS_REFUSE(r, "%s: %s (or none)", limits_names[kind], why);
	limit->values[kind] = value.number;
	limit->is_given[kind] = true;
	return 0;
}

static int take_values(const struct access_reading *r, const struct slice *words, size_t count,
		       struct access_limit *limit)
{
	int rc = 0;

	if (count == 1 && slice_equal(words[0], slice_str("none"))) {
		memset(limit->is_given, true, sizeof(limit->is_given));
		return 0;
	}
	for (size_t i = 0; i < count && !rc; i++)
		rc = take_value(r, words[i], limit);
	return rc;
}

/* Null: there is none yet. */
static const struct access_limit *find_same(const struct access *a, const struct access_whom *whom)
{
	for (size_t i = 0; i < a->limit_count; i++)
		if (memcmp(&a->limits[i].whom, whom, sizeof(*whom)) == 0)
			return &a->limits[i];
	return NULL;
}

static int keep(struct access *a, const struct access_limit *limit)
{
	struct access_limit *limits = reallocarray(a->limits, a->limit_count + 1, sizeof(*limits));

	if (!limits)
		return -ENOMEM;
	a->limits = limits;
	a->limits[a->limit_count++] = *limit;
	return 0;
}

int access_take_limit(struct access_reading *r, const struct slice *words, size_t count)
{
	const struct access_limit *same;
	struct access_limit limit;
	size_t at;
	int rc;

	memset(&limit, 0, sizeof(limit)); /* also between the fields: find_same() */
	limit.line = r->line;
	if (r->access->limit_count == ACCESS_RULES_MAX)
		return ACCESS_REFUSE(r, "more than %d limits", ACCESS_RULES_MAX);
	if (count < 2 || !access_take_kind(words[1], &limit.whom.kind))
		return ACCESS_REFUSE(r, FORM);
	at = limit.whom.kind == ACCESS_OTHERS ? 2 : 3;
	if (count <= at || count > at + LIMITS)
		return ACCESS_REFUSE(r, FORM);
	rc = access_take_whom(r, words[2], &limit.whom);
	if (rc)
		return rc;
	same = find_same(r->access, &limit.whom);
	if (same)
		return ACCESS_REFUSE(r, "their limits stand in line %zu already: keep one", same->line);
	rc = take_values(r, words + at, count - at, &limit);
	return rc ? rc : keep(r->access, &limit);
}

int access_check_limits(struct access_reading *r)
{
	const struct access *a = r->access;

	for (size_t i = 0; i < a->limit_count; i++) {
		const struct access_whom *whom = &a->limits[i].whom;

		r->line = a->limits[i].line;
		if (whom->kind == ACCESS_LOGIN && !access_has_login(a, slice_str(whom->login)))
			return ACCESS_REFUSE(r, "there is no login '%s' in these rules", whom->login);
	}
	return 0;
}
