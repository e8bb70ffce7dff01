/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/redis.h"
#include "command.h"
#include "output.h"
#include "target.h"

static int show(const struct invocation *inv, int64_t removed)
{
	struct output out;
	output_init(&out, STDOUT_FILENO, false);
	if (inv->is_quiet)
		return output_finish(&out);
	if (inv->is_json) {
		json_open(&out);
		json_i64(&out, "removed", removed);
		json_close(&out);
	} else {
		output_i64(&out, removed);
		output_line(&out);
	}
	return output_finish(&out);
}

/* Of the operands from `first` on. */
static int not_known(const struct invocation *inv, struct shc *shc, enum shc_status status, int first)
{
	int rc = command_status(shc, status);
	return command_fail(rc, "%s: not known to be removed, nor what was named behind it",
			    inv->operands[first]);
}

/* On a cluster each counter has its own place, or several. */
static int del_each(const struct invocation *inv, struct shc *shc)
{
	int64_t removed = 0;
	for (int i = 0; i < inv->operands_count; i++) {
		enum shc_status status = shc_del(shc, inv->operands[i], strlen(inv->operands[i]));
		if (status && status != SHC_MISSING)
			return not_known(inv, shc, status, i);
		removed += status == SHC_OK;
	}
	return show(inv, removed);
}

/* In one Redis server, behind the values. */
static enum shc_status forget_all(const struct invocation *inv, struct shc *shc)
{
	enum { AT_ONCE = 64 };
	struct slice names[AT_ONCE];
	enum shc_status status = SHC_OK;
	for (int i = 0; i < inv->operands_count && status == SHC_OK;) {
		size_t count = 0;
		while (i < inv->operands_count && count < AT_ONCE)
			names[count++] = slice_str(inv->operands[i++]);
		status = redis_forget(shc, count, names);
	}
	return status;
}

static enum shc_status del_values(const struct invocation *inv, struct shc *shc,
				  const struct shc_reply **reply)
{
	size_t count = (size_t)inv->operands_count;
	const char **argv = calloc(count + 1, sizeof(*argv));
	if (!argv)
		return SHC_MEMORY;
	argv[0] = "DEL";
	memcpy(argv + 1, inv->operands, count * sizeof(*argv));
	enum shc_status status = shc_command(shc, count + 1, argv, NULL, true, reply);
	free(argv);
	return status;
}

static int del_all(const struct invocation *inv, struct shc *shc)
{
	const struct shc_reply *reply;
	enum shc_status status = redis_identify(shc);
	if (status)
		return command_status(shc, status);
	status = del_values(inv, shc, &reply);
	if (status)
		return redis_is(shc) ? not_known(inv, shc, status, 0) : command_status(shc, status);
	if (reply->type != SHC_T_INT)
		return command_fail(EX_TEMPFAIL, "the answer to DEL makes no sense: is that a shcounterd?");
	int64_t removed = reply->integer;
	status = redis_is(shc) ? forget_all(inv, shc) : SHC_OK;
	return status ? not_known(inv, shc, status, 0) : show(inv, removed);
}

static int del(struct invocation *inv, struct shc *shc)
{
	int rc = target_check_names(inv, shc);
	if (rc)
		return rc;
	return redis_is_cluster(shc) ? del_each(inv, shc) : del_all(inv, shc);
}

static int run(struct invocation *inv)
{
	return command_are_names(inv) ? target_ask(inv, del) : EX_USAGE;
}

const struct command cmd_del = {
	.name = "del",
	.operands = "NAME...",
	.summary = "remove counters, print how many there were",
	.help = "  shcount del visits errors\n"
		"  shcount list 'test:*' | cut -f1 | xargs -d '\\n' shcount del --\n"
		"\n"
		"A removed counter reads 0 again. One that does not exist is no error.\n",
	.operands_min = 1,
	.operands_max = -1,
	.run = run,
};
