/* SPDX-License-Identifier: MIT */
/* The committer, see commit_rig.h: what is on disk when, what is folded, forgotten and given back, and what
 * the uplink is told of it. */
#include "../../daemon/uplink.h"
#include "commit_rig.h"

/* What a crash now would leave. */
static int64_t on_disk(const struct fixture *f, const char *name, bool *is_there)
{
	struct picture p;
	struct store *s;
	int64_t value = 0;

	copy_database(f->path, f->image);
	s = open_and_load(f->image, &p);
	*is_there = false;
	for (size_t i = 0; i < p.count; i++) {
		if (strcmp(p.counters[i].name, name) != 0)
			continue;
		assert_false(*is_there);
		*is_there = true;
		value = p.counters[i].value;
	}
	picture_free(&p);
	store_close(s);
	return value;
}

static void assert_on_disk(const struct fixture *f, const char *name, int64_t want)
{
	bool is_there;
	int64_t value = on_disk(f, name, &is_there);

	assert_true(is_there);
	assert_int_equal(value, want);
}

/* ---- waking ---- */

/* The committer has found the worker running and goes to sleep; the worker, with nothing to seal, goes to
 * sleep too. Somebody must wake the committer, or an epoch stays open until the next request comes. */
static void test_a_worker_that_parks_with_nothing_wakes_the_committer(void **state)
{
	struct rig *g = rig_new(1, false);

	(void)state;
	rig_advance(g);
	waker_park(&g->waker);
	assert_false(rig_collect(g, 0));
	if (!epoch_park(&g->slots[0]))
		epoch_look(&g->slots[0]);
	assert_true(rig_collect(g, 0));
	assert_int_equal(waker_sleep(&g->waker, 0), 1);
	waker_unpark(&g->waker);
	rig_commit(g);
	rig_free(g);
}

/* ---- committing ---- */

static void test_a_change_is_on_disk_after_the_interval(void **state)
{
	struct fixture *f = *state;
	struct daemon *d = start(f, 30);

	wait_until(d, is_durable, incr(d, "x", 5));
	assert_on_disk(f, "x", 5);
	wait_until(d, is_durable, incr(d, "x", 2));
	assert_on_disk(f, "x", 7);
	assert_int_equal(atomic_load(&d->commit.epochs), 2);
	barrier(d);
	stop(d, false);
}

static void test_a_barrier_commits_at_once(void **state)
{
	struct fixture *f = *state;
	struct daemon *d = start(f, HOUR_MS);

	for (int n = 1; n <= 20; n++) {
		incr(d, "x", 1);
		barrier(d);
		if (n % 5 == 0)
			assert_on_disk(f, "x", n);
	}
	stop(d, false);
}

static void test_nothing_is_written_for_reads_and_for_nothing(void **state)
{
	struct fixture *f = *state;
	struct daemon *d = start(f, HOUR_MS);
	struct slice name = slice_str("x");

	assert_int_equal(txn_open(&d->txn, &name, 1, TXN_READ), TXN_OK);
	txn_abort(&d->txn);
	barrier(d);
	barrier(d);
	assert_int_equal(atomic_load(&d->commit.epochs), 0);
	assert_int_equal(store_journal_bytes(d->store), 0);
	stop(d, false);
}

/* Context switches of the committer, from the kernel; -1: not found. */
static long committer_switches(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	long switches = -1;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char path[300], line[128] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fgets(line, sizeof(line), file) && strcmp(line, "committer\n") != 0)
			line[0] = '\0';
		fclose(file);
		snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
		file = line[0] ? fopen(path, "r") : NULL;
		while (file && fgets(line, sizeof(line), file))
			if (sscanf(line, "voluntary_ctxt_switches: %ld", &switches) == 1)
				break;
		if (file)
			fclose(file);
	}
	closedir(dir);
	return switches;
}

/* That nothing happens takes a while to see: the one sleep here. */
static void test_an_idle_committer_does_not_wake_up(void **state)
{
	struct fixture *f = *state;
	struct daemon *d = start(f, 5);
	uint64_t number;
	long before, now = -2;

	incr(d, "x", 1);
	barrier(d);
	number = commit_want_fold(&d->commit);
	wait_until(d, is_folded, number);
	/* It has still to find its bed; then a quarter of a second is 50 intervals. */
	for (int tries = 0; tries < 40; tries++) {
		before = committer_switches();
		assert_true(before >= 0);
		nanosleep(&(struct timespec){.tv_nsec = 250000000}, NULL);
		now = committer_switches();
		if (now == before)
			break;
	}
	assert_int_equal(now, before);
	stop(d, false);
}

/* ---- folding, stopping, opening again ---- */

static void test_a_save_folds_all_that_was_acknowledged(void **state)
{
	struct fixture *f = *state;
	struct daemon *d = start(f, HOUR_MS);
	char name[16];
	uint64_t number;

	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		incr(d, name, i);
	}
	number = commit_want_fold(&d->commit);
	wait_until(d, is_folded, number);
	assert_int_equal(store_journal_bytes(d->store), 0);
	assert_on_disk(f, "c4321", 4321);
	stop(d, false);
}

/* How long is a matter of time, which no test is to stand on. */
static void test_folding_rests_unless_all_of_a_cpu_is_its_own(void **state)
{
	static const int64_t percents[] = {100, 99, 1};
	struct fixture *f = *state;

	for (size_t i = 0; i < 3; i++) {
		struct daemon *d = start(f, HOUR_MS);
		int64_t begun_ms = d->commit.folded_ms;

		atomic_store(&d->config.fold_cpu_percent, percents[i]);
		incr(d, "once more", 1);
		wait_until(d, is_folded, commit_want_fold(&d->commit)); /* it does not wait for the rest */
		end_threads(d);
		if (percents[i] == 100)
			assert_int_equal(d->commit.fold_rest_ms, 0);
		else
			assert_true(d->commit.fold_rest_ms >= begun_ms);
		finish(d, true);
	}
}

static void test_deleted_names_give_their_memory_back(void **state)
{
	struct fixture *f = *state;
	struct daemon *d = start(f, HOUR_MS);
	size_t used;
	char name[16];

	incr(d, "stays", 1);
	barrier(d);
	used = arena_used_bytes(&d->registry.arena);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 100; i++) {
			snprintf(name, sizeof(name), "c%d", i);
			incr(d, name, 1);
		}
		for (int i = 0; i < 100; i++) {
			snprintf(name, sizeof(name), "c%d", i);
			del(d, name);
		}
		incr(d, "stays", 1);
		barrier(d);
		incr(d, "stays", 1);
		barrier(d);
		barrier(d);
		assert_int_equal(arena_used_bytes(&d->registry.arena), used);
	}
	stop(d, false);
}

/* The last requests before the worker ends are in its open buffer: nobody asked for a commit. */
static void test_a_stop_keeps_what_the_workers_left(void **state)
{
	struct fixture *f = *state;

	for (int is_folding = 0; is_folding < 2; is_folding++) {
		struct daemon *d = start(f, HOUR_MS);

		incr(d, "x", 5);
		barrier(d);
		incr(d, "x", 7);
		incr(d, is_folding ? "b" : "a", 1);
		stop(d, is_folding);
		assert_on_disk(f, "x", is_folding ? 24 : 12);
		assert_on_disk(f, is_folding ? "b" : "a", 1);
	}
}

static void test_what_is_opened_again_counts_on(void **state)
{
	struct fixture *f = *state;
	uint64_t epoch = 0;

	for (int start_number = 0; start_number < 4; start_number++) {
		struct daemon *d = start(f, HOUR_MS);

		assert_true(d->loaded.state.epoch_first > epoch);
		incr(d, "x", 10);
		if (start_number % 2)
			del(d, "y");
		else
			incr(d, "y", 3);
		barrier(d);
		epoch = epoch_durable(&d->clock);
		stop(d, start_number & 1);
		assert_on_disk(f, "x", 10 * (start_number + 1));
	}
}

/* ---- the audit log ---- */

/* As a transaction does that changes nothing else. */
static void audit(struct daemon *d, int64_t time_us, int64_t value)
{
	const struct audit_entry entry = {
		.time_us = time_us,
		.delta = 1,
		.value = value,
		.name = slice_str("a"),
		.operation = AUDIT_INCREMENT,
	};

	epoch_look(&d->slot);
	if (epoch_buffer_is_empty(d->slot.open))
		epoch_note_dirty(&d->slot);
	assert_int_equal(epoch_buffer_reserve_audit(d->slot.open, audit_entry_bytes(1, 0)), 0);
	audit_entry_put(&d->slot.open->audit, &entry);
}

struct span {
	int64_t first, last;
	size_t count;
};

static void note(void *arg, int64_t log_id, const struct audit_entry *entry)
{
	struct span *span = arg;

	(void)log_id;
	if (span->count++ == 0)
		span->first = entry->value;
	span->last = entry->value;
}

static void assert_in_log(const struct fixture *f, int64_t first, int64_t last)
{
	struct store_audit_reader *r = NULL;
	struct span span = {0};
	char why[256];

	assert_int_equal(
		store_audit_read(&r, f->path, slice_str("a"), -1, 10000, note, &span, why, sizeof(why)), 0);
	assert_int_equal(span.first, first);
	assert_int_equal(span.last, last);
	assert_int_equal(span.count, last - first + 1);
	store_audit_reader_close(r);
}

/* What the committer does behind one commit is done before the next. */
static void two_barriers(struct daemon *d)
{
	barrier(d);
	barrier(d);
}

static void test_entries_of_the_audit_log_are_on_disk_with_their_epoch(void **state)
{
	struct fixture *f = *state;
	struct daemon *d = start(f, HOUR_MS);

	audit(d, 1, 1);
	audit(d, 2, 2);
	barrier(d);
	assert_in_log(f, 1, 2);
	audit(d, 3, 3);
	stop(d, true);
	assert_in_log(f, 1, 3);
}

static void test_of_the_audit_log_the_newest_entries_are_kept(void **state)
{
	struct fixture *f = *state;
	struct daemon *d = start(f, HOUR_MS);
	int64_t value = 0;

	atomic_store(&d->config.audit_max, 160);
	while (value < 170)
		audit(d, 1, ++value);
	two_barriers(d);
	assert_in_log(f, 1, 170); /* a sixteenth more are let be, */
	audit(d, 1, ++value);
	audit(d, 1, ++value);
	two_barriers(d);
	assert_in_log(f, 13, 172); /* ... then all of those go */
	atomic_store(&d->config.audit_max, 10);
	two_barriers(d);
	assert_in_log(f, 163, 172);
	stop(d, true);
	assert_in_log(f, 163, 172);
}

static void test_of_the_audit_log_old_entries_go(void **state)
{
	struct fixture *f = *state;
	struct daemon *d = start(f, HOUR_MS);
	int64_t now_us = (int64_t)time(NULL) * 1000000;

	audit(d, now_us - 2 * HOUR_MS * INT64_C(1000), 1);
	audit(d, now_us - 2, 2);
	two_barriers(d);
	assert_in_log(f, 1, 2);
	atomic_store(&d->config.audit_keep_ms, HOUR_MS);
	two_barriers(d);
	assert_in_log(f, 2, 2);
	stop(d, true);
}

/* ---- the uplink ---- */

static void apply_nothing(struct daemon *d)
{
	size_t at = SIZE_MAX;

	epoch_look(&d->slot);
	if (epoch_buffer_is_empty(d->slot.open))
		epoch_note_dirty(&d->slot);
	assert_int_equal(epoch_buffer_session(d->slot.open, &at, slice_str("s"), 1, slice_str("cursor")), 0);
}

/* What is pushed now speaks of the epoch that a start after a crash is told. */
static uint64_t mark_as_on_disk(const struct fixture *f, struct uplink *u)
{
	uint64_t fed, mark = uplink_table_epoch(&u->table, &fed);
	struct picture p;
	struct store *s;

	copy_database(f->path, f->image);
	s = open_and_load(f->image, &p);
	assert_int_equal(mark, store_last_epoch(s));
	picture_free(&p);
	store_close(s);
	return mark;
}

static void test_the_uplink_speaks_of_epochs_that_a_start_finds_again_and_of_no_others(void **state)
{
	struct fixture *f = *state;
	struct daemon *d = prepare(f, HOUR_MS);
	static struct uplink u;
	uint64_t mark;

	assert_int_equal(uplink_table_init(&u.table), 0);
	assert_int_equal(waker_init(&u.waker), 0);
	d->commit.uplink = &u;
	assert_int_equal(commit_start(&d->commit), 0);
	incr(d, "x", 1);
	two_barriers(d);
	mark = mark_as_on_disk(f, &u);
	assert_int_not_equal(mark, 0);
	audit(d, 1, 1);
	two_barriers(d);
	assert_in_log(f, 1, 1);
	assert_int_equal(mark_as_on_disk(f, &u), mark); /* an entry of the audit log alone */
	apply_nothing(d);
	two_barriers(d);
	assert_true(mark_as_on_disk(f, &u) > mark); /* a session alone is in the journal */
	stop(d, false);
	uplink_table_fini(&u.table);
	waker_fini(&u.waker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_worker_that_parks_with_nothing_wakes_the_committer),
		fixture_test(test_a_change_is_on_disk_after_the_interval),
		fixture_test(test_a_barrier_commits_at_once),
		fixture_test(test_nothing_is_written_for_reads_and_for_nothing),
		fixture_test(test_an_idle_committer_does_not_wake_up),
		fixture_test(test_a_save_folds_all_that_was_acknowledged),
		fixture_test(test_folding_rests_unless_all_of_a_cpu_is_its_own),
		fixture_test(test_deleted_names_give_their_memory_back),
		fixture_test(test_a_stop_keeps_what_the_workers_left),
		fixture_test(test_what_is_opened_again_counts_on),
		fixture_test(test_entries_of_the_audit_log_are_on_disk_with_their_epoch),
		fixture_test(test_of_the_audit_log_the_newest_entries_are_kept),
		fixture_test(test_of_the_audit_log_old_entries_go),
		fixture_test(test_the_uplink_speaks_of_epochs_that_a_start_finds_again_and_of_no_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
