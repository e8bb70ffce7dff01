/* SPDX-License-Identifier: MIT */
/* tally.c - see tally.h. */
#include "tally.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
	SLOTS_MIN = 256,
	SLOTS_KEPT_MAX = 1 << 17, /* 2 MiB */
};

void tally_fini(struct tally *t)
{
	free(t->slots);
	*t = (struct tally){0};
}

void tally_clear(struct tally *t)
{
	if (!t->slots)
		return;
	if (t->mask >= SLOTS_KEPT_MAX) {
		tally_fini(t);
		return;
	}
	memset(t->slots, 0, (t->mask + (size_t)1) * sizeof(*t->slots));
	t->count = 0;
}

/* The place of `id`, or the empty one where it belongs. Ids come in sequence: spread by Fibonacci hashing,
 * as in epoch_buffer.h; a caller that takes ids part by part (their top bits) does not crowd these. */
static struct journal_delta *place_of(const struct tally *t, uint64_t id)
{
	uint32_t at = (uint32_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 26) & t->mask;

	while (t->slots[at].id && t->slots[at].id != id)
		at = (at + 1) & t->mask;
	return &t->slots[at];
}

static int grow(struct tally *t)
{
	size_t slots = t->slots ? 2 * (t->mask + (size_t)1) : SLOTS_MIN;
	struct tally wide = {.mask = (uint32_t)(slots - 1), .count = t->count};

	wide.slots = calloc(slots, sizeof(*wide.slots));
	if (!wide.slots)
		return -ENOMEM;
	for (size_t i = 0; t->slots && i <= t->mask; i++)
		if (t->slots[i].id)
			*place_of(&wide, t->slots[i].id) = t->slots[i];
	free(t->slots);
	*t = wide;
	return 0;
}

int tally_add(struct tally *t, uint64_t id, uint64_t delta)
{
	struct journal_delta *d;

	/* At most two thirds are used. */
	if ((!t->slots || t->count * UINT64_C(3) >= t->mask * UINT64_C(2)) && grow(t))
		return -ENOMEM;
	d = place_of(t, id);
	t->count += d->id == 0;
	d->id = id;
	d->delta += delta;
	return 0;
}

uint64_t *tally_find(const struct tally *t, uint64_t id)
{
	struct journal_delta *d = t->slots ? place_of(t, id) : NULL;

	return d && d->id ? &d->delta : NULL;
}

/* ---- the largest ---- */

static bool is_smaller(struct journal_delta a, struct journal_delta b)
{
	uint64_t x = tally_size(a.delta), y = tally_size(b.delta);

	return x != y ? x < y : a.id > b.id;
}

static void swap(struct journal_delta *a, struct journal_delta *b)
{
	struct journal_delta t = *a;

	*a = *b;
	*b = t;
}

static void sift_up(struct busiest *b, size_t i)
{
	for (; i > 0 && is_smaller(b->items[i], b->items[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&b->items[i], &b->items[(i - 1) / 2]);
}

static void sift_down(struct busiest *b)
{
	for (size_t i = 0, child; (child = 2 * i + 1) < b->count; i = child) {
		if (child + 1 < b->count && is_smaller(b->items[child + 1], b->items[child]))
			child++;
		if (!is_smaller(b->items[child], b->items[i]))
			break;
		swap(&b->items[child], &b->items[i]);
	}
}

void busiest_offer(struct busiest *b, struct journal_delta d)
{
	if (d.delta == 0)
		return;
	if (b->count < BUSIEST_MAX) {
		b->items[b->count] = d;
		sift_up(b, b->count++);
	} else if (is_smaller(b->items[0], d)) {
		b->items[0] = d;
		sift_down(b);
	}
}

void busiest_offer_all(struct busiest *b, const struct tally *t)
{
	for (size_t i = 0; t->slots && i <= t->mask; i++)
		if (t->slots[i].id)
			busiest_offer(b, t->slots[i]);
}
