/* SPDX-License-Identifier: MIT */
/*
 * signals.h - what signals ask of a run of ingest: to stop (SIGINT, SIGTERM, SIGHUP), or to tell how far it
 * is (SIGUSR1).
 *
 * They are only noted, and looked for where the run is between two records, so that nothing is cut short and
 * what is said about the place is exact. Who asks to stop again, and not at once (timeout(1) sends every
 * signal twice), ends the process as if nobody were looking. One in a process.
 */
#ifndef SHC_SIGNALS_H
#define SHC_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>

/* From here on questions are noted. */
void signals_note_questions(void);

/* From here on requests to stop are noted. One that is ignored stays ignored: who starts us so (nohup, a
 * background job) means it. */
void signals_note_stops(void);

/* The one that asks to stop; 0: none. */
int signals_stop(void);

/* Whether anybody has asked how far it is since the last call. */
bool signals_take_question(void);

/* Waits until fd can be read: positive, 0 after timeout_ns (negative: never), or -errno. -EINTR also for what
 * was noted before and not looked at. */
int signals_wait_readable(int fd, int64_t timeout_ns);

/* Ends the process by the signal that asked to stop, so that a shell sees what has ended us. */
void signals_end(void);

#endif
