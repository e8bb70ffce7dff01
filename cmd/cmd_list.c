/* SPDX-License-Identifier: MIT */
/*
 * cmd_list.c - SCAN gives the names, MGET the values: each page's MGET travels with the SCAN for the next
 * page.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/num.h"
#include "command.h"
#include "output.h"
#include "table.h"
#include "target.h"

enum { OPTION_SORT, OPTION_LIMIT };

static const struct option_spec options[] = {
	[OPTION_SORT] = {0, "sort", OPTION_VALUE, "name|value",
			 "by name (default), or the largest value first"},
	[OPTION_LIMIT] = {0, "limit", OPTION_VALUE, "N", "print the first N only"},
	{0},
};

enum { SCAN_WORDS_MAX = 6 };

struct list {
	const struct invocation *inv;
	struct shc *shc;
	struct table counters; /* SCAN may give a name twice */
	char cursor[24];
	/* the page whose values are asked for */
	const char **argv;
	size_t *argv_len;
	size_t argc, argv_cap;
	char *names; /* owned: what argv points into */
	size_t names_cap;
};

/* ---- pages ---- */

static enum shc_status append_scan(struct list *l)
{
	const char *argv[SCAN_WORDS_MAX] = {"SCAN", l->cursor, "COUNT", "1000"};
	size_t argc = 4;
	if (l->inv->operands_count > 0) {
		argv[argc++] = "MATCH";
		argv[argc++] = l->inv->operands[0];
	}
	return shc_append(l->shc, argc, argv, NULL, false);
}

static bool is_scan_reply(const struct shc_reply *r)
{
	if (r->type != SHC_T_ARRAY || r->count != 2 || r->elements[0].type != SHC_T_STRING ||
	    r->elements[0].len >= sizeof(((struct list *)0)->cursor) || r->elements[1].type != SHC_T_ARRAY)
		return false;
	for (size_t i = 0; i < r->elements[1].count; i++) {
		if (r->elements[1].elements[i].type != SHC_T_STRING)
			return false;
	}
	return true;
}

static int make_room(struct list *l, size_t argc, size_t bytes)
{
	if (argc > l->argv_cap) {
		free(l->argv);
		free(l->argv_len);
		l->argv = calloc(argc, sizeof(*l->argv));
		l->argv_len = calloc(argc, sizeof(*l->argv_len));
		l->argv_cap = l->argv && l->argv_len ? argc : 0;
	}
	if (bytes > l->names_cap) {
		free(l->names);
		l->names = malloc(bytes);
		l->names_cap = l->names ? bytes : 0;
	}
	return argc <= l->argv_cap && bytes <= l->names_cap ? 0 : -ENOMEM;
}

/* Keeps cursor and names of a SCAN reply: they are needed beyond the handle's next call. Names longer than
 * ours can be belong to something else on a Redis server. */
static int keep_page(struct list *l, const struct shc_reply *r)
{
	memcpy(l->cursor, r->elements[0].data, r->elements[0].len);
	l->cursor[r->elements[0].len] = '\0';
	const struct shc_reply *names = &r->elements[1];
	size_t bytes = 0;
	for (size_t i = 0; i < names->count; i++)
		bytes += names->elements[i].len;
	if (make_room(l, names->count + 1, bytes + 1))
		return -ENOMEM;
	char *to = l->names;
	l->argv[0] = "MGET";
	l->argv_len[0] = 4;
	l->argc = 1;
	for (size_t i = 0; i < names->count; i++) {
		const struct shc_reply *name = &names->elements[i];
		if (name->len > NAME_LEN_MAX)
			continue;
		memcpy(to, name->data, name->len);
		l->argv[l->argc] = to;
		l->argv_len[l->argc++] = name->len;
		to += name->len;
	}
	return 0;
}

/* Nil: deleted meanwhile. No number: not a counter. */
static int keep_values(struct list *l, const struct shc_reply *r)
{
	if (r->type != SHC_T_ARRAY || r->count != l->argc - 1)
		return -EPROTO;
	for (size_t i = 0; i < r->count; i++) {
		struct slice name = {l->argv[i + 1], l->argv_len[i + 1]};
		int64_t value;
		if (r->elements[i].type != SHC_T_STRING ||
		    !num_parse_i64((struct slice){r->elements[i].data, r->elements[i].len}, &value))
			continue;
		struct table_entry *e = table_find(&l->counters, name);
		if (e)
			e->sum = value;
		else if (table_add(&l->counters, name, value))
			return -ENOMEM;
	}
	return 0;
}

static int complain(int rc)
{
	if (rc == -ENOMEM)
		return command_fail(EX_IOERR, "out of memory");
	return command_fail(EX_UNAVAILABLE,
			    "the answer to SCAN or MGET makes no sense: is that a shcounterd?");
}

/* Values of the page at hand and names of the next one, in one round trip. */
static int next_page(struct list *l, bool *is_last)
{
	bool has_names = l->argc > 1;
	*is_last = strcmp(l->cursor, "0") == 0;
	const struct shc_reply *reply;
	enum shc_status status = SHC_OK;
	if (has_names)
		status = shc_append(l->shc, l->argc, l->argv, l->argv_len, false);
	if (status == SHC_OK && !*is_last)
		status = append_scan(l);
	if (status == SHC_OK && has_names) {
		status = shc_next(l->shc, &reply);
		int rc = status ? 0 : keep_values(l, reply);
		if (rc)
			return complain(rc);
	}
	if (status == SHC_OK && !*is_last) {
		status = shc_next(l->shc, &reply);
		int rc = status ? 0 : is_scan_reply(reply) ? keep_page(l, reply) : -EPROTO;
		if (rc)
			return complain(rc);
	}
	return status ? command_status(l->shc, status) : EX_OK;
}

static int load(struct list *l)
{
	strcpy(l->cursor, "0");
	const struct shc_reply *reply;
	enum shc_status status = append_scan(l);
	if (status == SHC_OK)
		status = shc_next(l->shc, &reply);
	if (status)
		return command_status(l->shc, status);
	int rc = is_scan_reply(reply) ? keep_page(l, reply) : -EPROTO;
	if (rc)
		return complain(rc);
	for (bool is_last = false; rc == EX_OK && !is_last;)
		rc = next_page(l, &is_last);
	return rc;
}

/* ---- order and output ---- */

static int by_name(const void *a, const void *b)
{
	const struct table_entry *x = *(const struct table_entry *const *)a,
				 *y = *(const struct table_entry *const *)b;
	size_t len = x->name_len < y->name_len ? x->name_len : y->name_len;
	int order = memcmp(x->name, y->name, len);
	return order ? order : (int)x->name_len - (int)y->name_len;
}

static int by_value(const void *a, const void *b)
{
	const struct table_entry *x = *(const struct table_entry *const *)a,
				 *y = *(const struct table_entry *const *)b;
	if (x->sum != y->sum)
		return x->sum < y->sum ? 1 : -1;
	return by_name(a, b);
}

static void show_one(const struct invocation *inv, struct output *out, const struct table_entry *e)
{
	if (!inv->is_json) {
		output_row(out, table_entry_name(e), e->sum);
		return;
	}
	json_open(out);
	json_name(out, table_entry_name(e));
	json_i64(out, "value", e->sum);
	json_close(out);
}

static int show(const struct list *l, bool is_by_value, int64_t limit)
{
	size_t count = l->counters.count;
	const struct table_entry **all = calloc(count + 1, sizeof(const struct table_entry *));
	if (!all)
		return complain(-ENOMEM);
	size_t pos = 0;
	for (size_t i = 0; i < count; i++)
		all[i] = table_next(&l->counters, &pos);
	qsort(all, count, sizeof(const struct table_entry *), is_by_value ? by_value : by_name);
	struct output out;
	output_init(&out, STDOUT_FILENO, true);
	for (size_t i = 0; i < count && (limit < 0 || i < (size_t)limit) && !out.error; i++)
		show_one(l->inv, &out, all[i]);
	free(all);
	return output_finish(&out);
}

static int run_list(struct list *l, bool is_by_value, int64_t limit)
{
	int rc = target_connect(l->inv, &l->shc);
	if (rc)
		return rc;
	rc = load(l);
	shc_close(l->shc);
	if (rc == EX_OK && !l->inv->is_quiet)
		rc = show(l, is_by_value, limit);
	return rc;
}

static int run(struct invocation *inv)
{
	const char *sort = inv->values[OPTION_SORT] ? inv->values[OPTION_SORT] : "name";
	if (strcmp(sort, "name") != 0 && strcmp(sort, "value") != 0)
		return command_usage(inv, "--sort \"%.32s\": name or value is expected", sort);
	int64_t limit = -1;
	const char *text = inv->values[OPTION_LIMIT];
	if (text && (!num_parse_i64_loose(slice_str(text), &limit) || limit < 0))
		return command_usage(inv, "--limit \"%.32s\": a number from 0 on is expected", text);
	struct list l = {.inv = inv};
	if (table_init(&l.counters))
		return complain(-ENOMEM);
	int rc = run_list(&l, strcmp(sort, "value") == 0, limit);
	table_fini(&l.counters);
	free(l.argv);
	free(l.argv_len);
	free(l.names);
	return rc;
}

const struct command cmd_list = {
	.name = "list",
	.group = GROUP_MANY,
	.operands = "[GLOB]",
	.summary = "print counters with their values",
	.help = "  shcount list                     NAME<TAB>VALUE, sorted by name\n"
		"  shcount list 'page:*'            quote it, or the shell takes it for files\n"
		"  shcount list --sort value --limit 10\n"
		"\n"
		"GLOB knows * ? [abc] [a-z] [^a] and \\ as Redis does. Names are sorted byte by byte. A "
		"counter that comes\n"
		"or goes meanwhile may be missing.\n",
	.options = options,
	.operands_max = 1,
	.run = run,
};
