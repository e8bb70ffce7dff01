/* SPDX-License-Identifier: MIT */
/* metrics.c - see metrics.h. */
#include "metrics.h"

const int64_t metrics_bounds_us[METRICS_BUCKETS - 1] = {50,    100,   250,   500,    1000,   2500,   5000,
							10000, 25000, 50000, 100000, 250000, 1000000};

void metrics_request(struct metrics *m, size_t route, unsigned status, int64_t ns)
{
	size_t bucket = 0;

	if (route >= METRICS_ROUTES_MAX)
		route = METRICS_ROUTES_MAX - 1;
	metrics_add(&m->requests[route][status / 100 % METRICS_CLASSES], 1);
	if (ns < 0)
		return;
	while (bucket < METRICS_BUCKETS - 1 && ns > metrics_bounds_us[bucket] * 1000)
		bucket++;
	metrics_add(&m->latency[bucket], 1);
	metrics_add(&m->latency_ns, (uint64_t)ns);
}
