/* SPDX-License-Identifier: MIT */
#include "stats.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../lib/metric_table.h"
#include "server.h"
#include "worker.h"

#define LOAD(field) atomic_load_explicit(&(field), memory_order_relaxed)

/* ---- values that no worker counts ---- */

static int64_t process_id(const struct server *s)
{
	(void)s;
	return getpid();
}

static int64_t tcp_port(const struct server *s)
{
	return s->acceptor.tcp_port;
}

static int64_t server_time_usec(const struct server *s)
{
	struct timespec now;

	(void)s;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t uptime_seconds(const struct server *s)
{
	return (client_now_ms() - s->started_ms) / 1000;
}

static int64_t uptime_days(const struct server *s)
{
	return uptime_seconds(s) / 86400;
}

static int64_t worker_count(const struct server *s)
{
	return s->worker_count;
}

static int64_t expired(const struct server *s)
{
	return (int64_t)LOAD(s->registry.expired_count);
}

static int64_t client_count(const struct server *s)
{
	return (int64_t)LOAD(s->clients.count);
}

static int64_t max_clients(const struct server *s)
{
	return LOAD(s->config->max_clients);
}

static int64_t client_memory(const struct server *s)
{
	return LOAD(s->peer_memory.bytes);
}

static int64_t client_memory_max(const struct server *s)
{
	return LOAD(s->config->max_client_memory_bytes);
}

static int64_t evicted_clients(const struct server *s)
{
	return (int64_t)LOAD(s->peer_memory.evicted);
}

static int64_t memory_used(const struct server *s)
{
	return (int64_t)registry_used_bytes(&s->registry);
}

static int64_t memory_reserved(const struct server *s)
{
	return (int64_t)LOAD(s->registry.arena.reserved_bytes);
}

static int64_t memory_rss(const struct server *s)
{
	long long size, resident = 0;
	char text[128];
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	(void)s;
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (sscanf(text, "%lld %lld", &size, &resident) != 2)
		return 0;
	return resident * sysconf(_SC_PAGESIZE);
}

static int64_t memory_max(const struct server *s)
{
	return LOAD(s->config->max_memory_bytes);
}

static int64_t epoch_open_now(const struct server *s)
{
	return (int64_t)LOAD(s->clock.open);
}

static int64_t epoch_durable_now(const struct server *s)
{
	return (int64_t)LOAD(s->clock.durable);
}

static int64_t snapshot_asked(const struct server *s)
{
	return LOAD(s->commit.fold_want) > LOAD(s->commit.fold_done);
}

static int64_t snapshot_time(const struct server *s)
{
	return LOAD(s->commit.last_save_s);
}

static struct store_stats store_now(const struct server *s)
{
	struct store_stats st;

	store_stats(s->store, &st);
	return st;
}

static int64_t journal_bytes(const struct server *s)
{
	return (int64_t)store_now(s).journal_bytes;
}

static int64_t commits(const struct server *s)
{
	return (int64_t)store_now(s).commits;
}

static int64_t fold_transactions(const struct server *s)
{
	return (int64_t)store_now(s).fold_transactions;
}

static int64_t rows_folded(const struct server *s)
{
	return (int64_t)store_now(s).rows_folded;
}

static int64_t journal_merges(const struct server *s)
{
	return (int64_t)store_now(s).merges;
}

static int64_t checkpoints(const struct server *s)
{
	return (int64_t)store_now(s).checkpoints;
}

static int64_t sessions(const struct server *s)
{
	return (int64_t)LOAD(s->sessions.count);
}

static int64_t max_sessions(const struct server *s)
{
	return LOAD(s->config->max_sessions);
}

static int64_t tokens(const struct server *s)
{
	return (int64_t)LOAD(s->tokens.count);
}

static int64_t max_tokens(const struct server *s)
{
	return LOAD(s->config->max_tokens);
}

static int64_t top_periods(const struct server *s)
{
	return (int64_t)LOAD(s->commit.top.periods);
}

static int64_t top_changes(const struct server *s)
{
	return (int64_t)LOAD(s->commit.top.changes);
}

static int64_t refused(const struct server *s)
{
	return (int64_t)LOAD(s->acceptor.refused);
}

static int64_t refused_by_source(const struct server *s)
{
	return (int64_t)LOAD(s->sources.refused);
}

static int64_t sources(const struct server *s)
{
	return LOAD(s->sources.count);
}

static int64_t accept_failures(const struct server *s)
{
	return (int64_t)LOAD(s->acceptor.failures);
}

static int64_t store_retrying(const struct server *s)
{
	return commit_is_stuck(&s->commit);
}

static int64_t store_refusals(const struct server *s)
{
	return (int64_t)LOAD(s->commit.refusals);
}

static int64_t names(const struct server *s)
{
	return LOAD(s->registry.live_count);
}

static int64_t names_expiring(const struct server *s)
{
	return (int64_t)expiry_count(&s->registry.expiry);
}

static int64_t microseconds(const struct timeval *time)
{
	return (int64_t)time->tv_sec * 1000000 + time->tv_usec;
}

static int64_t cpu_user(const struct server *s)
{
	struct rusage u;

	(void)s;
	return getrusage(RUSAGE_SELF, &u) ? 0 : microseconds(&u.ru_utime);
}

static int64_t cpu_system(const struct server *s)
{
	struct rusage u;

	(void)s;
	return getrusage(RUSAGE_SELF, &u) ? 0 : microseconds(&u.ru_stime);
}

/* ---- of the uplink, only when there is one ---- */

static int64_t uplink_up(const struct server *s)
{
	return LOAD(s->uplink->condition) == UPLINK_UP;
}

static int64_t uplink_restored(const struct server *s)
{
	return LOAD(s->uplink->is_restored);
}

static int64_t uplink_names(const struct server *s)
{
	return (int64_t)uplink_table_counts(&s->uplink->table).names;
}

static int64_t uplink_due(const struct server *s)
{
	return (int64_t)uplink_table_counts(&s->uplink->table).due;
}

static int64_t uplink_refused(const struct server *s)
{
	return (int64_t)uplink_table_counts(&s->uplink->table).refused;
}

static int64_t uplink_synced(const struct server *s)
{
	return (int64_t)uplink_table_counts(&s->uplink->table).synced_epoch;
}

static int64_t uplink_lag(const struct server *s)
{
	return uplink_table_lag_ms(&s->uplink->table, clock_ms(CLOCK_MONOTONIC));
}

static int64_t uplink_pushes(const struct server *s)
{
	return (int64_t)LOAD(s->uplink->pushes);
}

static int64_t uplink_repairs(const struct server *s)
{
	return (int64_t)LOAD(s->uplink->repairs);
}

/* ---- */

static int64_t one(const struct server *s)
{
	(void)s;
	return 1;
}

static int64_t zero(const struct server *s)
{
	(void)s;
	return 0;
}

/* ---- the table ---- */

#define WORKER(field) offsetof(struct worker_stats, field), NULL
#define VALUE(fn)     0, fn

#define ROW(key, section, unit, name, source, help) {#key, STAT_##section, METRIC_##unit, help, source},

static const struct stat_row table[] = {METRIC_DAEMON(ROW)};

size_t stats_count(void)
{
	return sizeof(table) / sizeof(table[0]);
}

const struct stat_row *stats_at(size_t i)
{
	return &table[i];
}

int64_t stats_value(const struct server *s, const struct stat_row *row)
{
	int64_t sum = 0;

	if (row->value)
		return row->value(s);
	for (uint32_t i = 0; i < s->worker_count; i++) {
		const char *stats = (const char *)&s->workers[i].stats;

		sum += (int64_t)atomic_load_explicit(
			(const _Atomic uint64_t *)(const void *)(stats + row->worker_offset),
			memory_order_relaxed);
	}
	return sum;
}
