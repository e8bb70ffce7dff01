/* SPDX-License-Identifier: MIT */
/*
 * txn_private.h - what txn.c, txn_commit.c and txn_add.c share. Owner: the worker of the txn.
 */
#ifndef SHC_TXN_PRIVATE_H
#define SHC_TXN_PRIVATE_H

#include "txn.h"

/* Does a stamp say that this worker must seal first? */
static inline bool txn_is_behind(const struct txn *t, uint32_t stamp)
{
	return epoch_is_behind(t->epoch, stamp);
}

/* Does a counter's heat say something of the present? It is of the last two epochs, or of none. */
static inline bool txn_is_heat_fresh(const struct txn *t, uint32_t stamp)
{
	return (uint32_t)t->epoch->own - stamp <= 1;
}

/* |v|; that of INT64_MIN, which has none, is so large that no cell has room for it. */
static inline int64_t txn_magnitude(int64_t v)
{
	return v == INT64_MIN ? INT64_MAX : v < 0 ? -v : v;
}

/* Is keys[i] a key, or a name that was given before? */
static inline bool txn_is_distinct(const struct txn *t, uint32_t i)
{
	return t->index[i] == i;
}

/* Several names: their hashes into t->hashes, which has room for them; what the first ones are going to touch
 * is asked for. */
void txn_hash_all(struct txn *t, const struct slice *names, size_t count);

enum { TXN_AHEAD = 8 };

/* Name i of them is next: asks for what later ones are going to touch. Each is a cache miss or two, and this
 * way they overlap: an SHC.APPLY of 100 000 names takes 0.6 of the CPU time where the counters have cells,
 * 0.8 where not (sorting included). */
static inline void txn_look_ahead(struct txn *t, size_t i, size_t count)
{
	if (i + 2 * TXN_AHEAD < count)
		(void)registry_prefetch(t->registry, t->hashes[i + 2 * TXN_AHEAD]);
	if (i + TXN_AHEAD < count)
		counter_prefetch(registry_guess(t->registry, t->hashes[i + TXN_AHEAD]));
}

/* Key i, if there is one, is next but some. */
static inline void txn_prefetch_key(const struct txn *t, size_t i)
{
	if (i < t->key_count)
		__builtin_prefetch(t->keys[i].counter, 1);
}

/* Before the open buffer gets content. */
void txn_note_dirty(struct txn *t);

/* The cells or the extra that stood in a record's object word, which has another value now. Record locked. */
void txn_retire_side(struct txn *t, uint64_t object);

/* Cells of all locked counters into base, when all are still: TXN_OK. Else all are marked: TXN_WAIT and
 * wait_epoch. */
int txn_merge_all(struct txn *t);

/* Last of what is recorded: nothing is left to fail behind it. 0 or -ENOMEM. */
int txn_record_rider(struct txn *t);

/* ---- the audit log ---- txn_audit.c */

/* Is a new object of this name audited? */
bool txn_audits_new(const struct txn *t, const struct txn_key *k);

/* Notes what has not been noted, and makes room for all: t->entry_count. 0 or -ENOMEM. */
int txn_prepare_audit(struct txn *t);
/* Cannot fail. All locks are held. */
void txn_record_audit(struct txn *t);
void txn_end_audit(struct txn *t);
/* FLUSHALL in a transaction. */
void txn_note_flush(struct txn *t);
/* ... and alone. */
int txn_prepare_flush_entry(struct txn *t);
void txn_record_flush_entry(struct txn *t, uint64_t floor);

/* Unlocks and forgets. */
void txn_end(struct txn *t);

#endif
