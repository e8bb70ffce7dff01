/* SPDX-License-Identifier: MIT */
/*
 * progress.h - how far ingest is: a bar on a terminal's stderr, a line when SIGUSR1 asks for one.
 *
 * The bar stays in its line, however narrow the terminal, and is written again only when it looks different.
 * Where the cursor cannot be moved (TERM=dumb) there is none.
 */
#ifndef SHC_PROGRESS_H
#define SHC_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROGRESS_COLUMNS_MAX = 250 };

struct progress {
	bool has_bar;
	uint64_t bytes_total; /* 0: not known */
	uint64_t bytes_over;  /* of those told as read: counted by earlier runs, which took no time now */
	int64_t begin_ns, drawn_ns;
	char drawn[PROGRESS_COLUMNS_MAX + 1]; /* what stands there; "": nothing */
};

/* What there is to tell. */
struct progress_state {
	uint64_t bytes, lines, lines_bad;
};

/* Looks at the terminal. signals_note_questions has been called. */
void progress_begin(struct progress *p, uint64_t bytes_total, bool is_quiet);

/* Draws when it is time to, answers SIGUSR1. Cheap enough for every block. */
void progress_update(struct progress *p, const struct progress_state *state);

/* How often progress_update is to be called while nothing comes; -1: never. */
int64_t progress_beat_ns(const struct progress *p);

/* Takes the bar off the screen, before anything else goes to stderr and at the end. */
void progress_wipe(struct progress *p);

double progress_seconds(const struct progress *p);

/* ---- pure ---- */

/* The bar's line, ended by '\0': at most `columns` - 1 characters, for in the last one a terminal wraps. What
 * finds no room is left out: first the bar, then the speed, the lines, the time that is left. */
void progress_line(char out[PROGRESS_COLUMNS_MAX + 1], const struct progress *p,
		   const struct progress_state *s, double seconds, int columns);

#endif
