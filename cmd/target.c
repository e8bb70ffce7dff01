/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/conn.h"
#include "../lib/revive.h"
#include "../lib/url.h"
#include "autostart.h"
#include "place.h"
#include "target.h"

#define SYSTEM_SOCKET "/run/shcounterd/shcounterd.sock"

enum { NS_PER_MS = 1000000 };

/* An empty variable is as good as none: that is how scripts take one back. */
static const char *environment(const char *name)
{
	const char *value = getenv(name);
	return value && value[0] ? value : NULL;
}

/* The handle on `url`, or null with *status SHC_MEMORY or SHC_USAGE after a complaint. */
static struct shc *open_url(const struct invocation *inv, const char *url, const char *origin, int usage_exit,
			    int *exit_status)
{
	struct shc *shc;
	enum shc_status status = shc_open(&shc, url, inv->timeout_ms);
	*exit_status = EX_OK;
	if (status == SHC_USAGE)
		*exit_status = command_fail(usage_exit, "%s: %s", origin, shc_error(shc));
	else if (status)
		*exit_status = command_fail(EX_IOERR, "out of memory");
	if (status == SHC_OK)
		return shc;
	shc_close(shc);
	return NULL;
}

static int how_to_start(void)
{
	return command_fail(EX_UNAVAILABLE, "start a daemon (systemctl start shcounterd, or by hand: "
					    "shcounterd --socket PATH --db FILE), or name one with -s or -u");
}

/* Why nobody is connected, and what to do where that is known. */
static int complain_failed(const struct shc *shc, enum shc_status status, const char *url)
{
	int exit_status = command_status(shc, status);
	if (status == SHC_DENIED && strcmp(url, SYSTEM_SOCKET) == 0)
		command_fail(exit_status, "the system's daemon is there for a group: join it (as root: "
					  "usermod -aG shcounterd USER) and log in again");
	return exit_status;
}

static int connect_one(const struct invocation *inv, const char *url, const char *origin, int usage_exit,
		       struct shc **out)
{
	int exit_status;
	struct shc *shc = open_url(inv, url, origin, usage_exit, &exit_status);
	if (!shc)
		return exit_status;
	enum shc_status status = shc_connect(shc);
	if (status == SHC_OK) {
		*out = shc;
		return EX_OK;
	}
	exit_status = complain_failed(shc, status, url);
	shc_close(shc);
	return exit_status == EX_UNAVAILABLE ? how_to_start() : exit_status;
}

/* What was tried without an answer: lines for a complaint. */
struct tried {
	size_t count;
	char lines[2][URL_ERROR_SIZE + URL_PATH_MAX];
};

/* EX_OK with *out null: nobody answers there. */
static int try_socket(const struct invocation *inv, const char *path, struct tried *tried, struct shc **out)
{
	int exit_status;
	struct shc *shc = open_url(inv, path, path, EX_CONFIG, &exit_status);
	if (!shc)
		return exit_status;
	enum shc_status status = shc_connect(shc);
	if (status == SHC_OK) {
		*out = shc;
		return EX_OK;
	}
	if (status == SHC_UNREACHABLE)
		snprintf(tried->lines[tried->count++], sizeof(tried->lines[0]), "%s", shc_error(shc));
	else
		exit_status = complain_failed(shc, status, path);
	shc_close(shc);
	return exit_status;
}

/* The same for the user's own. A place that is somebody else's has none; in one that others may enter there
 * may be one, and they may have taken its place. */
static int try_own(const struct invocation *inv, const char *own, enum place *place, struct tried *tried,
		   struct shc **out)
{
	*place = place_look(own);
	if (*place == PLACE_OURS)
		return try_socket(inv, own, tried, out);
	if (*place == PLACE_OPEN)
		return place_complain(own);
	if (*place == PLACE_NONE)
		snprintf(tried->lines[tried->count++], sizeof(tried->lines[0]), "cannot connect to %.*s: %s",
			 URL_PATH_MAX, own, strerror(ENOENT));
	return EX_OK;
}

/* Nobody answers in the usual places, and none may be started. */
static int complain_refused(const char *refusal, const char *own, enum place place, const struct tried *tried)
{
	for (size_t i = 0; i < tried->count; i++)
		command_fail(EX_UNAVAILABLE, "%s", tried->lines[i]);
	command_fail(EX_UNAVAILABLE, "%s", refusal);
	int exit_status = place == PLACE_OTHERS ? place_complain(own) : EX_OK;
	return exit_status ? exit_status : how_to_start();
}

static int connect_usual(const struct invocation *inv, struct shc **out)
{
	int64_t deadline_ns = conn_now_ns() + (int64_t)inv->timeout_ms * NS_PER_MS;
	char own[PATH_MAX];
	struct tried tried = {0};
	enum place place = PLACE_NONE;
	bool has_own = place_socket(own);
	int exit_status = has_own ? try_own(inv, own, &place, &tried, out) : EX_OK;
	if (!exit_status && !*out)
		exit_status = try_socket(inv, SYSTEM_SOCKET, &tried, out);
	if (exit_status || *out)
		return exit_status;
	const char *refusal = autostart_refusal();
	if (refusal)
		return complain_refused(refusal, own, place, &tried);
	if (!has_own)
		return command_fail(EX_CONFIG,
				    "%s: a socket's path can have %d bytes, this one has %zu: give a shorter "
				    "XDG_RUNTIME_DIR, or name a daemon with -s or -u",
				    own, URL_PATH_MAX, strlen(own));
	return autostart_connect(inv, own, deadline_ns, out);
}

/* lib/url.h takes text without a scheme for a socket's path, as -s does; here it is HOST:PORT more often. */
static int no_scheme(int status, const char *origin, const char *url)
{
	if (!url[0] || strchr(url, '@') || (url[0] != '/' && strchr(url, '/'))) /* no password is shown */
		return command_fail(status, "%s: no scheme: unix:///PATH or redis://HOST:PORT is expected",
				    origin);
	return command_fail(status, "%s: no scheme: did you mean %s://%s?", origin,
			    url[0] == '/' ? "unix" : "redis", url);
}

/* The server that was named: its URL, and by what. False: none was. */
static bool find_named(const struct invocation *inv, const char **url, const char **origin, int *usage_exit)
{
	static const char *const variables[] = {"SHCOUNT_URL", "SHCOUNT_SOCKET"};
	*usage_exit = EX_USAGE;
	*url = inv->socket ? inv->socket : inv->url;
	*origin = inv->socket ? "-s" : "-u";
	for (size_t i = 0; i < 2 && !*url; i++) {
		*usage_exit = EX_CONFIG;
		*url = environment(variables[i]);
		*origin = variables[i];
	}
	return *url != NULL;
}

int target_connect(const struct invocation *inv, struct shc **out)
{
	const char *url, *origin;
	int usage_exit;
	*out = NULL;
	if (!find_named(inv, &url, &origin, &usage_exit))
		return connect_usual(inv, out);
	bool is_path = strcmp(origin, "-s") == 0 || strcmp(origin, "SHCOUNT_SOCKET") == 0;
	if (!is_path && !strstr(url, "://"))
		return no_scheme(usage_exit, origin, url);
	return connect_one(inv, url, origin, usage_exit, out);
}

static bool start_again(void *inv, const char *path, int64_t deadline_ns)
{
	struct shc *shc;
	if (autostart_connect(inv, path, deadline_ns, &shc))
		return false;
	shc_close(shc);
	return true;
}

void target_keep(struct invocation *inv, struct shc *shc)
{
	const char *url, *origin, *path = revive_path(shc);
	int usage_exit;
	if (find_named(inv, &url, &origin, &usage_exit) || !path || strcmp(path, SYSTEM_SOCKET) == 0 ||
	    autostart_refusal())
		return;
	revive_on(shc, start_again, inv);
}
