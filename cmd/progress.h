/* SPDX-License-Identifier: MIT */
/*
 * progress.h - how far ingest is: a bar on a terminal's stderr, a line when SIGUSR1 asks for one. One in a
 * process.
 */
#ifndef SHC_PROGRESS_H
#define SHC_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool has_bar;
	bool is_drawn;
	uint64_t bytes_total; /* 0: not known */
	int64_t begin_ns, drawn_ns;
};

/* What there is to tell. */
struct progress_state {
	uint64_t bytes, lines, lines_bad;
};

/* Installs the handler of SIGUSR1, which interrupts a read(2) that waits. */
void progress_begin(struct progress *p, uint64_t bytes_total, bool is_quiet);

/* Draws when it is time to, answers SIGUSR1. Cheap enough for every block. */
void progress_update(struct progress *p, const struct progress_state *state);

/* Takes the bar off the screen, before anything else goes to stderr and at the end. */
void progress_wipe(struct progress *p);

double progress_seconds(const struct progress *p);

#endif
