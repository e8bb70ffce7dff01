/* SPDX-License-Identifier: MIT */
/* request_info.c - INFO: Redis's sections; the numbers come from the table of stats.c, the words from here.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include "../lib/metric_table.h"
#include "../lib/resp.h"
#include "request.h"
#include "server.h"
#include "stats.h"
#include "worker.h"

enum { LINE_MAX_BYTES = 4200 }; /* config_file */

static void line(struct buf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void line(struct buf *out, const char *fmt, ...)
{
	char *at = buf_reserve(out, LINE_MAX_BYTES);
	va_list args;
	int n;

	if (!at)
		return;
	va_start(args, fmt);
	n = vsnprintf(at, LINE_MAX_BYTES - 2, fmt, args);
	va_end(args);
	if (n < 0)
		return;
	n = n < LINE_MAX_BYTES - 2 ? n : LINE_MAX_BYTES - 3;
	memcpy(at + n, "\r\n", 2);
	buf_commit(out, (size_t)n + 2);
}

/* "1.04M", as Redis writes it. */
static void line_human(struct buf *out, const char *name, double bytes)
{
	static const char units[] = "BKMGTP";
	size_t unit = 0;

	for (; bytes >= 1024 && unit + 2 < sizeof(units); unit++)
		bytes /= 1024;
	line(out, unit ? "%s:%.2f%c" : "%s:%.0f%c", name, bytes, units[unit]);
}

/* ---- the words ---- */

static void put_server(const struct server *s, struct buf *out)
{
	struct utsname os;

	line(out, "redis_version:%s", REDIS_VERSION);
	line(out, "shcounterd_version:%s", SHC_VERSION);
	line(out, "redis_mode:standalone");
	if (!uname(&os))
		line(out, "os:%s %s %s", os.sysname, os.release, os.machine);
	line(out, "arch_bits:%d", (int)sizeof(void *) * 8);
	line(out, "multiplexing_api:%s", io_kind_name(s->io));
	line(out, "io_backend:%s", io_kind_name(s->io));
	line(out, "run_id:%s", s->run_id);
	line(out, "config_file:%s", s->config->config_path ? s->config->config_path : "");
}

#define WORKER_VALUE(key, unit, name, field, in_one_of_it, help)                                             \
	(long long)atomic_load_explicit(&st->field, memory_order_relaxed) / (in_one_of_it),

static void put_workers(const struct server *s, struct buf *out)
{
	for (uint32_t i = 0; i < s->worker_count; i++) {
		const struct worker_stats *st = &s->workers[i].stats;

		/* As they are one behind the other. */
		const long long values[] = {METRIC_WORKER(WORKER_VALUE)};
		char text[256];
		int at = 0;

		for (size_t k = 0; k < metric_worker_count; k++)
			at += snprintf(text + at, sizeof(text) - (size_t)at, "%s%s=%lld", k ? "," : "",
				       metric_worker[k].key, values[k]);
		line(out, "worker_%u:%s", i, text);
	}
}

static int64_t value_of(const struct server *s, const char *name)
{
	for (size_t i = 0; i < stats_count(); i++)
		if (strcmp(stats_at(i)->name, name) == 0)
			return stats_value(s, stats_at(i));
	return 0;
}

static void put_memory(const struct server *s, struct buf *out)
{
	line_human(out, "used_memory_human", (double)value_of(s, "used_memory"));
	line_human(out, "used_memory_rss_human", (double)value_of(s, "used_memory_rss"));
	line_human(out, "maxmemory_human", (double)value_of(s, "maxmemory"));
	line(out, "maxmemory_policy:noeviction");
}

/* Each class with those before it: that is what readers of such histograms want. */
static void put_commit_times(const struct server *s, struct buf *out)
{
	const struct commit_times *t = &s->commit.times;
	char text[METRIC_TIMES_BOUNDS * 32];
	uint64_t sum = 0;
	int at = 0;

	for (size_t i = 0; i < METRIC_TIMES_BOUNDS; i++) {
		sum += atomic_load_explicit(&t->counts[i], memory_order_relaxed);
		at += snprintf(text + at, sizeof(text) - (size_t)at, "le_%lld=%llu,",
			       (long long)metric_times_bounds_us[i], (unsigned long long)sum);
	}
	sum += atomic_load_explicit(&t->counts[METRIC_TIMES_BOUNDS], memory_order_relaxed);
	line(out, "commit_times:%sle_inf=%llu,sum_us=%llu", text, (unsigned long long)sum,
	     (unsigned long long)atomic_load_explicit(&t->sum_ns, memory_order_relaxed) / 1000);
}

static void put_persistence(const struct server *s, struct buf *out)
{
	bool is_stuck = commit_is_stuck(&s->commit);

	line(out, "durability:%s", s->config->durability == DURABILITY_COMMIT ? "commit" : "interval");
	line(out, "store_status:%s", is_stuck ? "retrying" : "ok");
	line(out, "rdb_last_bgsave_status:%s", is_stuck ? "err" : "ok");
	line(out, "aof_last_write_status:%s", is_stuck ? "err" : "ok");
	put_commit_times(s, out);
}

static void put_replication(const struct server *s, struct buf *out)
{
	(void)s;
	line(out, "role:master");
}

static void put_cpu(const struct server *s, struct buf *out)
{
	struct rusage u;

	(void)s;
	if (getrusage(RUSAGE_SELF, &u))
		return;
	line(out, "used_cpu_sys:%lld.%06ld", (long long)u.ru_stime.tv_sec, (long)u.ru_stime.tv_usec);
	line(out, "used_cpu_user:%lld.%06ld", (long long)u.ru_utime.tv_sec, (long)u.ru_utime.tv_usec);
}

static void put_keyspace(const struct server *s, struct buf *out)
{
	int64_t count = atomic_load_explicit(&s->registry.live_count, memory_order_relaxed);

	if (count > 0)
		line(out, "db0:keys=%lld,expires=%zu,avg_ttl=0", (long long)count,
		     expiry_count(&s->registry.expiry));
}

/* ---- the sections ---- */

static const struct section {
	const char *name, *title;
	enum stat_section section;
	void (*put_before)(const struct server *s, struct buf *out); /* before the numbers; may be null */
	void (*put_after)(const struct server *s, struct buf *out);
} sections[STAT_SECTIONS] = {
	{"server", "Server", STAT_SERVER, put_server, NULL},
	{"clients", "Clients", STAT_CLIENTS, NULL, put_workers},
	{"memory", "Memory", STAT_MEMORY, NULL, put_memory},
	{"persistence", "Persistence", STAT_PERSISTENCE, NULL, put_persistence},
	{"stats", "Stats", STAT_STATS, NULL, NULL},
	{"replication", "Replication", STAT_REPLICATION, put_replication, NULL},
	{"cpu", "CPU", STAT_CPU, put_cpu, NULL},
	{"cluster", "Cluster", STAT_CLUSTER, NULL, NULL},
	{"keyspace", "Keyspace", STAT_KEYSPACE, put_keyspace, NULL},
	{"uplink", "Uplink", STAT_UPLINK, NULL, NULL},
};

static void put_section(const struct server *s, const struct section *section, struct buf *out)
{
	if (buf_len(out))
		line(out, "%s", "");
	line(out, "# %s", section->title);
	if (section->put_before)
		section->put_before(s, out);
	for (size_t i = 0; i < stats_count(); i++)
		if (stats_at(i)->section == section->section)
			line(out, "%s:%lld", stats_at(i)->name, (long long)stats_value(s, stats_at(i)));
	if (section->put_after)
		section->put_after(s, out);
}

static bool is_wanted(const struct request *r, const struct section *section)
{
	static const char *const all[] = {"default", "all", "everything"};

	if (section->section == STAT_UPLINK && !r->worker->server->uplink)
		return false;
	for (size_t i = 1; i < r->argc; i++) {
		if (slice_is_word(r->argv[i], section->name))
			return true;
		for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++)
			if (slice_is_word(r->argv[i], all[k]))
				return true;
	}
	return r->argc == 1;
}

enum request_result request_info(struct request *r)
{
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < STAT_SECTIONS; i++)
		if (is_wanted(r, &sections[i]))
			put_section(r->worker->server, &sections[i], &text);
	if (text.failed)
		reply_error(r, "OOM out of memory");
	else
		resp_put_verbatim(r->out, r->proto, buf_head(&text), buf_len(&text));
	buf_fini(&text);
	return REQUEST_DONE;
}
