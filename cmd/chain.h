/* SPDX-License-Identifier: MIT */
/*
 * chain.h - the files that go on where a stream was in FILE: FILE itself, or, when it was rotated since, the
 * rest of the rotated file that was counted last, the ones rotated after it, and FILE.
 */
#ifndef SHC_CHAIN_H
#define SHC_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cursor.h"

struct chain_file {
	char *path; /* owned */
	int fd;	    /* owned; -1: none, as long as FILE is not there */
	dev_t dev;
	ino_t ino;
	uint64_t size; /* when it was opened */
	bool is_left;  /* its writer is known to write in a newer one: nothing is added to its last line */
};

struct chain {
	struct chain_file *files; /* owned; oldest first */
	size_t count;
	bool is_rotated; /* the first one is not FILE */
};

/* Opens them. EX_OK, or the exit status after a complaint; then *c is empty. */
int chain_open(struct chain *c, const char *file, const struct cursor_file *at);
void chain_close(struct chain *c);

/* ---- knowing input again ---- */

enum {
	CHAIN_SAME = 0,
	CHAIN_SHORTER = 1, /* than what was counted */
	CHAIN_ANOTHER = 2, /* not what was counted */
	CHAIN_MISSING = 3, /* not there */
};

/* Whether the bytes of `fd` behind `base` begin with what was counted; *m is their mark then. Or -errno. */
int chain_check(int fd, off_t base, const struct cursor_file *at, struct mark *m);

/* Complains that `file` is not (CHAIN_SHORTER, CHAIN_ANOTHER); `more` is put behind it. */
int chain_refuse(const char *file, const struct cursor_file *at, int how, const char *more);

/* What is stored of an inode number, to tell files that begin alike. */
uint32_t chain_id(ino_t ino);

#endif
