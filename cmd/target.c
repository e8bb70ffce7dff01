/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../lib/conn.h"
#include "../lib/credentials.h"
#include "../lib/redis.h"
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

/* ---- what the environment and the options say beside the URL ---- */

static bool is_own_socket(const char *path)
{
	char own[PATH_MAX];
	return place_socket(own) && strcmp(own, path) == 0;
}

/* Ours knows its users without a password: it lets us do everything, and would refuse one. */
static const char *auth_variable(const struct url *u)
{
	return u->kind == URL_UNIX && is_own_socket(u->path) ? NULL : credentials_variable(u);
}

static int prepare(const struct invocation *inv, struct shc *shc, const struct url *u)
{
	if (credentials_set(shc, auth_variable(u)))
		return command_fail(EX_IOERR, "out of memory");
	if (inv->shards && shc_set_shards(shc, inv->shards))
		return command_usage(inv, "--shards: %s", shc_error(shc));
	if (inv->reads_replica && shc_set_read_replica(shc, true))
		return command_usage(inv, "--read replica: %s", shc_error(shc));
	return EX_OK;
}

/* False: shc_open will say why. */
static bool parse(struct url *u, const char *url)
{
	char error[URL_ERROR_SIZE];
	return url_parse(u, url, error) == URL_OK;
}

static bool is_cluster(const char *url)
{
	struct url u;
	if (!parse(&u, url))
		return false;
	bool is = u.kind == URL_CLUSTER;
	url_fini(&u);
	return is;
}

/* The handle on `url`, or null with an exit status after a complaint. */
static struct shc *open_url(const struct invocation *inv, const char *url, const char *origin, int usage_exit,
			    int *exit_status)
{
	struct shc *shc;
	struct url u;
	enum shc_status status = shc_open(&shc, url, inv->timeout_ms);
	*exit_status = EX_OK;
	if (status == SHC_USAGE)
		*exit_status = command_fail(usage_exit, "%s: %s", origin, shc_error(shc));
	else if (status || !parse(&u, url))
		*exit_status = command_fail(EX_IOERR, "out of memory");
	if (*exit_status == EX_OK) {
		*exit_status = prepare(inv, shc, &u);
		url_fini(&u);
	}
	if (*exit_status == EX_OK)
		return shc;
	shc_close(shc);
	return NULL;
}

static int how_to_start(void)
{
	return command_fail(EX_UNAVAILABLE,
			    "start a daemon (systemctl start shcounterd, or by hand: "
			    "shcounterd --socket PATH --db FILE), or name one with -s, -u or -c");
}

/* Why nobody is connected, and what to do where that is known. */
static int complain_failed(const struct shc *shc, enum shc_status status, const char *url)
{
	/* The URL was in order, so it is what TLS needs of this machine. */
	if (status == SHC_USAGE)
		return command_fail(EX_CONFIG, "%s", shc_error(shc));
	int exit_status = command_status(shc, status);
	struct url u;
	if (status != SHC_DENIED || !parse(&u, url))
		return exit_status;
	const char *variable = auth_variable(&u);
	if (strcmp(url, SYSTEM_SOCKET) == 0)
		command_fail(exit_status, "the system's daemon is there for a group: join it (as root: "
					  "usermod -aG shcounterd USER) and log in again");
	else if (variable)
		command_fail(exit_status, "the password was the one in $%s", variable);
	url_fini(&u);
	return exit_status;
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

/* The server that was named. */
struct named {
	const char *url;    /* null: none was */
	const char *origin; /* by what */
	int usage_exit;	    /* when it makes no sense */
	char *made;	    /* owned: the URL of what -c was given, else null */
};

/* lib/url.h takes text without a scheme for a socket's path, as -s does; here it is HOST:PORT more often. */
static int no_scheme(const struct named *n)
{
	const char *url = n->url;
	if (!url[0] || strchr(url, '@') || (url[0] != '/' && strchr(url, '/'))) /* no password is shown */
		return command_fail(n->usage_exit,
				    "%s: no scheme: unix:///PATH or redis://HOST:PORT is expected",
				    n->origin);
	const char *scheme = strchr(url, ',') ? "redis+cluster" : "redis";
	return command_fail(n->usage_exit, "%s: no scheme: did you mean %s://%s?", n->origin,
			    url[0] == '/' ? "unix" : scheme, url);
}

/* False after a complaint: no memory. */
static bool find_named(const struct invocation *inv, struct named *n)
{
	static const char *const variables[] = {"SHCOUNT_URL", "SHCOUNT_SOCKET"};
	*n = (struct named){
		.url = inv->socket ? inv->socket : inv->url,
		.origin = inv->cluster	? "-c"
			  : inv->socket ? "-s"
					: "-u",
		.usage_exit = EX_USAGE,
	};
	if (inv->cluster && asprintf(&n->made, "redis+cluster://%s", inv->cluster) < 0) {
		n->made = NULL;
		return false;
	}
	n->url = n->made ? n->made : n->url;
	for (size_t i = 0; i < 2 && !n->url; i++) {
		n->usage_exit = EX_CONFIG;
		n->url = environment(variables[i]);
		n->origin = variables[i];
	}
	return true;
}

/* The handle on the server that is named, not connected yet; null with an exit status after a complaint. */
static struct shc *open_named(const struct invocation *inv, const struct named *n, int *exit_status)
{
	bool is_path = strcmp(n->origin, "-s") == 0 || strcmp(n->origin, "SHCOUNT_SOCKET") == 0;
	if (inv->cluster && strstr(inv->cluster, "://"))
		*exit_status =
			command_usage(inv, "-c takes HOST:PORT,HOST:PORT; what has a scheme goes to -u");
	else if (!is_path && !strstr(n->url, "://"))
		*exit_status = no_scheme(n);
	else
		return open_url(inv, n->url, n->origin, n->usage_exit, exit_status);
	return NULL;
}

static int connect_named(const struct invocation *inv, const struct named *n, struct shc **out)
{
	int exit_status;
	struct shc *shc = open_named(inv, n, &exit_status);
	if (!shc)
		return exit_status;
	enum shc_status status = shc_connect(shc);
	if (status == SHC_OK) {
		*out = shc;
		return EX_OK;
	}
	exit_status = complain_failed(shc, status, n->url);
	shc_close(shc);
	/* What is elsewhere is somebody else's to start. */
	bool is_elsewhere = strstr(n->url, "://") && strncmp(n->url, "unix:", strlen("unix:")) != 0;
	bool is_ours = exit_status == EX_UNAVAILABLE && !is_elsewhere;
	return is_ours ? how_to_start() : exit_status;
}

static int no_cluster(const struct invocation *inv)
{
	return command_usage(inv, "%s is for a Redis Cluster: name one with -c, or in $SHCOUNT_URL",
			     inv->shards ? "--shards" : "--read replica");
}

int target_connect(const struct invocation *inv, struct shc **out)
{
	struct named n;
	int exit_status;
	*out = NULL;
	if (!find_named(inv, &n))
		return command_fail(EX_IOERR, "out of memory");
	if (n.url)
		exit_status = connect_named(inv, &n, out);
	else if (inv->shards || inv->reads_replica)
		exit_status = no_cluster(inv);
	else
		exit_status = connect_usual(inv, out);
	free(n.made);
	return exit_status;
}

static bool is_there(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0;
}

/* Where there is a socket, or may be one that cannot be seen: the user's own first. */
static const char *usual_place(char own[PATH_MAX])
{
	if (place_socket(own) && place_look(own) == PLACE_OURS && is_there(own))
		return own;
	return is_there(SYSTEM_SOCKET) || errno == EACCES ? SYSTEM_SOCKET : NULL;
}

int target_open(const struct invocation *inv, struct shc **out, char **url)
{
	char own[PATH_MAX];
	struct named n;
	int exit_status = EX_OK;
	*out = NULL;
	*url = NULL;
	if (!find_named(inv, &n))
		return command_fail(EX_IOERR, "out of memory");
	if (!n.url && (inv->shards || inv->reads_replica))
		return no_cluster(inv);
	const char *usual = n.url ? NULL : usual_place(own);
	if (n.url)
		*out = open_named(inv, &n, &exit_status);
	else if (usual)
		*out = open_url(inv, usual, usual, EX_CONFIG, &exit_status);
	if (*out)
		*url = strdup(n.url ? n.url : usual);
	free(n.made);
	return exit_status;
}

int target_ask(struct invocation *inv, int (*ask)(struct invocation *inv, struct shc *shc))
{
	struct shc *shc;
	int rc = target_connect(inv, &shc);
	if (rc)
		return rc;
	rc = ask(inv, shc);
	shc_close(shc);
	return rc;
}

bool target_is_cluster(const struct invocation *inv)
{
	struct named n;
	bool is = find_named(inv, &n) && n.url && is_cluster(n.url);
	free(n.made);
	return is;
}

int target_check_names(const struct invocation *inv, struct shc *shc)
{
	for (int i = 0; i < inv->operands_count; i++) {
		if (!shard_is_own(slice_str(inv->operands[i])))
			continue;
		enum shc_status status = redis_identify(shc);
		if (status)
			return command_status(shc, status);
		if (redis_is(shc))
			return command_fail(EX_USAGE,
					    "%s: names that begin with shc: are taken in Redis, for what "
					    "belongs to counters",
					    inv->operands[i]);
	}
	return EX_OK;
}

int target_check_daemon(const struct invocation *inv, struct shc *shc)
{
	enum shc_status status = redis_identify(shc);
	if (status)
		return command_status(shc, status);
	if (redis_is(shc))
		return command_fail(EX_USAGE, "%s is for a shcounterd: the server is a Redis",
				    inv->command->name);
	return EX_OK;
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
	const char *path = revive_path(shc);
	struct named n;
	bool is_named = !find_named(inv, &n) || n.url;
	free(n.made);
	if (is_named || !path || strcmp(path, SYSTEM_SOCKET) == 0 || autostart_refusal())
		return;
	revive_on(shc, start_again, inv);
}
