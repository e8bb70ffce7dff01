/* SPDX-License-Identifier: MIT */
/* pack.c - see pack.h. */
#include "pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sort.h"

enum {
	KEEP_MAX = 1 << 16, /* deltas: 1 MiB twice */
	/* 32 MiB twice, so that an epoch of ten million needs no more beside its buffers than one of two;
	 * each further run is a look at all buffers. */
	RUN_MAX = 2 << 20,
};

void pack_init(struct pack *p)
{
	*p = (struct pack){.run_max = RUN_MAX};
}

static void free_deltas(struct pack *p)
{
	free(p->deltas);
	free(p->spare);
	p->deltas = p->spare = NULL;
	p->count = p->cap = 0;
}

void pack_fini(struct pack *p)
{
	free_deltas(p);
	audit_entries_fini(&p->audit);
}

static int make_room(struct pack *p, size_t count)
{
	if (count <= p->cap)
		return 0;
	free_deltas(p);
	p->deltas = reallocarray(NULL, count, sizeof(*p->deltas));
	p->spare = reallocarray(NULL, count, sizeof(*p->spare));
	if (!p->deltas || !p->spare) {
		free_deltas(p);
		return -ENOMEM;
	}
	p->cap = count;
	return 0;
}

/* ---- ranges of ids ----
 * States and hits go the same way as deltas: each as its id and its address. */

static const struct epoch_entry *entry_of(const struct journal_delta *d)
{
	return (const struct epoch_entry *)(uintptr_t)d->delta;
}

static void look(void *arg, struct journal_delta d)
{
	struct pack *p = arg;

	if (d.id < p->id_min)
		p->id_min = d.id;
	if (d.id > p->id_max)
		p->id_max = d.id;
}

static void count(void *arg, struct journal_delta d)
{
	struct pack *p = arg;

	p->counts[(d.id - p->id_min) >> p->shift]++;
}

static void collect(void *arg, struct journal_delta d)
{
	struct pack *p = arg;

	if (((d.id - p->id_min) >> p->shift) - p->range_first < p->range_next - p->range_first)
		p->deltas[p->count++] = d;
}

static const struct epoch_table *table_of(const struct pack *p, const struct epoch_buffer *b)
{
	return p->kind == PACK_STATES ? &b->states : &b->hits;
}

static void each_entry(struct pack *p, const struct epoch_table *t, epoch_delta_fn *fn)
{
	for (size_t pos = 0; pos < t->count; pos++) {
		const struct epoch_entry *e = epoch_table_at(t, pos);

		fn(p, (struct journal_delta){.id = e->state.id, .delta = (uintptr_t)e});
	}
}

static void each(struct pack *p, struct epoch_buffer *const *buffers, size_t buffer_count, epoch_delta_fn *fn)
{
	for (size_t i = 0; i < buffer_count; i++) {
		if (p->kind == PACK_DELTAS)
			epoch_buffer_each(buffers[i], fn, p);
		else
			each_entry(p, table_of(p, buffers[i]), fn);
	}
}

static size_t count_of(const struct pack *p, const struct epoch_buffer *b)
{
	return p->kind == PACK_DELTAS ? b->delta_count : table_of(p, b)->count;
}

static void find_ranges(struct pack *p, struct epoch_buffer *const *buffers, size_t buffer_count)
{
	size_t total = 0;

	for (size_t i = 0; i < buffer_count; i++)
		total += count_of(p, buffers[i]);
	memset(p->counts, 0, sizeof(p->counts));
	p->range_next = 0;
	if (total <= p->run_max) { /* all in the first one */
		p->id_min = 0;
		p->shift = 63;
		p->counts[0] = total;
		return;
	}
	p->id_min = UINT64_MAX;
	p->id_max = 0;
	each(p, buffers, buffer_count, look);
	p->shift = 0;
	while ((p->id_max - p->id_min) >> p->shift >= PACK_RANGES)
		p->shift++;
	each(p, buffers, buffer_count, count);
}

/* The next ranges with run_max deltas, or one with more, collected. 0 or -ENOMEM. */
static int next_run(struct pack *p, struct epoch_buffer *const *buffers, size_t buffer_count)
{
	size_t next = p->range_next, sum = p->counts[next++];

	while (next < PACK_RANGES && sum + p->counts[next] <= p->run_max)
		sum += p->counts[next++];
	if (make_room(p, sum))
		return -ENOMEM;
	p->range_first = p->range_next;
	p->range_next = next;
	p->count = 0;
	if (sum)
		each(p, buffers, buffer_count, collect);
	return 0;
}

/* ---- what is put ---- */

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

/* The newest of several workers. */
static void put_state(const struct journal_delta *same, size_t count, struct journal_writer *w)
{
	const struct journal_state *newest = &entry_of(&same[0])->state;

	for (size_t i = 1; i < count; i++)
		if (entry_of(&same[i])->state.version > newest->version)
			newest = &entry_of(&same[i])->state;
	journal_put_state(w, newest);
}

static int compare_seconds(const void *a, const void *b)
{
	int64_t x = entry_of(a)->hit.second, y = entry_of(b)->hit.second;

	return (x > y) - (x < y);
}

static void put_hits(struct journal_delta *same, size_t count, struct journal_writer *w)
{
	if (count > 1)
		qsort(same, count, sizeof(*same), compare_seconds);
	for (size_t i = 0; i < count;) {
		struct journal_hit hit = entry_of(&same[i])->hit;

		for (i++; i < count && entry_of(&same[i])->hit.second == hit.second; i++)
			hit.count += entry_of(&same[i])->hit.count;
		if (hit.count)
			journal_put_hit(w, &hit);
	}
}

static void put_entries(const struct pack *p, struct journal_delta *sorted, struct journal_writer *w)
{
	for (size_t i = 0, next; i < p->count; i = next) {
		for (next = i + 1; next < p->count && sorted[next].id == sorted[i].id; next++)
			;
		if (p->kind == PACK_STATES)
			put_state(sorted + i, next - i, w);
		else
			put_hits(sorted + i, next - i, w);
	}
}

/* What has been collected. */
static void put_run(struct pack *p, struct journal_writer *w)
{
	struct journal_delta *sorted = sort_by_key(p->deltas, p->spare, p->count);
	size_t kept;

	if (p->kind != PACK_DELTAS) {
		put_entries(p, sorted, w);
		return;
	}
	kept = combine(sorted, p->count);
	if (kept)
		journal_put_deltas(w, sorted, kept);
}

/* All of one kind, in as many runs as it takes. */
static int put_kind(struct pack *p, enum pack_kind kind, struct epoch_buffer *const *buffers,
		    size_t buffer_count, struct journal_writer *w)
{
	p->kind = kind;
	find_ranges(p, buffers, buffer_count);
	while (p->range_next < PACK_RANGES) {
		if (next_run(p, buffers, buffer_count))
			return -ENOMEM;
		put_run(p, w);
	}
	return 0;
}

int pack_epoch(struct pack *p, struct epoch_buffer *const *buffers, size_t buffer_count,
	       struct journal_writer *w)
{
	for (size_t i = 0; i < buffer_count; i++)
		put_names(buffers[i], w);
	if (put_kind(p, PACK_DELTAS, buffers, buffer_count, w) ||
	    put_kind(p, PACK_STATES, buffers, buffer_count, w) ||
	    put_kind(p, PACK_HITS, buffers, buffer_count, w))
		return -ENOMEM;
	for (size_t i = 0; i < buffer_count; i++) {
		put_deletes(buffers[i], w);
		put_sessions(buffers[i], w);
		put_tokens(buffers[i], w);
		if (buffers[i]->floor_id)
			journal_put_floor(w, buffers[i]->floor_id);
	}
	if (p->cap > KEEP_MAX)
		free_deltas(p);
	return 0;
}

int pack_audit(struct pack *p, struct epoch_buffer *const *buffers, size_t count)
{
	audit_entries_clear(&p->audit);
	for (size_t i = 0; i < count; i++)
		if (audit_entries_add(&p->audit, &buffers[i]->audit))
			return -ENOMEM;
	audit_entries_sort(&p->audit);
	return 0;
}
