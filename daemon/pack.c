/* SPDX-License-Identifier: MIT */
/* pack.c - see pack.h. */
#include "pack.h"

#include <errno.h>
#include <stdlib.h>

enum {
	DIGIT_BITS = 11,
	DIGITS = 1 << DIGIT_BITS,
	KEEP_MAX = 1 << 16, /* deltas: 1 MiB twice */
};

void pack_init(struct pack *p)
{
	*p = (struct pack){0};
}

void pack_fini(struct pack *p)
{
	free(p->deltas);
	free(p->spare);
	pack_init(p);
}

static int make_room(struct pack *p, size_t count)
{
	if (count <= p->cap)
		return 0;
	pack_fini(p);
	p->deltas = reallocarray(NULL, count, sizeof(*p->deltas));
	p->spare = reallocarray(NULL, count, sizeof(*p->spare));
	if (!p->deltas || !p->spare) {
		pack_fini(p);
		return -ENOMEM;
	}
	p->cap = count;
	return 0;
}

static void collect(void *arg, struct journal_delta d)
{
	struct pack *p = arg;

	p->deltas[p->count++] = d;
}

static void sort_digit(const struct journal_delta *from, struct journal_delta *to, size_t count,
		       unsigned shift)
{
	size_t places[DIGITS] = {0}, sum = 0;

	for (size_t i = 0; i < count; i++)
		places[from[i].id >> shift & (DIGITS - 1)]++;
	for (size_t d = 0; d < DIGITS; d++) {
		size_t n = places[d];

		places[d] = sum;
		sum += n;
	}
	for (size_t i = 0; i < count; i++)
		to[places[from[i].id >> shift & (DIGITS - 1)]++] = from[i];
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = ((const struct journal_delta *)a)->id, y = ((const struct journal_delta *)b)->id;

	return (x > y) - (x < y);
}

/* Radix sort, as many digits as the largest id has: ids are dense, so two or three passes. */
struct journal_delta *pack_sort(struct journal_delta *deltas, struct journal_delta *spare, size_t count)
{
	uint64_t id_max = 0;

	if (count < 2)
		return deltas;
	if (count < DIGITS / 4) {
		qsort(deltas, count, sizeof(*deltas), by_id);
		return deltas;
	}
	for (size_t i = 0; i < count; i++)
		if (deltas[i].id > id_max)
			id_max = deltas[i].id;
	for (unsigned shift = 0; shift < 64 && id_max >> shift; shift += DIGIT_BITS) {
		struct journal_delta *swap = deltas;

		sort_digit(deltas, spare, count, shift);
		deltas = spare;
		spare = swap;
	}
	return deltas;
}

/* Sums the deltas of one id; nothing is kept of those that cancel out. */
static size_t combine(struct journal_delta *deltas, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count;) {
		struct journal_delta d = deltas[i];

		for (i++; i < count && deltas[i].id == d.id; i++)
			d.delta += deltas[i].delta;
		if (d.delta)
			deltas[kept++] = d;
	}
	return kept;
}

static void put_names(const struct epoch_buffer *b, struct journal_writer *w)
{
	struct slice name;
	size_t pos = 0;
	uint64_t id;

	while (epoch_buffer_next_name(b, &pos, &id, &name))
		journal_put_name(w, id, name);
}

static void put_deletes(const struct epoch_buffer *b, struct journal_writer *w)
{
	uint64_t id;

	for (size_t pos = 0; pos < buf_len(&b->deletes); pos += sizeof(id)) {
		memcpy(&id, buf_head(&b->deletes) + pos, sizeof(id));
		journal_put_delete(w, id);
	}
}

static void put_sessions(const struct epoch_buffer *b, struct journal_writer *w)
{
	struct slice id, cursor;
	size_t pos = 0;
	uint64_t seq;

	while (epoch_buffer_next_session(b, &pos, &seq, &id, &cursor))
		journal_put_session(w, id, seq, cursor);
}

static void put_tokens(const struct epoch_buffer *b, struct journal_writer *w)
{
	struct slice name, token;
	size_t pos = 0;
	int64_t delta;

	while (epoch_buffer_next_token(b, &pos, &delta, &name, &token))
		journal_put_token(w, name, token, delta);
}

int pack_epoch(struct pack *p, struct epoch_buffer *const *buffers, size_t count, struct journal_writer *w)
{
	struct journal_delta *sorted;
	size_t total = 0;

	for (size_t i = 0; i < count; i++)
		total += buffers[i]->delta_count;
	if (make_room(p, total))
		return -ENOMEM;
	p->count = 0;
	for (size_t i = 0; i < count; i++) {
		put_names(buffers[i], w);
		epoch_buffer_each(buffers[i], collect, p);
	}
	sorted = pack_sort(p->deltas, p->spare, p->count);
	total = combine(sorted, p->count);
	if (total)
		journal_put_deltas(w, sorted, total);
	for (size_t i = 0; i < count; i++) {
		put_deletes(buffers[i], w);
		put_sessions(buffers[i], w);
		put_tokens(buffers[i], w);
		if (buffers[i]->floor_id)
			journal_put_floor(w, buffers[i]->floor_id);
	}
	if (p->cap > KEEP_MAX)
		pack_fini(p);
	return 0;
}
