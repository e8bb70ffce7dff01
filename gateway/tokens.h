/* SPDX-License-Identifier: MIT */
/*
 * tokens.h - the file of those who may ask: a line `NAME ROLE sha256:HEX` each, '#' begins a comment. It has
 * the hashes of tokens only: who reads it learns none that was drawn at random.
 *
 * A set is not changed once it was made: any thread may look into it.
 */
#ifndef SHC_GATEWAY_TOKENS_H
#define SHC_GATEWAY_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/role.h"
#include "../lib/secret.h"
#include "options.h"

enum {
	TOKEN_NAME_SIZE = 64,
	TOKEN_CHARS_MAX = 4096,
	TOKENS_MAX = 1000, /* each costs every request a comparison */
};

struct token {
	char name[TOKEN_NAME_SIZE];
	enum role role;
	uint8_t hash[SECRET_HASH_SIZE];
};

struct tokens;

/* Reads the file, which nobody but us and root may be able to change. 0; -EINVAL: it is not there or not as
 * it must be, or names nobody; -ENOMEM. With a sentence in `why`, which says where. */
int tokens_read(struct tokens **out, const char *path, char why[OPTIONS_ERROR_SIZE]);
/* The same of a text; `path` is for the sentence. Pure. */
int tokens_parse(struct tokens **out, const char *text, size_t len, const char *path,
		 char why[OPTIONS_ERROR_SIZE]);
struct tokens *tokens_free(struct tokens *t); /* null */

/* The token's entry, which lives as long as the set; null: there is none. Takes as long whichever it is, and
 * whether there is one. */
const struct token *tokens_find(const struct tokens *t, const char *token, size_t len);

/* Of an Authorization header: where the token is; null: it is not "Bearer TOKEN". */
const char *tokens_bearer(const char *authorization, size_t *len);

/* Whether it can stand in that header: letters, digits and -._~+/, then any number of '='. */
bool tokens_is_token(const char *token, size_t len);

#endif
