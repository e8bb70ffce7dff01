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

/* Is keys[i] a key, or a name that was given before? */
static inline bool txn_is_distinct(const struct txn *t, uint32_t i)
{
	return t->index[i] == i;
}

/* Before the open buffer gets content. */
void txn_note_dirty(struct txn *t);

/* To be freed when every worker has sealed. */
void txn_retire(struct txn *t, void *p, enum retired_kind kind);

/* Cells of all locked counters into base, when all are still: TXN_OK. Else all are marked: TXN_WAIT and
 * wait_epoch. */
int txn_merge_all(struct txn *t);

/* Last of what is recorded: nothing is left to fail behind it. 0 or -ENOMEM. */
int txn_record_rider(struct txn *t);

/* Unlocks and forgets. */
void txn_end(struct txn *t);

#endif
