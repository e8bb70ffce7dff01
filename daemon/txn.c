/* SPDX-License-Identifier: MIT */
/* txn.c - see txn.h. Owns the staged keys of the present request; entered by its worker only. */
#include "txn_private.h"

#include <errno.h>
#include <stdlib.h>

#include "../lib/num.h"
#include "sort.h"

void txn_init(struct txn *t, struct registry *registry, struct epoch_slot *epoch, uint32_t worker,
	      uint32_t workers, bool is_always_cells)
{
	*t = (struct txn){
		.registry = registry,
		.epoch = epoch,
		.worker = worker,
		.workers = workers,
		.is_always_cells = is_always_cells,
	};
}

static void free_keys(struct txn *t)
{
	free(t->keys);
	free(t->index);
	free(t->order);
	free(t->order_spare);
	free(t->hashes);
	t->keys = NULL;
	t->index = NULL;
	t->order = t->order_spare = NULL;
	t->hashes = NULL;
	t->key_cap = t->index_cap = t->order_cap = t->order_spare_cap = t->hash_cap = 0;
}

void txn_fini(struct txn *t)
{
	free_keys(t);
	txn_add_free(t);
	free(t->steps);
}

int txn_grow(void *array, size_t *cap, size_t count, size_t size)
{
	void **items = array;
	void *bigger;
	size_t want = *cap ? *cap : 16;

	if (count <= *cap)
		return 0;
	while (want < count)
		want *= 2;
	bigger = reallocarray(*items, want, size);
	if (!bigger)
		return -ENOMEM;
	*items = bigger;
	*cap = want;
	return 0;
}

static int make_room(struct txn *t, size_t count)
{
	if (txn_grow(&t->keys, &t->key_cap, count, sizeof(*t->keys)) ||
	    txn_grow(&t->index, &t->index_cap, count, sizeof(*t->index)) ||
	    txn_grow(&t->order, &t->order_cap, count, sizeof(*t->order)))
		return -ENOMEM;
	return 0;
}

/* What one name does not need. */
static int make_room_for_several(struct txn *t, size_t count)
{
	if (make_room(t, count) || txn_grow(&t->order_spare, &t->order_spare_cap, count, sizeof(*t->order)) ||
	    txn_grow(&t->hashes, &t->hash_cap, count, sizeof(*t->hashes)))
		return -ENOMEM;
	return 0;
}

/* The open buffer is about to get content. */
void txn_note_dirty(struct txn *t)
{
	if (epoch_buffer_is_empty(t->epoch->open))
		epoch_note_dirty(t->epoch);
}

/* To be freed when every worker has sealed. */
static void retire(struct txn *t, void *p, enum retired_kind kind)
{
	txn_note_dirty(t);
	/* Out of memory for the note: better lost than freed under a reader. */
	(void)epoch_buffer_retire(t->epoch->open, p, kind);
}

void txn_retire_side(struct txn *t, uint64_t object)
{
	if (counter_has_cells(object))
		retire(t, counter_cells_of(object), RETIRED_CELLS);
	if (counter_has_extra(object)) {
		expiry_set(&t->registry->expiry, t->worker, counter_extra_of(object), 0);
		retire(t, counter_extra_of(object), RETIRED_EXTRA);
	}
}

/* ---- prefetching ---- */

void txn_hash_all(struct txn *t, const struct slice *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		t->hashes[i] = registry_hash(t->registry, names[i]);
		if (i < 2 * TXN_AHEAD)
			(void)registry_prefetch(t->registry, t->hashes[i]);
	}
}

/* ---- looking ---- */

/* The object word as it counts: what lies below FLUSHALL's floor is not there. Whether it has expired is
 * another question (expire_all): the object is still to be ended. */
static uint64_t object_above_floor(const struct txn *t, uint64_t object)
{
	return counter_id(object) < t->floor_seen ? COUNTER_ABSENT : object;
}

static void key_show(struct txn_key *k, uint64_t object, int64_t value)
{
	k->object = object;
	k->was_live = k->is_live = counter_has_object(object);
	k->value = k->value_before = k->is_live ? value : 0;
	k->is_deleted = false;
}

/* Its counter is locked, or k->tat_ns is not asked for. */
static void key_show_extra(struct txn_key *k)
{
	k->extra = counter_extra_of(k->object);
	k->expire_at_ms = atomic_load_explicit(&k->extra->expire_at_ms, memory_order_acquire);
}

int64_t txn_wall_ms(struct txn *t)
{
	if (t->wall_ms == 0)
		t->wall_ms = clock_wall_ms();
	return t->wall_ms;
}

/* Something is not there because of FLUSHALL. False: behind. */
static bool floor_is_told(struct txn *t)
{
	uint32_t stamp = atomic_load(&t->registry->floor_stamp);

	if (txn_is_behind(t, stamp))
		return false;
	txn_tell_stamp(t, stamp);
	return true;
}

/* It looks as if the object had expired; but whoever holds the counter may be about to move that moment, and
 * has looked at the clock before it came. Under the lock it is sure: from then on nobody finds the object
 * alive. */
static bool has_expired(struct counter *c, uint64_t object)
{
	bool is_so;

	counter_lock(c, COUNTER_LOCKED);
	is_so = counter_object(c) == object && extra_is_expired(counter_extra_of(object), clock_wall_ms());
	counter_unlock(c);
	return is_so;
}

/* The object that a name without a lock has, and its value. */
static uint64_t key_look(struct txn *t, struct txn_key *k, struct counter_view *view)
{
	for (;;) {
		uint64_t object;

		*view = k->counter ? counter_read(k->counter) : (struct counter_view){0};
		object = object_above_floor(t, view->object);
		key_show(k, object, view->value);
		k->extra = NULL;
		k->expire_at_ms = 0;
		if (!counter_has_extra(object))
			return object;
		/* Behind the value: one that has not expired was there when its value was read. */
		key_show_extra(k);
		if (!extra_is_expired(k->extra, clock_wall_ms()))
			return object;
		if (has_expired(k->counter, object)) {
			txn_delete(k);
			return object;
		}
	}
}

/* A name without a lock; false: behind, look again. */
static bool key_read(struct txn *t, struct txn_key *k)
{
	struct counter_view view;
	uint64_t object;

	k->counter = registry_find(t->registry, k->name, k->hash);
	object = key_look(t, k, &view);
	if (k->counter) {
		uint32_t stamp = counter_stamp(k->counter);

		if (txn_is_behind(t, stamp))
			return false;
		txn_tell_stamp(t, stamp);
	}
	return object == view.object || floor_is_told(t);
}

/* A locked counter; false: behind. The value is read before the stamp: who adds to a cell raises the stamp
 * first. */
static bool key_show_locked(struct txn *t, struct txn_key *k)
{
	uint64_t word = counter_object(k->counter);
	uint64_t object = object_above_floor(t, word);
	int64_t value = counter_has_object(object) ? counter_total(k->counter, object) : 0;

	k->stamp_before = counter_stamp(k->counter);
	if (txn_is_behind(t, k->stamp_before))
		return false;
	/* Also when it was not there before: a new object is one behind the FLUSHALL. */
	if (!counter_has_object(object) && !floor_is_told(t))
		return false;
	txn_tell_stamp(t, k->stamp_before);
	key_show(k, object, value);
	if (counter_has_extra(object)) {
		key_show_extra(k);
		k->tat_ns = k->extra->tat_ns;
		t->has_extras = true;
	}
	return true;
}

/* All are locked: what has expired by now is not there, and who writes ends it. One "now" for all of them,
 * and later than every lock, so that nobody has seen any of them at a later time. */
static void expire_all(struct txn *t)
{
	t->wall_ms = 0;
	for (size_t i = 0; i < t->key_count; i++) {
		struct txn_key *k = &t->keys[i];

		if (k->extra && extra_is_expired(k->extra, txn_wall_ms(t))) {
			txn_delete(k);
			k->is_expired = true;
		}
	}
}

/* ---- opening ---- */

static void key_init(struct txn *t, size_t i, struct slice name, uint64_t hash)
{
	t->keys[i] = (struct txn_key){.name = name, .hash = hash};
	t->index[i] = (uint32_t)i;
}

/* Sets key 0. 0 or -ENOMEM. */
static int key_init_one(struct txn *t, struct slice name)
{
	if (make_room(t, 1))
		return -ENOMEM;
	key_init(t, 0, name, name.data == t->hint_name ? t->hint_hash : registry_hash(t->registry, name));
	return 0;
}

static int key_find(struct txn *t, struct txn_key *k)
{
	k->counter = registry_find(t->registry, k->name, k->hash);
	if (k->counter || !(t->mode & TXN_CREATE))
		return 0;
	txn_note_dirty(t);
	return registry_insert(t->registry, k->name, k->hash, t->epoch->open, &k->counter);
}

/* Missing names have no address; equal ones are found equal, in the order of arrival. */
static void sort_by_address(struct txn *t)
{
	struct txn_place *sorted;

	_Static_assert(sizeof(*sorted) == 16 && offsetof(struct txn_place, counter) == 0, "for sort.h");
	sorted = sort_by_key(t->order, t->order_spare, t->key_count);
	if (sorted == t->order_spare) {
		t->order_spare = t->order;
		t->order = sorted;
	}
}

static int key_fill_one(struct txn *t, struct slice name)
{
	int rc = key_init_one(t, name);

	if (!rc)
		rc = key_find(t, &t->keys[0]);
	if (rc)
		return rc;
	t->order[0] = (struct txn_place){.counter = t->keys[0].counter};
	t->key_count = t->index_count = 1;
	return 0;
}

/* Fills keys, index and order from the names; the same counter is one key. Nothing is locked yet. On failure
 * the keys are those that were found or made. */
static int keys_fill(struct txn *t, const struct slice *names, size_t count)
{
	int rc;

	t->key_count = t->index_count = 0;
	if (count == 1)
		return key_fill_one(t, names[0]);
	if (make_room_for_several(t, count))
		return -ENOMEM;
	txn_hash_all(t, names, count);
	for (size_t i = 0; i < count; i++) {
		txn_look_ahead(t, i, count);
		key_init(t, i, names[i], t->hashes[i]);
		rc = key_find(t, &t->keys[i]);
		if (rc)
			return rc;
		t->order[i] = (struct txn_place){.counter = t->keys[i].counter, .key = i};
		t->key_count = i + 1;
	}
	t->index_count = count;
	sort_by_address(t);
	for (size_t i = 1; i < count; i++)
		if (t->order[i].counter && t->order[i].counter == t->order[i - 1].counter)
			t->index[t->order[i].key] = t->index[t->order[i - 1].key];
	return 0;
}

static void unlock_all(struct txn *t)
{
	for (size_t i = 0; i < t->key_count; i++) {
		struct txn_key *k = &t->keys[i];

		if (k->is_locked)
			counter_unlock(k->counter);
		k->is_locked = false;
	}
}

enum lock_result { LOCK_OK, LOCK_AGAIN, LOCK_BEHIND };

static enum lock_result lock_one(struct txn *t, struct txn_key *k, enum counter_lock_state how)
{
	counter_lock(k->counter, how);
	k->is_locked = true;
	if (counter_object(k->counter) == COUNTER_GONE)
		return LOCK_AGAIN; /* reclaimed between finding and locking: its name may have a new record */
	return key_show_locked(t, k) ? LOCK_OK : LOCK_BEHIND;
}

/* With all others locked, a name that was missing may have come into being: then begin again. If not, it is
 * missing at an instant at which everything else is as we see it. */
static enum lock_result look_at_missing(struct txn *t, struct txn_key *k)
{
	if (registry_find(t->registry, k->name, k->hash))
		return LOCK_AGAIN;
	key_show(k, COUNTER_ABSENT, 0);
	return LOCK_OK;
}

static enum lock_result lock_all(struct txn *t)
{
	enum counter_lock_state how =
		t->key_count > 1 && (t->mode & TXN_WRITE) ? COUNTER_LOCKED_TXN : COUNTER_LOCKED;
	enum lock_result result = LOCK_OK;

	t->has_extras = false;
	for (size_t i = 0; i < t->key_count && result == LOCK_OK; i++) {
		struct txn_key *k = &t->keys[t->order[i].key];

		if (i + TXN_AHEAD < t->key_count) {
			__builtin_prefetch(t->order[i + TXN_AHEAD].counter, 1);
			__builtin_prefetch(&t->keys[t->order[i + TXN_AHEAD].key], 1);
		}
		if (k->counter && txn_is_distinct(t, (uint32_t)t->order[i].key))
			result = lock_one(t, k, how);
	}
	for (size_t i = 0; i < t->key_count && result == LOCK_OK; i++)
		if (!t->keys[i].counter)
			result = look_at_missing(t, &t->keys[i]);
	/* FLUSHALL needs no lock: what was looked at before and after it does not fit together. */
	if (result == LOCK_OK && t->key_count > 1 && registry_floor(t->registry) != t->floor_seen)
		result = LOCK_AGAIN;
	if (result == LOCK_OK && t->has_extras)
		expire_all(t);
	return result;
}

static bool has_cells(const struct txn_key *k)
{
	return k->is_locked && counter_has_cells(k->object);
}

/* When all cells have come to rest: into base with them. */
static void key_merge(struct txn *t, struct txn_key *k)
{
	struct counter_cells *cells = counter_cells_of(k->object);

	counter_merge(k->counter, cells);
	k->object = counter_object(k->counter);
	k->value = k->value_before = counter_base(k->counter);
	retire(t, cells, RETIRED_CELLS);
}

/* Counters that must be seen whole. All that have cells are marked, and merged only when all are still: one
 * that was merged before the others could get new cells while we wait for them, and so on for ever. */
int txn_merge_all(struct txn *t)
{
	uint64_t sealed = epoch_sealed(t->epoch->clock);

	t->wait_epoch = 0;
	for (size_t i = 0; i < t->key_count; i++) {
		struct counter_cells *cells = counter_cells_of(t->keys[i].object);
		uint64_t epoch;

		if (!has_cells(&t->keys[i]) || counter_merge_is_due(cells, sealed))
			continue;
		epoch = counter_merge_mark(cells, &t->epoch->clock->open);
		if (epoch > t->wait_epoch)
			t->wait_epoch = epoch;
	}
	if (t->wait_epoch)
		return TXN_WAIT;
	for (size_t i = 0; i < t->key_count; i++)
		if (has_cells(&t->keys[i]))
			key_merge(t, &t->keys[i]);
	return TXN_OK;
}

int txn_open(struct txn *t, const struct slice *names, size_t count, unsigned mode)
{
	bool is_lockless = count == 1 && !(mode & (TXN_WRITE | TXN_LOCKED));

	t->mode = mode;
	for (;;) {
		int rc;

		t->floor_seen = registry_floor(t->registry);
		if (is_lockless) {
			if (key_init_one(t, names[0]))
				return -ENOMEM;
			t->key_count = t->index_count = 1;
			if (key_read(t, &t->keys[0]))
				return TXN_OK;
			epoch_catch_up(t->epoch);
			continue;
		}
		rc = keys_fill(t, names, count);
		if (rc) {
			txn_abort(t);
			return rc;
		}
		switch (lock_all(t)) {
		case LOCK_OK:
			rc = mode & TXN_WHOLE ? txn_merge_all(t) : TXN_OK;
			if (rc)
				txn_abort(t);
			return rc;
		case LOCK_BEHIND:
			unlock_all(t);
			epoch_catch_up(t->epoch);
			break;
		case LOCK_AGAIN: unlock_all(t); break;
		}
	}
}

/* ---- looking around from inside ---- */

static const struct txn_key *key_of(const struct txn *t, const struct counter *c)
{
	size_t low = 0, high = t->key_count;

	if (t->key_count == 1)
		return t->keys[0].counter == c ? &t->keys[0] : NULL;
	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct txn_place *here = &t->order[middle];

		if (here->counter == c)
			return &t->keys[t->index[here->key]];
		if ((uintptr_t)here->counter < (uintptr_t)c)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

bool txn_is_live(struct txn *t, struct counter *c)
{
	const struct txn_key *k = t->key_count ? key_of(t, c) : NULL;
	uint64_t object = counter_object(c);
	bool is_below, is_expired = false;

	if (k)
		return k->is_live;
	if (counter_has_extra(object))
		is_expired = extra_is_expired(counter_extra_of(object), txn_wall_ms(t));
	txn_tell_stamp(t, counter_stamp(c));
	is_below = counter_has_object(object) && counter_id(object) < registry_floor(t->registry);
	if (is_below)
		txn_tell_stamp(t, atomic_load(&t->registry->floor_stamp));
	return !t->is_flushing && counter_has_object(object) && !is_below && !is_expired;
}

int64_t txn_live_change(const struct txn *t)
{
	int64_t change = 0;

	for (size_t i = 0; i < t->key_count; i++)
		if (txn_is_distinct(t, (uint32_t)i))
			change += t->keys[i].is_live - (t->keys[i].was_live && !t->is_flushing);
	return change;
}

/* ---- staging ---- */

void txn_expire(struct txn *t, struct txn_key *k, int64_t at_ms)
{
	if (at_ms != 0 && at_ms <= txn_wall_ms(t))
		txn_delete(k);
	else
		k->expire_at_ms = at_ms;
}

const struct window *txn_window(const struct txn_key *k)
{
	return k->extra && k->is_live && !k->is_deleted ? k->extra->window : NULL;
}

bool txn_incr(struct txn_key *k, int64_t delta)
{
	int64_t sum;

	if (!num_add_i64(k->value, delta, &sum))
		return false;
	txn_set(k, sum);
	k->is_set = false;
	return true;
}

void txn_flush_staged(struct txn *t)
{
	for (size_t i = 0; i < t->key_count; i++)
		txn_delete(&t->keys[i]);
	t->is_flushing = true;
	txn_note_flush(t);
}

/* ---- letting go ---- */

/* Records that were made, or are left, without an object are to go. Whether they still are is looked at
 * again, under their lock, when they are reclaimed. */
static void let_go(struct txn *t, struct txn_key *k)
{
	if (k->extra_new)
		registry_extra_free(t->registry, k->extra_new);
	k->extra_new = NULL;
	if (k->counter && (t->mode & TXN_WRITE) && counter_object(k->counter) == COUNTER_ABSENT)
		retire(t, k->counter, RETIRED_COUNTER);
	if (k->is_locked)
		counter_unlock(k->counter);
	k->is_locked = false;
}

void txn_end(struct txn *t)
{
	for (size_t i = 0; i < t->key_count; i++) {
		txn_prefetch_key(t, i + TXN_AHEAD);
		let_go(t, &t->keys[i]);
	}
	if (t->is_auditing)
		txn_end_audit(t);
	t->key_count = t->index_count = 0;
	t->hint_name = NULL;
	t->is_flushing = false;
	t->wall_ms = 0;
	if (t->key_cap > TXN_KEEP_MAX)
		free_keys(t);
}

void txn_abort(struct txn *t)
{
	txn_end(t);
}

/* ---- active expiry ---- */

/* Opening it to write is enough: what has expired is staged as deleted. */
static bool end_expired(struct txn *t, struct slice name)
{
	txn_begin(t);
	return txn_open(t, &name, 1, TXN_WRITE) == TXN_OK && txn_commit(t) == TXN_OK;
}

bool txn_expire_some(struct txn *t)
{
	struct expiry_name names[TXN_EXPIRE_SLICE];
	size_t count = expiry_due(&t->registry->expiry, t->worker, clock_wall_ms(), names, TXN_EXPIRE_SLICE);
	bool has_ended = false;

	for (size_t i = 0; i < count; i++)
		has_ended |= end_expired(t, (struct slice){.data = names[i].bytes, .len = names[i].len});
	/* Without memory none ends: then not again at once. */
	return count == TXN_EXPIRE_SLICE && has_ended;
}
