/* SPDX-License-Identifier: MIT */
/* epoch_table.c - see epoch_table.h. */
#include "epoch_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	CHUNK_ENTRIES = 64,
	KEEP_CHUNKS_MAX = 512, /* 1.3 MB: what a busy worker keeps */
	PART_HEADS_MIN = 16,
	KEEP_HEADS_MAX = 1024,
};

/* ---- entries ---- */

static struct epoch_entry *entry(const struct epoch_table *t, uint32_t number)
{
	return &t->chunks[(number - 1) / CHUNK_ENTRIES][(number - 1) % CHUNK_ENTRIES];
}

const struct epoch_entry *epoch_table_at(const struct epoch_table *t, size_t pos)
{
	return entry(t, (uint32_t)pos + 1);
}

static int add_chunk(struct epoch_table *t)
{
	if (t->chunk_count == t->chunk_cap) {
		size_t cap = t->chunk_cap ? 2 * t->chunk_cap : 8;
		struct epoch_entry **chunks = reallocarray(t->chunks, cap, sizeof(struct epoch_entry *));

		if (!chunks)
			return -ENOMEM;
		t->chunks = chunks;
		t->chunk_cap = cap;
	}
	t->chunks[t->chunk_count] = malloc(CHUNK_ENTRIES * sizeof(struct epoch_entry));
	if (!t->chunks[t->chunk_count])
		return -ENOMEM;
	t->chunk_count++;
	return 0;
}

int epoch_table_reserve(struct epoch_table *t, size_t count)
{
	if (count > UINT32_MAX - t->count)
		return -ENOMEM;
	while (t->chunk_count * CHUNK_ENTRIES - t->count < count)
		if (add_chunk(t))
			return -ENOMEM;
	return 0;
}

/* ---- the index ---- */

/* As in epoch_buffer.h: the top bits choose the part, the next ones the chain. The second of a state is 0.
 * While the disk is full one counter may have hits of many. */
static uint64_t spread(uint64_t id, int64_t second)
{
	return id * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)second * UINT64_C(0xd1342543de82ef95);
}

static struct epoch_table_part *part_of(struct epoch_table *t, uint64_t hash)
{
	return &t->parts[hash >> 58];
}

static uint32_t *head(struct epoch_table_part *p, uint64_t hash)
{
	return p->heads ? &p->heads[(uint32_t)(hash >> 26) & p->mask] : &p->only;
}

static uint64_t hash_of(const struct epoch_entry *e, bool is_hit)
{
	return spread(e->state.id, is_hit ? e->hit.second : 0);
}

static void link_entry(struct epoch_table *t, struct epoch_table_part *p, uint32_t number, uint64_t hash)
{
	uint32_t *first = head(p, hash);

	entry(t, number)->next = *first;
	*first = number;
}

/* Without memory it goes on with longer chains. */
static void part_grow(struct epoch_table *t, struct epoch_table_part *p, bool is_hit)
{
	struct epoch_table_part old = *p;
	uint32_t heads = old.heads ? 2 * (old.mask + 1) : PART_HEADS_MIN;
	uint32_t *bigger = heads ? calloc(heads, sizeof(*bigger)) : NULL;

	if (!bigger)
		return;
	*p = (struct epoch_table_part){.heads = bigger, .mask = heads - 1, .count = old.count};
	for (uint32_t i = 0; i <= old.mask; i++) {
		uint32_t next;

		for (uint32_t number = old.heads ? old.heads[i] : old.only; number; number = next) {
			struct epoch_entry *e = entry(t, number);

			next = e->next;
			link_entry(t, p, number, hash_of(e, is_hit));
		}
	}
	free(old.heads);
}

static struct epoch_entry *find(struct epoch_table *t, uint64_t hash, uint64_t id, bool is_hit,
				int64_t second)
{
	uint32_t number = *head(part_of(t, hash), hash);

	while (number) {
		struct epoch_entry *e = entry(t, number);

		if (e->state.id == id && (!is_hit || e->hit.second == second))
			return e;
		number = e->next;
	}
	return NULL;
}

/* A new entry, linked; its record is for the caller to write. */
static void append(struct epoch_table *t, uint64_t hash, const struct epoch_entry *e, bool is_hit)
{
	struct epoch_table_part *p = part_of(t, hash);
	uint32_t number = (uint32_t)++t->count;

	*entry(t, number) = *e;
	p->count++;
	link_entry(t, p, number, hash);
	if (p->count > p->mask + 1)
		part_grow(t, p, is_hit);
}

void epoch_table_put_state(struct epoch_table *t, const struct journal_state *state)
{
	uint64_t hash = spread(state->id, 0);
	struct epoch_entry *e = find(t, hash, state->id, false, 0);

	if (!e)
		append(t, hash, &(struct epoch_entry){.state = *state}, false);
	else if (e->state.version < state->version)
		e->state = *state;
}

void epoch_table_put_hit(struct epoch_table *t, const struct journal_hit *hit)
{
	uint64_t hash = spread(hit->id, hit->second);
	struct epoch_entry *e = find(t, hash, hit->id, true, hit->second);

	if (!e)
		append(t, hash, &(struct epoch_entry){.hit = *hit}, true);
	else
		e->hit.count += hit->count;
}

/* ---- the end ---- */

static void part_clear(struct epoch_table_part *p)
{
	if (p->count == 0)
		return;
	if (p->heads && p->mask < KEEP_HEADS_MAX) {
		memset(p->heads, 0, (p->mask + 1) * sizeof(*p->heads));
		p->count = 0;
		return;
	}
	free(p->heads);
	*p = (struct epoch_table_part){0};
}

void epoch_table_clear(struct epoch_table *t)
{
	if (t->count)
		for (size_t i = 0; i < EPOCH_TABLE_PARTS; i++)
			part_clear(&t->parts[i]);
	t->count = 0;
	while (t->chunk_count > KEEP_CHUNKS_MAX)
		free(t->chunks[--t->chunk_count]);
}

void epoch_table_fini(struct epoch_table *t)
{
	for (size_t i = 0; i < EPOCH_TABLE_PARTS; i++)
		free(t->parts[i].heads);
	for (size_t i = 0; i < t->chunk_count; i++)
		free(t->chunks[i]);
	free(t->chunks);
	*t = (struct epoch_table){0};
}
