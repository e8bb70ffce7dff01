/* SPDX-License-Identifier: MIT */
/*
 * refusals.h - which refusals are logged: the first of a source at once, then one in REFUSALS_MS, with how
 * many were not. Only so many sources are known at a time; what others are refused meanwhile is counted
 * together. So nobody fills the log, from however many addresses he comes.
 *
 * Any thread.
 */
#ifndef SHC_REFUSALS_H
#define SHC_REFUSALS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { REFUSALS_MS = 10000, REFUSALS_SOURCES = 64, REFUSALS_WHO_SIZE = 64 };

struct refusals {
	pthread_mutex_t mutex; /* a leaf */
	uint64_t others;       /* unsaid ones of sources that were not known, or are not any more */
	struct refusals_source {
		char who[REFUSALS_WHO_SIZE]; /* empty: free */
		int64_t said_ms;
		uint64_t unsaid;
	} sources[REFUSALS_SOURCES];
};

void refusals_init(struct refusals *r);
void refusals_fini(struct refusals *r);

/* Somebody was refused, at a monotonic time. True: say it, and that `unsaid` were not said. */
bool refusals_note(struct refusals *r, const char *who, int64_t now_ms, uint64_t *unsaid);

#endif
