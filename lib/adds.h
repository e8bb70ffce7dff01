/* SPDX-License-Identifier: MIT */
/*
 * adds.h - additions in a row of bytes: how they are kept before they are sent, and how a stream's last batch
 * is stored in Redis. Each: one byte length of the name, the name, eight bytes delta, little-endian. Pure;
 * any thread.
 */
#ifndef SHC_ADDS_H
#define SHC_ADDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "slice.h"

/* Appends one. False: no memory, and nothing has changed. */
bool adds_put(struct buf *adds, struct slice name, int64_t delta);

/* The one at *pos, which it moves on. */
struct slice adds_next(const struct buf *adds, size_t *pos, int64_t *delta);

/* How many there are; false: it is no such row. For bytes that come from outside. */
bool adds_read_count(struct slice adds, uint32_t *count);

#endif
