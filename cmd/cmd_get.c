/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/num.h"
#include "../lib/redis.h"
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

/* Prints one value. The exit status it calls for. */
static int take(const struct invocation *inv, struct output *out, const char *name, int64_t value,
		bool is_there)
{
	if (!is_there && inv->values[OPTION_STRICT])
		return command_fail(EXIT_NO, "%s: no such counter", name);
	show(inv, out, slice_str(name), value, !is_there);
	return EX_OK;
}

/* Something that is stored under one of the names is, or may be, no counter: finds out which. */
static int get_each(const struct invocation *inv, struct shc *shc, struct output *out)
{
	int rc = EX_OK;
	for (int i = 0; i < inv->operands_count; i++) {
		const char *name = inv->operands[i];
		int64_t value = 0;
		enum shc_status status = shc_get(shc, name, strlen(name), &value);
		int one = EX_OK;
		if (status == SHC_OK || status == SHC_MISSING)
			one = take(inv, out, name, value, status == SHC_OK);
		else if (status == SHC_REFUSED)
			one = command_fail(EXIT_NO, "%s: %s", name, shc_error(shc));
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
		int one = take(inv, out, inv->operands[i], values[i], is_there[i]);
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
	rc = target_check_names(inv, shc);
	if (rc == EX_OK)
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
