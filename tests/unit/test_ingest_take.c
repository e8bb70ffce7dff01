/* SPDX-License-Identifier: MIT */
/*
 * Lines of a block, counted by ingest_take.c and by a loop over bytes that knows nothing of blocks: drawn by
 * lot, at every alignment, in pieces of every size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../cmd/command.h"
#include "../../cmd/ingest.h"
#include "../../cmd/scan.h"

enum { TEXT_MAX = 1 << 16 };

/* What is found in a text, whoever looked. */
struct found {
	uint64_t lines, bad, skipped;
	struct table sums;
};

static char text[TEXT_MAX];
static size_t text_len;

/* ---- the reference ---- */

static void refer_line(struct found *f, const char *line, size_t len)
{
	f->lines++;
	len -= len > 0 && line[len - 1] == '\r';
	bool is_bad = len > NAME_LEN_MAX;
	for (size_t i = 0; i < len; i++)
		is_bad |= (unsigned char)line[i] < 0x20 || line[i] == 0x7f;
	if (len == 0)
		f->skipped++;
	else if (is_bad)
		f->bad++;
	else
		assert_int_equal(table_add(&f->sums, (struct slice){line, len}, 1), TABLE_OK);
}

static void refer(struct found *f)
{
	*f = (struct found){0};
	assert_int_equal(table_init(&f->sums), 0);
	size_t begin = 0;
	for (size_t i = 0; i < text_len; i++) {
		if (text[i] != '\n')
			continue;
		refer_line(f, text + begin, i - begin);
		begin = i + 1;
	}
	if (begin < text_len)
		refer_line(f, text + begin, text_len - begin);
}

/* ---- a text ---- */

static size_t draw_len(void)
{
	switch (random() % 8) {
	case 0: return 0;
	case 1: return 1 + (size_t)random() % 3;
	case 2: return 60 + (size_t)random() % 8;
	case 3: return 250 + (size_t)random() % 10;
	default: return 4 + (size_t)random() % 20;
	}
}

/* `odd` in a thousand bytes are control characters, as many lines end with CR in front of LF. */
static void draw_text(size_t lines, long odd, bool is_ended)
{
	text_len = 0;
	for (size_t i = 0; i < lines; i++) {
		size_t len = draw_len();
		for (size_t k = 0; k < len; k++)
			text[text_len++] = (char)(random() % 1000 < odd ? random() % 10 : 'a' + random() % 3);
		if (random() % 1000 < odd)
			text[text_len++] = '\r';
		text[text_len++] = '\n';
	}
	text_len -= !is_ended;
}

/* ---- what is tested ---- */

static int quiet_fd, loud_fd;

/* Bad lines are told on standard error. */
static int take_quietly(struct ingest *in, const char *data, size_t len, bool is_end, struct ingest_taken *t)
{
	assert_int_equal(dup2(quiet_fd, STDERR_FILENO), STDERR_FILENO);
	int rc = ingest_take(in, data, len, is_end, t);
	assert_int_equal(dup2(loud_fd, STDERR_FILENO), STDERR_FILENO);
	return rc;
}

/* In blocks that begin `shift` bytes behind an aligned place, of `piece` bytes more each time. */
static void take_in_pieces(struct found *f, size_t shift, size_t piece)
{
	static struct ingest in;
	static char room[TEXT_MAX + 2 * SCAN_BYTES] __attribute__((aligned(SCAN_BYTES)));
	in = (struct ingest){.rule = {.name_max = NAME_LEN_MAX}, .is_skip = true, .file = "text"};
	assert_int_equal(ingest_init(&in), 0);
	char *block = room + shift;
	size_t len = 0;
	for (size_t at = 0; at < text_len || len > 0;) {
		size_t more = text_len - at < piece ? text_len - at : piece;
		memcpy(block + len, text + at, more);
		memset(block + len + more, '\n', SCAN_BYTES); /* nothing of this may count */
		at += more;
		len += more;
		struct ingest_taken t;
		assert_int_equal(take_quietly(&in, block, len, at == text_len, &t), EX_OK);
		assert_int_equal(t.endless, 0);
		assert_int_equal(in.ops_count, 0);
		memmove(block, block + t.whole, len - t.whole);
		len -= t.whole;
	}
	*f = (struct found){in.file_lines, in.seen.lines_bad, in.lines_skipped, in.table};
	assert_int_equal(in.seen.lines, in.file_lines);
	in.table = (struct table){0};
	ingest_fini(&in);
}

static void assert_same(const struct found *a, struct found *b)
{
	const struct table_entry *e;
	assert_int_equal(a->lines, b->lines);
	assert_int_equal(a->bad, b->bad);
	assert_int_equal(a->skipped, b->skipped);
	assert_int_equal(a->sums.count, b->sums.count);
	for (size_t pos = 0; (e = table_next(&a->sums, &pos));) {
		const struct table_entry *other = table_find(&b->sums, table_entry_name(e));
		assert_non_null(other);
		assert_int_equal(e->sum, other->sum);
	}
}

static void check(size_t shift, size_t piece)
{
	struct found wanted, found;
	refer(&wanted);
	take_in_pieces(&found, shift, piece);
	assert_same(&wanted, &found);
	table_fini(&wanted.sums);
	table_fini(&found.sums);
}

static void test_lines_count_at_every_alignment(void **state)
{
	(void)state;
	for (size_t shift = 0; shift < SCAN_BYTES; shift++) {
		draw_text(200, 0, shift % 2);
		check(shift, TEXT_MAX);
		draw_text(200, 3, shift % 2);
		check(shift, TEXT_MAX);
	}
}

static void test_lines_count_in_pieces_of_every_size(void **state)
{
	(void)state;
	for (size_t piece = 1; piece <= 4 * SCAN_BYTES; piece++) {
		draw_text(40, piece % 3 ? 0 : 10, piece % 2);
		check(piece % SCAN_BYTES, piece);
	}
}

/* One odd byte at every place of a text. */
static void test_an_odd_byte_spoils_its_line_alone(void **state)
{
	(void)state;
	for (size_t at = 0; at < 300; at++) {
		draw_text(30, 0, true);
		text[at % text_len] = "\r\t\x7f\n"[at % 4];
		check(0, TEXT_MAX);
	}
}

static void test_a_full_batch_and_a_bad_line_meet(void **state)
{
	(void)state;
	for (size_t before = TABLE_BATCH_MAX - 3; before < TABLE_BATCH_MAX + 3; before++) {
		text_len = 0;
		for (size_t i = 0; i < before; i++)
			text_len += (size_t)sprintf(text + text_len, "n%zu\n", i);
		text_len += (size_t)sprintf(text + text_len, "%0300d\nx\n\n\ty\nx\n", 0);
		check(before, TEXT_MAX);
		check(before, 64);
	}
}

static int set_up(void **state)
{
	(void)state;
	srandom(7);
	quiet_fd = open("/dev/null", O_WRONLY);
	loud_fd = dup(STDERR_FILENO);
	return quiet_fd >= 0 && loud_fd >= 0 ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_count_at_every_alignment),
		cmocka_unit_test(test_lines_count_in_pieces_of_every_size),
		cmocka_unit_test(test_an_odd_byte_spoils_its_line_alone),
		cmocka_unit_test(test_a_full_batch_and_a_bad_line_meet),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
