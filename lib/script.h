/* SPDX-License-Identifier: MIT */
/*
 * script.h - the Lua scripts that run in Redis: what must happen to several keys of one slot, or not at all.
 *
 * Numbers of 64 bits go in and out as strings: Lua's own are doubles. Redis does not take a failed script
 * back, so each either cannot fail behind its first change, or takes it back itself. All keys are named, and
 * their number does not depend on the time, for only of those that are named a node tells that they are being
 * moved. script_once, script_apply and the streams' may be sent again after a lost reply: what they compare
 * makes the repetition harmless.
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

/* KEYS: counter. ARGV: delta, least, most, milliseconds. Returns [value, 1], or [value, 0] when the sum would
 * pass a bound: then nothing has changed. A counter that this creates expires after so many milliseconds; 0:
 * never. */
extern const struct script script_bound;

/* KEYS: counter, its seconds, minutes and hours (hits.h). ARGV: hits. Returns the counter's value. What
 * another counter of that name, which is gone, had of hits is forgotten. */
extern const struct script script_hit;

/* KEYS: one of these levels. Returns [the server's clock in seconds, the level or ""]. */
extern const struct script script_hits;

/* KEYS: counter, its limit. ARGV: n, window in microseconds, what n is worth (below): microseconds, and of a
 * part of one the numerator, limit. Adds n to the counter and returns [1, debt, numerator], or [0, debt,
 * numerator] without adding. Nothing here may be more than 2^52.
 *
 * This is the generic cell rate algorithm (ITU-T I.371): what is allowed is worth window / limit each, and
 * makes the debt, which goes down with time and may not pass the window. A debt is microseconds and numerator
 * / limit of one more. The limit is "second microsecond debt numerator limit": when the debt was so much.
 * Elapsed time that is negative, of a clock that was set back, counts as none; a debt of another limit, as a
 * window at most. A counter that this makes
 * expires when there is no debt any more, and one that expires not before that, which would be a way round
 * the limit. */
extern const struct script script_allow;

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

/* ---- the uplink's (script_uplink.c) ----
 *
 * A ledger has a field for each incarnation of a daemon's state, and `retired`: docs/design.md 7b. They may
 * be sent again, late or twice, for they compare, or find done what they would do; but script_reset would
 * take what has come since, too. All that may fail is in front of the first change, or is it. */

/* KEYS: counter, its ledger. ARGV: incarnation, the field that is expected ("": none), the new one (never
 * ""), the difference that it makes, decimal. When the field is as expected: adds the difference to the
 * counter, replaces the field. Returns [1, ""], or [0, the field or ""]: then nothing has changed. With a new
 * field that is the expected one it only looks, and returns [1, "expires"] when one of the keys does. A
 * difference of "0" makes no counter. INCRBY, which may fail, is first; behind it HSET can fail only for a
 * lack of permission, and then the sum is taken back. */
extern const struct script script_push;

/* KEYS: counter, its ledger. Returns [total or "", PTTL of the counter, PTTL of the ledger, [field, value,
 * ...]]. Changes nothing. */
extern const struct script script_look;

/* KEYS: counter, its ledger. Makes the total 0, and the offset of each field what its value is, so that none
 * contributes anything; takes `retired` away. Returns the total before; "0" when there was none. The total is
 * known to be an integer before anything is changed; nothing behind that can fail. */
extern const struct script script_reset;

/* KEYS: ledger. ARGV: incarnation. Moves what its field stands for into `retired`, and leaves that word
 * there, and the field behind it. Returns [1, the field], [0, the field] when that word is in it, or
 * [0, ""] when there is none. What HINCRBY has added before it fails is taken back. */
extern const struct script script_retire;

/* KEYS: record of an incarnation. ARGV: the `at` that is expected ("": none), the new one, host. Returns [1,
 * ""] when it was as expected, and is replaced; else [0, the `at` that is there or ""]. One change. */
extern const struct script script_register;

/* KEYS: record of an incarnation. Its `at` is "retired", unless it begins so already. Returns 0. */
extern const struct script script_give_up;

#endif
