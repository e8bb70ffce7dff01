/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../lib/conn.h"
#include "progress.h"

enum { DRAW_INTERVAL_NS = 100000000, BAR_CELLS = 24 };

static volatile sig_atomic_t is_asked;

static void on_usr1(int sig)
{
	(void)sig;
	is_asked = 1;
}

void progress_begin(struct progress *p, uint64_t bytes_total, bool is_quiet)
{
	*p = (struct progress){
		.has_bar = !is_quiet && isatty(STDERR_FILENO),
		.bytes_total = bytes_total,
		.begin_ns = conn_now_ns(),
	};
	struct sigaction action = {.sa_handler = on_usr1};
	sigaction(SIGUSR1, &action, NULL);
}

double progress_seconds(const struct progress *p)
{
	return (double)(conn_now_ns() - p->begin_ns) / 1e9;
}

static void put(const char *text, int len)
{
	ssize_t ignored = write(STDERR_FILENO, text, (size_t)len);
	(void)ignored; /* it is only a bar */
}

static void draw(struct progress *p, const struct progress_state *s)
{
	char bar[BAR_CELLS + 1] = "", text[160];
	double seconds = progress_seconds(p);
	double done = p->bytes_total ? (double)s->bytes / (double)p->bytes_total : 0;
	if (done > 1)
		done = 1; /* the file has grown meanwhile */
	if (p->bytes_total) {
		memset(bar, '.', BAR_CELLS);
		memset(bar, '#', (size_t)(done * BAR_CELLS));
	}
	int len = snprintf(text, sizeof(text), "\r\033[K[%s] %3.0f%%  %" PRIu64 " lines  %.1f M lines/s", bar,
			   done * 100, s->lines, seconds > 0 ? (double)s->lines / seconds / 1e6 : 0);
	if (!p->bytes_total)
		len = snprintf(text, sizeof(text), "\r\033[K%" PRIu64 " lines  %.1f MB  %.1f M lines/s",
			       s->lines, (double)s->bytes / 1e6,
			       seconds > 0 ? (double)s->lines / seconds / 1e6 : 0);
	put(text, len);
	p->is_drawn = true;
}

static void answer(const struct progress *p, const struct progress_state *s)
{
	char text[200];
	double seconds = progress_seconds(p);
	int len = snprintf(text, sizeof(text), "shcount: %" PRIu64 " lines read, %" PRIu64 " bad, %.1f MB",
			   s->lines, s->lines_bad, (double)s->bytes / 1e6);
	if (p->bytes_total)
		len += snprintf(text + len, sizeof(text) - (size_t)len, " of %.1f MB",
				(double)p->bytes_total / 1e6);
	len += snprintf(text + len, sizeof(text) - (size_t)len, ", %.1f s\n", seconds);
	put(text, len);
}

void progress_wipe(struct progress *p)
{
	if (p->is_drawn)
		put("\r\033[K", 4);
	p->is_drawn = false;
}

void progress_update(struct progress *p, const struct progress_state *state)
{
	if (is_asked) {
		is_asked = 0;
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
