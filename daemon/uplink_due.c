/* SPDX-License-Identifier: MIT */
/*
 * uplink_due.c - see uplink_table.h: what is due is taken into a round, sent, and answered; a sweep puts more
 * into it, and so does what was refused.
 */
#include "uplink_table.h"

#include <stdlib.h>
#include <string.h>

/* ---- who is not needed any more ---- */

/* A name without an object, and nothing of it in the cluster. */
static bool is_nobodys(const struct uplink_entry *e)
{
	return e->id == 0 && !e->is_reserved && e->belief != UPLINK_UNKNOWN &&
	       uplink_is_right(&e->there, 0, 0) && !e->is_in_doubt;
}

/* It came and went, and nothing of it was ever sent, nor has the cluster told of it. */
static bool is_unheard_of(const struct uplink_entry *e)
{
	return e->id == 0 && !e->is_reserved && e->belief == UPLINK_UNKNOWN && e->is_new && !e->is_in_doubt;
}

/* It stands in no queue. Another entry may be in its place of the index then. */
static void forget(struct uplink_table *t, struct uplink_entry *e)
{
	uplink_index_take(&t->by_name, e);
	uplink_table_note_refused(t, e, false);
	free(e);
}

/* ---- a round ---- */

size_t uplink_table_begin_round(struct uplink_table *t)
{
	size_t count;

	pthread_mutex_lock(&t->mutex);
	TAILQ_CONCAT(&t->round, &t->left, link);
	t->round_count += t->left_count;
	t->left_count = 0;
	if (!t->is_looking) {
		TAILQ_CONCAT(&t->round, &t->due, link);
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
	p->is_fence = true;
	p->is_look = e->belief == UPLINK_PRESENT && e->there.mark.start == now->start &&
		     e->there.mark.epoch == now->epoch;
	put_before(p, e);
}

static void prepare_look(const struct uplink_table *t, struct uplink_entry *e, uint64_t start,
			 struct uplink_push *p)
{
	const struct uplink_mark now = {.start = start, .epoch = t->epoch};

	if (e->is_lost) {
		prepare_fence(e, &now, p);
		return;
	}
	p->is_fence = false;
	p->is_look = true;
	p->after = e->there;
	p->after.mark = now;
	p->delta = 0;
	put_before(p, e);
}

/* False: it is as it should be. */
static bool prepare(struct uplink_table *t, struct uplink_entry *e, uint64_t start, int64_t wanted,
		    struct uplink_push *p)
{
	const struct uplink_mark now = {.start = start, .epoch = t->epoch};
	struct uplink_step step;

	p->is_fence = false;
	p->is_look = uplink_is_right(&e->there, e->id, wanted);
	if (p->is_look && e->belief != UPLINK_UNKNOWN && !e->is_looked_at && !e->is_in_doubt) {
		uplink_table_note_refused(t, e, false);
		return false;
	}
	/* What was not made by this start is likely to be there. */
	if (e->belief == UPLINK_UNKNOWN && !e->is_new)
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
	while (!is_found && (e = TAILQ_FIRST(&t->round))) {
		TAILQ_REMOVE(&t->round, e, link);
		t->round_count--;
		e->place = UPLINK_AT_REST;
		if (t->is_looking && !e->is_in_doubt)
			uplink_table_to_due(t, e);
		else if (t->is_looking)
			is_found = true;
		else if (is_unheard_of(e) && t->sweep_at == 0)
			forget(t, e);
		else if (!uplink_contribution(e->committed, e->baseline, &wanted))
			uplink_table_put_aside(t, e, UPLINK_WHY_RANGE);
		else
			is_found = prepare(t, e, start, wanted, out);
	}
	if (is_found && t->is_looking)
		prepare_look(t, e, start, out);
	if (is_found) {
		out->entry = e;
		e->place = UPLINK_UNDER_WAY;
		e->is_changed = false;
		t->under_way_count++;
	}
	pthread_mutex_unlock(&t->mutex);
	return is_found;
}

/* A fence is put around what another start has brought. */
static bool is_others_mark(const struct uplink_entry *e, const struct uplink_push *p)
{
	return e->there.mark.start != p->after.mark.start;
}

/* What is believed from now on. True: it is to be sent again at once. */
static bool believe(struct uplink_entry *e, const struct uplink_push *p, const struct uplink_answer *a)
{
	int64_t wanted;

	if (a->outcome == UPLINK_PUSHED && !p->is_look) {
		e->is_only_marked = p->is_fence && (e->is_only_marked || is_others_mark(e, p));
		e->belief = UPLINK_PRESENT;
		e->there = p->after;
	} else if (a->outcome == UPLINK_OTHER || a->outcome == UPLINK_KEPT) {
		e->is_only_marked &= a->has_field && a->field.mark.start == p->after.mark.start &&
				     a->field.value == e->there.value;
		e->belief = a->has_field ? UPLINK_PRESENT : UPLINK_ABSENT;
		e->there = a->field;
	}
	return uplink_contribution(e->committed, e->baseline, &wanted) &&
	       !uplink_is_right(&e->there, e->id, wanted);
}

/* What a start before this one has sent may arrive yet, where it was neither this one that wrote the field
 * nor anybody for the last time. */
static bool may_change(const struct uplink_table *t, const struct uplink_entry *e,
		       const struct uplink_push *p, const struct uplink_answer *a)
{
	return t->is_given_up && !a->is_final &&
	       !(e->belief == UPLINK_PRESENT && e->there.mark.start == p->after.mark.start);
}

/* Of one that was not answered, or has to be sent again, nothing else is known than before. */
static void note_accepted(struct uplink_table *t, struct uplink_entry *e, enum uplink_outcome outcome,
			  bool is_again)
{
	if (outcome == UPLINK_LOST || outcome == UPLINK_UNSENT || outcome == UPLINK_REFUSED ||
	    (outcome == UPLINK_OTHER && is_again))
		return;
	t->has_recovered |= e->is_refused && outcome == UPLINK_PUSHED;
	uplink_table_note_refused(t, e, false);
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
		/* What was found there instead is to be replaced first. */
		e->is_looked_at = a->outcome == UPLINK_OTHER && is_again;
		e->is_in_doubt = e->is_lost = may_change(t, e, p, a);
	}
	if (a->outcome == UPLINK_LOST && !p->is_look) {
		e->is_in_doubt = e->is_lost = true;
		e->is_only_marked |= p->is_fence && is_others_mark(e, p);
	}
	if (a->outcome == UPLINK_KEPT) {
		(void)believe(e, p, a); /* and what differs stays so */
		e->is_looked_at = false;
	}
	/* Where nothing can be looked at any more nothing would be found out later, either. */
	if (a->outcome == UPLINK_BROKEN || a->outcome == UPLINK_KEPT ||
	    (a->outcome == UPLINK_REFUSED && t->is_looking && !e->is_lost))
		e->is_in_doubt = e->is_lost = false;
	note_accepted(t, e, a->outcome, is_again);
	if (a->outcome == UPLINK_LOST || a->outcome == UPLINK_UNSENT)
		uplink_table_to_left(t, e);
	else if (a->outcome == UPLINK_REFUSED)
		uplink_table_put_aside(t, e, a->why);
	else if ((is_again || a->outcome == UPLINK_BROKEN) && !t->is_looking)
		uplink_table_to_round(t, e);
	else if (is_again || e->is_changed || a->outcome == UPLINK_BROKEN)
		uplink_table_to_due(t, e);
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

/* ---- what is refused ---- */

void uplink_table_retry(struct uplink_table *t, size_t max)
{
	struct uplink_entry *e;

	pthread_mutex_lock(&t->mutex);
	while (max-- > 0 && (e = TAILQ_FIRST(&t->aside))) {
		uplink_table_fetch(t, e);
		uplink_table_to_round(t, e);
	}
	pthread_mutex_unlock(&t->mutex);
}

bool uplink_table_has_recovered(struct uplink_table *t)
{
	bool has_recovered;

	pthread_mutex_lock(&t->mutex);
	has_recovered = t->has_recovered;
	t->has_recovered = false;
	pthread_mutex_unlock(&t->mutex);
	return has_recovered;
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
		if (e && e->place == UPLINK_ASIDE)
			uplink_table_fetch(t, e);
		if (e && e->place == UPLINK_AT_REST) {
			e->is_looked_at = true;
			uplink_table_to_round(t, e);
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
	e = uplink_index_name(&t->by_name, name);
	if (e) {
		e->is_new = false; /* it may have a field of a start before this one */
	} else {
		rc = uplink_table_get(t, name, &e);
		if (!rc) {
			e->is_found = true;
			uplink_table_to_round(t, e);
		}
	}
	pthread_mutex_unlock(&t->mutex);
	return rc;
}

/* ---- while nothing can be pushed ---- */

static void tidy_queue(struct uplink_table *t, struct uplink_queue *q, size_t *count)
{
	struct uplink_queue kept = TAILQ_HEAD_INITIALIZER(kept);
	struct uplink_entry *e;

	while ((e = TAILQ_FIRST(q))) {
		TAILQ_REMOVE(q, e, link);
		if (is_unheard_of(e)) {
			forget(t, e);
			--*count;
		} else {
			TAILQ_INSERT_TAIL(&kept, e, link);
		}
	}
	TAILQ_CONCAT(q, &kept, link);
}

/* All at once: so many have come and gone since the last time. */
void uplink_table_tidy(struct uplink_table *t)
{
	enum { FEW = 1024 };
	size_t count;

	pthread_mutex_lock(&t->mutex);
	count = t->by_name.count;
	if (count - t->by_id.count > 2 * t->gone_count + FEW) {
		tidy_queue(t, &t->due, &t->due_count);
		tidy_queue(t, &t->round, &t->round_count);
		tidy_queue(t, &t->left, &t->left_count);
		tidy_queue(t, &t->aside, &t->aside_count);
		t->gone_count = t->by_name.count - t->by_id.count;
		if (count != t->by_name.count)
			t->sweep_at = 0; /* others stand elsewhere now */
	}
	pthread_mutex_unlock(&t->mutex);
}

static void look_again(struct uplink_table *t, struct uplink_entry *e)
{
	e->is_looked_at = true;
	if (e->place == UPLINK_ASIDE)
		uplink_table_fetch(t, e);
	if (e->place == UPLINK_AT_REST)
		uplink_table_to_round(t, e);
}

void uplink_table_look_again(struct uplink_table *t, struct slice name)
{
	struct uplink_entry *e;

	pthread_mutex_lock(&t->mutex);
	e = uplink_index_name(&t->by_name, name);
	if (e)
		look_again(t, e);
	pthread_mutex_unlock(&t->mutex);
}

/* ---- one that somebody waits for ---- */

int uplink_table_await(struct uplink_table *t, struct slice name)
{
	struct uplink_entry *e;
	int rc = 0;

	pthread_mutex_lock(&t->mutex);
	e = uplink_index_name(&t->by_name, name);
	if (!e) {
		rc = uplink_table_get(t, name, &e);
		if (!rc)
			e->is_found = true;
	}
	/* What is under way may be older than what is waited for. */
	if (!rc && e->place != UPLINK_UNDER_WAY) {
		look_again(t, e);
		rc = 1;
	}
	pthread_mutex_unlock(&t->mutex);
	return rc;
}

enum uplink_presence uplink_table_presence(struct uplink_table *t, struct slice name, uint8_t *why)
{
	enum uplink_presence presence = UPLINK_IS_THERE; /* also of a name of which nothing is left */
	const struct uplink_entry *e;

	pthread_mutex_lock(&t->mutex);
	e = uplink_index_name(&t->by_name, name);
	*why = e ? e->why : 0;
	if (e && e->is_looked_at)
		presence = UPLINK_NOT_YET;
	else if (e && e->is_refused)
		presence = UPLINK_IS_REFUSED;
	pthread_mutex_unlock(&t->mutex);
	return presence;
}
