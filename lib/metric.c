/* SPDX-License-Identifier: MIT */
/* metric.c - see metric.h. */
#include "metric.h"

#include <inttypes.h>
#include <stdio.h>

#include "metric_table.h"

#define DAEMON_ROW(key, section, unit, name, source, help)     {#key, name, METRIC_##unit, help},
#define WORKER_ROW(key, unit, name, field, in_one_of_it, help) {#key, name, METRIC_##unit, help},

const struct metric metric_daemon[] = {METRIC_DAEMON(DAEMON_ROW)};
const size_t metric_daemon_count = sizeof(metric_daemon) / sizeof(metric_daemon[0]);

const struct metric metric_worker[] = {METRIC_WORKER(WORKER_ROW)};
const size_t metric_worker_count = sizeof(metric_worker) / sizeof(metric_worker[0]);

/* From what a disk of flash takes to what is a trouble. */
const int64_t metric_times_bounds_us[METRIC_TIMES_BOUNDS] = {
	100,   250,    500,    1000,   2500,	5000,	 10000,	   25000,
	50000, 100000, 250000, 500000, 1000000, 2500000, 10000000,
};

const char *metric_type(enum metric_unit unit)
{
	switch (unit) {
	case METRIC_COUNT:
	case METRIC_VOLUME:
	case METRIC_MILLISECONDS_TOTAL:
	case METRIC_MICROSECONDS: return "counter";
	case METRIC_GAUGE:
	case METRIC_BYTES:
	case METRIC_SECONDS:
	case METRIC_MILLISECONDS:
	case METRIC_TIME:
	case METRIC_FLAG: break;
	}
	return "gauge";
}

static int64_t parts_of(enum metric_unit unit)
{
	if (unit == METRIC_MICROSECONDS)
		return 1000000;
	return unit == METRIC_MILLISECONDS || unit == METRIC_MILLISECONDS_TOTAL ? 1000 : 1;
}

void metric_format(char out[METRIC_CHARS_MAX], enum metric_unit unit, int64_t value)
{
	int64_t parts = parts_of(unit);

	if (parts == 1 || value < 0)
		(void)snprintf(out, METRIC_CHARS_MAX, "%" PRId64, value / parts);
	else
		(void)snprintf(out, METRIC_CHARS_MAX, "%" PRId64 ".%0*" PRId64, value / parts,
			       parts == 1000 ? 3 : 6, value % parts);
}
