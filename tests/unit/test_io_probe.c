/* SPDX-License-Identifier: MIT */
/*
 * test_io_probe.c - which backend io_probe() chooses, and what it says. Places that refuse io_uring, or have
 * too little of something, are made in a child process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../daemon/io.h"

#define NOBODY 65534

struct answer {
	int ret;
	enum io_kind chosen;
	char why[320]; /* empty: null */
};

typedef void place_fn(void);

/* What io_probe says in a child for which `enter_place` has been called. */
static struct answer probe_in(place_fn *enter_place, enum io_kind wanted)
{
	struct answer answer = {.ret = 1, .chosen = IO_AUTO};
	const char *why = NULL;
	int fds[2];
	pid_t pid;
	int status;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		enter_place();
		answer.ret = io_probe(wanted, &answer.chosen, &why);
		(void)snprintf(answer.why, sizeof(answer.why), "%s", why ? why : "");
		_exit(write(fds[1], &answer, sizeof(answer)) == (ssize_t)sizeof(answer) ? 0 : 1);
	}
	(void)close(fds[1]);
	assert_int_equal(read(fds[0], &answer, sizeof(answer)), sizeof(answer));
	(void)close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return answer;
}

static void refuse(unsigned error)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error & SECCOMP_RET_DATA)),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(filter) / sizeof(*filter), .filter = filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		_exit(2);
}

static void place_plain(void)
{
}

static void place_eperm(void)
{
	refuse(EPERM);
}

static void place_enosys(void)
{
	refuse(ENOSYS);
}

static void place_einval(void)
{
	refuse(EINVAL);
}

static void place_enomem(void)
{
	refuse(ENOMEM);
}

static void place_little_memlock(void)
{
	struct rlimit limit = {.rlim_cur = 4096, .rlim_max = 4096};

	/* Root's memory is not counted. */
	if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || setuid(NOBODY) != 0)
		_exit(2);
}

static void place_few_files(void)
{
	struct rlimit limit = {0};
	int fd = dup(0);

	limit.rlim_cur = limit.rlim_max = (rlim_t)(fd >= 0 ? fd + 1 : 3);
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		_exit(2);
}

static bool has_uring(void)
{
	return probe_in(place_plain, IO_URING).ret == 0;
}

static void test_epoll_is_always_possible(void **state)
{
	struct answer answer = probe_in(place_eperm, IO_EPOLL);

	(void)state;
	assert_int_equal(answer.ret, 0);
	assert_int_equal(answer.chosen, IO_EPOLL);
	assert_string_equal(answer.why, "");
}

static void test_auto_takes_io_uring_where_it_works(void **state)
{
	struct answer answer;

	(void)state;
	if (!has_uring())
		skip();
	answer = probe_in(place_plain, IO_AUTO);
	assert_int_equal(answer.ret, 0);
	assert_int_equal(answer.chosen, IO_URING);
	assert_string_equal(answer.why, "");
}

static void test_auto_falls_back_where_io_uring_is_refused_and_says_why(void **state)
{
	static const struct {
		place_fn *place;
		const char *said;
	} cases[] = {
		{place_eperm, "seccomp"},
		{place_enosys, "without io_uring"},
		{place_einval, "6.1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct answer answer = probe_in(cases[i].place, IO_AUTO);

		assert_int_equal(answer.ret, 0);
		assert_int_equal(answer.chosen, IO_EPOLL);
		/* Where the sysctl forbids it as well, that is named instead. */
		if (!strstr(answer.why, "io_uring_disabled"))
			assert_non_null(strstr(answer.why, cases[i].said));
	}
}

static void test_wanted_io_uring_fails_where_it_is_refused(void **state)
{
	struct answer answer = probe_in(place_eperm, IO_URING);

	(void)state;
	assert_int_equal(answer.ret, -EPERM);
	assert_string_not_equal(answer.why, "");
	assert_int_equal(probe_in(place_enosys, IO_URING).ret, -ENOSYS);
}

static void test_shortage_is_an_error_that_names_the_limit(void **state)
{
	struct answer answer = probe_in(place_enomem, IO_AUTO);

	(void)state;
	assert_int_equal(answer.ret, -ENOMEM);
	assert_non_null(strstr(answer.why, "RLIMIT_MEMLOCK"));
	answer = probe_in(place_few_files, IO_AUTO);
	assert_int_equal(answer.ret, -EMFILE);
	assert_non_null(strstr(answer.why, "RLIMIT_NOFILE"));
}

static void test_little_locked_memory_is_an_error_that_names_the_limit(void **state)
{
	struct answer answer;

	(void)state;
	if (geteuid() != 0 || !has_uring()) {
		print_message("needs root and io_uring\n");
		skip();
	}
	answer = probe_in(place_little_memlock, IO_AUTO);
	assert_int_equal(answer.ret, -ENOMEM);
	assert_non_null(strstr(answer.why, "RLIMIT_MEMLOCK"));
	assert_non_null(strstr(answer.why, "now 4096"));
}

/* One after another in one thread: what counts is that they live at the same time. */
static void make_eight_and_exit(void)
{
	struct rlimit limit = {.rlim_cur = 8 << 20, .rlim_max = 8 << 20};
	int failed = 0;

	if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || setuid(NOBODY) != 0)
		_exit(2);
	for (int i = 0; i < 8; i++) {
		struct io_options options = {.kind = IO_URING, .conns_hint = 10000};
		struct io *io;

		options.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		failed += io_new(&io, &options) != 0;
	}
	_exit(failed == 0 ? 0 : 3);
}

static void test_eight_workers_fit_into_8_mib_of_locked_memory(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0 || !has_uring()) {
		print_message("needs root and io_uring\n");
		skip();
	}
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		make_eight_and_exit();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_kinds_have_the_names_of_the_option(void **state)
{
	(void)state;
	assert_string_equal(io_kind_name(IO_AUTO), "auto");
	assert_string_equal(io_kind_name(IO_URING), "io_uring");
	assert_string_equal(io_kind_name(IO_EPOLL), "epoll");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_epoll_is_always_possible),
		cmocka_unit_test(test_auto_takes_io_uring_where_it_works),
		cmocka_unit_test(test_auto_falls_back_where_io_uring_is_refused_and_says_why),
		cmocka_unit_test(test_wanted_io_uring_fails_where_it_is_refused),
		cmocka_unit_test(test_shortage_is_an_error_that_names_the_limit),
		cmocka_unit_test(test_little_locked_memory_is_an_error_that_names_the_limit),
		cmocka_unit_test(test_eight_workers_fit_into_8_mib_of_locked_memory),
		cmocka_unit_test(test_kinds_have_the_names_of_the_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
