/* SPDX-License-Identifier: MIT */
/*
 * terminal.h - what stands behind a descriptor: a terminal, how wide, and what may be sent to it.
 *
 * Whoever draws looks first, and again when it may have changed. No state, any thread.
 */
#ifndef SHC_TERMINAL_H
#define SHC_TERMINAL_H

#include <stdbool.h>

struct terminal {
	bool is_terminal;
	bool can_move;	   /* the cursor, by ANSI escapes: not with TERM=dumb, or without TERM */
	bool has_color;	   /* the same, and NO_COLOR is empty or not set (no-color.org) */
	bool is_utf8;	   /* the locale says that it takes UTF-8; without one it does not */
	int columns, rows; /* what the kernel knows; 80 and 24 where it knows nothing */
};

void terminal_look(struct terminal *t, int fd);

#endif
