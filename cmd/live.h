/* SPDX-License-Identifier: MIT */
/*
 * live.h - what is read again and again and shown as it is: a picture on a terminal, elsewhere lines. Of
 * `watch` and `top`, which say how to read and what to show.
 *
 * The first reading must succeed. Later ones may not get an answer: the daemon is being restarted. So that is
 * told, and tried again for as long as it lasts; the handle connects anew by itself. One thread.
 */
#ifndef SHC_LIVE_H
#define SHC_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/buf.h"
#include "command.h"
#include "output.h"
#include "picture.h"
#include "terminal.h"

struct live;

/* What is read, and how it looks. `arg` of the live is for them. */
struct live_kind {
	/* The operands are names, not patterns. */
	bool has_names;
	/* Before the first reading, when it is known what is shown. May be null. An exit status. */
	int (*begin)(struct live *l);
	/* Asks the server. Sets `why` when it is not the handle that knows. */
	enum shc_status (*read)(struct live *l);
	/* What to say of a refusal of the first reading; an exit status. May be null. */
	int (*refused)(struct live *l);
	/* A reading that is new, into `out`. */
	void (*show_lines)(struct live *l);
	/* The newest reading, as it is drawn; a null message: it had an answer. */
	void (*show_picture)(struct live *l, const struct slice *message);
	/* A key was typed. False: that means the end. Null: none are read. */
	bool (*take_key)(struct live *l, char key);
};

struct live {
	const struct live_kind *kind;
	void *arg;
	struct invocation *inv;
	struct shc *shc;
	struct output out;
	int64_t interval_ns;
	int64_t count;	    /* readings; 0: for ever */
	const char *why;    /* static: what the reading failed with; null: shc_error knows */
	bool has_reading;   /* there has been an answer */
	bool is_lost;	    /* the last reading got none */
	struct buf message; /* why */
	bool has_picture;   /* or lines */
	struct terminal terminal;
	struct picture picture;
};

/* The texts of --interval and --count; null where they are not given. An exit status. */
int live_read_options(struct live *l, const char *interval, const char *count);

/* Connects, and reads and shows to the end. Returns the exit status. */
int live_run(struct live *l);

void live_fini(struct live *l);

/* A text in a form that the terminal takes. */
void live_put_visible(const struct live *l, struct buf *out, struct slice text);

/* "time":"2026-11-27T13:00:00.123Z", of now. */
void live_put_time(struct output *out);

#endif
