/* SPDX-License-Identifier: MIT */
/* live.c - see live.h. */
#include "live.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../lib/conn.h"
#include "../lib/num.h"
#include "screen.h"
#include "target.h"

#define LOST "no answer, trying again: "

enum {
	INTERVAL_DEFAULT_MS = 1000,
	INTERVAL_MIN_MS = 10,
	NS_A_MS = 1000000,
};

void live_put_visible(const struct live *l, struct buf *out, struct slice text)
{
	if (l->terminal.is_utf8)
		output_visible(out, text);
	else
		output_visible_ascii(out, text);
}

void live_put_time(struct output *out)
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

/* ---- readings ---- */

/* What another try may mend: no server, one that is loading, or has no room for us. */
static bool is_passing(const struct live *l, enum shc_status status)
{
	return l->has_reading &&
	       (status == SHC_UNREACHABLE || status == SHC_PROTOCOL || status == SHC_REFUSED);
}

static const char *why(const struct live *l)
{
	return l->why ? l->why : shc_error(l->shc);
}

static void note_loss(struct live *l)
{
	buf_consume(&l->message, buf_len(&l->message));
	buf_append(&l->message, LOST, strlen(LOST));
	live_put_visible(l, &l->message, slice_str(why(l)));
	if (!l->has_picture && !l->is_lost)
		command_fail(EX_UNAVAILABLE, "%s; trying again until it answers", why(l));
	l->is_lost = true;
}

/* One reading. EX_OK also when there was no answer, and the next may have one. */
static int take_reading(struct live *l)
{
	l->why = NULL;
	enum shc_status status = l->kind->read(l);
	if (is_passing(l, status)) {
		note_loss(l);
		return EX_OK;
	}
	if (status == SHC_REFUSED && l->kind->refused)
		return l->kind->refused(l);
	if (status && l->why)
		return command_fail(status == SHC_MEMORY ? EX_IOERR : EX_UNAVAILABLE, "%s", l->why);
	if (status)
		return command_status(l->shc, status);
	if (l->is_lost && !l->has_picture)
		command_fail(EX_OK, "the server answers again");
	l->is_lost = false;
	l->has_reading = true;
	return EX_OK;
}

/* ---- the loop ---- */

static void show_picture(struct live *l)
{
	struct slice message = {buf_head(&l->message), buf_len(&l->message)};
	l->kind->show_picture(l, l->is_lost ? &message : NULL);
}

/* Lines tell a reading once; a picture is drawn again for a new size. */
static bool show(struct live *l, bool is_news)
{
	if (l->has_picture && screen_take())
		show_picture(l);
	else if (l->has_picture)
		picture_forget(&l->picture);
	else if (is_news && !l->is_lost)
		l->kind->show_lines(l);
	output_flush(&l->out);
	return !l->out.error;
}

/* False: it is to end. */
static bool take_event(struct live *l, enum screen_event event)
{
	if (event == SCREEN_KEY && !l->kind->take_key(l, screen_key()))
		return false;
	terminal_look(&l->terminal, STDOUT_FILENO);
	if (event == SCREEN_RESUMED)
		picture_forget(&l->picture);
	return show(l, false);
}

/* False: it is to end; nobody reads any more, or wants to. */
static bool wait_for(struct live *l, int64_t until_ns)
{
	for (;;) {
		enum screen_event event = screen_wait(STDOUT_FILENO, until_ns);
		if (event == SCREEN_TIME || event == SCREEN_GONE)
			return event == SCREEN_TIME;
		if (!take_event(l, event))
			return false;
	}
}

/* At even times; what could not be read in time is left out. */
static int loop(struct live *l)
{
	int64_t next_ns = conn_now_ns();
	for (int64_t n = 1;; n++) {
		int rc = take_reading(l);
		if (rc || !show(l, true))
			return rc;
		if (n == l->count)
			return l->is_lost ? EX_UNAVAILABLE : EX_OK;
		next_ns += l->interval_ns;
		if (next_ns < conn_now_ns())
			next_ns = conn_now_ns();
		if (!wait_for(l, next_ns))
			return EX_OK;
	}
}

static int run_connected(struct live *l)
{
	terminal_look(&l->terminal, STDOUT_FILENO);
	l->has_picture = l->terminal.can_move && !l->inv->is_json && !l->inv->is_quiet;
	int rc = l->kind->begin ? l->kind->begin(l) : EX_OK;
	if (rc)
		return rc;
	output_init(&l->out, STDOUT_FILENO, true);
	if (l->has_picture)
		screen_begin(STDOUT_FILENO);
	if (l->has_picture && l->kind->take_key)
		screen_read_keys(STDIN_FILENO);
	rc = loop(l);
	screen_end();
	if (l->out.error == EPIPE)
		l->out.error = 0; /* whoever read has seen enough */
	int written = output_finish(&l->out);
	return written ? written : rc;
}

int live_run(struct live *l)
{
	int rc = target_connect(l->inv, &l->shc);
	if (rc)
		return rc;
	target_keep(l->inv, l->shc);
	rc = l->kind->has_names ? target_check_names(l->inv, l->shc) : EX_OK;
	if (rc == EX_OK)
		rc = run_connected(l);
	shc_close(l->shc);
	return rc;
}

int live_read_options(struct live *l, const char *interval, const char *count)
{
	int64_t ms = INTERVAL_DEFAULT_MS;
	if (interval &&
	    (!num_parse_duration_ms(slice_str(interval), &ms) || ms < INTERVAL_MIN_MS || ms > INT32_MAX))
		return command_usage(l->inv,
				     "--interval \"%.32s\": a duration such as 500ms, 2s or 1m is expected, "
				     "at least 10ms",
				     interval);
	l->interval_ns = ms * NS_A_MS;
	if (count && (!num_parse_i64_loose(slice_str(count), &l->count) || l->count < 1))
		return command_usage(l->inv, "--count \"%.32s\": a number from 1 on is expected", count);
	return EX_OK;
}

void live_fini(struct live *l)
{
	picture_fini(&l->picture);
	buf_fini(&l->message);
}
