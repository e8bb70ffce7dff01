/* SPDX-License-Identifier: MIT */
/*
 * What goes to stdout, through a pipe. Every case writes with one function and compares the bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "../../cmd/output.h"

static int ends[2];
static struct output out;

static int open_pipe(void **state)
{
	(void)state;
	if (pipe(ends))
		return -1;
	output_init(&out, ends[1], true);
	return 0;
}

static int close_pipe(void **state)
{
	(void)state;
	close(ends[0]);
	close(ends[1]);
	return 0;
}

static void expect(const char *text)
{
	char got[4096];
	assert_int_equal(output_finish(&out), EX_OK);
	close(ends[1]);
	ssize_t n = read(ends[0], got, sizeof(got) - 1);
	assert_true(n >= 0);
	got[n] = '\0';
	assert_string_equal(got, text);
}

static void test_a_row_in_a_pipe_has_the_bytes_of_the_name(void **state)
{
	(void)state;
	assert_false(out.is_terminal);
	output_row(&out, slice_str("a\xff\xc2\x9b"), INT64_MIN);
	expect("a\xff\xc2\x9b\t-9223372036854775808\n");
}

static void test_a_name_cannot_turn_the_direction_of_writing(void **state)
{
	(void)state;
	out.is_terminal = true;
	output_row(&out,
		   slice_str("a\xe2\x80\xae"
			     "321\xe2\x81\xa6\xd8\x9c\xe2\x80\xa9z\xe2\x80\xa7"),
		   1);
	expect("a\\342\\200\\256321\\342\\201\\246\\330\\234\\342\\200\\251z\xe2\x80\xa7\t1\n");
}

static void test_a_mark_is_not_drawn_onto_what_stands_before_the_name(void **state)
{
	(void)state;
	out.is_terminal = true;
	/* Two accents and a blank without width, in front of a letter with one; and one behind a control. */
	output_row(&out,
		   slice_str("\xcc\x81\xcc\x88\xe2\x80\x8b"
			     "e\xcc\x81\x01\xcc\x81"),
		   1);
	expect("\\314\\201\\314\\210\\342\\200\\213"
	       "e\xcc\x81\\001\\314\\201\t1\n");
}

static void test_a_terminal_without_utf8_gets_ascii(void **state)
{
	(void)state;
	out.is_terminal = out.is_ascii = true;
	output_name(&out, slice_str("gr\xc3\xbc~\x80\xe4\xbd\x9b"));
	json_open(&out);
	json_name(&out, slice_str("\xc3\xbc\xf0\x9f\x98\x80\xe2\x82\xac"));
	json_close(&out);
	expect("gr\\303\\274~\\200\\344\\275\\233{\"name\":\"\\u00fc\\ud83d\\ude00\\u20ac\"}\n");
}

static void test_labels_stand_in_a_column_where_there_is_room(void **state)
{
	(void)state;
	output_label(&out, slice_str("base"), 8);
	out.columns = 24;
	output_label(&out, slice_str("base"), 8);
	output_label(&out, slice_str("total"), 8);
	output_label(&out, slice_str("base"), 9);
	expect("base\tbase    total   base\t");
}

static void test_a_row_on_a_terminal_cannot_steer_it(void **state)
{
	(void)state;
	out.is_terminal = true;
	output_row(&out, slice_str("gr\xc3\xbc\xc3\x9f \\ \xff"), 1); /* UTF-8 stays */
	output_row(&out,
		   slice_str("\xc2\x9b"
			     "31m"),
		   2); /* CSI, as C1 control */
	output_row(&out, (struct slice){"\x1b[31m\x7f", 6}, 3);
	expect("gr\xc3\xbc\xc3\x9f \\ \\377\t1\n\\302\\23331m\t2\n\\033[31m\\177\t3\n");
}

static void test_json_escapes_what_it_must(void **state)
{
	(void)state;
	json_open(&out);
	json_text(&out, slice_str("k\""), slice_str("a\"\\\n\x7f\xc2\x85\xff/\xf0\x9f\x98\x80"));
	json_i64(&out, "n", -1);
	json_bool(&out, "b", true);
	json_raw(&out, slice_str("r"), slice_str("[1]"));
	json_close(&out);
	json_open(&out);
	json_close(&out);
	expect("{\"k\\\"\":\"a\\\"\\\\\\u000a\\u007f\\u0085\\ufffd/"
	       "\xf0\x9f\x98\x80\",\"n\":-1,\"b\":true,\"r\":[1]}\n{}\n");
}

static void test_a_name_that_is_not_utf8_is_given_in_base64(void **state)
{
	(void)state;
	static const char *const names[] = {"\xff", "a\xff", "ab\xff", "abc\xff", "ok"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		json_open(&out);
		json_name(&out, slice_str(names[i]));
		json_close(&out);
	}
	expect("{\"name_base64\":\"/w==\"}\n{\"name_base64\":\"Yf8=\"}\n{\"name_base64\":\"YWL/\"}\n"
	       "{\"name_base64\":\"YWJj/w==\"}\n{\"name\":\"ok\"}\n");
}

static void test_utf8_is_what_unicode_says(void **state)
{
	(void)state;
	static const char *const good[] = {"",
					   "a",
					   "\xc2\x80",
					   "\xe0\xa0\x80",
					   "\xed\x9f\xbf",
					   "\xee\x80\x80",
					   "\xf0\x90\x80\x80",
					   "\xf4\x8f\xbf\xbf"};
	static const char *const bad[] = {"\x80",
					  "\xc0\x80",
					  "\xc1\xbf",
					  "\xc2",
					  "\xc2g",
					  "\xe0\x9f\xbf",
					  "\xe2\x82",
					  "\xed\xa0\x80",
					  "\xf0\x8f\xbf\xbf",
					  "\xf4\x90\x80\x80",
					  "\xf5\x80\x80\x80",
					  "\xff",
					  "\xe2\x82g",
					  "\xf0\x9f\x98"};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(output_is_utf8(slice_str(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(output_is_utf8(slice_str(bad[i])));
}

static void test_a_full_device_is_an_io_error(void **state)
{
	(void)state;
	struct output full;
	int fd = open("/dev/full", O_WRONLY);
	assert_true(fd >= 0);
	output_init(&full, fd, false);
	for (int i = 0; i < 20000; i++) /* more than is collected */
		output_row(&full, slice_str("name"), i);
	assert_int_equal(output_finish(&full), EX_IOERR);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_row_in_a_pipe_has_the_bytes_of_the_name, open_pipe,
						close_pipe),
		cmocka_unit_test_setup_teardown(test_a_name_cannot_turn_the_direction_of_writing, open_pipe,
						close_pipe),
		cmocka_unit_test_setup_teardown(test_a_mark_is_not_drawn_onto_what_stands_before_the_name,
						open_pipe, close_pipe),
		cmocka_unit_test_setup_teardown(test_a_terminal_without_utf8_gets_ascii, open_pipe,
						close_pipe),
		cmocka_unit_test_setup_teardown(test_labels_stand_in_a_column_where_there_is_room, open_pipe,
						close_pipe),
		cmocka_unit_test_setup_teardown(test_a_row_on_a_terminal_cannot_steer_it, open_pipe,
						close_pipe),
		cmocka_unit_test_setup_teardown(test_json_escapes_what_it_must, open_pipe, close_pipe),
		cmocka_unit_test_setup_teardown(test_a_name_that_is_not_utf8_is_given_in_base64, open_pipe,
						close_pipe),
		cmocka_unit_test(test_utf8_is_what_unicode_says),
		cmocka_unit_test(test_a_full_device_is_an_io_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
