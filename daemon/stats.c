/* SPDX-License-Identifier: MIT */
#include "stats.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

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

static int64_t accept_failures(const struct server *s)
{
	return (int64_t)LOAD(s->acceptor.failures);
}

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

/* clang-format off: a metric a line */
static const struct stat_row table[] = {
	{"process_id", STAT_SERVER, STAT_GAUGE, "process id", VALUE(process_id)},
	{"tcp_port", STAT_SERVER, STAT_GAUGE, "port on the loopback interface, 0 without one",
	 VALUE(tcp_port)},
	{"server_time_usec", STAT_SERVER, STAT_GAUGE, "Unix time in microseconds", VALUE(server_time_usec)},
	{"uptime_in_seconds", STAT_SERVER, STAT_SECONDS, "time since the start", VALUE(uptime_seconds)},
	{"uptime_in_days", STAT_SERVER, STAT_GAUGE, "the same in days", VALUE(uptime_days)},
	{"workers", STAT_SERVER, STAT_GAUGE, "threads that serve connections", VALUE(worker_count)},

	{"connected_clients", STAT_CLIENTS, STAT_GAUGE, "connections now", VALUE(client_count)},
	{"maxclients", STAT_CLIENTS, STAT_GAUGE, "connections allowed at a time (max-clients)",
	 VALUE(max_clients)},
	{"blocked_clients", STAT_CLIENTS, STAT_GAUGE,
	 "connections whose request waits for the disk or for cells", WORKER(waiting)},

	{"used_memory", STAT_MEMORY, STAT_BYTES, "counters, their names and the table that finds them",
	 VALUE(memory_used)},
	{"counters_memory_reserved", STAT_MEMORY, STAT_BYTES, "the same with what is kept for new ones",
	 VALUE(memory_reserved)},
	{"used_memory_rss", STAT_MEMORY, STAT_BYTES, "memory of the process that is resident",
	 VALUE(memory_rss)},
	{"maxmemory", STAT_MEMORY, STAT_BYTES, "no new counters beyond it (max-memory), 0 without a limit",
	 VALUE(memory_max)},

	{"loading", STAT_PERSISTENCE, STAT_FLAG, "always 0: connections are accepted after loading",
	 VALUE(zero)},
	{"open_epoch", STAT_PERSISTENCE, STAT_GAUGE, "the epoch that changes are recorded in now",
	 VALUE(epoch_open_now)},
	{"durable_epoch", STAT_PERSISTENCE, STAT_GAUGE, "the newest epoch that is on disk",
	 VALUE(epoch_durable_now)},
	{"journal_bytes", STAT_PERSISTENCE, STAT_BYTES,
	 "changes on disk that are not folded into the snapshot yet", VALUE(journal_bytes)},
	{"commits", STAT_PERSISTENCE, STAT_COUNT, "epochs written to disk", VALUE(commits)},
	{"fold_transactions", STAT_PERSISTENCE, STAT_COUNT, "transactions that folded the journal",
	 VALUE(fold_transactions)},
	{"rows_folded", STAT_PERSISTENCE, STAT_COUNT, "counters' rows written by folding",
	 VALUE(rows_folded)},
	{"journal_merges", STAT_PERSISTENCE, STAT_COUNT, "merges of a journal that had outgrown folding",
	 VALUE(journal_merges)},
	{"checkpoints", STAT_PERSISTENCE, STAT_COUNT, "checkpoints of the write-ahead log",
	 VALUE(checkpoints)},
	{"sessions", STAT_PERSISTENCE, STAT_GAUGE, "sessions remembered (SHC.SESSION)", VALUE(sessions)},
	{"max_sessions", STAT_PERSISTENCE, STAT_GAUGE, "sessions remembered at most (max-sessions)",
	 VALUE(max_sessions)},
	{"tokens", STAT_PERSISTENCE, STAT_GAUGE, "tokens remembered (SHC.ONCE)", VALUE(tokens)},
	{"max_tokens", STAT_PERSISTENCE, STAT_GAUGE, "tokens remembered at most (max-tokens)",
	 VALUE(max_tokens)},
	{"last_snapshot_time", STAT_PERSISTENCE, STAT_TIME, "end of the last complete snapshot",
	 VALUE(snapshot_time)},
	{"rdb_last_save_time", STAT_PERSISTENCE, STAT_TIME, "the same by Redis's name", VALUE(snapshot_time)},
	{"rdb_bgsave_in_progress", STAT_PERSISTENCE, STAT_FLAG, "somebody waits for a complete snapshot",
	 VALUE(snapshot_asked)},
	{"aof_enabled", STAT_PERSISTENCE, STAT_FLAG, "always 1: every change goes to the journal",
	 VALUE(one)},
	{"aof_rewrite_in_progress", STAT_PERSISTENCE, STAT_FLAG,
	 "always 0: the journal is folded, not rewritten", VALUE(zero)},
	{"aof_current_size", STAT_PERSISTENCE, STAT_BYTES, "journal_bytes by Redis's name",
	 VALUE(journal_bytes)},

	{"total_connections_received", STAT_STATS, STAT_COUNT, "connections served", WORKER(connections)},
	{"total_commands_processed", STAT_STATS, STAT_COUNT, "requests executed", WORKER(requests)},
	{"total_net_input_bytes", STAT_STATS, STAT_VOLUME, "bytes received", WORKER(bytes_in)},
	{"total_net_output_bytes", STAT_STATS, STAT_VOLUME, "bytes sent", WORKER(bytes_out)},
	{"rejected_connections", STAT_STATS, STAT_COUNT, "connections refused for max-clients",
	 VALUE(refused)},
	{"accept_failures", STAT_STATS, STAT_COUNT,
	 "times that accepting failed for want of descriptors or memory", VALUE(accept_failures)},
	{"total_error_replies", STAT_STATS, STAT_COUNT,
	 "requests that no handler took: unknown, wrong arity, no RESP", WORKER(errors)},
	{"transactions", STAT_STATS, STAT_COUNT, "EXECs", WORKER(transactions)},
	{"parked_requests", STAT_STATS, STAT_COUNT, "times that a request had to wait", WORKER(parked)},
	{"throttled_clients", STAT_STATS, STAT_COUNT,
	 "times that a connection was not read from for its unread replies", WORKER(throttled)},
	{"output_timeouts", STAT_STATS, STAT_COUNT, "connections closed for their unread replies",
	 WORKER(timed_out)},
	{"top_periods", STAT_STATS, STAT_COUNT, "periods counted for SHC.TOP", VALUE(top_periods)},
	{"top_changes", STAT_STATS, STAT_COUNT, "changes of counters that were added up for SHC.TOP",
	 VALUE(top_changes)},
	{"expired_keys", STAT_STATS, STAT_COUNT, "counters that have ended because their time had come",
	 VALUE(expired)},
	{"evicted_keys", STAT_STATS, STAT_COUNT, "always 0: nothing is evicted", VALUE(zero)},

	{"connected_slaves", STAT_REPLICATION, STAT_GAUGE, "always 0: there is no replication", VALUE(zero)},
	{"cluster_enabled", STAT_CLUSTER, STAT_FLAG, "always 0: a daemon stands alone", VALUE(zero)},
};
/* clang-format on */

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
