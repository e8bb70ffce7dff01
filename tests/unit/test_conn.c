/* SPDX-License-Identifier: MIT */
/*
 * One client socket, against listeners of the test's own in a directory of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../lib/conn.h"

static char dir[] = "/tmp/test_conn.XXXXXX";
static char path[64];

static int64_t in_ms(int64_t ms)
{
	return conn_now_ns() + ms * 1000000;
}

static int listen_unix(int backlog)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	memcpy(addr.sun_path, path, strlen(path) + 1);
	unlink(path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static int listen_tcp(uint16_t *port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*port = ntohs(addr.sin_port);
	return fd;
}

/* Echoes "hello" through an open connection whose other end is `peer`. */
static void check_exchange(struct conn *c, int peer)
{
	char got[8];
	assert_int_equal(conn_recv_some(c, got, sizeof(got)), -EAGAIN);
	assert_int_equal(conn_send_some(c, "hello", 5), 5);
	assert_int_equal(read(peer, got, sizeof(got)), 5);
	assert_int_equal(write(peer, "world", 5), 5);
	assert_true(conn_wait(c, POLLIN, in_ms(5000)) & POLLIN);
	assert_int_equal(conn_recv_some(c, got, sizeof(got)), 5);
	assert_memory_equal(got, "world", 5);
}

static void test_a_unix_socket_carries_bytes_both_ways(void **state)
{
	(void)state;
	int listener = listen_unix(4);
	struct conn c = CONN_INIT;
	assert_int_equal(conn_open_unix(&c, path, in_ms(5000)), 0);
	int peer = accept(listener, NULL, NULL);
	check_exchange(&c, peer);
	close(peer);
	char got[8];
	assert_true(conn_wait(&c, POLLIN, in_ms(5000)) > 0);
	assert_int_equal(conn_recv_some(&c, got, sizeof(got)), 0);
	assert_int_equal(conn_send_some(&c, "x", 1), -EPIPE);
	conn_close(&c);
	assert_false(conn_is_open(&c));
	conn_close(&c);
	close(listener);
}

/* What a program prints into a closed standard output must not become a request. */
static void test_a_connection_never_takes_the_place_of_standard_output(void **state)
{
	(void)state;
	int listener = listen_unix(4), output = dup(STDOUT_FILENO);
	struct conn c = CONN_INIT;
	fflush(stdout);
	close(STDOUT_FILENO);
	int rc = conn_open_unix(&c, path, in_ms(5000)), taken = fcntl(STDOUT_FILENO, F_GETFD);
	dup2(output, STDOUT_FILENO);
	close(output);
	assert_int_equal(rc, 0);
	assert_int_equal(taken, -1);
	conn_close(&c);
	close(listener);
}

static void test_a_tcp_socket_carries_bytes_both_ways(void **state)
{
	(void)state;
	uint16_t port;
	const char *why = "untouched";
	int listener = listen_tcp(&port);
	struct conn c = CONN_INIT;
	assert_int_equal(conn_open_tcp(&c, "127.0.0.1", port, in_ms(5000), &why), 0);
	int peer = accept(listener, NULL, NULL);
	check_exchange(&c, peer);
	close(peer);
	conn_close(&c);
	close(listener);
}

static void test_nobody_listening_is_told_apart(void **state)
{
	(void)state;
	struct conn c = CONN_INIT;
	unlink(path);
	assert_int_equal(conn_open_unix(&c, path, in_ms(5000)), -ENOENT);
	close(listen_unix(1));
	assert_int_equal(conn_open_unix(&c, path, in_ms(5000)), -ECONNREFUSED);
	uint16_t port;
	const char *why;
	close(listen_tcp(&port));
	assert_int_equal(conn_open_tcp(&c, "127.0.0.1", port, in_ms(5000), &why), -ECONNREFUSED);
	char longer[200];
	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(conn_open_unix(&c, longer, in_ms(5000)), -ENAMETOOLONG);
	assert_false(conn_is_open(&c));
}

static void test_a_host_that_is_none_is_told_in_words(void **state)
{
	(void)state;
	struct conn c = CONN_INIT;
	const char *why = NULL;
	assert_int_equal(conn_open_tcp(&c, "a host with blanks", 1, in_ms(5000), &why), -EHOSTUNREACH);
	assert_non_null(why);
}

static void test_a_full_accept_queue_ends_at_the_deadline(void **state)
{
	(void)state;
	int listener = listen_unix(0);
	struct conn first = CONN_INIT, second = CONN_INIT;
	assert_int_equal(conn_open_unix(&first, path, in_ms(5000)), 0);
	int64_t begin_ns = conn_now_ns();
	assert_int_equal(conn_open_unix(&second, path, in_ms(50)), -ETIMEDOUT);
	assert_true(conn_now_ns() - begin_ns >= 45 * 1000000);
	assert_false(conn_is_open(&second));
	conn_close(&first);
	close(listener);
}

static int busy_listener, signals;

/* The third one makes room in the accept queue. */
static void on_alarm(int signal)
{
	(void)signal;
	int saved = errno;
	if (++signals == 3)
		close(accept(busy_listener, NULL, NULL));
	errno = saved;
}

/* Signals that interrupt whatever waits, every 10 ms; ends them with 0. */
static void set_alarms(int interval_ms)
{
	struct sigaction action = {.sa_handler = interval_ms ? on_alarm : SIG_DFL}; /* without SA_RESTART */
	struct timeval interval = {.tv_usec = interval_ms * 1000};
	struct itimerval timer = {interval, interval};
	signals = 0;
	if (interval_ms)
		sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	if (!interval_ms)
		sigaction(SIGALRM, &action, NULL);
}

static void test_signals_do_not_end_the_wait_for_a_full_accept_queue(void **state)
{
	(void)state;
	busy_listener = listen_unix(0);
	struct conn first = CONN_INIT, second = CONN_INIT, third = CONN_INIT;
	assert_int_equal(conn_open_unix(&first, path, in_ms(5000)), 0);
	set_alarms(10);
	int rc = conn_open_unix(&second, path, in_ms(5000));
	set_alarms(0);
	assert_int_equal(rc, 0);
	assert_true(fcntl(second.fd, F_GETFL) & O_NONBLOCK);

	set_alarms(10);
	signals = 3; /* nobody makes room */
	int64_t begin_ns = conn_now_ns();
	rc = conn_open_unix(&third, path, in_ms(100));
	int64_t took_ns = conn_now_ns() - begin_ns;
	set_alarms(0);
	assert_int_equal(rc, -ETIMEDOUT);
	assert_true(took_ns >= 95 * 1000000);
	conn_close(&first);
	conn_close(&second);
	close(busy_listener);
}

static void test_waiting_ends_at_the_deadline(void **state)
{
	(void)state;
	int listener = listen_unix(1);
	struct conn c = CONN_INIT;
	assert_int_equal(conn_open_unix(&c, path, in_ms(5000)), 0);
	int64_t begin_ns = conn_now_ns();
	assert_int_equal(conn_wait(&c, POLLIN, in_ms(30)), -ETIMEDOUT);
	assert_true(conn_now_ns() - begin_ns >= 30 * 1000000);
	assert_int_equal(conn_wait(&c, POLLIN, in_ms(-1)), -ETIMEDOUT);
	conn_close(&c);
	close(listener);
}

static void test_connecting_by_steps_waits_for_nothing(void **state)
{
	(void)state;
	uint16_t port;
	const char *why = NULL;
	struct addrinfo *list;
	int listener = listen_tcp(&port);
	assert_int_equal(conn_resolve("127.0.0.1", port, &list, &why), 0);
	struct conn c = CONN_INIT;
	assert_int_equal(conn_begin(&c, list->ai_addr, list->ai_addrlen), 0);
	assert_int_equal(conn_events(&c, true), POLLIN | POLLOUT);
	assert_int_equal(conn_events(&c, false), POLLIN);
	assert_false(conn_has_input(&c));
	assert_null(conn_why(&c));
	assert_true(conn_wait(&c, POLLOUT, in_ms(5000)) & POLLOUT);
	assert_int_equal(conn_finish(&c), 0);
	int peer = accept(listener, NULL, NULL);
	check_exchange(&c, peer);
	close(peer);
	conn_close(&c);
	close(listener);

	int rc = conn_begin(&c, list->ai_addr, list->ai_addrlen); /* nobody listens any more */
	if (rc == 0) {
		assert_true(conn_wait(&c, POLLOUT, in_ms(5000)) > 0);
		rc = conn_finish(&c);
		conn_close(&c);
	}
	assert_int_equal(rc, -ECONNREFUSED);
	assert_false(conn_is_open(&c));
	freeaddrinfo(list);
	assert_int_equal(conn_resolve("a host with blanks", 1, &list, &why), -EHOSTUNREACH);
	assert_non_null(why);
}

/* A listener whose queue is full answers nobody. */
static void test_a_connection_that_is_under_way_is_told_as_that(void **state)
{
	(void)state;
	uint16_t port;
	const char *why;
	struct addrinfo *list;
	int listener = listen_tcp(&port);
	assert_int_equal(listen(listener, 0), 0);
	assert_int_equal(conn_resolve("127.0.0.1", port, &list, &why), 0);
	struct conn conns[8];
	int rc = 0;
	size_t count = 0;
	while (rc == 0 && count < 8) {
		assert_int_equal(conn_begin(&conns[count], list->ai_addr, list->ai_addrlen), 0);
		rc = conn_finish(&conns[count++]);
	}
	assert_int_equal(rc, -EAGAIN);
	for (size_t i = 0; i < count; i++)
		conn_close(&conns[i]);
	freeaddrinfo(list);
	close(listener);

	listener = listen_unix(0);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	memcpy(addr.sun_path, path, strlen(path) + 1);
	struct conn first = CONN_INIT, second = CONN_INIT;
	assert_int_equal(conn_begin(&first, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(conn_finish(&first), 0);
	assert_int_equal(conn_begin(&second, (struct sockaddr *)&addr, sizeof(addr)), -EAGAIN);
	assert_false(conn_is_open(&second));
	conn_close(&first);
	close(listener);
}

static void test_a_stale_connection_is_noticed(void **state)
{
	(void)state;
	int listener = listen_unix(1);
	struct conn c = CONN_INIT;
	assert_int_equal(conn_open_unix(&c, path, in_ms(5000)), 0);
	int peer = accept(listener, NULL, NULL);
	assert_false(conn_is_stale(&c));
	assert_int_equal(write(peer, "?", 1), 1);
	assert_true(conn_is_stale(&c));
	char got;
	assert_int_equal(conn_recv_some(&c, &got, 1), 1); /* peeking took nothing */
	assert_false(conn_is_stale(&c));
	close(peer);
	assert_true(conn_is_stale(&c));
	conn_close(&c);
	close(listener);
}

static int make_directory(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/s", dir);
	return 0;
}

static int remove_directory(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_unix_socket_carries_bytes_both_ways),
		cmocka_unit_test(test_a_connection_never_takes_the_place_of_standard_output),
		cmocka_unit_test(test_a_tcp_socket_carries_bytes_both_ways),
		cmocka_unit_test(test_nobody_listening_is_told_apart),
		cmocka_unit_test(test_a_host_that_is_none_is_told_in_words),
		cmocka_unit_test(test_a_full_accept_queue_ends_at_the_deadline),
		cmocka_unit_test(test_signals_do_not_end_the_wait_for_a_full_accept_queue),
		cmocka_unit_test(test_waiting_ends_at_the_deadline),
		cmocka_unit_test(test_connecting_by_steps_waits_for_nothing),
		cmocka_unit_test(test_a_connection_that_is_under_way_is_told_as_that),
		cmocka_unit_test(test_a_stale_connection_is_noticed),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
