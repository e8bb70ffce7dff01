/* SPDX-License-Identifier: MIT */
#include "../../lib/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A service manager's socket at a path or, with '@', at an abstract address. */
static int manager_socket(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_true(fd >= 0);
	memcpy(address.sun_path, name, len);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (const struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
			 0);
	return fd;
}

static void assert_told(const char *name)
{
	static const char text[] = "READY=1\nSTATUS=serving";
	char got[128];
	int fd = manager_socket(name);
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_open(), 0);
	unsetenv("NOTIFY_SOCKET"); /* it is kept */
	assert_int_equal(notify_send(text), 0);
	assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), sizeof(text) - 1);
	assert_memory_equal(got, text, sizeof(text) - 1);
	close(fd);
}

static void test_a_manager_at_a_path_is_told(void **state)
{
	char dir[] = "/tmp/test_notify.XXXXXX", name[64];
	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(name, sizeof(name), "%s/notify", dir);
	assert_told(name);
	unlink(name);
	rmdir(dir);
}

static void test_a_manager_at_an_abstract_address_is_told(void **state)
{
	char name[64];
	(void)state;
	snprintf(name, sizeof(name), "@test_notify.%d", (int)getpid());
	assert_told(name);
}

static void test_without_a_manager_nobody_is_told(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_open(), 1);
	assert_int_equal(notify_send("READY=1"), 1);
	setenv("NOTIFY_SOCKET", "", 1);
	assert_int_equal(notify_open(), 1);
	assert_int_equal(notify_send("READY=1"), 1);
}

static void test_a_nonsense_address_is_refused(void **state)
{
	char too_long[200];
	const char *const bad[] = {"relative/path", "@", "/", too_long};
	(void)state;
	memset(too_long, 'x', sizeof(too_long) - 1);
	too_long[0] = '/';
	too_long[sizeof(too_long) - 1] = '\0';
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setenv("NOTIFY_SOCKET", bad[i], 1);
		assert_int_equal(notify_open(), -EINVAL);
		assert_int_equal(notify_send("READY=1"), 1);
	}
}

static void test_a_manager_that_is_gone_is_an_error(void **state)
{
	(void)state;
	setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
	assert_int_equal(notify_open(), 0);
	assert_int_equal(notify_send("READY=1"), -ENOENT);
}

static void test_what_is_told_of_a_reload_has_the_time_and_long_texts_are_cut(void **state)
{
	char name[64], got[4096], text[3000] = {0};
	long long us;
	ssize_t n;
	int fd;
	(void)state;
	snprintf(name, sizeof(name), "@test_notify.%d", (int)getpid());
	fd = manager_socket(name);
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_open(), 0);
	assert_int_equal(notify_reloading(), 0);
	n = recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	got[n] = '\0';
	assert_int_equal(sscanf(got, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=", &us), 1);
	assert_true(us > 0);
	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(notify_sendf("STATUS=%s", text), 0);
	n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
	assert_true(n > 500 && n < (ssize_t)sizeof(text));
	close(fd);
}

/* ---- the watchdog ---- */

static int64_t watchdog_of(const char *pid, const char *us)
{
	setenv("NOTIFY_SOCKET", "@somebody", 1);
	assert_int_equal(notify_open(), 0);
	if (pid)
		setenv("WATCHDOG_PID", pid, 1);
	else
		unsetenv("WATCHDOG_PID");
	if (us)
		setenv("WATCHDOG_USEC", us, 1);
	else
		unsetenv("WATCHDOG_USEC");
	return notify_watchdog_ns();
}

static void test_a_manager_that_wants_to_hear_us_is_told_in_its_interval(void **state)
{
	char own[16];
	(void)state;
	snprintf(own, sizeof(own), "%d", (int)getpid());
	assert_int_equal(watchdog_of(own, "30000000"), INT64_C(30000000000));
	assert_int_equal(watchdog_of(NULL, "1"), 1000);
}

static void test_without_a_watchdog_or_for_another_process_nobody_wants_to_hear_us(void **state)
{
	static const char *const nonsense[] = {"", "0", "-1", "x", "99999999999999999999"};
	(void)state;
	assert_int_equal(watchdog_of(NULL, NULL), 0);
	assert_int_equal(watchdog_of("1", "30000000"), 0);
	assert_int_equal(watchdog_of("x", "30000000"), 0);
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++)
		assert_int_equal(watchdog_of(NULL, nonsense[i]), 0);
	unsetenv("NOTIFY_SOCKET");
	setenv("WATCHDOG_USEC", "30000000", 1);
	assert_int_equal(notify_open(), 1);
	assert_int_equal(notify_watchdog_ns(), 0);
}

static void set_listen(const char *pid, const char *fds)
{
	if (pid != NULL)
		setenv("LISTEN_PID", pid, 1);
	else
		unsetenv("LISTEN_PID");
	if (fds != NULL)
		setenv("LISTEN_FDS", fds, 1);
	else
		unsetenv("LISTEN_FDS");
	setenv("LISTEN_FDNAMES", "x", 1);
}

/* In a child, whose descriptors 3 and 4 are sockets and whose others are nobody's concern. */
static int listen_fds_in_child(const char *pid, const char *fds, int *cloexec_flags)
{
	struct {
		int result, flags;
		int variables_left;
	} told = {0};
	int report[2], status;
	pid_t child;
	assert_int_equal(pipe2(report, O_CLOEXEC), 0);
	if ((child = fork()) == 0) {
		char own[16];
		int out = fcntl(report[1], F_DUPFD, 20);
		snprintf(own, sizeof(own), "%d", (int)getpid());
		dup2(socket(AF_UNIX, SOCK_STREAM, 0), 9);
		dup2(9, 3);
		dup2(9, 4);
		close(5);
		set_listen(pid != NULL && strcmp(pid, "own") == 0 ? own : pid, fds);
		told.result = notify_listen_fds();
		told.flags = fcntl(3, F_GETFD) & fcntl(4, F_GETFD);
		told.variables_left = getenv("LISTEN_PID") != NULL || getenv("LISTEN_FDS") != NULL ||
				      getenv("LISTEN_FDNAMES") != NULL;
		_exit(write(out, &told, sizeof(told)) == sizeof(told) ? 0 : 1);
	}
	assert_int_equal(read(report[0], &told, sizeof(told)), sizeof(told));
	assert_int_equal(waitpid(child, &status, 0), child);
	close(report[0]);
	close(report[1]);
	*cloexec_flags = told.flags;
	if (pid != NULL && fds != NULL)
		assert_false(told.variables_left);
	return told.result;
}

static void test_passed_sockets_are_counted_and_marked_cloexec(void **state)
{
	int flags;
	(void)state;
	assert_int_equal(listen_fds_in_child("own", "2", &flags), 2);
	assert_int_equal(flags, FD_CLOEXEC);
}

static void test_sockets_for_another_process_are_left_alone(void **state)
{
	int flags;
	(void)state;
	assert_int_equal(listen_fds_in_child("1", "2", &flags), 0);
	assert_int_equal(flags, 0);
}

static void test_without_the_variables_there_are_no_sockets(void **state)
{
	int flags;
	(void)state;
	assert_int_equal(listen_fds_in_child(NULL, NULL, &flags), 0);
	assert_int_equal(listen_fds_in_child("own", NULL, &flags), 0);
	assert_int_equal(listen_fds_in_child(NULL, "1", &flags), 0);
	assert_int_equal(listen_fds_in_child("own", "0", &flags), 0);
}

static void test_nonsense_from_the_manager_is_refused(void **state)
{
	static const struct {
		const char *pid, *fds;
	} bad[] = {
		{"own", "-1"}, {"own", "x"}, {"own", ""}, {"own", "1000000"}, {"own", "99999999999999999999"},
		{"", "1"},     {"abc", "1"}, {"-5", "1"}, {"own", "3"} /* 5 is not open */};
	int flags;
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (listen_fds_in_child(bad[i].pid, bad[i].fds, &flags) != -EINVAL)
			fail_msg("LISTEN_PID=%s LISTEN_FDS=%s was taken", bad[i].pid, bad[i].fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_manager_at_a_path_is_told),
		cmocka_unit_test(test_a_manager_at_an_abstract_address_is_told),
		cmocka_unit_test(test_without_a_manager_nobody_is_told),
		cmocka_unit_test(test_a_nonsense_address_is_refused),
		cmocka_unit_test(test_a_manager_that_is_gone_is_an_error),
		cmocka_unit_test(test_what_is_told_of_a_reload_has_the_time_and_long_texts_are_cut),
		cmocka_unit_test(test_a_manager_that_wants_to_hear_us_is_told_in_its_interval),
		cmocka_unit_test(test_without_a_watchdog_or_for_another_process_nobody_wants_to_hear_us),
		cmocka_unit_test(test_passed_sockets_are_counted_and_marked_cloexec),
		cmocka_unit_test(test_sockets_for_another_process_are_left_alone),
		cmocka_unit_test(test_without_the_variables_there_are_no_sockets),
		cmocka_unit_test(test_nonsense_from_the_manager_is_refused),
	};
	return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
