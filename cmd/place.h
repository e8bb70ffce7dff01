/* SPDX-License-Identifier: MIT */
/*
 * place.h - where the user's own daemon listens and keeps its state, and whether these places are to be
 * believed: whoever may make files in them could be waiting for us there.
 */
#ifndef SHC_PLACE_H
#define SHC_PLACE_H

#include <limits.h>
#include <stdbool.h>

/* Of a socket's directory: nobody else may enter it; there is none; it is somebody else's, so that no daemon
 * of the user's can be in it; it is the user's, and others may enter it. */
enum place { PLACE_OURS, PLACE_NONE, PLACE_OTHERS, PLACE_OPEN };

/* The user's own socket. False: its path is too long for one; then `path` has it, or its begin, all the same.
 */
bool place_socket(char path[PATH_MAX]);

/* One system call. */
enum place place_look(const char *socket);

/* Complains about a place that is not to be believed. Returns EX_NOPERM. */
int place_complain(const char *socket);

/* Makes the socket's directory when it is missing. EX_OK, or an exit status after a complaint. */
int place_make_for_socket(const char *socket);

/* Makes the directory of the state when it is missing. The same. */
int place_make_for_state(char db[PATH_MAX], char log[PATH_MAX]);

/* The directory of `path`: "" when there is none. */
void place_directory_of(const char *path, char out[PATH_MAX]);

/* The exit status for an errno of a file. */
int place_exit_of(int error);

#endif
