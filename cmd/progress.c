/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../lib/conn.h"
#include "command.h"
#include "progress.h"
#include "signals.h"
#include "terminal.h"

enum {
	DRAW_INTERVAL_NS = 100000000,
	BEAT_NS = 1000000000,
	BAR_CELLS_MIN = 8, /* fewer tell nothing that the number does not */
	BAR_CELLS_MAX = 60,
	PART_MAX = 40,
};

void progress_begin(struct progress *p, uint64_t bytes_total, bool is_quiet)
{
	struct terminal terminal;
	terminal_look(&terminal, STDERR_FILENO);
	*p = (struct progress){
		.has_bar = !is_quiet && terminal.can_move,
		.bytes_total = bytes_total,
		.begin_ns = conn_now_ns(),
	};
}

double progress_seconds(const struct progress *p)
{
	return (double)(conn_now_ns() - p->begin_ns) / 1e9;
}

int64_t progress_beat_ns(const struct progress *p)
{
	return p->has_bar ? BEAT_NS : -1;
}

/* ---- the words ---- */

static double share_done(const struct progress *p, const struct progress_state *s)
{
	double done = (double)s->bytes / (double)p->bytes_total;
	return done < 1 ? done : 1; /* the file has grown meanwhile */
}

static void put_speed(char out[PART_MAX], const struct progress_state *s, double seconds)
{
	double speed = seconds > 0 ? (double)s->lines / seconds : 0;
	if (speed < 10e3)
		snprintf(out, PART_MAX, "%.0f lines/s", speed);
	else if (speed < 1e6)
		snprintf(out, PART_MAX, "%.0f k lines/s", speed / 1e3);
	else
		snprintf(out, PART_MAX, "%.1f M lines/s", speed / 1e6);
}

/* Nothing before there is something to judge by. */
static void put_left(char out[PART_MAX], const struct progress *p, const struct progress_state *s,
		     double seconds)
{
	out[0] = '\0';
	uint64_t read = s->bytes > p->bytes_over ? s->bytes - p->bytes_over : 0;
	if (seconds < 1 || read == 0)
		return;
	uint64_t rest = p->bytes_total > s->bytes ? p->bytes_total - s->bytes : 0;
	double left = (double)rest / (double)read * seconds;
	if (left >= 100 * 3600)
		return;
	unsigned n = (unsigned)(left + 0.5);
	if (n < 3600)
		snprintf(out, PART_MAX, "%u:%02u left", n / 60, n % 60);
	else
		snprintf(out, PART_MAX, "%u:%02u:%02u left", n / 3600, n / 60 % 60, n % 60);
}

/* Appends a part, two blanks in front. False when it finds no room. */
static bool add(char *out, const char *part, size_t room)
{
	size_t len = strlen(out), blanks = len > 0 ? 2 : 0;
	if (len + blanks + strlen(part) > room)
		return false;
	snprintf(out + len, room - len + 1, "%*s%s", (int)blanks, "", part);
	return true;
}

/* In front of the words, with what room they leave. */
static void add_bar(char *out, double done, size_t room)
{
	size_t len = strlen(out);
	if (room < len + BAR_CELLS_MIN + 3)
		return;
	size_t cells = room - len - 3;
	if (cells > BAR_CELLS_MAX)
		cells = BAR_CELLS_MAX;
	size_t full = (size_t)(done * (double)cells);
	memmove(out + cells + 3, out, len + 1);
	memset(out, '.', cells + 3);
	memset(out + 1, '#', full);
	out[0] = '[';
	out[cells + 1] = ']';
	out[cells + 2] = ' ';
}

void progress_line(char out[PROGRESS_COLUMNS_MAX + 1], const struct progress *p,
		   const struct progress_state *s, double seconds, int columns)
{
	char parts[4][PART_MAX];
	size_t room = columns > PROGRESS_COLUMNS_MAX ? PROGRESS_COLUMNS_MAX
		      : columns > 1		     ? (size_t)columns - 1
						     : 0;
	bool is_known = p->bytes_total > 0;
	double done = is_known ? share_done(p, s) : 0;
	if (is_known) {
		snprintf(parts[0], PART_MAX, "%3.0f%%", done * 100);
		put_left(parts[1], p, s, seconds);
	} else {
		parts[0][0] = '\0';
		snprintf(parts[1], PART_MAX, "%.1f MB", (double)s->bytes / 1e6);
	}
	snprintf(parts[2], PART_MAX, "%" PRIu64 " %s", s->lines, command_noun(s->lines, "line", "lines"));
	put_speed(parts[3], s, seconds);
	/* By rank; in this order they are shown, too. */
	static const int known[] = {0, 1, 2, 3}, unknown[] = {2, 3, 1, 0};
	out[0] = '\0';
	for (size_t i = 0; i < 4; i++) {
		const char *part = parts[(is_known ? known : unknown)[i]];
		if (part[0] && !add(out, part, room))
			return;
	}
	if (is_known)
		add_bar(out, done, room);
}

/* ---- the terminal ---- */

static void put(const char *text, size_t len)
{
	ssize_t ignored = write(STDERR_FILENO, text, len);
	(void)ignored; /* it is only a bar */
}

/* Over what stands there, and the rest of the line is erased behind it: nothing flickers. */
static void draw(struct progress *p, const struct progress_state *s)
{
	char line[PROGRESS_COLUMNS_MAX + 1], text[PROGRESS_COLUMNS_MAX + 8];
	struct terminal terminal;
	terminal_look(&terminal, STDERR_FILENO); /* its size may have changed */
	progress_line(line, p, s, progress_seconds(p), terminal.columns);
	if (strcmp(line, p->drawn) == 0)
		return;
	memcpy(p->drawn, line, sizeof(line));
	put(text, (size_t)snprintf(text, sizeof(text), "\r%s\033[K", line));
}

void progress_wipe(struct progress *p)
{
	if (p->drawn[0])
		put("\r\033[K", 4);
	p->drawn[0] = '\0';
}

static void answer(const struct progress *p, const struct progress_state *s)
{
	char text[240], speed[PART_MAX], left[PART_MAX] = "";
	double seconds = progress_seconds(p);
	put_speed(speed, s, seconds);
	int len = snprintf(text, sizeof(text), "shcount: %" PRIu64 " %s read, %" PRIu64 " bad, %.1f MB",
			   s->lines, command_noun(s->lines, "line", "lines"), s->lines_bad,
			   (double)s->bytes / 1e6);
	if (p->bytes_total) {
		put_left(left, p, s, seconds);
		len += snprintf(text + len, sizeof(text) - (size_t)len, " of %.1f MB",
				(double)p->bytes_total / 1e6);
	}
	len += snprintf(text + len, sizeof(text) - (size_t)len, ", %.1f s, %s%s%s\n", seconds, speed,
			left[0] ? ", " : "", left);
	put(text, (size_t)len);
}

void progress_update(struct progress *p, const struct progress_state *state)
{
	if (signals_take_question()) {
		progress_wipe(p);
		answer(p, state);
	}
	if (!p->has_bar)
		return;
	int64_t now_ns = conn_now_ns();
	if (now_ns - p->drawn_ns < DRAW_INTERVAL_NS)
		return;
	p->drawn_ns = now_ns;
	draw(p, state);
}
