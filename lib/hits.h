/* SPDX-License-Identifier: MIT */
/*
 * hits.h - hits in time as Redis keeps them: which level serves a window, and what its buckets add up to.
 * Pure; any thread.
 *
 * A level is one string of 64-bit integers, big end first, as BITFIELD writes them (script_hit):
 *
 *   0   the second of the newest hit, by the counter's own clock
 *   1   how far that clock is ahead of the server's
 *   2   buckets, a ring: that of unit u is number u modulo the count of them; what the string is too short
 * for is 0
 *
 * The counter's clock is the server's as long as that does not go back; then it goes on from the newest hit.
 * So no bucket is ever filled a second time with the hits of another time still in it.
 */
#ifndef SHC_HITS_H
#define SHC_HITS_H

#include <stdbool.h>
#include <stdint.h>

#include "slice.h"

enum hits_level { HITS_SECONDS, HITS_MINUTES, HITS_HOURS, HITS_LEVELS };

/* The finest level that covers a window, which is from 1 to SHC_WINDOW_MS_MAX. */
enum hits_level hits_level_of(int64_t window_ms);

/* How long a bucket of the level is. */
int64_t hits_resolution_ms(enum hits_level level);

/* The hits of the window's buckets, the running one included; `level` is that of the window, `now_s` the
 * server's clock. *sum is what lies within 64 bits of it. False: these are no buckets. */
bool hits_sum(struct slice buckets, enum hits_level level, int64_t window_ms, int64_t now_s, int64_t *sum);

#endif
