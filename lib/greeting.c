/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "greeting.h"
#include "slice.h"

void greeting_put_auth(struct buf *out, const struct url *url)
{
	struct slice argv[3] = {slice_str("AUTH")};
	size_t argc = 1;
	if (url->user)
		argv[argc++] = slice_str(url->user);
	argv[argc++] = slice_str(url->password ? url->password : "");
	resp_put_request(out, argc, argv);
}

static bool begins_with(struct slice s, const char *words)
{
	size_t len = strlen(words);
	return s.len >= len && memcmp(s.data, words, len) == 0;
}

/* Everybody is let in without one; the second as Redis says it before 6. */
static bool wants_no_password(struct slice error)
{
	return begins_with(error, "ERR AUTH <password> called without any password") ||
	       begins_with(error, "ERR Client sent AUTH, but no password is set");
}

bool greeting_is_in(const struct url *url, const struct resp_reply *reply, char why[GREETING_WHY_SIZE])
{
	struct slice error = reply->str;
	if (reply->type != RESP_ERROR || (url->is_spare_password && wants_no_password(error)))
		return true;
	/* A server that does not know AUTH repeats what it was sent. */
	const char *password = url->password ? url->password : "";
	bool is_told = password[0] && memmem(error.data, error.len, password, strlen(password));
	if (is_told && !begins_with(error, "WRONGPASS "))
		error = slice_str("refused, in words that have the password in them");
	snprintf(why, GREETING_WHY_SIZE, "AUTH: %.*s", (int)error.len, error.data);
	return false;
}

bool greeting_is_cluster(const struct resp_reply *hello)
{
	for (size_t i = 0; hello->type != RESP_ERROR && i + 1 < hello->count; i += 2) {
		if (slice_equal(hello->elements[i].str, slice_str("mode")))
			return slice_equal(hello->elements[i + 1].str, slice_str("cluster"));
	}
	return false;
}

bool greeting_is_redis(const struct resp_reply *hello)
{
	if (hello->type == RESP_ERROR)
		return !begins_with(hello->str, "NOAUTH");
	for (size_t i = 0; i + 1 < hello->count; i += 2) {
		if (slice_equal(hello->elements[i].str, slice_str("server")))
			return !slice_equal(hello->elements[i + 1].str, slice_str("shcounterd"));
	}
	return true;
}
