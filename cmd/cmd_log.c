/* SPDX-License-Identifier: MIT */
/*
 * cmd_log.c - the audit log of one counter, a line an entry, newest last; with --follow also what comes.
 *
 * What has been printed is known by the number of its last entry, which a server never uses again: so
 * following goes on behind a restart, with nothing twice or left out. As in cmd_watch.c the first reading
 * must succeed, and later ones are tried again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../lib/conn.h"
#include "../lib/num.h"
#include "command.h"
#include "output.h"
#include "screen.h"
#include "target.h"

enum { OPTION_LIMIT, OPTION_FOLLOW, OPTION_INTERVAL };

static const struct option_spec options[] = {
	[OPTION_LIMIT] = {0, "limit", OPTION_VALUE, "N", "at most the newest N, up to 10000 (default 10)"},
	[OPTION_FOLLOW] = {0, "follow", OPTION_FLAG, NULL, "go on with entries as they come"},
	[OPTION_INTERVAL] = {0, "interval", OPTION_VALUE, "DUR",
			     "time between two looks when following (default 1s)"},
	{0},
};

enum {
	LIMIT_DEFAULT = 10,
	PAGE = 1000, /* entries at a time when following */
	INTERVAL_DEFAULT_MS = 1000,
	INTERVAL_MIN_MS = 10,
	NS_A_MS = 1000000,
	US_A_S = 1000000,
};

struct log {
	struct invocation *inv;
	struct shc *shc;
	struct output out;
	int64_t limit;
	int64_t interval_ns;
	struct shc_log_entry *entries; /* owned; room for the larger of limit and PAGE */
	size_t count;
	int64_t last_id; /* printed; 0: none yet */
	bool has_begun;	 /* the first reading is done */
	bool is_lost;	 /* the last reading got no answer */
};

/* ---- entries ---- */

/* RFC 3339. */
static void format_time(int64_t time_us, char *text, size_t size)
{
	time_t seconds = (time_t)(time_us / US_A_S);
	char whole[64] = "";
	struct tm tm;
	if (gmtime_r(&seconds, &tm))
		strftime(whole, sizeof(whole), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, size, "%s.%06dZ", whole, (int)(time_us % US_A_S));
}

static void put_json(struct log *l, const struct shc_log_entry *e, const char *when)
{
	json_open(&l->out);
	json_name(&l->out, slice_str(l->inv->operands[0]));
	json_i64(&l->out, "value", e->value);
	json_i64(&l->out, "delta", e->delta);
	json_bytes(&l->out, "operation", (struct slice){e->operation, e->operation_len});
	json_text(&l->out, slice_str("time"), slice_str(when));
	json_bytes(&l->out, "peer", (struct slice){e->peer, e->peer_len});
	json_i64(&l->out, "log_id", e->id);
	json_close(&l->out);
}

static void put_line(struct log *l, const struct shc_log_entry *e, const char *when)
{
	output_text(&l->out, slice_str(when));
	output_text(&l->out, slice_str("\t"));
	output_name(&l->out, (struct slice){e->operation, e->operation_len});
	output_text(&l->out, slice_str("\t"));
	output_i64(&l->out, e->delta);
	output_text(&l->out, slice_str("\t"));
	output_i64(&l->out, e->value);
	output_text(&l->out, slice_str("\t"));
	output_name(&l->out, (struct slice){e->peer, e->peer_len});
	output_line(&l->out);
}

static void put_entries(struct log *l)
{
	for (size_t i = 0; i < l->count; i++) {
		const struct shc_log_entry *e = &l->entries[i];
		char when[80];
		format_time(e->time_us, when, sizeof(when));
		l->last_id = e->id;
		if (l->inv->is_quiet)
			continue;
		if (l->inv->is_json)
			put_json(l, e, when);
		else
			put_line(l, e, when);
	}
}

/* ---- readings ---- */

/* What another try may mend: no server, one that is loading, whose disk is full, or has no room for us. */
static bool is_passing(const struct log *l, enum shc_status status)
{
	return l->has_begun && (status == SHC_UNREACHABLE || status == SHC_PROTOCOL || status == SHC_REFUSED);
}

static int note_loss(struct log *l)
{
	if (!l->is_lost)
		command_fail(EX_UNAVAILABLE, "%s; trying again until it answers", shc_error(l->shc));
	l->is_lost = true;
	l->count = 0;
	return EX_OK;
}

/* The newest entries, or those behind what has been printed. EX_OK also when there was no answer, and the
 * next reading may have one. */
static int take_reading(struct log *l)
{
	struct slice name = slice_str(l->inv->operands[0]);
	int64_t after = l->has_begun ? l->last_id : -1;
	size_t most = l->has_begun ? PAGE : (size_t)l->limit;
	enum shc_status status = shc_log(l->shc, name.data, name.len, after, most, l->entries, &l->count);
	if (is_passing(l, status))
		return note_loss(l);
	if (status)
		return command_status(l->shc, status);
	if (l->is_lost)
		command_fail(EX_OK, "the server answers again");
	l->is_lost = false;
	l->has_begun = true;
	return EX_OK;
}

static int read_and_print(struct log *l)
{
	int rc = take_reading(l);
	if (rc == EX_OK)
		put_entries(l);
	output_flush(&l->out);
	return rc;
}

/* ---- following ---- */

/* False: nobody reads any more. */
static bool wait_for_more(const struct log *l)
{
	int64_t until_ns = conn_now_ns() + l->interval_ns;
	enum screen_event event;
	do
		event = screen_wait(STDOUT_FILENO, until_ns);
	while (event != SCREEN_TIME && event != SCREEN_GONE);
	return event == SCREEN_TIME;
}

static int run_log(struct log *l)
{
	output_init(&l->out, STDOUT_FILENO, true);
	int rc = read_and_print(l);
	while (rc == EX_OK && l->inv->values[OPTION_FOLLOW] && !l->out.error) {
		/* A whole page: there is more at once. */
		if (l->count < PAGE && !wait_for_more(l))
			break;
		rc = read_and_print(l);
	}
	if (l->inv->values[OPTION_FOLLOW] && l->out.error == EPIPE)
		l->out.error = 0; /* whoever read has seen enough */
	int written = output_finish(&l->out);
	return written ? written : rc;
}

static int connect_and_run(struct log *l)
{
	l->entries = calloc((size_t)(l->limit > PAGE ? l->limit : PAGE), sizeof(*l->entries));
	if (!l->entries)
		return command_fail(EX_IOERR, "out of memory");
	int rc = target_connect(l->inv, &l->shc);
	if (rc)
		return rc;
	if (l->inv->values[OPTION_FOLLOW])
		target_keep(l->inv, l->shc);
	rc = target_check_daemon(l->inv, l->shc);
	if (rc == EX_OK)
		rc = run_log(l);
	shc_close(l->shc);
	return rc;
}

static int read_options(struct log *l)
{
	const char *text = l->inv->values[OPTION_LIMIT];
	int64_t ms = INTERVAL_DEFAULT_MS;
	l->limit = LIMIT_DEFAULT;
	if (text &&
	    (!num_parse_i64_loose(slice_str(text), &l->limit) || l->limit < 1 || l->limit > SHC_LOG_MAX))
		return command_usage(l->inv, "--limit \"%.32s\": a number from 1 to %d is expected", text,
				     SHC_LOG_MAX);
	text = l->inv->values[OPTION_INTERVAL];
	if (text && (!num_parse_duration_ms(slice_str(text), &ms) || ms < INTERVAL_MIN_MS || ms > INT32_MAX))
		return command_usage(l->inv,
				     "--interval \"%.32s\": a duration such as 500ms, 2s or 1m is expected, "
				     "at least 10ms",
				     text);
	l->interval_ns = ms * NS_A_MS;
	return EX_OK;
}

static int run(struct invocation *inv)
{
	struct log l = {.inv = inv};
	int rc = read_options(&l);
	if (rc == EX_OK && !command_is_name(inv, inv->operands[0]))
		rc = EX_USAGE;
	if (rc == EX_OK)
		rc = connect_and_run(&l);
	free(l.entries);
	return rc;
}

const struct command cmd_log = {
	.name = "log",
	.operands = "NAME",
	.summary = "print the audit log of a counter",
	.help = "  shcount log tickets             when, what, by how much, value, who\n"
		"  shcount log --follow tickets    the same, and what comes\n"
		"\n"
		"Every change of a counter whose name fits `audit` in the daemon's configuration: when, increment, "
		"decrement, set, delete, expire or flush (all counters were deleted), by how much, the value after "
		"it, and who: user and process, or address, with tabs between; the newest last. All that was acknowledged before is there.\n"
		"\n"
		"With --follow, when the server goes away, that is told, and it is asked again at every interval "
		"until it answers; nothing is left out or told twice.\n",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.is_local = true,
	.run = run,
};
