/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/redis.h"
#include "autostart.h"
#include "doctor.h"
#include "place.h"
#include "target.h"

/* ---- a server that is named, or has a socket in the usual places ---- */

static bool is_own(const char *host)
{
	return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 || strncmp(host, "127.", 4) == 0;
}

/* Null: nothing that is known. */
static const char *change_of(struct shc *shc, enum shc_status status, enum url_kind kind)
{
	const char *change = kind == URL_UNIX ? doctor_change_of(status, shc_error(shc)) : NULL;
	if (change)
		return change;
	if (status == SHC_DENIED)
		return "the password comes from the URL, $SHCOUNT_AUTH (USER:PASSWORD) or $REDISCLI_AUTH";
	if (status == SHC_USAGE)
		return "it is what TLS needs of this machine: see $SHCOUNT_TLS_CA in shcount(1)";
	if (status != SHC_UNREACHABLE)
		return NULL;
	if (kind == URL_TCP)
		return "start it, or name another with -s, -u or -c";
	if (kind == URL_UNIX)
		return "start the daemon: systemctl start shcounterd, or shcounterd --socket PATH --db FILE";
	return "give more of its nodes; each must be reachable by the address that it announces "
	       "(cluster-announce-ip, cluster-announce-hostname)";
}

static void look_at_server(struct doctor *d, struct shc *shc, const struct url *url)
{
	bool is_here = url->kind == URL_UNIX || (url->kind == URL_TCP && is_own(url->host));
	if (url->kind == URL_UNIX && !doctor_socket(d, url->path))
		return;
	enum shc_status status = shc_connect(shc);
	if (status == SHC_OK)
		status = redis_identify(shc);
	if (url->kind == URL_UNIX)
		doctor_socket_mode(d, url->path, !status && !redis_is(shc) && doctor_has_rules(shc));
	if (status) {
		doctor_say(d, DOCTOR_BAD, "server", change_of(shc, status, url->kind), "%s", shc_error(shc));
		return;
	}
	doctor_say(d, DOCTOR_OK, "server", NULL, "%s answers",
		   redis_is_cluster(shc) ? "a Redis Cluster"
		   : redis_is(shc)	 ? "a Redis server"
					 : "a shcounterd");
	if (redis_is(shc))
		doctor_redis(d, shc);
	else
		doctor_daemon(d, shc, is_here);
}

/* ---- none ---- */

/* What would a command do now? */
static void say_none(struct doctor *d)
{
	char own[PATH_MAX];
	const char *refusal = autostart_refusal();
	bool has_own = place_socket(own);
	if (has_own && place_look(own) == PLACE_OPEN)
		doctor_say(d, DOCTOR_BAD, "server",
			   "others could take the socket's place: chmod 0700 its directory",
			   "none is running, and the directory of %s may be entered by others", own);
	else if (refusal)
		doctor_say(
			d, DOCTOR_BAD, "server",
			"start one: systemctl start shcounterd, or shcounterd --socket PATH --db FILE; or name one "
			"with -s, -u or -c",
			"none is running; %s", refusal);
	else
		doctor_say(
			d, DOCTOR_OK, "server",
			"any command that needs one starts a daemon of your own; systemctl start shcounterd "
			"starts the machine's",
			"none is running");
}

static int run(struct invocation *inv)
{
	struct doctor d = {.inv = inv};
	struct shc *shc;
	char *text;
	char error[URL_ERROR_SIZE];
	struct url url;
	int rc = target_open(inv, &shc, &text);
	if (rc)
		return rc;
	output_init(&d.out, STDOUT_FILENO, true);
	doctor_machine(&d);
	if (!shc) {
		say_none(&d);
	} else if (text && url_parse(&url, text, error) == URL_OK) {
		look_at_server(&d, shc, &url);
		url_fini(&url);
	}
	shc_close(shc);
	free(text);
	rc = output_finish(&d.out);
	return rc ? rc : d.grades[DOCTOR_BAD] ? EXIT_NO : EX_OK;
}

const struct command cmd_doctor = {
	.name = "doctor",
	.group = GROUP_SERVER,
	.operands = "",
	.summary = "find out what is wrong, and what to change",
	.help = "  shcount doctor                   a line for each thing that was looked at\n"
		"  shcount doctor -q                only what is not well\n"
		"  shcount -c db1:6379 doctor       of a Redis Cluster, node by node\n"
		"\n"
		"A line is ok, warn or bad, what was looked at, what was found, and what to change. Of this machine: the "
		"kernel, io_uring, limits of processes. Of a shcounterd: its socket and who may use it, versions, "
		"durability, limits that are nearly reached, its uplink, its disk. Of a Redis Cluster: slots, nodes, "
		"replicas, eviction, persistence, clocks, and whether this user may do what shcount does. It changes "
		"nothing and starts no daemon. Exit status 1 when something is bad.\n",
	.operands_max = 0,
	.run = run,
};
