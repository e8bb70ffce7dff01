/* SPDX-License-Identifier: MIT */
/* access.c - see access.h: rules, sets of them, and the set in force. */
#include "access.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access_private.h"

/* ---- a rule ---- */

static bool is_pattern(struct slice word)
{
	for (size_t i = 0; i < word.len; i++)
		if ((unsigned char)word.data[i] < ' ' || word.data[i] == 0x7f)
			return false;
	return word.len <= NAME_LEN_MAX;
}

/* `count` of them; none stands for all names. */
static int take_patterns(const struct access_reading *r, const struct slice *words, size_t count,
			 struct access_rule *rule)
{
	struct access *a = r->access;
	struct slice *patterns;

	rule->is_all = count == 0;
	rule->pattern_first = a->pattern_count;
	rule->pattern_count = count;
	if (count > ACCESS_PATTERNS_MAX)
		return ACCESS_REFUSE(r, "more than %d patterns: write another line", ACCESS_PATTERNS_MAX);
	if (count == 0)
		return 0;
	patterns = reallocarray(a->patterns, a->pattern_count + count, sizeof(*patterns));
	if (!patterns)
		return -ENOMEM;
	a->patterns = patterns;
	for (size_t i = 0; i < count; i++) {
		if (!is_pattern(words[i]))
			return ACCESS_REFUSE(r, "a pattern has at most %d bytes and no control characters",
					     NAME_LEN_MAX);
		rule->is_all |= slice_equal(words[i], slice_str("*"));
		a->patterns[a->pattern_count++] = words[i];
	}
	return 0;
}

/* What it says never repeats what should be a hash: somebody may have put the password itself there. */
static int take_rule(const struct access_reading *r, const struct slice *words, size_t count,
		     struct access_rule *rule)
{
	size_t at = rule->whom.kind == ACCESS_OTHERS ? 1 : 2;
	size_t least = at + 1 + (rule->whom.kind == ACCESS_LOGIN);
	int rc;

	if (count < least)
		return ACCESS_REFUSE(r, "%s",
				     rule->whom.kind == ACCESS_LOGIN
					     ? "a line is: login NAME ROLE sha256:HEX [PATTERN ...]"
				     : rule->whom.kind == ACCESS_OTHERS
					     ? "a line is: others ROLE [PATTERN ...]"
					     : "a line is: user NAME ROLE [PATTERN ...], or "
					       "group NAME ROLE [PATTERN ...]");
	rc = access_take_whom(r, words[1], &rule->whom);
	if (rc)
		return rc;
	if (!role_parse(words[at], &rule->role))
		return ACCESS_REFUSE(r, "the role must be read, write or admin");
	at++;
	if (rule->whom.kind == ACCESS_LOGIN && !secret_parse(words[at++], rule->hash))
		return ACCESS_REFUSE(
			r, "behind the role of a login stands sha256: and 64 hexadecimal digits, as "
			   "`shcounterd --hash-password` prints them");
	return take_patterns(r, words + at, count - at, rule);
}

static int take_line(void *arg, const struct slice *words, size_t count, size_t line)
{
	struct access_reading *r = arg;
	struct access *a = r->access;
	struct access_rule *rule;
	int rc;

	r->line = line;
	if (slice_equal(words[0], slice_str("limit")))
		return access_take_limit(r, words, count);
	if (a->rule_count == ACCESS_RULES_MAX)
		return ACCESS_REFUSE(r, "more than %d rules", ACCESS_RULES_MAX);
	rule = &a->rules[a->rule_count];
	*rule = (struct access_rule){0};
	if (!access_take_kind(words[0], &rule->whom.kind))
		return ACCESS_REFUSE(r, "a line begins with user, group, login, others or limit");
	if (count > ACCESS_WORDS_MAX)
		return ACCESS_REFUSE(r, "more than %d patterns: write another line", ACCESS_PATTERNS_MAX);
	rc = take_rule(r, words, count, rule);
	if (!rc)
		a->rule_count++;
	return rc;
}

/* ---- a set ---- */

static struct access *access_new(const char *text, size_t len)
{
	struct access *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	atomic_init(&a->refs, 1);
	a->rules = calloc(ACCESS_RULES_MAX, sizeof(*a->rules));
	a->text = malloc(len + 1);
	if (!a->rules || !a->text)
		return access_unref(a);
	memcpy(a->text, text, len);
	a->text[len] = '\0';
	return a;
}

int access_parse(struct access **out, const char *text, size_t len, const struct access_names *names,
		 const char *path, char why[GUARDED_WHY_SIZE])
{
	struct access *a = access_new(len ? text : "", len);
	struct access_reading r = {.access = a, .names = names, .path = path, .why = why};
	int rc;

	(void)snprintf(why, GUARDED_WHY_SIZE, "%.150s: out of memory", path);
	if (!a)
		return -ENOMEM;
	rc = guarded_each_line(a->text, len, ACCESS_WORDS_MAX, take_line, &r);
	/* Rather a file that was caught while it was written than one that lets nobody in. */
	if (!rc && a->rule_count == 0) {
		(void)snprintf(why, GUARDED_WHY_SIZE, "%.150s: there is no rule in it", path);
		rc = -EINVAL;
	}
	if (!rc)
		rc = access_check_limits(&r);
	if (rc)
		access_unref(a);
	else
		*out = a;
	return rc;
}

static int parse_here(void *out, const char *text, size_t len, const char *path, char why[GUARDED_WHY_SIZE])
{
	return access_parse(out, text, len, &access_names_here, path, why);
}

int access_read(struct access **out, const char *path, char why[GUARDED_WHY_SIZE])
{
	return guarded_read(path, parse_here, out, why);
}

struct access *access_ref(struct access *a)
{
	if (a)
		/* Relaxed: whoever has a reference may make another one. */
		atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
	return a;
}

struct access *access_unref(struct access *a)
{
	/* Release what was read of it before, acquire it all before it is freed. */
	if (!a || atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) != 1)
		return NULL;
	free(a->rules);
	free(a->limits);
	free(a->patterns);
	free(a->text);
	free(a);
	return NULL;
}

/* ---- logins ---- */

/* With zeros behind it. False: no login has such a name. */
static bool pad_login(struct slice name, char out[ACCESS_LOGIN_SIZE])
{
	memset(out, 0, ACCESS_LOGIN_SIZE);
	if (name.len == 0 || name.len >= ACCESS_LOGIN_SIZE)
		return false;
	memcpy(out, name.data, name.len);
	return true;
}

bool access_has_logins(const struct access *a)
{
	for (size_t i = 0; a && i < a->rule_count; i++)
		if (a->rules[i].whom.kind == ACCESS_LOGIN)
			return true;
	return false;
}

bool access_has_login(const struct access *a, struct slice name)
{
	for (size_t i = 0; a && i < a->rule_count; i++)
		if (a->rules[i].whom.kind == ACCESS_LOGIN &&
		    slice_equal(name, slice_str(a->rules[i].whom.login)))
			return true;
	return false;
}

/* 1 or 0, without a jump. */
static size_t is_same_login(const char a[ACCESS_LOGIN_SIZE], const char b[ACCESS_LOGIN_SIZE])
{
	unsigned difference = 0;

	for (size_t i = 0; i < ACCESS_LOGIN_SIZE; i++)
		difference |= (unsigned char)(a[i] ^ b[i]);
	return (difference - 1) >> (8 * sizeof(difference) - 1);
}

bool access_is_login(const struct access *a, struct slice name, const uint8_t hash[SECRET_HASH_SIZE])
{
	char login[ACCESS_LOGIN_SIZE];
	bool is_name = pad_login(name, login);
	size_t is_found = 0;

	for (size_t i = 0; i < a->rule_count; i++)
		is_found |= (size_t)(a->rules[i].whom.kind == ACCESS_LOGIN) &
			    is_same_login(login, a->rules[i].whom.login) &
			    secret_is_same(hash, a->rules[i].hash);
	return is_name && is_found;
}

/* ---- names of this machine ---- */

static bool uid_here(const char *name, uint32_t *out)
{
	const struct passwd *user = getpwnam(name);

	if (user)
		*out = user->pw_uid;
	return user != NULL;
}

static bool gid_here(const char *name, uint32_t *out)
{
	const struct group *group = getgrnam(name);

	if (group)
		*out = group->gr_gid;
	return group != NULL;
}

const struct access_names access_names_here = {uid_here, gid_here};

/* ---- the set in force ---- */

void access_now_init(struct access_now *n)
{
	pthread_mutex_init(&n->mutex, NULL);
	n->set = NULL;
	atomic_init(&n->generation, 0);
}

void access_now_fini(struct access_now *n)
{
	n->set = access_unref(n->set);
	pthread_mutex_destroy(&n->mutex);
}

void access_now_set(struct access_now *n, struct access *set)
{
	struct access *before;

	pthread_mutex_lock(&n->mutex);
	before = n->set;
	n->set = set;
	atomic_fetch_add_explicit(&n->generation, 1, memory_order_relaxed);
	pthread_mutex_unlock(&n->mutex);
	access_unref(before);
}

void access_now_touch(struct access_now *n)
{
	pthread_mutex_lock(&n->mutex);
	atomic_fetch_add_explicit(&n->generation, 1, memory_order_relaxed);
	pthread_mutex_unlock(&n->mutex);
}

struct access *access_now_get(struct access_now *n, uint64_t *generation)
{
	struct access *set;

	pthread_mutex_lock(&n->mutex);
	set = access_ref(n->set);
	*generation = atomic_load_explicit(&n->generation, memory_order_relaxed);
	pthread_mutex_unlock(&n->mutex);
	return set;
}
