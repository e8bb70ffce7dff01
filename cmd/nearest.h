/* SPDX-License-Identifier: MIT */
/*
 * nearest.h - what somebody who mistyped a word may have meant. Pure; any thread.
 *
 *   struct nearest n = {.word = "icnr"};
 *   nearest_offer(&n, "incr");
 *   nearest_offer(&n, "decr");
 *   n.found is "incr"
 */
#ifndef SHC_NEAREST_H
#define SHC_NEAREST_H

#include <stddef.h>

struct nearest {
	const char *word;  /* as it was typed */
	const char *found; /* the closest so far, borrowed from who offered it; null: none is close */
	size_t distance;   /* of `found` */
};

/* A candidate. It is close when at most two letters (one, in words of three letters or less) are wrong,
 * missing, too many, or changed places with the next (Damerau-Levenshtein, in its form of optimal string
 * alignment). Of two that are as close the first stays. */
void nearest_offer(struct nearest *n, const char *candidate);

#endif
