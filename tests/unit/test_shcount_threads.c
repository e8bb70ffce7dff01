/* SPDX-License-Identifier: MIT */
/*
 * libshcount in a process with threads, children and signals, against a real shcounterd. Goal: handles need
 * no locks among each other, may be handed from thread to thread, and the totals are exact; the process finds
 * its signals as they were, and a child or a cancelled thread breaks nothing of anybody else's.
 *
 * Method: the daemon of the same build (beside the directory of this program) is started once, and is
 * stopped, frozen and killed by the tests. Meant for ThreadSanitizer and AddressSanitizer as much as for the
 * assertions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/shcount.h"

enum {
	THREADS = 8,
	TICKETS = 250, /* a thread, one round trip each */
	ADDS = 5000,   /* a thread */
	TOKENS = 20,   /* a thread, each used twice */
	BATCHES = 20,  /* a thread, through its own session */
	BATCH_ADDS = 50,
	TURNS = 300, /* a thread, with a handle that others use too */
	PATIENCE_MS = 20000,
};

static char dir[32], path[48], program[512];
static pid_t daemon_pid;

/* cmocka's assertions are for the test's own thread. */
#define must(condition)                                                                                      \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);              \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

#define must_ok(shc, call)                                                                                   \
	do {                                                                                                 \
		enum shc_status status_ = (call);                                                            \
		if (status_) {                                                                               \
			fprintf(stderr, "%s:%d: %s: %d: %s\n", __FILE__, __LINE__, #call, (int)status_,      \
				shc_error(shc));                                                             \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

/* ---- the daemon ---- */

static struct shc *new_handle(void)
{
	struct shc *shc;
	must(shc_open(&shc, path, PATIENCE_MS) == SHC_OK);
	return shc;
}

static void wait_until_it_answers(void)
{
	struct shc *shc = new_handle();
	for (int tries = 0; shc_connect(shc); tries++) {
		must(tries < PATIENCE_MS / 5);
		must(waitpid(daemon_pid, NULL, WNOHANG) == 0);
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL); /* between two looks */
	}
	shc_close(shc);
}

static void start_daemon(void)
{
	char db[48];
	snprintf(db, sizeof(db), "%s/db", dir);
	daemon_pid = fork();
	must(daemon_pid >= 0);
	if (daemon_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(program, program, "--socket", path, "--db", db, "--io", "epoll", "--workers", "2",
		      "--log-level", "error", (char *)NULL);
		_exit(127);
	}
	wait_until_it_answers();
}

static void end_daemon(int signal)
{
	kill(daemon_pid, signal);
	kill(daemon_pid, SIGCONT); /* it may be frozen: a test has failed */
	must(waitpid(daemon_pid, NULL, 0) == daemon_pid);
}

static void freeze_daemon(void)
{
	int how;
	kill(daemon_pid, SIGSTOP);
	must(waitpid(daemon_pid, &how, WUNTRACED) == daemon_pid && WIFSTOPPED(how));
}

static void thaw_daemon(void)
{
	kill(daemon_pid, SIGCONT);
}

static int set_up(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_DFL); /* whoever raises it ends this program */
	ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 32);
	must(len > 0);
	program[len] = '\0';
	strcpy(strrchr(program, '/'), "/../shcounterd");
	strcpy(dir, "/tmp/threads.XXXXXX");
	must(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	start_daemon();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	char command[64];
	end_daemon(SIGTERM);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static int64_t value_of(const char *name)
{
	struct shc *shc = new_handle();
	int64_t value = 0;
	enum shc_status status = shc_get(shc, name, strlen(name), &value);
	must(status == SHC_OK || status == SHC_MISSING);
	shc_close(shc);
	return value;
}

/* ---- a handle each ---- */

struct worker {
	pthread_t thread;
	int index;
	int64_t tickets[TICKETS];
};

static void add_in_batches(struct shc *shc)
{
	static const char *const sums[] = {"sum", "applied"};
	int64_t seen[2] = {0, 0}, values[2];
	for (int i = 0; i < ADDS; i++) {
		must_ok(shc, shc_add(shc, "sum", 3, 1));
		if (i % 1000)
			continue;
		must_ok(shc, shc_flush(shc, NULL));
		must_ok(shc, shc_mget(shc, 2, sums, NULL, values, NULL));
		must(values[0] >= seen[0] && values[1] >= seen[1]);
		memcpy(seen, values, sizeof(seen));
	}
	must_ok(shc, shc_flush(shc, NULL));
}

static void add_under_tokens(struct shc *shc, int index)
{
	for (int i = 0; i < 2 * TOKENS; i++) {
		char token[32];
		bool is_applied;
		int len = snprintf(token, sizeof(token), "token-%d-%d", index, i / 2);
		must_ok(shc, shc_once(shc, token, (size_t)len, "once", 4, 1, false, NULL, &is_applied));
		must(is_applied == (i % 2 == 0));
	}
}

static void add_through_session(struct shc *shc, int index)
{
	char id[32];
	struct shc_session at;
	int len = snprintf(id, sizeof(id), "session-%d", index);
	must_ok(shc, shc_session_open(shc, id, (size_t)len, &at));
	for (int i = 0; i < BATCHES; i++) {
		for (int j = 0; j < BATCH_ADDS; j++)
			must_ok(shc, shc_session_add(shc, "applied", 7, 1));
		must_ok(shc, shc_session_apply(shc, id, (size_t)len));
	}
	must_ok(shc, shc_session_flush(shc));
	shc_session_close(shc);
}

static void *count_all_ways(void *arg)
{
	struct worker *w = arg;
	struct shc *shc = new_handle();
	for (int i = 0; i < TICKETS; i++)
		must_ok(shc, shc_incr(shc, "ticket", 6, 1, &w->tickets[i]));
	add_in_batches(shc);
	add_under_tokens(shc, w->index);
	add_through_session(shc, w->index);
	must_ok(shc, shc_sync(shc));
	shc_close(shc);
	return NULL;
}

static void test_threads_with_a_handle_each_count_exactly(void **state)
{
	(void)state;
	static struct worker workers[THREADS];
	static bool is_taken[THREADS * TICKETS + 1];
	for (int i = 0; i < THREADS; i++) {
		workers[i].index = i;
		pthread_create(&workers[i].thread, NULL, count_all_ways, &workers[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		for (int j = 0; j < TICKETS; j++) {
			int64_t ticket = workers[i].tickets[j];
			assert_in_range(ticket, 1, THREADS * TICKETS);
			assert_false(is_taken[ticket]);
			is_taken[ticket] = true;
		}
	}
	assert_int_equal(value_of("sum"), THREADS * ADDS);
	assert_int_equal(value_of("once"), THREADS * TOKENS);
	assert_int_equal(value_of("applied"), THREADS * BATCHES * BATCH_ADDS);
}

/* ---- handles that go from hand to hand ---- */

enum { POOL = 3 };

struct pooled {
	struct shc *shc;
	bool has_session;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t given_back;
	struct pooled free[POOL];
	size_t count;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .given_back = PTHREAD_COND_INITIALIZER};

static struct pooled take(void)
{
	pthread_mutex_lock(&pool.lock);
	while (pool.count == 0)
		pthread_cond_wait(&pool.given_back, &pool.lock);
	struct pooled p = pool.free[--pool.count];
	pthread_mutex_unlock(&pool.lock);
	return p;
}

static void give_back(struct pooled p)
{
	pthread_mutex_lock(&pool.lock);
	pool.free[pool.count++] = p;
	pthread_cond_signal(&pool.given_back);
	pthread_mutex_unlock(&pool.lock);
}

static void *take_turns(void *arg)
{
	(void)arg;
	for (int i = 0; i < TURNS; i++) {
		struct pooled p = take();
		if (p.has_session) {
			must_ok(p.shc, shc_session_add(p.shc, "handed", 6, 1));
			must_ok(p.shc, shc_session_apply(p.shc, NULL, 0));
		} else if (i % 4) {
			must_ok(p.shc, shc_add(p.shc, "handed", 6, 1));
		} else {
			must_ok(p.shc, shc_incr(p.shc, "handed", 6, 1, NULL));
		}
		give_back(p);
	}
	return NULL;
}

static void test_handles_that_threads_hand_to_each_other_count_exactly(void **state)
{
	(void)state;
	pthread_t threads[THREADS];
	struct shc_session at;
	for (int i = 0; i < POOL; i++)
		give_back((struct pooled){new_handle(), i == 0});
	must_ok(pool.free[0].shc, shc_session_open(pool.free[0].shc, "pooled", 6, &at));
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, take_turns, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < POOL; i++) {
		struct pooled p = take();
		must_ok(p.shc, p.has_session ? shc_session_flush(p.shc) : shc_flush(p.shc, NULL));
		shc_close(p.shc);
	}
	assert_int_equal(value_of("handed"), THREADS * TURNS);
}

/* ---- children ---- */

static _Atomic bool is_enough;

static void *count_until_enough(void *arg)
{
	int64_t *count = arg;
	struct shc *shc = new_handle();
	while (!atomic_load(&is_enough)) {
		must_ok(shc, shc_incr(shc, "beside", 6, 1, count));
	}
	shc_close(shc);
	return NULL;
}

static void be_child(struct shc *inherited)
{
	int64_t value;
	shc_close(inherited);
	struct shc *own = new_handle();
	must_ok(own, shc_incr(own, "child", 5, 1, &value));
	shc_close(own);
	_exit(value == 1 ? 0 : 1);
}

/* The session would have been bound anew, had the parent's connection not lived on. */
static void test_a_child_counts_with_its_own_handle_and_the_parent_does_not_notice(void **state)
{
	(void)state;
	pthread_t beside;
	int64_t count = 0;
	pthread_create(&beside, NULL, count_until_enough, &count);
	struct shc *shc = new_handle();
	struct shc_session at;
	must_ok(shc, shc_session_open(shc, "parent", 6, &at));
	must_ok(shc, shc_session_add(shc, "parent", 6, 1));
	must_ok(shc, shc_session_apply(shc, NULL, 0));
	pid_t child = fork();
	if (child == 0)
		be_child(shc);
	int how;
	assert_int_equal(waitpid(child, &how, 0), child);
	assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
	must_ok(shc, shc_session_add(shc, "parent", 6, 1));
	must_ok(shc, shc_session_apply(shc, NULL, 0));
	must_ok(shc, shc_session_flush(shc));
	struct shc_session_stats stats;
	shc_session_stats(shc, &stats);
	assert_int_equal(stats.connections, 0);
	shc_close(shc);
	atomic_store(&is_enough, true);
	pthread_join(beside, NULL);
	assert_int_equal(value_of("parent"), 2);
	assert_int_equal(value_of("child"), 1);
	assert_int_equal(value_of("beside"), count);
}

/* ---- signals, cancellation ---- */

static void read_handling(struct sigaction out[_NSIG], sigset_t *mask)
{
	for (int i = 1; i < _NSIG; i++)
		if (sigaction(i, NULL, &out[i]))
			out[i].sa_handler = SIG_DFL;
	pthread_sigmask(SIG_SETMASK, NULL, mask);
}

static void test_how_signals_are_handled_is_left_alone(void **state)
{
	(void)state;
	static struct sigaction before[_NSIG], after[_NSIG];
	static struct worker one = {.index = THREADS};
	sigset_t mask_before, mask_after;
	read_handling(before, &mask_before);
	count_all_ways(&one);
	read_handling(after, &mask_after);
	for (int i = 1; i < _NSIG; i++)
		assert_ptr_equal(before[i].sa_handler, after[i].sa_handler);
	for (int i = 1; i < _NSIG; i++)
		assert_int_equal(sigismember(&mask_before, i), sigismember(&mask_after, i));
}

static _Atomic int signals;

static void on_signal(int number)
{
	(void)number;
	atomic_fetch_add(&signals, 1);
}

static void *read_patiently(void *arg)
{
	int64_t value = -1;
	must(shc_get(arg, "nothing", 7, &value) == SHC_MISSING);
	return NULL;
}

static void test_a_signal_that_is_handled_interrupts_no_call(void **state)
{
	(void)state;
	enum { SIGNALS = 200 };
	struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART */
	sigaction(SIGUSR1, &action, NULL);
	struct shc *shc = new_handle();
	must_ok(shc, shc_connect(shc));
	freeze_daemon();
	pthread_t thread;
	pthread_create(&thread, NULL, read_patiently, shc);
	for (int i = 1; i <= SIGNALS; i++) {
		pthread_kill(thread, SIGUSR1);
		while (atomic_load(&signals) < i)
			sched_yield();
	}
	thaw_daemon();
	pthread_join(thread, NULL);
	signal(SIGUSR1, SIG_DFL);
	shc_close(shc);
}

/* A cancelled thread leaves the shadow of its stack as it was, and AddressSanitizer would stumble over that
 * when it takes its own signal stack away. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "use_sigaltstack=0";
}

static void *read_for_ever(void *arg)
{
	int64_t value;
	(void)shc_get(arg, "nothing", 7, &value);
	return NULL;
}

static void test_a_handle_whose_call_was_cancelled_can_be_closed(void **state)
{
	(void)state;
	struct shc *shc = new_handle();
	must_ok(shc, shc_connect(shc));
	freeze_daemon();
	pthread_t thread;
	void *result;
	pthread_create(&thread, NULL, read_for_ever, shc);
	pthread_cancel(thread);
	pthread_join(thread, &result);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	shc_close(shc);
	thaw_daemon();
}

/* This program would not survive a SIGPIPE. */
static void test_a_server_that_is_killed_raises_no_signal_and_a_session_goes_on_behind_it(void **state)
{
	(void)state;
	struct shc *shc = new_handle(), *with_session = new_handle();
	struct shc_session at;
	int64_t value;
	must_ok(shc, shc_connect(shc));
	must_ok(with_session, shc_session_open(with_session, "survivor", 8, &at));
	must_ok(with_session, shc_session_add(with_session, "survived", 8, 1));
	must_ok(with_session, shc_session_apply(with_session, NULL, 0));
	end_daemon(SIGKILL);
	assert_int_equal(shc_incr(shc, "survived", 8, 100, &value), SHC_UNREACHABLE);
	assert_int_equal(shc_incr(shc, "survived", 8, 100, &value), SHC_UNREACHABLE);
	shc_set_timeout(with_session, 1);
	must_ok(with_session, shc_session_add(with_session, "survived", 8, 1));
	assert_int_equal(shc_session_apply(with_session, NULL, 0), SHC_IN_DOUBT);
	start_daemon();
	shc_set_timeout(with_session, PATIENCE_MS);
	must_ok(with_session, shc_session_flush(with_session));
	assert_int_equal(value_of("survived"), 2);
	shc_close(with_session);
	shc_close(shc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads_with_a_handle_each_count_exactly),
		cmocka_unit_test(test_handles_that_threads_hand_to_each_other_count_exactly),
		cmocka_unit_test(test_a_child_counts_with_its_own_handle_and_the_parent_does_not_notice),
		cmocka_unit_test(test_how_signals_are_handled_is_left_alone),
		cmocka_unit_test(test_a_signal_that_is_handled_interrupts_no_call),
		cmocka_unit_test(test_a_handle_whose_call_was_cancelled_can_be_closed),
		cmocka_unit_test(
			test_a_server_that_is_killed_raises_no_signal_and_a_session_goes_on_behind_it),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
