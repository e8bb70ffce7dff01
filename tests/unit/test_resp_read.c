/* SPDX-License-Identifier: MIT */
/*
 * The reply reader. Each input is told as a transcript: one word per reply, aggregates in brackets, "..." for
 * a reply that is not whole, "!text" for a refusal. However the input is cut, the transcript must be the
 * same. Every piece is read in a heap block of exactly its size, so that the address sanitizer sees a read
 * beyond it, and so that the bytes move between calls.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/resp.h"

/* ---- transcripts ---- */

static void tell_bytes(FILE *out, const char *name, struct slice s)
{
	fputs(name, out);
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];
		if (c >= 0x20 && c < 0x7f)
			fputc(c, out);
		else
			fprintf(out, "\\x%02x", c);
	}
	fputc('\'', out);
}

static void tell(FILE *out, const struct resp_reply *r);

static void tell_elements(FILE *out, const char *open, const struct resp_reply *r)
{
	fputs(open, out);
	for (size_t i = 0; i < r->count; i++) {
		if (i > 0)
			fputc(' ', out);
		tell(out, &r->elements[i]);
	}
	fputc(']', out);
}

static void tell(FILE *out, const struct resp_reply *r)
{
	switch (r->type) {
	case RESP_SIMPLE: tell_bytes(out, "'", r->str); break;
	case RESP_ERROR: tell_bytes(out, "error'", r->str); break;
	case RESP_INT: fprintf(out, "%" PRId64, r->i64); break;
	case RESP_BULK: tell_bytes(out, "bulk'", r->str); break;
	case RESP_NULL: fputs("null", out); break;
	case RESP_DOUBLE: tell_bytes(out, "double'", r->str); break;
	case RESP_BOOL: fputs(r->i64 ? "true" : "false", out); break;
	case RESP_BIGNUM: tell_bytes(out, "big'", r->str); break;
	case RESP_VERBATIM: tell_bytes(out, "verbatim'", r->str); break;
	case RESP_ARRAY: tell_elements(out, "[", r); break;
	case RESP_MAP: tell_elements(out, "map[", r); break;
	case RESP_SET: tell_elements(out, "set[", r); break;
	case RESP_PUSH: tell_elements(out, "push[", r); break;
	}
}

struct session {
	struct resp_reader reader;
	size_t consumed;
	int outcome;
	bool has_replies;
	bool restarts; /* every piece is read from the start of the reply */
	FILE *out;
	char *text;
	size_t text_len;
};

static void session_open(struct session *s, bool restarts)
{
	*s = (struct session){.outcome = RESP_DONE, .restarts = restarts};
	resp_reader_init(&s->reader);
	s->out = open_memstream(&s->text, &s->text_len);
	assert_non_null(s->out);
}

static void tell_reply(struct session *s)
{
	if (s->has_replies)
		fputc(' ', s->out);
	s->has_replies = true;
	tell(s->out, &s->reader.reply);
}

static void session_feed(struct session *s, const char *input, size_t avail)
{
	if (s->outcome == RESP_BAD)
		return;
	do {
		size_t len = avail - s->consumed, size = 0;
		char *block = malloc(len ? len : 1);
		assert_non_null(block);
		memcpy(block, input + s->consumed, len);
		bool is_new = s->restarts || s->outcome != RESP_MORE;
		s->outcome =
			(is_new ? resp_read : resp_read_more)(&s->reader, len ? block : NULL, len, &size);
		if (s->outcome == RESP_DONE) {
			assert_in_range(size, 1, len);
			s->consumed += size;
			tell_reply(s);
		} else {
			assert_int_equal(size, 0);
		}
		free(block);
	} while (s->outcome == RESP_DONE);
}

static char *session_close(struct session *s, size_t len)
{
	if (s->outcome == RESP_BAD)
		fprintf(s->out, "!%s", s->reader.error);
	else if (s->consumed < len)
		fputs("...", s->out);
	fclose(s->out);
	resp_reader_fini(&s->reader);
	return s->text;
}

/* ---- the table ---- */

#define BAD_INTEGER "!the reply has an integer that is none, or needs more than 64 bits"
#define BAD_LENGTH  "!the reply has an invalid bulk length"
#define BAD_END	    "!a bulk of the reply does not end where its length says"
#define BAD_COUNT   "!the reply has an invalid number of elements"
#define BAD_TYPE    "!the reply has an element of unknown type"
#define BAD_NEST    "!the reply is nested too deeply"

static const struct sample {
	const char *descr;
	const char *input;
	const char *transcript;
} SAMPLES[] = {
	{"a status", "+OK\r\n", "'OK'"},
	{"an empty status", "+\r\n", "''"},
	{"a status with LF inside", "+a\nb\r\n", "'a\\x0ab'"},
	{"an error", "-ERR no\r\n", "error'ERR no'"},
	{"an integer", ":42\r\n", "42"},
	{"the smallest integer", ":-9223372036854775808\r\n", "-9223372036854775808"},
	{"an integer with a plus, as the specification allows", ":+5\r\n", "5"},
	{"a bulk", "$5\r\nhello\r\n", "bulk'hello'"},
	{"an empty bulk", "$0\r\n\r\n", "bulk''"},
	{"a bulk with line ends inside", "$4\r\n\r\n\r\n\r\n", "bulk'\\x0d\\x0a\\x0d\\x0a'"},
	{"nulls of RESP2", "$-1\r\n*-1\r\n", "null null"},
	{"null of RESP3", "_\r\n", "null"},
	{"booleans", "#t\r\n#f\r\n", "true false"},
	{"doubles", ",1.5\r\n,-inf\r\n", "double'1.5' double'-inf'"},
	{"a big number", "(-3492890328409238509324850943850943825024385\r\n",
	 "big'-3492890328409238509324850943850943825024385'"},
	{"a verbatim string without its format", "=8\r\ntxt:some\r\n", "verbatim'some'"},
	{"an empty verbatim string", "=4\r\nmkd:\r\n", "verbatim''"},
	{"a long error of RESP3", "!8\r\nERR a\r\nb\r\n", "error'ERR a\\x0d\\x0ab'"},
	{"an empty array", "*0\r\n", "[]"},
	{"an array", "*3\r\n:1\r\n+a\r\n$1\r\nb\r\n", "[1 'a' bulk'b']"},
	{"arrays inside arrays", "*3\r\n*2\r\n:1\r\n:2\r\n*0\r\n*1\r\n*1\r\n:3\r\n:4\r\n",
	 "[[1 2] [] [[3]]] 4"},
	{"a map", "%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n", "map['a' 1 'b' [2]]"},
	{"an empty map and set", "%0\r\n~0\r\n", "map[] set[]"},
	{"a set", "~2\r\n:1\r\n:2\r\n", "set[1 2]"},
	{"a push", ">2\r\n+message\r\n:1\r\n", "push['message' 1]"},
	{"what EXEC answers", "*3\r\n:5\r\n-ERR overflow\r\n$-1\r\n", "[5 error'ERR overflow' null]"},
	{"what SCAN answers", "*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n+next\r\n",
	 "[bulk'0' [bulk'a' bulk'b']] 'next'"},
	{"pipelined", ":1\r\n:2\r\n:3\r\n", "1 2 3"},
	{"eight deep", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "[[[[[[[[1]]]]]]]]"},
	{"empty ones need no depth", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*0\r\n",
	 "[[[[[[[[[]]]]]]]]]"},
	/* not whole */
	{"cut in a status", "+O", "..."},
	{"cut in a line end", ":1\r", "..."},
	{"cut in a bulk", "$5\r\nhel", "..."},
	{"cut in the end of a bulk", "$5\r\nhello\r", "..."},
	{"cut in an array", "*2\r\n:1\r\n", "..."},
	{"an array of which only the length came", "*2147483647\r\n", "..."},
	{"huge arrays inside each other", "*2147483647\r\n%2147483647\r\n*2147483647\r\n:1\r\n", "..."},
	/* no RESP */
	{"another protocol", "HTTP/1.1 200 OK\r\n", BAD_TYPE},
	{"an unknown type inside", "*2\r\n:1\r\n?\r\n", BAD_TYPE},
	{"an attribute, which no server sends unasked", "|1\r\n+a\r\n:1\r\n:2\r\n", BAD_TYPE},
	{"NUL for a type", "\x01\r\n", BAD_TYPE},
	{"an integer without digits", ":\r\n", BAD_INTEGER},
	{"an integer with a letter", ":1x\r\n", BAD_INTEGER},
	{"an integer of 65 bits", ":9223372036854775808\r\n", BAD_INTEGER},
	{"a boolean that is none", "#x\r\n", "!the reply has a boolean other than t and f"},
	{"a boolean of two letters", "#tt\r\n", "!the reply has a boolean other than t and f"},
	{"a null with content", "_x\r\n", "!the reply has a null with content"},
	{"a double of nothing", ",\r\n", "!the reply has a double without digits"},
	{"a big number of nothing", "(-\r\n", "!the reply has a big number that is none"},
	{"a big number with a letter", "(1x\r\n", "!the reply has a big number that is none"},
	{"CR without LF", "+a\rb\r\n", "!a line of the reply has a CR without LF"},
	{"a bulk length in letters", "$x\r\n", BAD_LENGTH},
	{"a bulk length below -1", "$-2\r\n", BAD_LENGTH},
	{"a bulk of unknown length", "$?\r\n", BAD_LENGTH},
	{"a bulk one past 512 MiB", "$536870913\r\n", BAD_LENGTH},
	{"a null that is a verbatim string", "=-1\r\n", BAD_LENGTH},
	{"a bulk that is longer than it says", "$2\r\nabc\r\n", BAD_END},
	{"a bulk that ends in other bytes", "$2\r\nabxy", BAD_END},
	{"a verbatim string without format", "=3\r\ntxt\r\n",
	 "!a verbatim string of the reply does not name its format"},
	{"a verbatim string of one byte", "=1\r\na\r\n:1\r\n",
	 "!a verbatim string of the reply does not name its format"},
	{"an empty verbatim string without format", "=0\r\n\r\n",
	 "!a verbatim string of the reply does not name its format"},
	{"a verbatim string without colon", "=5\r\ntxt.a\r\n",
	 "!a verbatim string of the reply does not name its format"},
	{"an array length below -1", "*-2\r\n", BAD_COUNT},
	{"a map of length -1", "%-1\r\n", BAD_COUNT},
	{"an array of unknown length", "*?\r\n", BAD_COUNT},
	{"an array longer than 31 bits", "*2147483648\r\n", BAD_COUNT},
	{"nine deep", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", BAD_NEST},
	{"what came before the bad one counts", ":1\r\n:x\r\n", "1" BAD_INTEGER},
};
enum { SAMPLE_COUNT = sizeof(SAMPLES) / sizeof(SAMPLES[0]) };

static void check(const struct sample *sample, const char *how, size_t cut, char *transcript)
{
	if (strcmp(transcript, sample->transcript) != 0)
		fail_msg("%s, %s %zu: expected %s, got %s", sample->descr, how, cut, sample->transcript,
			 transcript);
	free(transcript);
}

static void check_cut(const struct sample *sample, size_t cut, bool restarts)
{
	size_t len = strlen(sample->input);
	struct session s;
	session_open(&s, restarts);
	session_feed(&s, sample->input, cut);
	session_feed(&s, sample->input, len);
	check(sample, restarts ? "from the start after a cut at" : "cut at", cut, session_close(&s, len));
}

static void test_input_cut_at_any_byte_gives_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLE_COUNT; i++) {
		for (size_t cut = 0; cut <= strlen(SAMPLES[i].input); cut++) {
			check_cut(&SAMPLES[i], cut, false);
			check_cut(&SAMPLES[i], cut, true);
		}
	}
}

static void test_input_byte_by_byte_gives_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLE_COUNT; i++) {
		size_t len = strlen(SAMPLES[i].input);
		struct session s;
		session_open(&s, false);
		for (size_t avail = 0; avail <= len; avail++)
			session_feed(&s, SAMPLES[i].input, avail);
		check(&SAMPLES[i], "byte by byte", 0, session_close(&s, len));
	}
}

/* ---- limits and cost ---- */

static void test_a_line_may_have_64_kib_and_no_byte_more(void **state)
{
	(void)state;
	enum { LINE = 64 << 10 };
	struct resp_reader r;
	size_t size;
	char *line = malloc(LINE + 3);
	assert_non_null(line);
	memset(line, 'x', LINE + 3);
	line[0] = '+';
	memcpy(line + LINE, "\r\n", 2);
	resp_reader_init(&r);
	assert_int_equal(resp_read(&r, line, LINE, &size), RESP_MORE);
	assert_int_equal(resp_read(&r, line, LINE + 2, &size), RESP_DONE);
	assert_int_equal(r.reply.str.len, LINE - 1);
	memcpy(line + LINE, "x\r\n", 3);
	assert_int_equal(resp_read(&r, line, LINE + 3, &size), RESP_BAD);
	assert_string_equal(r.error, "a line of the reply is longer than 64 KiB");
	resp_reader_fini(&r);
	free(line);
}

static void test_an_announced_array_costs_no_memory(void **state)
{
	(void)state;
	struct resp_reader r;
	size_t size;
	resp_reader_init(&r);
	const char *input = "*2147483647\r\n:1\r\n";
	assert_int_equal(resp_read(&r, input, strlen(input), &size), RESP_MORE);
	assert_int_equal(r.nodes_cap, 0);
	resp_reader_fini(&r);
}

static void append_array_of(struct buf *b, size_t count)
{
	resp_put_array(b, count);
	for (size_t i = 0; i < count; i++)
		resp_put_int(b, (int64_t)i);
}

/* 100 000 elements in 600 000 pieces: starting again each time would be 30 thousand million elements. */
static void test_a_large_array_byte_by_byte_is_read_once(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	struct resp_reader r;
	size_t size = 0;
	append_array_of(&b, 100000);
	resp_reader_init(&r);
	assert_int_equal(resp_read(&r, NULL, 0, &size), RESP_MORE);
	for (size_t avail = 1; avail < buf_len(&b); avail++)
		assert_int_equal(resp_read_more(&r, buf_head(&b), avail, &size), RESP_MORE);
	assert_int_equal(resp_read_more(&r, buf_head(&b), buf_len(&b), &size), RESP_DONE);
	assert_int_equal(size, buf_len(&b));
	assert_int_equal(r.reply.count, 100000);
	for (size_t i = 0; i < r.reply.count; i++)
		assert_int_equal(r.reply.elements[i].i64, i);
	assert_int_equal(resp_read(&r, NULL, 0, &size), RESP_MORE);
	assert_int_equal(r.nodes_cap, 0); /* a large tree is given back */
	resp_reader_fini(&r);
	buf_fini(&b);
}

/* What a client does whose connection was lost in the middle of an answer. */
static void test_a_new_read_forgets_half_a_reply_and_a_bad_one(void **state)
{
	(void)state;
	static const char *const BEFORE[] = {"*3\r\n:1\r\n:2", "$100\r\nabc", "*2\r\n:x\r\n", "+half a line"};
	for (size_t i = 0; i < sizeof(BEFORE) / sizeof(BEFORE[0]); i++) {
		struct resp_reader r;
		size_t size;
		resp_reader_init(&r);
		assert_int_not_equal(resp_read(&r, BEFORE[i], strlen(BEFORE[i]), &size), RESP_DONE);
		assert_int_equal(resp_read(&r, "+OK\r\n", 5, &size), RESP_DONE);
		assert_int_equal(size, 5);
		assert_int_equal(r.reply.type, RESP_SIMPLE);
		resp_reader_fini(&r);
	}
}

/* ---- with the writers ---- */

static void put_one_of_each(struct buf *b, int proto)
{
	resp_put_array(b, 11);
	resp_put_simple(b, "OK");
	resp_put_errorf(b, "ERR %s", "a\r\nb");
	resp_put_int(b, INT64_MIN);
	resp_put_bulk(b, "\r\n", 2);
	resp_put_bulk_i64(b, -7);
	resp_put_verbatim(b, proto, "v", 1);
	resp_put_null(b, proto);
	resp_put_null_array(b, proto);
	resp_put_bool(b, proto, true);
	resp_put_map(b, proto, 1);
	resp_put_bulk_str(b, "k");
	resp_put_int(b, 1);
	resp_put_set(b, proto, 1);
	resp_put_int(b, 2);
}

static void test_replies_written_are_the_replies_read(void **state)
{
	(void)state;
	const char *expected[] = {
		"['OK' error'ERR a  b' -9223372036854775808 bulk'\\x0d\\x0a' bulk'-7' bulk'v' null null 1 "
		"[bulk'k' 1] [2]]",
		"['OK' error'ERR a  b' -9223372036854775808 bulk'\\x0d\\x0a' bulk'-7' verbatim'v' null null "
		"true "
		"map[bulk'k' 1] set[2]]",
	};
	for (int proto = 2; proto <= 3; proto++) {
		struct buf b = BUF_INIT;
		put_one_of_each(&b, proto);
		struct session s;
		session_open(&s, false);
		session_feed(&s, buf_head(&b), buf_len(&b));
		char *transcript = session_close(&s, buf_len(&b));
		assert_string_equal(transcript, expected[proto - 2]);
		free(transcript);
		buf_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_input_cut_at_any_byte_gives_the_same),
		cmocka_unit_test(test_input_byte_by_byte_gives_the_same),
		cmocka_unit_test(test_a_line_may_have_64_kib_and_no_byte_more),
		cmocka_unit_test(test_an_announced_array_costs_no_memory),
		cmocka_unit_test(test_a_large_array_byte_by_byte_is_read_once),
		cmocka_unit_test(test_a_new_read_forgets_half_a_reply_and_a_bad_one),
		cmocka_unit_test(test_replies_written_are_the_replies_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
