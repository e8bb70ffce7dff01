/* SPDX-License-Identifier: MIT */
/*
 * libshcount against a scripted server: what each kind of answer, and each way of giving none, is turned
 * into. Above all, SHC_IN_DOUBT is said when, and only when, a change may have been applied without our
 * knowing.
 */
#include "shcount_rig.h"

/* ---- answers ---- */

static void test_each_call_sends_its_command_and_reads_its_answer(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "INCRBY x -7"),
		SAY(REPLY, ":-7\r\n"),
		SAY(REQUEST, "GET x"),
		SAY(REPLY, "$2\r\n-7\r\n"),
		SAY(REQUEST, "GET y"),
		SAY(REPLY, "$-1\r\n"),
		SAY(REQUEST, "SET x 5"),
		SAY(REPLY, "+OK\r\n"),
		SAY(REQUEST, "DEL x"),
		SAY(REPLY, ":1\r\n"),
		SAY(REQUEST, "DEL x"),
		SAY(REPLY, ":0\r\n"),
		DO(END),
	};
	start(steps, PATIENCE_MS);
	int64_t v = 1;
	assert_int_equal(shc_incr(shc, "x", 1, -7, &v), SHC_OK);
	assert_int_equal(v, -7);
	v = 1;
	assert_int_equal(shc_get(shc, "x", 1, &v), SHC_OK);
	assert_int_equal(v, -7);
	assert_int_equal(shc_get(shc, "y", 1, &v), SHC_MISSING);
	assert_int_equal(v, 0);
	assert_int_equal(shc_set(shc, "x", 1, 5), SHC_OK);
	assert_int_equal(shc_del(shc, "x", 1), SHC_OK);
	assert_int_equal(shc_del(shc, "x", 1), SHC_MISSING);
	assert_string_equal(shc_error(shc), "");
	finish();
}

static void test_what_lies_beside_the_value_is_asked_for_and_read(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "SHC.INCR x 2 PX 5000"),
		SAY(REPLY, "*2\r\n:2\r\n:2\r\n"),
		SAY(REQUEST, "SHC.INCR x 0 LBOUND 2"),
		SAY(REPLY, "*2\r\n:2\r\n:0\r\n"),
		SAY(REQUEST, "SHC.INCR x 0 LBOUND 3"),
		SAY(REPLY, "*2\r\n:2\r\n:0\r\n"),
		SAY(REQUEST, "SHC.INCR x -9 PX 1 LBOUND -7 UBOUND 8"),
		SAY(REPLY, "*2\r\n:2\r\n:0\r\n"),
		SAY(REQUEST, "SHC.INCR x 7 UBOUND 8"),
		SAY(REPLY, "*2\r\n:2\r\n:0\r\n"),
		SAY(REQUEST, "INCRBY x 1"),
		SAY(REPLY, ":3\r\n"),
		SAY(REQUEST, "SET x 5 PX 60000"),
		SAY(REPLY, "+OK\r\n"),
		SAY(REQUEST, "SHC.HIT x 3"),
		SAY(REPLY, ":8\r\n"),
		SAY(REQUEST, "SHC.HITS x 2592000000"),
		SAY(REPLY, "*2\r\n:9007199254740993\r\n:3600000\r\n"),
		SAY(REQUEST, "SHC.ALLOW x 10 1000 2"),
		SAY(REPLY, "*3\r\n:1\r\n:8\r\n:0\r\n"),
		SAY(REQUEST, "SHC.ALLOW x 10 1000 10"),
		SAY(REPLY, "*3\r\n:0\r\n:8\r\n:200\r\n"),
		DO(END),
	};
	struct shc_bounds bounds = SHC_BOUNDS_INIT;
	const struct shc_limit limit = {.count = 10, .window_ms = 1000};
	struct shc_hits hits;
	struct shc_allowance a;
	int64_t v = 0;
	start(steps, PATIENCE_MS);
	bounds.ttl_ms = 5000;
	assert_int_equal(shc_incr_within(shc, "x", 1, 2, &bounds, &v), SHC_OK);
	assert_int_equal(v, 2);
	bounds = (struct shc_bounds){2, INT64_MAX, 0};
	assert_int_equal(shc_incr_within(shc, "x", 1, 0, &bounds, &v), SHC_OK);
	bounds.min = 3;
	assert_int_equal(shc_incr_within(shc, "x", 1, 0, &bounds, &v), SHC_REFUSED);
	bounds = (struct shc_bounds){-7, 8, 1};
	assert_int_equal(shc_incr_within(shc, "x", 1, -9, &bounds, &v), SHC_REFUSED);
	assert_says("the counter is 2: -9 more would pass the least");
	bounds = (struct shc_bounds){INT64_MIN, 8, 0};
	assert_int_equal(shc_incr_within(shc, "x", 1, 7, &bounds, &v), SHC_REFUSED);
	assert_says("the counter is 2: 7 more would pass the most");
	assert_int_equal(v, 2);
	bounds = (struct shc_bounds)SHC_BOUNDS_INIT;
	assert_int_equal(shc_incr_within(shc, "x", 1, 1, &bounds, NULL), SHC_OK);
	assert_int_equal(shc_set_ttl(shc, "x", 1, 5, 60000), SHC_OK);
	assert_int_equal(shc_hit(shc, "x", 1, 3, &v), SHC_OK);
	assert_int_equal(v, 8);
	assert_int_equal(shc_hits(shc, "x", 1, SHC_WINDOW_MS_MAX, &hits), SHC_OK);
	assert_true(hits.hits == 9007199254740993 && hits.resolution_ms == 3600000);
	assert_int_equal(shc_allow(shc, "x", 1, &limit, 2, &a), SHC_OK);
	assert_true(a.is_allowed && a.remaining == 8 && a.retry_after_ms == 0);
	assert_int_equal(shc_allow(shc, "x", 1, &limit, 10, &a), SHC_OK);
	assert_true(!a.is_allowed && a.remaining == 8 && a.retry_after_ms == 200);
	finish();
}

static void test_nothing_is_sent_of_a_window_a_limit_or_a_time_that_makes_no_sense(void **state)
{
	(void)state;
	static const struct step steps[] = {DO(END)};
	static const struct shc_limit limits[] = {
		{0, 1000}, {-1, 1000}, {1, 1000}, {5, 0}, {5, SHC_LIMIT_MS_MAX + 1}};
	struct shc_bounds bounds = SHC_BOUNDS_INIT;
	struct shc_hits hits;
	struct shc_allowance a;
	start(steps, PATIENCE_MS);
	bounds.ttl_ms = -1;
	assert_int_equal(shc_incr_within(shc, "x", 1, 1, &bounds, NULL), SHC_USAGE);
	bounds.ttl_ms = INT64_MAX;
	assert_int_equal(shc_incr_within(shc, "x", 1, 1, &bounds, NULL), SHC_USAGE);
	assert_int_equal(shc_set_ttl(shc, "x", 1, 1, 0), SHC_USAGE);
	assert_int_equal(shc_hit(shc, "x", 1, 0, NULL), SHC_USAGE);
	assert_int_equal(shc_hit(shc, "", 0, 1, NULL), SHC_USAGE);
	assert_int_equal(shc_hits(shc, "x", 1, 0, &hits), SHC_USAGE);
	assert_int_equal(shc_hits(shc, "x", 1, SHC_WINDOW_MS_MAX + 1, &hits), SHC_USAGE);
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		assert_int_equal(shc_allow(shc, "x", 1, &limits[i], 2, &a), SHC_USAGE);
	finish();
}

static void test_an_answer_may_come_in_pieces(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),	   DO(TAKE),	     SAY(REPLY, ":"), SAY(REPLY, "4"),
		SAY(REPLY, "2\r"), SAY(REPLY, "\n"), DO(END),
	};
	start(steps, PATIENCE_MS);
	int64_t v;
	assert_int_equal(shc_incr(shc, "x", 1, 1, &v), SHC_OK);
	assert_int_equal(v, 42);
	finish();
}

static void test_error_answers_are_refusals_or_denials(void **state)
{
	(void)state;
	static const struct {
		const char *reply, *said;
		enum shc_status status;
	} cases[] = {
		{"-ERR increment or decrement would overflow\r\n", "would overflow", SHC_REFUSED},
		{"-MISCONF disk full\r\n", "MISCONF", SHC_REFUSED},
		{"-NOAUTH Authentication required.\r\n", "NOAUTH", SHC_DENIED},
		{"-NOPERM no\r\n", "NOPERM", SHC_DENIED},
		{"-WRONGPASS\r\n", "WRONGPASS", SHC_DENIED},
		{"-NOAUTHOR\r\n", "NOAUTHOR", SHC_REFUSED},
	};
	enum { CASES = sizeof(cases) / sizeof(cases[0]) };
	struct step steps[CASES + 2] = {DO(ACCEPT)};
	for (size_t i = 0; i < CASES; i++)
		steps[i + 1] = (struct step){ANSWER, cases[i].reply, 1};
	start(steps, PATIENCE_MS); /* one connection: it outlives an error */
	for (size_t i = 0; i < CASES; i++) {
		int64_t v = 7;
		assert_int_equal(shc_incr(shc, "x", 1, 1, &v), cases[i].status);
		assert_says(cases[i].said);
		assert_int_equal(v, 7);
	}
	finish();
}

static void test_what_is_no_counter_is_refused(void **state)
{
	(void)state;
	static const struct step steps[] = {DO(ACCEPT), SAY(ANSWER, "$3\r\nabc\r\n"), DO(END)};
	start(steps, PATIENCE_MS);
	int64_t v;
	assert_int_equal(shc_get(shc, "x", 1, &v), SHC_REFUSED);
	finish();
}

static void test_sync_asks_for_the_disk(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "WAITAOF 1 0 4500"),
		SAY(REPLY, "*2\r\n:1\r\n:0\r\n"),
		SAY(ANSWER, "*2\r\n:0\r\n:0\r\n"),
		SAY(ANSWER, "-ERR no\r\n"),
		DO(END),
	};
	start(steps, PATIENCE_MS);
	assert_int_equal(shc_sync(shc), SHC_OK);
	assert_int_equal(shc_sync(shc), SHC_IN_DOUBT);
	assert_says("not on disk within 5000 ms");
	assert_int_equal(shc_sync(shc), SHC_REFUSED);
	finish();
}

/* ---- no answer ---- */

static void check_lost(const struct step *steps, int timeout_ms, enum shc_status write_status,
		       enum shc_status read_status)
{
	int64_t v = 7;
	start(steps, timeout_ms);
	assert_int_equal(shc_incr(shc, "x", 1, 1, &v), write_status);
	assert_string_not_equal(shc_error(shc), "");
	finish();
	start(steps, timeout_ms);
	assert_int_equal(shc_get(shc, "x", 1, &v), read_status);
	assert_string_not_equal(shc_error(shc), "");
	assert_int_equal(v, 7);
	finish();
}

static void test_a_connection_closed_without_an_answer_is_in_doubt(void **state)
{
	(void)state;
	static const struct step steps[] = {DO(ACCEPT), DO(TAKE), DO(CLOSE), DO(END)};
	check_lost(steps, PATIENCE_MS, SHC_IN_DOUBT, SHC_UNREACHABLE);
}

static void test_half_an_answer_is_none(void **state)
{
	(void)state;
	static const struct step steps[] = {DO(ACCEPT), DO(TAKE), SAY(REPLY, ":1"), DO(CLOSE), DO(END)};
	check_lost(steps, PATIENCE_MS, SHC_IN_DOUBT, SHC_UNREACHABLE);
}

static void test_silence_is_in_doubt_after_the_time_limit(void **state)
{
	(void)state;
	static const struct step steps[] = {DO(ACCEPT), DO(TAKE), DO(PAUSE), DO(END)};
	int64_t v;
	start(steps, IMPATIENCE_MS);
	assert_int_equal(shc_incr(shc, "x", 1, 1, &v), SHC_IN_DOUBT);
	assert_says("no answer within 50 ms");
	server_go(&server);
	finish();
	start(steps, IMPATIENCE_MS);
	assert_int_equal(shc_get(shc, "x", 1, &v), SHC_UNREACHABLE);
	server_go(&server);
	finish();
}

static void test_bytes_that_are_not_resp_are_told_apart(void **state)
{
	(void)state;
	static const struct step steps[] = {DO(ACCEPT), SAY(ANSWER, "HTTP/1.1 400 Bad Request\r\n\r\n"),
					    DO(END)};
	check_lost(steps, PATIENCE_MS, SHC_IN_DOUBT, SHC_PROTOCOL);
}

static void test_an_answer_of_the_wrong_kind_is_in_doubt_for_a_change(void **state)
{
	(void)state;
	static const struct step steps[] = {DO(ACCEPT), SAY(ANSWER, "*1\r\n:1\r\n"), DO(END)};
	check_lost(steps, PATIENCE_MS, SHC_IN_DOUBT, SHC_PROTOCOL);
}

static void test_an_allowance_that_cannot_be_is_in_doubt(void **state)
{
	(void)state;
	static const char *const lies[] = {
		"*3\r\n:7\r\n:5\r\n:0\r\n",
		"*3\r\n:-1\r\n:5\r\n:0\r\n",
		"*3\r\n:1\r\n:-5\r\n:0\r\n",
		"*3\r\n:0\r\n:0\r\n:-1\r\n",
	};
	const struct shc_limit limit = {.count = 10, .window_ms = 1000};
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		const struct step steps[] = {DO(ACCEPT), SAY(ANSWER, lies[i]), DO(END)};
		struct shc_allowance a = {.remaining = 99};
		start(steps, PATIENCE_MS);
		assert_int_equal(shc_allow(shc, "x", 1, &limit, 10, &a), SHC_IN_DOUBT);
		assert_int_equal(a.remaining, 99);
		finish();
	}
}

/* The hello of a Redis server that is no cluster. */
#define REDIS_HELLO "*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n"

static void test_a_deletion_in_redis_begins_with_the_name_and_half_of_it_is_in_doubt(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "HELLO"),
		SAY(REPLY, REDIS_HELLO),
		SAY(REQUEST, "DEL x"),
		SAY(REPLY, ":1\r\n"),
		DO(TAKE),
		DO(DEAF),
		DO(CLOSE),
		DO(END),
	};
	static const struct step counted[] = {
		DO(ACCEPT),
		SAY(REQUEST, "HELLO"),
		SAY(REPLY, REDIS_HELLO),
		SAY(ANSWER, ":1\r\n"),
		{TAKE, NULL, 1},
		SAY(REPLY, ":0\r\n"),
		DO(END),
	};
	start_tcp(steps, "");
	assert_int_equal(shc_del(shc, "x", 1), SHC_IN_DOUBT);
	assert_says("run it again");
	finish();
	start_tcp(counted, "");
	assert_int_equal(shc_del(shc, "x", 1), SHC_OK);
	finish();
}

static void test_nobody_there_is_unreachable(void **state)
{
	(void)state;
	int64_t v;
	assert_int_equal(shc_open(&shc, "unix:///nonexistent/socket", PATIENCE_MS), SHC_OK);
	assert_int_equal(shc_incr(shc, "x", 1, 1, &v), SHC_UNREACHABLE);
	assert_says("cannot connect to /nonexistent/socket: No such file or directory");
	assert_int_equal(shc_connect(shc), SHC_UNREACHABLE);
	shc_close(shc);
}

static void test_a_server_that_wants_no_more_connections_says_why(void **state)
{
	(void)state;
	static const struct step steps[] = {DO(ACCEPT), SAY(REPLY, "-ERR max number of clients reached\r\n"),
					    DO(CLOSE), DO(SIGNAL), DO(END)};
	start(steps, PATIENCE_MS);
	int64_t v;
	assert_int_equal(shc_connect(shc), SHC_OK);
	server_wait(&server);
	/* the connection was closed before anything left, and the second attempt finds the same */
	static const struct step again[] = {DO(ACCEPT), SAY(REPLY, "-ERR max number of clients reached\r\n"),
					    DO(CLOSE), DO(SIGNAL), DO(END)};
	pthread_join(server.thread, NULL);
	server.steps = again;
	pthread_create(&server.thread, NULL, server_main, &server);
	assert_int_equal(shc_incr(shc, "x", 1, 1, &v), SHC_REFUSED);
	assert_says("max number of clients");
	finish();
}

/* ---- a kept connection ---- */

static const struct step closes_in_between[] = {
	DO(ACCEPT),
	SAY(ANSWER, ":1\r\n"),
	DO(CLOSE),
	DO(SIGNAL),
	DO(ACCEPT),
	SAY(REQUEST, "INCRBY x 1"),
	SAY(REPLY, ":2\r\n"),
	DO(END),
};

static void test_a_connection_closed_between_calls_is_replaced_unseen(void **state)
{
	(void)state;
	int64_t v;
	for (int is_tcp = 0; is_tcp < 2; is_tcp++) {
		if (is_tcp)
			server_start_tcp(&server, closes_in_between, "");
		else
			server_start(&server, closes_in_between);
		assert_int_equal(shc_open(&shc, server.url, PATIENCE_MS), SHC_OK);
		assert_int_equal(shc_connections(shc), 0);
		assert_int_equal(shc_incr(shc, "x", 1, 1, &v), SHC_OK);
		assert_int_equal(shc_connections(shc), 1);
		server_wait(&server);
		assert_int_equal(shc_incr(shc, "x", 1, 1, &v), SHC_OK);
		assert_int_equal(v, 2);
		assert_int_equal(shc_connections(shc), 2); /* but for whoever asks */
		finish();
	}
}

static void test_a_server_gone_between_calls_leaves_no_doubt(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT), SAY(ANSWER, ":1\r\n"), DO(DEAF), DO(CLOSE), DO(SIGNAL), DO(END)};
	int64_t v;
	start(steps, PATIENCE_MS);
	assert_int_equal(shc_incr(shc, "x", 1, 1, &v), SHC_OK);
	server_wait(&server);
	assert_int_equal(shc_incr(shc, "x", 1, 1, &v), SHC_UNREACHABLE);
	finish();
}

static void test_after_a_failure_the_next_call_connects_again(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT), DO(TAKE), DO(CLOSE), DO(ACCEPT), SAY(ANSWER, ":9\r\n"), DO(END)};
	int64_t v;
	start(steps, PATIENCE_MS);
	assert_int_equal(shc_incr(shc, "x", 1, 1, &v), SHC_IN_DOUBT);
	assert_int_equal(shc_incr(shc, "x", 1, 1, &v), SHC_OK);
	assert_int_equal(v, 9);
	finish();
}

/* ---- arguments ---- */

static void test_what_makes_no_sense_is_not_sent(void **state)
{
	(void)state;
	char longer[256];
	int64_t v;
	memset(longer, 'a', sizeof(longer));
	assert_int_equal(shc_open(&shc, "/nonexistent/socket", PATIENCE_MS), SHC_OK);
	assert_int_equal(shc_incr(shc, "", 0, 1, &v), SHC_USAGE);
	assert_int_equal(shc_get(shc, longer, 256, &v), SHC_USAGE);
	assert_int_equal(shc_set(shc, "a\nb", 3, 1), SHC_USAGE);
	assert_int_equal(shc_del(shc, "\x7f", 1), SHC_USAGE);
	assert_int_equal(shc_add(shc, "a\0b", 3, 1), SHC_USAGE);
	assert_int_equal(shc_get(shc, longer, 255, &v), SHC_UNREACHABLE); /* that one is good */
	shc_close(shc);
	assert_int_equal(shc_open(&shc, "http://x", PATIENCE_MS), SHC_USAGE);
	assert_says("unknown scheme");
	shc_close(shc);
	assert_int_equal(shc_open(&shc, "/x", 0), SHC_USAGE);
	assert_says("time limit");
	shc_close(shc);
	shc_close(NULL);
}

/* What each call that returns a status answers on a handle that shc_open answered SHC_USAGE for. */
static void check_unusable(const char *sentence)
{
	static const char *const words[] = {"PING"};
	const struct shc_reply *reply = NULL;
	struct shc_session session;
	struct shc_log_entry entry;
	size_t count = 7;
	int64_t v = 7;
	bool is = true;
	uint64_t refused = 7;
	const struct shc_bounds bounds = {0, 9, 1};
	const struct shc_limit limit = {1, 1};
	struct shc_hits hits;
	struct shc_allowance allowance;
	for (int call = 0; call < 29; call++) {
		enum shc_status status = SHC_OK;
		switch (call) {
		case 0: status = shc_connect(shc); break;
		case 1: status = shc_incr(shc, "x", 1, 1, &v); break;
		case 2: status = shc_get(shc, "x", 1, &v); break;
		case 3: status = shc_mget(shc, 1, words, NULL, &v, &is); break;
		case 4: status = shc_set(shc, "x", 1, 1); break;
		case 5: status = shc_del(shc, "x", 1); break;
		case 6: status = shc_sync(shc); break;
		case 7: status = shc_once(shc, "t", 1, "x", 1, 1, true, &v, &is); break;
		case 8: status = shc_add(shc, "x", 1, 1); break;
		case 9: status = shc_flush(shc, &refused); break;
		case 10: status = shc_session_open(shc, "s", 1, &session); break;
		case 11: status = shc_session_add(shc, "x", 1, 1); break;
		case 12: status = shc_session_apply(shc, "c", 1); break;
		case 13: status = shc_session_flush(shc); break;
		case 14: status = shc_command(shc, 1, words, NULL, false, &reply); break;
		case 15: status = shc_append(shc, 1, words, NULL, false); break;
		case 16: status = shc_set_auth(shc, NULL, "pw"); break;
		case 17: status = shc_set_shards(shc, 2); break;
		case 18: status = shc_set_read_replica(shc, true); break;
		case 19: status = shc_incr_within(shc, "x", 1, 1, &bounds, &v); break;
		case 20: status = shc_set_ttl(shc, "x", 1, 1, 1); break;
		case 21: status = shc_hit(shc, "x", 1, 1, &v); break;
		case 22: status = shc_hits(shc, "x", 1, 1, &hits); break;
		case 23: status = shc_allow(shc, "x", 1, &limit, 1, &allowance); break;
		case 24: status = shc_log(shc, "x", 1, -1, 1, &entry, &count); break;
		case 25: status = shc_global(shc, "x", 1, &v, NULL); break;
		case 26: status = shc_sync_uplink(shc, 0); break;
		case 27: status = shc_sync_uplink_name(shc, "x", 1, 0); break;
		default: status = shc_next(shc, &reply); break;
		}
		assert_int_equal(status, SHC_USAGE);
		assert_string_equal(shc_error(shc), sentence);
	}
	assert_int_equal(v, 7);
	assert_int_equal(refused, 7);
	assert_int_equal(count, 7);
	assert_null(reply);
}

static void test_a_handle_without_a_server_to_go_to_answers_usage_to_every_call(void **state)
{
	(void)state;
	static const struct {
		const char *url;
		int timeout_ms;
		const char *says;
	} cases[] = {{"http://x", 1000, "unknown scheme"}, {"/x", 0, "time limit"}, {"/x", -1, "time limit"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char sentence[320];
		assert_int_equal(shc_open(&shc, cases[i].url, cases[i].timeout_ms), SHC_USAGE);
		assert_says(cases[i].says);
		strcpy(sentence, shc_error(shc));
		check_unusable(sentence);
		shc_set_timeout(shc, 1000); /* mends nothing */
		shc_session_close(shc);
		check_unusable(sentence);
		assert_int_equal(shc_pending(shc), 0);
		assert_int_equal(shc_connections(shc), 0);
		shc_close(shc);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_call_sends_its_command_and_reads_its_answer),
		cmocka_unit_test(test_what_lies_beside_the_value_is_asked_for_and_read),
		cmocka_unit_test(test_nothing_is_sent_of_a_window_a_limit_or_a_time_that_makes_no_sense),
		cmocka_unit_test(test_an_answer_may_come_in_pieces),
		cmocka_unit_test(test_error_answers_are_refusals_or_denials),
		cmocka_unit_test(test_what_is_no_counter_is_refused),
		cmocka_unit_test(test_sync_asks_for_the_disk),
		cmocka_unit_test(test_a_connection_closed_without_an_answer_is_in_doubt),
		cmocka_unit_test(test_half_an_answer_is_none),
		cmocka_unit_test(test_silence_is_in_doubt_after_the_time_limit),
		cmocka_unit_test(test_bytes_that_are_not_resp_are_told_apart),
		cmocka_unit_test(test_an_answer_of_the_wrong_kind_is_in_doubt_for_a_change),
		cmocka_unit_test(test_an_allowance_that_cannot_be_is_in_doubt),
		cmocka_unit_test(test_a_deletion_in_redis_begins_with_the_name_and_half_of_it_is_in_doubt),
		cmocka_unit_test(test_nobody_there_is_unreachable),
		cmocka_unit_test(test_a_server_that_wants_no_more_connections_says_why),
		cmocka_unit_test(test_a_connection_closed_between_calls_is_replaced_unseen),
		cmocka_unit_test(test_a_server_gone_between_calls_leaves_no_doubt),
		cmocka_unit_test(test_after_a_failure_the_next_call_connects_again),
		cmocka_unit_test(test_what_makes_no_sense_is_not_sent),
		cmocka_unit_test(test_a_handle_without_a_server_to_go_to_answers_usage_to_every_call),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
