/* SPDX-License-Identifier: MIT */
/* uplink_table.c - see uplink_table.h: its entries, and who looks in from outside. */
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
	TAILQ_INIT(&t->due);
	TAILQ_INIT(&t->round);
	TAILQ_INIT(&t->left);
	TAILQ_INIT(&t->aside);
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

int uplink_table_get(struct uplink_table *t, struct slice name, struct uplink_entry **out)
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

void uplink_table_to_due(struct uplink_table *t, struct uplink_entry *e)
{
	e->place = UPLINK_IN_QUEUE;
	TAILQ_INSERT_TAIL(&t->due, e, link);
	t->due_count++;
}

void uplink_table_to_round(struct uplink_table *t, struct uplink_entry *e)
{
	e->place = UPLINK_IN_QUEUE;
	TAILQ_INSERT_TAIL(&t->round, e, link);
	t->round_count++;
}

void uplink_table_to_left(struct uplink_table *t, struct uplink_entry *e)
{
	e->place = UPLINK_IN_QUEUE;
	TAILQ_INSERT_TAIL(&t->left, e, link);
	t->left_count++;
}

void uplink_table_put_aside(struct uplink_table *t, struct uplink_entry *e, uint8_t why)
{
	uplink_table_note_refused(t, e, true);
	e->why = why;
	e->is_looked_at = false;
	e->place = UPLINK_ASIDE;
	TAILQ_INSERT_TAIL(&t->aside, e, link);
	t->aside_count++;
}

void uplink_table_fetch(struct uplink_table *t, struct uplink_entry *e)
{
	TAILQ_REMOVE(&t->aside, e, link);
	t->aside_count--;
	e->place = UPLINK_AT_REST;
	e->is_looked_at = true;
}

/* What is refused waits for its turn, however often it changes. */
void uplink_table_changed(struct uplink_table *t, struct uplink_entry *e, int64_t now_ms)
{
	if (e->place == UPLINK_ASIDE)
		return;
	if (!t->due_since_ms)
		t->due_since_ms = now_ms;
	if (e->place == UPLINK_UNDER_WAY)
		e->is_changed = true;
	else if (e->place == UPLINK_AT_REST)
		uplink_table_to_due(t, e);
}

void uplink_table_note_refused(struct uplink_table *t, struct uplink_entry *e, bool is_refused)
{
	if (e->is_refused && !is_refused)
		t->refused_count--;
	if (!e->is_refused && is_refused)
		t->refused_count++;
	e->is_refused = is_refused;
}

/* ---- recovery ---- */

int uplink_table_load(struct uplink_table *t, uint64_t id, struct slice name, int64_t value)
{
	struct uplink_entry *e;
	int rc;

	pthread_mutex_lock(&t->mutex);
	rc = uplink_index_reserve(&t->by_id, 1);
	if (rc >= 0)
		rc = uplink_table_get(t, name, &e);
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

/* ---- looking in ---- */

static void copy_state(const struct uplink_entry *e, struct uplink_state *out)
{
	*out = (struct uplink_state){
		.committed = e->committed,
		.baseline = e->baseline,
		.is_there = e->id != 0,
		.is_due = e->place != UPLINK_AT_REST,
		.is_refused = e->is_refused,
		.why = e->why,
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
		.aside = t->aside_count,
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
