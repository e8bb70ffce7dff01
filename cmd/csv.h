/* SPDX-License-Identifier: MIT */
/*
 * csv.h - comma-separated values as RFC 4180 has them: where a record ends, and its fields. Pure.
 *
 * Strict, and the same whatever pieces the bytes come in. A record ends at a LF or CR LF outside of quotes;
 * one that breaks the rules ends at the first LF behind the fault, so that one stray quote does not swallow
 * what follows. One that never ends is given up at CSV_RECORD_MAX.
 */
#ifndef SHC_CSV_H
#define SHC_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/slice.h"

enum { CSV_RECORD_MAX = 1 << 20 }; /* bytes, without the LF */

/* ---- records ---- */

struct csv_cutter {
	char separator; /* any byte but a quote, CR and LF; set by the caller, the rest is zero */
	/* of the record that has begun: */
	int state;
	size_t seen; /* bytes looked at */
	bool is_quoted;
	const char *fault;
};

struct csv_record {
	size_t size;	   /* bytes, its line end included */
	struct slice text; /* the record without its line end, in the caller's bytes */
	uint64_t lines;	   /* of the file that it takes up */
	const char *fault; /* why it is bad; null: it is not */
	bool is_endless;   /* a fault, too: what comes up to and with the next LF belongs to its last line */
};

/* Takes the record at `data`, if it ends within `len` bytes; `is_end`: nothing comes behind them. False:
 * there is none, or more bytes are needed: call again with the same ones, and more behind them, and only the
 * new ones are looked at. */
bool csv_cut(struct csv_cutter *c, const char *data, size_t len, bool is_end, struct csv_record *out);

/* ---- fields of a record without fault ---- */

struct csv_field {
	struct slice text; /* without the quotes around it */
	bool has_pairs;	   /* a quote in it stands twice: csv_unpair */
};

/* The first field of *rest, which begins as the text of a record and is moved on. False: there was none left
 * (*rest has null data then). An empty record has one empty field. */
bool csv_next(struct slice *rest, char separator, struct csv_field *field);

/* Writes the text with one quote for two; `to` has text.len bytes. Returns the bytes written. */
size_t csv_unpair(struct slice text, char *to);

#endif
