/* SPDX-License-Identifier: MIT */
/*
 * Requests on their way through lib/cluster and lib/link, against one scripted server: each tells its end
 * once, wherever it is when the time is over or a connection is lost. What many nodes answer is tested from
 * outside, in tests/system/cluster_nodes.bats.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../lib/cluster.h"
#include "scripted_server.h"

enum { PATIENCE_MS = 10000, IMPATIENCE_MS = 300, FOR_EVER_MS = 3600000, OPS_MAX = 40000 };

static struct server server;
static struct url url;
static struct cluster *c;
static unsigned told[OPS_MAX];
static enum shc_status ends[OPS_MAX];
static int64_t values[OPS_MAX];
static uint64_t another_below; /* the ends of such requests put others */
static uint64_t next_tag;

static void open_url(const char *text)
{
	char error[URL_ERROR_SIZE];
	assert_int_equal(url_parse(&url, text, error), 0);
	c = cluster_open(&url);
	assert_non_null(c);
	memset(told, 0, sizeof(told));
	another_below = 0;
	next_tag = 0;
}

static void start(const struct step *steps)
{
	(void)server_start; /* over a Unix socket: for others */
	server_start_tcp(&server, steps, "");
	open_url(server.url);
}

static void close_cluster(void)
{
	cluster_close(c);
	url_fini(&url);
}

static void finish(void)
{
	close_cluster();
	assert_string_equal(server_stop(&server), "");
}

static void put(enum op_kind kind, const char *word);

static void take_end(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	(void)arg;
	assert_true(op->tag < OPS_MAX);
	told[op->tag]++;
	ends[op->tag] = status;
	values[op->tag] = reply && reply->type == RESP_INT ? reply->i64 : -1;
	if (op->tag < another_below)
		put((enum op_kind)op->kind, "ANOTHER");
}

static void put(enum op_kind kind, const char *word)
{
	const struct slice argv[] = {slice_str(word), slice_str("x")};
	const struct cluster_way way = {
		.kind = kind, .slot = (unsigned)(next_tag % SLOT_COUNT), .done = take_end, .tag = next_tag};
	next_tag++;
	assert_int_equal(cluster_put(c, &way, 2, argv), SHC_OK);
}

static void put_many(enum op_kind kind, const char *word, unsigned count)
{
	while (count-- > 0)
		put(kind, word);
}

static void expect_ends(uint64_t first, uint64_t count, enum shc_status status)
{
	for (uint64_t i = first; i < first + count; i++) {
		if (told[i] != 1 || ends[i] != status)
			fail_msg("request %llu: told %u times, status %d instead of %d",
				 (unsigned long long)i, told[i], (int)ends[i], (int)status);
	}
}

static void test_a_connection_that_was_closed_while_idle_is_replaced_unseen(void **state)
{
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "GET x"),
		SAY(REPLY, ":1\r\n"),
		DO(CLOSE),
		DO(SIGNAL),
		DO(ACCEPT),
		SAY(REQUEST, "ADD x"),
		SAY(REPLY, ":2\r\n"),
		SAY(REQUEST, "ADD x"),
		SAY(REPLY, ":3\r\n"),
		DO(CLOSE),
		DO(END),
	};
	(void)state;
	start(steps);
	cluster_begin(c, PATIENCE_MS, false);
	put(OP_READ, "GET");
	cluster_run(c, 0);
	server_wait(&server);
	cluster_begin(c, PATIENCE_MS, false);
	put(OP_WRITE, "ADD");
	cluster_run(c, 0);
	put(OP_WRITE, "ADD");
	cluster_run(c, 0);
	expect_ends(0, 3, SHC_OK);
	assert_int_equal(values[1], 2);
	assert_int_equal(values[2], 3);
	finish();
}

static void test_what_was_answered_before_a_connection_broke_is_acknowledged(void **state)
{
	enum { ANSWERED = 5, UNREAD = 5000, MORE = 20 };
	/* It closes with something unread: the client is told so when it sends. */
	static const struct step steps[] = {
		DO(ACCEPT),
		{TAKE, NULL, ANSWERED},
		SAY(REPLY, ":7\r\n"),
		DO(PAUSE),
		SAY(REPLY, ":7\r\n:7\r\n:7\r\n:7\r\n"),
		DO(DEAF),
		DO(CLOSE),
		DO(SIGNAL),
		DO(END),
	};
	char word[200];
	(void)state;
	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	start(steps);
	cluster_begin(c, PATIENCE_MS, false);
	put_many(OP_WRITE, word, ANSWERED + UNREAD);
	cluster_run(c, ANSWERED + UNREAD - 1);
	server_go(&server);
	server_wait(&server);
	cluster_begin(c, IMPATIENCE_MS, false);
	put_many(OP_WRITE, "ADD", MORE);
	cluster_run(c, 0);
	expect_ends(0, ANSWERED, SHC_OK);
	expect_ends(ANSWERED, 1, SHC_IN_DOUBT);
	expect_ends(ANSWERED + UNREAD, MORE, SHC_UNREACHABLE); /* had not left */
	for (unsigned i = 0; i < UNREAD; i++)
		assert_int_equal(told[ANSWERED + i], 1);
	finish();
}

/* Some pause, some are with the server, some in our buffer, some wait for room: that is so once one is
 * answered that stands between the first two, and only then the time begins to run. */
static void test_at_the_deadline_each_request_tells_its_end_once(void **state)
{
	enum { PAUSING = 100, MANY = 5000 };
	static const struct step steps[] = {
		DO(ACCEPT),
		{TAKE, NULL, PAUSING},
		{REPLY, "-TRYAGAIN\r\n", PAUSING},
		{ANSWER, ":1\r\n", 1},
		DO(PAUSE),
		DO(CLOSE),
		DO(END),
	};
	(void)state;
	start(steps);
	cluster_begin(c, PATIENCE_MS, false);
	put_many(OP_WRITE, "ADD", PAUSING + 1);
	put_many(OP_WRITE, "ADD", MANY);
	put_many(OP_READ, "GET", MANY);
	put_many(OP_REPEATABLE, "ONCE", MANY);
	cluster_run(c, PAUSING + 3 * MANY);
	expect_ends(PAUSING, 1, SHC_OK);
	another_below = next_tag;
	cluster_begin(c, IMPATIENCE_MS, false);
	cluster_run(c, 0);
	assert_int_equal(cluster_left(c), 0);
	assert_int_equal(next_tag, 2 * (PAUSING + 3 * MANY) + 1);
	unsigned doubtful = 0;
	for (uint64_t i = 0; i < next_tag; i++) {
		assert_int_equal(told[i], 1);
		assert_true(i == PAUSING || ends[i] == SHC_UNREACHABLE || ends[i] == SHC_IN_DOUBT);
		doubtful += ends[i] == SHC_IN_DOUBT;
	}
	assert_in_range(doubtful, 1, PAUSING + 2 * MANY);
	expect_ends(PAUSING + 1, 1, SHC_IN_DOUBT);
	expect_ends(PAUSING + 1 + MANY, MANY, SHC_UNREACHABLE);
	expect_ends(PAUSING + 1 + 3 * MANY, PAUSING + 3 * MANY, SHC_UNREACHABLE); /* put when it was over */
	assert_non_null(strstr(cluster_error(c), "within 300 ms"));
	server_go(&server);
	finish();
}

static void test_an_answer_that_came_too_late_is_not_the_next_ones(void **state)
{
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "ADD x"),
		DO(PAUSE),
		SAY(REPLY, ":1\r\n"),
		DO(ACCEPT),
		SAY(REQUEST, "ADD x"),
		SAY(REPLY, ":2\r\n"),
		DO(CLOSE),
		DO(END),
	};
	(void)state;
	start(steps);
	cluster_begin(c, IMPATIENCE_MS, false);
	put(OP_WRITE, "ADD");
	cluster_run(c, 0);
	expect_ends(0, 1, SHC_IN_DOUBT);
	server_go(&server);
	cluster_begin(c, PATIENCE_MS, false);
	put(OP_WRITE, "ADD");
	cluster_run(c, 0);
	expect_ends(1, 1, SHC_OK);
	assert_int_equal(values[1], 2);
	finish();
}

static void test_drain_drops_what_has_not_left_and_waits_for_the_rest(void **state)
{
	enum { SENT = 50, KEPT = 30 };
	static const struct step steps[] = {
		DO(ACCEPT), {ANSWER, ":1\r\n", 2}, {TAKE, NULL, SENT}, {REPLY, ":1\r\n", SENT}, DO(CLOSE),
		DO(END),
	};
	(void)state;
	start(steps);
	cluster_begin(c, PATIENCE_MS, false);
	put(OP_READ, "GET"); /* connects */
	cluster_run(c, 0);
	put_many(OP_WRITE, "ADD", SENT + 1);
	cluster_run(c, SENT); /* sends, and returns when one is answered: that is when the server goes on */
	put_many(OP_WRITE, "ADD", KEPT);
	cluster_drain(c);
	expect_ends(0, SENT + 2, SHC_OK);
	expect_ends(SENT + 2, KEPT, SHC_UNREACHABLE);
	finish();
}

static void test_closing_forgets_requests_wherever_they_are(void **state)
{
	static const struct step steps[] = {
		DO(ACCEPT), {TAKE, NULL, 10}, {REPLY, "-TRYAGAIN\r\n", 10}, {ANSWER, ":1\r\n", 1}, DO(PAUSE),
		DO(CLOSE),  DO(END),
	};
	(void)state;
	start(steps);
	cluster_begin(c, PATIENCE_MS, false);
	put_many(OP_WRITE, "ADD", 10);
	put_many(OP_READ, "GET", 9000);
	cluster_run(c, 9009); /* the first GET is answered: the others pause, or are on their way */
	put_many(OP_WRITE, "ADD", 10);
	server_go(&server);
	finish();
	for (uint64_t i = 0; i < next_tag; i++)
		assert_int_equal(told[i], i == 10);
}

/* ---- a stop ---- */

static _Atomic bool is_stopping;

static void *stop(void *arg)
{
	atomic_store(&is_stopping, true);
	return arg;
}

static void test_a_stop_ends_calls_whatever_time_they_were_given(void **state)
{
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "ADD x"),
		SAY(REPLY, ":1\r\n"),
		SAY(REQUEST, "ADD x"),
		DO(PAUSE),
		DO(ACCEPT),
		SAY(REQUEST, "GET x"),
		SAY(REPLY, ":3\r\n"),
		DO(CLOSE),
		DO(END),
	};
	pthread_t other;
	(void)state;
	start(steps);
	cluster_stop_with(c, &is_stopping);
	cluster_begin(c, FOR_EVER_MS, false);
	put_many(OP_WRITE, "ADD", 2);
	cluster_run(c, 1);
	expect_ends(0, 1, SHC_OK);
	assert_int_equal(pthread_create(&other, NULL, stop, NULL), 0);
	cluster_run(c, 0);
	pthread_join(other, NULL);
	expect_ends(1, 1, SHC_IN_DOUBT);
	assert_string_equal(cluster_error(c), "no answer before the stop");
	cluster_begin(c, FOR_EVER_MS, true);
	put(OP_READ, "GET");
	cluster_run(c, 0);
	expect_ends(2, 1, SHC_UNREACHABLE);
	server_go(&server);
	cluster_stop_with(c, NULL);
	cluster_begin(c, PATIENCE_MS, false);
	put(OP_READ, "GET");
	cluster_run(c, 0);
	expect_ends(3, 1, SHC_OK);
	finish();
}

/* ---- a server that closes at once ---- */

static int listener;
static unsigned accepted;

static void *accept_and_close(void *arg)
{
	int fd;
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		(void)send(fd, arg, strlen(arg), MSG_NOSIGNAL);
		close(fd);
		accepted++;
	}
	return NULL;
}

static void expect_few_connections(const char *words)
{
	pthread_t thread;
	char text[64], said[64];
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(addr);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	accepted = 0;
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(listener, 64), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	snprintf(said, sizeof(said), "%s", words);
	pthread_create(&thread, NULL, accept_and_close, said);
	snprintf(text, sizeof(text), "redis://127.0.0.1:%u", (unsigned)ntohs(addr.sin_port));
	open_url(text);
	cluster_begin(c, IMPATIENCE_MS, false);
	put_many(OP_READ, "GET", 100);
	cluster_run(c, 0);
	expect_ends(0, 100, SHC_UNREACHABLE);
	if (words[0] && !strstr(cluster_error(c), "max number of clients"))
		fail_msg("not told: %s", cluster_error(c));
	close_cluster();
	shutdown(listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(listener);
	/* Pauses double from 20 ms on, and are at least half of that. */
	assert_in_range(accepted, 2, 6);
}

static void test_a_server_that_closes_at_once_is_left_alone_for_ever_longer(void **state)
{
	(void)state;
	expect_few_connections("");
	expect_few_connections("-ERR max number of clients reached\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_connection_that_was_closed_while_idle_is_replaced_unseen),
		cmocka_unit_test(test_what_was_answered_before_a_connection_broke_is_acknowledged),
		cmocka_unit_test(test_at_the_deadline_each_request_tells_its_end_once),
		cmocka_unit_test(test_an_answer_that_came_too_late_is_not_the_next_ones),
		cmocka_unit_test(test_drain_drops_what_has_not_left_and_waits_for_the_rest),
		cmocka_unit_test(test_closing_forgets_requests_wherever_they_are),
		cmocka_unit_test(test_a_stop_ends_calls_whatever_time_they_were_given),
		cmocka_unit_test(test_a_server_that_closes_at_once_is_left_alone_for_ever_longer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
