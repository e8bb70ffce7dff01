/* SPDX-License-Identifier: MIT */
/*
 * bench_store.c - what the disk gives: commits, folding (also of windows), loading, merging.
 *
 *	bench_store DIRECTORY [SECONDS [COUNTERS]]
 *
 * DIRECTORY must be on the disk in question (not tmpfs); files are made there and removed. Random counters
 * out of a hundred thousand, small deltas, one fdatasync a commit. COUNTERS (a million) is for loading, and
 *for the commit that has all of them: 10000000 says whether a start meets its target.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../daemon/journal.h"
#include "../daemon/pack.h"
#include "../daemon/recover.h"
#include "../daemon/store.h"

enum {
	COUNTERS = 100000,
	RECORDS_MAX = 100000,
	FOLD_ROWS = 1000,
	CHECKPOINT_FRAMES = 4096,
};

static uint64_t seed = 88172645463325252u;
static char path[4096];
static uint64_t load_counters = 1000000;
static struct journal_delta deltas[RECORDS_MAX];

static uint64_t draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Of all threads. */
static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void need(struct store *s, int result, const char *what)
{
	if (result >= 0 && result != STORE_RETRY)
		return;
	fprintf(stderr, "bench_store: %s: %s\n", what, store_error(s));
	exit(74);
}

static int ignore_counters(void *arg, unsigned loader, const struct store_counter *counters, size_t count)
{
	uint64_t *sum = arg;

	(void)loader;
	for (size_t i = 0; i < count; i++)
		*sum += counters[i].id + counters[i].name.len + (uint64_t)counters[i].value;
	return 0;
}

static void remove_files(void)
{
	static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
	char name[sizeof(path) + 16];

	for (size_t i = 0; i < sizeof(endings) / sizeof(*endings); i++) {
		snprintf(name, sizeof(name), "%s%s", path, endings[i]);
		unlink(name);
	}
}

static struct store *open_store(struct store_state *state)
{
	struct store *s = NULL;
	uint64_t sum = 0;
	const struct store_sink sink = {.counters = ignore_counters, .arg = &sum};

	need(s, store_open(&s, path, STORE_CREATE), "open");
	need(s, store_load(s, &sink, state), "load");
	return s;
}

static void make_names(struct store *s, uint64_t epoch, uint64_t count)
{
	struct journal_writer w;
	char name[64];

	journal_writer_init(&w, 1);
	for (uint64_t id = 1; id <= count; id++) {
		snprintf(name, sizeof(name), "service:endpoint:%" PRIu64, id);
		journal_put_name(&w, id, slice_str(name));
	}
	need(s, journal_writer_finish(&w), "pack");
	need(s, store_commit(s, epoch, &w, NULL, 0, count + 1), "commit");
	journal_writer_fini(&w);
}

static int compare(const void *a, const void *b)
{
	const struct journal_delta *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* `count` random counters, sorted, each once. */
static size_t draw_deltas(size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		deltas[i] = (struct journal_delta){.id = 1 + draw() % COUNTERS, .delta = draw() % 100};
	qsort(deltas, count, sizeof(*deltas), compare);
	for (size_t i = 0; i < count; i++) {
		if (kept == 0 || deltas[kept - 1].id != deltas[i].id)
			deltas[kept++] = deltas[i];
	}
	return kept;
}

static uint64_t commit_deltas(struct store *s, uint64_t epoch, size_t count)
{
	struct journal_writer w;

	journal_writer_init(&w, 1700000000000);
	journal_put_deltas(&w, deltas, count);
	need(s, journal_writer_finish(&w), "pack");
	need(s, store_commit(s, epoch, &w, NULL, 0, 0), "commit");
	journal_writer_fini(&w);
	return count;
}

static void fold_all(struct store *s)
{
	int r;

	while ((r = store_fold_begin(s)) == STORE_AGAIN) {
		do {
			r = store_fold_step(s, FOLD_ROWS);
			need(s, r, "fold");
			need(s, store_checkpoint(s, CHECKPOINT_FRAMES), "checkpoint");
		} while (r == STORE_AGAIN);
	}
	need(s, r, "fold");
}

/* Time of the draws is not counted. */
static void bench_commits(size_t records, double limit)
{
	struct store_state state;
	struct store *s = open_store(&state);
	uint64_t epoch = state.epoch_first, commits = 0, total = 0, bytes = 0, before;
	double spent = 0, slowest = 0;

	make_names(s, epoch++, COUNTERS);
	fold_all(s);
	while (spent < limit) {
		size_t count = draw_deltas(records);
		double begin = seconds(), took;

		before = store_journal_bytes(s);
		total += commit_deltas(s, epoch++, count);
		bytes += store_journal_bytes(s) - before;
		need(s, store_checkpoint(s, CHECKPOINT_FRAMES), "checkpoint");
		took = seconds() - begin;
		spent += took;
		slowest = took > slowest ? took : slowest;
		commits++;
	}
	printf("commit %6zu records: %8.0f commits/s %10.0f records/s, %.2f bytes a record, slowest %.1f "
	       "ms\n",
	       records, (double)commits / spent, (double)total / spent, (double)bytes / (double)total,
	       slowest * 1e3);
	store_close(s);
	remove_files();
}

/* Folding what `commits` commits changed, each row once a pass. */
static void bench_fold(size_t records, int commits)
{
	struct store_state state;
	struct store *s = open_store(&state);
	struct store_stats before, after;
	uint64_t epoch = state.epoch_first;
	double begin, slowest = 0, took;
	int r;

	make_names(s, epoch++, COUNTERS);
	fold_all(s);
	for (int i = 0; i < commits; i++)
		commit_deltas(s, epoch++, draw_deltas(records));
	store_stats(s, &before);
	begin = seconds();
	need(s, r = store_fold_begin(s), "fold");
	took = seconds() - begin;
	printf("fold   begin of %.1f MiB of journal: %.1f ms\n", (double)store_journal_bytes(s) / 1048576,
	       took * 1e3);
	while (r == STORE_AGAIN) {
		double step = seconds();

		need(s, r = store_fold_step(s, FOLD_ROWS), "fold");
		need(s, store_checkpoint(s, CHECKPOINT_FRAMES), "checkpoint");
		step = seconds() - step;
		slowest = step > slowest ? step : slowest;
	}
	took = seconds() - begin;
	store_stats(s, &after);
	printf("fold   %d x %zu records: %.0f rows/s, %.0f records/s, %" PRIu64
	       " transactions, slowest step %.1f ms\n",
	       commits, records, (double)(after.rows_folded - before.rows_folded) / took,
	       (double)commits * (double)records / took, after.fold_transactions - before.fold_transactions,
	       slowest * 1e3);
	store_close(s);
	remove_files();
}

enum { WINDOWS = 10000, PASS_SECONDS = 30, WINDOW_MINUTES_KEPT = 1440, WINDOW_HOURS_KEPT = 720 };

/* A hit of every windowed counter each `step` seconds, from `begin` on. */
static void commit_hits(struct store *s, uint64_t epoch, int64_t begin, int64_t step, int64_t count)
{
	struct journal_writer w;

	journal_writer_init(&w, 1700000000000);
	for (uint64_t id = 1; id <= WINDOWS; id++)
		for (int64_t i = 0; i < count; i++)
			journal_put_hit(&w, &(struct journal_hit){id, begin + i * step, 1 + draw() % 3});
	need(s, journal_writer_finish(&w), "pack");
	need(s, store_commit(s, epoch, &w, NULL, 0, WINDOWS + 1), "commit");
	journal_writer_fini(&w);
}

/* Folding half a minute of hits, one a second of every counter, into windows that have nothing older, or all
 * they can have. */
static void bench_windows(bool is_full)
{
	const int64_t now = 1700000000;
	struct store_state state;
	struct store *s = open_store(&state);
	uint64_t epoch = state.epoch_first, bytes;
	double begin, cpu, slowest = 0, took;
	int r;

	make_names(s, epoch++, WINDOWS);
	if (is_full) {
		for (int64_t h = WINDOW_HOURS_KEPT; h > 0; h -= 90, fold_all(s))
			commit_hits(s, epoch++, now - h * 3600, 3600, 90);
		for (int64_t m = WINDOW_MINUTES_KEPT; m > 0; m -= 90, fold_all(s))
			commit_hits(s, epoch++, now - m * 60, 60, 90);
		for (int64_t sec = 300; sec > 0; sec -= 100, fold_all(s))
			commit_hits(s, epoch++, now - sec, 1, 100);
	}
	fold_all(s);
	for (int64_t i = 0; i < PASS_SECONDS; i++)
		commit_hits(s, epoch++, now + i, 1, 1);
	bytes = store_journal_bytes(s);
	begin = seconds();
	cpu = cpu_seconds();
	need(s, r = store_fold_begin(s), "fold");
	while (r == STORE_AGAIN) {
		double step = seconds();

		need(s, r = store_fold_step(s, FOLD_ROWS), "fold");
		need(s, store_checkpoint(s, CHECKPOINT_FRAMES), "checkpoint");
		step = seconds() - step;
		slowest = step > slowest ? step : slowest;
	}
	took = seconds() - begin;
	printf("windows %d, %s, %d s of hits, %.1f MiB of journal: %.0f ms, %.1f us of CPU a window, slowest "
	       "step %.1f ms\n",
	       WINDOWS, is_full ? "full" : "new", PASS_SECONDS, (double)bytes / 1048576, took * 1e3,
	       (cpu_seconds() - cpu) * 1e6 / WINDOWS, slowest * 1e3);
	store_close(s);
	remove_files();
}

static void bench_merge(size_t records, int commits)
{
	struct store_state state;
	struct store *s = open_store(&state);
	struct store_stats stats;
	uint64_t epoch = state.epoch_first, bytes;
	double spent = 0, slowest = 0;

	for (int i = 0; i < commits; i++) {
		double begin, took;

		commit_deltas(s, epoch++, draw_deltas(records));
		begin = seconds();
		need(s, store_journal_merge(s, 0), "merge");
		took = seconds() - begin;
		spent += took;
		slowest = took > slowest ? took : slowest;
		need(s, store_checkpoint(s, CHECKPOINT_FRAMES), "checkpoint");
	}
	bytes = store_journal_bytes(s);
	store_stats(s, &stats);
	printf("merge  %d x %zu records: %" PRIu64 " merges, %.2f s, slowest %.1f ms, %.1f MiB left\n",
	       commits, records, stats.merges, spent, slowest * 1e3, (double)bytes / 1048576);
	store_close(s);
	remove_files();
}

/* Into a registry, as the daemon does. */
static void bench_load_on(unsigned loaders)
{
	struct registry registry;
	const struct recover recover = {.registry = &registry, .workers = 1, .threads = loaders};
	struct store_state state;
	struct store *s = NULL;
	double begin = seconds(), cpu = cpu_seconds();

	if (registry_init(&registry, NULL))
		exit(74);
	need(s, store_open(&s, path, 0), "open");
	need(s, recover_load(&recover, s, &state), "load");
	printf("load   %" PRIu64
	       " counters, %.1f MiB of journal, %u threads: %.2f s, %.2f s of CPU time, %.1f "
	       "bytes a counter\n",
	       state.counters, (double)state.journal_bytes / 1048576, loaders, seconds() - begin,
	       cpu_seconds() - cpu, (double)registry_used_bytes(&registry) / (double)state.counters);
	store_close(s);
	registry_fini(&registry);
}

static void bench_load(void)
{
	struct store_state state;
	struct store *s = open_store(&state);
	uint64_t epoch = state.epoch_first;
	double begin = seconds();

	make_names(s, epoch++, load_counters);
	fold_all(s);
	printf("create %" PRIu64 " counters, commit and fold: %.2f s\n", load_counters, seconds() - begin);
	store_close(s);
	for (unsigned loaders = 1; loaders <= 4; loaders *= 2)
		bench_load_on(loaders);
	s = open_store(&state);
	epoch = state.epoch_first;
	for (int i = 0; i < 30; i++)
		commit_deltas(s, epoch++, draw_deltas(RECORDS_MAX));
	store_close(s);
	for (unsigned loaders = 1; loaders <= 4; loaders *= 2)
		bench_load_on(loaders);
	remove_files();
}

/* What the committer does with a buffer in which every counter has changed once. */
static void bench_large_commit(void)
{
	struct store_state state;
	struct store *s = open_store(&state);
	struct epoch_buffer buffer, *buffers[] = {&buffer};
	struct journal_writer w;
	struct pack pack;
	struct rusage usage;
	double begin, packed, cpu;

	epoch_buffer_init(&buffer);
	for (uint64_t id = 1; id <= load_counters; id++)
		if (epoch_buffer_add(&buffer, id, id % 1000))
			exit(74);
	pack_init(&pack);
	journal_writer_init(&w, 1);
	begin = seconds();
	cpu = cpu_seconds();
	if (pack_epoch(&pack, buffers, 1, &w) || journal_writer_finish(&w))
		exit(74);
	packed = seconds() - begin;
	need(s, store_commit(s, state.epoch_first, &w, NULL, 0, load_counters + 1), "commit");
	getrusage(RUSAGE_SELF, &usage);
	printf("commit %" PRIu64
	       " counters at once: %.2f s to pack, %.2f s in all, %.2f s of CPU time, %.1f bytes a "
	       "counter on disk, %.1f in memory at most\n",
	       load_counters, packed, seconds() - begin, cpu_seconds() - cpu,
	       (double)store_journal_bytes(s) / (double)load_counters,
	       (double)usage.ru_maxrss * 1024 / (double)load_counters);
	journal_writer_fini(&w);
	pack_fini(&pack);
	epoch_buffer_fini(&buffer);
	store_close(s);
	remove_files();
}

static void bench_encode(void)
{
	size_t count = draw_deltas(RECORDS_MAX), total = 0;
	struct journal_reader r;
	struct journal_record record;
	struct journal_writer w;
	double encode = seconds(), decode;

	for (int i = 0; i < 100; i++) {
		journal_writer_init(&w, 0);
		journal_put_deltas(&w, deltas, count);
		journal_writer_finish(&w);
		total += count;
		if (i < 99)
			journal_writer_fini(&w);
	}
	encode = seconds() - encode;
	decode = seconds();
	for (int i = 0; i < 100; i++) {
		journal_reader_init(&r, buf_head(&w.parts[0]), buf_len(&w.parts[0]));
		while (journal_next(&r, &record) == JOURNAL_OK)
			;
	}
	decode = seconds() - decode;
	journal_writer_fini(&w);
	printf("encode %.0f records/s, decode %.0f records/s\n", (double)total / encode,
	       (double)total / decode);
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = {50, 800, 6400, RECORDS_MAX};
	double limit = argc > 2 ? strtod(argv[2], NULL) : 2;

	if (argc > 3)
		load_counters = strtoull(argv[3], NULL, 10);
	if (argc < 2 || limit <= 0 || load_counters == 0) {
		fprintf(stderr, "usage: bench_store DIRECTORY [SECONDS [COUNTERS]]\n");
		return 64;
	}
	snprintf(path, sizeof(path), "%s/bench_store.%d.db", argv[1], (int)getpid());
	setvbuf(stdout, NULL, _IOLBF, 0);
	bench_large_commit(); /* first: its memory is the process's largest */
	bench_load();
	bench_encode();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		bench_commits(sizes[i], limit);
	bench_fold(RECORDS_MAX, 1);
	bench_fold(RECORDS_MAX, 30);
	bench_fold(1000, 1);
	bench_windows(false);
	bench_windows(true);
	bench_merge(6400, 200);
	return 0;
}
