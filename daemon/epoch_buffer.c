/* SPDX-License-Identifier: MIT */
/* epoch_buffer.c - see epoch_buffer.h. */
#include "epoch_buffer.h"

#include <errno.h>
#include <stdlib.h>

enum {
	PART_SLOTS_MIN = 16,
	KEEP_SLOTS_MAX = 4096,	  /* 64 parts of 64 KiB: what a busy worker keeps */
	KEEP_BYTES_MAX = 1 << 20, /* of names, deletes, sessions, tokens, audit: each */
	CURSOR_SPARE_BYTES = 16,
	KEEP_RETIRED_MAX = 4096,
};

void epoch_buffer_init(struct epoch_buffer *b)
{
	*b = (struct epoch_buffer){0};
}

void epoch_buffer_fini(struct epoch_buffer *b)
{
	for (size_t i = 0; i < DELTA_PARTS; i++)
		free(b->parts[i].slots);
	buf_fini(&b->names);
	buf_fini(&b->deletes);
	buf_fini(&b->sessions);
	buf_fini(&b->tokens);
	buf_fini(&b->audit);
	retired_list_fini(&b->retired);
	epoch_table_fini(&b->states);
	epoch_table_fini(&b->hits);
	epoch_buffer_init(b);
}

static struct journal_delta *find(const struct delta_part *p, uint64_t id, uint64_t hash)
{
	uint32_t i = epoch_buffer_slot(hash, p->mask);

	while (p->slots[i].id != id && p->slots[i].id != 0)
		i = (i + 1) & p->mask;
	return &p->slots[i];
}

static int part_grow(struct delta_part *p)
{
	uint32_t slots = p->slots ? (p->mask + 1) * 2 : PART_SLOTS_MIN;
	struct delta_part bigger = {.mask = slots - 1, .count = p->count};

	if (slots == 0)
		return -ENOMEM;
	bigger.slots = calloc(slots, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (uint32_t i = 0; p->slots && i <= p->mask; i++) {
		struct journal_delta d = p->slots[i];

		if (d.id)
			*find(&bigger, d.id, epoch_buffer_spread(d.id)) = d;
	}
	free(p->slots);
	*p = bigger;
	return 0;
}

int epoch_buffer_add_slow(struct epoch_buffer *b, uint64_t id, uint64_t delta)
{
	uint64_t hash = epoch_buffer_spread(id);
	struct delta_part *p = &b->parts[epoch_buffer_part(hash)];
	struct journal_delta *d;

	if (!p->slots && part_grow(p))
		return -ENOMEM;
	d = find(p, id, hash);
	if (d->id == 0) {
		if ((p->count + 1) * 4 > (p->mask + 1) * 3) {
			if (part_grow(p))
				return -ENOMEM;
			d = find(p, id, hash);
		}
		*d = (struct journal_delta){.id = id};
		p->count++;
		b->delta_count++;
	}
	d->delta += delta;
	return 0;
}

/* A failed reserve leaves a buffer as it was, so its stickiness is not wanted here. */
static char *reserve(struct buf *buf, size_t len)
{
	char *p = buf_reserve(buf, len);

	buf->failed = false;
	return p;
}

int epoch_buffer_create(struct epoch_buffer *b, uint64_t id, struct slice name)
{
	char *p = reserve(&b->names, sizeof(id) + 1 + name.len);

	if (!p)
		return -ENOMEM;
	memcpy(p, &id, sizeof(id));
	p[sizeof(id)] = (char)name.len;
	memcpy(p + sizeof(id) + 1, name.data, name.len);
	buf_commit(&b->names, sizeof(id) + 1 + name.len);
	return 0;
}

bool epoch_buffer_next_name(const struct epoch_buffer *b, size_t *pos, uint64_t *id, struct slice *name)
{
	const char *p = buf_head(&b->names) + *pos;

	if (*pos == buf_len(&b->names))
		return false;
	memcpy(id, p, sizeof(*id));
	name->len = (unsigned char)p[sizeof(*id)];
	name->data = p + sizeof(*id) + 1;
	*pos += sizeof(*id) + 1 + name->len;
	return true;
}

int epoch_buffer_delete(struct epoch_buffer *b, uint64_t id)
{
	char *p = reserve(&b->deletes, sizeof(id));

	if (!p)
		return -ENOMEM;
	memcpy(p, &id, sizeof(id));
	buf_commit(&b->deletes, sizeof(id));
	return 0;
}

/* ---- sessions and tokens ---- */

static void put(char **to, const void *data, size_t len)
{
	if (len)
		memcpy(*to, data, len);
	*to += len;
}

static bool overwrite_session(struct epoch_buffer *b, size_t at, uint64_t seq, struct slice cursor)
{
	char *p = buf_head(&b->sessions) + at;
	struct epoch_session r;

	memcpy(&r, p, sizeof(r));
	if (cursor.len > r.cursor_cap)
		return false;
	r.seq = seq;
	r.cursor_len = (uint16_t)cursor.len;
	put(&p, &r, sizeof(r));
	p += r.id_len;
	put(&p, cursor.data, cursor.len);
	return true;
}

int epoch_buffer_session(struct epoch_buffer *b, size_t *at, struct slice id, uint64_t seq,
			 struct slice cursor)
{
	/* Some room, so that a position that gets another digit fits the next time. */
	struct epoch_session r = {
		.seq = seq,
		.cursor_len = (uint16_t)cursor.len,
		.cursor_cap = (uint16_t)(cursor.len + CURSOR_SPARE_BYTES),
		.id_len = (uint8_t)id.len,
	};
	size_t size = sizeof(r) + id.len + r.cursor_cap;
	char *p;

	if (*at != SIZE_MAX && overwrite_session(b, *at, seq, cursor))
		return 0;
	p = reserve(&b->sessions, size);
	if (!p)
		return -ENOMEM;
	*at = buf_len(&b->sessions);
	put(&p, &r, sizeof(r));
	put(&p, id.data, id.len);
	put(&p, cursor.data, cursor.len);
	memset(p, 0, (size_t)(r.cursor_cap - r.cursor_len));
	buf_commit(&b->sessions, size);
	return 0;
}

bool epoch_buffer_next_session(const struct epoch_buffer *b, size_t *pos, uint64_t *seq, struct slice *id,
			       struct slice *cursor)
{
	const char *p = buf_head(&b->sessions) + *pos;
	struct epoch_session r;

	if (*pos == buf_len(&b->sessions))
		return false;
	memcpy(&r, p, sizeof(r));
	*seq = r.seq;
	*id = (struct slice){.data = p + sizeof(r), .len = r.id_len};
	*cursor = (struct slice){.data = id->data + r.id_len, .len = r.cursor_len};
	*pos += sizeof(r) + r.id_len + r.cursor_cap;
	return true;
}

int epoch_buffer_token(struct epoch_buffer *b, struct slice name, struct slice token, int64_t delta)
{
	struct epoch_token r = {
		.delta = delta,
		.name_len = (uint8_t)name.len,
		.token_len = (uint8_t)token.len,
	};
	char *p = reserve(&b->tokens, sizeof(r) + name.len + token.len);

	if (!p)
		return -ENOMEM;
	put(&p, &r, sizeof(r));
	put(&p, name.data, name.len);
	put(&p, token.data, token.len);
	buf_commit(&b->tokens, sizeof(r) + name.len + token.len);
	return 0;
}

bool epoch_buffer_next_token(const struct epoch_buffer *b, size_t *pos, int64_t *delta, struct slice *name,
			     struct slice *token)
{
	const char *p = buf_head(&b->tokens) + *pos;
	struct epoch_token r;

	if (*pos == buf_len(&b->tokens))
		return false;
	memcpy(&r, p, sizeof(r));
	*delta = r.delta;
	*name = (struct slice){.data = p + sizeof(r), .len = r.name_len};
	*token = (struct slice){.data = name->data + r.name_len, .len = r.token_len};
	*pos += sizeof(r) + r.name_len + r.token_len;
	return true;
}

/* ---- states and hits ---- */

int epoch_buffer_reserve(struct epoch_buffer *b, size_t states, size_t hits)
{
	int rc = epoch_table_reserve(&b->states, states);

	return rc ? rc : epoch_table_reserve(&b->hits, hits);
}

void epoch_buffer_state(struct epoch_buffer *b, const struct journal_state *state)
{
	epoch_table_put_state(&b->states, state);
}

void epoch_buffer_hit(struct epoch_buffer *b, const struct journal_hit *hit)
{
	epoch_table_put_hit(&b->hits, hit);
}

int epoch_buffer_reserve_audit(struct epoch_buffer *b, size_t bytes)
{
	return reserve(&b->audit, bytes) ? 0 : -ENOMEM;
}

size_t epoch_buffer_bytes(const struct epoch_buffer *b)
{
	return b->delta_count * sizeof(struct journal_delta) + buf_len(&b->names) + buf_len(&b->deletes) +
	       buf_len(&b->sessions) + buf_len(&b->tokens) + buf_len(&b->audit) +
	       (b->states.count + b->hits.count) * sizeof(struct epoch_entry);
}

/* ---- the rest ---- */

void epoch_buffer_flush(struct epoch_buffer *b, uint64_t floor_id)
{
	if (b->floor_id < floor_id)
		b->floor_id = floor_id;
}

int epoch_buffer_retire(struct epoch_buffer *b, void *p, enum retired_kind kind)
{
	return retired_list_add(&b->retired, p, kind);
}

int retired_list_add(struct retired_list *l, void *p, enum retired_kind kind)
{
	if (l->count == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct retired *items = reallocarray(l->items, cap, sizeof(*items));

		if (!items)
			return -ENOMEM;
		l->items = items;
		l->cap = cap;
	}
	l->items[l->count++] = (struct retired){.p = p, .kind = kind};
	return 0;
}

void retired_list_fini(struct retired_list *l)
{
	free(l->items);
	*l = (struct retired_list){0};
}

static void part_clear(struct delta_part *p)
{
	if (p->count == 0)
		return;
	if (p->mask >= KEEP_SLOTS_MAX) {
		free(p->slots);
		*p = (struct delta_part){0};
		return;
	}
	memset(p->slots, 0, (p->mask + 1) * sizeof(*p->slots));
	p->count = 0;
}

static void empty(struct buf *buf)
{
	buf_consume(buf, buf_len(buf));
	buf_shrink(buf, KEEP_BYTES_MAX);
}

void epoch_buffer_clear(struct epoch_buffer *b)
{
	for (size_t i = 0; i < DELTA_PARTS; i++)
		part_clear(&b->parts[i]);
	b->delta_count = 0;
	empty(&b->names);
	empty(&b->deletes);
	empty(&b->sessions);
	empty(&b->tokens);
	epoch_table_clear(&b->states);
	epoch_table_clear(&b->hits);
	empty(&b->audit);
	b->floor_id = 0;
	b->retired.count = 0;
	if (b->retired.cap > KEEP_RETIRED_MAX)
		retired_list_fini(&b->retired);
}

void epoch_buffer_each(const struct epoch_buffer *b, epoch_delta_fn *fn, void *arg)
{
	epoch_buffer_each_in(b, 0, DELTA_PARTS, fn, arg);
}

void epoch_buffer_each_in(const struct epoch_buffer *b, size_t first, size_t end, epoch_delta_fn *fn,
			  void *arg)
{
	for (size_t i = first; i < end; i++) {
		const struct delta_part *p = &b->parts[i];

		for (uint32_t k = 0; p->count && k <= p->mask; k++)
			if (p->slots[k].id)
				fn(arg, p->slots[k]);
	}
}
