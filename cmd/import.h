/* SPDX-License-Identifier: MIT */
/*
 * import.h - counters from files of names and values: read record by record (import.c), set or added to a
 * batch at a time (import_send.c). cmd_import.c has the options and the words at the end.
 *
 * Memory is bounded whatever the input: one block, and a few batches that have not been answered. At any time
 * it is known up to which line everything is in.
 */
#ifndef SHC_IMPORT_H
#define SHC_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/buf.h"
#include "../lib/shcount.h"
#include "../lib/slice.h"
#include "csv.h"
#include "json_line.h"
#include "progress.h"

enum {
	IMPORT_READ_BYTES = 256 << 10,
	IMPORT_PAIRS_MAX = 512, /* a batch is one request, which the server handles without a pause */
	IMPORT_UNANSWERED = 8,	/* batches: enough to keep both sides busy */
	IMPORT_STOPPED = -1,	/* beside the exit statuses: by a signal */
};

/* A place in the input. */
struct import_place {
	const char *file; /* as the user wrote it; null: in front of it all */
	uint64_t line;
	int files_left; /* on the command line, behind it */
};

/* Pairs on their way. */
struct import_batch {
	struct buf body; /* import_send.c's */
	size_t count;
	struct import_place end; /* all up to it is in this batch and those before */
};

struct import {
	/* what is wanted; set by the caller */
	bool is_add;		   /* add, do not set */
	bool is_told;		   /* what is_json says; else each file's first byte tells */
	bool is_json;		   /* else CSV */
	bool is_skip;		   /* --on-error skip */
	struct import_place start; /* what comes behind it is wanted */
	struct shc *shc;
	struct progress progress; /* begun by the caller */

	/* where it is */
	const char *file;
	int files_left;		    /* behind it; set by the caller */
	uint64_t lines_over;	    /* at its beginning, which are in already; set by the caller */
	uint64_t file_lines;	    /* of it, in records taken or passed over so far */
	struct progress_state seen; /* of all files */
	uint64_t lines_skipped;
	struct csv_cutter cutter;
	bool is_dropping;	     /* the rest of a record that was too long */
	bool is_unreadable;	     /* nothing behind this place can be read, as the file stands */
	int name_index, value_index; /* of the columns; -1: the header has not been read */
	struct json_line json;

	/* what has been sent */
	struct import_batch batches[IMPORT_UNANSWERED + 1]; /* a ring */
	size_t open;					    /* the one being filled */
	size_t unanswered;				    /* batches in front of it */
	struct buf refused;				    /* of additions: pairs to be sent one by one */
	struct import_place safe;			    /* everything up to here is in */
	struct import_place sent;			    /* and what follows, up to here, perhaps */
	uint64_t pairs_in, pairs_refused;
	int lost; /* exit status: nothing more may be sent, and why has been said */
};

/* A struct of zeros is ready for the caller to fill in. */
void import_fini(struct import *in);

/* All return EX_OK to go on, or the exit status after a complaint. */

/* Reads to the end. EX_DATAERR: at a bad record, or where a compressed file is damaged; what came before it
 * is in or on its way, nothing after. IMPORT_STOPPED: the same, between two records. EX_IOERR. EX_DATAERR
 * also where no record begins behind lines_over; nothing is sent then. */
int import_file(struct import *in, const char *file, int fd);

/* Sets or adds one, sooner or later; `line` is where it stands. */
int import_put(struct import *in, struct slice name, int64_t value, uint64_t line);

/* The open batch leaves; everything up to file_lines is in it or before it. */
int import_send(struct import *in);

/* The same, and waits until all is answered. */
int import_settle(struct import *in);

/* Where it is: behind everything that has been taken, or is not wanted. */
struct import_place import_here(const struct import *in);

/* How another run does what is left; `place`: up to there everything is in. */
void import_tell_how_on(const struct import *in, struct import_place place);

#endif
