/* SPDX-License-Identifier: MIT */
/* commit_private.h - what commit.c and commit_tend.c share. The committer's thread; main when that has ended.
 */
#ifndef SHC_COMMIT_PRIVATE_H
#define SHC_COMMIT_PRIVATE_H

#include "commit.h"

enum {
	COMMIT_EXIT_IO = 74,
	COMMIT_RETRY_MS_MIN = 50, /* after the first refusal of the disk; twice as long each time */
	COMMIT_RETRY_MS_MAX = 2000,
};

/* ---- commit.c ---- */

/* Whether something is on disk is unknown: ends the process. */
_Noreturn void commit_fail(const struct commit *c);
/* `why` it is stuck; null: it is not. */
void commit_set_stuck(struct commit *c, const char *why);
/* The store has refused, not for the first time perhaps: who waits for a snapshot is told every time. */
void commit_note_refusal(struct commit *c, const char *why);
/* Workers that wait for one of EPOCH_WAITS_... */
void commit_wake_waiting(struct commit *c, uint32_t for_what);

/* ---- commit_tend.c ---- */

/* Milliseconds until there is something to do; -1: not before something happens. */
int64_t commit_tend_due_ms(const struct commit *c, int64_t now);
/* A step of each that is due. */
void commit_tend(struct commit *c);
/* A clean stop: everything committed so far. False: the disk does not let us now. */
bool commit_fold_all(struct commit *c);

#endif
