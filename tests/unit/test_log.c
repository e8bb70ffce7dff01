/* SPDX-License-Identifier: MIT */
#include "../../lib/log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* stderr is a pipe while a test logs. */
struct fixture {
	int saved_stderr, read_fd;
	char text[65536];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fds[2];
	assert_non_null(f);
	assert_int_equal(pipe(fds), 0);
	f->saved_stderr = dup(STDERR_FILENO);
	assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
	close(fds[1]);
	f->read_fd = fds[0];
	unsetenv("JOURNAL_STREAM");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	dup2(f->saved_stderr, STDERR_FILENO);
	close(f->saved_stderr);
	close(f->read_fd);
	free(f);
	return 0;
}

/* What has been logged so far, by all writers; ends the capture. */
static const char *logged(struct fixture *f)
{
	ssize_t got, len = 0;
	dup2(f->saved_stderr, STDERR_FILENO);
	while ((got = read(f->read_fd, f->text + len, sizeof(f->text) - 1 - (size_t)len)) > 0)
		len += got;
	f->text[len] = '\0';
	return f->text;
}

/* Behind "2025-01-31T23:59:59.123Z ", whose form is checked. */
static const char *behind_time(const char *line)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";
	for (size_t i = 0; i < sizeof(form) - 1; i++)
		if (form[i] == 'd' ? line[i] < '0' || line[i] > '9' : line[i] != form[i])
			fail_msg("no time at the start of '%s'", line);
	return line + sizeof(form) - 1;
}

static void test_a_text_line_has_time_level_and_message(void **state)
{
	log_init(false, LOG_LEVEL_INFO);
	log_info("%d counters", 3);
	assert_string_equal(behind_time(logged(*state)), " info: 3 counters\n");
}

static void test_control_characters_cannot_forge_lines_or_colors(void **state)
{
	log_init(false, LOG_LEVEL_INFO);
	log_warning("name '%s'", "a\nb\033[31m\x7f\tc\xff\xc2\x9b");
	assert_string_equal(behind_time(logged(*state)), " warning: name 'a\\nb^[[31m^?\\tcM^?M-BM^['\n");
}

static void test_nothing_turns_a_line_round(void **state)
{
	static const char *const turning[] = {"\u061c", "\u200e", "\u200f", "\u2028", "\u2029",
					      "\u202a", "\u202e", "\u2066", "\u2069"};
	const char *text;

	log_init(false, LOG_LEVEL_INFO);
	for (size_t i = 0; i < sizeof(turning) / sizeof(turning[0]); i++)
		log_warning("name '%sx'", turning[i]);
	log_warning("name '\u2027\u2030\u2065'");
	text = logged(*state);
	for (size_t i = 0; i < sizeof(turning) / sizeof(turning[0]); i++)
		assert_null(strstr(text, turning[i]));
	assert_non_null(strstr(text, "\u2027\u2030\u2065"));
}

static void test_well_formed_utf8_stays_legible_in_text(void **state)
{
	log_init(false, LOG_LEVEL_INFO);
	log_info("z\u00e4hler \u20ac \U0001f600");
	assert_string_equal(behind_time(logged(*state)), " info: z\u00e4hler \u20ac \U0001f600\n");
}

static void test_a_json_line_is_one_object_with_escapes(void **state)
{
	log_init(true, LOG_LEVEL_INFO);
	log_error("quote \" slash \\ line \n esc \033 bad \xff\xc3 c1 \xc2\x85 long \xc0\x80 ok \u00e4");
	const char *text = logged(*state);
	assert_memory_equal(text, "{\"time\":\"", 9);
	assert_string_equal(behind_time(text + 9), "\",\"level\":\"error\",\"message\":\"quote \\\" slash "
						   "\\\\ line \\u000a esc \\u001b bad \\ufffd\\ufffd "
						   "c1 \\ufffd\\ufffd long \\ufffd\\ufffd ok \u00e4\"}\n");
}

static void test_lines_below_the_level_are_left_out(void **state)
{
	static const struct {
		enum log_level level;
		size_t lines;
	} cases[] = {{LOG_LEVEL_DEBUG, 4}, {LOG_LEVEL_INFO, 3}, {LOG_LEVEL_WARNING, 2}, {LOG_LEVEL_ERROR, 1}};
	size_t wanted = 0, lines = 0;
	for (size_t i = 0; i < 4; i++) {
		log_init(false, cases[i].level);
		log_debug("d");
		log_info("i");
		log_warning("w");
		log_error("e");
		wanted += cases[i].lines;
	}
	for (const char *p = logged(*state); (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	assert_int_equal(lines, wanted);
}

static void test_a_long_message_is_cut_and_says_so(void **state)
{
	char message[5000];
	memset(message, '\001', sizeof(message) - 1);
	message[sizeof(message) - 1] = '\0';
	log_init(true, LOG_LEVEL_INFO);
	log_info("%s", message);
	const char *text = logged(*state);
	assert_string_equal(text + strlen(text) - 12, "\\u0001...\"}\n");
}

static void test_the_journal_gets_priorities_instead_of_times(void **state)
{
	struct stat st;
	char stream[64];
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init(false, LOG_LEVEL_DEBUG);
	log_debug("d");
	log_info("i");
	log_warning("w");
	log_error("e");
	assert_string_equal(logged(*state), "<7>d\n<6>i\n<4>w\n<3>e\n");
}

static void test_a_journal_that_is_not_our_stderr_changes_nothing(void **state)
{
	struct stat st;
	char stream[64];
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino + 1);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init(false, LOG_LEVEL_INFO);
	log_info("i");
	assert_string_equal(behind_time(logged(*state)), " info: i\n");
}

static void test_logging_leaves_errno_alone(void **state)
{
	log_init(false, LOG_LEVEL_INFO);
	close(STDERR_FILENO);
	errno = ENOSPC;
	log_error("nobody hears this");
	assert_int_equal(errno, ENOSPC);
	logged(*state);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_text_line_has_time_level_and_message),
		TEST(test_control_characters_cannot_forge_lines_or_colors),
		TEST(test_nothing_turns_a_line_round),
		TEST(test_well_formed_utf8_stays_legible_in_text),
		TEST(test_a_json_line_is_one_object_with_escapes),
		TEST(test_lines_below_the_level_are_left_out),
		TEST(test_a_long_message_is_cut_and_says_so),
		TEST(test_the_journal_gets_priorities_instead_of_times),
		TEST(test_a_journal_that_is_not_our_stderr_changes_nothing),
		TEST(test_logging_leaves_errno_alone),
	};
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
