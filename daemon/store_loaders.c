/* SPDX-License-Identifier: MIT */
/*
 * store_loaders.c - at a start, many hands: the counters are read on several threads, ranges of ids each,
 * while another one looks at all pages of the file.
 *
 * Everybody has a connection of his own and sees the same: the owner's has begun a transaction that keeps
 * writers away, and writes nothing itself. Nothing is served before all have come back, so that the pages are
 * found damaged only when the counters are in memory harms nobody: the start is refused, as before.
 *
 * 10 million counters, CPU time: 1.2 s for the pages, 1.2 s for SQLite's rows, as much for the table in
 * memory (bench_store DIRECTORY 1 10000000).
 */
#include "store_private.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
	PAGES_A_LOADER = 256, /* 1 MiB, 20 000 counters: some ms, more than a thread and a connection cost */
	RANGES_A_LOADER = 16, /* ids may be spread unevenly */
};

struct loaders {
	struct store *s;
	const struct journal_set *set;
	uint64_t first, last; /* ids of counters, about */
	unsigned range_count;
	_Atomic unsigned range_next;
	_Atomic bool *is_stopped;
};

/* A thread of ours, or this one. */
struct loader {
	struct loaders *all;
	struct store *s; /* its connection; owned, but for the first's */
	pthread_t thread;
	bool has_thread;
	int result;
	struct store_join join;
};

static int begin_reading(const struct store *s, struct store **reader)
{
	int r = store_open_reader(reader, s);

	return r == 0 ? store_run(*reader, SQL_BEGIN_READ, "loading") : r;
}

/* The failure of a connection becomes the owner's. One that was only told to stop has none. */
static int take_failure(struct store *s, struct store *from, int r)
{
	if (r == 0 || r == -ECANCELED)
		return 0;
	return from ? store_take_failure(s, from, r) : store_say(s, ENOMEM, "out of memory while loading");
}

/* ---- the pages ---- */

static void *run_look(void *arg)
{
	struct store_look *look = arg;

	look->result = begin_reading(look->s, &look->reader);
	if (look->result == 0)
		look->result = store_look_at_pages(look->reader);
	if (look->result != 0) {
		/* The others may be lost in a damaged file. */
		atomic_store(&look->is_stopped, true);
		sqlite3_interrupt(look->s->db);
	}
	return NULL;
}

int store_look_begin(struct store_look *look, struct store *s, bool is_beside)
{
	*look = (struct store_look){.s = s};
	if (is_beside)
		look->has_thread = pthread_create(&look->thread, NULL, run_look, look) == 0;
	return look->has_thread ? 0 : store_look_at_pages(s);
}

int store_look_end(struct store_look *look, int result)
{
	int r;

	if (!look->has_thread)
		return result;
	pthread_join(look->thread, NULL);
	r = take_failure(look->s, look->reader, look->result);
	look->reader = store_close(look->reader);
	return r ? r : result;
}

/* ---- the counters ---- */

/* Ids beside those that were expected belong to the outer ranges. */
static uint64_t range_begin(const struct loaders *l, unsigned i)
{
	uint64_t begin = l->first + ((l->last - l->first) / l->range_count + 1) * i;

	if (i == 0)
		return 0;
	return i == l->range_count || begin > JOURNAL_ID_MAX ? JOURNAL_ID_MAX + 1 : begin;
}

static int load_ranges(struct loader *loader)
{
	struct loaders *l = loader->all;
	int r = 0;

	while (r == 0 && !atomic_load(l->is_stopped)) {
		unsigned i = atomic_fetch_add(&l->range_next, 1);
		uint64_t first = range_begin(l, i), next = i < l->range_count ? range_begin(l, i + 1) : 0;

		if (first >= next)
			break;
		r = store_join_range(&loader->join, first, next - 1);
	}
	if (r != 0)
		atomic_store(l->is_stopped, true);
	return r;
}

static void *run_loader(void *arg)
{
	struct loader *loader = arg;

	loader->result = begin_reading(loader->all->s, &loader->s);
	loader->join.s = loader->s;
	if (loader->result == 0)
		loader->result = load_ranges(loader);
	else
		atomic_store(loader->all->is_stopped, true);
	return NULL;
}

static int end_loader(struct loader *loader, int result)
{
	struct store *s = loader->all->s;

	if (loader->has_thread)
		pthread_join(loader->thread, NULL);
	if (result == 0)
		result = take_failure(s, loader->s, loader->result);
	if (loader->s != s)
		loader->s = store_close(loader->s);
	journal_set_fini(&loader->join.set);
	return result;
}

static int prepare(struct loader *loader, struct loaders *l, unsigned number, const struct store_sink *sink,
		   uint64_t floor_id)
{
	loader->all = l;
	loader->join.loader = number;
	loader->join.sink = sink;
	loader->join.floor_id = floor_id;
	loader->join.is_stopped = l->is_stopped;
	return journal_set_share(&loader->join.set, l->set);
}

/* A thread that the system refuses costs time, nothing else: the others take its ranges. */
static int run_loaders(struct loaders *l, struct loader *loaders, unsigned count,
		       const struct store_sink *sink, uint64_t floor_id)
{
	int r = 0;

	for (unsigned i = 0; i < count && r == 0; i++)
		r = prepare(&loaders[i], l, i, sink, floor_id);
	if (r < 0)
		return store_fail(l->s, SQLITE_NOMEM, "loading");
	for (unsigned i = 1; i < count; i++)
		loaders[i].has_thread =
			pthread_create(&loaders[i].thread, NULL, run_loader, &loaders[i]) == 0;
	loaders[0].s = loaders[0].join.s = l->s;
	loaders[0].result = load_ranges(&loaders[0]);
	return 0;
}

/* ---- all of it ---- */

static int read_number(struct store *s, enum store_sql which, int column, uint64_t *out)
{
	sqlite3_stmt *stmt = s->sql[which];
	int rc = sqlite3_step(stmt);

	if (rc == SQLITE_ROW)
		*out = (uint64_t)sqlite3_column_int64(stmt, column);
	sqlite3_reset(stmt);
	return rc == SQLITE_ROW ? 0 : store_fail(s, rc, "reading the head of the file");
}

int store_loader_count(struct store *s, const struct store_sink *sink, unsigned *count)
{
	uint64_t pages = 0, loaders;
	int r = read_number(s, SQL_PAGE_COUNT, 0, &pages);

	if (r != 0)
		return r;
	loaders = pages / PAGES_A_LOADER;
	if (loaders > sink->loaders)
		loaders = sink->loaders;
	if (loaders > STORE_LOADERS_MAX)
		loaders = STORE_LOADERS_MAX;
	*count = loaders ? (unsigned)loaders : 1;
	return 0;
}

static int find_ends(struct loaders *l)
{
	const struct journal_set *set = l->set;
	int r = read_number(l->s, SQL_NAME_ENDS, 0, &l->first);

	if (r == 0)
		r = read_number(l->s, SQL_NAME_ENDS, 1, &l->last);
	if (set->name_count && (l->last == 0 || set->names[0].id < l->first))
		l->first = set->names[0].id;
	if (set->name_count && set->names[set->name_count - 1].id > l->last)
		l->last = set->names[set->name_count - 1].id;
	/* Some id makes no sense: who reads it says so. */
	if (l->first > l->last || l->last > JOURNAL_ID_MAX)
		l->first = l->last = 0;
	return r;
}

/* Counting 10 million rows takes 60 ms, growing the table in memory by half of them each time 500. */
static int expect(const struct loaders *l, const struct store_sink *sink)
{
	uint64_t count = 0;
	int r = read_number(l->s, SQL_NAME_COUNT, 0, &count);

	if (r != 0)
		return r;
	/* Names of a pass that was cut off are in both. */
	count += l->set->name_count;
	if (count > l->last - l->first + 1)
		count = l->last - l->first + 1;
	r = sink->expect(sink->arg, count);
	return r < 0 ? store_say(l->s, -r, "loading was stopped: %s", strerror(-r)) : r;
}

int store_load_counters(struct store *s, const struct journal_set *set, uint64_t floor_id, unsigned count,
			const struct store_sink *sink, _Atomic bool *is_stopped, struct store_loaded *out)
{
	struct loaders l = {
		.s = s,
		.set = set,
		.range_count = count > 1 ? count * RANGES_A_LOADER : 1,
		.is_stopped = is_stopped,
	};
	struct loader *loaders;
	int r = find_ends(&l);

	if (r == 0 && sink->expect)
		r = expect(&l, sink);
	if (r != 0)
		return r;
	loaders = calloc(count, sizeof(*loaders));
	if (!loaders)
		return store_fail(s, SQLITE_NOMEM, "loading");
	r = run_loaders(&l, loaders, count, sink, floor_id);
	for (unsigned i = 0; i < count; i++) {
		r = end_loader(&loaders[i], r);
		out->counters += loaders[i].join.counters;
		if (loaders[i].join.id_max > out->id_max)
			out->id_max = loaders[i].join.id_max;
	}
	free(loaders);
	return r;
}
