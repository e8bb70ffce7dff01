/* SPDX-License-Identifier: MIT */
/*
 * cmd_get.c - values, as the server has them; with --global as the cluster has them that it brings them to.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/num.h"
#include "../lib/redis.h"
#include "command.h"
#include "output.h"
#include "target.h"
#include "uplink.h"

enum { OPTION_STRICT, OPTION_GLOBAL };

static const struct option_spec options[] = {
	[OPTION_STRICT] = {0, "strict", OPTION_FLAG, NULL, "exit 1 when a counter was never touched"},
	[OPTION_GLOBAL] = {0, "global", OPTION_FLAG, NULL,
			   "the total over all daemons of the uplink, from the cluster"},
	{0},
};

enum {
	AGE_TOLD_MS = 5000, /* older than this, the daemon does not reach its cluster */
	AGE_NONE = -1,	    /* of a value that is read where it is counted */
	AHEAD = 256,	    /* totals that are asked for at a time */
};

struct reading {
	const char *name;
	int64_t value;
	bool is_there;
	int64_t age_ms;
};

static void show_json(struct output *out, const struct reading *r)
{
	json_open(out);
	json_name(out, slice_str(r->name));
	json_i64(out, "value", r->value);
	if (r->age_ms != AGE_NONE)
		json_i64(out, "age_ms", r->age_ms);
	if (!r->is_there)
		json_bool(out, "missing", true);
	json_close(out);
}

static void show(const struct invocation *inv, struct output *out, const struct reading *r)
{
	if (inv->is_quiet)
		return;
	if (inv->is_json) {
		show_json(out, r);
	} else if (inv->operands_count > 1) {
		output_row(out, slice_str(r->name), r->value);
	} else {
		output_i64(out, r->value);
		output_line(out);
	}
}

/* Prints one value. The exit status it calls for. */
static int take(const struct invocation *inv, struct output *out, const struct reading *r)
{
	if (!r->is_there && inv->values[OPTION_STRICT])
		return command_fail(EXIT_NO, "%s: no such counter", r->name);
	show(inv, out, r);
	return EX_OK;
}

/* ---- counters of the server ---- */

/* Something that is stored under one of the names is, or may be, no counter: finds out which. */
static int get_each(const struct invocation *inv, struct shc *shc, struct output *out)
{
	int rc = EX_OK;
	for (int i = 0; i < inv->operands_count; i++) {
		struct reading r = {.name = inv->operands[i], .age_ms = AGE_NONE};
		enum shc_status status = shc_get(shc, r.name, strlen(r.name), &r.value);
		int one = EX_OK;
		r.is_there = status == SHC_OK;
		if (status == SHC_OK || status == SHC_MISSING)
			one = take(inv, out, &r);
		else if (status == SHC_REFUSED)
			one = command_fail(EXIT_NO, "%s: %s", r.name, shc_error(shc));
		else
			return command_status(shc, status);
		rc = one ? one : rc;
	}
	return rc;
}

/* MGET of a Redis server, which is not asked for on a cluster, says of what is no counter that it is missing.
 */
static bool may_hide_others(struct shc *shc, size_t count, const bool *is_there)
{
	bool is_missing = false;
	for (size_t i = 0; i < count; i++)
		is_missing |= !is_there[i];
	return is_missing && !redis_is_cluster(shc) && redis_identify(shc) == SHC_OK && redis_is(shc);
}

static int show_all(const struct invocation *inv, struct output *out, const int64_t *values,
		    const bool *is_there)
{
	int rc = EX_OK;
	for (int i = 0; i < inv->operands_count; i++) {
		const struct reading r = {inv->operands[i], values[i], is_there[i], AGE_NONE};
		int one = take(inv, out, &r);
		rc = one ? one : rc;
	}
	return rc;
}

static int get_all(const struct invocation *inv, struct shc *shc, struct output *out)
{
	size_t count = (size_t)inv->operands_count;
	int64_t *values = calloc(count, sizeof(*values));
	bool *is_there = calloc(count, sizeof(*is_there));
	int rc = EX_OK;
	enum shc_status status = SHC_MEMORY;
	if (values && is_there)
		status = shc_mget(shc, count, (const char *const *)inv->operands, NULL, values, is_there);
	else
		rc = command_fail(EX_IOERR, "out of memory");
	if (status == SHC_OK && may_hide_others(shc, count, is_there))
		status = SHC_REFUSED;
	else if (status == SHC_OK)
		rc = show_all(inv, out, values, is_there);
	free(values);
	free(is_there);
	if (rc || status == SHC_OK)
		return rc;
	return status == SHC_REFUSED ? get_each(inv, shc, out) : command_status(shc, status);
}

/* ---- totals of the uplink ---- */

/* Not about this counter. */
static bool is_about_server(const struct shc *shc)
{
	return command_says(shc, "UPLINKDOWN") || command_says(shc, "ERR no uplink") ||
	       command_says(shc, "ERR unknown command");
}

static void tell_age(int64_t oldest_ms, const struct invocation *inv)
{
	if (oldest_ms <= AGE_TOLD_MS)
		return;
	command_fail(0,
		     "%s %" PRId64
		     ".%d s old: the daemon has not reached its cluster since then; `shcount uplink "
		     "status` says why",
		     inv->operands_count > 1 ? "the oldest of these totals is" : "this total is",
		     oldest_ms / 1000, (int)(oldest_ms % 1000 / 100));
}

/* Has some names on their way, so that it is not a round trip for each. */
static enum shc_status ask_ahead(const struct invocation *inv, struct shc *shc, int *asked)
{
	enum shc_status status = SHC_OK;
	if (shc_pending(shc) > AHEAD / 2)
		return SHC_OK;
	while (status == SHC_OK && *asked < inv->operands_count && shc_pending(shc) < AHEAD) {
		const char *const argv[] = {"SHC.GLOBAL", inv->operands[*asked]};
		status = shc_append(shc, 2, argv, NULL, false);
		++*asked;
	}
	return status;
}

/* [total or nil, age]. False: it is something else. */
static bool read_total(const struct shc_reply *reply, struct reading *r)
{
	const struct shc_reply *total = reply->elements;
	if (reply->type != SHC_T_ARRAY || reply->count != 2 || total[1].type != SHC_T_INT ||
	    total[1].integer < 0 || (total->type != SHC_T_INT && total->type != SHC_T_NIL))
		return false;
	r->is_there = total->type == SHC_T_INT;
	r->value = r->is_there ? total->integer : 0;
	r->age_ms = total[1].integer;
	return true;
}

static int get_totals(const struct invocation *inv, struct shc *shc, struct output *out)
{
	int rc = EX_OK, asked = 0;
	int64_t oldest_ms = 0;
	for (int i = 0; i < inv->operands_count; i++) {
		struct reading r = {.name = inv->operands[i]};
		const struct shc_reply *reply;
		enum shc_status status = ask_ahead(inv, shc, &asked);
		int one = EX_OK;
		if (status == SHC_OK)
			status = shc_next(shc, &reply);
		if (status == SHC_OK && !read_total(reply, &r))
			return uplink_no_sense("SHC.GLOBAL");
		if (status == SHC_OK)
			one = take(inv, out, &r);
		else if (status == SHC_REFUSED && !is_about_server(shc))
			one = command_fail(EXIT_NO, "%s: %s", r.name, shc_error(shc));
		else
			return command_status(shc, status);
		rc = one ? one : rc;
		oldest_ms = r.age_ms > oldest_ms ? r.age_ms : oldest_ms;
	}
	tell_age(oldest_ms, inv);
	return rc;
}

static int get(const struct invocation *inv, struct shc *shc, struct output *out)
{
	if (!inv->values[OPTION_GLOBAL])
		return get_all(inv, shc, out);
	enum shc_status status = redis_identify(shc);
	if (status)
		return command_status(shc, status);
	/* What is counted there is the total. */
	return redis_is(shc) ? get_all(inv, shc, out) : get_totals(inv, shc, out);
}

static int run(struct invocation *inv)
{
	if (!command_are_names(inv))
		return EX_USAGE;
	struct shc *shc;
	int rc = target_connect(inv, &shc);
	if (rc)
		return rc;
	struct output out;
	output_init(&out, STDOUT_FILENO, inv->is_json || inv->operands_count > 1);
	rc = target_check_names(inv, shc);
	if (rc == EX_OK)
		rc = get(inv, shc, &out);
	int written = output_finish(&out);
	shc_close(shc);
	return written ? written : rc;
}

const struct command cmd_get = {
	.name = "get",
	.operands = "NAME...",
	.summary = "print values",
	.help = "  shcount get visits               the value alone\n"
		"  shcount get visits errors        NAME<TAB>VALUE, a line each\n"
		"  shcount get --strict visits      exit 1 instead of printing 0\n"
		"  shcount get --global visits      of all daemons together\n"
		"\n"
		"A counter that was never touched reads 0.\n"
		"\n"
		"With --global: the total over all daemons that bring their counters to one cluster (`uplink` in "
		"shcounterd.conf), as the daemon here knows it. One that is older than 5 s is printed, and standard "
		"error says how old it is; with --json, \"age_ms\" always does. Exit status 69 when the daemon does not "
		"reach the cluster and has not known a total. On a Redis Cluster it is what get prints.\n",
	.options = options,
	.operands_min = 1,
	.operands_max = -1,
	.run = run,
};
