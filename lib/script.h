/* SPDX-License-Identifier: MIT */
/*
 * script.h - the Lua scripts that run in Redis: what must happen to several keys of one slot, or not at all.
 *
 * Numbers of 64 bits go in and out as strings: Lua's own are doubles. Redis does not take a failed script
 * back, so each either cannot fail behind its first change, or takes it back itself. All but
 * SCRIPT_SHARDS may be sent again after a lost reply: what they compare makes the repetition harmless.
 */
#ifndef SHC_SCRIPT_H
#define SHC_SCRIPT_H

struct script {
	const char *sha1; /* of the text, 40 hexadecimal digits; a test compares */
	const char *text;
};

/* KEYS: shards of the slot. ARGV: name, N. Additions to that counter go to N parts from now on. Returns
 * "N MAX". */
extern const struct script script_shards;

/* KEYS: counter, token. ARGV: delta, milliseconds to keep the token. Returns [value, 1], or [value, 0] when
 * the token was used before. Values are strings. */
extern const struct script script_once;

/* KEYS: counter. ARGV: delta, least, most. Returns [value, 1], or [value, 0] when the sum
 * would pass a bound: then nothing has changed. */
extern const struct script script_bound;

/* KEYS: the slot's position in a stream, counters. ARGV: the stream's first owner, number of the batch, the
 * owner that has stored it, milliseconds to keep the position, a delta for each counter. Adds all or nothing.
 * Returns 1; 0 when the slot has had this batch. STREAMAHEAD: it has had a later one, or another one of that
 * number. */
extern const struct script script_apply;

/* KEYS: a stream's home. ARGV: the new owner, milliseconds to keep it. Returns [seq, cursor, batch, first
 * owner, who has stored the batch, 1 when it is not known to be through]. Positions carry the first owner:
 * those that a stream of the same name has left behind, which has expired, are another's. */
extern const struct script script_stream_open;

/* KEYS: a stream's home. ARGV: owner, number, cursor, batch, milliseconds. Stores the batch. Returns 1. */
extern const struct script script_stream_put;

/* KEYS: a stream's home. ARGV: owner, number. The batch of this number is through. Returns 1. */
extern const struct script script_stream_through;

#endif
