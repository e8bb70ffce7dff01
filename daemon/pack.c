/* SPDX-License-Identifier: MIT */
/* pack.c - see pack.h. */
#include "pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sort.h"

enum {
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
	sorted = sort_by_key(p->deltas, p->spare, p->count);
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
