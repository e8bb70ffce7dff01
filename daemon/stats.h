/* SPDX-License-Identifier: MIT */
/*
 * stats.h - the daemon's own metrics: one table with name, section, unit and meaning of each. INFO prints it;
 * whoever exports metrics elsewhere reads it, too.
 *
 * Values are relaxed snapshots of counters that others write. Any thread.
 */
#ifndef SHC_STATS_H
#define SHC_STATS_H

#include <stddef.h>
#include <stdint.h>

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
	STAT_SECTIONS,
};

enum stat_unit {
	STAT_COUNT,   /* since the start; only grows */
	STAT_GAUGE,   /* a number that goes up and down */
	STAT_BYTES,   /* a gauge */
	STAT_VOLUME,  /* bytes since the start */
	STAT_SECONDS, /* a duration */
	STAT_TIME,    /* Unix time in seconds; 0: never */
	STAT_FLAG,    /* 0 or 1 */
};

struct stat_row {
	const char *name; /* as in INFO */
	enum stat_section section;
	enum stat_unit unit;
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
