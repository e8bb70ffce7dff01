/* SPDX-License-Identifier: MIT */
/*
 * bench_keys.h - which counter a load generator's next request is for: a number below how many there are.
 *
 * uniform: any is as likely as any other. zipf: the k-th has weight k^-0.99, the first the greatest.
 * sequence: one after the other, round and round. Pure; an object belongs to one thread.
 *
 * Sources: splitmix64 (Steele, Lea, Flood 2014); Gray and others, "Quickly generating billion-record
 * synthetic databases" (SIGMOD 1994), with the exponent that YCSB's ZipfianGenerator has: of it Gray's method
 * makes a power of 100, which is eight multiplications.
 */
#ifndef SHC_BENCH_KEYS_H
#define SHC_BENCH_KEYS_H

#include <stdint.h>

enum bench_spread { SPREAD_UNIFORM, SPREAD_ZIPF, SPREAD_SEQUENCE };

struct bench_keys {
	enum bench_spread spread;
	unsigned count;
	unsigned next;	       /* SPREAD_SEQUENCE */
	uint64_t random;       /* the state of the generator */
	double zeta, two, eta; /* SPREAD_ZIPF: sums of the weights of all, and of the first two; Gray's eta */
};

/* `first` is where a sequence begins. `count` is at least 1, at most 83 million with SPREAD_ZIPF. */
void bench_keys_init(struct bench_keys *k, enum bench_spread spread, unsigned count, uint64_t seed,
		     unsigned first);

/* The sum of the weights of the first n, to some 12 digits. */
double bench_keys_zeta(unsigned n);

static inline uint64_t bench_keys_random(struct bench_keys *k)
{
	uint64_t z = k->random += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static inline double bench_keys_power_100(double x)
{
	double x4 = x * x * x * x;
	double x32 = x4 * x4;
	x32 *= x32;
	x32 *= x32;
	return x32 * x32 * x32 * x4;
}

static inline unsigned bench_keys_zipf(struct bench_keys *k)
{
	double u = (double)(bench_keys_random(k) >> 11) * 0x1p-53;
	double of_all = u * k->zeta;
	if (of_all < 1)
		return 0;
	if (of_all < k->two)
		return 1;
	unsigned key = (unsigned)(k->count * bench_keys_power_100(k->eta * u - k->eta + 1));
	return key < k->count ? key : k->count - 1;
}

static inline unsigned bench_keys_next(struct bench_keys *k)
{
	if (k->spread == SPREAD_ZIPF)
		return bench_keys_zipf(k);
	if (k->spread == SPREAD_UNIFORM) /* the high half, scaled: a remainder would cost a division */
		return (unsigned)((bench_keys_random(k) >> 32) * k->count >> 32);
	unsigned key = k->next;
	k->next = key + 1 < k->count ? key + 1 : 0;
	return key;
}

#endif
