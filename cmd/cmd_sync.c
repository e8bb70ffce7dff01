/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <unistd.h>

#include "../lib/num.h"
#include "command.h"
#include "output.h"
#include "target.h"

enum { OPTION_UPLINK, OPTION_REPLICAS };

static const struct option_spec options[] = {
	[OPTION_UPLINK] = {0, "uplink", OPTION_FLAG, NULL, "return when the cluster of the uplink has it"},
	[OPTION_REPLICAS] = {0, "replicas", OPTION_VALUE, "N",
			     "with --uplink: and N replicas of each master that was written to"},
	{0},
};

static int show(void)
{
	struct output out;
	output_init(&out, STDOUT_FILENO, false);
	json_open(&out);
	json_bool(&out, "synced", true);
	json_close(&out);
	return output_finish(&out);
}

static int sync_and_show(const struct invocation *inv, struct shc *shc, unsigned replicas)
{
	enum shc_status status = inv->values[OPTION_UPLINK] ? shc_sync_uplink(shc, replicas) : shc_sync(shc);
	if (status)
		return command_status(shc, status);
	return inv->is_json && !inv->is_quiet ? show() : EX_OK;
}

static int read_replicas(const struct invocation *inv, unsigned *replicas)
{
	const char *text = inv->values[OPTION_REPLICAS];
	int64_t n = 0;
	if (text && !inv->values[OPTION_UPLINK])
		return command_usage(inv, "--replicas is for --uplink: a daemon's disk has none");
	if (text && (!num_parse_i64_loose(slice_str(text), &n) || n < 0 || n > INT_MAX))
		return command_usage(inv, "--replicas \"%.32s\": a number from 0 on is expected", text);
	*replicas = (unsigned)n;
	return EX_OK;
}

static int run(struct invocation *inv)
{
	unsigned replicas = 0;
	struct shc *shc;
	int rc = read_replicas(inv, &replicas);
	if (rc == EX_OK)
		rc = target_connect(inv, &shc);
	if (rc)
		return rc;
	rc = target_check_daemon(inv, shc);
	if (rc == EX_OK)
		rc = sync_and_show(inv, shc, replicas);
	shc_close(shc);
	return rc;
}

const struct command cmd_sync = {
	.name = "sync",
	.group = GROUP_SERVER,
	.operands = "",
	.summary = "return when all acknowledged so far is on disk",
	.help = "  shcount ingest access.log && shcount sync\n"
		"  shcount sync --timeout 1m\n"
		"  shcount sync --uplink            return when the cluster has it\n"
		"  shcount sync --uplink --replicas 1\n"
		"\n"
		"Prints nothing, but with --json. Exit status 75 when the disk, or the cluster, did not get there in "
		"time: the data is still on its way.\n",
	.options = options,
	.operands_max = 0,
	.is_local = true,
	.run = run,
};
