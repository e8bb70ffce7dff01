/* SPDX-License-Identifier: MIT */
/*
 * Sessions and tokens of libshcount against a scripted server. Above all: exactly those batches are sent
 * again that the server does not have, and nothing is sent again where that could count twice.
 */
#include <errno.h>
#include <sys/syscall.h>

#include "shcount_rig.h"

static struct shc_session at;
static int connects_in_vain;
static bool lets_server_go; /* each of them the script's next PAUSE */

/* Instead of libc's, so that a server can come up when it is known that nobody was found. */
int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	int rc = (int)syscall(SYS_connect, fd, addr, len), error = errno;
	if (rc < 0 && (error == ENOENT || error == ECONNREFUSED)) {
		connects_in_vain++;
		if (lets_server_go)
			server_go(&server);
	}
	errno = error;
	return rc;
}

static enum shc_status open_session(void)
{
	return shc_session_open(shc, "s", 1, &at);
}

/* One addition of 1 to x, with the cursor. */
static enum shc_status apply(const char *cursor)
{
	assert_int_equal(shc_session_add(shc, "x", 1, 1), SHC_OK);
	return shc_session_apply(shc, cursor, strlen(cursor));
}

#define NEW SAY(REQUEST, "SHC.SESSION s"), SAY(REPLY, "*3\r\n:0\r\n$0\r\n\r\n:0\r\n")
#define STANDS(last, cursor, stored)                                                                         \
	SAY(REQUEST, "SHC.SESSION s"), SAY(REPLY, "*3\r\n:" last "\r\n$1\r\n" cursor "\r\n:" stored "\r\n")
#define APPLY(seq, cursor) SAY(REQUEST, "SHC.APPLY " seq " " cursor " x 1")
#define APPLIED		   SAY(REPLY, ":1\r\n")
#define BARRIER		   SAY(REQUEST, "WAITAOF 1 0 0")
#define ON_DISK		   SAY(REPLY, "*2\r\n:1\r\n:0\r\n")

static void check_stats(int64_t given, int64_t applied, int64_t stored, uint64_t resent)
{
	struct shc_session_stats stats;
	shc_session_stats(shc, &stats);
	assert_int_equal(stats.given_seq, given);
	assert_int_equal(stats.applied_seq, applied);
	assert_int_equal(stats.stored_seq, stored);
	assert_int_equal(stats.kept_batches, given - stored);
	assert_int_equal(stats.resent, resent);
}

/* ---- without trouble ---- */

static void test_batches_are_numbered_on_and_flushed_to_the_disk(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		STANDS("7", "g", "7"),
		SAY(REQUEST, "SHC.APPLY 8 h x 5 y -2"),
		APPLIED,
		SAY(REQUEST, "SHC.APPLY 9 "), /* an empty one moves the cursor only */
		APPLIED,
		BARRIER,
		ON_DISK,
		DO(END),
	};
	start(steps, PATIENCE_MS);
	assert_int_equal(open_session(), SHC_OK);
	assert_int_equal(at.last_seq, 7);
	assert_int_equal(at.cursor_len, 1);
	assert_int_equal(at.cursor[0], 'g');
	assert_int_equal(shc_session_add(shc, "x", 1, 5), SHC_OK);
	assert_int_equal(shc_session_add(shc, "y", 1, -2), SHC_OK);
	assert_int_equal(shc_session_apply(shc, "h", 1), SHC_OK);
	assert_int_equal(shc_session_apply(shc, NULL, 0), SHC_OK);
	assert_int_equal(shc_session_flush(shc), SHC_OK);
	check_stats(9, 9, 9, 0);
	finish();
}

static void test_opening_waits_until_what_it_tells_is_on_disk(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT), STANDS("7", "g", "5"), BARRIER,	    DO(CLOSE), /* and the last two batches are
										  lost */
		DO(ACCEPT), STANDS("5", "e", "5"), APPLY("6", "f"), APPLIED,   BARRIER, ON_DISK, DO(END),
	};
	start(steps, PATIENCE_MS);
	assert_int_equal(open_session(), SHC_OK);
	assert_int_equal(at.last_seq, 5);
	assert_int_equal(at.cursor[0], 'e');
	assert_int_equal(apply("f"), SHC_OK);
	assert_int_equal(shc_session_flush(shc), SHC_OK);
	finish();
}

/* ---- lost connections ---- */

static void test_lost_before_anything_is_applied_all_is_sent_again(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT), NEW,     APPLY("1", "a"), APPLY("2", "b"), DO(CLOSE),
		DO(ACCEPT), NEW,     APPLY("1", "a"), APPLY("2", "b"), BARRIER,
		APPLIED,    APPLIED, ON_DISK,	      DO(END),
	};
	start(steps, PATIENCE_MS);
	assert_int_equal(open_session(), SHC_OK);
	assert_int_equal(apply("a"), SHC_OK);
	assert_int_equal(apply("b"), SHC_OK);
	assert_int_equal(shc_session_flush(shc), SHC_OK);
	check_stats(2, 2, 2, 2);
	finish();
}

static void test_lost_after_one_was_applied_only_the_others_are_sent_again(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),	 NEW,	    APPLY("1", "a"), APPLY("2", "b"),
		APPLY("3", "c"), DO(CLOSE), DO(ACCEPT),	     STANDS("2", "b", "1"),
		APPLY("3", "c"), APPLIED,   BARRIER,	     ON_DISK,
		DO(END),
	};
	start(steps, PATIENCE_MS);
	assert_int_equal(open_session(), SHC_OK);
	assert_int_equal(apply("a"), SHC_OK);
	assert_int_equal(apply("b"), SHC_OK);
	assert_int_equal(apply("c"), SHC_OK);
	assert_int_equal(shc_session_flush(shc), SHC_OK);
	check_stats(3, 3, 3, 1);
	finish();
}

static void test_acknowledged_batches_that_a_crash_lost_are_sent_again(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),	 NEW,	  APPLY("1", "a"), APPLIED,    APPLY("2", "b"),
		APPLIED,	 BARRIER, DO(CLOSE),	   DO(ACCEPT), STANDS("1", "a", "1"),
		APPLY("2", "b"), APPLIED, BARRIER,	   ON_DISK,    DO(END),
	};
	start(steps, PATIENCE_MS);
	assert_int_equal(open_session(), SHC_OK);
	assert_int_equal(apply("a"), SHC_OK);
	assert_int_equal(apply("b"), SHC_OK);
	assert_int_equal(shc_session_flush(shc), SHC_OK);
	check_stats(2, 2, 2, 1);
	finish();
}

static void test_stored_batches_are_not_kept(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),	 NEW,
		APPLY("1", "a"), APPLIED,
		BARRIER,	 ON_DISK,
		APPLY("2", "b"), DO(CLOSE),
		DO(ACCEPT),	 STANDS("1", "a", "1"),
		APPLY("2", "b"), APPLIED,
		BARRIER,	 ON_DISK,
		DO(END),
	};
	start(steps, PATIENCE_MS);
	assert_int_equal(open_session(), SHC_OK);
	assert_int_equal(apply("a"), SHC_OK);
	assert_int_equal(shc_session_flush(shc), SHC_OK);
	check_stats(1, 1, 1, 0);
	assert_int_equal(apply("b"), SHC_OK);
	assert_int_equal(shc_session_flush(shc), SHC_OK);
	check_stats(2, 2, 2, 1);
	finish();
}

static void test_a_server_that_is_loading_or_full_is_asked_again(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(ANSWER, "-LOADING the state is being read\r\n"),
		DO(CLOSE),
		DO(ACCEPT),
		SAY(ANSWER, "-ERR max number of clients reached\r\n"),
		DO(CLOSE),
		DO(ACCEPT),
		DO(CLOSE),
		DO(ACCEPT),
		NEW,
		DO(END),
	};
	start(steps, PATIENCE_MS);
	assert_int_equal(open_session(), SHC_OK);
	finish();
}

static void test_in_doubt_is_said_in_time_and_a_flush_goes_on(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT), NEW, APPLY("1", "a"), BARRIER, DO(PAUSE), APPLIED, ON_DISK, DO(END),
	};
	start(steps, IMPATIENCE_MS);
	assert_int_equal(open_session(), SHC_OK);
	assert_int_equal(apply("a"), SHC_OK);
	assert_int_equal(shc_session_flush(shc), SHC_IN_DOUBT);
	assert_says("no answer within 50 ms; batches not known to be on disk: 1");
	assert_int_equal(shc_session_add(shc, "x", 1, 1), SHC_USAGE);
	assert_int_equal(shc_session_apply(shc, "b", 1), SHC_USAGE);
	check_stats(1, 0, 0, 0);
	server_go(&server);
	enum shc_status status;
	while ((status = shc_session_flush(shc)) == SHC_IN_DOUBT)
		;
	assert_int_equal(status, SHC_OK);
	check_stats(1, 1, 1, 0); /* on the same connection, and not twice */
	finish();
}

static void test_no_server_is_unreachable_while_nothing_has_left(void **state)
{
	(void)state;
	static const struct step steps[] = {DO(ACCEPT), NEW, DO(DEAF), DO(CLOSE), DO(SIGNAL), DO(END)};
	start(steps, IMPATIENCE_MS);
	assert_int_equal(open_session(), SHC_OK);
	server_wait(&server);
	assert_int_equal(shc_session_add(shc, "x", 1, 1), SHC_OK);
	/* A Unix socket tells that it is closed before a byte has left; we count it as sent all the same. */
	assert_int_equal(shc_session_apply(shc, "a", 1), SHC_IN_DOUBT);
	shc_session_close(shc);
	assert_int_equal(open_session(), SHC_UNREACHABLE);
	assert_says("cannot connect");
	finish();
}

static void test_a_session_is_opened_when_the_server_comes_up_in_time(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(PAUSE), DO(PAUSE), DO(PAUSE), DO(LISTEN), DO(ACCEPT), STANDS("7", "g", "7"), DO(END)};
	static const enum step_op away[] = {ABSENT, DEAF};
	for (size_t i = 0; i < 2; i++) {
		struct step all[12] = {{away[i], NULL, 0}, DO(SIGNAL)};
		memcpy(all + 2, steps, sizeof(steps));
		start(all, PATIENCE_MS);
		server_wait(&server);
		connects_in_vain = 0;
		lets_server_go = true;
		assert_int_equal(open_session(), SHC_OK);
		lets_server_go = false;
		assert_true(connects_in_vain >= 3);
		assert_int_equal(at.last_seq, 7);
		assert_string_equal(shc_error(shc), "");
		finish();
	}
}

/* The handle has a connection from before, which it finds dead. */
static void test_a_session_is_opened_when_the_server_comes_back_in_time(void **state)
{
	(void)state;
	static const struct step steps[] = {DO(ACCEPT), SAY(ANSWER, ":1\r\n"),
					    DO(DEAF),	DO(CLOSE),
					    DO(SIGNAL), DO(PAUSE),
					    DO(PAUSE),	DO(LISTEN),
					    DO(ACCEPT), STANDS("7", "g", "7"),
					    DO(END)};
	int64_t v;
	start(steps, PATIENCE_MS);
	assert_int_equal(shc_incr(shc, "x", 1, 1, &v), SHC_OK);
	server_wait(&server);
	lets_server_go = true;
	assert_int_equal(open_session(), SHC_OK);
	lets_server_go = false;
	assert_int_equal(at.last_seq, 7);
	finish();
}

static void test_the_time_limit_of_opening_is_used_up(void **state)
{
	(void)state;
	connects_in_vain = 0;
	assert_int_equal(shc_open(&shc, "/nonexistent/socket", IMPATIENCE_MS), SHC_OK);
	assert_int_equal(open_session(), SHC_UNREACHABLE);
	assert_true(connects_in_vain >= 2);
	assert_says("cannot connect to /nonexistent/socket: No such file or directory");
	shc_close(shc);
}

/* ---- the bounds ---- */

static void test_what_is_kept_is_bounded_by_a_barrier(void **state)
{
	(void)state;
	enum { HALF = SHC_KEPT_BATCHES_MAX / 2 + 1, MOST = SHC_KEPT_BATCHES_MAX + 1 };
	static const struct step steps[] = {
		DO(ACCEPT),
		NEW,
		{ANSWER, ":1\r\n", HALF},
		{TAKE, "", 1}, /* a barrier that takes its time */
		{TAKE, "", MOST - HALF},
		DO(PAUSE),
		ON_DISK,
		DO(END),
	};
	start(steps, PATIENCE_MS);
	assert_int_equal(open_session(), SHC_OK);
	struct shc_session_stats stats;
	for (int i = 0; i < SHC_KEPT_BATCHES_MAX; i++)
		assert_int_equal(apply("c"), SHC_OK);
	shc_session_stats(shc, &stats);
	assert_int_equal(stats.kept_batches, SHC_KEPT_BATCHES_MAX);
	server_go(&server);
	assert_int_equal(apply("c"), SHC_OK); /* waits for the barrier */
	shc_session_stats(shc, &stats);
	assert_int_equal(stats.kept_batches, MOST - HALF);
	finish();
}

static void test_what_does_not_fit_is_refused_at_once(void **state)
{
	(void)state;
	static const struct step steps[] = {DO(ACCEPT), NEW, DO(END)};
	static const char cursor[SHC_CURSOR_MAX + 1];
	start(steps, PATIENCE_MS);
	assert_int_equal(shc_session_add(shc, "x", 1, 1), SHC_USAGE);
	assert_int_equal(shc_session_flush(shc), SHC_USAGE);
	assert_int_equal(shc_session_open(shc, "a\n", 2, &at), SHC_USAGE);
	assert_int_equal(open_session(), SHC_OK);
	assert_int_equal(shc_session_add(shc, "", 0, 1), SHC_USAGE);
	assert_int_equal(shc_session_apply(shc, cursor, sizeof(cursor)), SHC_USAGE);
	for (int i = 0; i < SHC_BATCH_ADDS_MAX; i++)
		assert_int_equal(shc_session_add(shc, "x", 1, 1), SHC_OK);
	assert_int_equal(shc_session_add(shc, "x", 1, 1), SHC_USAGE);
	assert_says("the batch is full");
	int64_t v;
	assert_int_equal(shc_get(shc, "x", 1, &v), SHC_USAGE);
	assert_says("a session is open");
	assert_int_equal(shc_connect(shc), SHC_USAGE);
	finish();
}

/* ---- ends ---- */

static void test_a_session_that_was_taken_over_is_not_fought_for(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT), NEW, APPLY("1", "a"), SAY(REPLY, "-SESSIONLOST taken over\r\n"), DO(END),
	};
	start(steps, PATIENCE_MS);
	assert_int_equal(open_session(), SHC_OK);
	(void)apply("a");
	assert_int_equal(shc_session_flush(shc), SHC_LOST);
	assert_says("SESSIONLOST taken over");
	assert_int_equal(shc_session_flush(shc), SHC_LOST);
	assert_int_equal(shc_session_add(shc, "x", 1, 1), SHC_LOST);
	assert_int_equal(shc_session_apply(shc, "b", 1), SHC_LOST);
	finish();
}

/* After a lost connection the server says where it stands. */
static void check_standing(const struct step *steps, enum shc_status status, const char *says)
{
	start(steps, PATIENCE_MS);
	assert_int_equal(open_session(), SHC_OK);
	(void)apply("c");
	assert_int_equal(shc_session_flush(shc), status);
	assert_says(says);
	finish();
}

static void test_a_restored_backup_is_refused(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT), STANDS("2", "b", "2"), APPLY("3", "c"), DO(CLOSE),
		DO(ACCEPT), STANDS("1", "a", "1"), DO(END),
	};
	check_standing(steps, SHC_REFUSED, "at batch 1, but 2 was on its disk before");
}

static void test_batches_that_were_never_sent_are_another_clients(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT), STANDS("2", "b", "2"), APPLY("3", "c"), DO(CLOSE),
		DO(ACCEPT), STANDS("4", "d", "4"), DO(END),
	};
	check_standing(steps, SHC_LOST, "at batch 4, but only 3 were sent from here");
}

static void test_a_batch_with_another_cursor_is_another_clients(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT), STANDS("2", "b", "2"), APPLY("3", "c"), DO(CLOSE),
		DO(ACCEPT), STANDS("3", "X", "3"), DO(END),
	};
	check_standing(steps, SHC_LOST, "another client uses it");
}

static void test_a_batch_that_the_server_had_already_is_another_clients(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT), STANDS("2", "b", "2"), APPLY("3", "c"), SAY(REPLY, ":0\r\n"), DO(END),
	};
	check_standing(steps, SHC_LOST, "has applied another batch 3");
}

static char told[64];

static void tell(void *arg, const char *name, size_t name_len, int64_t delta)
{
	(void)arg;
	size_t len = strlen(told);
	snprintf(told + len, sizeof(told) - len, "%.*s%+lld ", (int)name_len, name, (long long)delta);
}

static void test_a_refused_batch_is_told_and_the_session_can_be_opened_again(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		NEW,
		APPLY("1", "a"),
		SAY(REQUEST, "SHC.APPLY 2 b y 7 x -1"),
		APPLY("3", "c"),
		APPLIED,
		SAY(REPLY, "-ERR increment or decrement would overflow\r\n"),
		SAY(REPLY, "-SESSIONLOST an earlier one failed\r\n"),
		DO(ACCEPT),
		STANDS("1", "a", "1"),
		SAY(REQUEST, "SHC.APPLY 2 b x 1"),
		APPLIED,
		BARRIER,
		ON_DISK,
		DO(END),
	};
	start(steps, PATIENCE_MS);
	shc_on_refused(shc, tell, NULL);
	told[0] = '\0';
	assert_int_equal(open_session(), SHC_OK);
	assert_int_equal(apply("a"), SHC_OK);
	assert_int_equal(shc_session_add(shc, "y", 1, 7), SHC_OK);
	assert_int_equal(shc_session_add(shc, "x", 1, -1), SHC_OK);
	assert_int_equal(shc_session_apply(shc, "b", 1), SHC_OK);
	(void)apply("c");
	assert_int_equal(shc_session_flush(shc), SHC_REFUSED);
	assert_says("would overflow");
	assert_string_equal(told, "y+7 x-1 ");
	assert_int_equal(open_session(), SHC_OK);
	assert_int_equal(at.last_seq, 1);
	assert_int_equal(apply("b"), SHC_OK);
	assert_int_equal(shc_session_flush(shc), SHC_OK);
	finish();
}

static void test_answers_that_make_no_sense_end_it(void **state)
{
	(void)state;
	static const struct step no_session[] = {DO(ACCEPT), SAY(ANSWER, "+OK\r\n"), DO(END)};
	start(no_session, PATIENCE_MS);
	assert_int_equal(open_session(), SHC_PROTOCOL);
	finish();
	static const struct step unknown[] = {DO(ACCEPT), SAY(ANSWER, "-ERR unknown command\r\n"), DO(END)};
	start(unknown, PATIENCE_MS);
	assert_int_equal(open_session(), SHC_REFUSED);
	finish();
	static const char *const no_answers[] = {"+OK\r\n", "+QUEUED\r\n", ":2\r\n", ":-1\r\n",
						 "$1\r\n1\r\n"};
	for (size_t i = 0; i < sizeof(no_answers) / sizeof(no_answers[0]); i++) {
		const struct step steps[] = {
			DO(ACCEPT), NEW, APPLY("1", "a"), {REPLY, no_answers[i], 1}, DO(END)};
		start(steps, PATIENCE_MS);
		assert_int_equal(open_session(), SHC_OK);
		(void)apply("a");
		assert_int_equal(shc_session_flush(shc), SHC_PROTOCOL);
		finish();
	}
}

/* ---- tokens ---- */

static enum shc_status once(bool is_durable, int64_t *value, bool *is_applied)
{
	return shc_once(shc, "t", 1, "x", 1, 3, is_durable, value, is_applied);
}

#define ONCE SAY(REQUEST, "SHC.ONCE t x 3")

static void test_a_token_is_sent_again_until_there_is_an_answer(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT), ONCE,
		DO(CLOSE),  DO(ACCEPT),
		ONCE,	    SAY(REPLY, "-LOADING\r\n"),
		DO(CLOSE),  DO(ACCEPT),
		ONCE,	    SAY(REPLY, "*2\r\n:9\r\n:0\r\n"),
		DO(END),
	};
	start(steps, PATIENCE_MS);
	int64_t value;
	bool is_applied = true;
	assert_int_equal(once(false, &value, &is_applied), SHC_OK);
	assert_int_equal(value, 9);
	assert_false(is_applied);
	assert_string_equal(shc_error(shc), "");
	finish();
}

static void test_a_durable_token_lost_before_the_disk_is_sent_again(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT), ONCE, BARRIER, SAY(REPLY, "*2\r\n:9\r\n:1\r\n"), DO(CLOSE),
		DO(ACCEPT), ONCE, BARRIER, SAY(REPLY, "*2\r\n:9\r\n:0\r\n"), ON_DISK,
		DO(END),
	};
	start(steps, PATIENCE_MS);
	bool is_applied = false;
	assert_int_equal(once(true, NULL, &is_applied), SHC_OK);
	assert_true(is_applied); /* by this call, as its first answer said */
	finish();
}

static void test_a_token_without_an_answer_is_in_doubt(void **state)
{
	(void)state;
	static const struct step silent[] = {DO(ACCEPT), ONCE, DO(PAUSE), DO(END)};
	start(silent, IMPATIENCE_MS);
	int64_t value = 7;
	assert_int_equal(once(false, &value, NULL), SHC_IN_DOUBT);
	assert_says("asking again with the same token is safe");
	assert_int_equal(value, 7);
	server_go(&server);
	finish();
	static const struct step refusing[] = {
		DO(ACCEPT), ONCE, SAY(REPLY, "-ERR the token was used with another delta\r\n"), DO(END)};
	start(refusing, PATIENCE_MS);
	assert_int_equal(once(false, NULL, NULL), SHC_REFUSED);
	finish();
	assert_int_equal(shc_open(&shc, "unix:///nonexistent/socket", IMPATIENCE_MS), SHC_OK);
	assert_int_equal(once(false, NULL, NULL), SHC_UNREACHABLE);
	assert_int_equal(shc_once(shc, "", 0, "x", 1, 1, false, NULL, NULL), SHC_USAGE);
	shc_close(shc);
}

static void test_a_token_that_has_left_is_in_doubt_whatever_fails_afterwards(void **state)
{
	(void)state;
	static const struct step denying[] = {DO(ACCEPT),
					      SAY(REQUEST, "AUTH u p"),
					      SAY(REPLY, "+OK\r\n"),
					      SAY(REQUEST, "HELLO"),
					      SAY(REPLY, "*2\r\n$6\r\nserver\r\n$10\r\nshcounterd\r\n"),
					      ONCE,
					      DO(CLOSE),
					      DO(ACCEPT),
					      SAY(REQUEST, "AUTH u p"),
					      SAY(REPLY, "-WRONGPASS no\r\n"),
					      DO(END)};
	start_tcp(denying, "u:p@");
	assert_int_equal(once(false, NULL, NULL), SHC_IN_DOUBT);
	assert_says("WRONGPASS");
	finish();
	static const char *const no_answers[] = {"+what\r\n",
						 ":9\r\n",
						 "*2\r\n:9\r\n:2\r\n",
						 "*2\r\n:9\r\n:-1\r\n",
						 "*3\r\n:9\r\n:1\r\n:1\r\n",
						 "*2\r\n$1\r\n9\r\n:1\r\n"};
	for (size_t i = 0; i < sizeof(no_answers) / sizeof(no_answers[0]); i++) {
		const struct step steps[] = {DO(ACCEPT), ONCE, {REPLY, no_answers[i], 1}, DO(END)};
		start(steps, PATIENCE_MS);
		assert_int_equal(once(false, NULL, NULL), SHC_IN_DOUBT);
		assert_says("makes no sense");
		finish();
	}
	static const struct step denied_at_once[] = {DO(ACCEPT), ONCE, SAY(REPLY, "-NOPERM no\r\n"), DO(END)};
	start(denied_at_once, PATIENCE_MS);
	assert_int_equal(once(false, NULL, NULL), SHC_DENIED);
	finish();
}

/* ---- sync ---- */

static void test_sync_does_not_vouch_for_a_lost_connection(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(ANSWER, ":1\r\n"),
		DO(CLOSE),
		DO(SIGNAL),
		DO(ACCEPT),
		{ANSWER, "*2\r\n:1\r\n:0\r\n", 2},
		SAY(ANSWER, ":2\r\n"),
		SAY(ANSWER, "*2\r\n:1\r\n:0\r\n"),
		DO(END),
	};
	start(steps, PATIENCE_MS);
	int64_t v;
	assert_int_equal(shc_incr(shc, "x", 1, 1, &v), SHC_OK);
	server_wait(&server);
	assert_int_equal(shc_sync(shc), SHC_IN_DOUBT);
	assert_says("the connection was lost since");
	assert_int_equal(shc_sync(shc), SHC_OK);
	assert_int_equal(shc_incr(shc, "x", 1, 1, &v), SHC_OK);
	assert_int_equal(shc_sync(shc), SHC_OK);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_batches_are_numbered_on_and_flushed_to_the_disk),
		cmocka_unit_test(test_opening_waits_until_what_it_tells_is_on_disk),
		cmocka_unit_test(test_lost_before_anything_is_applied_all_is_sent_again),
		cmocka_unit_test(test_lost_after_one_was_applied_only_the_others_are_sent_again),
		cmocka_unit_test(test_acknowledged_batches_that_a_crash_lost_are_sent_again),
		cmocka_unit_test(test_stored_batches_are_not_kept),
		cmocka_unit_test(test_a_server_that_is_loading_or_full_is_asked_again),
		cmocka_unit_test(test_in_doubt_is_said_in_time_and_a_flush_goes_on),
		cmocka_unit_test(test_no_server_is_unreachable_while_nothing_has_left),
		cmocka_unit_test(test_a_session_is_opened_when_the_server_comes_up_in_time),
		cmocka_unit_test(test_a_session_is_opened_when_the_server_comes_back_in_time),
		cmocka_unit_test(test_the_time_limit_of_opening_is_used_up),
		cmocka_unit_test(test_what_is_kept_is_bounded_by_a_barrier),
		cmocka_unit_test(test_what_does_not_fit_is_refused_at_once),
		cmocka_unit_test(test_a_session_that_was_taken_over_is_not_fought_for),
		cmocka_unit_test(test_a_restored_backup_is_refused),
		cmocka_unit_test(test_batches_that_were_never_sent_are_another_clients),
		cmocka_unit_test(test_a_batch_with_another_cursor_is_another_clients),
		cmocka_unit_test(test_a_batch_that_the_server_had_already_is_another_clients),
		cmocka_unit_test(test_a_refused_batch_is_told_and_the_session_can_be_opened_again),
		cmocka_unit_test(test_answers_that_make_no_sense_end_it),
		cmocka_unit_test(test_a_token_is_sent_again_until_there_is_an_answer),
		cmocka_unit_test(test_a_durable_token_lost_before_the_disk_is_sent_again),
		cmocka_unit_test(test_a_token_without_an_answer_is_in_doubt),
		cmocka_unit_test(test_a_token_that_has_left_is_in_doubt_whatever_fails_afterwards),
		cmocka_unit_test(test_sync_does_not_vouch_for_a_lost_connection),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
