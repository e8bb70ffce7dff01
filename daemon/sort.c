/* SPDX-License-Identifier: MIT */
/* sort.c - see sort.h. */
#include "sort.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	DIGIT_BITS = 11,
	DIGITS = 1 << DIGIT_BITS,
	FEW = 64, /* insertion is faster than to count digits */
};

struct item {
	uint64_t key, rest;
};

/* What the caller has there is of another type: only bytes are copied. */
static struct item get(const char *items, size_t i)
{
	struct item item;

	memcpy(&item, items + i * sizeof(item), sizeof(item));
	return item;
}

static void put(char *items, size_t i, struct item item)
{
	memcpy(items + i * sizeof(item), &item, sizeof(item));
}

static void insertion_sort(char *items, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct item item = get(items, i);
		size_t at = i;

		for (; at > 0 && get(items, at - 1).key > item.key; at--)
			put(items, at, get(items, at - 1));
		put(items, at, item);
	}
}

/* The bits in which keys differ; *is_sorted: there is nothing to do. */
static uint64_t look(const char *items, size_t count, bool *is_sorted)
{
	uint64_t first = get(items, 0).key, before = first, bits = 0;

	*is_sorted = true;
	for (size_t i = 1; i < count; i++) {
		uint64_t key = get(items, i).key;

		bits |= key ^ first;
		*is_sorted = *is_sorted && before <= key;
		before = key;
	}
	return bits;
}

static void sort_digit(const char *from, char *to, size_t count, unsigned shift)
{
	size_t places[DIGITS] = {0}, sum = 0;

	for (size_t i = 0; i < count; i++)
		places[get(from, i).key >> shift & (DIGITS - 1)]++;
	for (size_t d = 0; d < DIGITS; d++) {
		size_t n = places[d];

		places[d] = sum;
		sum += n;
	}
	for (size_t i = 0; i < count; i++) {
		struct item item = get(from, i);

		put(to, places[item.key >> shift & (DIGITS - 1)]++, item);
	}
}

void *sort_by_key(void *items, void *spare, size_t count)
{
	uint64_t bits;
	bool is_sorted;

	if (count < FEW) {
		insertion_sort(items, count);
		return items;
	}
	bits = look(items, count, &is_sorted);
	for (unsigned shift = 0; !is_sorted && shift < 64; shift += DIGIT_BITS) {
		void *swap = items;

		if (!(bits >> shift & (DIGITS - 1)))
			continue;
		sort_digit(items, spare, count, shift);
		items = spare;
		spare = swap;
	}
	return items;
}
