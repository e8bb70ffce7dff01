/* SPDX-License-Identifier: MIT */
/*
 * uplink_baseline.c - see uplink_table.h: what a new incarnation begins with.
 */
#include "uplink_table.h"

#include <stdlib.h>
#include <string.h>

/* What this start has pushed may have been rolled back since, unseen as yet. */
static bool is_doubtful(const struct uplink_table *t, const struct uplink_entry *e, uint64_t start)
{
	return t->is_given_up || (e->belief == UPLINK_PRESENT && e->there.mark.start == start);
}

void uplink_table_doubt(struct uplink_table *t, uint64_t start, bool is_given_up)
{
	pthread_mutex_lock(&t->mutex);
	t->is_looking = true;
	t->is_given_up = is_given_up;
	for (size_t i = 0; i <= t->by_name.mask; i++)
		if (t->by_name.slots[i] && is_doubtful(t, t->by_name.slots[i], start))
			t->by_name.slots[i]->is_in_doubt = true;
	pthread_mutex_unlock(&t->mutex);
}

size_t uplink_table_look(struct uplink_table *t)
{
	size_t count = 0;

	pthread_mutex_lock(&t->mutex);
	for (size_t i = 0; i <= t->by_name.mask; i++)
		if (t->by_name.slots[i])
			count += t->by_name.slots[i]->is_in_doubt;
	/* Those that are refused meanwhile are aside; the others may be in any queue, or in none. */
	TAILQ_CONCAT(&t->round, &t->due, link);
	t->round_count += t->due_count;
	t->due_count = 0;
	for (size_t i = 0; i <= t->by_name.mask; i++) {
		struct uplink_entry *e = t->by_name.slots[i];

		if (e && e->is_in_doubt && e->place == UPLINK_ASIDE)
			uplink_table_fetch(t, e);
		if (e && e->is_in_doubt && e->place == UPLINK_AT_REST)
			uplink_table_to_round(t, e);
	}
	pthread_mutex_unlock(&t->mutex);
	return count;
}

/* At which value of the counter its field stands. This start has pushed it; or nobody adds to it, so that it
 * does not matter who has. Else others may have brought, or bring yet, all that this start has found. */
static int64_t stands_at(const struct uplink_table *t, const struct uplink_entry *e, uint64_t start)
{
	bool is_its = e->belief == UPLINK_PRESENT && e->there.object == e->id;

	if (is_its && (t->is_given_up || (e->there.mark.start == start && !e->is_only_marked)))
		return (int64_t)((uint64_t)e->baseline + (uint64_t)e->there.value);
	if (t->is_given_up && e->belief != UPLINK_UNKNOWN)
		return e->baseline;
	return e->at_start;
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

		if (e && stands_at(t, e, start) != 0)
			rows[n++] = (struct store_baseline){.id = e->id, .value = stands_at(t, e, start)};
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
		e->baseline = e->at_start = e->id ? stands_at(t, e, start) : 0;
		e->belief = UPLINK_UNKNOWN;
		e->there = (struct uplink_field){.value = 0};
		e->is_in_doubt = e->is_lost = e->is_only_marked = false;
		e->is_new = true;
		e->is_looked_at = true; /* whoever waits for it waits on */
		if (e->place == UPLINK_ASIDE)
			uplink_table_fetch(t, e);
		if (e->place == UPLINK_AT_REST)
			uplink_table_to_due(t, e);
	}
	t->is_given_up = false;
	pthread_mutex_unlock(&t->mutex);
}
