/* SPDX-License-Identifier: MIT */
/*
 * cmd_list.c - counters as they come, or through the sorter.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "../lib/num.h"
#include "command.h"
#include "output.h"
#include "sorter.h"
#include "target.h"
#include "walk.h"

enum { OPTION_SORT, OPTION_LIMIT };

static const struct option_spec options[] = {
	[OPTION_SORT] = {0, "sort", OPTION_VALUE, "name|value|none",
			 "by name (default), the largest value first, or as they come"},
	[OPTION_LIMIT] = {0, "limit", OPTION_VALUE, "N", "print the first N only"},
	{0},
};

struct list {
	const struct invocation *inv;
	struct output out;
	uint64_t left;		 /* to be printed */
	char last[NAME_LEN_MAX]; /* the name that was printed last */
	size_t last_len;
	struct sorter sorter;
};

/* ---- output ---- */

/* Whether to go on. */
static bool show(void *arg, struct slice name, int64_t value)
{
	struct list *l = arg;
	l->left--;
	if (l->inv->is_json) {
		json_open(&l->out);
		json_name(&l->out, name);
		json_i64(&l->out, "value", value);
		json_close(&l->out);
	} else {
		output_row(&l->out, name, value);
	}
	return !l->out.error && l->left > 0;
}

/* A slot that moves during the walk, or a table that Redis rearranges, may give a name twice. */
static bool show_once(void *arg, struct slice name, int64_t value)
{
	struct list *l = arg;
	if (slice_equal(name, (struct slice){l->last, l->last_len}))
		return true;
	memcpy(l->last, name.data, name.len);
	l->last_len = name.len;
	return show(arg, name, value);
}

/* ---- as they come ---- */

static int show_counter(void *arg, struct slice name, int64_t value)
{
	return show(arg, name, value) ? EX_OK : WALK_STOP;
}

static int flush_page(void *arg)
{
	struct list *l = arg;
	output_flush(&l->out);
	return l->out.error ? WALK_STOP : EX_OK;
}

static int list_unsorted(struct list *l, struct shc *shc, const char *glob)
{
	const struct walker walker = {.counter = show_counter, .page = flush_page, .arg = l};
	return walk(shc, glob, &walker);
}

/* ---- sorted ---- */

static int sorter_failed(int rc)
{
	if (rc == -ENOMEM)
		return command_fail(EX_IOERR, "out of memory");
	return command_fail(EX_IOERR,
			    "cannot sort in %s: %s; TMPDIR names another directory, --sort none needs none",
			    runs_directory(), strerror(-rc));
}

static int sort_counter(void *arg, struct slice name, int64_t value)
{
	struct list *l = arg;
	int rc = sorter_add(&l->sorter, name, value);
	return rc ? sorter_failed(rc) : EX_OK;
}

static int list_sorted(struct list *l, struct shc *shc, const char *glob)
{
	const struct walker walker = {.counter = sort_counter, .arg = l};
	int walked = walk(shc, glob, &walker);
	if (walked && walked != EXIT_NO) /* some have no value; the others have */
		return walked;
	int rc = sorter_tell(&l->sorter, show_once, l);
	return rc ? sorter_failed(rc) : walked;
}

/* ---- the command ---- */

/* `order` is null when there is none. */
static int list(struct list *l, const enum sorter_order *order)
{
	const char *glob = l->inv->operands_count > 0 ? l->inv->operands[0] : NULL;
	struct shc *shc;
	int rc = target_connect(l->inv, &shc);
	if (rc)
		return rc;
	output_init(&l->out, STDOUT_FILENO, true);
	if (l->inv->is_quiet || l->left == 0) {
		rc = EX_OK;
	} else if (!order) {
		rc = list_unsorted(l, shc, glob);
	} else if (sorter_init(&l->sorter, *order, l->left, SORTER_BYTES)) {
		rc = sorter_failed(-ENOMEM);
	} else {
		rc = list_sorted(l, shc, glob);
		sorter_fini(&l->sorter);
	}
	shc_close(shc);
	int written = output_finish(&l->out);
	return rc ? rc : written;
}

/* Whether it is one; *order stays null for none. */
static bool read_order(const char *text, const enum sorter_order **order)
{
	static const enum sorter_order by_name = SORTER_BY_NAME, by_value = SORTER_BY_VALUE;
	*order = NULL;
	if (!text || strcmp(text, "name") == 0)
		*order = &by_name;
	else if (strcmp(text, "value") == 0)
		*order = &by_value;
	return *order || strcmp(text, "none") == 0;
}

static int run(struct invocation *inv)
{
	const enum sorter_order *order;
	const char *sort = inv->values[OPTION_SORT];
	if (!read_order(sort, &order))
		return command_usage(inv, "--sort \"%.32s\": name, value or none is expected", sort);
	int64_t limit = 0;
	const char *text = inv->values[OPTION_LIMIT];
	if (text && (!num_parse_i64_loose(slice_str(text), &limit) || limit < 0))
		return command_usage(inv, "--limit \"%.32s\": a number from 0 on is expected", text);
	struct list l = {.inv = inv, .left = text ? (uint64_t)limit : SORTER_NO_LIMIT};
	signal(SIGXFSZ, SIG_IGN); /* a write beyond the limit of files says EFBIG */
	return list(&l, order);
}

const struct command cmd_list = {
	.name = "list",
	.group = GROUP_MANY,
	.operands = "[GLOB]",
	.summary = "print counters with their values",
	.help = "  shcount list                     NAME<TAB>VALUE, sorted by name\n"
		"  shcount list 'page:*'            quote it, or the shell takes it for files\n"
		"  shcount list --sort value --limit 10\n"
		"  shcount list --sort none         at once, in the server's order\n"
		"\n"
		"GLOB knows * ? [abc] [a-z] [^a] and \\ as Redis does. Names are sorted byte by byte. A "
		"counter that comes or goes meanwhile may be missing. What does not fit into 16 MiB is "
		"sorted in a temporary file, in TMPDIR or /tmp.\n",
	.options = options,
	.operands_max = 1,
	.run = run,
};
