/* SPDX-License-Identifier: MIT */
/* libshcount: commands in a pipeline, and batches of additions, against a scripted server. */
#include "shcount_rig.h"

/* ---- pipelining ---- */

static enum shc_status append(const char *word, bool is_write)
{
	const char *argv[] = {word};
	return shc_append(shc, 1, argv, NULL, is_write);
}

static void test_replies_come_in_the_order_of_the_commands(void **state)
{
	(void)state;
	static const struct step steps[] = {DO(ACCEPT),
					    {TAKE, NULL, 3},
					    SAY(REPLY, "+a\r\n-ERR b\r\n*2\r\n$1\r\nc\r\n*1\r\n:7\r\n"),
					    SAY(ANSWER, ":1\r\n"),
					    DO(END)};
	const struct shc_reply *r;
	int64_t v;
	start(steps, PATIENCE_MS);
	assert_int_equal(append("A", false), SHC_OK);
	assert_int_equal(append("B", false), SHC_OK);
	assert_int_equal(append("C", false), SHC_OK);
	assert_int_equal(shc_pending(shc), 3);
	assert_int_equal(shc_incr(shc, "x", 1, 1, &v), SHC_USAGE); /* would take their replies */
	assert_int_equal(shc_add(shc, "x", 1, 1), SHC_USAGE);
	assert_int_equal(shc_next(shc, &r), SHC_OK);
	assert_int_equal(r->type, SHC_T_STATUS);
	assert_memory_equal(r->data, "a", 1);
	assert_int_equal(shc_next(shc, &r), SHC_REFUSED);
	assert_int_equal(r->type, SHC_T_ERROR);
	assert_int_equal(shc_next(shc, &r), SHC_OK);
	assert_int_equal(r->count, 2);
	assert_memory_equal(r->elements[0].data, "c", 1);
	assert_int_equal(r->elements[1].elements[0].integer, 7);
	assert_int_equal(shc_pending(shc), 0);
	assert_int_equal(shc_next(shc, &r), SHC_USAGE);
	assert_int_equal(shc_incr(shc, "x", 1, 1, &v), SHC_OK);
	finish();
}

static void test_a_pipeline_may_be_larger_than_all_socket_buffers(void **state)
{
	(void)state;
	enum { COMMANDS = 200000 };
	static const struct step steps[] = {DO(ACCEPT), {ANSWER, "+0123456789\r\n", COMMANDS}, DO(END)};
	const struct shc_reply *r;
	start(steps, PATIENCE_MS * 4);
	for (int i = 0; i < COMMANDS; i++)
		assert_int_equal(append("PING", false), SHC_OK);
	for (int i = 0; i < COMMANDS; i++)
		assert_int_equal(shc_next(shc, &r), SHC_OK);
	finish();
}

static void test_a_lost_pipeline_is_in_doubt_when_a_change_was_in_it(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT), {TAKE, NULL, 2}, SAY(REPLY, "+a\r\n"), DO(CLOSE), DO(END)};
	const struct shc_reply *r;
	for (int is_write = 0; is_write < 2; is_write++) {
		start(steps, PATIENCE_MS);
		append("A", false);
		append("B", is_write);
		assert_int_equal(shc_next(shc, &r), SHC_OK);
		assert_int_equal(shc_next(shc, &r), is_write ? SHC_IN_DOUBT : SHC_UNREACHABLE);
		assert_int_equal(shc_pending(shc), 0);
		finish();
	}
}

static void test_a_change_that_never_left_is_not_in_doubt(void **state)
{
	(void)state;
	static const struct step steps[] = {DO(ACCEPT), {TAKE, NULL, 2}, SAY(REPLY, "+a\r\n"),
					    DO(CLOSE),	DO(SIGNAL),	 DO(END)};
	const struct shc_reply *r;
	start(steps, PATIENCE_MS);
	append("A", false);
	append("B", false);
	assert_int_equal(shc_next(shc, &r), SHC_OK);
	server_wait(&server);
	append("C", true);
	assert_int_equal(shc_next(shc, &r), SHC_UNREACHABLE); /* B, a read, was lost; C met a closed socket */
	finish();
}

/* ---- batches of additions ---- */

enum { BATCH = 512 };

static void add_numbered(int begin, int end, enum shc_status last)
{
	char name[16];
	for (int i = begin; i < end; i++) {
		size_t len = (size_t)snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(shc_add(shc, name, len, i), i + 1 < end ? SHC_OK : last);
	}
}

static void test_a_flush_sends_what_was_added_in_one_command(void **state)
{
	(void)state;
	static const struct step steps[] = {DO(ACCEPT),
					    SAY(REQUEST, "SHC.ADD a 1 b -2 a 9223372036854775807"),
					    SAY(REPLY, "+OK\r\n"), DO(END)};
	uint64_t refused = 7;
	struct shc_add_stats stats;
	start(steps, PATIENCE_MS);
	assert_int_equal(shc_flush(shc, NULL), SHC_OK); /* nothing to send: does not even connect */
	assert_int_equal(shc_add(shc, "a", 1, 1), SHC_OK);
	assert_int_equal(shc_add(shc, "b", 1, -2), SHC_OK);
	assert_int_equal(shc_add(shc, "a", 1, INT64_MAX), SHC_OK);
	assert_int_equal(shc_flush(shc, &refused), SHC_OK);
	assert_int_equal(refused, 0);
	shc_add_stats(shc, &stats);
	assert_int_equal(stats.acknowledged, 3);
	finish();
}

static void test_eight_batches_leave_before_the_first_answer(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT), {TAKE, NULL, 8}, {REPLY, "+OK\r\n", 8}, {ANSWER, "+OK\r\n", 2}, DO(END)};
	start(steps, PATIENCE_MS);
	add_numbered(0, BATCH * 10, SHC_OK);
	assert_int_equal(shc_flush(shc, NULL), SHC_OK);
	struct shc_add_stats stats;
	shc_add_stats(shc, &stats);
	assert_int_equal(stats.acknowledged, BATCH * 10);
	finish();
}

static int told;

static void on_refused(void *arg, const char *name, size_t name_len, int64_t delta)
{
	char wanted[16];
	snprintf(wanted, sizeof(wanted), "n%d", BATCH + told);
	assert_ptr_equal(arg, &told);
	assert_int_equal(name_len, strlen(wanted));
	assert_memory_equal(name, wanted, name_len);
	assert_int_equal(delta, BATCH + told);
	told++;
}

static void test_a_refused_batch_is_told_name_by_name_and_the_others_are_in(void **state)
{
	(void)state;
	static const struct step steps[] = {DO(ACCEPT),
					    SAY(ANSWER, "+OK\r\n"),
					    SAY(ANSWER, "-ERR would overflow\r\n"),
					    SAY(ANSWER, "+OK\r\n"),
					    SAY(ANSWER, "+OK\r\n"),
					    DO(END)};
	uint64_t refused = 0;
	told = 0;
	start(steps, PATIENCE_MS);
	shc_on_refused(shc, on_refused, &told);
	add_numbered(0, BATCH * 2 + 100, SHC_OK);
	assert_int_equal(shc_flush(shc, &refused), SHC_REFUSED);
	assert_int_equal(refused, BATCH);
	assert_int_equal(told, BATCH);
	assert_says("would overflow");
	assert_int_equal(shc_add(shc, "a", 1, 1), SHC_OK);
	assert_int_equal(shc_flush(shc, &refused), SHC_OK); /* told once */
	assert_int_equal(refused, 0);
	struct shc_add_stats stats;
	shc_add_stats(shc, &stats);
	assert_int_equal(stats.acknowledged, BATCH + 100 + 1);
	assert_int_equal(stats.refused, BATCH);
	finish();
}

static void test_what_became_of_lost_additions_is_known(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT), SAY(ANSWER, "+OK\r\n"), {TAKE, NULL, 2}, DO(CLOSE), DO(END)};
	struct shc_add_stats stats;
	start(steps, PATIENCE_MS);
	add_numbered(0, BATCH * 2 + 100, SHC_OK);
	assert_int_equal(shc_flush(shc, NULL), SHC_IN_DOUBT);
	shc_add_stats(shc, &stats);
	assert_int_equal(stats.acknowledged, BATCH);
	assert_int_equal(stats.in_doubt, BATCH + 100);
	assert_int_equal(stats.unsent, 0);
	finish();
}

static void test_additions_that_never_left_are_unreachable(void **state)
{
	(void)state;
	struct shc_add_stats stats;
	assert_int_equal(shc_open(&shc, "/nonexistent/socket", PATIENCE_MS), SHC_OK);
	add_numbered(0, BATCH + 1, SHC_UNREACHABLE);
	shc_add_stats(shc, &stats);
	assert_int_equal(stats.unsent, BATCH);
	assert_int_equal(stats.in_doubt, 0);
	assert_int_equal(shc_flush(shc, NULL), SHC_OK); /* forgotten: nothing is left to send */
	shc_close(shc);
}

static void test_a_single_command_takes_the_batches_answers_first(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT), {TAKE, NULL, 2}, SAY(REPLY, "+OK\r\n:5\r\n"), SAY(ANSWER, "+OK\r\n"), DO(END)};
	int64_t v;
	start(steps, PATIENCE_MS);
	add_numbered(0, BATCH + 1, SHC_OK);
	assert_int_equal(shc_incr(shc, "x", 1, 5, &v), SHC_OK);
	assert_int_equal(v, 5);
	assert_int_equal(shc_flush(shc, NULL), SHC_OK);
	finish();
}

/* As when MULTI was sent with shc_command, or something else than a shcounterd listens there. */
static const char *const no_acknowledgements[] = {
	"+QUEUED\r\n", "+O\r\n", "$2\r\nOK\r\n", ":1\r\n", "$-1\r\n", "*1\r\n+OK\r\n",
};
enum { NO_ACKNOWLEDGEMENTS = sizeof(no_acknowledgements) / sizeof(no_acknowledgements[0]) };

static void test_only_ok_acknowledges_additions(void **state)
{
	(void)state;
	for (size_t i = 0; i < NO_ACKNOWLEDGEMENTS; i++) {
		const struct step steps[] = {
			DO(ACCEPT), SAY(ANSWER, "+OK\r\n"), {ANSWER, no_acknowledgements[i], 1},
			DO(ACCEPT), SAY(ANSWER, "+OK\r\n"), DO(END)};
		uint64_t refused = 7;
		struct shc_add_stats stats;
		start(steps, PATIENCE_MS);
		add_numbered(0, BATCH + 3, SHC_OK);
		assert_int_equal(shc_flush(shc, &refused), SHC_IN_DOUBT);
		assert_says("the answer to SHC.ADD makes no sense; what was sent may or may not");
		assert_int_equal(refused, 7);
		assert_int_equal(shc_add(shc, "a", 1, 1), SHC_OK);
		assert_int_equal(shc_flush(shc, NULL), SHC_OK); /* over a new connection */
		shc_add_stats(shc, &stats);
		assert_int_equal(stats.acknowledged, BATCH + 1);
		assert_int_equal(stats.in_doubt, 3);
		assert_int_equal(stats.refused + stats.unsent, 0);
		finish();
	}
}

static void test_a_single_command_finds_that_additions_were_not_acknowledged(void **state)
{
	(void)state;
	static const struct step steps[] = {DO(ACCEPT), {TAKE, NULL, 2}, SAY(REPLY, ":1\r\n:5\r\n"), DO(END)};
	int64_t v = 7;
	struct shc_add_stats stats;
	start(steps, PATIENCE_MS);
	add_numbered(0, BATCH + 1, SHC_OK);
	assert_int_equal(shc_get(shc, "x", 1, &v), SHC_IN_DOUBT);
	assert_int_equal(v, 7);
	assert_int_equal(shc_flush(shc, NULL), SHC_OK); /* told already */
	shc_add_stats(shc, &stats);
	assert_int_equal(stats.in_doubt, BATCH);
	assert_int_equal(stats.unsent, 1);
	finish();
}

static void test_only_ok_acknowledges_a_set(void **state)
{
	(void)state;
	for (size_t i = 0; i < NO_ACKNOWLEDGEMENTS; i++) {
		const struct step steps[] = {DO(ACCEPT), {ANSWER, no_acknowledgements[i], 1}, DO(END)};
		start(steps, PATIENCE_MS);
		assert_int_equal(shc_set(shc, "x", 1, 5), SHC_IN_DOUBT);
		finish();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replies_come_in_the_order_of_the_commands),
		cmocka_unit_test(test_a_pipeline_may_be_larger_than_all_socket_buffers),
		cmocka_unit_test(test_a_lost_pipeline_is_in_doubt_when_a_change_was_in_it),
		cmocka_unit_test(test_a_change_that_never_left_is_not_in_doubt),
		cmocka_unit_test(test_a_flush_sends_what_was_added_in_one_command),
		cmocka_unit_test(test_eight_batches_leave_before_the_first_answer),
		cmocka_unit_test(test_a_refused_batch_is_told_name_by_name_and_the_others_are_in),
		cmocka_unit_test(test_what_became_of_lost_additions_is_known),
		cmocka_unit_test(test_additions_that_never_left_are_unreachable),
		cmocka_unit_test(test_a_single_command_takes_the_batches_answers_first),
		cmocka_unit_test(test_only_ok_acknowledges_additions),
		cmocka_unit_test(test_a_single_command_finds_that_additions_were_not_acknowledged),
		cmocka_unit_test(test_only_ok_acknowledges_a_set),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
