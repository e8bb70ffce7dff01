/* SPDX-License-Identifier: MIT */
#include "bench_keys.h"

enum { SUMMED_MAX = 1000 /* terms of zeta that are added one by one */ };

#define EXPONENT 0.99

/* The 100th root of 1 <= x <= 1.2^100, which is 83 million, by Newton's method from above: it falls until it
 * is there. libm's pow would be one more library that every `shcount incr` had to load. */
static double root_100(double x)
{
	double root = 1.2;
	for (;;) {
		double power = bench_keys_power_100(root);
		double next = root - root * (power - x) / (100 * power);
		if (next >= root)
			return root;
		root = next;
	}
}

static double weight(double rank)
{
	return root_100(rank) / rank;
}

/* Behind the first thousand by the formula of Euler and Maclaurin: integral, ends, slopes at the ends. */
double bench_keys_zeta(unsigned n)
{
	unsigned summed = n < SUMMED_MAX ? n : SUMMED_MAX;
	double sum = 0, from = summed, to = n;
	for (unsigned rank = summed; rank > 0; rank--)
		sum += weight(rank);
	if (n == summed)
		return sum;
	double slopes = -EXPONENT * weight(to) / to + EXPONENT * weight(from) / from;
	return sum + (root_100(to) - root_100(from)) * 100 + (weight(to) - weight(from)) / 2 + slopes / 12;
}

void bench_keys_init(struct bench_keys *k, enum bench_spread spread, unsigned count, uint64_t seed,
		     unsigned first)
{
	*k = (struct bench_keys){.spread = spread, .count = count, .next = first, .random = seed};
	if (spread != SPREAD_ZIPF)
		return;
	k->zeta = bench_keys_zeta(count);
	k->two = bench_keys_zeta(2);
	/* Of one or two nothing is left to Gray's formula. */
	if (count > 2)
		k->eta = (1 - root_100(2) / root_100(count)) / (1 - k->two / k->zeta);
}
