/* SPDX-License-Identifier: MIT */
/*
 * refusals.h - which refusals are logged: of each source as seldom.h has it. Only so many sources are known
 * at a time; what others are refused meanwhile is counted together. So nobody fills the log, from however
 * many addresses he comes.
 *
 * What was not said is told by the acceptor, which is woken for it once and otherwise sleeps (the teller),
 * and at the stop. Any thread.
 */
#ifndef SHC_REFUSALS_H
#define SHC_REFUSALS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "seldom.h"

struct waker;

enum { REFUSALS_MS = SELDOM_MS, REFUSALS_SOURCES = 64, REFUSALS_WHO_SIZE = 64, REFUSALS_MORE_SIZE = 96 };

struct refusals {
	pthread_mutex_t mutex; /* a leaf */
	struct waker *teller;  /* borrowed; null: nobody */
	bool is_told;	       /* the teller knows that there is something to tell */
	struct seldom others;  /* unsaid ones of sources that were not known, or are not any more */
	struct refusals_source {
		bool is_known; /* else: free */
		char who[REFUSALS_WHO_SIZE];
		struct seldom seldom;
	} sources[REFUSALS_SOURCES];
};

void refusals_init(struct refusals *r);
void refusals_fini(struct refusals *r);

/* Somebody was refused, at a monotonic time. True: say it, and that `unsaid` were not said. */
bool refusals_note(struct refusals *r, const char *who, int64_t now_ms, uint64_t *unsaid);
/* "; 7 more refusals since the last such line", or "". */
void refusals_more(uint64_t unsaid, char out[REFUSALS_MORE_SIZE]);

/* ---- the teller ---- */

/* Who is woken when there is something to tell; null: nobody any more. */
void refusals_set_teller(struct refusals *r, struct waker *teller);
/* How long he may sleep; -1: for ever, until he is woken. */
int64_t refusals_wait_ms(struct refusals *r, int64_t now_ms);
/* Logs what was not said, a line a source: what is due, or at the end all of it. */
void refusals_tell(struct refusals *r, int64_t now_ms, bool is_end);

#endif
