/* SPDX-License-Identifier: MIT */
/*
 * The table that `shcount watch` and `top` draw, on a model of a terminal: lines of cells that break what is
 * too wide, scroll, and are broken anew when the terminal gets narrower. What stands on it is compared, not
 * the bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../cmd/picture.h"

/* ---- a terminal ---- ASCII only */

enum { ROWS_MAX = 60, COLUMNS_MAX = 220 };

struct screen {
	size_t rows, columns;
	char cells[ROWS_MAX][COLUMNS_MAX];
	bool is_continued[ROWS_MAX]; /* the line goes on in the next */
	size_t row, column;
	size_t scrolled, broken; /* lines that left at the top, and lines that were too wide */
};

static void screen_init(struct screen *s, size_t columns, size_t rows)
{
	*s = (struct screen){.rows = rows, .columns = columns};
	memset(s->cells, ' ', sizeof(s->cells));
}

static void screen_down(struct screen *s)
{
	if (++s->row < s->rows)
		return;
	s->row--;
	s->scrolled++;
	memmove(s->cells[0], s->cells[1], (s->rows - 1) * sizeof(s->cells[0]));
	memmove(&s->is_continued[0], &s->is_continued[1], (s->rows - 1) * sizeof(s->is_continued[0]));
	memset(s->cells[s->rows - 1], ' ', sizeof(s->cells[0]));
	s->is_continued[s->rows - 1] = false;
}

static void screen_char(struct screen *s, char c)
{
	if (s->column == s->columns) {
		s->is_continued[s->row] = true;
		s->broken++;
		s->column = 0;
		screen_down(s);
	}
	s->cells[s->row][s->column++] = c;
}

static void screen_erase(struct screen *s, size_t row, size_t column)
{
	memset(&s->cells[row][column], ' ', COLUMNS_MAX - column);
	s->is_continued[row] = false;
}

/* What the picture uses of ECMA-48. Anything else fails the test. */
static const char *screen_escape(struct screen *s, const char *p)
{
	char *end;
	assert_int_equal(*p++, '[');
	unsigned long n = strtoul(p, &end, 10);
	switch (*end) {
	case 'A': s->row = n < s->row ? s->row - n : 0; break;
	case 'K': screen_erase(s, s->row, s->column); break;
	case 'J':
		for (size_t row = s->row; row < s->rows; row++)
			screen_erase(s, row, row == s->row ? s->column : 0);
		break;
	case 'm': break;
	default: fail_msg("unknown sequence %s", p);
	}
	return end + 1;
}

static void screen_write(struct screen *s, const char *text)
{
	while (*text) {
		char c = *text++;
		if (c == '\033') {
			text = screen_escape(s, text);
		} else if (c == '\r') {
			s->column = 0;
		} else if (c == '\n') {
			s->column = 0; /* the line discipline does that */
			screen_down(s);
		} else {
			assert_in_range(c, ' ', '~');
			screen_char(s, c);
		}
	}
}

/* Lines that are too wide now take several; blanks at the end of a line do not count. The cursor stays where
 * it was in the text. */
static void screen_narrow(struct screen *s, size_t columns)
{
	static struct screen after; /* large */
	screen_init(&after, columns, s->rows);
	for (size_t row = 0; row < s->row; row++) {
		size_t len = s->columns;
		while (len > 0 && s->cells[row][len - 1] == ' ')
			len--;
		for (size_t i = 0; i < len; i++)
			screen_char(&after, s->cells[row][i]);
		after.column = 0;
		screen_down(&after);
	}
	after.scrolled += s->scrolled;
	after.broken = 0;
	*s = after;
}

static void expect_line(const struct screen *s, size_t row, const char *want)
{
	char line[COLUMNS_MAX + 1];
	size_t len = s->columns;
	while (len > 0 && s->cells[row][len - 1] == ' ')
		len--;
	memcpy(line, s->cells[row], len);
	line[len] = '\0';
	assert_string_equal(line, want);
}

/* ---- drawing on it ---- */

static struct picture_row rows[100];

static void set_row(size_t i, const char *name, int64_t value, double rate)
{
	rows[i] =
		(struct picture_row){.name = slice_str(name), .value = value, .rate = rate, .has_rate = true};
}

static void draw(struct picture *p, struct screen *s, size_t count, const char *message)
{
	struct terminal t = {.columns = (int)s->columns, .rows = (int)s->rows};
	struct buf out = BUF_INIT;
	struct slice text = slice_str(message ? message : "");
	picture_draw(p, &out, &t, rows, count, message ? &text : NULL);
	buf_append(&out, "", 1);
	assert_false(out.failed);
	screen_write(s, buf_head(&out));
	buf_fini(&out);
	assert_int_equal(s->column, 0);
}

static void test_values_stand_in_columns_and_are_drawn_over(void **state)
{
	struct picture p = PICTURE_INIT;
	struct screen s;
	(void)state;
	screen_init(&s, 40, 10);
	screen_write(&s, "$ watch\n");
	set_row(0, "visits", 5, 0);
	set_row(1, "a longer name", -1234567, 1500);
	for (int i = 0; i < 3; i++)
		draw(&p, &s, 2, NULL);
	expect_line(&s, 0, "$ watch");
	expect_line(&s, 1, "NAME              VALUE      RATE");
	expect_line(&s, 2, "visits                5       0/s");
	expect_line(&s, 3, "a longer name  -1234567  +1.50k/s");
	expect_line(&s, 4, "");
	assert_int_equal(s.row, 4);
	rows[1].value = 7;
	rows[1].has_rate = false;
	draw(&p, &s, 2, "no answer");
	expect_line(&s, 2, "visits             5       0/s");
	expect_line(&s, 3, "a longer name      7");
	expect_line(&s, 4, "no answer");
	draw(&p, &s, 2, NULL);
	expect_line(&s, 4, "");
	assert_int_equal(s.row, 4);
	picture_fini(&p);
}

static void test_with_less_room_rates_go_first_then_digits(void **state)
{
	struct picture p = PICTURE_INIT;
	struct screen s;
	(void)state;
	set_row(0, "page:/very/long/name", 123456, 12);
	set_row(1, "b", INT64_MIN, -12);
	screen_init(&s, 42, 10);
	draw(&p, &s, 2, NULL);
	expect_line(&s, 1, "page~name                123456   +12.0/s");
	expect_line(&s, 2, "b          -9223372036854775808   -12.0/s");
	picture_forget(&p);
	screen_init(&s, 32, 10);
	draw(&p, &s, 2, NULL);
	expect_line(&s, 1, "page:~name               123456");
	expect_line(&s, 2, "b          -9223372036854775808");
	picture_forget(&p);
	screen_init(&s, 20, 10);
	draw(&p, &s, 2, NULL);
	expect_line(&s, 1, "page~name    123456");
	expect_line(&s, 2, "b         -9.22e+18");
	picture_fini(&p);
}

static void test_changes_are_shown_where_names_have_room(void **state)
{
	struct picture p = {.has_changes = true};
	struct screen s;
	(void)state;
	set_row(0, "page:/a/name/of/fifty/letters/or/some/more/of/them", 123456, 12);
	set_row(1, "b", 5, -12);
	rows[0].change = 12;
	rows[1].change = -1234567;
	screen_init(&s, 61, 10);
	draw(&p, &s, 2, NULL);
	expect_line(&s, 0, "NAME                               VALUE      RATE    CHANGE");
	expect_line(&s, 1, "page:/a/name/of/~me/more/of/them  123456   +12.0/s       +12");
	expect_line(&s, 2, "b                                      5   -12.0/s  -1234567");
	picture_forget(&p);
	screen_init(&s, 60, 10);
	draw(&p, &s, 2, NULL);
	expect_line(&s, 2, "b                                               5   -12.0/s");
	picture_forget(&p);
	screen_init(&s, 45, 10);
	draw(&p, &s, 0, "nothing changes");
	expect_line(&s, 0, "NAME  VALUE      RATE  CHANGE");
	expect_line(&s, 1, "nothing changes");
	picture_fini(&p);
}

static void test_as_many_rows_as_are_said_to_fit_do(void **state)
{
	(void)state;
	for (int height = 1; height <= 30; height++) {
		for (int has_message = 0; has_message < 2; has_message++) {
			struct terminal t = {.columns = 40, .rows = height};
			struct picture p = PICTURE_INIT;
			struct screen s;
			size_t count = picture_rows_max(&t, has_message);
			screen_init(&s, 40, (size_t)height);
			for (size_t i = 0; i < count; i++)
				set_row(i, "name", 1, 0);
			draw(&p, &s, count, has_message ? "lost" : NULL);
			assert_int_equal(s.scrolled, height == 1);
			if (height > 2)
				assert_int_equal(s.row, height - 1);
			picture_fini(&p);
		}
	}
}

/* Whatever the size: no line breaks, nothing scrolls but once, and the next picture stands where this one
 * does. */
static void test_a_picture_fits_every_size_of_terminal(void **state)
{
	static const int64_t values[] = {0, -1, 99999, INT64_MAX, INT64_MIN};
	char names[50][300];
	struct screen s;
	(void)state;
	for (size_t i = 0; i < 50; i++) {
		snprintf(names[i], sizeof(names[i]), "%0*zu", (int)(1 + i * i % 255), i);
		set_row(i, names[i], values[i % 5], (double)values[i * 7 % 5]);
		rows[i].change = values[i * 3 % 5];
	}
	for (size_t columns = 1; columns <= 200; columns += columns < 40 ? 1 : 13) {
		for (size_t height = 1; height <= 30; height += height < 6 ? 1 : 7) {
			for (size_t count = 1; count <= 50; count += 7) {
				struct picture p = {.has_changes = columns % 2 == 1};
				screen_init(&s, columns, height);
				draw(&p, &s, count, NULL);
				size_t row = s.row, scrolled = s.scrolled;
				assert_true(row < height && scrolled <= (height == 1));
				draw(&p, &s, count, "a sentence about something that went wrong");
				draw(&p, &s, count, NULL);
				draw(&p, &s, count, NULL);
				assert_int_equal(s.broken, 0);
				assert_true(s.scrolled == 0 || height == 1);
				if (count + 2 < height)
					assert_int_equal(s.row, row);
				picture_fini(&p);
			}
		}
	}
}

static void test_what_does_not_fit_is_counted(void **state)
{
	struct picture p = PICTURE_INIT;
	struct screen s;
	char names[9][8];
	(void)state;
	for (size_t i = 0; i < 9; i++) {
		snprintf(names[i], sizeof(names[i]), "n%zu", i);
		set_row(i, names[i], (int64_t)i, 0);
	}
	screen_init(&s, 40, 6);
	draw(&p, &s, 4, NULL);
	expect_line(&s, 4, "n3        3       0/s");
	draw(&p, &s, 9, NULL);
	expect_line(&s, 3, "n2        2       0/s");
	expect_line(&s, 4, "6 more");
	draw(&p, &s, 9, "lost");
	expect_line(&s, 3, "7 more");
	expect_line(&s, 4, "lost");
	expect_line(&s, 5, "");
	picture_fini(&p);
}

static void test_a_terminal_that_gets_narrower_is_drawn_over_all_the_same(void **state)
{
	struct picture p = PICTURE_INIT;
	struct screen s;
	(void)state;
	screen_init(&s, 70, 20);
	screen_write(&s, "$ watch\n");
	set_row(0, "a name that is rather long, longer than the others", 5, 100);
	set_row(1, "b", 6, 0);
	draw(&p, &s, 2, NULL);
	screen_narrow(&s, 25);
	assert_true(s.row > 6);
	draw(&p, &s, 2, NULL);
	expect_line(&s, 0, "$ watch");
	expect_line(&s, 1, "NAME               VALUE");
	expect_line(&s, 2, "a name th~e others     5");
	picture_fini(&p);
}

static void test_a_forgotten_picture_stays(void **state)
{
	struct picture p = PICTURE_INIT;
	struct screen s;
	(void)state;
	screen_init(&s, 40, 12);
	set_row(0, "a", 5, 0);
	draw(&p, &s, 1, NULL);
	picture_forget(&p);
	screen_write(&s, "[1]+  Stopped\n");
	rows[0].value = 6;
	draw(&p, &s, 1, NULL);
	expect_line(&s, 1, "a         5       0/s");
	expect_line(&s, 2, "[1]+  Stopped");
	expect_line(&s, 4, "a         6       0/s");
	picture_fini(&p);
}

static void test_rates_are_short_and_have_their_sign(void **state)
{
	static const struct {
		double rate;
		const char *text;
	} cases[] = {
		{0, "0/s"},
		{0.001, "0/s"},
		{-0.001, "0/s"},
		{0.016, "+0.02/s"},
		{1, "+1.00/s"},
		{-9.99, "-9.99/s"},
		{9.999, "+10.0/s"},
		{99.97, "+100/s"},
		{999.4, "+999/s"},
		{999.6, "+1.00k/s"},
		{-123456, "-123k/s"},
		{1e6, "+1.00M/s"},
		{-9.2e18, "-9.20E/s"},
		{1.8e21, "+1800E/s"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[PICTURE_RATE_SIZE];
		size_t len = picture_format_rate(text, cases[i].rate);
		assert_string_equal(text, cases[i].text);
		assert_true(len == strlen(text) && len <= PICTURE_RATE_COLUMNS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_stand_in_columns_and_are_drawn_over),
		cmocka_unit_test(test_with_less_room_rates_go_first_then_digits),
		cmocka_unit_test(test_changes_are_shown_where_names_have_room),
		cmocka_unit_test(test_as_many_rows_as_are_said_to_fit_do),
		cmocka_unit_test(test_a_picture_fits_every_size_of_terminal),
		cmocka_unit_test(test_what_does_not_fit_is_counted),
		cmocka_unit_test(test_a_terminal_that_gets_narrower_is_drawn_over_all_the_same),
		cmocka_unit_test(test_a_forgotten_picture_stays),
		cmocka_unit_test(test_rates_are_short_and_have_their_sign),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
