/* SPDX-License-Identifier: MIT */
/*
 * stats.h - the daemon's own metrics: the table of lib/metric_table.h with where each value comes from. INFO
 * prints it.
 *
 * Values are relaxed snapshots of counters that others write. Any thread.
 */
#ifndef SHC_STATS_H
#define SHC_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "../lib/metric.h"

struct server;

enum stat_section {
	STAT_SERVER,
	STAT_CLIENTS,
	STAT_MEMORY,
	STAT_PERSISTENCE,
	STAT_STATS,
	STAT_REPLICATION,
	STAT_CPU,
	STAT_CLUSTER,
	STAT_KEYSPACE,
	STAT_UPLINK,
	STAT_SECTIONS,
};

struct stat_row {
	const char *name; /* as in INFO */
	enum stat_section section;
	enum metric_unit unit;
	const char *help;
	/* one of the two */
	size_t worker_offset; /* of a 64-bit number in struct worker_stats, summed over the workers; when
				 !value */
	int64_t (*value)(const struct server *s);
};

size_t stats_count(void);
const struct stat_row *stats_at(size_t i);
int64_t stats_value(const struct server *s, const struct stat_row *row);

#endif
