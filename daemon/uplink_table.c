/* SPDX-License-Identifier: MIT */
/* uplink_table.c - see uplink_table.h. */
#include "uplink_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the table ---- */

int uplink_table_init(struct uplink_table *t)
{
	memset(t, 0, sizeof(*t));
	pthread_mutex_init(&t->mutex, NULL);
	hash_key_init(&t->key);
	STAILQ_INIT(&t->due);
	STAILQ_INIT(&t->round);
	STAILQ_INIT(&t->left);
	if (uplink_index_init(&t->by_name, &t->key) == 0 && uplink_index_init(&t->by_id, NULL) == 0)
		return 0;
	uplink_table_fini(t);
	return -ENOMEM;
}

void uplink_table_fini(struct uplink_table *t)
{
	for (size_t i = 0; t->by_name.slots && i <= t->by_name.mask; i++)
		free(t->by_name.slots[i]);
	uplink_index_fini(&t->by_name);
	uplink_index_fini(&t->by_id);
	pthread_mutex_destroy(&t->mutex);
}

/* The entry of the name, made when there is none. 0 or -ENOMEM. */
static int get_name(struct uplink_table *t, struct slice name, struct uplink_entry **out)
{
	struct uplink_entry *e = uplink_index_name(&t->by_name, name);

	if (!e) {
		int rc = uplink_index_reserve(&t->by_name, 1);

		if (rc < 0)
			return rc;
		if (rc == UPLINK_INDEX_MOVED)
			t->sweep_at = 0;
		e = malloc(sizeof(*e) + name.len);
		if (!e)
			return -ENOMEM;
		*e = (struct uplink_entry){.name_len = (uint8_t)name.len};
		memcpy(e->name, name.data, name.len);
		uplink_index_put(&t->by_name, e);
	}
	*out = e;
	return 0;
}

/* ---- queues ---- */

static void to_due(struct uplink_table *t, struct uplink_entry *e)
{
	e->place = UPLINK_IN_QUEUE;
	STAILQ_INSERT_TAIL(&t->due, e, link);
	t->due_count++;
}

static void to_round(struct uplink_table *t, struct uplink_entry *e)
{
	e->place = UPLINK_IN_QUEUE;
	STAILQ_INSERT_TAIL(&t->round, e, link);
	t->round_count++;
}

static void to_left(struct uplink_table *t, struct uplink_entry *e)
{
	e->place = UPLINK_IN_QUEUE;
	STAILQ_INSERT_TAIL(&t->left, e, link);
	t->left_count++;
}

static void changed(struct uplink_table *t, struct uplink_entry *e, int64_t now_ms)
{
	if (!t->due_since_ms)
		t->due_since_ms = now_ms;
	if (e->place == UPLINK_UNDER_WAY)
		e->is_changed = true;
	else if (e->place == UPLINK_AT_REST)
		to_due(t, e);
}

/* ---- recovery ---- */

int uplink_table_load(struct uplink_table *t, uint64_t id, struct slice name, int64_t value)
{
	struct uplink_entry *e;
	int rc;

	pthread_mutex_lock(&t->mutex);
	rc = uplink_index_reserve(&t->by_id, 1);
	if (rc >= 0)
		rc = get_name(t, name, &e);
	if (!rc) {
		e->id = id;
		e->committed = e->at_start = value;
		uplink_index_put(&t->by_id, e);
	}
	pthread_mutex_unlock(&t->mutex);
	return rc;
}

void uplink_table_load_baseline(struct uplink_table *t, uint64_t id, int64_t value)
{
	struct uplink_entry *e;

	pthread_mutex_lock(&t->mutex);
	e = uplink_index_id(&t->by_id, id);
	if (e)
		e->baseline = value;
	pthread_mutex_unlock(&t->mutex);
}

void uplink_table_loaded(struct uplink_table *t, uint64_t epoch)
{
	pthread_mutex_lock(&t->mutex);
	t->epoch = t->fed = epoch;
	pthread_mutex_unlock(&t->mutex);
}

/* ---- the committer ---- */

static int reserve_names(struct uplink_table *t, const struct epoch_buffer *b, size_t *count)
{
	struct uplink_entry *e;
	struct slice name;
	size_t pos = 0;
	uint64_t id;

	while (epoch_buffer_next_name(b, &pos, &id, &name)) {
		if (get_name(t, name, &e))
			return -ENOMEM;
		if (e->id == 0) {
			e->is_new |= e->belief == UPLINK_UNKNOWN && e->place == UPLINK_AT_REST;
			/* A sweep may come by before the epoch is on disk. */
			e->is_reserved = true;
		}
		++*count;
	}
	return 0;
}

int uplink_table_reserve(struct uplink_table *t, struct epoch_buffer *const *buffers, size_t count)
{
	size_t names = 0;
	int rc = 0;

	pthread_mutex_lock(&t->mutex);
	for (size_t i = 0; i < count && !rc; i++)
		rc = reserve_names(t, buffers[i], &names);
	if (!rc)
		rc = uplink_index_reserve(&t->by_id, names);
	pthread_mutex_unlock(&t->mutex);
	return rc < 0 ? rc : 0;
}

/* The name has no object any more. */
static void end_object(struct uplink_table *t, struct uplink_entry *e)
{
	uplink_index_take(&t->by_id, e);
	e->id = 0;
	e->committed = e->baseline = e->at_start = 0;
}

/* Ids are drawn while the name is locked: of two that a name has had, the larger one is the later. */
static void apply_names(struct uplink_table *t, const struct epoch_buffer *b, int64_t now_ms)
{
	struct uplink_entry *e;
	struct slice name;
	size_t pos = 0;
	uint64_t id;

	while (epoch_buffer_next_name(b, &pos, &id, &name)) {
		e = uplink_index_name(&t->by_name, name);
		if (!e)
			continue;
		e->is_reserved = e->is_found = false;
		if (id <= e->id || id < t->floor_id)
			continue;
		if (e->id)
			end_object(t, e);
		e->id = id;
		uplink_index_put(&t->by_id, e);
		changed(t, e, now_ms);
	}
}

/* Deltas come in no order, and each would wait for memory twice: for its place in the index, then for its
 * entry. So some are collected, and what they need is on its way together. */
enum { AT_ONCE = 32 };

struct application {
	struct uplink_table *table;
	int64_t now_ms;
	struct journal_delta deltas[AT_ONCE];
	size_t count;
};

static void apply_collected(struct application *a)
{
	const struct uplink_index *x = &a->table->by_id;
	struct uplink_entry *e;

	for (size_t i = 0; i < a->count; i++)
		__builtin_prefetch(uplink_index_place(x, a->deltas[i].id));
	for (size_t i = 0; i < a->count; i++)
		__builtin_prefetch(*uplink_index_place(x, a->deltas[i].id), 1);
	for (size_t i = 0; i < a->count; i++) {
		e = uplink_index_id(x, a->deltas[i].id);
		if (!e)
			continue;
		e->committed = (int64_t)((uint64_t)e->committed + a->deltas[i].delta);
		changed(a->table, e, a->now_ms);
	}
	a->count = 0;
}

static void apply_delta(void *arg, struct journal_delta d)
{
	struct application *a = arg;

	a->deltas[a->count++] = d;
	if (a->count == AT_ONCE)
		apply_collected(a);
}

static void apply_deletes(struct uplink_table *t, const struct epoch_buffer *b, int64_t now_ms)
{
	struct uplink_entry *e;
	uint64_t id;

	for (size_t pos = 0; pos < buf_len(&b->deletes); pos += sizeof(id)) {
		memcpy(&id, buf_head(&b->deletes) + pos, sizeof(id));
		e = uplink_index_id(&t->by_id, id);
		if (!e)
			continue;
		end_object(t, e);
		changed(t, e, now_ms);
	}
}

static void apply_floor(struct uplink_table *t, uint64_t floor_id, int64_t now_ms)
{
	if (floor_id <= t->floor_id)
		return;
	t->floor_id = floor_id;
	for (size_t i = 0; i <= t->by_name.mask; i++) {
		struct uplink_entry *e = t->by_name.slots[i];

		if (!e || e->id == 0 || e->id >= floor_id)
			continue;
		end_object(t, e);
		changed(t, e, now_ms);
	}
}

/* What one worker has made another may have changed, and a third ended, in one epoch: so in this order. */
bool uplink_table_end_epoch(struct uplink_table *t, struct epoch_buffer *const *buffers, size_t count,
			    uint64_t epoch, bool has_content, int64_t now_ms)
{
	struct application a = {.table = t, .now_ms = now_ms};
	bool was_due;

	pthread_mutex_lock(&t->mutex);
	was_due = t->due_since_ms != 0;
	for (size_t i = 0; i < count; i++)
		apply_names(t, buffers[i], now_ms);
	for (size_t i = 0; i < count; i++)
		epoch_buffer_each(buffers[i], apply_delta, &a);
	apply_collected(&a);
	for (size_t i = 0; i < count; i++)
		apply_deletes(t, buffers[i], now_ms);
	for (size_t i = 0; i < count; i++)
		apply_floor(t, buffers[i]->floor_id, now_ms);
	t->fed = epoch;
	if (has_content)
		t->epoch = epoch;
	was_due = !was_due && t->due_since_ms;
	pthread_mutex_unlock(&t->mutex);
	return was_due;
}

/* ---- a round ---- */

size_t uplink_table_begin_round(struct uplink_table *t)
{
	size_t count;

	pthread_mutex_lock(&t->mutex);
	STAILQ_CONCAT(&t->round, &t->left);
	t->round_count += t->left_count;
	t->left_count = 0;
	if (!t->is_looking) {
		STAILQ_CONCAT(&t->round, &t->due);
		t->round_count += t->due_count;
		t->due_count = 0;
		if (!t->round_since_ms)
			t->round_since_ms = t->due_since_ms;
		t->due_since_ms = 0;
		t->round_epoch = t->fed;
	}
	count = t->round_count;
	pthread_mutex_unlock(&t->mutex);
	return count;
}

static void note_refused(struct uplink_table *t, struct uplink_entry *e, bool is_refused)
{
	if (e->is_refused && !is_refused)
		t->refused_count--;
	if (!e->is_refused && is_refused)
		t->refused_count++;
	e->is_refused = is_refused;
}

static void put_before(struct uplink_push *p, const struct uplink_entry *e)
{
	p->before_len = 0;
	if (e->belief == UPLINK_PRESENT)
		p->before_len = (uint8_t)uplink_put_field(p->before, &e->there);
	else if (e->belief == UPLINK_UNKNOWN && p->is_look)
		p->before[p->before_len++] = '?'; /* nothing is that: we are told */
}

/* What is on its way yet expects the field that is there: it gets another mark, so that nothing comes of that
 * any more. What it stands for stays. */
static void prepare_fence(struct uplink_entry *e, const struct uplink_mark *now, struct uplink_push *p)
{
	p->after = e->there;
	p->after.mark = *now;
	p->delta = 0;
	p->is_look = e->belief == UPLINK_PRESENT && e->there.mark.start == now->start &&
		     e->there.mark.epoch == now->epoch;
	put_before(p, e);
}

/* False: it is as it should be. */
static bool prepare(struct uplink_table *t, struct uplink_entry *e, uint64_t start, int64_t wanted,
		    struct uplink_push *p)
{
	const struct uplink_mark now = {.start = start, .epoch = t->epoch};
	struct uplink_step step;

	p->is_look = uplink_is_right(&e->there, e->id, wanted);
	if (p->is_look && e->belief != UPLINK_UNKNOWN && !e->is_looked_at && !e->is_in_doubt) {
		note_refused(t, e, false);
		return false;
	}
	if (t->is_looking && e->is_lost) {
		prepare_fence(e, &now, p);
		return true;
	}
	/* What was not made by this start is likely to be there. */
	if (t->is_looking || (e->belief == UPLINK_UNKNOWN && !e->is_new))
		p->is_look = true;
	put_before(p, e);
	step = uplink_step(&e->there, e->id, wanted, &now);
	p->after = step.field;
	p->delta = step.delta;
	return true;
}

bool uplink_table_take(struct uplink_table *t, uint64_t start, struct uplink_push *out)
{
	struct uplink_entry *e;
	bool is_found = false;
	int64_t wanted;

	pthread_mutex_lock(&t->mutex);
	while (!is_found && (e = STAILQ_FIRST(&t->round))) {
		STAILQ_REMOVE_HEAD(&t->round, link);
		t->round_count--;
		e->place = UPLINK_AT_REST;
		if (t->is_looking && !e->is_in_doubt)
			to_due(t, e);
		else if (!uplink_contribution(e->committed, e->baseline, &wanted))
			note_refused(t, e, true);
		else
			is_found = prepare(t, e, start, wanted, out);
	}
	if (is_found) {
		out->entry = e;
		e->place = UPLINK_UNDER_WAY;
		e->is_changed = false;
		t->under_way_count++;
	}
	pthread_mutex_unlock(&t->mutex);
	return is_found;
}

/* A name without an object, and nothing of it in the cluster. */
static bool is_nobodys(const struct uplink_entry *e)
{
	return e->id == 0 && !e->is_reserved && e->belief != UPLINK_UNKNOWN &&
	       uplink_is_right(&e->there, 0, 0) && !e->is_in_doubt;
}

/* It is at rest. Another entry may be in its place of the index then. */
static void forget(struct uplink_table *t, struct uplink_entry *e)
{
	uplink_index_take(&t->by_name, e);
	note_refused(t, e, false);
	free(e);
}

/* What is believed from now on. True: it is to be sent again at once. */
static bool believe(struct uplink_entry *e, const struct uplink_push *p, const struct uplink_answer *a)
{
	int64_t wanted;

	if (a->outcome == UPLINK_PUSHED && !p->is_look) {
		e->belief = UPLINK_PRESENT;
		e->there = p->after;
	} else if (a->outcome == UPLINK_OTHER) {
		e->belief = a->has_field ? UPLINK_PRESENT : UPLINK_ABSENT;
		e->there = a->field;
	}
	return uplink_contribution(e->committed, e->baseline, &wanted) &&
	       !uplink_is_right(&e->there, e->id, wanted);
}

bool uplink_table_answer(struct uplink_table *t, const struct uplink_push *p, const struct uplink_answer *a)
{
	struct uplink_entry *e = p->entry;
	bool is_answered = a->outcome == UPLINK_PUSHED || a->outcome == UPLINK_OTHER;
	bool is_repair = a->outcome == UPLINK_OTHER && e->belief != UPLINK_UNKNOWN, is_again = false;

	pthread_mutex_lock(&t->mutex);
	t->under_way_count--;
	e->place = UPLINK_AT_REST;
	if (is_answered) {
		is_repair &= !e->is_in_doubt;
		is_again = believe(e, p, a);
		e->is_found &= !a->has_field;
		e->is_looked_at = e->is_in_doubt = e->is_lost = false;
	}
	if (a->outcome == UPLINK_LOST && !p->is_look)
		e->is_in_doubt = e->is_lost = true;
	/* Where nothing can be looked at any more nothing would be found out later, either. */
	if (a->outcome == UPLINK_BROKEN || (a->outcome == UPLINK_REFUSED && t->is_looking && !e->is_lost))
		e->is_in_doubt = e->is_lost = false;
	note_refused(t, e, a->outcome == UPLINK_REFUSED);
	if (a->outcome == UPLINK_LOST || a->outcome == UPLINK_UNSENT)
		to_left(t, e);
	else if ((is_again || a->outcome == UPLINK_BROKEN) && !t->is_looking)
		to_round(t, e);
	else if (is_again || e->is_changed || a->outcome == UPLINK_BROKEN)
		to_due(t, e);
	else if (e->is_found && is_nobodys(e) && t->sweep_at == 0)
		forget(t, e); /* not in the midst of a sweep, which others would be moved past */
	pthread_mutex_unlock(&t->mutex);
	return is_repair;
}

bool uplink_table_end_round(struct uplink_table *t)
{
	bool is_through;

	pthread_mutex_lock(&t->mutex);
	is_through = t->round_count + t->left_count + t->under_way_count == 0;
	if (is_through && !t->is_looking) {
		t->synced_epoch = t->round_epoch;
		t->round_since_ms = 0;
	}
	pthread_mutex_unlock(&t->mutex);
	return is_through;
}

/* ---- sweeps ---- */

bool uplink_table_sweep(struct uplink_table *t, size_t max)
{
	struct uplink_index *x = &t->by_name;
	bool is_through;

	pthread_mutex_lock(&t->mutex);
	while (max > 0 && t->sweep_at <= x->mask) {
		struct uplink_entry *e = x->slots[t->sweep_at];

		if (e && e->place == UPLINK_AT_REST && is_nobodys(e)) {
			forget(t, e);
			continue;
		}
		if (e && e->place == UPLINK_AT_REST) {
			e->is_looked_at = true;
			to_round(t, e);
			max--;
		} else if (e) {
			e->is_looked_at = true; /* it is on its way */
		}
		t->sweep_at++;
	}
	is_through = t->sweep_at > x->mask;
	if (is_through)
		t->sweep_at = 0;
	pthread_mutex_unlock(&t->mutex);
	return !is_through;
}

void uplink_table_sweep_again(struct uplink_table *t)
{
	pthread_mutex_lock(&t->mutex);
	t->sweep_at = 0;
	pthread_mutex_unlock(&t->mutex);
}

int uplink_table_found(struct uplink_table *t, struct slice name)
{
	struct uplink_entry *e;
	int rc = 0;

	pthread_mutex_lock(&t->mutex);
	if (!uplink_index_name(&t->by_name, name)) {
		rc = get_name(t, name, &e);
		if (!rc) {
			e->is_found = true;
			to_round(t, e);
		}
	}
	pthread_mutex_unlock(&t->mutex);
	return rc;
}

void uplink_table_look_again(struct uplink_table *t, struct slice name)
{
	struct uplink_entry *e;

	pthread_mutex_lock(&t->mutex);
	e = uplink_index_name(&t->by_name, name);
	if (e) {
		e->is_looked_at = true;
		if (e->place == UPLINK_AT_REST)
			to_round(t, e);
	}
	pthread_mutex_unlock(&t->mutex);
}

/* ---- a new incarnation ---- */

/* What this start has pushed may have been rolled back since, unseen as yet. */
static void doubt_pushed(struct uplink_table *t, uint64_t start)
{
	for (size_t i = 0; i <= t->by_name.mask; i++) {
		struct uplink_entry *e = t->by_name.slots[i];

		if (e && e->belief == UPLINK_PRESENT && e->there.mark.start == start)
			e->is_in_doubt = true;
	}
}

size_t uplink_table_begin_looking(struct uplink_table *t, uint64_t start)
{
	size_t count = 0;

	pthread_mutex_lock(&t->mutex);
	if (!t->is_looking)
		doubt_pushed(t, start);
	t->is_looking = true;
	for (size_t i = 0; i <= t->by_name.mask; i++)
		if (t->by_name.slots[i])
			count += t->by_name.slots[i]->is_in_doubt;
	/* Those that are refused meanwhile are in no queue; the others may be in any. */
	STAILQ_CONCAT(&t->round, &t->due);
	t->round_count += t->due_count;
	t->due_count = 0;
	for (size_t i = 0; i <= t->by_name.mask; i++) {
		struct uplink_entry *e = t->by_name.slots[i];

		if (e && e->is_in_doubt && e->place == UPLINK_AT_REST)
			to_round(t, e);
	}
	pthread_mutex_unlock(&t->mutex);
	return count;
}

/* At which value of the counter its field stands. This start has pushed it, or has found it so. */
static int64_t stands_at(const struct uplink_entry *e, uint64_t start)
{
	if (e->belief != UPLINK_PRESENT || e->there.mark.start != start || e->there.object != e->id)
		return e->at_start;
	return (int64_t)((uint64_t)e->baseline + (uint64_t)e->there.value);
}

static int by_id(const void *a, const void *b)
{
	const struct store_baseline *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

struct store_baseline *uplink_table_baselines(struct uplink_table *t, uint64_t start, size_t *count)
{
	struct store_baseline *rows;
	size_t n = 0;

	pthread_mutex_lock(&t->mutex);
	rows = malloc((t->by_id.count + 1) * sizeof(*rows));
	for (size_t i = 0; rows && i <= t->by_id.mask; i++) {
		const struct uplink_entry *e = t->by_id.slots[i];

		if (e && stands_at(e, start) != 0)
			rows[n++] = (struct store_baseline){.id = e->id, .value = stands_at(e, start)};
	}
	pthread_mutex_unlock(&t->mutex);
	*count = rows ? n : SIZE_MAX;
	if (rows)
		qsort(rows, n, sizeof(*rows), by_id);
	return rows;
}

void uplink_table_switch(struct uplink_table *t, uint64_t start)
{
	pthread_mutex_lock(&t->mutex);
	t->is_looking = false;
	for (size_t i = 0; i <= t->by_name.mask; i++) {
		struct uplink_entry *e = t->by_name.slots[i];

		if (!e)
			continue;
		/* A later switch of this start goes on from here. */
		e->baseline = e->at_start = e->id ? stands_at(e, start) : 0;
		e->belief = UPLINK_UNKNOWN;
		e->there = (struct uplink_field){.value = 0};
		e->is_in_doubt = e->is_lost = false;
		e->is_new = true;
		if (e->place == UPLINK_AT_REST)
			to_due(t, e);
	}
	pthread_mutex_unlock(&t->mutex);
}

/* ---- looking in ---- */

static void copy_state(const struct uplink_entry *e, struct uplink_state *out)
{
	*out = (struct uplink_state){
		.committed = e->committed,
		.baseline = e->baseline,
		.is_there = e->id != 0,
		.is_due = e->place != UPLINK_AT_REST,
		.is_refused = e->is_refused,
		.belief = e->belief,
		.there = e->there,
		.name_len = e->name_len,
	};
	memcpy(out->name, e->name, e->name_len);
}

bool uplink_table_state(struct uplink_table *t, struct slice name, struct uplink_state *out)
{
	const struct uplink_entry *e;

	pthread_mutex_lock(&t->mutex);
	e = uplink_index_name(&t->by_name, name);
	if (e)
		copy_state(e, out);
	pthread_mutex_unlock(&t->mutex);
	return e != NULL;
}

/* A page is a range of hashes, so it does not matter when the index grows between two. It ends where a home
 * ends; what belongs to a home stands behind it, before the next free place. */
size_t uplink_table_page(struct uplink_table *t, uint64_t *cursor, struct uplink_state *out, size_t max)
{
	const struct uplink_index *x = &t->by_name;
	size_t count = 0, home, at;

	pthread_mutex_lock(&t->mutex);
	home = uplink_index_home(x, *cursor);
	for (; home <= x->mask; home++) {
		size_t before = count;

		for (at = home; x->slots[at] && count < max; at = (at + 1) & x->mask) {
			const struct uplink_entry *e = x->slots[at];

			if (uplink_index_home_of(x, e) == home)
				copy_state(e, &out[count++]);
		}
		if (count < max)
			continue;
		/* Not to its end, perhaps: the next page begins with it. */
		count = before;
		break;
	}
	*cursor = home <= x->mask ? (uint64_t)home << x->shift : 0;
	pthread_mutex_unlock(&t->mutex);
	return count;
}

uint64_t uplink_table_epoch(struct uplink_table *t, uint64_t *fed)
{
	uint64_t epoch;

	pthread_mutex_lock(&t->mutex);
	epoch = t->epoch;
	*fed = t->fed;
	pthread_mutex_unlock(&t->mutex);
	return epoch;
}

struct uplink_counts uplink_table_counts(struct uplink_table *t)
{
	struct uplink_counts counts;

	pthread_mutex_lock(&t->mutex);
	counts = (struct uplink_counts){
		.names = t->by_name.count,
		.due = t->due_count + t->round_count + t->left_count + t->under_way_count,
		.refused = t->refused_count,
		.synced_epoch = t->synced_epoch,
	};
	pthread_mutex_unlock(&t->mutex);
	return counts;
}

int64_t uplink_table_lag_ms(struct uplink_table *t, int64_t now_ms)
{
	int64_t since;

	pthread_mutex_lock(&t->mutex);
	since = t->round_since_ms ? t->round_since_ms : t->due_since_ms;
	pthread_mutex_unlock(&t->mutex);
	return since ? now_ms - since : 0;
}
