/* SPDX-License-Identifier: MIT */
/*
 * cmd_top.c - SHC.TOP again and again: a page on a terminal, elsewhere a block of lines for each reading. The
 * server counts and chooses; here the rows are filtered, sorted and cut.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/glob.h"
#include "../lib/num.h"
#include "command.h"
#include "live.h"
#include "output.h"
#include "picture.h"

enum { OPTION_SORT, OPTION_LIMIT, OPTION_INTERVAL, OPTION_COUNT };

enum {
	ROWS_MAX = 1000, /* that the server gives */
	ROWS_DEFAULT = 10,
	ROW_ELEMENTS = 4,
};

static const struct option_spec options[] = {
	[OPTION_SORT] = {0, "sort", OPTION_VALUE, "rate|value|name",
			 "by rate (default), the largest value first, or by name"},
	[OPTION_LIMIT] = {0, "limit", OPTION_VALUE, "N",
			  "show N rows; else as many as fit, or 10 where there is no terminal"},
	[OPTION_INTERVAL] = {0, "interval", OPTION_VALUE, "DUR", "time between two readings (default 1s)"},
	[OPTION_COUNT] = {0, "count", OPTION_VALUE, "N", "end after N readings"},
	{0},
};

enum order { BY_RATE, BY_VALUE, BY_NAME };

struct row {
	struct slice name, shown; /* of `names` and `visible` */
	int64_t value, change;
	double rate;
	size_t rank; /* as the server gave it: by the size of the rate */
};

struct top {
	struct live live;
	const char *glob; /* null: all */
	enum order order;
	size_t limit; /* 0: not given */
	struct row rows[ROWS_MAX];
	size_t rows_count;
	struct buf names, visible;
	struct picture_row drawn[ROWS_MAX];
};

/* ---- sorting ---- */

static int by_rank(const void *a, const void *b)
{
	size_t x = ((const struct row *)a)->rank, y = ((const struct row *)b)->rank;
	return (x > y) - (x < y);
}

static int by_value(const void *a, const void *b)
{
	int64_t x = ((const struct row *)a)->value, y = ((const struct row *)b)->value;
	return x != y ? (x < y) - (x > y) : by_rank(a, b);
}

static int by_name(const void *a, const void *b)
{
	struct slice x = ((const struct row *)a)->name, y = ((const struct row *)b)->name;
	int order = memcmp(x.data, y.data, x.len < y.len ? x.len : y.len);
	return order ? order : (x.len > y.len) - (x.len < y.len);
}

static void sort(struct top *t)
{
	static int (*const orders[])(const void *, const void *) = {
		[BY_RATE] = by_rank, [BY_VALUE] = by_value, [BY_NAME] = by_name};
	qsort(t->rows, t->rows_count, sizeof(t->rows[0]), orders[t->order]);
}

static bool read_order(struct top *t, const char *text)
{
	static const char *const words[] = {[BY_RATE] = "rate", [BY_VALUE] = "value", [BY_NAME] = "name"};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(text, words[i]) != 0)
			continue;
		t->order = (enum order)i;
		return true;
	}
	return false;
}

/* ---- readings ---- */

/* As many as will be shown, where the server's order is ours and stays so. */
static size_t rows_wanted(const struct top *t)
{
	if (t->glob || t->order != BY_RATE || t->live.has_picture)
		return ROWS_MAX;
	return t->limit ? t->limit : ROWS_DEFAULT;
}

static bool is_row(const struct shc_reply *r)
{
	return r->type == SHC_T_ARRAY && r->count == ROW_ELEMENTS && r->elements[0].type == SHC_T_STRING &&
	       r->elements[1].type == SHC_T_INT && r->elements[2].type == SHC_T_STRING &&
	       r->elements[3].type == SHC_T_INT;
}

static double number(const struct shc_reply *r)
{
	char text[64];
	snprintf(text, sizeof(text), "%.*s", (int)(r->len < sizeof(text) ? r->len : sizeof(text) - 1),
		 r->data);
	return strtod(text, NULL);
}

/* The name is the reply's, which ends with the next reading: `names` keeps it. */
static void take_row(struct top *t, const struct shc_reply *r, size_t rank)
{
	struct row *row = &t->rows[t->rows_count];
	struct slice name = {r->elements[0].data, r->elements[0].len};
	if (t->glob && !glob_match(slice_str(t->glob), name))
		return;
	*row = (struct row){
		.name = {NULL, name.len},
		.shown = {NULL, buf_len(&t->visible)},
		.value = r->elements[1].integer,
		.rate = number(&r->elements[2]),
		.change = r->elements[3].integer,
		.rank = rank,
	};
	buf_append(&t->names, name.data, name.len);
	live_put_visible(&t->live, &t->visible, name);
	row->shown.len = buf_len(&t->visible) - row->shown.len;
	t->rows_count++;
}

/* Where each begins is known when all are in the buffers, which move while they grow. */
static enum shc_status point_to_names(struct top *t)
{
	const char *name = buf_head(&t->names), *shown = buf_head(&t->visible);
	if (t->names.failed || t->visible.failed) {
		t->live.why = "out of memory";
		return SHC_MEMORY;
	}
	for (size_t i = 0; i < t->rows_count; i++) {
		t->rows[i].name.data = name;
		t->rows[i].shown.data = shown;
		name += t->rows[i].name.len;
		shown += t->rows[i].shown.len;
	}
	return SHC_OK;
}

static enum shc_status take_rows(struct top *t, const struct shc_reply *reply)
{
	bool is_sane = reply->type == SHC_T_ARRAY && reply->count <= ROWS_MAX;
	for (size_t i = 0; is_sane && i < reply->count; i++)
		is_sane = is_row(&reply->elements[i]);
	if (!is_sane) {
		t->live.why = "the answer to SHC.TOP makes no sense: is that a shcounterd?";
		return SHC_PROTOCOL;
	}
	t->rows_count = 0;
	buf_consume(&t->names, buf_len(&t->names));
	buf_consume(&t->visible, buf_len(&t->visible));
	for (size_t i = 0; i < reply->count; i++)
		take_row(t, &reply->elements[i], i);
	return point_to_names(t);
}

static enum shc_status read_top(struct live *l)
{
	struct top *t = l->arg;
	char count[NUM_I64_CHARS_MAX + 1];
	const char *argv[] = {"SHC.TOP", count};
	const struct shc_reply *reply;
	count[num_format_i64(count, (int64_t)rows_wanted(t))] = '\0';
	enum shc_status status = shc_command(l->shc, 2, argv, NULL, false, &reply);
	if (status == SHC_OK)
		status = take_rows(t, reply);
	if (status == SHC_OK)
		sort(t);
	return status;
}

static int explain_refusal(struct live *l)
{
	static const char unknown[] = "ERR unknown command";
	if (strncmp(shc_error(l->shc), unknown, sizeof(unknown) - 1) != 0)
		return command_status(l->shc, SHC_REFUSED);
	return command_fail(EX_USAGE,
			    "top is for a shcounterd: the server does not know SHC.TOP, so it is none, "
			    "or an older one");
}

/* ---- lines ---- */

static void put_json(struct output *out, const struct row *row, const char *rate)
{
	json_open(out);
	json_name(out, row->name);
	json_i64(out, "value", row->value);
	json_raw(out, slice_str("rate"), slice_str(rate));
	json_i64(out, "change", row->change);
	live_put_time(out);
	json_close(out);
}

static void put_line(struct output *out, const struct row *row, const char *rate)
{
	output_name(out, row->name);
	output_text(out, slice_str("\t"));
	output_i64(out, row->value);
	output_text(out, slice_str("\t"));
	output_text(out, slice_str(rate));
	output_line(out);
}

/* An empty line behind each reading, also one without rows, so that somebody can count them. */
static void show_lines(struct live *l)
{
	struct top *t = l->arg;
	size_t limit = t->limit ? t->limit : ROWS_DEFAULT;
	for (size_t i = 0; i < t->rows_count && i < limit && !l->inv->is_quiet; i++) {
		char rate[64];
		snprintf(rate, sizeof(rate), "%.3f", t->rows[i].rate);
		if (l->inv->is_json)
			put_json(&l->out, &t->rows[i], rate);
		else
			put_line(&l->out, &t->rows[i], rate);
	}
	if (!l->inv->is_json && !l->inv->is_quiet)
		output_line(&l->out);
}

/* ---- the page ---- */

static void show_picture(struct live *l, const struct slice *message)
{
	static const struct slice nothing = {"nothing changes", sizeof("nothing changes") - 1};
	struct top *t = l->arg;
	const struct slice *said = message || t->rows_count ? message : &nothing;
	size_t count = picture_rows_max(&l->terminal, said != NULL);
	if (t->limit && t->limit < count)
		count = t->limit;
	if (t->rows_count < count)
		count = t->rows_count;
	for (size_t i = 0; i < count; i++)
		t->drawn[i] = (struct picture_row){
			.name = t->rows[i].shown,
			.value = t->rows[i].value,
			.rate = t->rows[i].rate,
			.has_rate = !message,
			.change = t->rows[i].change,
		};
	l->picture.has_changes = !message;
	picture_draw(&l->picture, &l->out.buf, &l->terminal, t->drawn, count, said);
}

static bool take_key(struct live *l, char key)
{
	struct top *t = l->arg;
	switch (key) {
	case 'q': return false;
	case 'r': t->order = BY_RATE; break;
	case 'v': t->order = BY_VALUE; break;
	case 'n': t->order = BY_NAME; break;
	default: return true;
	}
	sort(t);
	return true;
}

static const struct live_kind kind = {
	.read = read_top,
	.refused = explain_refusal,
	.show_lines = show_lines,
	.show_picture = show_picture,
	.take_key = take_key,
};

/* ---- the command ---- */

static int read_options(struct top *t, const struct invocation *inv)
{
	const char *order = inv->values[OPTION_SORT], *limit = inv->values[OPTION_LIMIT];
	int64_t rows = 0;
	if (order && !read_order(t, order))
		return command_usage(inv, "--sort \"%.32s\": rate, value or name is expected", order);
	if (limit && (!num_parse_i64_loose(slice_str(limit), &rows) || rows < 1 || rows > ROWS_MAX))
		return command_usage(inv, "--limit \"%.32s\": a number from 1 to %d is expected", limit,
				     ROWS_MAX);
	t->limit = (size_t)rows;
	t->glob = inv->operands_count > 0 ? inv->operands[0] : NULL;
	return live_read_options(&t->live, inv->values[OPTION_INTERVAL], inv->values[OPTION_COUNT]);
}

static int run(struct invocation *inv)
{
	struct top *t = calloc(1, sizeof(*t));
	if (!t)
		return command_fail(EX_IOERR, "out of memory");
	t->live = (struct live){.kind = &kind, .arg = t, .inv = inv};
	int rc = read_options(t, inv);
	if (rc == EX_OK)
		rc = live_run(&t->live);
	live_fini(&t->live);
	buf_fini(&t->names);
	buf_fini(&t->visible);
	free(t);
	return rc;
}

const struct command cmd_top = {
	.name = "top",
	.operands = "[GLOB]",
	.summary = "print the counters that change fastest",
	.help = "  shcount top                      a page that is redrawn; q ends it\n"
		"  shcount top 'web:*'              of the 1000 busiest, those that match\n"
		"  shcount top | tee log            NAME<TAB>VALUE<TAB>RATE, a block a reading\n"
		"  shcount top --count 1 --limit 5\n"
		"\n"
		"The rate is the change per second, over about a second, of what the server has written to "
		"disk; up and down cancel out, and a counter that has not changed is not shown. The server "
		"counts for this only while somebody asks, so the first answer takes a second.\n"
		"\n"
		"While the page is shown, r, v and n sort it by rate, value and name. In a pipe an empty line "
		"ends each block; with --json there is none.\n"
		"\n"
		"When the server goes away, that is told, and it is asked again at every interval, as watch "
		"does.\n",
	.options = options,
	.operands_max = 1,
	.is_local = true,
	.run = run,
};
