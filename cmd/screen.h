/* SPDX-License-Identifier: MIT */
/*
 * screen.h - a terminal that somebody draws on for a while: without its cursor, and without echo, which come
 * back on every way out.
 *
 * Signals that somebody sends to end a process (SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGALRM, SIGUSR1
 * and SIGUSR2) do so, and SIGTSTP stops it, but the cursor is shown before. One that is ignored stays
 * ignored: who starts us so (nohup) means it. A new size, and going on after a stop, are noted, and end
 * screen_wait. One in a process.
 */
#ifndef SHC_SCREEN_H
#define SHC_SCREEN_H

#include <stdbool.h>
#include <stdint.h>

/* The terminal is `fd`. Nothing is written yet. */
void screen_begin(int fd);

/* Before drawing: hides the cursor, and turns echo off. False in the background, where the terminal is
 * somebody else's. */
bool screen_take(void);

/* Takes both back, and has signals act as before. Harmless without screen_begin. */
void screen_end(void);

/* After screen_begin: what is typed is told key by key while it is drawn, if `fd` is the same terminal. */
void screen_read_keys(int fd);

enum screen_event {
	SCREEN_TIME,	/* the time has come */
	SCREEN_RESIZED, /* look again */
	SCREEN_RESUMED, /* the same, and the cursor is somewhere else */
	SCREEN_KEY,	/* somebody has typed: screen_key */
	SCREEN_GONE,	/* nobody reads any more */
};

/* Waits until `until_ns` (monotonic) or for one of the others, which need no screen_begin: a pipe's reader
 * may leave. */
enum screen_event screen_wait(int fd, int64_t until_ns);

/* The key of the last SCREEN_KEY; of one that sends several bytes, each is a key. */
char screen_key(void);

#endif
