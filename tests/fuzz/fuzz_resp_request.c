/* SPDX-License-Identifier: MIT */
/*
 * Goal: the request parser gives the same requests, sizes and error texts however the input is cut, and reads
 * no byte that it was not given. The parser for short requests takes none for another.
 *
 * Method: the input is parsed whole, byte by byte, and in pieces whose sizes are taken from its own bytes.
 * Each call gets a heap block of exactly the size it is told, so that the address sanitizer sees a read
 * beyond it.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/buf.h"
#include "../../lib/resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void log_size(struct buf *log, size_t v)
{
	buf_append(log, &v, sizeof(v));
}

static void log_request(struct buf *log, const struct resp_parser *p)
{
	log_size(log, p->size_bytes);
	log_size(log, p->argc);
	for (size_t i = 0; i < p->argc; i++) {
		log_size(log, p->argv[i].len);
		buf_append(log, p->argv[i].data, p->argv[i].len);
	}
}

static int parse_exact(struct resp_parser *p, const uint8_t *data, size_t len, struct buf *log)
{
	char *block = malloc(len ? len : 1);
	check(block != NULL);
	if (len > 0)
		memcpy(block, data, len);
	bool is_between = resp_parser_is_between(p);
	struct slice argv[RESP_SHORT_ARGS];
	size_t argc = 0, size = is_between ? resp_parse_short(block, len, argv, &argc) : 0;
	int r = resp_parse(p, block, len);
	if (size) { /* the same request */
		check(r == RESP_DONE && p->size_bytes == size && p->argc == argc);
		for (size_t i = 0; i < argc; i++)
			check(p->argv[i].data == argv[i].data && p->argv[i].len == argv[i].len);
	}
	if (r == RESP_DONE) {
		check(p->size_bytes > 0 && p->size_bytes <= len);
		log_request(log, p);
	}
	free(block);
	return r;
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

/* Appends to `log` everything that the parser tells about the input. */
static void run(const uint8_t *data, size_t size, piece_fn *piece, struct buf *log)
{
	struct resp_parser p;
	resp_parser_init(&p);
	size_t consumed = 0, avail = 0;
	int r = RESP_MORE;
	while (r == RESP_MORE && avail < size) {
		size_t step = piece(data, size, avail);
		avail = step < size - avail ? avail + step : size;
		do {
			r = parse_exact(&p, data + consumed, avail - consumed, log);
			if (r == RESP_DONE)
				consumed += p.size_bytes;
		} while (r == RESP_DONE);
	}
	check(r == RESP_MORE || r == RESP_BAD);
	log_size(log, (size_t)r);
	log_size(log, consumed);
	if (r == RESP_BAD)
		buf_append(log, p.error, strlen(p.error));
	resp_parser_fini(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	piece_fn *const cut[] = {piece_byte, piece_mixed};
	struct buf whole = BUF_INIT;
	run(data, size, piece_whole, &whole);
	for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
		struct buf log = BUF_INIT;
		run(data, size, cut[i], &log);
		check(buf_len(&log) == buf_len(&whole));
		check(memcmp(buf_head(&log), buf_head(&whole), buf_len(&log)) == 0);
		buf_fini(&log);
	}
	buf_fini(&whole);
	return 0;
}
