/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/num.h"
#include "columns.h"
#include "picture.h"

#define BOLD	     "\033[1m"
#define PLAIN	     "\033[0m"
#define ERASE_RIGHT  "\033[K"
#define ERASE_BELOW  "\033[J"
#define NAME_HEADING "NAME"

enum {
	GAP = 2,
	NAME_COLUMNS_MIN = 8,	 /* with less, other columns make room */
	NAME_COLUMNS_GOOD = 32,	 /* with less, there are no changes */
	VALUE_COLUMNS_SHORT = 9, /* "-9.22e+18" */
	VALUE_HEADING = 5,
	CHANGE_HEADING = 6,
	HEADING_ROWS_MIN = 4, /* of the terminal */
};

void picture_fini(struct picture *p)
{
	free(p->widths);
	*p = (struct picture)PICTURE_INIT;
}

void picture_forget(struct picture *p)
{
	p->lines = 0;
}

/* ---- numbers ---- */

size_t picture_format_rate(char out[PICTURE_RATE_SIZE], double rate)
{
	static const char units[] = "\0kMGTPE";
	size_t unit = 0;
	while (fabs(rate) >= 999.5 && unit + 2 < sizeof(units)) {
		rate /= 1000;
		unit++;
	}
	double size = fabs(rate);
	int digits = size < 0.005 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
	if (size < 0.005)
		rate = 0;
	int len = snprintf(out, PICTURE_RATE_SIZE, rate != 0 ? "%+.*f%.1s/s" : "%.*f%.1s/s", digits, rate,
			   &units[unit]);
	return (size_t)len;
}

/* ---- one picture ---- */

/* How wide the columns are; `rate`, `change` 0: there is no room for it. */
struct layout {
	size_t name, value, gap, rate, change;
	bool is_short; /* values as 9.22e+18 */
};

struct drawing {
	struct picture *p;
	struct buf *out;
	const struct terminal *t;
	const char *mark; /* stands for what was cut away */
	size_t columns;	  /* of a line, at most */
	struct layout layout;
	size_t drawn; /* lines of this picture; their widths go into p */
};

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

enum { CHANGE_SIZE = NUM_I64_CHARS_MAX + 2 };

/* With its sign. */
static size_t format_change(char out[CHANGE_SIZE], int64_t change)
{
	size_t sign = change > 0;
	out[0] = '+';
	size_t len = sign + num_format_i64(out + sign, change);
	out[len] = '\0';
	return len;
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

static size_t value_columns(const struct picture_row *rows, size_t count)
{
	char digits[NUM_I64_CHARS_MAX];
	size_t columns = VALUE_HEADING;
	for (size_t i = 0; i < count; i++)
		columns = larger(columns, num_format_i64(digits, rows[i].value));
	return columns;
}

static size_t change_columns(const struct picture_row *rows, size_t count)
{
	char digits[CHANGE_SIZE];
	size_t columns = CHANGE_HEADING;
	for (size_t i = 0; i < count; i++)
		columns = larger(columns, format_change(digits, rows[i].change));
	return columns;
}

static size_t name_columns(const struct picture_row *rows, size_t count)
{
	size_t columns = strlen(NAME_HEADING);
	for (size_t i = 0; i < count; i++) {
		size_t n = columns_of(rows[i].name);
		columns = n > columns ? n : columns;
	}
	return columns;
}

/* Adds a column for changes, when names have room enough beside it. */
static void lay_out_changes(struct layout *l, size_t columns, const struct picture_row *rows, size_t count)
{
	size_t wanted = name_columns(rows, count), change = change_columns(rows, count);
	size_t others = 3 * l->gap + l->value + l->rate + change;
	if (columns < smaller(wanted, NAME_COLUMNS_GOOD) + others)
		return;
	l->change = change;
	l->name = smaller(wanted, columns - others);
}

/* With all columns; or without rates; or with short values, too. */
static struct layout lay_out(size_t columns, const struct picture_row *rows, size_t count)
{
	size_t wanted = name_columns(rows, count), value = value_columns(rows, count);
	size_t needed = smaller(wanted, NAME_COLUMNS_MIN);
	struct layout l = {.value = value, .gap = GAP, .rate = PICTURE_RATE_COLUMNS};
	if (columns < needed + GAP + value + GAP + l.rate)
		l = (struct layout){.value = value, .gap = 1};
	if (columns < needed + l.gap + value)
		l = (struct layout){.value = smaller(value, VALUE_COLUMNS_SHORT), .gap = 1, .is_short = true};
	size_t others = l.gap + l.value + (l.rate ? l.gap + l.rate : 0);
	l.name = columns > others ? smaller(wanted, columns - others) : 0;
	return l;
}

static void put(struct drawing *d, const char *text)
{
	buf_append(d->out, text, strlen(text));
}

static void end_line(struct drawing *d, size_t width)
{
	put(d, ERASE_RIGHT "\n");
	if (d->drawn < d->p->lines_cap)
		d->p->widths[d->drawn] = width;
	d->drawn++;
}

/* Cut like everything: nobody knows how narrow a terminal can be. */
static size_t put_right(struct drawing *d, const char *text, size_t columns)
{
	size_t len = strlen(text);
	if (len < columns)
		columns_pad(d->out, columns - len);
	columns_cut_end(d->out, slice_str(text), columns, d->mark);
	return columns;
}

static void put_columns(struct drawing *d, struct slice name, const char *value, const char *rate,
			const char *change)
{
	const struct layout *l = &d->layout;
	size_t width = smaller(d->columns, l->name + l->gap);
	columns_pad(d->out, width - columns_cut_middle(d->out, name, l->name, d->mark));
	width += put_right(d, value, smaller(l->value, d->columns - width));
	if (l->rate) {
		columns_pad(d->out, l->gap);
		width += l->gap + put_right(d, rate, l->rate);
	}
	if (l->change) {
		columns_pad(d->out, l->gap);
		width += l->gap + put_right(d, change, l->change);
	}
	end_line(d, width);
}

static void draw_heading(struct drawing *d)
{
	put(d, d->t->has_color ? BOLD : "");
	put_columns(d, slice_str(NAME_HEADING), "VALUE", "RATE", "CHANGE");
	if (d->t->has_color)
		put(d, PLAIN);
}

static void draw_row(struct drawing *d, const struct picture_row *row)
{
	char value[32], rate[PICTURE_RATE_SIZE] = "", change[CHANGE_SIZE];
	size_t len = num_format_i64(value, row->value);
	value[len] = '\0';
	if (d->layout.is_short && len > d->layout.value)
		snprintf(value, sizeof(value), "%.2e", (double)row->value);
	if (row->has_rate)
		picture_format_rate(rate, row->rate);
	format_change(change, row->change);
	put_columns(d, row->name, value, rate, change);
}

static void draw_sentence(struct drawing *d, struct slice text, bool is_bold)
{
	put(d, is_bold && d->t->has_color ? BOLD : "");
	size_t width = columns_cut_end(d->out, text, d->columns, d->mark);
	put(d, is_bold && d->t->has_color ? PLAIN : "");
	end_line(d, width);
}

/* What is above is overwritten line by line. Where the terminal has become narrower, lines that are too wide
 * now take several. */
static void move_up(struct drawing *d, size_t rows_max)
{
	size_t columns = (size_t)d->t->columns, rows = 0;
	for (size_t i = 0; i < d->p->lines; i++) {
		size_t width = d->p->widths[i];
		rows += width > columns ? (width + columns - 1) / columns : 1;
	}
	rows = smaller(rows, rows_max);
	char text[32];
	snprintf(text, sizeof(text), rows ? "\r\033[%zuA" : "\r", rows);
	put(d, text);
}

static bool make_room(struct picture *p, size_t lines)
{
	if (lines <= p->lines_cap)
		return true;
	size_t *widths = reallocarray(p->widths, lines, sizeof(*widths));
	if (!widths)
		return false;
	p->widths = widths;
	p->lines_cap = lines;
	return true;
}

/* The rows, as many as fit into `lines`, and how many did not. */
static void draw_rows(struct drawing *d, const struct picture_row *rows, size_t count, size_t lines)
{
	size_t shown = count <= lines ? count : lines > 0 ? lines - 1 : 0;
	for (size_t i = 0; i < shown; i++)
		draw_row(d, &rows[i]);
	if (shown < count && lines > 0) {
		char text[64];
		snprintf(text, sizeof(text), "%zu more", count - shown);
		draw_sentence(d, slice_str(text), false);
	}
}

static size_t line_count(const struct terminal *t)
{
	return t->rows > 1 ? (size_t)t->rows - 1 : 1;
}

size_t picture_rows_max(const struct terminal *t, bool has_message)
{
	size_t others = (t->rows >= HEADING_ROWS_MIN ? 1u : 0u) + (has_message ? 1u : 0u);
	return line_count(t) > others ? line_count(t) - others : 0;
}

void picture_draw(struct picture *p, struct buf *out, const struct terminal *t,
		  const struct picture_row *rows, size_t count, const struct slice *message)
{
	size_t lines = line_count(t);
	struct drawing d = {
		.p = p,
		.out = out,
		.t = t,
		.mark = t->is_utf8 ? "\xe2\x80\xa6" : "~",
		.columns = t->columns > 1 ? (size_t)t->columns - 1 : 1,
	};
	d.layout = lay_out(d.columns, rows, count);
	if (p->has_changes && d.layout.rate)
		lay_out_changes(&d.layout, d.columns, rows, count);
	move_up(&d, lines);
	bool has_room = make_room(p, lines);
	if (t->rows >= HEADING_ROWS_MIN)
		draw_heading(&d);
	draw_rows(&d, rows, count, lines - d.drawn - (message ? 1 : 0));
	if (message)
		draw_sentence(&d, *message, true);
	put(&d, ERASE_BELOW);
	p->lines = has_room ? d.drawn : 0;
}
