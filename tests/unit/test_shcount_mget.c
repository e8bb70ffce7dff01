/* SPDX-License-Identifier: MIT */
/*
 * shc_mget against a scripted server, and what all calls promise of their arguments: they may lie in the
 * reply that the handle gave before, and outputs that nobody wants may be null.
 */
#include "shcount_rig.h"

static const char *const names[] = {"a", "bc", "d"};
enum { NAMES = 3 };

/* ---- shc_mget ---- */

static void test_values_come_in_the_order_of_the_names(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "MGET a bc d"),
		SAY(REPLY, "*3\r\n$2\r\n-7\r\n$-1\r\n$19\r\n9223372036854775807\r\n"),
		SAY(REQUEST, "MGET b"),
		SAY(REPLY, "*1\r\n$1\r\n5\r\n"),
		DO(END),
	};
	static const size_t one = 1;
	const char *tail = names[1];
	int64_t values[NAMES] = {UNTOUCHED, UNTOUCHED, UNTOUCHED};
	bool is_there[NAMES] = {false, true, false};
	start(steps, PATIENCE_MS);
	assert_int_equal(shc_mget(shc, NAMES, names, NULL, values, is_there), SHC_OK);
	assert_int_equal(values[0], -7);
	assert_int_equal(values[1], 0);
	assert_int_equal(values[2], INT64_MAX);
	assert_true(is_there[0] && !is_there[1] && is_there[2]);
	assert_int_equal(shc_mget(shc, 1, &tail, &one, values, NULL), SHC_OK);
	assert_int_equal(values[0], 5);
	finish();
}

static void test_one_that_is_no_counter_refuses_all_and_is_named(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "MGET a bc d"),
		SAY(REPLY, "*3\r\n$1\r\n1\r\n$3\r\nabc\r\n$1\r\n2\r\n"),
		SAY(REQUEST, "GET a"),
		SAY(REPLY, "$1\r\n1\r\n"),
		DO(END),
	};
	int64_t values[NAMES] = {UNTOUCHED, UNTOUCHED, UNTOUCHED};
	start(steps, PATIENCE_MS);
	assert_int_equal(shc_mget(shc, NAMES, names, NULL, values, NULL), SHC_REFUSED);
	assert_says("name 2 of 3");
	for (size_t i = 0; i < NAMES; i++)
		assert_int_equal(values[i], UNTOUCHED);
	assert_int_equal(shc_get(shc, "a", 1, values), SHC_OK); /* the connection is still good */
	finish();
}

static void test_an_answer_of_another_shape_is_a_breach_of_the_protocol(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "MGET a bc d"),
		SAY(REPLY, "*2\r\n$1\r\n1\r\n$1\r\n2\r\n"),
		DO(CLOSE),
		DO(ACCEPT),
		SAY(REQUEST, "MGET a bc d"),
		SAY(REPLY, "*3\r\n$1\r\n1\r\n:2\r\n$1\r\n3\r\n"),
		DO(CLOSE),
		DO(ACCEPT),
		SAY(REQUEST, "MGET a bc d"),
		SAY(REPLY, "-NOAUTH Authentication required.\r\n"),
		DO(END),
	};
	int64_t values[NAMES] = {UNTOUCHED, UNTOUCHED, UNTOUCHED};
	start(steps, PATIENCE_MS);
	assert_int_equal(shc_mget(shc, NAMES, names, NULL, values, NULL), SHC_PROTOCOL);
	assert_int_equal(shc_mget(shc, NAMES, names, NULL, values, NULL), SHC_PROTOCOL);
	assert_int_equal(shc_mget(shc, NAMES, names, NULL, values, NULL), SHC_DENIED);
	assert_int_equal(values[0], UNTOUCHED);
	finish();
}

static void test_what_makes_no_sense_is_not_sent(void **state)
{
	(void)state;
	static const struct step steps[] = {DO(END)};
	static const char *const bad[] = {"a", ""};
	int64_t values[2] = {UNTOUCHED, UNTOUCHED};
	start(steps, PATIENCE_MS);
	assert_int_equal(shc_mget(shc, 2, bad, NULL, values, NULL), SHC_USAGE);
	assert_says("bad name 2 of 2");
	assert_int_equal(shc_mget(shc, (size_t)1 << 20, bad, NULL, values, NULL), SHC_USAGE);
	assert_says("at most 1048575");
	assert_int_equal(shc_mget(shc, 0, NULL, NULL, NULL, NULL), SHC_OK);
	assert_int_equal(values[0], UNTOUCHED);
	finish();
}

/* ---- what lies in a reply ---- */

#define PAGE "*2\r\n$1\r\n0\r\n*2\r\n$5\r\nalpha\r\n$4\r\nbeta\r\n"

/* The names of a page of SCAN, as the reply has them. */
static const struct shc_reply *read_page(void)
{
	static const char *const scan[] = {"SCAN", "0"};
	const struct shc_reply *reply;
	assert_int_equal(shc_command(shc, 2, scan, NULL, false, &reply), SHC_OK);
	assert_int_equal(reply->elements[1].count, 2);
	return reply->elements[1].elements;
}

static void test_names_may_lie_in_the_reply_before(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "SCAN 0"),
		SAY(REPLY, PAGE),
		SAY(REQUEST, "MGET alpha beta"),
		SAY(REPLY, "*2\r\n$1\r\n1\r\n$1\r\n2\r\n"),
		SAY(REQUEST, "SCAN 0"),
		SAY(REPLY, PAGE),
		SAY(REQUEST, "INCRBY beta 1"),
		SAY(REPLY, ":3\r\n"),
		DO(END),
	};
	start(steps, PATIENCE_MS);
	const struct shc_reply *page = read_page();
	const char *page_names[] = {page[0].data, page[1].data};
	size_t lens[] = {page[0].len, page[1].len};
	int64_t values[2];
	assert_int_equal(shc_mget(shc, 2, page_names, lens, values, NULL), SHC_OK);
	assert_int_equal(values[1], 2);
	page = read_page();
	assert_int_equal(shc_incr(shc, page[1].data, page[1].len, 1, NULL), SHC_OK);
	finish();
}

/* The attempt that fails has overwritten the reply. */
static void test_a_token_that_lies_in_a_reply_is_the_same_in_every_attempt(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "SCAN 0"),
		SAY(REPLY, PAGE),
		SAY(REQUEST, "SHC.ONCE alpha beta 1"),
		SAY(REPLY, "-LOADING zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\r\n"),
		DO(CLOSE),
		DO(ACCEPT),
		SAY(REQUEST, "SHC.ONCE alpha beta 1"),
		SAY(REPLY, "*2\r\n:1\r\n:1\r\n"),
		DO(END),
	};
	start(steps, PATIENCE_MS);
	const struct shc_reply *page = read_page();
	assert_int_equal(
		shc_once(shc, page[0].data, page[0].len, page[1].data, page[1].len, 1, false, NULL, NULL),
		SHC_OK);
	finish();
}

/* The full batch goes first, over a new connection, and the answer to AUTH has overwritten the reply. */
static void test_an_addition_that_lies_in_a_reply_survives_a_new_connection(void **state)
{
	(void)state;
	enum { BATCH = 512 };
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "AUTH u p"),
		SAY(REPLY, "+OK\r\n"),
		SAY(REQUEST, "HELLO"),
		SAY(REPLY, "*2\r\n$6\r\nserver\r\n$10\r\nshcounterd\r\n"),
		SAY(REQUEST, "SCAN 0"),
		SAY(REPLY, PAGE),
		DO(CLOSE),
		DO(SIGNAL),
		DO(ACCEPT),
		SAY(REQUEST, "AUTH u p"),
		SAY(REPLY, "+OK zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\r\n"),
		{ANSWER, "+OK\r\n", 1},
		SAY(REQUEST, "SHC.ADD alpha 1"),
		SAY(REPLY, "+OK\r\n"),
		DO(END),
	};
	start_tcp(steps, "u:p@");
	for (size_t i = 0; i < BATCH; i++)
		assert_int_equal(shc_add(shc, "x", 1, 1), SHC_OK);
	const struct shc_reply *page = read_page();
	server_wait(&server);
	assert_int_equal(shc_add(shc, page[0].data, page[0].len, 1), SHC_OK);
	assert_int_equal(shc_flush(shc, NULL), SHC_OK);
	finish();
}

/* Over TCP the first addition asks who the server is. */
static void test_an_addition_that_lies_in_a_reply_survives_the_question_who_it_is(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "SCAN 0"),
		SAY(REPLY, PAGE),
		SAY(REQUEST, "HELLO"),
		SAY(REPLY, "*4\r\n$6\r\nserver\r\n$10\r\nshcounterd\r\n$7\r\nversion\r\n$9\r\nzzzzzzzzz\r\n"),
		SAY(REQUEST, "SHC.ADD alpha 1"),
		SAY(REPLY, "+OK\r\n"),
		DO(END),
	};
	start_tcp(steps, "");
	const struct shc_reply *page = read_page();
	assert_int_equal(shc_add(shc, page[0].data, page[0].len, 1), SHC_OK);
	assert_int_equal(shc_flush(shc, NULL), SHC_OK);
	finish();
}

/* ---- null ---- */

static void test_outputs_that_nobody_wants_may_be_null(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "INCRBY x 1"),
		SAY(REPLY, ":1\r\n"),
		SAY(REQUEST, "GET x"),
		SAY(REPLY, "$1\r\n1\r\n"),
		SAY(REQUEST, "GET y"),
		SAY(REPLY, "$-1\r\n"),
		DO(END),
	};
	start(steps, PATIENCE_MS);
	assert_int_equal(shc_incr(shc, "x", 1, 1, NULL), SHC_OK);
	assert_int_equal(shc_get(shc, "x", 1, NULL), SHC_OK);
	assert_int_equal(shc_get(shc, "y", 1, NULL), SHC_MISSING);
	finish();
}

static void test_without_a_handle_there_was_no_memory(void **state)
{
	(void)state;
	assert_string_equal(shc_error(NULL), "out of memory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_come_in_the_order_of_the_names),
		cmocka_unit_test(test_one_that_is_no_counter_refuses_all_and_is_named),
		cmocka_unit_test(test_an_answer_of_another_shape_is_a_breach_of_the_protocol),
		cmocka_unit_test(test_what_makes_no_sense_is_not_sent),
		cmocka_unit_test(test_names_may_lie_in_the_reply_before),
		cmocka_unit_test(test_a_token_that_lies_in_a_reply_is_the_same_in_every_attempt),
		cmocka_unit_test(test_an_addition_that_lies_in_a_reply_survives_a_new_connection),
		cmocka_unit_test(test_an_addition_that_lies_in_a_reply_survives_the_question_who_it_is),
		cmocka_unit_test(test_outputs_that_nobody_wants_may_be_null),
		cmocka_unit_test(test_without_a_handle_there_was_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
