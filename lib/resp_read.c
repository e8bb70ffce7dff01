/* SPDX-License-Identifier: MIT */
/*
 * resp_read.c - replies in, in two passes. The first measures: it checks every byte, counts the elements, and
 * keeps only offsets, so it can go on where the last fragment ended. The second builds the tree once all
 * bytes are there, in one array of exactly the size that is needed: an announced count alone costs no memory.
 */
#include "resp.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "num.h"

enum {
	LINE_MAX_BYTES = 64 << 10,  /* a status, an error, a number */
	BULK_MAX_BYTES = 512 << 20, /* as in Redis */
	NODES_KEEP = 1024,	    /* 48 KiB; a larger tree is given back before the next reply */
};

void resp_reader_init(struct resp_reader *r)
{
	*r = (struct resp_reader){0};
}

void resp_reader_fini(struct resp_reader *r)
{
	free(r->nodes);
	resp_reader_init(r);
}

static int bad(struct resp_reader *r, const char *error)
{
	r->error = error;
	return RESP_BAD;
}

/* ---- one item: a scalar with its content, or the header of an aggregate ---- */

enum shape { SHAPE_UNKNOWN, SHAPE_LINE, SHAPE_BULK, SHAPE_AGGREGATE };

struct kind {
	enum shape shape;
	enum resp_type type;
};

static struct kind kind_of(char type)
{
	switch (type) {
	case '+': return (struct kind){SHAPE_LINE, RESP_SIMPLE};
	case '-': return (struct kind){SHAPE_LINE, RESP_ERROR};
	case ':': return (struct kind){SHAPE_LINE, RESP_INT};
	case '_': return (struct kind){SHAPE_LINE, RESP_NULL};
	case '#': return (struct kind){SHAPE_LINE, RESP_BOOL};
	case ',': return (struct kind){SHAPE_LINE, RESP_DOUBLE};
	case '(': return (struct kind){SHAPE_LINE, RESP_BIGNUM};
	case '$': return (struct kind){SHAPE_BULK, RESP_BULK};
	case '!': return (struct kind){SHAPE_BULK, RESP_ERROR};
	case '=': return (struct kind){SHAPE_BULK, RESP_VERBATIM};
	case '*': return (struct kind){SHAPE_AGGREGATE, RESP_ARRAY};
	case '%': return (struct kind){SHAPE_AGGREGATE, RESP_MAP};
	case '~': return (struct kind){SHAPE_AGGREGATE, RESP_SET};
	case '>': return (struct kind){SHAPE_AGGREGATE, RESP_PUSH};
	default: return (struct kind){SHAPE_UNKNOWN, RESP_NULL};
	}
}

/* An item being read: what is there, and what came of it. */
struct item {
	const char *at;	       /* its type byte */
	size_t avail;	       /* bytes there, the type byte included */
	size_t scanned;	       /* of them, known to hold no whole line end */
	struct slice line;     /* behind the type byte, without "\r\n" */
	size_t size;	       /* RESP_DONE: bytes of the item (of an aggregate: of its header) */
	struct resp_reply out; /* RESP_DONE; elements not set */
};

static int find_line(struct resp_reader *r, struct item *it)
{
	size_t limit = LINE_MAX_BYTES + 1;
	size_t stop = it->avail < limit ? it->avail : limit;
	const char *cr = it->scanned < stop ? memchr(it->at + it->scanned, '\r', stop - it->scanned) : NULL;
	if (!cr) {
		it->scanned = stop;
		return stop == limit ? bad(r, "a line of the reply is longer than 64 KiB") : RESP_MORE;
	}
	it->scanned = (size_t)(cr - it->at);
	if (it->avail - it->scanned < 2)
		return RESP_MORE;
	if (cr[1] != '\n')
		return bad(r, "a line of the reply has a CR without LF");
	it->line = (struct slice){it->at + 1, it->scanned - 1};
	it->size = it->scanned + 2;
	return RESP_DONE;
}

/* An optional sign and one digit or more. */
static bool is_integer_text(struct slice s)
{
	size_t i = s.len > 0 && (s.data[0] == '-' || s.data[0] == '+');
	if (i == s.len)
		return false;
	while (i < s.len && s.data[i] >= '0' && s.data[i] <= '9')
		i++;
	return i == s.len;
}

static int take_bool(struct resp_reader *r, struct item *it)
{
	if (it->line.len != 1 || (it->line.data[0] != 't' && it->line.data[0] != 'f'))
		return bad(r, "the reply has a boolean other than t and f");
	it->out.i64 = it->line.data[0] == 't';
	return RESP_DONE;
}

static int take_line(struct resp_reader *r, struct item *it)
{
	switch (it->out.type) {
	case RESP_INT:
		if (!num_parse_i64_loose(it->line, &it->out.i64))
			return bad(r, "the reply has an integer that is none, or needs more than 64 bits");
		return RESP_DONE;
	case RESP_BOOL: return take_bool(r, it);
	case RESP_NULL:
		if (it->line.len != 0)
			return bad(r, "the reply has a null with content");
		return RESP_DONE;
	case RESP_DOUBLE:
		if (it->line.len == 0)
			return bad(r, "the reply has a double without digits");
		break;
	case RESP_BIGNUM:
		if (!is_integer_text(it->line))
			return bad(r, "the reply has a big number that is none");
		break;
	default: break;
	}
	it->out.str = it->line;
	return RESP_DONE;
}

static int take_bulk(struct resp_reader *r, struct item *it)
{
	int64_t len;
	if (!num_parse_i64(it->line, &len) || len < -1 || len > BULK_MAX_BYTES)
		return bad(r, "the reply has an invalid bulk length");
	if (len == -1) {
		if (it->out.type != RESP_BULK)
			return bad(r, "the reply has an invalid bulk length");
		it->out.type = RESP_NULL;
		return RESP_DONE;
	}
	size_t content = it->size;
	it->size += (size_t)len + 2;
	if (it->avail < it->size)
		return RESP_MORE;
	if (memcmp(it->at + it->size - 2, "\r\n", 2) != 0)
		return bad(r, "a bulk of the reply does not end where its length says");
	it->out.str = (struct slice){it->at + content, (size_t)len};
	if (it->out.type != RESP_VERBATIM)
		return RESP_DONE;
	if (len < 4 || it->out.str.data[3] != ':')
		return bad(r, "a verbatim string of the reply does not name its format");
	it->out.str.data += 4;
	it->out.str.len -= 4;
	return RESP_DONE;
}

static int take_count(struct resp_reader *r, struct item *it)
{
	int64_t count;
	if (!num_parse_i64(it->line, &count) || count > INT32_MAX)
		return bad(r, "the reply has an invalid number of elements");
	if (count == -1 && it->out.type == RESP_ARRAY) {
		it->out.type = RESP_NULL;
		return RESP_DONE;
	}
	if (count < 0)
		return bad(r, "the reply has an invalid number of elements");
	it->out.count = (size_t)count * (it->out.type == RESP_MAP ? 2 : 1);
	return RESP_DONE;
}

/* The type byte is judged first, so that whatever is no RESP at all is found out at once. */
static int read_item(struct resp_reader *r, struct item *it)
{
	if (it->avail == 0)
		return RESP_MORE;
	struct kind kind = kind_of(it->at[0]);
	if (kind.shape == SHAPE_UNKNOWN)
		return bad(r, "the reply has an element of unknown type");
	it->out = (struct resp_reply){.type = kind.type};
	int outcome = find_line(r, it);
	if (outcome != RESP_DONE)
		return outcome;
	switch (kind.shape) {
	case SHAPE_BULK: return take_bulk(r, it);
	case SHAPE_AGGREGATE: return take_count(r, it);
	default: return take_line(r, it);
	}
}

/* ---- first pass: where does the reply end, and how many elements has it ---- */

/* Closes every aggregate whose last element has just ended. */
static void close_full(struct resp_reader *r)
{
	while (r->depth > 0 && --r->left[r->depth - 1] == 0)
		r->depth--;
}

static int open_aggregate(struct resp_reader *r, size_t count)
{
	if (r->depth == RESP_DEPTH_MAX)
		return bad(r, "the reply is nested too deeply");
	r->left[r->depth++] = count;
	r->nodes_count += count;
	return RESP_DONE;
}

static int measure(struct resp_reader *r, const char *data, size_t len)
{
	do {
		struct item it = {.at = data + r->pos, .avail = len - r->pos, .scanned = r->scanned};
		int outcome = read_item(r, &it);
		if (outcome != RESP_DONE) {
			r->scanned = it.scanned;
			return outcome;
		}
		r->pos += it.size;
		r->scanned = 0;
		if (it.out.count > 0) {
			outcome = open_aggregate(r, it.out.count);
			if (outcome != RESP_DONE)
				return outcome;
		} else {
			close_full(r);
			r->reply =
				it.out; /* the result when it is the only item, else overwritten by build */
		}
	} while (r->depth > 0);
	return RESP_DONE;
}

/* ---- second pass: the tree ---- */

static int reserve_nodes(struct resp_reader *r)
{
	if (r->nodes_count <= r->nodes_cap)
		return 0;
	free(r->nodes);
	r->nodes_cap = 0;
	r->nodes = calloc(r->nodes_count, sizeof(*r->nodes));
	if (!r->nodes)
		return -ENOMEM;
	r->nodes_cap = r->nodes_count;
	return 0;
}

struct builder {
	struct resp_reader *reader;
	const char *at, *end;
	struct resp_reply *free_nodes;
};

/* Recursion ends at RESP_DEPTH_MAX, which the first pass has checked. */
static struct resp_reply build(struct builder *b)
{
	struct item it = {.at = b->at, .avail = (size_t)(b->end - b->at)};
	int outcome = read_item(b->reader, &it);
	assert(outcome == RESP_DONE);
	(void)outcome;
	b->at += it.size;
	if (it.out.count == 0)
		return it.out;
	/* The whole run is taken before any child takes nodes for its own: elements lie side by side. */
	it.out.elements = b->free_nodes;
	b->free_nodes += it.out.count;
	for (size_t i = 0; i < it.out.count; i++)
		it.out.elements[i] = build(b);
	return it.out;
}

/* ---- one reply ---- */

static void drop_large_tree(struct resp_reader *r)
{
	if (r->nodes_cap <= NODES_KEEP)
		return;
	free(r->nodes);
	r->nodes = NULL;
	r->nodes_cap = 0;
}

int resp_read_more(struct resp_reader *r, const char *data, size_t len, size_t *size_bytes)
{
	assert(len >= r->pos + r->scanned);
	if (len == 0)
		return RESP_MORE;
	int outcome = measure(r, data, len);
	if (outcome != RESP_DONE)
		return outcome;
	if (r->nodes_count > 0) {
		outcome = reserve_nodes(r);
		if (outcome < 0)
			return outcome;
		struct builder b = {r, data, data + r->pos, r->nodes};
		r->reply = build(&b);
	}
	*size_bytes = r->pos;
	return RESP_DONE;
}

int resp_read(struct resp_reader *r, const char *data, size_t len, size_t *size_bytes)
{
	r->pos = r->scanned = r->nodes_count = 0;
	r->depth = 0;
	drop_large_tree(r);
	return resp_read_more(r, data, len, size_bytes);
}
