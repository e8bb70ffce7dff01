/* SPDX-License-Identifier: MIT */
#include "histogram.h"

static unsigned bucket_of(uint64_t value)
{
	if (value < HISTOGRAM_SUBS)
		return (unsigned)value;
	unsigned shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
	return (shift + 1) * HISTOGRAM_SUBS + (unsigned)(value >> shift & (HISTOGRAM_SUBS - 1));
}

/* The greatest value that falls into it. */
static uint64_t top_of(unsigned bucket)
{
	if (bucket < HISTOGRAM_SUBS)
		return bucket;
	unsigned shift = bucket / HISTOGRAM_SUBS - 1;
	uint64_t first = (uint64_t)(HISTOGRAM_SUBS + bucket % HISTOGRAM_SUBS) << shift;
	return first + ((UINT64_C(1) << shift) - 1);
}

void histogram_add(struct histogram *h, uint64_t value, uint64_t times)
{
	h->buckets[bucket_of(value)] += times;
	h->count += times;
	if (value > h->max)
		h->max = value;
}

void histogram_merge(struct histogram *h, const struct histogram *from)
{
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		h->buckets[i] += from->buckets[i];
	h->count += from->count;
	if (from->max > h->max)
		h->max = from->max;
}

uint64_t histogram_at(const struct histogram *h, unsigned per_mille)
{
	uint64_t rank = (h->count * per_mille + 999) / 1000, seen = 0;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen > 0 && seen >= rank)
			return top_of(i) < h->max ? top_of(i) : h->max;
	}
	return 0;
}
