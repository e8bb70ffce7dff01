/* SPDX-License-Identifier: MIT */
/*
 * resp_request.c - requests in, as redis-server 7.0 reads them (its networking.c, and sdssplitargs for inline
 * lines): the same requests are taken and the same words refuse the others, so that clients see no
 * difference.
 *
 * Everything that outlives a call is an offset from the start of the request, because the bytes may move
 * between calls. Offsets become pointers once, when the request is whole.
 */
#include "resp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "num.h"

enum {
	ARGV_CAP_MIN = 16,
	ARGV_CAP_KEEP = 4096, /* 64 KiB; beyond it an idle connection gives the memory back */
	INLINE_CAP_KEEP = 1024,
};

void resp_parser_init(struct resp_parser *p)
{
	*p = (struct resp_parser){.args_left = -1, .bulk_len = -1};
}

void resp_parser_fini(struct resp_parser *p)
{
	free(p->argv);
	free(p->inline_buf);
	resp_parser_init(p);
}

static int bad(struct resp_parser *p, const char *error)
{
	p->error = error;
	return RESP_BAD;
}

/* ---- arguments ---- */

static int argv_grow(struct resp_parser *p)
{
	size_t cap = p->argv_cap ? p->argv_cap * 2 : ARGV_CAP_MIN;
	struct slice *argv = realloc(p->argv, cap * sizeof(*argv));
	if (!argv)
		return -ENOMEM;
	p->argv = argv;
	p->argv_cap = cap;
	return 0;
}

/* Room grows with what has arrived, not with what a header announces: 15 bytes must not cost 16 MiB. */
static inline int argv_add(struct resp_parser *p, size_t offset, size_t len)
{
	if (p->argc == p->argv_cap) {
		int r = argv_grow(p);
		if (r < 0)
			return r;
	}
	p->argv[p->argc++] = (struct slice){.data = (const char *)(uintptr_t)offset, .len = len};
	return 0;
}

static int done(struct resp_parser *p, const char *base, size_t size_bytes)
{
	for (size_t i = 0; i < p->argc; i++)
		p->argv[i].data = base + (uintptr_t)p->argv[i].data;
	p->size_bytes = size_bytes;
	p->line = p->pos = 0;
	p->args_left = p->bulk_len = -1;
	return RESP_DONE;
}

/* Huge requests are rare: their memory goes when the next one is asked for, which is also when the caller
 * finds its buffer empty. */
static inline void start(struct resp_parser *p)
{
	p->argc = 0;
	if (p->argv_cap > ARGV_CAP_KEEP) {
		free(p->argv);
		p->argv = NULL;
		p->argv_cap = 0;
	}
	if (p->inline_cap > INLINE_CAP_KEEP) {
		free(p->inline_buf);
		p->inline_buf = NULL;
		p->inline_cap = 0;
	}
}

/* ---- headers: "*2\r\n", "$16\r\n" ---- */

/* The common case: one to three digits, all of it there. Returns the bytes of the line, or 0 for the long
 * way. */
static inline size_t short_header(const char *line, size_t avail, int64_t *value)
{
	enum { SHORT_MAX = 6 }; /* "$123\r\n" */
	if (avail < SHORT_MAX)
		return 0;
	unsigned v = (unsigned)(unsigned char)line[1] - '0';
	if (v - 1 > 8) /* '0' may begin "00" */
		return 0;
	size_t at = 2;
	for (; at < 4 && line[at] != '\r'; at++) {
		unsigned digit = (unsigned)(unsigned char)line[at] - '0';
		if (digit > 9)
			return 0;
		v = v * 10 + digit;
	}
	if (line[at] != '\r')
		return 0;
	*value = v;
	return at + 2;
}

/* Finds the '\r' of the line at p->line. As in Redis the byte behind it is taken for '\n' unseen. Sets *end
 * behind the line on RESP_DONE. */
static int find_line_end(struct resp_parser *p, const char *data, size_t len, const char *too_big,
			 size_t *end)
{
	size_t limit = p->line + RESP_INLINE_MAX + 1;
	size_t stop = len < limit ? len : limit;
	const char *cr = p->pos < stop ? memchr(data + p->pos, '\r', stop - p->pos) : NULL;
	if (!cr) {
		p->pos = stop;
		return stop == limit ? bad(p, too_big) : RESP_MORE;
	}
	p->pos = (size_t)(cr - data);
	if (len - p->pos < 2)
		return RESP_MORE;
	*end = p->pos + 2;
	return RESP_DONE;
}

static inline bool header_value(struct resp_parser *p, const char *data, size_t end, int64_t *value)
{
	struct slice digits = {data + p->line + 1, end - 2 - (p->line + 1)};
	return num_parse_i64(digits, value);
}

static void next_line(struct resp_parser *p, size_t offset)
{
	p->line = p->pos = offset;
}

static int array_header_slow(struct resp_parser *p, const char *data, size_t len)
{
	size_t end;
	int r = find_line_end(p, data, len, "Protocol error: too big mbulk count string", &end);
	if (r != RESP_DONE)
		return r;
	int64_t count;
	if (!header_value(p, data, end, &count) || count > RESP_ARGS_MAX)
		return bad(p, "Protocol error: invalid multibulk length");
	p->args_left = count > 0 ? count : 0;
	next_line(p, end);
	return RESP_DONE;
}

static int expected_dollar(struct resp_parser *p, unsigned char got)
{
	if (got >= 0x20 && got < 0x7f)
		snprintf(p->error_buf, sizeof(p->error_buf), "Protocol error: expected '$', got '%c'", got);
	else
		snprintf(p->error_buf, sizeof(p->error_buf), "Protocol error: expected '$', got '\\x%02x'",
			 got);
	return bad(p, p->error_buf);
}

static int bulk_header_slow(struct resp_parser *p, const char *data, size_t len)
{
	size_t end;
	int r = find_line_end(p, data, len, "Protocol error: too big bulk count string", &end);
	if (r != RESP_DONE)
		return r;
	if (data[p->line] != '$')
		return expected_dollar(p, (unsigned char)data[p->line]);
	int64_t bulk_len;
	if (!header_value(p, data, end, &bulk_len) || bulk_len < 0 || bulk_len > RESP_BULK_MAX)
		return bad(p, "Protocol error: invalid bulk length");
	p->bulk_len = bulk_len;
	next_line(p, end);
	return RESP_DONE;
}

/* ---- arrays of bulk strings ---- */

static inline int array_header(struct resp_parser *p, const char *data, size_t len)
{
	size_t size = p->pos == 0 ? short_header(data, len, &p->args_left) : 0;
	if (size == 0)
		return array_header_slow(p, data, len);
	next_line(p, size);
	return RESP_DONE;
}

static inline int bulk_header(struct resp_parser *p, const char *data, size_t len)
{
	const char *line = data + p->line;
	size_t size = p->pos == p->line && p->pos < len && *line == '$'
			      ? short_header(line, len - p->line, &p->bulk_len)
			      : 0;
	if (size == 0)
		return bulk_header_slow(p, data, len);
	next_line(p, p->line + size);
	return RESP_DONE;
}

static int parse_array(struct resp_parser *p, const char *data, size_t len)
{
	int r;
	if (p->args_left < 0) {
		r = array_header(p, data, len);
		if (r != RESP_DONE)
			return r;
	}
	for (; p->args_left > 0; p->args_left--) {
		if (p->bulk_len < 0) {
			r = bulk_header(p, data, len);
			if (r != RESP_DONE)
				return r;
		}
		size_t bulk_len = (size_t)p->bulk_len;
		if (len - p->pos < bulk_len + 2)
			return RESP_MORE;
		r = argv_add(p, p->pos, bulk_len);
		if (r < 0)
			return r;
		p->bulk_len = -1;
		next_line(p,
			  p->pos + bulk_len + 2); /* as in Redis, the two bytes are taken for "\r\n" unseen */
	}
	return done(p, data, p->pos);
}

/* ---- short requests ---- */

enum { SHORT_AVAIL = 6 }; /* bytes of "$123\r\n" */

/* Bytes of a header of one to three digits, SHORT_AVAIL of which may be looked at; 0: it is none. No loop: it
 * is half of the time of a request. */
static inline size_t short_bulk_header(const char *line, size_t *value)
{
	size_t first = (unsigned char)line[1] - (size_t)'0', second = (unsigned char)line[2] - (size_t)'0';
	if (line[0] != '$' || first - 1 > 8)
		return 0;
	*value = first;
	if (line[2] == '\r')
		return 4;
	*value = first * 10 + second;
	if (second > 9)
		return 0;
	if (line[3] == '\r')
		return 5;
	size_t third = (unsigned char)line[3] - (size_t)'0';
	*value = *value * 10 + third;
	return third <= 9 && line[4] == '\r' ? 6 : 0;
}

size_t resp_parse_short(const char *data, size_t len, struct slice argv[RESP_SHORT_ARGS], size_t *argc)
{
	if (len < 4 || data[0] != '*' || data[2] != '\r')
		return 0;
	size_t count = (unsigned char)data[1] - (size_t)'0', at = 4;
	if (count - 1 >= RESP_SHORT_ARGS)
		return 0;
	for (size_t i = 0; i < count; i++) {
		size_t bulk_len, header;
		if (len - at < SHORT_AVAIL || !(header = short_bulk_header(data + at, &bulk_len)))
			return 0;
		at += header;
		if (len - at < bulk_len + 2)
			return 0;
		argv[i] = (struct slice){data + at, bulk_len};
		at += bulk_len + 2;
	}
	*argc = count;
	return at;
}

/* ---- inline lines ---- */

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	char lower = (char)(c | 0x20);
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* What is left of the line, and where the unescaped bytes go (never more of them than were read). */
struct splitter {
	const char *at, *end;
	char *out;
};

static char unescaped(char c)
{
	switch (c) {
	case 'n': return '\n';
	case 'r': return '\r';
	case 't': return '\t';
	case 'b': return '\b';
	case 'a': return '\a';
	default: return c;
	}
}

/* Behind a '\' in double quotes, with at least one byte left. */
static void take_escape(struct splitter *s)
{
	if (s->at[0] == 'x' && s->end - s->at >= 3 && hex_value(s->at[1]) >= 0 && hex_value(s->at[2]) >= 0) {
		*s->out++ = (char)(hex_value(s->at[1]) * 16 + hex_value(s->at[2]));
		s->at += 3;
	} else {
		*s->out++ = unescaped(*s->at++);
	}
}

/* Behind an opening quote. False when the closing one is missing, or has something but a blank behind it. */
static bool take_quoted(struct splitter *s, char quote)
{
	while (s->at < s->end) {
		char c = *s->at++;
		if (c == quote)
			return s->at == s->end || is_blank(*s->at);
		if (c == '\\' && s->at < s->end && quote == '"')
			take_escape(s);
		else if (c == '\\' && s->at < s->end && *s->at == '\'')
			*s->out++ = *s->at++;
		else
			*s->out++ = c;
	}
	return false;
}

/* At the first byte of a word, which may be a quote or hold one later. False when quotes do not balance. */
static bool take_word(struct splitter *s)
{
	while (s->at < s->end) {
		char c = *s->at;
		if (c == ' ' || c == '\n' || c == '\r' || c == '\t')
			return true;
		s->at++;
		if (c == '"' || c == '\'')
			return take_quoted(s, c);
		*s->out++ = c;
	}
	return true;
}

static int inline_reserve(struct resp_parser *p, size_t len)
{
	if (p->inline_cap >= len)
		return 0;
	size_t cap = p->inline_cap ? p->inline_cap : 64;
	while (cap < len)
		cap *= 2;
	free(p->inline_buf);
	p->inline_buf = malloc(cap);
	p->inline_cap = p->inline_buf ? cap : 0;
	return p->inline_buf ? 0 : -ENOMEM;
}

static int split_line(struct resp_parser *p, const char *line, size_t len)
{
	int r = inline_reserve(p, len + 1);
	if (r < 0)
		return r;
	struct splitter s = {line, line + len, p->inline_buf};
	p->argc = 0; /* another try after -ENOMEM begins with the first word */
	for (;;) {
		while (s.at < s.end && is_blank(*s.at))
			s.at++;
		if (s.at == s.end)
			return RESP_DONE;
		char *word = s.out;
		if (!take_word(&s))
			return bad(p, "Protocol error: unbalanced quotes in request");
		r = argv_add(p, (size_t)(word - p->inline_buf), (size_t)(s.out - word));
		if (r < 0)
			return r;
	}
}

static int parse_inline(struct resp_parser *p, const char *data, size_t len)
{
	enum { LIMIT = RESP_INLINE_MAX + 1 };
	size_t stop = len < LIMIT ? len : LIMIT;
	const char *lf = p->pos < stop ? memchr(data + p->pos, '\n', stop - p->pos) : NULL;
	if (!lf) {
		p->pos = stop;
		return stop == LIMIT ? bad(p, "Protocol error: too big inline request") : RESP_MORE;
	}
	p->pos = (size_t)(lf - data);
	size_t line_len = p->pos;
	if (line_len > 0 && data[line_len - 1] == '\r')
		line_len--;
	int r = split_line(p, data, line_len);
	return r == RESP_DONE ? done(p, p->inline_buf, p->pos + 1) : r;
}

/* ---- one request ---- */

int resp_parse(struct resp_parser *p, const char *data, size_t len)
{
	/* Nobody below sees more than the limit: so a request over it is refused however it is cut, and in
	 * front of any complaint about what lies behind the limit. */
	size_t seen = len <= RESP_REQUEST_MAX ? len : RESP_REQUEST_MAX;
	if (p->pos == 0)
		start(p);
	if (seen == 0)
		return RESP_MORE;
	int r = data[0] == '*' ? parse_array(p, data, seen) : parse_inline(p, data, seen);
	if (r == RESP_MORE && seen == RESP_REQUEST_MAX)
		return bad(p, "Protocol error: too big request");
	return r;
}
