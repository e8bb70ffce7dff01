/* SPDX-License-Identifier: MIT */
/*
 * txn_commit.c - the end of txn.h: what was staged is recorded in the open epoch, then published with one
 * store a counter, under the locks of all. Entered by the worker of the txn.
 */
#include <errno.h>

#include "txn_private.h"
#include "window.h"

/* ---- effects ---- looked at once, when nothing is staged any more */

enum txn_effect {
	EFFECT_ANY = 1 << 0,
	EFFECT_NEW = 1 << 1, /* an object comes into being */
	EFFECT_END = 1 << 2, /* the one that was opened ends */
	EFFECT_STATE =
		1 << 3, /* what stands in its extra, and on disk as one record, is another than before */
	EFFECT_HITS = 1 << 4,
	EFFECT_AUDIT = 1 << 5, /* the new object is audited */
	EFFECT_LOG = 1 << 6,   /* there are entries of the audit log */
	/* it must have an extra */
	EFFECTS_EXTRA = EFFECT_STATE | EFFECT_HITS | EFFECT_AUDIT,
};

static bool is_new_object(const struct txn_key *k)
{
	return k->effects & EFFECT_NEW;
}

static bool is_end_of_object(const struct txn_key *k)
{
	return k->effects & EFFECT_END;
}

/* False also of a name that was given before. */
static bool is_changed(const struct txn_key *k)
{
	return k->effects & EFFECT_ANY;
}

static bool is_state_changed(const struct txn_key *k, bool is_new)
{
	if (is_new || !k->extra)
		return k->expire_at_ms != 0 || k->tat_ns != 0;
	/* Written under the lock only, which we hold. */
	return k->expire_at_ms != atomic_load_explicit(&k->extra->expire_at_ms, memory_order_relaxed) ||
	       k->tat_ns != k->extra->tat_ns;
}

static uint8_t effects_of(const struct txn *t, const struct txn_key *k)
{
	bool is_new = k->is_live && (!k->was_live || k->is_deleted);
	unsigned effects = is_new ? EFFECT_NEW : 0;

	if (k->was_live && (!k->is_live || k->is_deleted))
		effects |= EFFECT_END;
	if (k->is_live && is_state_changed(k, is_new))
		effects |= EFFECT_STATE;
	if (k->hits)
		effects |= EFFECT_HITS;
	if (is_new && txn_audits_new(t, k))
		effects |= EFFECT_AUDIT | EFFECT_LOG;
	if (effects || k->value != k->value_before)
		effects |= EFFECT_ANY;
	if (effects && k->extra && k->extra->is_audited)
		effects |= EFFECT_LOG;
	return (uint8_t)effects;
}

/* Returns the effects of all. */
static unsigned find_effects(struct txn *t)
{
	unsigned all = 0;

	for (size_t i = 0; i < t->key_count; i++) {
		t->keys[i].effects = txn_is_distinct(t, (uint32_t)i) ? effects_of(t, &t->keys[i]) : 0;
		all |= t->keys[i].effects;
	}
	return all;
}

/* The extra of the object that is there afterwards; null: it has none. */
static struct extra *extra_after(const struct txn_key *k)
{
	if (k->extra_new || is_new_object(k))
		return k->extra_new;
	return k->is_live ? k->extra : NULL;
}

static uint64_t delta_of(const struct txn_key *k)
{
	return (uint64_t)k->value - (uint64_t)(is_new_object(k) ? 0 : k->value_before);
}

/* Of an object that ends, what it had is nobody's business any more. */
static bool has_delta(const struct txn_key *k)
{
	return k->is_live && delta_of(k) != 0;
}

static int64_t base_after(const struct txn_key *k)
{
	if (is_new_object(k))
		return k->value;
	return (int64_t)((uint64_t)counter_base(k->counter) + delta_of(k));
}

/* With cells, base has its own half of the range; what does not fit needs the cells merged first. */
static int check_range(struct txn *t)
{
	for (size_t i = 0; i < t->key_count; i++) {
		struct txn_key *k = &t->keys[i];

		if (!is_changed(k) || !counter_has_cells(k->object))
			continue;
		if (k->effects & (EFFECT_END | EFFECT_STATE | EFFECT_HITS))
			return -EINVAL; /* a handler that should have asked for TXN_WHOLE */
		if (!counter_may_have_cells(base_after(k))) {
			/* What was staged is void either way; merged at once means: again at once (wait_epoch
			 * 0). */
			(void)txn_merge_all(t);
			return TXN_WAIT;
		}
	}
	return TXN_OK;
}

static int64_t second_of(struct txn *t)
{
	return txn_steady_ns(t) / CLOCK_NS_PER_S;
}

/* Does max-memory stand in its way? Not for an expiry of a counter that is there: that is a way out. */
static bool needs_room(const struct txn_key *k)
{
	return is_new_object(k) || (k->effects & EFFECT_HITS) || k->tat_ns != 0;
}

/* What can fail about extras: their memory, and room in the open buffer. */
static int prepare_extras(struct txn *t)
{
	size_t states = 0, hits = 0;

	for (size_t i = 0; i < t->key_count; i++) {
		struct txn_key *k = &t->keys[i];
		int rc = 0;

		if (!(k->effects & EFFECTS_EXTRA))
			continue;
		if (!extra_after(k) && needs_room(k) && registry_is_full(t->registry))
			return -EDQUOT;
		if (!extra_after(k))
			rc = registry_extra_new(t->registry, k->counter, 0, &k->extra_new);
		if (!rc && (k->effects & EFFECT_HITS))
			rc = registry_extra_prepare_hit(t->registry, extra_after(k), second_of(t));
		if (rc)
			return rc;
		states += (k->effects & EFFECT_STATE) != 0;
		hits += (k->effects & EFFECT_HITS) != 0;
	}
	return epoch_buffer_reserve(t->epoch->open, states, hits);
}

/* New ids in a row and, in a transaction with FLUSHALL, the new floor right below them. -EAGAIN: another
 * FLUSHALL came between opening and now, and some of what we saw is gone: what is done here must be wholly
 * before it or wholly after. */
static int draw_ids(struct txn *t)
{
	uint64_t count = 0, id;

	for (size_t i = 0; i < t->key_count; i++)
		count += is_new_object(&t->keys[i]);
	if (t->is_flushing) {
		if (!registry_flush(t->registry, t->epoch->own, &t->epoch->clock->open, &t->floor_seen, count,
				    &id))
			return -EAGAIN;
		txn_note_dirty(t);
		epoch_buffer_flush(t->epoch->open, id);
	} else if (count && !registry_draw(t->registry, count, t->floor_seen, &id)) {
		return -EAGAIN;
	}
	for (size_t i = 0; i < t->key_count && count; i++)
		if (is_new_object(&t->keys[i]))
			t->keys[i].id_new = id++;
	return 0;
}

/* Of the object that is there afterwards; draw_ids has set id_new where it is a new one. */
static inline uint64_t record_id(const struct txn_key *k)
{
	return k->id_new ? k->id_new : counter_id(k->object);
}

static int record_one(struct epoch_buffer *b, const struct txn_key *k)
{
	uint64_t id = record_id(k);
	int rc = 0;

	if (is_end_of_object(k))
		rc = epoch_buffer_delete(b, counter_id(k->object));
	if (!rc && is_new_object(k))
		rc = epoch_buffer_create(b, id, k->name);
	if (!rc && has_delta(k))
		rc = epoch_buffer_add(b, id, delta_of(k));
	return rc;
}

/* There is room: prepare_extras. */
static void record_extra(struct txn *t, const struct txn_key *k)
{
	const struct journal_state state = {
		.id = record_id(k),
		.version = extra_after(k) ? extra_after(k)->version + 1 : 0,
		.expire_at_ms = k->expire_at_ms,
		.tat_ns = k->tat_ns,
	};
	struct journal_hit hit = {.id = record_id(k), .count = k->hits};

	if (k->effects & EFFECT_STATE)
		epoch_buffer_state(t->epoch->open, &state);
	if (k->effects & EFFECT_HITS) {
		hit.second = second_of(t);
		epoch_buffer_hit(t->epoch->open, &hit);
	}
}

static void record_extras(struct txn *t)
{
	for (size_t i = 0; i < t->key_count; i++)
		if (t->keys[i].effects & (EFFECT_STATE | EFFECT_HITS))
			record_extra(t, &t->keys[i]);
}

int txn_record_rider(struct txn *t)
{
	if (!t->rider)
		return 0;
	txn_note_dirty(t);
	return t->rider(t->rider_arg, t->epoch);
}

/* All effects, or none of them, into the open buffer. */
static int record_all(struct txn *t)
{
	struct epoch_buffer *b = t->epoch->open;
	size_t names = b->names.tail, deletes = b->deletes.tail;
	int rc = 0;
	size_t i;

	for (i = 0; i < t->key_count && !rc; i++) {
		if (i + TXN_AHEAD < t->key_count)
			__builtin_prefetch(epoch_buffer_place(b, record_id(&t->keys[i + TXN_AHEAD])));
		if (is_changed(&t->keys[i]))
			rc = record_one(b, &t->keys[i]);
	}
	if (!rc) {
		rc = txn_record_rider(t);
		i++;
	}
	if (!rc)
		return 0;
	/* The failed one left no delta: its delta comes last. */
	for (i--; i-- > 0;)
		if (is_changed(&t->keys[i]) && has_delta(&t->keys[i]))
			(void)epoch_buffer_add(b, record_id(&t->keys[i]), 0 - delta_of(&t->keys[i]));
	b->names.tail = names;
	b->deletes.tail = deletes;
	return rc;
}

/* The sharded path met this counter under the lock: does it change hands all the time? */
static bool wants_cells(struct txn *t, struct txn_key *k)
{
	struct counter *c = k->counter;

	if (t->is_always_cells && is_new_object(k))
		return true;
	if (!(t->mode & TXN_SHARDED))
		return false;
	if (t->is_always_cells)
		return true;
	if (!txn_is_heat_fresh(t, k->stamp_before))
		c->heat = 0;
	if (c->writer != t->worker) {
		c->writer = (uint8_t)t->worker;
		if (c->heat < UINT8_MAX)
			c->heat++;
	}
	return c->heat >= TXN_HEAT_FOR_CELLS;
}

/* The object word after this change. Without memory for cells a counter does without them. */
static uint64_t object_after(struct txn *t, struct txn_key *k)
{
	uint64_t id = record_id(k);
	struct counter_cells *cells;

	if (!k->is_live)
		return COUNTER_ABSENT;
	if (extra_after(k))
		return counter_object_of_extra(extra_after(k));
	if (!is_new_object(k) && counter_has_cells(k->object))
		return k->object;
	if (!wants_cells(t, k) || !counter_may_have_cells(base_after(k)))
		return counter_object_of_id(id);
	k->counter->heat = 0;
	cells = registry_cells_new(t->registry, id, t->workers);
	return cells ? (uint64_t)(uintptr_t)cells : counter_object_of_id(id);
}

static void publish_extra(struct txn *t, struct txn_key *k, struct extra *x)
{
	/* Once, before anybody else knows it: others read the id without the lock. */
	if (k->extra_new)
		x->id = record_id(k);
	if (is_new_object(k))
		x->is_audited = k->effects & EFFECT_AUDIT;
	if (k->effects & EFFECT_STATE) {
		x->version++;
		x->tat_ns = k->tat_ns;
		/* release: who sees the moment sees the stamp. */
		atomic_store_explicit(&x->expire_at_ms, k->expire_at_ms, memory_order_release);
		if (x->due_ms != k->expire_at_ms)
			expiry_set(&t->registry->expiry, t->worker, x, k->expire_at_ms);
	}
	if (k->effects & EFFECT_HITS)
		window_add(x->window, second_of(t), k->hits);
}

/* The lock is held. Base before object: a reader without the lock checks that the object word is still the
 * same. */
static void publish(struct txn *t, struct txn_key *k)
{
	uint64_t word = counter_object(k->counter);
	uint64_t object = object_after(t, k);

	counter_raise(k->counter, t->epoch->own, &t->epoch->clock->open);
	txn_tell(t, t->epoch->own);
	if (k->is_live)
		counter_set_base(k->counter, base_after(k));
	if (extra_after(k))
		publish_extra(t, k, extra_after(k));
	k->extra_new = NULL; /* the counter's, or there was none */
	if (object == word)
		return;
	counter_set_object(k->counter, object);
	txn_retire_side(t, word);
	if (k->is_expired)
		atomic_fetch_add_explicit(&t->registry->expired_count, 1, memory_order_relaxed);
	if (is_new_object(k) || is_end_of_object(k))
		registry_count(t->registry, t->epoch->own, is_new_object(k) ? k->id_new : 0,
			       is_end_of_object(k) ? counter_id(k->object) : 0);
}

int txn_commit(struct txn *t)
{
	unsigned effects;
	int rc = TXN_OK;

	if (t->mode & TXN_WRITE) {
		effects = find_effects(t);
		rc = check_range(t);
		if (!rc && (effects & EFFECTS_EXTRA))
			rc = prepare_extras(t);
		if (!rc && ((effects & EFFECT_LOG) || t->is_auditing))
			rc = txn_prepare_audit(t);
		if (!rc)
			rc = draw_ids(t);
		if (rc == -EAGAIN) {
			t->wait_epoch = 0; /* at once */
			rc = TXN_WAIT;
		}
		if (!rc) {
			txn_note_dirty(t);
			rc = record_all(t);
		}
		if (!rc && (effects & (EFFECT_STATE | EFFECT_HITS)))
			record_extras(t);
		if (!rc && t->is_auditing)
			txn_record_audit(t);
		for (size_t i = 0; i < t->key_count && !rc; i++) {
			txn_prefetch_key(t, i + TXN_AHEAD);
			if (is_changed(&t->keys[i]))
				publish(t, &t->keys[i]);
		}
		if (!rc && t->is_flushing)
			txn_tell(t, t->epoch->own);
	}
	txn_end(t);
	return rc;
}
