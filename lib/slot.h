/* SPDX-License-Identifier: MIT */
/*
 * slot.h - in which of the 16384 slots of a Redis Cluster a key lives. Pure; any thread.
 * Source: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/, "Key distribution
 * model" and "Hash tags".
 */
#ifndef SHC_SLOT_H
#define SHC_SLOT_H

#include <stdint.h>

#include "slice.h"

enum { SLOT_COUNT = 16384 };

/* CRC16 as XMODEM has it: polynomial 0x1021, begins with 0, nothing reflected. */
uint16_t slot_crc16(struct slice s);

/* The same over one byte more. */
uint16_t slot_crc16_more(uint16_t crc, unsigned char byte);

/* 0 to SLOT_COUNT - 1. Only what stands between the first '{' and the next '}' counts, if that is something.
 */
unsigned slot_of(struct slice key);

#endif
