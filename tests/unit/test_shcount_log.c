/* SPDX-License-Identifier: MIT */
/* shc_log against a scripted server. */
#include "shcount_rig.h"

#define assert_bytes(data, len, text)                                                                        \
	do {                                                                                                 \
		assert_int_equal(len, strlen(text));                                                         \
		assert_memory_equal(data, text, len);                                                        \
	} while (0)

#define ENTRY_7 "*6\r\n:7\r\n:1700000000000001\r\n$3\r\nset\r\n:-5\r\n:0\r\n$11\r\nuid=0,pid=1\r\n"
#define ENTRY_9 "*6\r\n:9\r\n:1700000000000002\r\n$9\r\nincrement\r\n:3\r\n:3\r\n$6\r\nexpiry\r\n"

static void test_entries_come_as_the_server_tells_them(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "SHC.LOG a 2"),
		SAY(REPLY, "*2\r\n" ENTRY_7 ENTRY_9),
		SAY(REQUEST, "SHC.LOG a 1 AFTER 9"),
		SAY(REPLY, "*0\r\n"),
		SAY(REQUEST, "SHC.LOG a 1 AFTER 0"),
		SAY(REPLY, "*1\r\n" ENTRY_7),
		DO(END),
	};
	struct shc_log_entry entries[2];
	size_t count = UNTOUCHED;
	start(steps, PATIENCE_MS);
	assert_int_equal(shc_log(shc, "a", 1, -1, 2, entries, &count), SHC_OK);
	assert_int_equal(count, 2);
	assert_int_equal(entries[0].id, 7);
	assert_int_equal(entries[0].time_us, 1700000000000001);
	assert_int_equal(entries[0].delta, -5);
	assert_int_equal(entries[0].value, 0);
	assert_bytes(entries[0].operation, entries[0].operation_len, "set");
	assert_bytes(entries[0].peer, entries[0].peer_len, "uid=0,pid=1");
	assert_int_equal(entries[1].value, 3);
	assert_bytes(entries[1].operation, entries[1].operation_len, "increment");
	assert_int_equal(shc_log(shc, "a", 1, 9, 1, entries, &count), SHC_OK);
	assert_int_equal(count, 0);
	assert_int_equal(shc_log(shc, "a", 1, 0, 1, entries, &count), SHC_OK);
	assert_int_equal(count, 1);
	finish();
}

static void test_an_answer_of_another_shape_leaves_the_outputs_alone(void **state)
{
	(void)state;
	static const struct step steps[] = {
		DO(ACCEPT),
		SAY(REQUEST, "SHC.LOG a 2"),
		SAY(REPLY, "*3\r\n" ENTRY_7 ENTRY_9 ENTRY_9), /* more than were asked for */
		DO(CLOSE),
		DO(ACCEPT),
		SAY(REQUEST, "SHC.LOG a 2"),
		SAY(REPLY, "*2\r\n" ENTRY_7 "*1\r\n:1\r\n"),
		DO(CLOSE),
		DO(ACCEPT),
		SAY(REQUEST, "SHC.LOG a 2"),
		SAY(REPLY, "-ERR not audited: set audit = PATTERN\r\n"),
		DO(END),
	};
	struct shc_log_entry entries[2] = {{.id = UNTOUCHED}};
	size_t count = UNTOUCHED;
	start(steps, PATIENCE_MS);
	assert_int_equal(shc_log(shc, "a", 1, -1, 2, entries, &count), SHC_PROTOCOL);
	assert_int_equal(shc_log(shc, "a", 1, -1, 2, entries, &count), SHC_PROTOCOL);
	assert_int_equal(shc_log(shc, "a", 1, -1, 2, entries, &count), SHC_REFUSED);
	assert_says("not audited");
	assert_int_equal(count, UNTOUCHED);
	assert_int_equal(entries[0].id, UNTOUCHED);
	finish();
}

static void test_what_cannot_be_asked_is_not_sent(void **state)
{
	(void)state;
	static const struct step steps[] = {DO(END)};
	struct shc_log_entry entry;
	size_t count = UNTOUCHED;
	start(steps, PATIENCE_MS);
	assert_int_equal(shc_log(shc, "", 0, -1, 1, &entry, &count), SHC_USAGE);
	assert_says("bad name");
	assert_int_equal(shc_log(shc, "a", 1, -1, 0, &entry, &count), SHC_USAGE);
	assert_says("1 to 10000 entries");
	assert_int_equal(shc_log(shc, "a", 1, -1, SHC_LOG_MAX + 1, &entry, &count), SHC_USAGE);
	finish();
	assert_int_equal(shc_open(&shc, "redis+cluster://127.0.0.1:1", PATIENCE_MS), SHC_OK);
	assert_int_equal(shc_log(shc, "a", 1, -1, 1, &entry, &count), SHC_USAGE);
	assert_says("no audit log");
	assert_int_equal(count, UNTOUCHED);
	shc_close(shc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries_come_as_the_server_tells_them),
		cmocka_unit_test(test_an_answer_of_another_shape_leaves_the_outputs_alone),
		cmocka_unit_test(test_what_cannot_be_asked_is_not_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
