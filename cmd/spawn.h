/* SPDX-License-Identifier: MIT */
/*
 * spawn.h - the program of the user's own daemon, and a process of it that holds nothing of the caller's.
 */
#ifndef SHC_SPAWN_H
#define SHC_SPAWN_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

/* The shcounterd beside this program, else the first on the PATH. EX_OK, or an exit status after a complaint.
 */
int spawn_find(char program[PATH_MAX]);

/* Runs it: in a session of its own, in /, with no file but `log_fd` for what it prints, no signal ignored or
 * blocked, no lower limit than the caller may take back, no word of a service manager's. What cannot be taken
 * back and would end it or keep it from counting is told on stderr, when `is_telling`. 0 or an errno. */
int spawn_run(const char *program, const char *const argv[], int log_fd, bool is_telling, pid_t *out);

#endif
