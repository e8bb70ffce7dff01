/* SPDX-License-Identifier: MIT */
#include <unistd.h>

#include "command.h"
#include "output.h"
#include "target.h"

enum { OPTION_LAST };

static const struct option_spec options[] = {
	[OPTION_LAST] = {0, "last", OPTION_VALUE, "DUR", "the window: 60s, 5m, 24h, 7d, at most 30d"},
	{0},
};

static int show(const struct invocation *inv, struct slice name, const struct shc_hits *hits)
{
	struct output out;
	output_init(&out, STDOUT_FILENO, inv->is_json);
	if (inv->is_json) {
		json_open(&out);
		json_name(&out, name);
		json_i64(&out, "hits", hits->hits);
		json_i64(&out, "resolution_ms", hits->resolution_ms);
		json_close(&out);
	} else {
		output_i64(&out, hits->hits);
		output_line(&out);
	}
	return output_finish(&out);
}

/* What was counted is not what was asked for. */
static void tell_window(const struct invocation *inv, int64_t window_ms, int64_t resolution_ms)
{
	if (resolution_ms < 1 || window_ms % resolution_ms == 0)
		return;
	const char *unit = resolution_ms == 1000
				   ? command_noun((uint64_t)window_ms / 1000 + 1, "second", "seconds")
			   : resolution_ms == 60000 ? "minutes"
						    : "hours";
	command_fail(EX_OK, "these are the hits of the last %lld %s: a window of %.32s is rounded up",
		     (long long)(window_ms / resolution_ms + 1), unit, inv->values[OPTION_LAST]);
}

static int ask(const struct invocation *inv, struct shc *shc, int64_t window_ms)
{
	struct slice name = slice_str(inv->operands[0]);
	struct shc_hits hits;
	enum shc_status status = shc_hits(shc, name.data, name.len, window_ms, &hits);
	if (status)
		return command_status(shc, status);
	if (inv->is_quiet)
		return EX_OK;
	if (!inv->is_json)
		tell_window(inv, window_ms, hits.resolution_ms);
	return show(inv, name, &hits);
}

static int run(struct invocation *inv)
{
	const char *last = inv->values[OPTION_LAST];
	int64_t window_ms;
	if (!command_is_name(inv, inv->operands[0]))
		return EX_USAGE;
	if (!last)
		return command_usage(inv, "which hits? Those of --last 60s, for example");
	if (!command_duration(inv, last, "--last", SHC_WINDOW_MS_MAX, &window_ms))
		return EX_USAGE;
	struct shc *shc;
	int rc = target_connect(inv, &shc);
	if (rc)
		return rc;
	rc = ask(inv, shc, window_ms);
	shc_close(shc);
	return rc;
}

const struct command cmd_hits = {
	.name = "hits",
	.operands = "NAME",
	.summary = "print how many hits a time had",
	.help = "  shcount hits logins --last 60s   this second and the 59 before it\n"
		"  shcount hits logins --last 24h   this minute and the 1439 before it\n"
		"\n"
		"What shcount hit has counted, and of that what lies in the window. Up to 5 minutes it is made of "
		"seconds, up to 24 hours of minutes, up to 30 days of hours; the one that is running is one of them. "
		"A window in between is rounded up to the next whole one, which is said. With --json, "
		"\"resolution_ms\" is how long they are.\n",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
