/* SPDX-License-Identifier: MIT */
/*
 * stream.h - ingest --stream: sums go to the server in numbered batches, each with the cursor that says up to
 * where the input is in it. A rerun goes on behind the last one.
 *
 * A batch is one contiguous range of input. It ends between two blocks, where every line is either wholly in
 * it or wholly behind it.
 */
#ifndef SHC_STREAM_H
#define SHC_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chain.h"
#include "cursor.h"
#include "ingest.h"

enum {
	STREAM_NAMES_MAX = 100000,  /* of a batch, and what one block brings besides */
	STREAM_BYTES_MAX = 8 << 20, /* the same for long names */
};

struct stream {
	const char *id;
	bool is_eof; /* --eof: a last line without its end counts */
	bool is_quiet;
	struct cursor cursor; /* where everything up to the last clean point is */
	size_t file_index;
	struct mark mark;				/* of the file being read, up to there */
	uint64_t begun_lines, begun_bad, begun_skipped; /* what earlier runs had counted */
	bool is_in_long_line; /* no clean point until it ends; what follows is for behind it: */
	struct mark long_mark;
	uint64_t long_bytes;
	struct buf applied; /* the text of the cursor that was given last */
	uint64_t adds_open; /* additions in the open batch beside those of the table */
	bool is_fresh;	    /* batches have been given since the last flush */
	uint64_t batches;   /* given by this run */
	bool has_mark;	    /* `mark` is that of the file at file_index */
	bool is_regular;    /* the file being read, and where it began is known */
	uint32_t file_id;   /* its chain_id; 0: none */
	bool is_next;	    /* nothing of it was taken: the cursor is at the end of the one before it */
	bool is_left;	    /* nothing is added to its last line any more */
	struct chain chain; /* of the log being read; its names are told until the end */
	bool is_refused;    /* the same: it is not what the runs before have counted */
};

/* All return EX_OK to go on, or the exit status after a complaint. */

/* Opens the session and holds what it says against options and files. in->shc is connected. */
int stream_begin(struct ingest *in, char **files, int count);

/* The next calls are about file `index`. */
void stream_next_file(struct stream *s, size_t index);

/* Reads `file` to the end when it is a regular one, with all that it was rotated to since it was counted;
 * then *is_done. */
int stream_ingest(struct ingest *in, const char *file, bool *is_done);

/* Before anything is added: whether the regular ones are what was counted, or were rotated from that. */
int stream_check_files(const struct stream *s, char **files);

/* Puts `src` behind what was counted of the file at file_index, and checks that it is the same input. */
int stream_open_file(struct ingest *in, const char *file, struct source *src);

/* Nothing was counted of that file before. */
static inline bool stream_is_at_start(const struct stream *s)
{
	return s->is_next || s->cursor.files[s->file_index].offset == 0;
}

/* ---- what ingest.c tells about the file it reads ---- */

/* These bytes have been turned into sums; they end with a line. */
void stream_took(struct stream *s, const char *data, size_t len);
/* These belong to a line that is too long; `is_end` with its last ones. */
void stream_took_long(struct stream *s, const char *data, size_t len, bool is_end);
/* Everything told so far is in the table: a clean point. Sends a batch when it is time to. */
int stream_clean(struct ingest *in);
/* The input keeps us waiting: sends what has gathered, or finds out whether what was sent is safe. */
int stream_send_meanwhile(struct ingest *in);
/* It stopped at a bad line, which was counted but not told. */
void stream_stop_at_line(struct ingest *in);

/* ---- the end ---- */

/* Sends the rest and waits until it is on the server's disk. */
int stream_finish(struct ingest *in, bool is_finished);

/* Says where the stream stands; `is_stopped` by a signal. */
void stream_tell(const struct ingest *in, bool is_stopped);

void stream_fini(struct stream *s);

/* The session has failed with `status`: says so, and sets and returns in->lost. */
int stream_lost(struct ingest *in, enum shc_status status);

#endif
