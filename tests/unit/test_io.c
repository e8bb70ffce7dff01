/* SPDX-License-Identifier: MIT */
/*
 * test_io.c - what io.h promises of one connection, over both backends.
 */
#include "io_rig.h"

#include <pthread.h>

#define BIG (8u << 20)

/* Reads what is there from the peer's end; 0 at the end of file, -1 when there is nothing. */
static ssize_t peer_recv(const struct rig_conn *rc, char *data, size_t len)
{
	return recv(rc->peer_fd, data, len, MSG_DONTWAIT);
}

static void echo_cut(void **state, int family)
{
	enum { TOTAL = 300000, PIECE = 5000 };
	uint64_t seed = 20240607;
	char data[PIECE];
	size_t sent = 0;
	size_t got = 0;
	struct rig_conn rc;
	struct rig rig;

	rig_open(&rig, state, 1);
	rig_connect(&rig, &rc, family);
	rc.is_echo = true;
	while (got < TOTAL) {
		size_t len = 1 + rig_random(&seed) % (rig_random(&seed) % 4 ? 50 : PIECE);
		ssize_t n;

		if (len > TOTAL - sent)
			len = TOTAL - sent;
		rig_fill(data, len, 1, sent);
		n = len > 0 ? send(rc.peer_fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
		sent += n > 0 ? (size_t)n : 0;
		rig_round(&rig, 0);
		n = peer_recv(&rc, data, 1 + rig_random(&seed) % PIECE);
		if (n > 0)
			rig_check(data, (size_t)n, 1, got);
		got += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(got, TOTAL);
	rig_disconnect(&rig, &rc);
	rig_close(&rig);
}

static void test_echo_returns_every_byte_however_cut(void **state)
{
	echo_cut(state, AF_UNIX);
	echo_cut(state, AF_INET);
}

static void test_big_send_to_a_slow_reader_is_whole_and_told_once(void **state)
{
	static char data[BIG];
	static char piece[100000];
	size_t got = 0;
	struct rig_conn rc;
	struct rig rig;

	rig_open(&rig, state, 1);
	rig_connect(&rig, &rc, AF_UNIX);
	rig_fill(data, BIG, 2, 0);
	io_send(rig.io, &rc.conn, data, BIG);
	while (got < BIG) {
		ssize_t n;

		rig_settle(&rig);
		if (got < BIG / 2)
			assert_int_equal(rc.sents, 0);
		n = peer_recv(&rc, piece, sizeof(piece));
		assert_true(n > 0);
		rig_check(piece, (size_t)n, 2, got);
		got += (size_t)n;
	}
	RIG_UNTIL(&rig, rc.sents > 0);
	rig_settle(&rig);
	assert_int_equal(rc.sents, 1);
	assert_int_equal(peer_recv(&rc, piece, 1), -1);
	rig_disconnect(&rig, &rc);
	rig_close(&rig);
}

static void eof_once(void **state, int family)
{
	struct rig_conn rc;
	struct rig rig;
	char data[8];

	rig_open(&rig, state, 1);
	rig_connect(&rig, &rc, family);
	rig_peer_send(&rc, "last", 4);
	assert_int_equal(shutdown(rc.peer_fd, SHUT_WR), 0);
	RIG_UNTIL(&rig, rc.eofs > 0);
	assert_memory_equal(rc.in, "last", 4);
	io_send(rig.io, &rc.conn, "reply", 5);
	RIG_UNTIL(&rig, rc.sents > 0);
	assert_int_equal(recv(rc.peer_fd, data, sizeof(data), 0), 5);
	assert_memory_equal(data, "reply", 5);
	rig_settle(&rig);
	assert_int_equal(rc.eofs, 1);
	assert_int_equal(rc.fails, 0);
	rig_disconnect(&rig, &rc);
	rig_close(&rig);
}

static void test_eof_is_told_once_and_sends_still_go_out(void **state)
{
	eof_once(state, AF_UNIX);
	eof_once(state, AF_INET);
}

/* Known from the close() on, with bytes before it that nobody has read; half a close is none. */
static void test_who_has_gone_is_known_at_once(void **state)
{
	struct rig_conn rc;
	struct rig rig;

	rig_open(&rig, state, 1);
	rig_connect(&rig, &rc, AF_UNIX);
	rig_settle(&rig);
	assert_false(io_conn_is_hung_up(&rc.conn));
	rig_peer_send(&rc, "all", 3);
	assert_int_equal(shutdown(rc.peer_fd, SHUT_WR), 0);
	assert_false(io_conn_is_hung_up(&rc.conn));
	(void)close(rc.peer_fd);
	rc.peer_fd = -1;
	assert_true(io_conn_is_hung_up(&rc.conn));
	RIG_UNTIL(&rig, rc.eofs == 1);
	assert_int_equal(rc.in_len, 3);
	rig_disconnect(&rig, &rc);
	rig_close(&rig);
}

/* Data and its end come before the io has looked at the connection once: what some kernels lose. */
static void test_eof_right_behind_data_is_not_lost(void **state)
{
	struct rig_conn rc;
	struct rig rig;

	rig_open(&rig, state, 1);
	rig_connect(&rig, &rc, AF_UNIX);
	rig_settle(&rig);
	rig_peer_send(&rc, "all", 3);
	assert_int_equal(shutdown(rc.peer_fd, SHUT_WR), 0);
	RIG_UNTIL(&rig, rc.eofs == 1);
	assert_int_equal(rc.in_len, 3);
	rig_disconnect(&rig, &rc);
	rig_close(&rig);
}

static void reset_by_peer(void **state, int family)
{
	struct rig_conn rc;
	struct rig rig;

	rig_open(&rig, state, 1);
	rig_connect(&rig, &rc, family);
	rig_peer_send(&rc, "ask", 3);
	io_send(rig.io, &rc.conn, "unread", 6);
	RIG_UNTIL(&rig, rc.sents > 0 && rc.in_len == 3);
	(void)close(rc.peer_fd);
	rc.peer_fd = -1;
	RIG_UNTIL(&rig, rc.fails > 0);
	assert_int_equal(rc.error, ECONNRESET);
	rig_settle(&rig);
	assert_int_equal(rc.fails, 1);
	assert_int_equal(rc.eofs, 0);
	rig_disconnect(&rig, &rc);
	rig_close(&rig);
}

static void test_peer_that_leaves_replies_unread_is_a_reset(void **state)
{
	reset_by_peer(state, AF_UNIX);
	reset_by_peer(state, AF_INET);
}

static void test_send_to_a_peer_that_has_gone_fails_once(void **state)
{
	struct rig_conn rc;
	struct rig rig;

	for (int is_quiet = 0; is_quiet < 2; is_quiet++) {
		rig_open(&rig, state, 1);
		rig_connect(&rig, &rc, AF_UNIX);
		(void)close(rc.peer_fd);
		rc.peer_fd = -1;
		RIG_UNTIL(&rig, rc.eofs > 0);
		if (is_quiet)
			io_send_quiet(rig.io, &rc.conn, "late", 4);
		else
			io_send(rig.io, &rc.conn, "late", 4);
		RIG_UNTIL(&rig, rc.fails > 0);
		assert_int_equal(rc.error, EPIPE);
		assert_int_equal(rc.sents, 0);
		rig_disconnect(&rig, &rc);
		rig_close(&rig);
	}
}

static void test_close_in_mid_send_is_told_once_and_the_peer_sees_the_end(void **state)
{
	static char data[BIG];
	static char piece[100000];
	struct rig_conn rc;
	struct rig rig;
	ssize_t n;

	for (int is_begun = 0; is_begun < 2; is_begun++) {
		rig_open(&rig, state, 1);
		rig_connect(&rig, &rc, AF_UNIX);
		io_send(rig.io, &rc.conn, data, BIG);
		if (is_begun)
			rig_settle(&rig);
		rig_close_begin(&rig, &rc);
		RIG_UNTIL(&rig, rc.closeds > 0);
		while ((n = peer_recv(&rc, piece, sizeof(piece))) > 0)
			;
		assert_true(n == 0 || errno == ECONNRESET);
		rig_settle(&rig);
		assert_int_equal(rc.closeds, 1);
		rig_disconnect(&rig, &rc);
		rig_close(&rig);
	}
}

static void test_close_behind_a_quiet_send_is_told_without_another_event(void **state)
{
	struct rig_conn rc;
	struct rig rig;

	rig_open(&rig, state, 1);
	rig_connect(&rig, &rc, AF_UNIX);
	assert_int_equal(shutdown(rc.peer_fd, SHUT_WR), 0);
	RIG_UNTIL(&rig, rc.eofs > 0);
	io_send_quiet(rig.io, &rc.conn, "x", 1);
	rig_close_begin(&rig, &rc);
	RIG_UNTIL(&rig, rc.closeds == 1);
	rig_disconnect(&rig, &rc);
	rig_close(&rig);
}

/* The send is done when the close comes: a full queue has been submitted in between. Nothing else will
 * happen. */
static void test_close_behind_a_quiet_send_that_is_done_is_told(void **state)
{
	enum { OTHERS = 100 };
	struct rig_conn others[OTHERS];
	struct rig_conn rc;
	struct rig rig;

	rig_open(&rig, state, 1);
	rig_connect(&rig, &rc, AF_UNIX);
	assert_int_equal(shutdown(rc.peer_fd, SHUT_WR), 0);
	RIG_UNTIL(&rig, rc.eofs > 0);
	io_send_quiet(rig.io, &rc.conn, "x", 1);
	for (unsigned i = 0; i < OTHERS; i++)
		rig_connect(&rig, &others[i], AF_UNIX);
	rig_close_begin(&rig, &rc);
	RIG_UNTIL(&rig, rc.closeds == 1);
	rig_disconnect(&rig, &rc);
	for (unsigned i = 0; i < OTHERS; i++)
		rig_disconnect(&rig, &others[i]);
	rig_close(&rig);
}

static void test_data_behind_a_close_is_not_told(void **state)
{
	struct rig_conn rc;
	struct rig rig;

	rig_open(&rig, state, 1);
	rig_connect(&rig, &rc, AF_UNIX);
	rig_settle(&rig);
	rig_peer_send(&rc, "too late", 8);
	rig_close_begin(&rig, &rc);
	RIG_UNTIL(&rig, rc.closeds == 1);
	assert_int_equal(rc.in_len, 0);
	rig_disconnect(&rig, &rc);
	rig_close(&rig);
}

static void test_pause_stops_delivery_and_resume_loses_nothing(void **state)
{
	static char data[100000];
	size_t before;
	struct rig_conn rc;
	struct rig rig;

	rig_open(&rig, state, 1);
	rig_connect(&rig, &rc, AF_UNIX);
	rig_fill(data, sizeof(data), 3, 0);
	rig_peer_send(&rc, data, 10);
	RIG_UNTIL(&rig, rc.in_len == 10);
	io_recv_pause(rig.io, &rc.conn);
	io_recv_pause(rig.io, &rc.conn);
	rig_settle(&rig);
	rig_peer_send(&rc, data + 10, 50000);
	rig_settle(&rig);
	assert_int_equal(rc.in_len, 10);
	/* A pause and a resume in one round leave it receiving; so do a resume and a pause leave it paused.
	 */
	io_recv_resume(rig.io, &rc.conn);
	io_recv_pause(rig.io, &rc.conn);
	rig_settle(&rig);
	before = rc.in_len;
	rig_peer_send(&rc, data + 50010, 10);
	rig_settle(&rig);
	assert_int_equal(rc.in_len, before);
	io_recv_resume(rig.io, &rc.conn);
	io_recv_resume(rig.io, &rc.conn);
	RIG_UNTIL(&rig, rc.in_len == 50020);
	io_recv_pause(rig.io, &rc.conn);
	io_recv_resume(rig.io, &rc.conn);
	rig_peer_send(&rc, data + 50020, 1000);
	RIG_UNTIL(&rig, rc.in_len == 51020);
	rig_check(rc.in, rc.in_len, 3, 0);
	rig_disconnect(&rig, &rc);
	rig_close(&rig);
}

static void test_end_and_reset_are_found_while_paused(void **state)
{
	struct rig_conn rc;
	struct rig rig;

	for (int is_reset = 0; is_reset < 2; is_reset++) {
		rig_open(&rig, state, 1);
		rig_connect(&rig, &rc, AF_UNIX);
		if (is_reset) {
			io_send(rig.io, &rc.conn, "unread", 6);
			RIG_UNTIL(&rig, rc.sents > 0);
		}
		io_recv_pause(rig.io, &rc.conn);
		rig_settle(&rig);
		(void)close(rc.peer_fd);
		rc.peer_fd = -1;
		RIG_UNTIL(&rig, rc.eofs + rc.fails > 0);
		assert_int_equal(rc.fails, is_reset);
		assert_int_equal(rc.error, is_reset ? ECONNRESET : 0);
		rig_disconnect(&rig, &rc);
		rig_close(&rig);
	}
}

static void test_end_behind_unread_bytes_comes_after_them(void **state)
{
	struct rig_conn rc;
	struct rig rig;
	unsigned waits;

	rig_open(&rig, state, 1);
	rig_connect(&rig, &rc, AF_UNIX);
	io_recv_pause(rig.io, &rc.conn);
	rig_settle(&rig);
	rig_peer_send(&rc, "unread", 6);
	(void)close(rc.peer_fd);
	rc.peer_fd = -1;
	rig_settle(&rig);
	assert_int_equal(rc.eofs + rc.fails + rc.in_len, 0);
	/* It does not spin on what it may not tell. */
	waits = rig.waits;
	rig_round(&rig, 20 * MS);
	rig_round(&rig, 20 * MS);
	assert_int_equal(rig.waits, waits + 2);
	io_recv_resume(rig.io, &rc.conn);
	RIG_UNTIL(&rig, rc.eofs == 1);
	assert_int_equal(rc.in_len, 6);
	rig_disconnect(&rig, &rc);
	rig_close(&rig);
}

static void *wake_run(void *arg)
{
	const uint64_t one = 1;

	assert_int_equal(write(*(int *)arg, &one, sizeof(one)), sizeof(one));
	return NULL;
}

static void test_write_to_the_wake_fd_is_told_each_time(void **state)
{
	pthread_t thread;
	struct rig rig;

	rig_open(&rig, state, 1);
	rig_settle(&rig);
	for (unsigned i = 1; i <= 100; i++) {
		assert_int_equal(pthread_create(&thread, NULL, wake_run, &rig.wake_fd), 0);
		RIG_UNTIL(&rig, rig.wakes == i);
		(void)pthread_join(thread, NULL);
	}
	rig_settle(&rig);
	assert_int_equal(rig.wakes, 100);
	rig_close(&rig);
}

static void test_wait_ends_at_its_timeout(void **state)
{
	int64_t start_ns;
	struct rig_conn rc;
	struct rig rig;

	rig_open(&rig, state, 1);
	rig_connect(&rig, &rc, AF_UNIX);
	rig_settle(&rig);
	start_ns = rig_now_ns();
	rig.waits = 0;
	while (rig_now_ns() - start_ns < 30 * MS)
		assert_int_equal(rig_round(&rig, 30 * MS), 0);
	/* The kernel may end a sleep early, as by a signal: to tear down the ring of the test before. */
	assert_in_range(rig.waits, 1, 3);
	start_ns = rig_now_ns();
	assert_int_equal(rig_round(&rig, 0), 0);
	assert_true(rig_now_ns() - start_ns < 30 * MS);
	rig_disconnect(&rig, &rc);
	rig_close(&rig);
}

static void test_loud_send_wakes_and_quiet_send_does_not(void **state)
{
	struct rig_conn rc;
	struct rig rig;

	rig_open(&rig, state, 1);
	rig_connect(&rig, &rc, AF_UNIX);
	rig_settle(&rig);
	io_send(rig.io, &rc.conn, "loud", 4);
	RIG_UNTIL(&rig, rc.sents == 1);
	io_send_quiet(rig.io, &rc.conn, "quiet", 5);
	assert_int_equal(io_wait(rig.io, 30 * MS), 0);
	/* It has ended by its timeout, with the send done and to tell. */
	rig_settle(&rig);
	assert_int_equal(rc.sents, 2);
	rig_disconnect(&rig, &rc);
	rig_close(&rig);
}

static void test_quiet_send_into_a_full_socket_is_finished_and_wakes(void **state)
{
	static char data[1000000];
	static char piece[100000];
	struct rig_conn rc;
	struct rig rig;
	size_t got = 0;

	rig_open(&rig, state, 1);
	rig_connect(&rig, &rc, AF_UNIX);
	rig_fill(data, sizeof(data), 4, 0);
	io_send_quiet(rig.io, &rc.conn, data, sizeof(data));
	while (got < sizeof(data)) {
		ssize_t n;

		rig_settle(&rig);
		n = peer_recv(&rc, piece, sizeof(piece));
		assert_true(n > 0);
		rig_check(piece, (size_t)n, 4, got);
		got += (size_t)n;
	}
	RIG_UNTIL(&rig, rc.sents == 1);
	rig_disconnect(&rig, &rc);
	rig_close(&rig);
}

enum { ROUND_TRIPS = 2000 };

static void *client_run(void *arg)
{
	const struct rig_conn *rc = arg;
	char data[16];

	for (int i = 0; i < ROUND_TRIPS; i++) {
		assert_int_equal(send(rc->peer_fd, "request", 7, MSG_NOSIGNAL), 7);
		assert_int_equal(recv(rc->peer_fd, data, 7, MSG_WAITALL), 7);
	}
	(void)shutdown(rc->peer_fd, SHUT_WR);
	return NULL;
}

/* A wait is a system call of the io_uring backend, and its only one. */
static void test_round_trip_with_a_quiet_reply_costs_one_wait(void **state)
{
	struct io_event event;
	pthread_t thread;
	struct rig_conn rc;
	struct rig rig;

	rig_open(&rig, state, 1);
	rig_connect(&rig, &rc, AF_UNIX);
	assert_int_equal(pthread_create(&thread, NULL, client_run, &rc), 0);
	while (rc.eofs == 0) {
		size_t before = rc.in_len;

		assert_int_equal(io_wait(rig.io, RIG_PATIENCE_NS), 0);
		rig.waits++;
		while (io_next(rig.io, &event))
			rig_note(&rig, &event);
		if (rc.in_len > before)
			io_send_quiet(rig.io, &rc.conn, "replies", 7);
	}
	(void)pthread_join(thread, NULL);
	assert_int_equal(rc.in_len, 7 * ROUND_TRIPS);
	assert_in_range(rig.waits, ROUND_TRIPS, ROUND_TRIPS + ROUND_TRIPS / 100);
	rig_disconnect(&rig, &rc);
	rig_close(&rig);
}

#define TEST_BOTH(fn) RIG_TEST(uring, fn), RIG_TEST(epoll, fn)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_BOTH(test_echo_returns_every_byte_however_cut),
		TEST_BOTH(test_big_send_to_a_slow_reader_is_whole_and_told_once),
		TEST_BOTH(test_eof_is_told_once_and_sends_still_go_out),
		TEST_BOTH(test_who_has_gone_is_known_at_once),
		TEST_BOTH(test_eof_right_behind_data_is_not_lost),
		TEST_BOTH(test_peer_that_leaves_replies_unread_is_a_reset),
		TEST_BOTH(test_send_to_a_peer_that_has_gone_fails_once),
		TEST_BOTH(test_close_in_mid_send_is_told_once_and_the_peer_sees_the_end),
		TEST_BOTH(test_close_behind_a_quiet_send_is_told_without_another_event),
		TEST_BOTH(test_close_behind_a_quiet_send_that_is_done_is_told),
		TEST_BOTH(test_data_behind_a_close_is_not_told),
		TEST_BOTH(test_pause_stops_delivery_and_resume_loses_nothing),
		TEST_BOTH(test_end_and_reset_are_found_while_paused),
		TEST_BOTH(test_end_behind_unread_bytes_comes_after_them),
		TEST_BOTH(test_write_to_the_wake_fd_is_told_each_time),
		TEST_BOTH(test_wait_ends_at_its_timeout),
		TEST_BOTH(test_loud_send_wakes_and_quiet_send_does_not),
		TEST_BOTH(test_quiet_send_into_a_full_socket_is_finished_and_wakes),
		TEST_BOTH(test_round_trip_with_a_quiet_reply_costs_one_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
