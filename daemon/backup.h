/* SPDX-License-Identifier: MIT */
/*
 * backup.h - SHC.BACKUP: one copy of the state at a time, made on a thread of its own and read by the client
 * piece by piece.
 *
 * The copy is a file beside the database that has no name any more once it is complete, so nothing is left
 * behind by whatever ends. It belongs to the connection that asked. Any worker; a mutex inside, never held
 * over I/O.
 */
#ifndef SHC_BACKUP_H
#define SHC_BACKUP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "waker.h"

enum backup_state { BACKUP_NONE, BACKUP_ASKED, BACKUP_RUNNING, BACKUP_DONE, BACKUP_FAILED };

struct backup {
	const char *db; /* path of the database; borrowed */
	pthread_mutex_t mutex;
	/* under it */
	enum backup_state state;
	uint64_t owner;	     /* id of the connection; 0: it went away */
	struct waker *waker; /* of its worker */
	pthread_t thread;
	bool has_thread; /* to be joined */
	int fd;		 /* the copy; -1: none */
	int64_t size_bytes;
	char target[4096];
	char why[512]; /* of a failure */
	_Atomic bool is_cancelled;
};

/* When the state is locked: removes what a killed daemon may have left of a copy. */
void backup_init(struct backup *b, const char *db);
/* Stops what runs. */
void backup_fini(struct backup *b);

/* Takes it for the connection. False: somebody else has it. */
bool backup_take(struct backup *b, uint64_t owner, struct waker *waker);

/* The owner: begins to copy; hears of the end by its waker. 0 or -errno. */
int backup_start(struct backup *b, uint64_t owner);

/* Of the owner's; BACKUP_NONE when it has none. With BACKUP_DONE *size_bytes is set, with BACKUP_FAILED *why,
 * which lasts until backup_drop. */
enum backup_state backup_look(struct backup *b, uint64_t owner, int64_t *size_bytes, const char **why);

/* The owner: up to `len` bytes at `offset`; how many, or -errno. */
ssize_t backup_read(struct backup *b, uint64_t owner, void *data, size_t len, int64_t offset);

/* The owner is done, or gone. False: it had none. */
bool backup_drop(struct backup *b, uint64_t owner);

#endif
