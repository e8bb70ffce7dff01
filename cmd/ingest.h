/* SPDX-License-Identifier: MIT */
/*
 * ingest.h - turns files into sums and sums into additions. cmd_ingest.c has the options and the words.
 *
 * Blocks are read (ingest.c), cut into records and counted in a table (ingest_take.c), and the table's sums
 * sent when it is full and at the end (ingest_send.c). Memory is bounded whatever the input: one block, one
 * table, one batch.
 */
#ifndef SHC_INGEST_H
#define SHC_INGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/buf.h"
#include "../lib/shcount.h"
#include "csv.h"
#include "fields.h"
#include "fraction.h"
#include "progress.h"
#include "table.h"

enum {
	INGEST_READ_BYTES =
		256
		<< 10, /* a read(2): large enough to make its cost vanish, small enough for the L2 cache */
	INGEST_LINE_MAX = 1 << 20,	    /* longer lines are bad: what one line may make us buffer */
	INGEST_NAMES_MAX = 1 << 20,	    /* in the table; then its sums are sent and it starts afresh */
	INGEST_TABLE_BYTES_MAX = 256 << 20, /* the same for long names */
	INGEST_KNOWN_MAX = 1 << 16,	    /* names remembered over several tables, to tell how many */
	INGEST_KNOWN_BYTES_MAX = 8 << 20,   /* the same for long names */
	SKETCH_BITS = 14,
	INGEST_BATCH_NS_MAX = 1000000000, /* what came through a pipe does not stay here longer; of a stream
					     so much is read again, at most, after a crash of ours */
	INGEST_STOPPED = -1,		  /* beside the exit statuses: by a signal */
};

struct source;
struct stream;

/* How a record is read. The numbers stand in cursors of streams. */
enum ingest_format {
	INGEST_FIELDS = 0, /* lines, or fields of them, by `rule` */
	INGEST_CSV = 1,	   /* the same with records of csv.h */
	INGEST_UNIQ = 2,
	INGEST_JSON = 3,
	INGEST_STATSD = 4,
};

struct ingest {
	/* what is wanted; set by the caller */
	enum ingest_format format;
	struct fields_rule rule; /* name_max for every format */
	uint64_t lines_over;	 /* of the next file that is read: do not count these */
	struct slice prefix;
	struct slice own_names; /* in Redis: what our own keys begin with, behind the prefix; else null */
	bool is_skip;		/* --on-error skip */
	struct shc *shc;
	int timeout_ms;	       /* --timeout: how long to wait for a server that has gone */
	struct stream *stream; /* --stream; else null */

	/* where it is */
	const char *file;      /* as the user wrote it */
	uint64_t file_lines;   /* of it, read so far */
	uint64_t record_lines; /* the last of these are those of the last record */
	bool is_regular;       /* it is */
	bool is_cut_off;       /* its reading has failed; what is there may be read another time */
	bool is_unreadable;    /* the same, but never as it stands */
	int files_left;	       /* behind it */
	bool is_stopped;       /* a signal ends the run, and everything read has been sent */
	struct progress progress;
	struct progress_state seen; /* of all files */
	uint64_t lines_skipped;
	struct csv_cutter cutter;
	struct table_op ops[TABLE_BATCH_MAX];
	size_t ops_count;
	char room[TABLE_BATCH_MAX][FIELDS_ROOM]; /* for a name in ops that does not stand in the block */
	struct table table;
	struct fraction_sums fractions; /* of names that are in the table too */

	/* what is to be sent */
	int64_t batch_begin_ns; /* when ingest_wait found something; 0: nothing yet */
	int64_t send_ns;	/* what sending took the last time */

	/* what has been sent */
	uint64_t names_sent; /* of all tables, added up: the exact number of names when there was one table */
	uint32_t tables_sent;
	struct table known; /* the names of all tables, with sums of 0; no memory before the first */
	bool is_known;	    /* they are all there: else there were too many */
	uint8_t sketch[1 << SKETCH_BITS]; /* HyperLogLog of the names, for when they are not */
	struct shc_add_stats stats_begin; /* when the running table was begun */
	bool is_ahead;	    /* of lines behind lines_in, sums that are not in the table any more may be in */
	struct buf refused; /* additions of batches the server refused: delta, length of the name, name */
	struct buf refused_why; /* in Redis: its words for the first of these, each ended by '\0' */
	uint64_t sums_refused;	/* those still refused one by one */
	int lost; /* exit status: the connection is, all has been said, and nothing more may be sent */
	/* everything up to this line is in */
	uint64_t lines_in, file_lines_in;
	const char *file_in;
	int files_left_in;
};

/* 0 or -ENOMEM. The rest of the struct is the caller's to set, before or after. */
int ingest_init(struct ingest *in);
void ingest_fini(struct ingest *in);

/* All return EX_OK to go on, or the exit status after a complaint. */

/* Reads to the end. EX_DATAERR: stopped at a bad record, or, with is_cut_off or is_unreadable, where a
 * compressed file is cut off or damaged; what came before it is counted, nothing after. INGEST_STOPPED: the
 * same, between two lines. EX_IOERR.
 */
int ingest_file(struct ingest *in, const char *file, int fd);

/* source_read has returned `error`: says so. EX_DATAERR or EX_IOERR, with is_cut_off or is_unreadable. */
int ingest_read_failed(struct ingest *in, const struct source *src, int error);

/* ---- records (ingest_take.c) ---- */

struct ingest_taken {
	size_t whole;	/* bytes of records that are dealt with */
	size_t endless; /* behind these: bytes of a record that is too long and has not ended; 0: there is
			   none */
	uint64_t endless_lines; /* that it takes up, to the next LF */
	const char *fault;	/* of it */
};

/* Counts the records in data[0..len), of which SCAN_BYTES more may be read; `is_end`: nothing comes behind
 * them. EX_DATAERR: stopped at the bad one that is at `whole` now. */
int ingest_take(struct ingest *in, const char *data, size_t len, bool is_end, struct ingest_taken *t);

/* Counts the lines of a record, for better or worse. */
static inline void ingest_count_lines(struct ingest *in, uint64_t lines)
{
	in->file_lines += lines;
	in->record_lines = lines;
	in->seen.lines += lines;
}

/* Where in the file that record begins. */
static inline uint64_t ingest_record_line(const struct ingest *in)
{
	return in->file_lines - in->record_lines + 1;
}

/* Says what is wrong with that record, and whether to go on. */
int ingest_bad_record(struct ingest *in, const char *reason);

/* ---- sending (ingest_send.c) ---- */

/* Adds one entry's worth on the way, because the table cannot hold it. */
int ingest_send_entry(struct ingest *in, const struct table_entry *entry);

/* Sends the sums of the table, waits until they are in, and clears it. Names that the server refuses are told
 * and counted in sums_refused; EX_OK all the same. */
int ingest_send(struct ingest *in);

/* The same where every line read so far is in the table. */
int ingest_send_gathered(struct ingest *in);

/* ---- waiting (ingest_wait.c) ---- */

/* Returns when fd has something to read; sends what has gathered meanwhile when it takes long. 0, -errno, or
 * -ECANCELED when the run must end: for in->lost, or because a signal asks for it. */
int ingest_wait(struct ingest *in, int fd);

/* Whether there is anything to send. */
bool ingest_has_gathered(const struct ingest *in);

/* ---- for stream.c ---- */

/* Puts the sums of the table into the open batch. */
int ingest_add_table(struct ingest *in);

/* The table's sums are on their way: counts its names and clears it. */
void ingest_table_sent(struct ingest *in);

/* A shc_refused_fn that collects in `refused`; and the addition at *pos there, which it moves on, false at
 * the end. */
void ingest_on_refused(void *arg, const char *name, size_t name_len, int64_t delta);
bool ingest_next_refused(const struct ingest *in, size_t *pos, struct slice *name, int64_t *delta);

/* How many different names there were; *is_estimate when only about. */
uint64_t ingest_names(const struct ingest *in, bool *is_estimate);

#endif
