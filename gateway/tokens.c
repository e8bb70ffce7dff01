/* SPDX-License-Identifier: MIT */
/* tokens.c - see tokens.h. */
#include "tokens.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../lib/guarded.h"

_Static_assert((int)GUARDED_WHY_SIZE == (int)OPTIONS_ERROR_SIZE, "sentences fit");

enum { WORDS = 3 };

struct tokens {
	size_t count;
	struct token list[TOKENS_MAX];
};

/* ---- tokens and hashes ---- */

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '.' || c == '_';
}

bool tokens_is_token(const char *token, size_t len)
{
	size_t at = 0;

	if (len > TOKEN_CHARS_MAX)
		return false;
	while (at < len && (is_plain(token[at]) || strchr("~+/", token[at])) && token[at] != '\0')
		at++;
	if (at == 0)
		return false;
	while (at < len && token[at] == '=')
		at++;
	return at == len;
}

const char *tokens_bearer(const char *authorization, size_t *len)
{
	const char *token;

	if (strncasecmp(authorization, "Bearer ", 7) != 0)
		return NULL;
	token = authorization + 7 + strspn(authorization + 7, " ");
	*len = strlen(token);
	while (*len > 0 && token[*len - 1] == ' ')
		--*len;
	return tokens_is_token(token, *len) ? token : NULL;
}

/* All are compared, and the place is chosen without a jump: how long it takes tells nothing of what is there.
 * 0.3 us for the hash and 3 ns an entry (AMD EPYC). */
const struct token *tokens_find(const struct tokens *t, const char *token, size_t len)
{
	uint8_t hash[SECRET_HASH_SIZE];
	size_t at = 0, is_found = 0;

	secret_hash((struct slice){.data = token, .len = len}, hash);
	for (size_t i = 0; i < t->count; i++) {
		size_t is_it = secret_is_same(hash, t->list[i].hash);

		at |= i & (0 - is_it);
		is_found |= is_it;
	}
	return is_found ? &t->list[at] : NULL;
}

/* ---- a line ---- */

static bool take_name(struct slice word, struct token *t)
{
	for (size_t i = 0; i < word.len; i++)
		if (!is_plain(word.data[i]))
			return false;
	if (word.len >= TOKEN_NAME_SIZE)
		return false;
	memcpy(t->name, word.data, word.len);
	t->name[word.len] = '\0';
	return true;
}

/* One reading of a file. */
struct reading {
	struct tokens *tokens;
	const char *path;
	char *why;
};

/* What it says is never repeated: somebody may have put the token itself there. */
static int take_words(void *arg, const struct slice *words, size_t count, size_t line)
{
	const struct reading *r = arg;
	struct tokens *t = r->tokens;
	struct token *new = &t->list[t->count];

	if (count != WORDS)
		return guarded_refuse(r->path, line, r->why, "a line is NAME ROLE sha256:HEX");
	if (t->count == TOKENS_MAX)
		return guarded_refuse(r->path, line, r->why, "more than %d tokens", TOKENS_MAX);
	if (!take_name(words[0], new))
		return guarded_refuse(r->path, line, r->why, "a name has at most %d letters, digits and -._",
				      TOKEN_NAME_SIZE - 1);
	if (!role_parse(words[1], &new->role))
		return guarded_refuse(r->path, line, r->why, "the role must be read, write or admin");
	if (!secret_parse(words[2], new->hash))
		return guarded_refuse(r->path, line, r->why,
				      "the third word must be sha256: and 64 hexadecimal digits, as "
				      "`shcount-gateway --hash-token` prints them");
	for (size_t i = 0; i < t->count; i++) {
		if (strcmp(t->list[i].name, new->name) == 0)
			return guarded_refuse(r->path, line, r->why, "there is a '%s' already", new->name);
		if (memcmp(t->list[i].hash, new->hash, SECRET_HASH_SIZE) == 0)
			return guarded_refuse(r->path, line, r->why, "'%s' has this token already",
					      t->list[i].name);
	}
	t->count++;
	return 0;
}

int tokens_parse(struct tokens **out, const char *text, size_t len, const char *path,
		 char why[OPTIONS_ERROR_SIZE])
{
	struct tokens *t = calloc(1, sizeof(*t));
	struct reading reading = {.tokens = t, .path = path, .why = why};
	int rc;

	(void)snprintf(why, OPTIONS_ERROR_SIZE, "%.150s: out of memory", path);
	rc = t ? guarded_each_line(text, len, WORDS, take_words, &reading) : -ENOMEM;
	/* Rather a file that was caught while it was written than one that lets nobody in. */
	if (!rc && t->count == 0) {
		(void)snprintf(why, OPTIONS_ERROR_SIZE, "%.150s: there is no token in it", path);
		rc = -EINVAL;
	}
	if (rc)
		t = tokens_free(t);
	else
		*out = t;
	return rc;
}

struct tokens *tokens_free(struct tokens *t)
{
	free(t);
	return NULL;
}

static int parse(void *out, const char *text, size_t len, const char *path, char why[OPTIONS_ERROR_SIZE])
{
	return tokens_parse(out, text, len, path, why);
}

int tokens_read(struct tokens **out, const char *path, char why[OPTIONS_ERROR_SIZE])
{
	return guarded_read(path, parse, out, why);
}
