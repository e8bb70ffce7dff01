/* SPDX-License-Identifier: MIT */
/*
 * What other threads have the committer do with the store: it is done on its thread between two commits, for
 * each of them once, and whoever waits when the committer is stopped is told that it was not done.
 *
 * Threads report in plain variables, which are read when they have been joined: TSan sees whether one was
 * touched without order.
 */
#include "commit_rig.h"

#include <sched.h>
#include <semaphore.h>
#include <sys/wait.h>

enum { CALLERS = 4, CALLS = 200, ROUNDS = 30 };

/* ---- what is done ---- */

/* Only ever touched by calls. */
struct seen {
	pthread_t thread;
	unsigned runs;
	uint64_t last_epoch;
};

static int note(struct store *s, void *arg)
{
	struct seen *seen = arg;

	seen->thread = pthread_self();
	seen->runs++;
	seen->last_epoch = store_last_epoch(s);
	return STORE_OK;
}

static int refuse(struct store *s, void *arg)
{
	(void)s;
	(void)arg;
	return STORE_RETRY;
}

static int say_again(struct store *s, void *arg)
{
	(void)s;
	(void)arg;
	return STORE_AGAIN;
}

static int fail_now(struct store *s, void *arg)
{
	(void)s;
	(void)arg;
	return -EIO;
}

static int begin(struct store *s, void *arg)
{
	return store_uplink_begin(s, 7, *(const uint64_t *)arg, store_last_epoch(s));
}

/* ---- tests ---- */

static void test_a_call_runs_on_the_committers_thread_and_says_what_came_of_it(void **state)
{
	struct fixture *f = *state;
	struct daemon *d = start(f, HOUR_MS);
	struct seen seen = {0};
	uint64_t epoch;

	assert_int_equal(commit_call(&d->commit, note, &seen), STORE_OK);
	assert_int_equal(seen.last_epoch, 0);
	assert_true(pthread_equal(seen.thread, d->commit.thread));
	assert_int_equal(commit_call(&d->commit, refuse, NULL), STORE_RETRY);
	assert_int_equal(commit_call(&d->commit, say_again, NULL), STORE_AGAIN);
	epoch = incr(d, "x", 1);
	barrier(d);
	assert_int_equal(commit_call(&d->commit, note, &seen), STORE_OK);
	assert_int_equal(seen.last_epoch, epoch);
	assert_int_equal(seen.runs, 2);
	stop(d, false);
}

static void test_what_a_call_has_written_is_on_disk(void **state)
{
	struct fixture *f = *state;
	struct daemon *d = start(f, HOUR_MS);
	uint64_t start_number = 99, epoch = incr(d, "x", 1);
	struct store_uplink u;
	struct picture p;
	struct store *s;

	barrier(d);
	assert_int_equal(commit_call(&d->commit, begin, &start_number), STORE_OK);
	copy_database(f->path, f->image);
	s = open_and_load(f->image, &p);
	assert_int_equal(store_uplink_load(s, &u), 0);
	assert_int_equal(u.incarnation, 7);
	assert_int_equal(u.start_count, 1);
	assert_int_equal(u.starts[0].start, 99);
	assert_int_equal(u.starts[0].after_epoch, epoch);
	free(u.starts);
	store_close(s);
	picture_free(&p);
	stop(d, false);
}

/* ---- many callers ---- */

struct caller {
	pthread_t thread;
	struct commit *commit;
	struct seen *seen; /* of all */
	unsigned calls_max, done, cancelled, others;
	_Atomic unsigned *running;
};

/* Until it is cancelled, or has called often enough. */
static void *call_on(void *arg)
{
	struct caller *caller = arg;

	while (caller->done < caller->calls_max && !caller->cancelled && !caller->others) {
		int r = commit_call(caller->commit, note, caller->seen);

		caller->done += r == STORE_OK;
		caller->cancelled += r == -ECANCELED;
		caller->others += r != STORE_OK && r != -ECANCELED;
	}
	atomic_fetch_sub(caller->running, 1);
	return NULL;
}

static void start_callers(struct daemon *d, struct caller *callers, struct seen *seen,
			  _Atomic unsigned *running, unsigned calls_max)
{
	atomic_store(running, CALLERS);
	for (int i = 0; i < CALLERS; i++) {
		callers[i] = (struct caller){
			.commit = &d->commit, .seen = seen, .calls_max = calls_max, .running = running};
		assert_int_equal(pthread_create(&callers[i].thread, NULL, call_on, &callers[i]), 0);
	}
}

static void test_many_call_at_once_beside_commits_and_each_call_runs_once(void **state)
{
	struct fixture *f = *state;
	struct daemon *d = start(f, 1);
	struct caller callers[CALLERS];
	struct seen seen = {0};
	_Atomic unsigned running;
	uint64_t epoch = 0;

	start_callers(d, callers, &seen, &running, CALLS);
	while (atomic_load(&running)) {
		epoch = incr(d, "x", 1);
		barrier(d);
	}
	for (int i = 0; i < CALLERS; i++) {
		pthread_join(callers[i].thread, NULL);
		assert_int_equal(callers[i].done, CALLS);
	}
	assert_int_equal(seen.runs, CALLERS * CALLS);
	assert_in_range(seen.last_epoch, 0, epoch);
	stop(d, false);
}

static void test_nobody_hangs_at_a_stop_and_who_was_cancelled_was_not_served(void **state)
{
	struct fixture *f = *state;

	for (int round = 0; round < ROUNDS; round++) {
		struct daemon *d = start(f, 1);
		struct caller callers[CALLERS];
		struct seen seen = {0}, now = {0};
		_Atomic unsigned running;
		unsigned done = 0;

		start_callers(d, callers, &seen, &running, UINT32_MAX);
		for (int i = 0; i < round % 5; i++) {
			incr(d, "x", 1);
			barrier(d);
		}
		end_threads(d);
		for (int i = 0; i < CALLERS; i++) {
			pthread_join(callers[i].thread, NULL);
			assert_int_equal(callers[i].cancelled, 1);
			done += callers[i].done;
		}
		assert_int_equal(seen.runs, done);
		assert_int_equal(commit_call(&d->commit, note, &now), -ECANCELED);
		assert_int_equal(now.runs, 0);
		finish(d, false);
	}
}

/* ---- waiting ---- */

struct held {
	sem_t begun, go_on;
};

static int hold(struct store *s, void *arg)
{
	struct held *held = arg;

	(void)s;
	sem_post(&held->begun);
	while (sem_wait(&held->go_on))
		;
	return STORE_OK;
}

struct single {
	pthread_t thread;
	struct commit *commit;
	commit_call_fn *fn;
	void *arg;
	int result;
};

static void *call_once_only(void *arg)
{
	struct single *single = arg;

	single->result = commit_call(single->commit, single->fn, single->arg);
	return NULL;
}

static void *stop_commit(void *arg)
{
	commit_stop(arg);
	return NULL;
}

static void begin_single(struct single *single)
{
	assert_int_equal(pthread_create(&single->thread, NULL, call_once_only, single), 0);
}

static void test_a_call_under_way_ends_before_a_stop_and_the_next_is_cancelled(void **state)
{
	struct fixture *f = *state;
	struct daemon *d = start(f, HOUR_MS);
	struct seen seen = {0};
	struct held held;
	struct single first = {.commit = &d->commit, .fn = hold, .arg = &held, .result = -1};
	struct single second = {.commit = &d->commit, .fn = note, .arg = &seen, .result = -1};
	pthread_t stopper;

	sem_init(&held.begun, 0, 0);
	sem_init(&held.go_on, 0, 0);
	begin_single(&first);
	while (sem_wait(&held.begun))
		;
	begin_single(&second);
	epoch_end(&d->slot);
	assert_int_equal(pthread_create(&stopper, NULL, stop_commit, &d->commit), 0);
	while (!atomic_load(&d->commit.is_stopping))
		sched_yield();
	sem_post(&held.go_on);
	pthread_join(first.thread, NULL);
	pthread_join(second.thread, NULL);
	pthread_join(stopper, NULL);
	assert_int_equal(first.result, STORE_OK);
	assert_int_equal(second.result, -ECANCELED);
	assert_int_equal(seen.runs, 0);
	finish(d, false);
}

static void test_who_waits_for_a_committer_that_never_runs_is_cancelled(void **state)
{
	struct fixture *f = *state;
	struct daemon *d = prepare(f, HOUR_MS);
	struct seen seen = {0};
	struct single single = {.commit = &d->commit, .fn = note, .arg = &seen};

	begin_single(&single);
	while (!commit_call_is_waiting(&d->commit.call))
		sched_yield();
	epoch_end(&d->slot);
	assert_int_equal(commit_finish(&d->commit, false), 0);
	pthread_join(single.thread, NULL);
	assert_int_equal(single.result, -ECANCELED);
	assert_int_equal(seen.runs, 0);
	finish(d, false);
}

/* ---- trouble ---- */

static bool is_stuck(struct daemon *d, uint64_t what)
{
	(void)what;
	return commit_is_stuck(&d->commit);
}

/* The database is not where it was: nothing may be written. */
static void test_a_call_is_answered_while_the_disk_refuses_a_commit(void **state)
{
	struct fixture *f = *state;
	struct daemon *d = start(f, HOUR_MS);
	struct seen seen = {0};
	uint64_t start_number = 5, before = incr(d, "x", 1), epoch;

	barrier(d);
	assert_int_equal(rename(f->path, f->image), 0);
	epoch = incr(d, "x", 1);
	epoch_want(&d->clock, epoch);
	wait_until(d, is_stuck, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(commit_call(&d->commit, begin, &start_number), STORE_RETRY);
	assert_int_equal(commit_call(&d->commit, note, &seen), STORE_OK);
	assert_int_equal(seen.last_epoch, before);
	assert_int_equal(rename(f->image, f->path), 0);
	assert_int_equal(commit_call(&d->commit, begin, &start_number), STORE_OK);
	wait_until(d, is_durable, epoch);
	assert_int_equal(commit_call(&d->commit, note, &seen), STORE_OK);
	assert_int_equal(seen.last_epoch, epoch);
	stop(d, false);
}

static void test_a_call_that_fails_ends_the_process_before_anybody_is_told(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct daemon *d = start(f, HOUR_MS);

		(void)commit_call(&d->commit, fail_now, NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 74);
}

/* ---- forgetting ---- */

struct rows {
	uint64_t incarnation;
	struct store_baseline rows[50];
};

static int put(struct store *s, void *arg)
{
	const struct rows *rows = arg;

	return store_put_baselines(s, rows->incarnation, rows->rows, 50);
}

static int switch_to(struct store *s, void *arg)
{
	return store_uplink_switch(s, ((const struct rows *)arg)->incarnation);
}

static int64_t baselines_on_disk(const struct fixture *f)
{
	sqlite3_stmt *stmt;
	sqlite3 *db;
	int64_t count;

	assert_int_equal(sqlite3_open_v2(f->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM baseline", -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	count = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return count;
}

static void test_old_baselines_are_forgotten_behind_a_fold(void **state)
{
	struct fixture *f = *state;
	struct daemon *d = start(f, HOUR_MS);
	struct rows rows = {.incarnation = 8};
	char name[16];
	uint64_t number;

	for (uint64_t i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "c%d", (int)i);
		incr(d, name, 1);
		rows.rows[i] = (struct store_baseline){.id = i + 1, .value = 1};
	}
	barrier(d);
	assert_int_equal(commit_call(&d->commit, put, &rows), STORE_OK);
	rows.incarnation = 9;
	assert_int_equal(commit_call(&d->commit, put, &rows), STORE_OK);
	assert_int_equal(commit_call(&d->commit, switch_to, &rows), STORE_OK);
	assert_int_equal(baselines_on_disk(f), 100);
	number = commit_want_fold(&d->commit);
	wait_until(d, is_folded, number);
	barrier(d);
	assert_int_equal(baselines_on_disk(f), 50);
	stop(d, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(test_a_call_runs_on_the_committers_thread_and_says_what_came_of_it),
		fixture_test(test_what_a_call_has_written_is_on_disk),
		fixture_test(test_many_call_at_once_beside_commits_and_each_call_runs_once),
		fixture_test(test_nobody_hangs_at_a_stop_and_who_was_cancelled_was_not_served),
		fixture_test(test_a_call_under_way_ends_before_a_stop_and_the_next_is_cancelled),
		fixture_test(test_who_waits_for_a_committer_that_never_runs_is_cancelled),
		fixture_test(test_a_call_is_answered_while_the_disk_refuses_a_commit),
		fixture_test(test_a_call_that_fails_ends_the_process_before_anybody_is_told),
		fixture_test(test_old_baselines_are_forgotten_behind_a_fold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
