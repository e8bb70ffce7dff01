/* SPDX-License-Identifier: MIT */
/*
 * once.h - tokens: which additions were made that carried one, so that making them again changes nothing.
 *
 * A token belongs to the name of its counter: the key is (name, token). One of several additions belongs to
 * none of them, so that whatever else is asked with it meets it: it has a name that is no UTF-8, and their
 * hash as its delta. A token outlives its counter, and is
 * forgotten token-ttl after it was used, never before. The table is cut into stripes by hash. A stripe's lock
 * is held over the whole addition, so that token and delta are recorded in one epoch and two callers with one
 * token come one after the other; it comes before any counter's.
 *
 * Like a counter a token carries the epoch it was recorded in: a worker that finds it newer than its own lets
 * go, seals, begins again. Any worker.
 */
#ifndef SHC_ONCE_H
#define SHC_ONCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/hash.h"
#include "../lib/slice.h"

enum { ONCE_STRIPES = 64 };

/* On disk, too. */
#define ONCE_OF_SEVERAL "\xff"

struct once_token {
	struct once_token *next;  /* in its bucket */
	struct once_token *newer; /* in the order of use */
	uint64_t epoch;		  /* recorded in; 0: before this start */
	int64_t delta;
	int64_t used_ms; /* wall clock */
	uint32_t hash;
	uint8_t name_len, token_len;
	char bytes[]; /* name, token */
};

struct once_stripe {
	_Alignas(64) _Atomic uint32_t lock; /* spin.h */
	struct once_token **buckets;	    /* owned; null until the first */
	size_t mask, count;
	struct once_token *oldest, *newest;
};

struct once_table {
	struct once_stripe stripes[ONCE_STRIPES];
	struct hash_key key;
	_Atomic uint64_t count;
	_Atomic int64_t *count_max; /* borrowed; the setting */
	_Atomic size_t *used_bytes; /* borrowed; counts towards max-memory */
};

struct once_key {
	struct slice name, token;
	uint64_t hash;
};

void once_table_init(struct once_table *t, _Atomic int64_t *count_max, _Atomic size_t *used_bytes);
void once_table_fini(struct once_table *t);

struct once_key once_key(const struct once_table *t, struct slice name, struct slice token);

/* Recovery, one thread, about in the order of use. 0 or -ENOMEM. */
int once_load(struct once_table *t, struct slice name, struct slice token, int64_t delta, int64_t used_ms);

void once_lock(struct once_table *t, const struct once_key *key);
void once_unlock(struct once_table *t, const struct once_key *key);

/* Stripe locked. Null: not used, or before that moment (and durable since). Lasts until the unlock. */
const struct once_token *once_find(const struct once_table *t, const struct once_key *key, int64_t before_ms,
				   uint64_t durable);

/* Stripe locked. A token not in the table yet, to be added or freed: 0, -ENOMEM, or -EDQUOT when as many are
 * remembered as may be. What this stripe has from before that moment, and durable, is forgotten first. */
int once_new(struct once_table *t, const struct once_key *key, int64_t delta, int64_t before_ms,
	     uint64_t durable, struct once_token **out);
void once_add(struct once_table *t, const struct once_key *key, struct once_token *token, uint64_t epoch,
	      int64_t now_ms);
struct once_token *once_free(struct once_table *t, struct once_token *token);

/* As many as there may be? */
static inline bool once_is_full(const struct once_table *t)
{
	return (int64_t)atomic_load_explicit(&t->count, memory_order_relaxed) >=
	       atomic_load_explicit(t->count_max, memory_order_relaxed);
}

/* Forgets in all stripes what is from before that moment and durable. No stripe locked. */
void once_expire(struct once_table *t, int64_t before_ms, uint64_t durable);

#endif
