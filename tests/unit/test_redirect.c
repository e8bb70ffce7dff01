/* SPDX-License-Identifier: MIT */
/*
 * What replies of Redis nodes and lost connections mean for a request. The texts are those of redis 7.0.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../lib/redirect.h"

static struct redirect of_error(const char *text)
{
	const struct resp_reply reply = {.type = RESP_ERROR, .str = slice_str(text)};
	return redirect_of(&reply);
}

static void test_an_address_is_read_as_the_node_writes_it(void **state)
{
	static const struct {
		const char *text;
		enum redirect_step step;
		unsigned slot;
		const char *host;
		uint16_t port;
	} cases[] = {
		{"MOVED 3999 127.0.0.1:6381", REDIRECT_MOVED, 3999, "127.0.0.1", 6381},
		{"ASK 16383 node-2.example:7000", REDIRECT_ASK, 16383, "node-2.example", 7000},
		{"MOVED 0 2001:db8::7:6379", REDIRECT_MOVED, 0, "2001:db8::7", 6379},
		{"MOVED 1 :6380", REDIRECT_MOVED, 1, "", 6380}, /* unknown-endpoint: the one that answered */
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct redirect r = of_error(cases[i].text);
		assert_int_equal(r.step, cases[i].step);
		assert_int_equal(r.slot, cases[i].slot);
		assert_int_equal(r.port, cases[i].port);
		assert_true(slice_equal(r.host, slice_str(cases[i].host)));
	}
}

static void test_an_address_that_makes_no_sense_is_an_error_for_the_caller(void **state)
{
	static const char *const texts[] = {
		"MOVED",
		"MOVED ",
		"MOVED 3999",
		"MOVED 16384 127.0.0.1:1",
		"MOVED -1 127.0.0.1:1",
		"MOVED 5 127.0.0.1",
		"MOVED 5 127.0.0.1:",
		"MOVED 5 127.0.0.1:0",
		"MOVED 5 127.0.0.1:65536",
		"ASK x 127.0.0.1:1",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(of_error(texts[i]).step, REDIRECT_DONE);
}

static void test_what_was_surely_not_executed_is_sent_again(void **state)
{
	static const struct {
		const char *text;
		enum redirect_step step;
	} cases[] = {
		{"TRYAGAIN Multiple keys request during rehashing of slot", REDIRECT_PAUSE},
		{"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
		 REDIRECT_PAUSE},
		{"ERR max number of clients reached", REDIRECT_PAUSE},
		{"ERR max number of clients + cluster connections reached", REDIRECT_PAUSE},
		{"CLUSTERDOWN The cluster is down", REDIRECT_REFRESH},
		{"CLUSTERDOWN Hash slot not served", REDIRECT_REFRESH},
		{"LOADING Redis is loading the dataset in memory", REDIRECT_REFRESH},
		{"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
		 REDIRECT_REFRESH},
		{"READONLY You can't write against a read only replica.", REDIRECT_REFRESH},
		{"NOREPLICAS Not enough good replicas to write.", REDIRECT_REFRESH},
		{"NOSCRIPT No matching script. Please use EVAL.", REDIRECT_TEXT},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(of_error(cases[i].text).step, cases[i].step);
}

static void test_other_errors_and_answers_are_the_callers(void **state)
{
	static const char *const texts[] = {
		"ERR value is not an integer or out of range",
		"WRONGTYPE Operation against a key holding the wrong kind of value",
		"NOPERM this user has no permissions to run the 'incrby' command",
		"OOM command not allowed when used memory > 'maxmemory'.",
		"CROSSSLOT Keys in request don't hash to the same slot",
		"MISCONF Redis is configured to save RDB snapshots",
		"MOVEDX 1 a:1",
		"LOADINGS",
		"ERR max number",
		"",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(of_error(texts[i]).step, REDIRECT_DONE);
	/* A value that looks like one. */
	const struct resp_reply bulk = {.type = RESP_BULK, .str = slice_str("MOVED 1 a:1")};
	assert_int_equal(redirect_of(&bulk).step, REDIRECT_DONE);
}

static void test_a_lost_connection_leaves_no_write_sent_twice(void **state)
{
	(void)state;
	assert_int_equal(redirect_of_loss(OP_READ, true), LOSS_AGAIN);
	assert_int_equal(redirect_of_loss(OP_READ, false), LOSS_AGAIN);
	assert_int_equal(redirect_of_loss(OP_WRITE, false), LOSS_AGAIN);
	assert_int_equal(redirect_of_loss(OP_WRITE, true), LOSS_DOUBT);
	assert_int_equal(redirect_of_loss(OP_REPEATABLE, false), LOSS_AGAIN);
	assert_int_equal(redirect_of_loss(OP_REPEATABLE, true), LOSS_AGAIN_DOUBT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_address_is_read_as_the_node_writes_it),
		cmocka_unit_test(test_an_address_that_makes_no_sense_is_an_error_for_the_caller),
		cmocka_unit_test(test_what_was_surely_not_executed_is_sent_again),
		cmocka_unit_test(test_other_errors_and_answers_are_the_callers),
		cmocka_unit_test(test_a_lost_connection_leaves_no_write_sent_twice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
