/* SPDX-License-Identifier: MIT */
/*
 * cmd_incr.c - incr and decr. The path that scripts take most: one connect, one send, one receive, one write.
 */
#include <string.h>
#include <unistd.h>

#include "../lib/num.h"
#include "command.h"
#include "output.h"
#include "target.h"

enum { OPTION_DURABLE, OPTION_ONCE };

static const struct option_spec options[] = {
	[OPTION_DURABLE] = {0, "durable", OPTION_MAYBE, "disk", "return when it is on disk"},
	[OPTION_ONCE] = {0, "once", OPTION_VALUE, "TOKEN", "at most once for this token, however often run"},
	{0},
};

/* `is_applied` is null where it makes no sense. */
static int show(const struct invocation *inv, struct slice name, int64_t value, const bool *is_applied)
{
	struct output out;
	output_init(&out, STDOUT_FILENO, inv->is_json);
	if (inv->is_json) {
		json_open(&out);
		json_name(&out, name);
		json_i64(&out, "value", value);
		if (is_applied)
			json_bool(&out, "applied", *is_applied);
		json_close(&out);
	} else {
		output_i64(&out, value);
		output_line(&out);
	}
	return output_finish(&out);
}

/* The sharded path: cheaper for the server, since nobody wants to know the sum. */
static int add_unseen(struct shc *shc, struct slice name, int64_t delta)
{
	enum shc_status status = shc_add(shc, name.data, name.len, delta);
	if (status == SHC_OK)
		status = shc_flush(shc, NULL);
	return status ? command_status(shc, status) : EX_OK;
}

static int add_and_show(const struct invocation *inv, struct shc *shc, struct slice name, int64_t delta)
{
	int64_t value;
	enum shc_status status = shc_incr(shc, name.data, name.len, delta, &value);
	return status ? command_status(shc, status) : show(inv, name, value, NULL);
}

/* Sent again by itself until the time is over; so the disk is waited for in the same call. */
static int add_once(struct invocation *inv, struct shc *shc, struct slice name, int64_t delta)
{
	struct slice token = slice_str(inv->values[OPTION_ONCE]);
	bool is_durable = inv->values[OPTION_DURABLE] != NULL;
	int64_t value;
	bool is_applied;
	target_keep(inv, shc);
	enum shc_status status = shc_once(shc, token.data, token.len, name.data, name.len, delta, is_durable,
					  &value, &is_applied);
	if (status)
		return command_status(shc, status);
	return inv->is_quiet ? EX_OK : show(inv, name, value, &is_applied);
}

/* The value has been printed by now: it is counted, whatever becomes of the disk. */
static int make_durable(struct shc *shc)
{
	enum shc_status status = shc_sync(shc);
	if (status == SHC_OK)
		return EX_OK;
	int exit_status = command_status(shc, status);
	return command_fail(exit_status == EX_UNAVAILABLE ? EX_TEMPFAIL : exit_status,
			    "counted, but not known to be on disk: `shcount sync` returns when it is");
}

static int add(struct invocation *inv, int64_t delta)
{
	const char *durable = inv->values[OPTION_DURABLE];
	if (durable && durable[0] && strcmp(durable, "disk") != 0)
		return command_usage(inv, "--durable=\"%.32s\": only \"disk\" is supported by this version",
				     durable);
	const char *token = inv->values[OPTION_ONCE];
	if (token && !slice_is_name(slice_str(token)))
		return command_usage(inv, "--once: a token has 1 to %d bytes without control characters",
				     NAME_LEN_MAX);
	struct slice name = slice_str(inv->operands[0]);
	struct shc *shc;
	int rc = target_connect(inv, &shc);
	if (rc)
		return rc;
	if (token)
		rc = add_once(inv, shc, name, delta);
	else
		rc = inv->is_quiet ? add_unseen(shc, name, delta) : add_and_show(inv, shc, name, delta);
	if (rc == EX_OK && durable && !token)
		rc = make_durable(shc);
	shc_close(shc);
	return rc;
}

static bool read_delta(const struct invocation *inv, int64_t *delta)
{
	*delta = 1;
	if (!command_is_name(inv, inv->operands[0]))
		return false;
	return inv->operands_count < 2 || command_number(inv, inv->operands[1], "DELTA", delta);
}

static int run_incr(struct invocation *inv)
{
	int64_t delta;
	return read_delta(inv, &delta) ? add(inv, delta) : EX_USAGE;
}

static int run_decr(struct invocation *inv)
{
	int64_t delta;
	if (!read_delta(inv, &delta))
		return EX_USAGE;
	if (delta == INT64_MIN)
		return command_usage(
			inv, "DELTA \"%s\" cannot be subtracted: the least that can is -9223372036854775807",
			inv->operands[1]);
	return add(inv, -delta);
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
		"  shcount incr --once order-17 sold 3   safe to repeat: it counts once\n"
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
		"\"applied\" is false when an earlier run had been counted already.\n",
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
		"\n"
		"As incr, with the sign turned round.\n",
	.options = options,
	.operands_min = 1,
	.operands_max = 2,
	.run = run_decr,
};
