/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <unistd.h>

#include "command.h"
#include "output.h"
#include "target.h"

enum { OPTION_LIMIT, OPTION_PER };

static const struct option_spec options[] = {
	[OPTION_LIMIT] = {0, "limit", OPTION_VALUE, "N", "so many are allowed"},
	[OPTION_PER] = {0, "per", OPTION_VALUE, "DUR", "in this time: 1s, 5m, 24h, 7d"},
	{0},
};

struct question {
	struct slice name;
	struct shc_limit limit;
	int64_t n;
};

static int show(struct slice name, const struct shc_allowance *a)
{
	struct output out;
	output_init(&out, STDOUT_FILENO, true);
	json_open(&out);
	json_name(&out, name);
	json_bool(&out, "allowed", a->is_allowed);
	json_i64(&out, "remaining", a->remaining);
	json_i64(&out, "retry_after_ms", a->retry_after_ms);
	json_close(&out);
	return output_finish(&out);
}

/* A "no" is an answer like the other, so --quiet is about it, too. */
static int answer(const struct invocation *inv, const struct question *q, const struct shc_allowance *a)
{
	int rc = a->is_allowed ? EX_OK : EXIT_NO;
	if (inv->is_quiet)
		return rc;
	if (inv->is_json) {
		int written = show(q->name, a);
		return written ? written : rc;
	}
	if (!a->is_allowed)
		command_fail(rc, "%s: retry in %" PRId64 ".%03ds", inv->operands[0], a->retry_after_ms / 1000,
			     (int)(a->retry_after_ms % 1000));
	return rc;
}

static int ask(const struct invocation *inv, const struct question *q)
{
	struct shc_allowance allowance;
	struct shc *shc;
	int rc = target_connect(inv, &shc);
	if (rc)
		return rc;
	enum shc_status status = shc_allow(shc, q->name.data, q->name.len, &q->limit, q->n, &allowance);
	rc = status ? command_status(shc, status) : answer(inv, q, &allowance);
	shc_close(shc);
	return rc;
}

static int run(struct invocation *inv)
{
	const char *limit = inv->values[OPTION_LIMIT], *per = inv->values[OPTION_PER];
	struct question q = {.name = slice_str(inv->operands[0]), .n = 1};
	if (!command_is_name(inv, inv->operands[0]))
		return EX_USAGE;
	if (!limit || !per)
		return command_usage(inv, "allow needs --limit N and --per DUR");
	if (!command_number(inv, limit, "--limit", &q.limit.count) ||
	    !command_duration(inv, per, "--per", SHC_LIMIT_MS_MAX, &q.limit.window_ms) ||
	    (inv->operands_count > 1 && !command_number(inv, inv->operands[1], "N", &q.n)) ||
	    !command_is_in_one_place(inv, "limits"))
		return EX_USAGE;
	if (q.limit.count < 1)
		return command_usage(inv, "--limit \"%.32s\": at least 1 is expected", limit);
	if (q.n < 1 || q.n > q.limit.count)
		return command_usage(inv, "N \"%.32s\": from 1 to the limit is expected", inv->operands[1]);
	return ask(inv, &q);
}

const struct command cmd_allow = {
	.name = "allow",
	.operands = "NAME [N]",
	.summary = "count if a rate limit allows it",
	.help = "  shcount allow ip:$ip --limit 100 --per 1m || exit    at most 100 a minute\n"
		"  shcount allow api 5 --limit 1000 --per 1h    this one costs 5\n"
		"\n"
		"Exit status 0: it keeps to the limit, and is counted: N, or 1, is added to the counter. Exit status 1: "
		"it does not, nothing has changed, and it is said when it would be allowed: \"retry in 1.234s\" on "
		"standard error. Both in one step, however many ask at a time.\n"
		"\n"
		"The whole limit may be used up at once; it comes back evenly, and all of it within the time of --per. A "
		"counter that was made by this goes away when its limit has come back. With --json, "
		"\"allowed\", \"remaining\" and \"retry_after_ms\" are printed in both cases.\n",
	.options = options,
	.operands_min = 1,
	.operands_max = 2,
	.run = run,
};
