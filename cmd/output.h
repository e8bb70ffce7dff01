/* SPDX-License-Identifier: MIT */
/*
 * output.h - what goes to stdout: collected, and written with as few write(2) as possible. No stdio.
 *
 * A row is "NAME<TAB>VALUE" or a JSON object a line. Names are bytes: plain output gives them as they are,
 * but makes them harmless on a terminal; JSON gives "name", or "name_base64" when they are not UTF-8.
 */
#ifndef SHC_OUTPUT_H
#define SHC_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/buf.h"
#include "../lib/slice.h"

struct output {
	struct buf buf;
	int fd;
	bool is_terminal;
	bool is_ascii; /* a terminal that takes nothing else */
	int columns;   /* of a terminal; 0: it is none */
	bool is_first; /* the JSON object that is open has no member yet */
	int error;     /* errno of the first write that failed; what follows is dropped */
};

/* Asks once whether fd is a terminal, and what for one, when `may_show_names`; a number alone cannot do harm.
 */
void output_init(struct output *out, int fd, bool may_show_names);

/* Writes what has gathered, for whoever waits for it. */
void output_flush(struct output *out);

/* Writes the rest. 0, or EX_IOERR after a complaint when anything could not be written. Frees. */
int output_finish(struct output *out);

/* ---- plain ---- */

void output_text(struct output *out, struct slice text);
void output_i64(struct output *out, int64_t v);
/* As it is, or visible on a terminal. */
void output_name(struct output *out, struct slice name);
/* "name<TAB>value\n" */
void output_row(struct output *out, struct slice name, int64_t value);
/* What the rest of the line is, and a tab; on a terminal with room `columns` in all, so that what follows
 * stands in a column. */
void output_label(struct output *out, struct slice label, int columns);
/* Ends a line; hands on what has gathered when that is much. */
void output_line(struct output *out);

/* ---- JSON ---- */

void json_open(struct output *out);
/* Closes the object, and the line. */
void json_close(struct output *out);
void json_name(struct output *out, struct slice name);
void json_bytes(struct output *out, const char *key, struct slice bytes); /* KEY, or KEY_base64 */
void json_i64(struct output *out, const char *key, int64_t v);
void json_text(struct output *out, struct slice key, struct slice v);
void json_bool(struct output *out, const char *key, bool v);
/* "key":text with text as it is: a number or an array the caller wrote. */
void json_raw(struct output *out, struct slice key, struct slice text);

/* An object inside: between json_raw's brackets, by hand. */
void json_open_inner(struct output *out);
void json_close_inner(struct output *out);

/* ---- bytes ---- */

bool output_is_utf8(struct slice s);

/* Appends `s` in a form that cannot steer a terminal: UTF-8 stays, controls, broken bytes, what turns the
 * direction of writing round (a value could seem to be part of a name), and combining marks that have no
 * letter of this text before them become visible. */
void output_visible(struct buf *b, struct slice s);

/* The same for a terminal that does not take UTF-8: every byte that is not ASCII. There, a byte in the middle
 * of a letter may be a control. */
void output_visible_ascii(struct buf *b, struct slice s);

#endif
