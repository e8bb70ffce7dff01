/* SPDX-License-Identifier: MIT */
/*
 * inputs.h - the files that a command reads: looked at before anything is changed, and opened one by one.
 * "-" is standard input.
 */
#ifndef SHC_INPUTS_H
#define SHC_INPUTS_H

#include <stdint.h>

#include "command.h"

/* The files on the command line; "-" alone when there are none. */
char **inputs_of(const struct invocation *inv, int *count);

/* Can all be read? EX_OK with their size, or 0 when it cannot be known; or an exit status after a complaint,
 * which says `nothing`: what has not been done. */
int inputs_look(char **files, int count, const char *nothing, uint64_t *bytes_total);
/* The same, but a file that is not there passes, as an empty one. */
int inputs_look_present(char **files, int count, const char *nothing, uint64_t *bytes_total);

/* A descriptor to be closed with inputs_close, or -errno. *name: what to call it, as long as `file` lives. */
int inputs_open(const char *file, const char **name);
void inputs_close(int fd);

/* Says `what`, and the command that goes on at `line` of `file`, to be copied into a shell; `files_left` more
 * were to follow. */
void inputs_tell_how_on(const char *command, const char *what, const char *file, int files_left,
			uint64_t line);

#endif
