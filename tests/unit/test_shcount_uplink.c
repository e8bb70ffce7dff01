/* SPDX-License-Identifier: MIT */
/* shc_global, shc_sync_uplink and shc_sync_uplink_name against a scripted server. */
#include "shcount_rig.h"

/* ---- shc_global ---- */

static void test_a_total_comes_with_its_age_and_nil_is_a_counter_that_is_missing(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "SHC.GLOBAL x"),
		SAY(REPLY, "*2\r\n:-9223372036854775808\r\n:12\r\n"),
		SAY(REQUEST, "SHC.GLOBAL y"),
		SAY(REPLY, "*2\r\n$-1\r\n:6000\r\n"),
		SAY(REQUEST, "SHC.GLOBAL y"),
		SAY(REPLY, "*2\r\n_\r\n:6000\r\n"),
		DO(END),
	};
	int64_t value = UNTOUCHED, age_ms = UNTOUCHED;
	start(steps, PATIENCE_MS);
	assert_int_equal(shc_global(shc, "x", 1, &value, &age_ms), SHC_OK);
	assert_int_equal(value, INT64_MIN);
	assert_int_equal(age_ms, 12);
	assert_int_equal(shc_global(shc, "y", 1, &value, &age_ms), SHC_MISSING);
	assert_int_equal(value, 0);
	assert_int_equal(age_ms, 6000);
	assert_int_equal(shc_global(shc, "y", 1, NULL, NULL), SHC_MISSING);
	finish();
}

static void test_an_answer_that_is_no_total_leaves_the_outputs_alone(void **state)
{
	(void)state;
	static const char *const answers[] = {
		":5\r\n",
		"*-1\r\n",
		"*0\r\n",
		"*1\r\n:5\r\n",
		"*3\r\n:5\r\n:0\r\n:0\r\n",
		"*2\r\n:5\r\n:-1\r\n",
		"*2\r\n:5\r\n$1\r\n0\r\n",
		"*2\r\n$1\r\n5\r\n:0\r\n",
	};
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		const struct step steps[] = {
			DO(ACCEPT), SAY(REQUEST, "SHC.GLOBAL x"), SAY(REPLY, answers[i]), DO(CLOSE), DO(END),
		};
		int64_t value = UNTOUCHED, age_ms = UNTOUCHED;
		start(steps, PATIENCE_MS);
		assert_int_equal(shc_global(shc, "x", 1, &value, &age_ms), SHC_PROTOCOL);
		assert_int_equal(value, UNTOUCHED);
		assert_int_equal(age_ms, UNTOUCHED);
		finish();
	}
}

static void test_a_refused_total_keeps_the_connection_and_what_is_buffered(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "SHC.GLOBAL x"),
		SAY(REPLY, "-UPLINKDOWN no node answers\r\n"),
		SAY(REQUEST, "SHC.ADD x 3"),
		SAY(REPLY, "+OK\r\n"),
		DO(END),
	};
	int64_t value = UNTOUCHED;
	start(steps, PATIENCE_MS);
	assert_int_equal(shc_add(shc, "x", 1, 3), SHC_OK);
	assert_int_equal(shc_global(shc, "x", 1, &value, NULL), SHC_REFUSED);
	assert_says("UPLINKDOWN no node answers");
	assert_int_equal(value, UNTOUCHED);
	assert_int_equal(shc_flush(shc, NULL), SHC_OK);
	assert_int_equal(shc_global(shc, "a\tb", 3, &value, NULL), SHC_USAGE);
	finish();
}

#define HELLO_OF_REDIS	    "*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n"
#define HELLO_OF_SHCOUNTERD "*4\r\n$6\r\nserver\r\n$10\r\nshcounterd\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n"

static void test_in_redis_the_counter_is_the_total_and_there_is_no_uplink(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "HELLO"),
		SAY(REPLY, HELLO_OF_REDIS),
		SAY(REQUEST, "GET x"),
		SAY(REPLY, "$1\r\n5\r\n"),
		SAY(REQUEST, "GET y"),
		SAY(REPLY, "$-1\r\n"),
		DO(END),
	};
	int64_t value = UNTOUCHED, age_ms = UNTOUCHED;
	start_tcp(steps, "");
	assert_int_equal(shc_global(shc, "x", 1, &value, &age_ms), SHC_OK);
	assert_int_equal(value, 5);
	assert_int_equal(age_ms, 0);
	assert_int_equal(shc_global(shc, "y", 1, &value, &age_ms), SHC_MISSING);
	assert_int_equal(shc_sync_uplink(shc, 0), SHC_USAGE);
	assert_int_equal(shc_sync_uplink_name(shc, "x", 1, 0), SHC_USAGE);
	assert_says("has no uplink");
	finish();
}

static void test_over_tcp_a_shcounterd_is_asked(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "HELLO"),
		SAY(REPLY, HELLO_OF_SHCOUNTERD),
		SAY(REQUEST, "SHC.GLOBAL x"),
		SAY(REPLY, "*2\r\n:8\r\n:3\r\n"),
		DO(END),
	};
	int64_t value = UNTOUCHED;
	start_tcp(steps, "");
	assert_int_equal(shc_global(shc, "x", 1, &value, NULL), SHC_OK);
	assert_int_equal(value, 8);
	finish();
}

/* ---- shc_sync_uplink ---- */

static void test_the_server_waits_a_little_less_than_the_handle(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "SHC.UPLINK SYNC 0 4500"),
		SAY(REPLY, ":1\r\n"),
		SAY(REQUEST, "SHC.UPLINK SYNC 2 4500"),
		SAY(REPLY, ":0\r\n"),
		SAY(REQUEST, "SHC.UPLINK SYNC 0 4500"),
		SAY(REPLY, "-ERR no uplink: set uplink = x\r\n"),
		SAY(REQUEST, "SHC.UPLINK SYNC 0 18000"),
		SAY(REPLY, ":1\r\n"),
		DO(END),
	};
	start(steps, PATIENCE_MS);
	assert_int_equal(shc_sync_uplink(shc, 0), SHC_OK);
	assert_int_equal(shc_sync_uplink(shc, 2), SHC_IN_DOUBT);
	assert_says("not in the cluster and on the replicas within 5000 ms");
	assert_int_equal(shc_sync_uplink(shc, 0), SHC_REFUSED);
	assert_says("no uplink");
	shc_set_timeout(shc, 20000);
	assert_int_equal(shc_sync_uplink(shc, 0), SHC_OK);
	finish();
}

static void test_one_counter_is_waited_for_by_its_name(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "SHC.UPLINK SYNC 0 4500 x"),
		SAY(REPLY, ":1\r\n"),
		SAY(REQUEST, "SHC.UPLINK SYNC 2 4500 x"),
		SAY(REPLY, ":0\r\n"),
		SAY(REQUEST, "SHC.UPLINK SYNC 0 4500 y"),
		SAY(REPLY, "-ERR the cluster refuses it: OOM\r\n"),
		DO(END),
	};
	start(steps, PATIENCE_MS);
	assert_int_equal(shc_sync_uplink_name(shc, "x", 1, 0), SHC_OK);
	assert_int_equal(shc_sync_uplink_name(shc, "x", 1, 2), SHC_IN_DOUBT);
	assert_says("`shcount uplink status` has what is due");
	assert_int_equal(shc_sync_uplink_name(shc, "y", 1, 0), SHC_REFUSED);
	assert_says("the cluster refuses it: OOM");
	assert_int_equal(shc_sync_uplink_name(shc, "a\tb", 3, 0), SHC_USAGE);
	finish();
}

static void test_another_answer_than_yes_or_no_is_in_doubt(void **state)
{
	(void)state;
	static const char *const answers[] = {"+OK\r\n", ":2\r\n", ":-1\r\n", "*2\r\n:1\r\n:1\r\n",
					      "$1\r\n1\r\n"};
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		const struct step steps[] = {
			DO(ACCEPT), SAY(REQUEST, "SHC.UPLINK SYNC 0 4500"), SAY(REPLY, answers[i]), DO(CLOSE),
			DO(END),
		};
		start(steps, PATIENCE_MS);
		assert_int_equal(shc_sync_uplink(shc, 0), SHC_IN_DOUBT);
		finish();
	}
}

static void test_a_server_that_came_back_does_not_speak_for_what_the_lost_one_acknowledged(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "INCRBY x 1"),
		SAY(REPLY, ":1\r\n"),
		DO(CLOSE),
		DO(SIGNAL),
		DO(ACCEPT),
		SAY(REQUEST, "SHC.UPLINK SYNC 0 4500"),
		SAY(REPLY, ":1\r\n"),
		SAY(REQUEST, "SHC.UPLINK SYNC 0 4500"),
		SAY(REPLY, ":1\r\n"),
		SAY(REQUEST, "INCRBY x 1"),
		SAY(REPLY, ":2\r\n"),
		SAY(REQUEST, "SHC.UPLINK SYNC 0 4500"),
		SAY(REPLY, ":1\r\n"),
		DO(END),
	};
	start(steps, PATIENCE_MS);
	assert_int_equal(shc_incr(shc, "x", 1, 1, NULL), SHC_OK);
	server_wait(&server);
	assert_int_equal(shc_sync_uplink(shc, 0), SHC_IN_DOUBT);
	assert_says("may or may not be in the cluster");
	assert_int_equal(shc_sync_uplink(shc, 0), SHC_OK);
	assert_int_equal(shc_incr(shc, "x", 1, 1, NULL), SHC_OK);
	assert_int_equal(shc_sync_uplink(shc, 0), SHC_OK);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_total_comes_with_its_age_and_nil_is_a_counter_that_is_missing),
		cmocka_unit_test(test_an_answer_that_is_no_total_leaves_the_outputs_alone),
		cmocka_unit_test(test_a_refused_total_keeps_the_connection_and_what_is_buffered),
		cmocka_unit_test(test_in_redis_the_counter_is_the_total_and_there_is_no_uplink),
		cmocka_unit_test(test_over_tcp_a_shcounterd_is_asked),
		cmocka_unit_test(test_the_server_waits_a_little_less_than_the_handle),
		cmocka_unit_test(test_one_counter_is_waited_for_by_its_name),
		cmocka_unit_test(test_another_answer_than_yes_or_no_is_in_doubt),
		cmocka_unit_test(
			test_a_server_that_came_back_does_not_speak_for_what_the_lost_one_acknowledged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
