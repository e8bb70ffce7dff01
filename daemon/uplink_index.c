/* SPDX-License-Identifier: MIT */
/* uplink_index.c - see uplink_index.h. */
#include "uplink_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_MIN = 64 };

static uint64_t spread(uint64_t id)
{
	return id * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t hash_name(const struct uplink_index *x, struct slice name)
{
	return hash_bytes(x->key, name.data, name.len);
}

size_t uplink_index_home_of(const struct uplink_index *x, const struct uplink_entry *e)
{
	return uplink_index_home(x, x->key ? hash_name(x, uplink_name_of(e)) : spread(e->id));
}

struct uplink_entry **uplink_index_place(const struct uplink_index *x, uint64_t id)
{
	return &x->slots[uplink_index_home(x, spread(id))];
}

/* ---- start and end ---- */

static int init(struct uplink_index *x, const struct hash_key *key, size_t slots)
{
	*x = (struct uplink_index){
		.slots = calloc(slots, sizeof(struct uplink_entry *)),
		.mask = slots - 1,
		.shift = 64 - (unsigned)__builtin_ctzll(slots),
		.key = key,
	};
	return x->slots ? 0 : -ENOMEM;
}

int uplink_index_init(struct uplink_index *x, const struct hash_key *key)
{
	return init(x, key, SLOTS_MIN);
}

void uplink_index_fini(struct uplink_index *x)
{
	free(x->slots);
}

/* ---- finding ---- */

struct uplink_entry *uplink_index_id(const struct uplink_index *x, uint64_t id)
{
	size_t i = uplink_index_home(x, spread(id));

	while (x->slots[i] && x->slots[i]->id != id)
		i = (i + 1) & x->mask;
	return x->slots[i];
}

struct uplink_entry *uplink_index_name(const struct uplink_index *x, struct slice name)
{
	size_t i = uplink_index_home(x, hash_name(x, name));

	while (x->slots[i] &&
	       (x->slots[i]->name_len != name.len || memcmp(x->slots[i]->name, name.data, name.len) != 0))
		i = (i + 1) & x->mask;
	return x->slots[i];
}

/* ---- changing ---- */

void uplink_index_put(struct uplink_index *x, struct uplink_entry *e)
{
	size_t i = uplink_index_home_of(x, e);

	while (x->slots[i])
		i = (i + 1) & x->mask;
	x->slots[i] = e;
	x->count++;
}

/* Those behind it move up to where they are looked for. */
void uplink_index_take(struct uplink_index *x, const struct uplink_entry *e)
{
	size_t hole = uplink_index_home_of(x, e), i;

	while (x->slots[hole] != e)
		hole = (hole + 1) & x->mask;
	for (i = (hole + 1) & x->mask; x->slots[i]; i = (i + 1) & x->mask) {
		size_t home = uplink_index_home_of(x, x->slots[i]);

		if (((i - home) & x->mask) < ((i - hole) & x->mask))
			continue;
		x->slots[hole] = x->slots[i];
		hole = i;
	}
	x->slots[hole] = NULL;
	x->count--;
}

/* At most two thirds full. */
int uplink_index_reserve(struct uplink_index *x, size_t more)
{
	struct uplink_index old = *x;
	size_t slots = x->mask + 1;

	while ((x->count + more) * 3 > slots * 2)
		slots *= 2;
	if (slots == x->mask + 1)
		return 0;
	if (init(x, old.key, slots)) {
		*x = old;
		return -ENOMEM;
	}
	for (size_t i = 0; i <= old.mask; i++)
		if (old.slots[i])
			uplink_index_put(x, old.slots[i]);
	free(old.slots);
	return UPLINK_INDEX_MOVED;
}
