/* SPDX-License-Identifier: MIT */
/*
 * Goal: the reply reader gives the same replies, sizes and error texts however the input is cut, and reads no
 * byte that it was not given; and what the writers wrote, it reads back.
 *
 * Method: the input is read whole, byte by byte, and in pieces whose sizes are taken from its own bytes; the
 * latter both from where the last piece ended and from the start each time. Each call gets a heap block of
 * exactly the size it is told, so that the address sanitizer sees a read beyond it. Then the input is taken
 * as a list of calls of resp_put_*, and the reader must tell what each of them was given.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/buf.h"
#include "../../lib/num.h"
#include "../../lib/resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_same(const struct buf *a, const struct buf *b)
{
	check(!a->failed && !b->failed && buf_len(a) == buf_len(b));
	check(buf_len(a) == 0 || memcmp(buf_head(a), buf_head(b), buf_len(a)) == 0);
}

/* ---- what a reply says, as bytes that can be compared ---- */

static void log_size(struct buf *log, size_t v)
{
	buf_append(log, &v, sizeof(v));
}

static void log_item(struct buf *log, enum resp_type type, struct slice str, int64_t i64, size_t count)
{
	log_size(log, (size_t)type);
	log_size(log, str.len);
	buf_append(log, str.data, str.len);
	buf_append(log, &i64, sizeof(i64));
	log_size(log, count);
}

static void log_reply(struct buf *log, const struct resp_reply *r)
{
	log_item(log, r->type, r->str, r->i64, r->count);
	check((r->count > 0) == (r->elements != NULL));
	for (size_t i = 0; i < r->count; i++)
		log_reply(log, &r->elements[i]);
}

/* ---- cut in pieces ---- */

typedef int read_fn(struct resp_reader *r, const char *data, size_t len, size_t *size_bytes);

static int read_exact(struct resp_reader *r, read_fn *read, const uint8_t *data, size_t len, struct buf *log)
{
	char *block = malloc(len ? len : 1);
	check(block != NULL);
	if (len > 0)
		memcpy(block, data, len);
	size_t size = 0;
	int outcome = read(r, block, len, &size);
	if (outcome == RESP_DONE) {
		check(size > 0 && size <= len);
		log_size(log, size);
		log_reply(log, &r->reply);
	}
	free(block);
	return outcome;
}

typedef size_t piece_fn(const uint8_t *data, size_t size, size_t at);

static size_t piece_whole(const uint8_t *data, size_t size, size_t at)
{
	(void)data;
	return size - at;
}

static size_t piece_byte(const uint8_t *data, size_t size, size_t at)
{
	(void)data;
	(void)size;
	(void)at;
	return 1;
}

static size_t piece_mixed(const uint8_t *data, size_t size, size_t at)
{
	return 1 + data[(at * 31 + size) % size] % 16;
}

static size_t last_size(const struct buf *log, size_t start)
{
	size_t size;
	memcpy(&size, buf_head(log) + start, sizeof(size));
	return size;
}

/* Appends to `log` everything that the reader tells about the input. `more` reads a piece that is not the
 * first. */
static void run(const uint8_t *data, size_t size, piece_fn *piece, read_fn *more, struct buf *log)
{
	struct resp_reader r;
	resp_reader_init(&r);
	size_t consumed = 0, avail = 0;
	int outcome = RESP_DONE;
	while (outcome != RESP_BAD && avail < size) {
		size_t step = piece(data, size, avail);
		avail = step < size - avail ? avail + step : size;
		do {
			size_t start = buf_len(log);
			read_fn *read = outcome == RESP_MORE ? more : resp_read;
			outcome = read_exact(&r, read, data + consumed, avail - consumed, log);
			if (outcome == RESP_DONE)
				consumed += last_size(log, start);
		} while (outcome == RESP_DONE);
		check(outcome == RESP_MORE || outcome == RESP_BAD);
	}
	log_size(log, (size_t)outcome);
	log_size(log, consumed);
	if (outcome == RESP_BAD)
		buf_append(log, r.error, strlen(r.error));
	resp_reader_fini(&r);
}

static void check_cuts(const uint8_t *data, size_t size)
{
	static const struct {
		piece_fn *piece;
		read_fn *more;
	} CUTS[] = {{piece_byte, resp_read_more}, {piece_mixed, resp_read_more}, {piece_mixed, resp_read}};
	struct buf whole = BUF_INIT;
	run(data, size, piece_whole, resp_read_more, &whole);
	for (size_t i = 0; i < sizeof(CUTS) / sizeof(CUTS[0]); i++) {
		struct buf log = BUF_INIT;
		run(data, size, CUTS[i].piece, CUTS[i].more, &log);
		check_same(&log, &whole);
		buf_fini(&log);
	}
	buf_fini(&whole);
}

/* ---- written and read back ---- */

/* The input as a list of calls: what is left of it, what they wrote, and what must be read from that. */
struct script {
	const uint8_t *at, *end;
	int proto;
	struct buf wire, expected;
};

static uint8_t next_byte(struct script *s)
{
	return s->at < s->end ? *s->at++ : 0;
}

static struct slice next_bytes(struct script *s)
{
	size_t len = next_byte(s) % 40, left = (size_t)(s->end - s->at);
	struct slice bytes = {(const char *)s->at, len < left ? len : left};
	s->at += bytes.len;
	return bytes;
}

static int64_t next_i64(struct script *s)
{
	uint64_t v = 0;
	struct slice bytes = next_bytes(s);
	for (size_t i = 0; i < bytes.len; i++)
		v = v << 8 | (uint8_t)bytes.data[i];
	return (int64_t)v;
}

static void expect(struct script *s, enum resp_type type, struct slice str, int64_t i64, size_t count)
{
	log_item(&s->expected, type, str, i64, count);
}

static const struct slice NONE = {NULL, 0};

static void put_error(struct script *s)
{
	char text[64] = "", shown[64];
	struct slice bytes = next_bytes(s);
	memcpy(text, bytes.data, bytes.len);
	for (size_t i = 0; i < sizeof(text); i++)
		shown[i] = (char)(text[i] == '\r' || text[i] == '\n' ? ' ' : text[i]);
	resp_put_error(&s->wire, text);
	expect(s, RESP_ERROR, slice_str(shown), 0, 0);
	resp_put_errorf(&s->wire, "%s", text);
	expect(s, RESP_ERROR, slice_str(shown), 0, 0);
}

static void put_bulks(struct script *s)
{
	struct slice bytes = next_bytes(s);
	resp_put_bulk(&s->wire, bytes.data, bytes.len);
	expect(s, RESP_BULK, bytes, 0, 0);
	resp_put_verbatim(&s->wire, s->proto, bytes.data, bytes.len);
	expect(s, s->proto == 3 ? RESP_VERBATIM : RESP_BULK, bytes, 0, 0);
}

static void put_integers(struct script *s)
{
	int64_t v = next_i64(s);
	char digits[NUM_I64_CHARS_MAX];
	size_t len = num_format_i64(digits, v);
	resp_put_int(&s->wire, v);
	expect(s, RESP_INT, NONE, v, 0);
	resp_put_bulk_i64(&s->wire, v);
	expect(s, RESP_BULK, (struct slice){digits, len}, 0, 0);
}

static void put_constants(struct script *s)
{
	bool v = next_byte(s) & 1;
	resp_put_null(&s->wire, s->proto);
	resp_put_null_array(&s->wire, s->proto);
	expect(s, RESP_NULL, NONE, 0, 0);
	expect(s, RESP_NULL, NONE, 0, 0);
	resp_put_bool(&s->wire, s->proto, v);
	expect(s, s->proto == 3 ? RESP_BOOL : RESP_INT, NONE, v, 0);
	resp_put_simple(&s->wire, "OK");
	expect(s, RESP_SIMPLE, slice_str("OK"), 0, 0);
}

/* Every scalar call above writes two replies, or four, so that an aggregate of `calls` of them has a known
 * size. */
enum call { CALL_ERROR, CALL_BULKS, CALL_INTEGERS, CALL_CONSTANTS, CALL_COUNT };

static size_t put_scalars(struct script *s, enum call call)
{
	switch (call) {
	case CALL_ERROR: put_error(s); return 2;
	case CALL_BULKS: put_bulks(s); return 2;
	case CALL_INTEGERS: put_integers(s); return 2;
	default: put_constants(s); return 4;
	}
}

/* An aggregate that holds one call's replies, in `depth` arrays. */
static void put_aggregate(struct script *s, enum call call)
{
	bool is_3 = s->proto == 3;
	size_t count = call == CALL_CONSTANTS ? 4 : 2, depth = next_byte(s) % RESP_DEPTH_MAX;
	for (size_t i = 0; i < depth; i++) {
		resp_put_array(&s->wire, 1);
		expect(s, RESP_ARRAY, NONE, 0, 1);
	}
	switch (next_byte(s) % 3) {
	case 0:
		resp_put_array(&s->wire, count);
		expect(s, RESP_ARRAY, NONE, 0, count);
		break;
	case 1:
		resp_put_map(&s->wire, s->proto, count / 2);
		expect(s, is_3 ? RESP_MAP : RESP_ARRAY, NONE, 0, count);
		break;
	default:
		resp_put_set(&s->wire, s->proto, count);
		expect(s, is_3 ? RESP_SET : RESP_ARRAY, NONE, 0, count);
		break;
	}
	check(put_scalars(s, call) == count);
}

static void put_request(struct script *s)
{
	struct slice argv[3];
	size_t argc = next_byte(s) % 4;
	expect(s, RESP_ARRAY, NONE, 0, argc);
	for (size_t i = 0; i < argc; i++) {
		argv[i] = next_bytes(s);
		expect(s, RESP_BULK, argv[i], 0, 0);
	}
	resp_put_request(&s->wire, argc, argv);
}

static void read_back(struct script *s)
{
	struct resp_reader r;
	struct buf read = BUF_INIT;
	resp_reader_init(&r);
	while (buf_len(&s->wire) > 0) {
		size_t size;
		check(resp_read(&r, buf_head(&s->wire), buf_len(&s->wire), &size) == RESP_DONE);
		log_reply(&read, &r.reply);
		buf_consume(&s->wire, size);
	}
	check_same(&read, &s->expected);
	resp_reader_fini(&r);
	buf_fini(&read);
}

static void check_written(const uint8_t *data, size_t size, int proto)
{
	struct script s = {.at = data, .end = data + size, .proto = proto};
	while (s.at < s.end) {
		uint8_t what = next_byte(&s);
		enum call call = (enum call)(what % CALL_COUNT);
		if (what & 0x40)
			put_aggregate(&s, call);
		else if (what & 0x80)
			put_request(&s);
		else
			put_scalars(&s, call);
	}
	read_back(&s);
	buf_fini(&s.wire);
	buf_fini(&s.expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_cuts(data, size);
	if (size > 0) {
		check_written(data, size, 2);
		check_written(data, size, 3);
	}
	return 0;
}
