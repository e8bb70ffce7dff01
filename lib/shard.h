/* SPDX-License-Identifier: MIT */
/*
 * shard.h - the names of keys on a Redis Cluster: a counter's parts, and our own keys in a wanted slot. Pure;
 * any thread.
 *
 *   NAME                   the counter, and its first part
 *   shc:{NAME:k}           its part k, from 1 on; in NAME, '%' '{' '}' are written %25 %7B %7D
 *   shc:{TAG}:shards       which names of a slot have parts: a hash NAME -> "N MAX"
 *   shc:{TAG}:once:L:TOKEN:NAME   a token that was used for NAME; L is how long TOKEN is
 *   shc:{TAG}:seconds:NAME, minutes, hours   its hits in time, and
 *   shc:{TAG}:limit:NAME   its rate limit: see script.h
 *   shc:{TAG}:stream:ID    a stream's home, in ID's slot
 *   shc:{TAG}:at:ID        its position, in the slots that it adds to
 *   shc:{TAG}:ledger:NAME  what each daemon has brought to NAME (uplink): a hash
 *   shc:uplink:INCARNATION  the last start of a daemon's state, in whatever slot that is
 *
 * TAG is the first of all strings of 0-9a-z, the shortest first, that lies in the slot.
 */
#ifndef SHC_SHARD_H
#define SHC_SHARD_H

#include <stdbool.h>
#include <stdint.h>

#include "slice.h"
#include "slot.h"

enum {
	SHARDS_MAX = 1000,
	SHARD_TAG_SIZE = 8,
	SHARD_KEY_SIZE = 3 * NAME_LEN_MAX + 2 * NAME_LEN_MAX + 64, /* of the longest of them */
};

struct shard_key {
	size_t len;
	char data[SHARD_KEY_SIZE];
};

static inline struct slice shard_slice(const struct shard_key *k)
{
	return (struct slice){k->data, k->len};
}

/* Whether a name is ours, and so none for a counter. */
bool shard_is_own(struct slice name);

/* The part k of a counter; k = 0 is the name itself. */
void shard_part(struct shard_key *out, struct slice name, unsigned k);

/* Whether a key is a part; then whose: `name` is filled (into `room`) and *k set. */
bool shard_of_part(struct slice key, char room[NAME_LEN_MAX], struct slice *name, unsigned *k);

/* Writes the tag of a slot, with its NUL; and those of all slots, which takes as long as for ten. */
void shard_tag(unsigned slot, char out[SHARD_TAG_SIZE]);
void shard_tags(char out[SLOT_COUNT][SHARD_TAG_SIZE]);

void shard_table(struct shard_key *out, const char *tag);
void shard_token(struct shard_key *out, const char *tag, struct slice token, struct slice name);
/* What a counter has beside its value. */
enum shard_extra { SHARD_SECONDS, SHARD_MINUTES, SHARD_HOURS, SHARD_LIMIT, SHARD_EXTRAS };
void shard_extra(struct shard_key *out, const char *tag, enum shard_extra extra, struct slice name);

void shard_stream(struct shard_key *out, const char *tag, struct slice id);
void shard_position(struct shard_key *out, const char *tag, struct slice id);

/* What the uplink keeps: docs/design.md 7b. */
void shard_ledger(struct shard_key *out, const char *tag, struct slice name);
void shard_record(struct shard_key *out, struct slice incarnation);

/* Whether a key is a ledger; then whose: `name` is filled, a view into the key. The tag must lie in the
 * name's slot. That it is the slot's first one, which takes all tags to know, is left to whoever has them: no
 * other is ever written. */
bool shard_of_ledger(struct slice key, struct slice *name);

/* Into how many parts additions go (1: none, the name itself), and how many were ever used. */
struct shard_count {
	unsigned now, most;
};

/* From "N MAX"; false when it is something else. */
bool shard_read_count(struct slice text, struct shard_count *out);

#endif
