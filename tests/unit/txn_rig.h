/* SPDX-License-Identifier: MIT */
/*
 * txn_rig.h - for the tests of transactions: requests as the daemon makes them, several workers played by one
 * thread, and what a recovery would find.
 */
#ifndef SHC_TXN_RIG_H
#define SHC_TXN_RIG_H

#include <errno.h>
#include <unistd.h>

#include "core_rig.h"

#define MODE_INCR (TXN_WRITE | TXN_CREATE)
#define MODE_SET  (TXN_WRITE | TXN_CREATE | TXN_WHOLE)
#define MODE_DEL  (TXN_WRITE | TXN_WHOLE)

/* ---- requests as the daemon makes them; "again at once" is done here ---- every other one of those that
 * have a short way takes it, where it is open */

static inline bool is_turn_of_quick(void)
{
	static unsigned turn;

	return turn++ % 2 == 0;
}

static inline int incr(struct txn *t, const char *name, int64_t delta, int64_t *value)
{
	struct slice key = slice_str(name);
	int64_t unused;
	int rc;

	if (is_turn_of_quick() && rig_quick_incr(t, key, delta, value ? value : &unused))
		return TXN_OK;
	do {
		rc = txn_open(t, &key, 1, MODE_INCR);
		if (rc)
			break;
		if (!txn_incr(txn_key(t, 0), delta)) {
			txn_abort(t);
			return TXN_OVERFLOW;
		}
		if (value)
			*value = txn_key(t, 0)->value;
		rc = txn_commit(t);
	} while (rc == TXN_WAIT && t->wait_epoch == 0);
	return rc;
}

static inline int set(struct txn *t, const char *name, int64_t value)
{
	struct slice key = slice_str(name);
	int rc = txn_open(t, &key, 1, MODE_SET);

	if (rc)
		return rc;
	txn_set(txn_key(t, 0), value);
	return txn_commit(t);
}

/* 1 when it was there. */
static inline int del(struct txn *t, const char *name)
{
	struct slice key = slice_str(name);
	int rc = txn_open(t, &key, 1, MODE_DEL), was_live;

	assert_int_equal(rc, TXN_OK);
	was_live = txn_key(t, 0)->is_live;
	txn_delete(txn_key(t, 0));
	assert_int_equal(txn_commit(t), TXN_OK);
	return was_live;
}

static inline int add(struct txn *t, const char *name, int64_t delta)
{
	struct slice key = slice_str(name);
	int rc;

	if (is_turn_of_quick() && rig_quick_add(t, key, delta))
		return TXN_OK;
	do
		rc = txn_add(t, &key, &delta, 1);
	while (rc == TXN_WAIT && t->wait_epoch == 0);
	return rc;
}

static inline bool get(struct txn *t, const char *name, int64_t *value)
{
	struct slice key = slice_str(name);
	bool is_live;

	if (is_turn_of_quick() && rig_quick_get(t, key, value))
		return true;
	assert_int_equal(txn_open(t, &key, 1, TXN_READ), TXN_OK);
	is_live = txn_key(t, 0)->is_live;
	*value = txn_key(t, 0)->value;
	assert_int_equal(txn_commit(t), TXN_OK);
	return is_live;
}

static inline void assert_value(struct txn *t, const char *name, int64_t want)
{
	int64_t value;

	assert_true(get(t, name, &value));
	assert_int_equal(value, want);
}

static inline void assert_missing(struct txn *t, const char *name)
{
	int64_t value;

	assert_false(get(t, name, &value));
	assert_int_equal(value, 0);
}

static inline struct counter *record_of(struct rig *g, const char *name)
{
	struct slice key = slice_str(name);

	return registry_find(&g->registry, key, registry_hash(&g->registry, key));
}

static inline bool has_cells(struct rig *g, const char *name)
{
	struct counter *c = record_of(g, name);

	assert_non_null(c);
	return counter_has_cells(counter_object(c));
}

/* What is on disk after a crash now. */
static inline int64_t recovered(struct rig *g, const char *name)
{
	uint64_t id = recovery_find(&g->recovery, name);

	return id ? (int64_t)g->recovery.by_id[id].value : 0;
}

#endif
