/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/num.h"
#include "command.h"
#include "output.h"
#include "target.h"

enum { OPTION_STRICT };

static const struct option_spec options[] = {
	[OPTION_STRICT] = {0, "strict", OPTION_FLAG, NULL, "exit 1 when a counter was never touched"},
	{0},
};

static void show(const struct invocation *inv, struct output *out, struct slice name, int64_t value,
		 bool is_missing)
{
	if (inv->is_quiet)
		return;
	if (inv->is_json) {
		json_open(out);
		json_name(out, name);
		json_i64(out, "value", value);
		if (is_missing)
			json_bool(out, "missing", true);
		json_close(out);
	} else if (inv->operands_count > 1) {
		output_row(out, name, value);
	} else {
		output_i64(out, value);
		output_line(out);
	}
}

/* Prints one answer of MGET. The exit status it calls for. */
static int take(const struct invocation *inv, struct output *out, const char *name,
		const struct shc_reply *reply)
{
	bool is_missing = reply->type == SHC_T_NIL;
	int64_t value = 0;
	if (!is_missing &&
	    (reply->type != SHC_T_STRING || !num_parse_i64((struct slice){reply->data, reply->len}, &value)))
		return command_fail(EXIT_NO, "%s: what is stored under this name is not a counter", name);
	if (is_missing && inv->values[OPTION_STRICT])
		return command_fail(EXIT_NO, "%s: no such counter", name);
	show(inv, out, slice_str(name), value, is_missing);
	return EX_OK;
}

static int get_all(const struct invocation *inv, struct shc *shc, struct output *out)
{
	size_t count = (size_t)inv->operands_count;
	const char **argv = calloc(count + 1, sizeof(*argv));
	if (!argv)
		return command_fail(EX_IOERR, "out of memory");
	argv[0] = "MGET";
	memcpy(argv + 1, inv->operands, count * sizeof(*argv));
	const struct shc_reply *reply;
	enum shc_status status = shc_command(shc, count + 1, argv, NULL, false, &reply);
	free(argv);
	if (status)
		return command_status(shc, status);
	if (reply->type != SHC_T_ARRAY || reply->count != count)
		return command_fail(EX_UNAVAILABLE,
				    "the answer to MGET makes no sense: is that a shcounterd?");
	int rc = EX_OK;
	for (size_t i = 0; i < count; i++) {
		int one = take(inv, out, inv->operands[i], &reply->elements[i]);
		rc = one ? one : rc;
	}
	return rc;
}

static int run(struct invocation *inv)
{
	for (int i = 0; i < inv->operands_count; i++) {
		if (!command_is_name(inv, inv->operands[i]))
			return EX_USAGE;
	}
	struct shc *shc;
	int rc = target_connect(inv, &shc);
	if (rc)
		return rc;
	struct output out;
	output_init(&out, STDOUT_FILENO, inv->is_json || inv->operands_count > 1);
	rc = get_all(inv, shc, &out);
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
		"\n"
		"A counter that was never touched reads 0.\n",
	.options = options,
	.operands_min = 1,
	.operands_max = -1,
	.run = run,
};
