/* SPDX-License-Identifier: MIT */
/* access_whom.c - whom a line of the rules is about: see access_private.h. */
#include "access_private.h"

#include <string.h>

#include "../lib/num.h"

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '.' || c == '_';
}

static int take_login(const struct access_reading *r, struct slice word, struct access_whom *whom)
{
	for (size_t i = 0; i < word.len; i++)
		if (!is_plain(word.data[i]))
			return ACCESS_REFUSE(r, "a login has letters, digits and -._ only");
	if (word.len >= ACCESS_LOGIN_SIZE)
		return ACCESS_REFUSE(r, "a login has at most %d characters", ACCESS_LOGIN_SIZE - 1);
	memcpy(whom->login, word.data, word.len);
	return 0;
}

/* A number, or a name of this machine's. */
static int take_id(const struct access_reading *r, struct slice word, bool is_user, struct access_whom *whom)
{
	const char *what = is_user ? "user" : "group";
	char name[256];
	int64_t number;

	if (num_parse_i64(word, &number)) {
		/* The last one means "none" to the system. */
		if (number < 0 || number >= UINT32_MAX)
			return ACCESS_REFUSE(r, "a %s has a number from 0 to 4294967294", what);
		whom->id = (uint32_t)number;
		return 0;
	}
	if (word.len >= sizeof(name) || memchr(word.data, '\0', word.len))
		return ACCESS_REFUSE(r, "this is no name of a %s", what);
	memcpy(name, word.data, word.len);
	name[word.len] = '\0';
	if (!(is_user ? r->names->uid_of : r->names->gid_of)(name, &whom->id))
		return ACCESS_REFUSE(r, "there is no %s '%.64s' here", what, name);
	return 0;
}

bool access_take_kind(struct slice word, enum access_kind *out)
{
	static const char *const words[] = {"user", "group", "login", "others"};

	for (enum access_kind k = ACCESS_USER; k <= ACCESS_OTHERS; k++)
		if (slice_equal(word, slice_str(words[k]))) {
			*out = k;
			return true;
		}
	return false;
}

int access_take_whom(const struct access_reading *r, struct slice word, struct access_whom *whom)
{
	switch (whom->kind) {
	case ACCESS_USER:
	case ACCESS_GROUP: return take_id(r, word, whom->kind == ACCESS_USER, whom);
	case ACCESS_LOGIN: return take_login(r, word, whom);
	case ACCESS_OTHERS: break;
	}
	return 0;
}
