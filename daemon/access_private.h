/* SPDX-License-Identifier: MIT */
/* access_private.h - one reading of the file of rules: access.c has its lines, access_whom.c whom one is
 * about, access_limit.c the `limit` ones. */
#ifndef SHC_ACCESS_PRIVATE_H
#define SHC_ACCESS_PRIVATE_H

#include "access.h"

struct access_reading {
	struct access *access;
	const struct access_names *names;
	const char *path;
	char *why;
	size_t line;
};

#define ACCESS_REFUSE(r, ...) guarded_refuse((r)->path, (r)->line, (r)->why, __VA_ARGS__)

/* Words of a line before its patterns: kind, whom it is about, role, hash. */
enum { ACCESS_WORDS_MAX = 4 + ACCESS_PATTERNS_MAX };

/* user, group, login or others. */
bool access_take_kind(struct slice word, enum access_kind *out);
/* The one word behind it; none for others. 0, or -EINVAL with a sentence. */
int access_take_whom(const struct access_reading *r, struct slice word, struct access_whom *whom);

/* A line that begins with `limit`. 0, -EINVAL with a sentence, or -ENOMEM. */
int access_take_limit(struct access_reading *r, const struct slice *words, size_t count);
/* When all lines are read. The same. */
int access_check_limits(struct access_reading *r);

#endif
