/* SPDX-License-Identifier: MIT */
/*
 * txn_audit.c - the part of txn.h that writes the audit log: what a transaction does to counters that are
 * audited, step by step, into the open buffer; and counters that begin or cease to be audited.
 *
 * A step is what one command has changed about one counter. Alone a command is the whole transaction, so its
 * steps are found at the commit; between MULTI and EXEC each command's are noted behind it. All of them are
 * recorded with the effects or none is, and stamped while all locks are held. Entered by the worker of the
 * txn.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "txn_private.h"

/* ---- who is audited ---- */

static bool matches(const struct txn *t, struct slice name)
{
	return t->audit && audit_is_on(t->audit) && audit_matches(t->audit, name);
}

/* An object that was there follows the patterns of when it was made, or swept; a new one those of now. */
static bool is_audited(const struct txn *t, const struct txn_key *k)
{
	bool is_old = k->was_live && !k->is_deleted;

	return (k->extra && k->extra->is_audited) || (!is_old && matches(t, k->name));
}

bool txn_audits_new(const struct txn *t, const struct txn_key *k)
{
	return matches(t, k->name);
}

/* ---- steps ---- */

static struct txn_step *add_step(struct txn *t)
{
	t->is_auditing = true;
	if (txn_grow(&t->steps, &t->step_cap, t->step_count + 1, sizeof(*t->steps))) {
		t->is_step_lost = true;
		return NULL;
	}
	t->steps[t->step_count] = (struct txn_step){0};
	return &t->steps[t->step_count++];
}

/* What the counter was before the step that is being looked for. */
static void before_step(const struct txn *t, const struct txn_key *k, bool *is_live, int64_t *value)
{
	if (k->step) {
		*value = t->steps[k->step - 1].value;
		*is_live = t->steps[k->step - 1].is_live;
	} else {
		*is_live = k->was_live && !k->is_expired;
		*value = *is_live ? k->value_before : 0;
	}
}

static void note_step(struct txn *t, struct txn_key *k)
{
	struct txn_step *step;
	bool was_live;
	int64_t value;

	before_step(t, k, &was_live, &value);
	if (was_live == k->is_live && value == k->value)
		return;
	if (!k->is_live && !was_live)
		return;
	step = add_step(t);
	if (!step)
		return;
	step->key = (uint32_t)(k - t->keys);
	step->value = k->value;
	step->delta = (int64_t)((uint64_t)k->value - (uint64_t)value);
	step->is_live = k->is_live;
	step->is_old = k->was_live && !k->is_expired && !(k->is_live && k->is_deleted);
	step->operation = (uint8_t)(!k->is_live ? AUDIT_DELETE
				    : k->is_set ? AUDIT_SET
						: audit_operation_of(step->delta));
	k->step = (uint32_t)t->step_count;
}

void txn_note_steps(struct txn *t, size_t first, size_t count)
{
	if (!t->audit || !audit_is_on(t->audit))
		return;
	for (size_t i = first; i < first + count; i++)
		if (is_audited(t, txn_key(t, i)))
			note_step(t, txn_key(t, i));
}

/* Behind FLUSHALL, which has staged all keys as deleted, they are what it has left. */
void txn_note_flush(struct txn *t)
{
	struct txn_step *step = t->audit && audit_is_on(t->audit) ? add_step(t) : NULL;

	if (!step)
		return;
	step->operation = AUDIT_FLUSH;
	for (size_t i = 0; i < t->key_count; i++)
		t->keys[i].step = (uint32_t)t->step_count;
}

/* ---- entries ---- */

/* Whoever sent the request: where he is, and as whom he has logged in. The length. */
static size_t format_peer(const struct txn *t, char text[AUDIT_PEER_MAX])
{
	const struct client_address *address;
	char where[sizeof(address->peer)];
	int n;

	_Static_assert(sizeof(where) + sizeof(",login=") - 1 + ACCESS_LOGIN_SIZE - 1 <= AUDIT_PEER_MAX,
		       "nobody's login is cut");
	if (!t->client)
		return 0;
	address = &t->client->address;
	if (address->uid != (uid_t)-1)
		snprintf(where, sizeof(where), "uid=%lu,pid=%ld", (unsigned long)address->uid,
			 (long)address->pid);
	else
		snprintf(where, sizeof(where), "%s", address->peer);
	n = snprintf(text, AUDIT_PEER_MAX, "%s%s%s", where, *t->client->user ? ",login=" : "",
		     t->client->user);
	return (size_t)n;
}

static bool has_expired(const struct txn *t, size_t i)
{
	const struct txn_key *k = &t->keys[i];

	return txn_is_distinct(t, (uint32_t)i) && k->is_expired && k->extra->is_audited;
}

int txn_prepare_audit(struct txn *t)
{
	char peer[AUDIT_PEER_MAX];
	size_t peer_len = format_peer(t, peer), bytes = 0;

	t->is_auditing = true;
	t->entry_count = 0;
	for (size_t i = 0; i < t->key_count; i++) {
		if (txn_is_distinct(t, (uint32_t)i) && is_audited(t, &t->keys[i]))
			note_step(t, &t->keys[i]);
		if (has_expired(t, i)) {
			t->entry_count++;
			bytes += audit_entry_bytes(t->keys[i].name.len, strlen(AUDIT_PEER_EXPIRY));
		}
	}
	for (size_t i = 0; i < t->step_count; i++)
		bytes += audit_entry_bytes(
			t->steps[i].operation == AUDIT_FLUSH ? 0 : t->keys[t->steps[i].key].name.len,
			peer_len);
	t->entry_count += t->step_count;
	if (t->is_step_lost)
		return -ENOMEM;
	return bytes ? epoch_buffer_reserve_audit(t->epoch->open, bytes) : 0;
}

static void put_expired(struct txn *t, const struct txn_key *k, int64_t time_us)
{
	const struct audit_entry entry = {
		.id = counter_id(k->object),
		.time_us = time_us,
		.delta = (int64_t)(0 - (uint64_t)k->value_before),
		.name = k->name,
		.peer = slice_str(AUDIT_PEER_EXPIRY),
		.operation = AUDIT_EXPIRE,
	};

	audit_entry_put(&t->epoch->open->audit, &entry);
}

/* Where it belongs among the FLUSHALLs of the epoch. An object that begins and ends in this transaction has
 * no id: it is of now. `has_flushed`: a step before this one. */
static uint64_t id_of_step(const struct txn *t, const struct txn_step *step, bool has_flushed)
{
	const struct txn_key *k = &t->keys[step->key];
	uint64_t floor = t->epoch->open->floor_id;

	if (t->is_flushing)
		return has_flushed ? floor : floor - 1;
	if (step->is_old)
		return counter_id(k->object);
	return k->id_new ? k->id_new : atomic_load_explicit(&t->registry->id_next, memory_order_relaxed);
}

static void put_steps(struct txn *t, struct slice peer, int64_t time_us)
{
	bool has_flushed = false;

	for (size_t i = 0; i < t->step_count; i++) {
		const struct txn_step *step = &t->steps[i];
		struct audit_entry entry = {
			.time_us = time_us++,
			.delta = step->delta,
			.value = step->value,
			.peer = peer,
			.operation = step->operation,
		};

		has_flushed |= step->operation == AUDIT_FLUSH;
		entry.id = id_of_step(t, step, has_flushed);
		if (step->operation != AUDIT_FLUSH)
			entry.name = t->keys[step->key].name;
		audit_entry_put(&t->epoch->open->audit, &entry);
	}
}

/* Also where the steps have come to nothing: whoever changes the counter next must not be in an older epoch,
 * or his entry would stand before these. */
static void raise_stamps(struct txn *t)
{
	for (size_t i = 0; i < t->step_count; i++) {
		const struct txn_step *step = &t->steps[i];

		if (step->operation != AUDIT_FLUSH)
			counter_raise(t->keys[step->key].counter, t->epoch->own, &t->epoch->clock->open);
	}
	txn_tell(t, t->epoch->own);
}

void txn_record_audit(struct txn *t)
{
	char peer[AUDIT_PEER_MAX];
	size_t peer_len = format_peer(t, peer);
	int64_t time_us = audit_stamp(t->audit, t->entry_count ? t->entry_count : 1);

	for (size_t i = 0; i < t->key_count; i++)
		if (has_expired(t, i))
			put_expired(t, &t->keys[i], time_us++);
	put_steps(t, (struct slice){.data = peer, .len = peer_len}, time_us);
	raise_stamps(t);
}

void txn_end_audit(struct txn *t)
{
	t->step_count = t->entry_count = 0;
	t->is_step_lost = t->is_auditing = false;
	if (t->step_cap > TXN_KEEP_MAX) {
		free(t->steps);
		t->steps = NULL;
		t->step_cap = 0;
	}
}

/* ---- FLUSHALL alone ---- */

int txn_prepare_flush_entry(struct txn *t)
{
	return epoch_buffer_reserve_audit(t->epoch->open, audit_entry_bytes(0, AUDIT_PEER_MAX));
}

void txn_record_flush_entry(struct txn *t, uint64_t floor)
{
	char peer[AUDIT_PEER_MAX];
	struct audit_entry entry = {.id = floor, .operation = AUDIT_FLUSH};

	entry.peer = (struct slice){.data = peer, .len = format_peer(t, peer)};
	entry.time_us = audit_stamp(t->audit, 1);
	audit_entry_put(&t->epoch->open->audit, &entry);
}

/* ---- the patterns have changed ---- */

/* The counter is whole and locked, and has no extra. */
static int give_extra(struct txn *t, struct txn_key *k)
{
	struct extra *x;
	int rc = registry_extra_new(t->registry, k->counter, counter_id(k->object), &x);

	if (rc)
		return rc;
	x->is_audited = true;
	counter_set_object(k->counter, counter_object_of_extra(x));
	return 0;
}

/* It never had a state, nor a hit: one that had a state must remember how often that has changed, or the next
 * one would count for older than what is on disk. */
static bool is_for_audit_alone(const struct extra *x)
{
	return x->version == 0 && !x->window;
}

/* An extra that nothing is left in goes: the counter may have cells again. */
static void take_extra(struct txn *t, struct txn_key *k)
{
	uint64_t word = counter_object(k->counter);

	k->extra->is_audited = false;
	if (!is_for_audit_alone(k->extra))
		return;
	counter_set_object(k->counter, counter_object_of_id(counter_id(word)));
	txn_retire_side(t, word);
}

int txn_set_audited(struct txn *t, struct slice name, bool is_audited)
{
	struct txn_key *k;
	int rc = txn_open(t, &name, 1, TXN_WRITE | TXN_WHOLE);

	if (rc)
		return rc;
	k = txn_key(t, 0);
	if (k->is_live && k->extra && is_audited)
		k->extra->is_audited = true;
	else if (k->is_live && k->extra)
		take_extra(t, k);
	else if (k->is_live && is_audited)
		rc = give_extra(t, k);
	txn_abort(t);
	return rc;
}
