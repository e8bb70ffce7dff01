/* SPDX-License-Identifier: MIT */
/*
 * metric.h - the table of metric_table.h as data: units, names and meanings of what services tell of
 * themselves. Constant; any thread.
 */
#ifndef SHC_METRIC_H
#define SHC_METRIC_H

#include <stddef.h>
#include <stdint.h>

enum metric_unit {
	METRIC_COUNT,		   /* since the start; only grows */
	METRIC_GAUGE,		   /* a number that goes up and down */
	METRIC_BYTES,		   /* a gauge */
	METRIC_VOLUME,		   /* bytes since the start */
	METRIC_SECONDS,		   /* a duration */
	METRIC_MILLISECONDS,	   /* a duration */
	METRIC_MILLISECONDS_TOTAL, /* since the start */
	METRIC_MICROSECONDS,	   /* since the start */
	METRIC_TIME,		   /* Unix time in seconds; 0: never */
	METRIC_FLAG,		   /* 0 or 1 */
};

struct metric {
	const char *key;  /* in INFO; null: it is not there as a number */
	const char *name; /* in /metrics; null: it is not there */
	enum metric_unit unit;
	const char *help;
};

extern const struct metric metric_daemon[], metric_worker[];
extern const size_t metric_daemon_count, metric_worker_count;

/* "counter" or "gauge". */
const char *metric_type(enum metric_unit unit);

/* A number of that unit in the base unit: "1.234". */
enum { METRIC_CHARS_MAX = 32 };
void metric_format(char out[METRIC_CHARS_MAX], enum metric_unit unit, int64_t value);

/* Upper ends of the classes of times of commits, in microseconds; one more class has no end. */
enum { METRIC_TIMES_BOUNDS = 15 };
extern const int64_t metric_times_bounds_us[METRIC_TIMES_BOUNDS];

#endif
