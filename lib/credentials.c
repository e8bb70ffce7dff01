/* SPDX-License-Identifier: MIT */
/* credentials.c - see credentials.h. */
#include "credentials.h"

#include <stdlib.h>
#include <string.h>

static const char own[] = "SHCOUNT_AUTH", of_redis[] = "REDISCLI_AUTH";

/* An empty variable is as good as none: that is how scripts take one back. */
static bool is_set(const char *variable)
{
	const char *value = getenv(variable);
	return value && value[0];
}

const char *credentials_variable(const struct url *url)
{
	if (url->password)
		return NULL;
	if (is_set(own))
		return own;
	return url->kind != URL_UNIX && is_set(of_redis) ? of_redis : NULL;
}

enum shc_status credentials_set(struct shc *shc, const char *variable)
{
	if (!variable)
		return SHC_OK;
	const char *text = getenv(variable);
	const char *colon = variable == own ? strchr(text, ':') : NULL;
	if (!colon || colon == text)
		return shc_set_auth(shc, NULL, colon ? colon + 1 : text);
	char *user = strndup(text, (size_t)(colon - text));
	enum shc_status status = user ? shc_set_auth(shc, user, colon + 1) : SHC_MEMORY;
	free(user);
	return status;
}
