/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/conn.h"
#include "../lib/url.h"
#include "autostart.h"
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
	exit_status = command_status(shc, status);
	shc_close(shc);
	return exit_status == EX_UNAVAILABLE ? how_to_start() : exit_status;
}

/* Anybody may make a directory under /tmp: only one that is ours alone is believed. */
static bool is_private(const char *directory)
{
	struct stat st;
	return lstat(directory, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
	       (st.st_mode & 077) == 0;
}

/* The user's own socket. Relative paths do not count, says the XDG base directory specification. False: its
 * directory is not to be believed, or its path too long. */
static bool user_socket(char *path, size_t size)
{
	const char *runtime = environment("XDG_RUNTIME_DIR");
	char directory[64];
	if (runtime && runtime[0] == '/')
		return snprintf(path, size, "%s/shcounterd/shcounterd.sock", runtime) <= URL_PATH_MAX;
	snprintf(directory, sizeof(directory), "/tmp/shcounterd-%u", (unsigned)geteuid());
	snprintf(path, size, "%s/shcounterd.sock", directory);
	return is_private(directory);
}

/* Nobody answers in the usual places. */
static int connect_started(const struct invocation *inv, const char *own, int64_t deadline_ns,
			   struct shc **out)
{
	if (strlen(own) > URL_PATH_MAX)
		return command_fail(EX_CONFIG,
				    "%s: a socket's path can have %d bytes, this one has %zu: give a shorter "
				    "XDG_RUNTIME_DIR, or name a daemon with -s or -u",
				    own, URL_PATH_MAX, strlen(own));
	return autostart_connect(inv, own, deadline_ns, out);
}

static int connect_usual(const struct invocation *inv, struct shc **out)
{
	int64_t deadline_ns = conn_now_ns() + (int64_t)inv->timeout_ms * NS_PER_MS;
	char own[PATH_MAX];
	const char *places[] = {user_socket(own, sizeof(own)) ? own : NULL, SYSTEM_SOCKET};
	char tried[2][URL_ERROR_SIZE + URL_PATH_MAX];
	size_t tried_count = 0;
	for (size_t i = 0; i < 2; i++) {
		if (!places[i])
			continue;
		int exit_status;
		struct shc *shc = open_url(inv, places[i], places[i], EX_CONFIG, &exit_status);
		if (!shc)
			return exit_status;
		enum shc_status status = shc_connect(shc);
		if (status == SHC_OK) {
			*out = shc;
			return EX_OK;
		}
		if (status != SHC_UNREACHABLE) {
			exit_status = command_status(shc, status);
			shc_close(shc);
			return exit_status;
		}
		snprintf(tried[tried_count++], sizeof(tried[0]), "%s", shc_error(shc));
		shc_close(shc);
	}
	const char *refusal = autostart_refusal();
	if (!refusal)
		return connect_started(inv, own, deadline_ns, out);
	for (size_t i = 0; i < tried_count; i++)
		command_fail(EX_UNAVAILABLE, "%s", tried[i]);
	command_fail(EX_UNAVAILABLE, "%s", refusal);
	return how_to_start();
}

int target_connect(const struct invocation *inv, struct shc **out)
{
	*out = NULL;
	if (inv->socket)
		return connect_one(inv, inv->socket, "-s", EX_USAGE, out);
	if (inv->url)
		return connect_one(inv, inv->url, "-u", EX_USAGE, out);
	const char *url = environment("SHCOUNT_URL");
	if (url)
		return connect_one(inv, url, "SHCOUNT_URL", EX_CONFIG, out);
	url = environment("SHCOUNT_SOCKET");
	if (url)
		return connect_one(inv, url, "SHCOUNT_SOCKET", EX_CONFIG, out);
	return connect_usual(inv, out);
}
