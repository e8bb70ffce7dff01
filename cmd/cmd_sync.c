/* SPDX-License-Identifier: MIT */
#include <unistd.h>

#include "command.h"
#include "output.h"
#include "target.h"

static int show(void)
{
	struct output out;
	output_init(&out, STDOUT_FILENO, false);
	json_open(&out);
	json_bool(&out, "synced", true);
	json_close(&out);
	return output_finish(&out);
}

static int sync_and_show(const struct invocation *inv, struct shc *shc)
{
	enum shc_status status = shc_sync(shc);
	if (status)
		return command_status(shc, status);
	return inv->is_json && !inv->is_quiet ? show() : EX_OK;
}

static int run(struct invocation *inv)
{
	struct shc *shc;
	int rc = target_connect(inv, &shc);
	if (rc)
		return rc;
	rc = target_check_daemon(inv, shc);
	if (rc == EX_OK)
		rc = sync_and_show(inv, shc);
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
		"\n"
		"Prints nothing, but with --json. Exit status 75 when the disk did not get there in time: "
		"the data is\n"
		"still on its way.\n",
	.operands_max = 0,
	.is_local = true,
	.run = run,
};
