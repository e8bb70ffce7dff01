/* SPDX-License-Identifier: MIT */
/*
 * cmd_incr.c - incr and decr. The path that scripts take most: one connect, one send, one receive, one write.
 */
#include <string.h>
#include <unistd.h>

#include "../lib/num.h"
#include "../lib/redis.h"
#include "command.h"
#include "output.h"
#include "target.h"

enum { OPTION_DURABLE, OPTION_ONCE, OPTION_TTL, OPTION_MAX, OPTION_MIN };

static const struct option_spec options[] = {
	[OPTION_DURABLE] =
		{0, "durable", OPTION_MAYBE, "disk|cluster",
		 "return when it is on disk, or in the cluster of the uplink; on a Redis Cluster, when a "
		 "replica has it, or a master"},
	[OPTION_ONCE] = {0, "once", OPTION_VALUE, "TOKEN", "at most once for this token, however often run"},
	[OPTION_TTL] = {0, "ttl", OPTION_VALUE, "DUR",
			"a counter that this makes expires after 60s, 24h, 7d ..."},
	[OPTION_MAX] = {0, "max", OPTION_VALUE, "N", "refuse (exit 1) what exceeds N"},
	[OPTION_MIN] = {0, "min", OPTION_VALUE, "N", "refuse (exit 1) what falls below N"},
	{0},
};

/* What is to be added, and what came of it. */
struct addition {
	struct slice name;
	int64_t delta;
	bool is_bounded;
	struct shc_bounds bounds;
	int64_t value;
	bool is_applied; /* with --once */
};

static int show(const struct invocation *inv, const struct addition *a)
{
	struct output out;
	output_init(&out, STDOUT_FILENO, inv->is_json);
	if (inv->is_json) {
		json_open(&out);
		json_name(&out, a->name);
		json_i64(&out, "value", a->value);
		if (inv->values[OPTION_ONCE])
			json_bool(&out, "applied", a->is_applied);
		json_close(&out);
	} else {
		output_i64(&out, a->value);
		output_line(&out);
	}
	return output_finish(&out);
}

/* ---- adding ---- */

/* The cluster of the uplink has to have it, and not only the disk. */
static bool is_for_cluster(const struct invocation *inv)
{
	const char *durable = inv->values[OPTION_DURABLE];
	return durable && strcmp(durable, "cluster") == 0;
}

/* The sharded path: cheaper for the server, since nobody wants to know the sum. */
static enum shc_status add_unseen(struct shc *shc, const struct addition *a)
{
	enum shc_status status = shc_add(shc, a->name.data, a->name.len, a->delta);
	return status ? status : shc_flush(shc, NULL);
}

static enum shc_status add_seen(struct shc *shc, struct addition *a)
{
	if (a->is_bounded)
		return shc_incr_within(shc, a->name.data, a->name.len, a->delta, &a->bounds, &a->value);
	return shc_incr(shc, a->name.data, a->name.len, a->delta, &a->value);
}

/* Sent again by itself until the time is over; so the disk is waited for in the same call. */
static enum shc_status add_once(struct invocation *inv, struct shc *shc, struct addition *a)
{
	struct slice token = slice_str(inv->values[OPTION_ONCE]);
	bool is_durable = inv->values[OPTION_DURABLE] && !is_for_cluster(inv);
	target_keep(inv, shc);
	return shc_once(shc, token.data, token.len, a->name.data, a->name.len, a->delta, is_durable,
			&a->value, &a->is_applied);
}

static int add_to(struct invocation *inv, struct shc *shc, struct addition *a)
{
	enum shc_status status = inv->values[OPTION_ONCE]	   ? add_once(inv, shc, a)
				 : inv->is_quiet && !a->is_bounded ? add_unseen(shc, a)
								   : add_seen(shc, a);
	return status ? command_status(shc, status) : EX_OK;
}

/* ---- what is counted is to last ---- */

/* It is counted, whatever becomes of the disk, or on the way to the cluster. */
static int still_counted(const struct invocation *inv, const struct shc *shc, enum shc_status status)
{
	int exit_status = command_status(shc, status);
	if (exit_status == EX_UNAVAILABLE || exit_status == EXIT_NO)
		exit_status = EX_TEMPFAIL;
	if (is_for_cluster(inv))
		return command_fail(exit_status, "counted, but not known to be in the cluster: `shcount sync "
						 "--uplink` returns when it is");
	if (target_is_cluster(inv))
		return command_fail(exit_status, "counted, but no replica is known to have it: it is lost if "
						 "its master fails now");
	return command_fail(exit_status,
			    "counted, but not known to be on disk: `shcount sync` returns when it is");
}

static int make_durable(const struct invocation *inv, struct shc *shc, const struct addition *a)
{
	enum shc_status status =
		is_for_cluster(inv) ? shc_sync_uplink_name(shc, a->name.data, a->name.len, 0) : shc_sync(shc);
	return status ? still_counted(inv, shc, status) : EX_OK;
}

/* Where there is something to wait for behind the addition. A cluster has what it answers. */
static bool is_to_wait(const struct invocation *inv)
{
	if (is_for_cluster(inv))
		return !target_is_cluster(inv);
	return inv->values[OPTION_DURABLE] && !inv->values[OPTION_ONCE];
}

/* What can be known before it is too late: that nobody brings it there. The uplink itself is not asked, which
 * may be waiting for its cluster. */
static int check_uplink(struct shc *shc)
{
	const char *const argv[] = {"CONFIG", "GET", "uplink"};
	const struct shc_reply *reply;
	enum shc_status status = shc_command(shc, 3, argv, NULL, false, &reply);
	if (status)
		return command_status(shc, status);
	if (reply->type == SHC_T_ARRAY && reply->count == 2 && reply->elements[1].len > 0)
		return EX_OK;
	return command_fail(EXIT_NO,
			    "--durable=cluster: the daemon has no uplink in its configuration; nothing "
			    "was counted");
}

/* One Redis server: whether it knows WAITAOF depends on its version, and that speaks of one connection, while
 * what is added by script goes over another. */
static int check_durable(const struct invocation *inv, struct shc *shc)
{
	if (!inv->values[OPTION_DURABLE] || target_is_cluster(inv))
		return EX_OK;
	enum shc_status status = redis_identify(shc);
	if (status)
		return command_status(shc, status);
	if (redis_is(shc))
		return command_fail(EX_USAGE, "--durable is for a shcounterd and for a Redis Cluster: the "
					      "server is neither; nothing was counted");
	return is_for_cluster(inv) ? check_uplink(shc) : EX_OK;
}

/* A value is shown when it is counted, but with --durable=cluster when it is there, or the time is over. */
static int add_and_wait(struct invocation *inv, struct shc *shc, struct addition *a)
{
	int rc = add_to(inv, shc, a);
	if (rc)
		return rc;
	bool is_first = !is_for_cluster(inv);
	int shown = is_first && !inv->is_quiet ? show(inv, a) : EX_OK;
	if (shown == EX_OK && is_to_wait(inv))
		rc = make_durable(inv, shc, a);
	if (!is_first && !inv->is_quiet)
		shown = show(inv, a);
	return rc ? rc : shown;
}

static int add(struct invocation *inv, struct addition *a)
{
	struct shc *shc;
	int rc = target_connect(inv, &shc);
	if (rc)
		return rc;
	rc = check_durable(inv, shc);
	if (rc == EX_OK)
		rc = add_and_wait(inv, shc, a);
	shc_close(shc);
	return rc;
}

/* ---- the command line ---- */

/* The option that says so; null: there is none. */
static const char *bounded_by(const struct invocation *inv)
{
	return inv->values[OPTION_MAX]	 ? "--max"
	       : inv->values[OPTION_MIN] ? "--min"
	       : inv->values[OPTION_TTL] ? "--ttl"
					 : NULL;
}

static bool read_bounds(const struct invocation *inv, struct addition *a)
{
	const char *max = inv->values[OPTION_MAX], *min = inv->values[OPTION_MIN],
		   *ttl = inv->values[OPTION_TTL];
	const char *by = bounded_by(inv);
	struct shc_bounds *b = &a->bounds;
	if ((max && !command_number(inv, max, "--max", &b->max)) ||
	    (min && !command_number(inv, min, "--min", &b->min)) ||
	    (ttl && !command_duration(inv, ttl, "--ttl", INT64_MAX / 2, &b->ttl_ms)))
		return false;
	a->is_bounded = by;
	if (b->min > b->max)
		return command_usage(inv, "--min %lld is greater than --max %lld: no value lies between them",
				     (long long)b->min, (long long)b->max) == EX_OK;
	if (by && inv->values[OPTION_ONCE])
		return command_usage(inv, "--once and %s exclude each other", by) == EX_OK;
	return !by || command_is_in_one_place(inv, by);
}

static bool check_options(const struct invocation *inv)
{
	const char *durable = inv->values[OPTION_DURABLE], *token = inv->values[OPTION_ONCE];
	if (durable && durable[0] && strcmp(durable, "disk") != 0 && !is_for_cluster(inv))
		return command_usage(inv, "--durable=\"%.32s\": disk or cluster is expected", durable) ==
		       EX_OK;
	if (token && !slice_is_name(slice_str(token)))
		return command_usage(inv, "--once: a token has 1 to %d bytes without control characters",
				     NAME_LEN_MAX) == EX_OK;
	return true;
}

static bool read_addition(const struct invocation *inv, struct addition *a)
{
	*a = (struct addition){.name = slice_str(inv->operands[0]), .delta = 1, .bounds = SHC_BOUNDS_INIT};
	if (!command_is_name(inv, inv->operands[0]))
		return false;
	if (inv->operands_count > 1 && !command_number(inv, inv->operands[1], "DELTA", &a->delta))
		return false;
	return check_options(inv) && read_bounds(inv, a);
}

static int run_incr(struct invocation *inv)
{
	struct addition a;
	return read_addition(inv, &a) ? add(inv, &a) : EX_USAGE;
}

static int run_decr(struct invocation *inv)
{
	struct addition a;
	if (!read_addition(inv, &a))
		return EX_USAGE;
	if (a.delta == INT64_MIN)
		return command_usage(
			inv, "DELTA \"%s\" cannot be subtracted: the least that can is -9223372036854775807",
			inv->operands[1]);
	a.delta = -a.delta;
	return add(inv, &a);
}

const struct command cmd_incr = {
	.name = "incr",
	.operands = "NAME [DELTA]",
	.summary = "add, print the new value",
	.help = "  shcount incr visits              add 1\n"
		"  shcount incr visits 10\n"
		"  shcount incr visits -10          '-' and digits: a number, not an option\n"
		"  shcount incr -q visits           do not ask for the new value: it scales\n"
		"  shcount incr --durable visits    return when it is on disk\n"
		"  shcount incr --durable=cluster visits    return when the cluster has it\n"
		"  shcount incr --once order-17 sold 3   safe to repeat: it counts once\n"
		"  shcount incr --max 100 seats     up to 100\n"
		"  shcount incr --ttl 24h visits:$(date +%F)    gone a day after it was made\n"
		"\n"
		"DELTA is 1 when not given. The printed value is exact, and nobody else gets the same one as "
		"long as the counter is only changed this way (a ticket dispenser). Past 64 bits the addition is "
		"refused. With -q each core adds to a cell of its own.\n"
		"\n"
		"Exit status 75 says: sent, but no answer; it may or may not have been counted. Without --once "
		"nobody can tell, and running it again may count twice. With --once it is sent again by itself "
		"until --timeout ends, and running it again with the same token is safe for as long as the "
		"server keeps tokens (24 h unless configured otherwise). The same token with another counter "
		"is another token, and counts there; with another DELTA it is refused. With --json, "
		"\"applied\" is false when an earlier run had been counted already.\n"
		"\n"
		"With --max or --min, an addition that would take the value past the bound is refused: nothing "
		"changes, exit status 1. With --ttl, a counter that this call makes expires so long afterwards; one "
		"that is there already keeps what it has. What --shards and "
		"--durable do on a cluster, and when the printed value is exact: man shcount, ON A REDIS CLUSTER.\n",
	.options = options,
	.operands_min = 1,
	.operands_max = 2,
	.run = run_incr,
};

const struct command cmd_decr = {
	.name = "decr",
	.operands = "NAME [DELTA]",
	.summary = "subtract, print the new value",
	.help = "  shcount decr stock               subtract 1\n"
		"  shcount decr stock 10\n"
		"  shcount decr stock -- -5         subtract -5, that is, add 5\n"
		"  shcount decr --min 0 stock       not below 0\n"
		"\n"
		"As incr, with the sign turned round.\n",
	.options = options,
	.operands_min = 1,
	.operands_max = 2,
	.run = run_decr,
};
