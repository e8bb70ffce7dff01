/* SPDX-License-Identifier: MIT */
/*
 * tally.h - changes summed by id, and the largest of many. Pure; one thread, the committer (top.c).
 */
#ifndef SHC_TALLY_H
#define SHC_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "journal.h"

/* id -> sum modulo 2^64, by open addressing. id 0 is an empty place: ids begin at 1. Zeroed: empty. */
struct tally {
	struct journal_delta *slots; /* owned */
	uint32_t mask;		     /* slots - 1 */
	uint32_t count;
};

void tally_fini(struct tally *t);

/* 0, or -ENOMEM and nothing has changed. */
int tally_add(struct tally *t, uint64_t id, uint64_t delta);

/* The sum of `id`, to be changed in place until the next addition. Null: there is none. */
uint64_t *tally_find(const struct tally *t, uint64_t id);

/* Forgets all; keeps small memory, gives back large. */
void tally_clear(struct tally *t);

/* ---- the largest ---- */

enum { BUSIEST_MAX = 1000 };

struct busiest {
	size_t count;
	struct journal_delta items[BUSIEST_MAX]; /* a heap: the smallest on top */
};

/* The change as a distance from 0. */
static inline uint64_t tally_size(uint64_t delta)
{
	return (int64_t)delta < 0 ? -delta : delta;
}

/* Keeps it when it is among the BUSIEST_MAX largest so far, be they up or down; of equal ones the older id.
 * Each id once. */
void busiest_offer(struct busiest *b, struct journal_delta d);

void busiest_offer_all(struct busiest *b, const struct tally *t);

#endif
