/* SPDX-License-Identifier: MIT */
/*
 * state_lock.h - one daemon a state: the lock beside the database, and whether the place is one where nobody
 * but those who are trusted with the state can put something under its names. Main thread.
 *
 * The lock is a file of its own: closing the database's would drop SQLite's locks. It lies beside what the
 * path leads to, so that two names of one state have one lock. Nothing is followed to it and nothing is
 * written through it but to a plain file with this one name.
 */
#ifndef SHC_STATE_LOCK_H
#define SHC_STATE_LOCK_H

/* Takes the lock of the state at `db`; *fd is the caller's to close, which gives it up. 0; or -errno after a
 * line in the log, -EWOULDBLOCK when another daemon has it. */
int state_lock_take(const char *db, int *fd);

/* Who has it, for people and scripts; where he is to be found and what he is about ("loading", "serving",
 * "leaving"), for shcount. The words are of one length, so that nobody reads half of two. */
void state_lock_note(int fd, const char *db, const char *socket, const char word[8]);

#endif
