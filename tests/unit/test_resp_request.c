/* SPDX-License-Identifier: MIT */
/*
 * The request parser. Each input is told as a transcript: "<INCR|hits>" for a request, "<>" for an empty one,
 * "..." for a request that is not whole, "!text" for a refusal. However the input is cut, the transcript must
 * be the same. Every piece is parsed in a heap block of exactly its size, so that the address sanitizer sees
 * a read beyond it, and so that the bytes move between calls.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/buf.h"
#include "../../lib/resp.h"

/* ---- transcripts ---- */

struct session {
	struct resp_parser parser;
	size_t consumed;
	int outcome;
	FILE *out;
	char *text;
	size_t text_len;
};

static void session_open(struct session *s)
{
	*s = (struct session){.outcome = RESP_MORE};
	resp_parser_init(&s->parser);
	s->out = open_memstream(&s->text, &s->text_len);
	assert_non_null(s->out);
}

static void tell_bytes(FILE *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];
		if (c >= 0x20 && c < 0x7f)
			fputc(c, out);
		else
			fprintf(out, "\\x%02x", c);
	}
}

static void tell_request(FILE *out, const struct resp_parser *p)
{
	fputc('<', out);
	for (size_t i = 0; i < p->argc; i++) {
		if (i > 0)
			fputc('|', out);
		tell_bytes(out, p->argv[i]);
	}
	fputc('>', out);
}

/* Whatever the parser for short requests takes, the other one takes for the same. */
static void check_short(const struct resp_parser *p, int outcome, const char *block, size_t len)
{
	struct slice argv[RESP_SHORT_ARGS];
	size_t argc, size = resp_parse_short(block, len, argv, &argc);
	if (size == 0)
		return;
	assert_int_equal(outcome, RESP_DONE);
	assert_int_equal(p->size_bytes, size);
	assert_int_equal(p->argc, argc);
	for (size_t i = 0; i < argc; i++) {
		assert_ptr_equal(p->argv[i].data, argv[i].data);
		assert_int_equal(p->argv[i].len, argv[i].len);
	}
}

/* Parses what can be parsed of input[0..avail), of which the session has consumed a part. */
static void session_feed(struct session *s, const char *input, size_t avail)
{
	if (s->outcome == RESP_BAD)
		return;
	do {
		size_t len = avail - s->consumed;
		char *block = malloc(len ? len : 1);
		assert_non_null(block);
		memcpy(block, input + s->consumed, len);
		bool is_between = resp_parser_is_between(&s->parser);
		s->outcome = resp_parse(&s->parser, len ? block : NULL, len);
		if (is_between)
			check_short(&s->parser, s->outcome, len ? block : NULL, len);
		if (s->outcome == RESP_DONE) {
			assert_in_range(s->parser.size_bytes, 1, len);
			s->consumed += s->parser.size_bytes;
			tell_request(s->out, &s->parser);
		}
		free(block);
	} while (s->outcome == RESP_DONE);
}

/* Returns the transcript; the caller frees it. */
static char *session_close(struct session *s, size_t len)
{
	if (s->outcome == RESP_BAD)
		fprintf(s->out, "!%s", s->parser.error);
	else if (s->consumed < len)
		fputs("...", s->out);
	fclose(s->out);
	resp_parser_fini(&s->parser);
	return s->text;
}

/* ---- the table ---- */

struct sample {
	const char *descr;
	struct slice input;
	const char *transcript;
};
#define IN(literal)                                                                                          \
	{                                                                                                    \
		literal, sizeof(literal) - 1                                                                 \
	}

static const struct sample SAMPLES[] = {
	/* arrays */
	{.descr = "an array of two",
	 .input = IN("*2\r\n$4\r\nINCR\r\n$4\r\nhits\r\n"),
	 .transcript = "<INCR|hits>"},
	{.descr = "pipelined",
	 .input = IN("*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n$4\r\nQUIT\r\n"),
	 .transcript = "<PING><GET|a><QUIT>"},
	{.descr = "a name of two digits' length",
	 .input = IN("*2\r\n$4\r\nINCR\r\n$16\r\npage:00000000001\r\n"),
	 .transcript = "<INCR|page:00000000001>"},
	{.descr = "an empty argument",
	 .input = IN("*2\r\n$4\r\nECHO\r\n$0\r\n\r\n"),
	 .transcript = "<ECHO|>"},
	{.descr = "line breaks and NUL inside an argument",
	 .input = IN("*1\r\n$6\r\n\r\n\0*1\r\r\n"),
	 .transcript = "<\\x0d\\x0a\\x00*1\\x0d>"},
	{.descr = "ten arguments",
	 .input = IN("*10\r\n$1\r\n0\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\n5\r\n$1\r\n6\r\n$"
		     "1\r\n7\r\n"
		     "$1\r\n8\r\n$1\r\n9\r\n"),
	 .transcript = "<0|1|2|3|4|5|6|7|8|9>"},
	{.descr = "an empty array", .input = IN("*0\r\n"), .transcript = "<>"},
	{.descr = "a null array", .input = IN("*-1\r\n"), .transcript = "<>"},
	{.descr = "a negative array, as Redis takes it", .input = IN("*-42\r\n"), .transcript = "<>"},
	{.descr = "behind an empty array comes a request",
	 .input = IN("*0\r\n*1\r\n$4\r\nPING\r\n"),
	 .transcript = "<><PING>"},
	{.descr = "cut in the array header", .input = IN("*1"), .transcript = "..."},
	{.descr = "cut in the line end of the array header", .input = IN("*1\r"), .transcript = "..."},
	{.descr = "cut behind the array header", .input = IN("*1\r\n"), .transcript = "..."},
	{.descr = "cut in the bulk header", .input = IN("*1\r\n$1"), .transcript = "..."},
	{.descr = "cut in a bulk", .input = IN("*1\r\n$4\r\nPI"), .transcript = "..."},
	{.descr = "cut in the line end of a bulk", .input = IN("*1\r\n$4\r\nPING\r"), .transcript = "..."},
	{.descr = "whole, then cut",
	 .input = IN("*1\r\n$4\r\nPING\r\n*1\r\n$4\r"),
	 .transcript = "<PING>..."},
	{.descr = "an array header without LF, as Redis takes it",
	 .input = IN("*1\rx$4\r\nPING\r\n"),
	 .transcript = "<PING>"},
	{.descr = "a bulk that ends in other bytes, as Redis takes it",
	 .input = IN("*1\r\n$4\r\nPINGxy*1\r\n$4\r\nQUIT\r\n"),
	 .transcript = "<PING><QUIT>"},
	/* arrays refused */
	{.descr = "no array length",
	 .input = IN("*\r\n"),
	 .transcript = "!Protocol error: invalid multibulk length"},
	{.descr = "array length in letters",
	 .input = IN("*x\r\n"),
	 .transcript = "!Protocol error: invalid multibulk length"},
	{.descr = "array length with a letter behind",
	 .input = IN("*1x\r\n"),
	 .transcript = "!Protocol error: invalid multibulk length"},
	{.descr = "array length with a leading zero",
	 .input = IN("*01\r\n"),
	 .transcript = "!Protocol error: invalid multibulk length"},
	{.descr = "array length with a plus",
	 .input = IN("*+1\r\n"),
	 .transcript = "!Protocol error: invalid multibulk length"},
	{.descr = "array length with a blank",
	 .input = IN("* 1\r\n"),
	 .transcript = "!Protocol error: invalid multibulk length"},
	{.descr = "array length one past the limit",
	 .input = IN("*1048577\r\n"),
	 .transcript = "!Protocol error: invalid multibulk length"},
	{.descr = "array length beyond 64 bits",
	 .input = IN("*9223372036854775808\r\n"),
	 .transcript = "!Protocol error: invalid multibulk length"},
	{.descr = "array length of 40 digits",
	 .input = IN("*1234567890123456789012345678901234567890\r\n"),
	 .transcript = "!Protocol error: invalid multibulk length"},
	{.descr = "array length negative beyond 64 bits",
	 .input = IN("*-9223372036854775809\r\n"),
	 .transcript = "!Protocol error: invalid multibulk length"},
	{.descr = "no bulk length",
	 .input = IN("*1\r\n$\r\n"),
	 .transcript = "!Protocol error: invalid bulk length"},
	{.descr = "a null bulk",
	 .input = IN("*1\r\n$-1\r\n"),
	 .transcript = "!Protocol error: invalid bulk length"},
	{.descr = "bulk length in letters",
	 .input = IN("*2\r\n$3\r\nGET\r\n$blabla\r\n"),
	 .transcript = "!Protocol error: invalid bulk length"},
	{.descr = "bulk length of two zeros",
	 .input = IN("*1\r\n$00\r\n\r\n"),
	 .transcript = "!Protocol error: invalid bulk length"},
	{.descr = "bulk length one past the limit",
	 .input = IN("*1\r\n$1048577\r\n"),
	 .transcript = "!Protocol error: invalid bulk length"},
	{.descr = "bulk length beyond 64 bits",
	 .input = IN("*1\r\n$99999999999999999999\r\n"),
	 .transcript = "!Protocol error: invalid bulk length"},
	{.descr = "a letter for '$'",
	 .input = IN("*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n"),
	 .transcript = "!Protocol error: expected '$', got 'f'"},
	{.descr = "an array in an array",
	 .input = IN("*1\r\n*1\r\n$4\r\nPING\r\n"),
	 .transcript = "!Protocol error: expected '$', got '*'"},
	{.descr = "an empty line for '$'",
	 .input = IN("*1\r\n\r\n"),
	 .transcript = "!Protocol error: expected '$', got '\\x0d'"},
	{.descr = "NUL for '$'",
	 .input = IN("*1\r\n\0\r\n"),
	 .transcript = "!Protocol error: expected '$', got '\\x00'"},
	{.descr = "a byte above ASCII for '$'",
	 .input = IN("*1\r\n\xff\r\n"),
	 .transcript = "!Protocol error: expected '$', got '\\xff'"},
	{.descr = "requests before a bad one are answered",
	 .input = IN("*1\r\n$4\r\nPING\r\n*z\r\n*1\r\n$4\r\nPING\r\n"),
	 .transcript = "<PING>!Protocol error: invalid multibulk length"},
	/* inline lines */
	{.descr = "an inline word", .input = IN("PING\r\n"), .transcript = "<PING>"},
	{.descr = "an inline line ended by LF alone",
	 .input = IN("INCR hits\n"),
	 .transcript = "<INCR|hits>"},
	{.descr = "an empty line", .input = IN("\r\n"), .transcript = "<>"},
	{.descr = "an empty line ended by LF alone", .input = IN("\nPING\n"), .transcript = "<><PING>"},
	{.descr = "a line of blanks", .input = IN(" \t\v\f \r\n"), .transcript = "<>"},
	{.descr = "blanks around and between words",
	 .input = IN("  SET \t a   5\t\r\n"),
	 .transcript = "<SET|a|5>"},
	{.descr = "inline and array mixed",
	 .input = IN("PING\r\n*1\r\n$4\r\nPING\r\nPING\r\n"),
	 .transcript = "<PING><PING><PING>"},
	{.descr = "an inline line not ended", .input = IN("PING"), .transcript = "..."},
	{.descr = "an inline line that lacks LF", .input = IN("PING\r"), .transcript = "..."},
	{.descr = "CR inside a line is a blank", .input = IN("ECHO a\rb\r\n"), .transcript = "<ECHO|a|b>"},
	{.descr = "only one CR belongs to the line end", .input = IN("PING\r\r\n"), .transcript = "<PING>"},
	{.descr = "vertical tab separates no words inside one, as in Redis",
	 .input = IN("ECHO a\vb\r\n"),
	 .transcript = "<ECHO|a\\x0bb>"},
	{.descr = "double quotes hold blanks", .input = IN("GET \"a b\"\r\n"), .transcript = "<GET|a b>"},
	{.descr = "single quotes hold blanks", .input = IN("GET 'a  b'\r\n"), .transcript = "<GET|a  b>"},
	{.descr = "empty quotes are an empty word", .input = IN("GET \"\" ''\r\n"), .transcript = "<GET||>"},
	{.descr = "a quote inside a word opens, its end ends the word",
	 .input = IN("ECHO a\"b c\"\r\n"),
	 .transcript = "<ECHO|ab c>"},
	{.descr = "hex escapes in double quotes",
	 .input = IN("GET \"\\x41\\xfF\\x00\"\r\n"),
	 .transcript = "<GET|A\\xff\\x00>"},
	{.descr = "half a hex escape is an x",
	 .input = IN("GET \"\\x4g\\x\"\r\n"),
	 .transcript = "<GET|x4gx>"},
	{.descr = "letter escapes in double quotes",
	 .input = IN("GET \"\\n\\r\\t\\b\\a\\\\\\\"\\q\"\r\n"),
	 .transcript = "<GET|\\x0a\\x0d\\x09\\x08\\x07\\\"q>"},
	{.descr = "single quotes escape only themselves",
	 .input = IN("GET 'a\\'b\\n\\x41\"'\r\n"),
	 .transcript = "<GET|a'b\\n\\x41\">"},
	{.descr = "a backslash outside quotes is itself",
	 .input = IN("GET a\\x41\r\n"),
	 .transcript = "<GET|a\\x41>"},
	{.descr = "bytes above ASCII are no blanks",
	 .input = IN("GET \xc3\xa4\xa0\x85\r\n"),
	 .transcript = "<GET|\\xc3\\xa4\\xa0\\x85>"},
	{.descr = "an inline word may begin with '$'", .input = IN("$4\r\n"), .transcript = "<$4>"},
	/* inline lines refused */
	{.descr = "a double quote left open",
	 .input = IN("GET \"a\r\n"),
	 .transcript = "!Protocol error: unbalanced quotes in request"},
	{.descr = "a single quote left open",
	 .input = IN("GET 'a\r\n"),
	 .transcript = "!Protocol error: unbalanced quotes in request"},
	{.descr = "a closing quote with a letter behind",
	 .input = IN("GET \"a\"b\r\n"),
	 .transcript = "!Protocol error: unbalanced quotes in request"},
	{.descr = "a closing single quote with a letter behind",
	 .input = IN("GET 'a'b\r\n"),
	 .transcript = "!Protocol error: unbalanced quotes in request"},
	{.descr = "a line that ends in an escape",
	 .input = IN("GET \"a\\\r\n"),
	 .transcript = "!Protocol error: unbalanced quotes in request"},
};
enum { SAMPLE_COUNT = sizeof(SAMPLES) / sizeof(SAMPLES[0]) };

static void check(const struct sample *sample, const char *how, size_t cut, char *transcript)
{
	if (strcmp(transcript, sample->transcript) != 0)
		fail_msg("%s, %s %zu: expected %s, got %s", sample->descr, how, cut, sample->transcript,
			 transcript);
	free(transcript);
}

static void test_whole_input_gives_the_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLE_COUNT; i++) {
		struct session s;
		session_open(&s);
		session_feed(&s, SAMPLES[i].input.data, SAMPLES[i].input.len);
		check(&SAMPLES[i], "whole", 0, session_close(&s, SAMPLES[i].input.len));
	}
}

static void test_input_cut_at_any_byte_gives_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLE_COUNT; i++) {
		struct slice in = SAMPLES[i].input;
		for (size_t cut = 0; cut <= in.len; cut++) {
			struct session s;
			session_open(&s);
			session_feed(&s, in.data, cut);
			session_feed(&s, in.data, in.len);
			check(&SAMPLES[i], "cut at", cut, session_close(&s, in.len));
		}
	}
}

static void test_input_byte_by_byte_gives_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLE_COUNT; i++) {
		struct slice in = SAMPLES[i].input;
		struct session s;
		session_open(&s);
		for (size_t avail = 0; avail <= in.len; avail++)
			session_feed(&s, in.data, avail);
		check(&SAMPLES[i], "byte by byte", 0, session_close(&s, in.len));
	}
}

static void test_all_good_samples_pipelined_give_all_requests(void **state)
{
	(void)state;
	struct buf input = BUF_INIT, expected = BUF_INIT;
	for (size_t i = 0; i < SAMPLE_COUNT; i++) {
		const char *transcript = SAMPLES[i].transcript;
		if (strchr(transcript, '!') || strstr(transcript, "..."))
			continue;
		buf_append(&input, SAMPLES[i].input.data, SAMPLES[i].input.len);
		buf_append(&expected, transcript, strlen(transcript));
	}
	buf_append(&expected, "", 1);
	struct session s;
	session_open(&s);
	session_feed(&s, buf_head(&input), buf_len(&input));
	char *transcript = session_close(&s, buf_len(&input));
	assert_string_equal(transcript, buf_head(&expected));
	free(transcript);
	buf_fini(&input);
	buf_fini(&expected);
}

/* ---- limits ---- */

/* Feeds the input in steps and returns the transcript. */
static char *transcript_in_steps(const char *input, size_t len, size_t step)
{
	struct session s;
	session_open(&s);
	for (size_t avail = 0; avail < len; avail += step)
		session_feed(&s, input, avail);
	session_feed(&s, input, len);
	return session_close(&s, len);
}

static void assert_transcript(const struct buf *input, size_t step, const char *expected)
{
	char *transcript = transcript_in_steps(buf_head(input), buf_len(input), step);
	assert_string_equal(transcript, expected);
	free(transcript);
}

static void append_fill(struct buf *b, char c, size_t len)
{
	char *at = buf_reserve(b, len);
	assert_non_null(at);
	memset(at, c, len);
	buf_commit(b, len);
}

static void append_str(struct buf *b, const char *s)
{
	buf_append(b, s, strlen(s));
}

static void check_line_limit(const char *prefix, char fill, size_t len, const char *end, const char *expected)
{
	struct buf b = BUF_INIT;
	append_str(&b, prefix);
	append_fill(&b, fill, len);
	append_str(&b, end);
	assert_transcript(&b, buf_len(&b), expected);
	assert_transcript(&b, 4099, expected);
	buf_fini(&b);
}

static void test_inline_line_may_have_64_kib_and_no_byte_more(void **state)
{
	(void)state;
	check_line_limit("", ' ', RESP_INLINE_MAX, "\n", "<>");
	check_line_limit("", ' ', RESP_INLINE_MAX, "", "...");
	check_line_limit("", ' ', RESP_INLINE_MAX + 1, "\n", "!Protocol error: too big inline request");
	check_line_limit("", ' ', RESP_INLINE_MAX + 1, "", "!Protocol error: too big inline request");
}

static void test_length_lines_may_have_64_kib_and_no_byte_more(void **state)
{
	(void)state;
	/* The type byte counts, as in Redis. */
	check_line_limit("*", '1', RESP_INLINE_MAX - 1, "", "...");
	check_line_limit("*", '1', RESP_INLINE_MAX - 1, "\r\n", "!Protocol error: invalid multibulk length");
	check_line_limit("*", '1', RESP_INLINE_MAX, "\r\n", "!Protocol error: too big mbulk count string");
	check_line_limit("*1\r\n$", '1', RESP_INLINE_MAX - 1, "", "...");
	check_line_limit("*1\r\n$", '1', RESP_INLINE_MAX - 1, "\r\n", "!Protocol error: invalid bulk length");
	check_line_limit("*1\r\n$", '1', RESP_INLINE_MAX, "\r\n",
			 "!Protocol error: too big bulk count string");
}

static void test_what_counters_get_is_short(void **state)
{
	(void)state;
	static const char *const REQUESTS[] = {
		"*2\r\n$4\r\nINCR\r\n$4\r\nhits\r\n",
		"*3\r\n$7\r\nSHC.ADD\r\n$16\r\ncounter:00000001\r\n$2\r\n-5\r\n",
		"*1\r\n$4\r\nPING\r\n",
		"*4\r\n$8\r\nSHC.ONCE\r\n$1\r\nt\r\n$1\r\nn\r\n$1\r\n1\r\n",
	};
	struct slice argv[RESP_SHORT_ARGS];
	size_t argc;
	for (size_t i = 0; i < sizeof(REQUESTS) / sizeof(REQUESTS[0]); i++) {
		size_t len = strlen(REQUESTS[i]);
		assert_int_equal(resp_parse_short(REQUESTS[i], len, argv, &argc), len);
		for (size_t part = 0; part < len; part++)
			assert_int_equal(resp_parse_short(REQUESTS[i], part, argv, &argc), 0);
	}
	assert_int_equal(resp_parse_short("*5\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n", 39,
					  argv, &argc),
			 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_input_gives_the_requests),
		cmocka_unit_test(test_input_cut_at_any_byte_gives_the_same),
		cmocka_unit_test(test_input_byte_by_byte_gives_the_same),
		cmocka_unit_test(test_all_good_samples_pipelined_give_all_requests),
		cmocka_unit_test(test_inline_line_may_have_64_kib_and_no_byte_more),
		cmocka_unit_test(test_what_counters_get_is_short),
		cmocka_unit_test(test_length_lines_may_have_64_kib_and_no_byte_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
