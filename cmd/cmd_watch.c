/* SPDX-License-Identifier: MIT */
/*
 * cmd_watch.c - the same MGET again and again: a picture on a terminal, elsewhere a line for each change.
 *
 * The first reading must succeed. Later ones may not get an answer: the daemon is being restarted. So that is
 * told, and tried again for as long as the watch lasts; the handle connects anew by itself.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../lib/conn.h"
#include "../lib/num.h"
#include "command.h"
#include "output.h"
#include "picture.h"
#include "screen.h"
#include "target.h"
#include "terminal.h"

#define LOST "no answer, trying again: "

enum { OPTION_INTERVAL, OPTION_COUNT };

static const struct option_spec options[] = {
	[OPTION_INTERVAL] = {0, "interval", OPTION_VALUE, "DUR", "time between two readings (default 1s)"},
	[OPTION_COUNT] = {0, "count", OPTION_VALUE, "N", "end after N readings"},
	{0},
};

enum {
	INTERVAL_DEFAULT_MS = 1000,
	INTERVAL_MIN_MS = 10,
	NS_A_MS = 1000000,
};

/* A counter at a reading. */
struct sample {
	int64_t value;
	bool is_missing;
};

struct watch {
	struct invocation *inv;
	struct shc *shc;
	struct output out;
	int64_t interval_ns;
	int64_t count;	 /* readings; 0: for ever */
	int64_t *values; /* owned: the last reading, by name */
	bool *is_there;	 /* owned */
	size_t names_count;
	struct sample *now, *before; /* owned: the newest reading, and the one before */
	int64_t now_ns, before_ns;   /* monotonic; 0: none yet */
	bool is_lost;		     /* the last reading got no answer */
	/* a picture, or lines */
	bool has_picture;
	struct terminal terminal;
	struct picture picture;
	struct picture_row *rows; /* owned */
	struct buf names;	  /* as they may be shown */
	struct buf message;	  /* why the last reading got no answer */
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

/* What another try may mend: no server, one that is loading, or has no room for us. */
static bool is_passing(const struct watch *w, enum shc_status status)
{
	return w->now_ns && (status == SHC_UNREACHABLE || status == SHC_PROTOCOL || status == SHC_REFUSED);
}

static void put_visible(const struct watch *w, struct buf *out, struct slice text)
{
	if (w->terminal.is_utf8)
		output_visible(out, text);
	else
		output_visible_ascii(out, text);
}

static void note_loss(struct watch *w)
{
	buf_consume(&w->message, buf_len(&w->message));
	buf_append(&w->message, LOST, strlen(LOST));
	put_visible(w, &w->message, slice_str(shc_error(w->shc)));
	if (!w->has_picture && !w->is_lost)
		command_fail(EX_UNAVAILABLE, "%s; trying again until it answers", shc_error(w->shc));
	w->is_lost = true;
}

/* One reading. EX_OK also when there was no answer, and the next may have one. */
static int take_reading(struct watch *w)
{
	enum shc_status status = shc_mget(w->shc, w->names_count, (const char *const *)w->inv->operands, NULL,
					  w->values, w->is_there);
	if (is_passing(w, status)) {
		note_loss(w);
		return EX_OK;
	}
	if (status)
		return command_status(w->shc, status);
	if (w->is_lost && !w->has_picture)
		command_fail(EX_OK, "the server answers again");
	w->is_lost = false;
	take(w);
	return EX_OK;
}

/* ---- lines ---- */

static void put_time(struct output *out)
{
	struct timespec now;
	struct tm tm;
	char text[64], with_ms[80];
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(with_ms, sizeof(with_ms), "%s.%03ldZ", text, now.tv_nsec / NS_A_MS);
	json_text(out, slice_str("time"), slice_str(with_ms));
}

static void put_json(struct watch *w, size_t i, const char *rate)
{
	json_open(&w->out);
	json_name(&w->out, slice_str(w->inv->operands[i]));
	json_i64(&w->out, "value", w->now[i].value);
	if (w->now[i].is_missing)
		json_bool(&w->out, "missing", true);
	json_raw(&w->out, slice_str("rate"), slice_str(*rate ? rate : "null"));
	put_time(&w->out);
	json_close(&w->out);
}

static void put_line(struct watch *w, size_t i, const char *rate)
{
	output_name(&w->out, slice_str(w->inv->operands[i]));
	output_text(&w->out, slice_str("\t"));
	output_i64(&w->out, w->now[i].value);
	output_text(&w->out, slice_str("\t"));
	output_text(&w->out, slice_str(*rate ? rate : "-"));
	output_line(&w->out);
}

static void show_lines(struct watch *w)
{
	for (size_t i = 0; i < w->names_count && !w->inv->is_quiet; i++) {
		char text[64] = "";
		double rate;
		if (!has_changed(w, i))
			continue;
		if (rate_of(w, i, &rate))
			snprintf(text, sizeof(text), "%.3f", rate);
		if (w->inv->is_json)
			put_json(w, i, text);
		else
			put_line(w, i, text);
	}
}

/* ---- the picture ---- */

static void show_picture(struct watch *w)
{
	for (size_t i = 0; i < w->names_count; i++) {
		w->rows[i].value = w->now[i].value;
		w->rows[i].has_rate = !w->is_lost && rate_of(w, i, &w->rows[i].rate);
	}
	struct slice message = {buf_head(&w->message), buf_len(&w->message)};
	picture_draw(&w->picture, &w->out.buf, &w->terminal, w->rows, w->names_count,
		     w->is_lost ? &message : NULL);
}

/* Where each name begins is known when all are in the buffer, which moves while it grows. */
static int make_rows(struct watch *w)
{
	w->rows = calloc(w->names_count, sizeof(*w->rows));
	size_t *ends = calloc(w->names_count, sizeof(*ends));
	for (size_t i = 0; w->rows && ends && i < w->names_count; i++) {
		put_visible(w, &w->names, slice_str(w->inv->operands[i]));
		ends[i] = buf_len(&w->names);
	}
	bool is_made = w->rows && ends && !w->names.failed;
	for (size_t i = 0, begin = 0; is_made && i < w->names_count; begin = ends[i++])
		w->rows[i].name = (struct slice){buf_head(&w->names) + begin, ends[i] - begin};
	free(ends);
	return is_made ? 0 : -ENOMEM;
}

/* ---- the loop ---- */

/* Lines tell a reading once; a picture is drawn again for a new size. */
static bool show(struct watch *w, bool is_news)
{
	if (w->has_picture && screen_take())
		show_picture(w);
	else if (w->has_picture)
		picture_forget(&w->picture);
	else if (is_news && !w->is_lost)
		show_lines(w);
	output_flush(&w->out);
	return !w->out.error;
}

/* False: nobody reads any more. */
static bool wait_for(struct watch *w, int64_t until_ns)
{
	for (;;) {
		enum screen_event event = screen_wait(STDOUT_FILENO, until_ns);
		if (event == SCREEN_TIME || event == SCREEN_GONE)
			return event == SCREEN_TIME;
		terminal_look(&w->terminal, STDOUT_FILENO);
		if (event == SCREEN_RESUMED)
			picture_forget(&w->picture);
		if (!show(w, false))
			return false;
	}
}

/* At even times; what could not be read in time is left out. */
static int watch(struct watch *w)
{
	int64_t next_ns = conn_now_ns();
	for (int64_t n = 1;; n++) {
		int rc = take_reading(w);
		if (rc || !show(w, true))
			return rc;
		if (n == w->count)
			return w->is_lost ? EX_UNAVAILABLE : EX_OK;
		next_ns += w->interval_ns;
		if (next_ns < conn_now_ns())
			next_ns = conn_now_ns();
		if (!wait_for(w, next_ns))
			return EX_OK;
	}
}

static int run_watch(struct watch *w)
{
	terminal_look(&w->terminal, STDOUT_FILENO);
	w->has_picture = w->terminal.can_move && !w->inv->is_json && !w->inv->is_quiet;
	if (w->has_picture && make_rows(w))
		return command_fail(EX_IOERR, "out of memory");
	output_init(&w->out, STDOUT_FILENO, true);
	if (w->has_picture)
		screen_begin(STDOUT_FILENO);
	int rc = watch(w);
	screen_end();
	if (w->out.error == EPIPE)
		w->out.error = 0; /* whoever read has seen enough */
	int written = output_finish(&w->out);
	return written ? written : rc;
}

static int connect_and_watch(struct watch *w)
{
	w->names_count = (size_t)w->inv->operands_count;
	w->values = calloc(w->names_count, sizeof(*w->values));
	w->is_there = calloc(w->names_count, sizeof(*w->is_there));
	w->now = calloc(w->names_count, sizeof(*w->now));
	w->before = calloc(w->names_count, sizeof(*w->before));
	if (!w->values || !w->is_there || !w->now || !w->before)
		return command_fail(EX_IOERR, "out of memory");
	int rc = target_connect(w->inv, &w->shc);
	if (rc)
		return rc;
	target_keep(w->inv, w->shc);
	rc = run_watch(w);
	shc_close(w->shc);
	return rc;
}

static int read_options(struct watch *w)
{
	const char *text = w->inv->values[OPTION_INTERVAL];
	int64_t ms = INTERVAL_DEFAULT_MS;
	if (text && (!num_parse_duration_ms(slice_str(text), &ms) || ms < INTERVAL_MIN_MS || ms > INT32_MAX))
		return command_usage(w->inv,
				     "--interval \"%.32s\": a duration such as 500ms, 2s or 1m is expected, "
				     "at least 10ms",
				     text);
	w->interval_ns = ms * NS_A_MS;
	text = w->inv->values[OPTION_COUNT];
	if (text && (!num_parse_i64_loose(slice_str(text), &w->count) || w->count < 1))
		return command_usage(w->inv, "--count \"%.32s\": a number from 1 on is expected", text);
	return EX_OK;
}

static int run(struct invocation *inv)
{
	struct watch w = {.inv = inv};
	int rc = read_options(&w);
	for (int i = 0; i < inv->operands_count && rc == EX_OK; i++)
		rc = command_is_name(inv, inv->operands[i]) ? EX_OK : EX_USAGE;
	if (rc == EX_OK)
		rc = connect_and_watch(&w);
	picture_fini(&w.picture);
	buf_fini(&w.names);
	buf_fini(&w.message);
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
