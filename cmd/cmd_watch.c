/* SPDX-License-Identifier: MIT */
/*
 * cmd_watch.c - the same MGET again and again: a picture on a terminal, elsewhere a line for each change.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../lib/conn.h"
#include "../lib/num.h"
#include "command.h"
#include "live.h"
#include "output.h"
#include "picture.h"

enum { OPTION_INTERVAL, OPTION_COUNT };

static const struct option_spec options[] = {
	[OPTION_INTERVAL] = {0, "interval", OPTION_VALUE, "DUR", "time between two readings (default 1s)"},
	[OPTION_COUNT] = {0, "count", OPTION_VALUE, "N", "end after N readings"},
	{0},
};

/* A counter at a reading. */
struct sample {
	int64_t value;
	bool is_missing;
};

struct watch {
	struct live live;
	int64_t *values; /* owned: the last reading, by name */
	bool *is_there;	 /* owned */
	size_t names_count;
	struct sample *now, *before; /* owned: the newest reading, and the one before */
	int64_t now_ns, before_ns;   /* monotonic; 0: none yet */
	struct picture_row *rows;    /* owned */
	struct buf names;	     /* as they may be shown */
};

/* ---- readings ---- */

/* Change per second; false for the first reading. */
static bool rate_of(const struct watch *w, size_t i, double *rate)
{
	if (!w->before_ns || w->now_ns <= w->before_ns)
		return false;
	double seconds = (double)(w->now_ns - w->before_ns) / 1e9;
	*rate = num_difference(w->now[i].value, w->before[i].value) / seconds;
	return true;
}

static bool has_changed(const struct watch *w, size_t i)
{
	return !w->before_ns || w->now[i].value != w->before[i].value ||
	       w->now[i].is_missing != w->before[i].is_missing;
}

/* The reading before takes the place of the one before that. */
static void step(struct watch *w)
{
	struct sample *spare = w->before;
	w->before = w->now;
	w->before_ns = w->now_ns;
	w->now = spare;
}

static void take(struct watch *w)
{
	step(w);
	for (size_t i = 0; i < w->names_count; i++)
		w->now[i] = (struct sample){.is_missing = !w->is_there[i], .value = w->values[i]};
	w->now_ns = conn_now_ns();
}

static enum shc_status read_values(struct live *l)
{
	struct watch *w = l->arg;
	enum shc_status status = shc_mget(l->shc, w->names_count, (const char *const *)l->inv->operands, NULL,
					  w->values, w->is_there);
	if (status == SHC_OK)
		take(w);
	return status;
}

/* ---- lines ---- */

static void put_json(struct watch *w, size_t i, const char *rate)
{
	struct output *out = &w->live.out;
	json_open(out);
	json_name(out, slice_str(w->live.inv->operands[i]));
	json_i64(out, "value", w->now[i].value);
	if (w->now[i].is_missing)
		json_bool(out, "missing", true);
	json_raw(out, slice_str("rate"), slice_str(*rate ? rate : "null"));
	live_put_time(out);
	json_close(out);
}

static void put_line(struct watch *w, size_t i, const char *rate)
{
	struct output *out = &w->live.out;
	output_name(out, slice_str(w->live.inv->operands[i]));
	output_text(out, slice_str("\t"));
	output_i64(out, w->now[i].value);
	output_text(out, slice_str("\t"));
	output_text(out, slice_str(*rate ? rate : "-"));
	output_line(out);
}

static void show_lines(struct live *l)
{
	struct watch *w = l->arg;
	for (size_t i = 0; i < w->names_count && !l->inv->is_quiet; i++) {
		char text[64] = "";
		double rate;
		if (!has_changed(w, i))
			continue;
		if (rate_of(w, i, &rate))
			snprintf(text, sizeof(text), "%.3f", rate);
		if (l->inv->is_json)
			put_json(w, i, text);
		else
			put_line(w, i, text);
	}
}

/* ---- the picture ---- */

static void show_picture(struct live *l, const struct slice *message)
{
	struct watch *w = l->arg;
	for (size_t i = 0; i < w->names_count; i++) {
		w->rows[i].value = w->now[i].value;
		w->rows[i].has_rate = !message && rate_of(w, i, &w->rows[i].rate);
	}
	picture_draw(&l->picture, &l->out.buf, &l->terminal, w->rows, w->names_count, message);
}

/* Where each name begins is known when all are in the buffer, which moves while it grows. */
static int make_rows(struct live *l)
{
	struct watch *w = l->arg;
	w->rows = calloc(w->names_count, sizeof(*w->rows));
	size_t *ends = calloc(w->names_count, sizeof(*ends));
	for (size_t i = 0; w->rows && ends && i < w->names_count; i++) {
		live_put_visible(l, &w->names, slice_str(l->inv->operands[i]));
		ends[i] = buf_len(&w->names);
	}
	bool is_made = w->rows && ends && !w->names.failed;
	for (size_t i = 0, begin = 0; is_made && i < w->names_count; begin = ends[i++])
		w->rows[i].name = (struct slice){buf_head(&w->names) + begin, ends[i] - begin};
	free(ends);
	return is_made ? EX_OK : command_fail(EX_IOERR, "out of memory");
}

static const struct live_kind kind = {
	.has_names = true,
	.begin = make_rows,
	.read = read_values,
	.show_lines = show_lines,
	.show_picture = show_picture,
};

/* ---- the command ---- */

static int make_room(struct watch *w)
{
	w->names_count = (size_t)w->live.inv->operands_count;
	w->values = calloc(w->names_count, sizeof(*w->values));
	w->is_there = calloc(w->names_count, sizeof(*w->is_there));
	w->now = calloc(w->names_count, sizeof(*w->now));
	w->before = calloc(w->names_count, sizeof(*w->before));
	bool is_made = w->values && w->is_there && w->now && w->before;
	return is_made ? EX_OK : command_fail(EX_IOERR, "out of memory");
}

static int run(struct invocation *inv)
{
	struct watch w = {.live = {.kind = &kind, .inv = inv}};
	w.live.arg = &w;
	int rc = live_read_options(&w.live, inv->values[OPTION_INTERVAL], inv->values[OPTION_COUNT]);
	if (rc == EX_OK && !command_are_names(inv))
		rc = EX_USAGE;
	if (rc == EX_OK)
		rc = make_room(&w);
	if (rc == EX_OK)
		rc = live_run(&w.live);
	live_fini(&w.live);
	buf_fini(&w.names);
	free(w.rows);
	free(w.values);
	free(w.is_there);
	free(w.now);
	free(w.before);
	return rc;
}

const struct command cmd_watch = {
	.name = "watch",
	.operands = "NAME...",
	.summary = "print values and rates as they change",
	.help = "  shcount watch visits errors      a table that is redrawn; ^C ends it\n"
		"  shcount watch visits | tee log   NAME<TAB>VALUE<TAB>RATE, a line a change\n"
		"  shcount watch --interval 10s --count 7 visits\n"
		"\n"
		"The first values are always told. The rate is the change per second between two "
		"readings. A counter that was never touched reads 0.\n"
		"\n"
		"When the server goes away, that is told, and it is asked again at every interval until "
		"it answers: a watch outlives a restart of the daemon. The user's own daemon is started again "
		"by it. With --count, a try without an "
		"answer counts, and the exit status is 69 if the last one was such.\n",
	.options = options,
	.operands_min = 1,
	.operands_max = -1,
	.run = run,
};
