/* SPDX-License-Identifier: MIT */
/*
 * resp_put.c - replies and requests out. Every writer reserves once for all it writes: after that it cannot
 * fail, and a buffer that is out of memory never holds half a reply.
 */
#include "resp.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "num.h"

enum { HEADER_MAX = 1 + NUM_I64_CHARS_MAX + 2 }; /* "$123\r\n" */

static inline char *put_crlf(char *at)
{
	memcpy(at, "\r\n", 2);
	return at + 2;
}

/* A type byte and a number. The caller has reserved HEADER_MAX bytes. */
static inline char *put_header(char *at, char type, int64_t v)
{
	*at++ = type;
	at += num_format_i64(at, v);
	return put_crlf(at);
}

static inline char *put_bytes(char *at, const void *data, size_t len)
{
	if (len > 0)
		memcpy(at, data, len);
	return at + len;
}

static inline void commit_to(struct buf *b, const char *end)
{
	buf_commit(b, (size_t)(end - (b->data + b->tail)));
}

static void put_header_only(struct buf *b, char type, int64_t v)
{
	char *at = buf_reserve(b, HEADER_MAX);
	if (at)
		commit_to(b, put_header(at, type, v));
}

void resp_put_simple(struct buf *b, const char *s)
{
	size_t len = strlen(s);
	char *at = buf_reserve(b, 1 + len + 2);
	if (!at)
		return;
	*at++ = '+';
	at = put_bytes(at, s, len);
	commit_to(b, put_crlf(at));
}

/* A line break in the text would end the reply early, and the rest would be read as replies of their own. */
static void blank_line_breaks(char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\r' || s[i] == '\n')
			s[i] = ' ';
	}
}

void resp_put_error(struct buf *b, const char *s)
{
	size_t len = strlen(s);
	char *at = buf_reserve(b, 1 + len + 2);
	if (!at)
		return;
	*at++ = '-';
	put_bytes(at, s, len);
	blank_line_breaks(at, len);
	commit_to(b, put_crlf(at + len));
}

void resp_put_errorf(struct buf *b, const char *fmt, ...)
{
	va_list args, again;
	va_start(args, fmt);
	va_copy(again, args);
	int wanted = vsnprintf(NULL, 0, fmt, args);
	size_t len = wanted < 0 ? 0 : (size_t)wanted;
	char *at = buf_reserve(b, 1 + len + 1 + 2); /* vsnprintf wants room for a NUL */
	if (at) {
		*at++ = '-';
		vsnprintf(at, len + 1, fmt, again);
		blank_line_breaks(at, len);
		commit_to(b, put_crlf(at + len));
	}
	va_end(again);
	va_end(args);
}

void resp_put_int(struct buf *b, int64_t v)
{
	put_header_only(b, ':', v);
}

enum { INT_ROOM = 24 }; /* for ":1\r\n": HEADER_MAX, in whole words */

/* Copies the reply at `last`, `len` bytes, and makes it one more: of ten, nine differ in the last digit only.
 * Null: this one does not. */
static inline char *put_next(char *at, const char *last, size_t len)
{
	char copy[INT_ROOM]; /* all of it, whatever len: two loads and two stores; the places overlap */
	if (last[len - 3] == '9' || last[1] == '-')
		return NULL;
	memcpy(copy, last, INT_ROOM);
	memcpy(at, copy, INT_ROOM);
	at[len - 3]++;
	return at + len;
}

void resp_put_ints(struct buf *b, int64_t first, int64_t step, size_t count)
{
	char *last = buf_reserve(b, (count + 1) * INT_ROOM), *at, *next;
	if (!last)
		return;
	at = put_header(last, ':', first);
	for (size_t i = 1; i < count; i++) {
		next = step == 1 ? put_next(at, last, (size_t)(at - last)) : NULL;
		last = at;
		at = next ? next : put_header(at, ':', (int64_t)((uint64_t)first + i * (uint64_t)step));
	}
	commit_to(b, at);
}

/* The caller has reserved HEADER_MAX + len + 2 bytes. */
static inline char *put_bulk(char *at, const void *data, size_t len)
{
	at = put_header(at, '$', (int64_t)len);
	at = put_bytes(at, data, len);
	return put_crlf(at);
}

void resp_put_bulk(struct buf *b, const void *data, size_t len)
{
	char *at = buf_reserve(b, HEADER_MAX + len + 2);
	if (at)
		commit_to(b, put_bulk(at, data, len));
}

void resp_put_bulk_str(struct buf *b, const char *s)
{
	resp_put_bulk(b, s, strlen(s));
}

void resp_put_bulk_i64(struct buf *b, int64_t v)
{
	char digits[NUM_I64_CHARS_MAX];
	size_t len = num_format_i64(digits, v);
	char *at = buf_reserve(b, HEADER_MAX + NUM_I64_CHARS_MAX + 2);
	if (at)
		commit_to(b, put_bulk(at, digits, len));
}

void resp_put_verbatim(struct buf *b, int proto, const void *data, size_t len)
{
	if (proto < 3) {
		resp_put_bulk(b, data, len);
		return;
	}
	char *at = buf_reserve(b, HEADER_MAX + 4 + len + 2);
	if (!at)
		return;
	at = put_header(at, '=', (int64_t)len + 4);
	at = put_bytes(at, "txt:", 4);
	at = put_bytes(at, data, len);
	commit_to(b, put_crlf(at));
}

void resp_put_null(struct buf *b, int proto)
{
	if (proto < 3)
		buf_append(b, "$-1\r\n", 5);
	else
		buf_append(b, "_\r\n", 3);
}

void resp_put_null_array(struct buf *b, int proto)
{
	if (proto < 3)
		buf_append(b, "*-1\r\n", 5);
	else
		buf_append(b, "_\r\n", 3);
}

void resp_put_bool(struct buf *b, int proto, bool v)
{
	if (proto < 3)
		buf_append(b, v ? ":1\r\n" : ":0\r\n", 4);
	else
		buf_append(b, v ? "#t\r\n" : "#f\r\n", 4);
}

void resp_put_array(struct buf *b, size_t count)
{
	put_header_only(b, '*', (int64_t)count);
}

void resp_put_map(struct buf *b, int proto, size_t pairs)
{
	if (proto < 3)
		put_header_only(b, '*', (int64_t)pairs * 2);
	else
		put_header_only(b, '%', (int64_t)pairs);
}

void resp_put_set(struct buf *b, int proto, size_t count)
{
	put_header_only(b, proto < 3 ? '*' : '~', (int64_t)count);
}

void resp_put_request(struct buf *b, size_t argc, const struct slice *argv)
{
	size_t len = HEADER_MAX;
	for (size_t i = 0; i < argc; i++)
		len += HEADER_MAX + argv[i].len + 2;
	char *at = buf_reserve(b, len);
	if (!at)
		return;
	at = put_header(at, '*', (int64_t)argc);
	for (size_t i = 0; i < argc; i++)
		at = put_bulk(at, argv[i].data, argv[i].len);
	commit_to(b, at);
}
