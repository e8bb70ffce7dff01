/* SPDX-License-Identifier: MIT */
/*
 * gen_zipf.c - lines for ingest to count: names drawn by Zipf's law (exponent 1), the k-th most frequent with
 * weight 1/k.
 *
 * Usage: gen_zipf [LINES [NAMES [SEED]]]   (default 10000000 100000 1); names are "counter:%08u", 16 bytes.
 * The same arguments give the same bytes.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static double uniform(uint64_t *state)
{
	return (double)(next_random(state) >> 11) * 0x1p-53;
}

/* Rejection from the envelope 1/x on [1, n + 1): floor(x) = k is kept with (1/k) / (its share of the
 * envelope) over the largest such ratio, which is at k = 1. */
static uint32_t draw(uint64_t *state, double log_n)
{
	for (;;) {
		double k = floor(exp(uniform(state) * log_n));
		double ratio = 1 / (k * log1p(1 / k));
		if (uniform(state) * (1 / log(2)) < ratio)
			return (uint32_t)k;
	}
}

int main(int argc, char **argv)
{
	uint64_t lines = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000;
	uint64_t names = argc > 2 ? strtoull(argv[2], NULL, 10) : 100000;
	uint64_t state = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
	if (lines == 0 || names == 0 || names > 99999999) {
		fprintf(stderr, "usage: gen_zipf [LINES [NAMES [SEED]]]\n");
		return 64;
	}
	double log_n = log((double)names + 1);
	for (uint64_t i = 0; i < lines; i++) {
		/* Neighbours in rank are not neighbours in name. */
		uint64_t name = draw(&state, log_n) * UINT64_C(7919) % 100000000;
		if (printf("counter:%08u\n", (unsigned)name) < 0)
			return 74;
	}
	return fflush(stdout) ? 74 : 0;
}
