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

static int run(struct invocation *inv)
{
	struct shc *shc;
	int rc = target_connect(inv, &shc);
	if (rc)
		return rc;
	enum shc_status status = shc_sync(shc);
	if (status)
		rc = command_status(shc, status);
	else if (inv->is_json && !inv->is_quiet)
		rc = show();
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
