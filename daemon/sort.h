/* SPDX-License-Identifier: MIT */
/*
 * sort.h - a radix sort for things of 16 bytes that begin with their key: deltas by id, counters by address.
 * No state of its own.
 */
#ifndef SHC_SORT_H
#define SHC_SORT_H

#include <stddef.h>

/* `items` and `spare` have room for `count` things of 16 bytes; the first 8 are a uint64_t, the key. Stable.
 * Passes over digits in which all keys are the same are left out, so keys that are dense or near each other
 * are cheap. Returns the array that holds the result; the other one holds anything. */
void *sort_by_key(void *items, void *spare, size_t count);

#endif
