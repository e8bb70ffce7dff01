/* SPDX-License-Identifier: MIT */
/*
 * resp.h - the Redis serialization protocol, versions 2 and 3: requests in, replies out, and replies in.
 * Source: https://redis.io/docs/latest/develop/reference/protocol-spec/ and the behaviour of
 * redis-server 7.0.
 *
 * Pure: takes bytes, gives structures; no sockets. An object belongs to one thread at a time.
 */
#ifndef SHC_RESP_H
#define SHC_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "slice.h"

/* Outcomes of the two parsers. -ENOMEM is the only negative one. */
enum {
	RESP_DONE = 0, /* one whole request or reply */
	RESP_MORE = 1, /* not whole yet: come again with the same bytes and more behind them */
	RESP_BAD = 2,  /* not RESP: `error` says what; the connection cannot go on */
};

/* ---- requests (the daemon's side) ---- */

/* Limits of one request; beyond them RESP_BAD with Redis's words. The last two are ours: nothing here is
 * longer than a name or an ECHO, and the last is what one connection may make us buffer. */
enum {
	RESP_INLINE_MAX = 64 << 10,  /* bytes of an inline line, and of a line with a length; as in Redis */
	RESP_ARGS_MAX = 1 << 20,     /* as in Redis before 7.0 */
	RESP_BULK_MAX = 1 << 20,     /* bytes of one argument; 512 MB in Redis */
	RESP_REQUEST_MAX = 64 << 20, /* bytes of all of it; 1 GB in Redis */
};

/* Incremental parser of one request after the other: an array of bulk strings, or an inline command (split as
 * in Redis, with "double" and 'single' quotes). Resumes where it stopped: no byte is looked at twice however
 * small the fragments. Empty lines and `*0`/`*-1` are whole requests with argc 0. */
struct resp_parser {
	/* results; valid after RESP_DONE until the next call of resp_parse or the bytes move */
	struct slice *argv; /* the parser's; data points into the caller's bytes (inline: into the parser) */
	size_t argc;
	size_t size_bytes; /* how many of the caller's bytes the request took */
	const char *error; /* after RESP_BAD: "Protocol error: ..."; static or the parser's */
	/* private */
	size_t argv_cap;
	size_t line;	   /* offset where the line being read begins */
	size_t pos;	   /* offset of the first byte not looked at */
	int64_t args_left; /* bulk strings still to come; -1 before the header */
	int64_t bulk_len;  /* length of the bulk being waited for; -1 before its header */
	char *inline_buf;  /* unescaped inline words */
	size_t inline_cap;
	char error_buf[64];
};

void resp_parser_init(struct resp_parser *p);
void resp_parser_fini(struct resp_parser *p);

/* Parses the request at data[0..len). After RESP_MORE the next call passes the same bytes (they may have
 * moved) with more behind them; after RESP_DONE the next call starts a new request at data + size_bytes.
 * After RESP_BAD the parser is only good for _fini. Returns an outcome or -ENOMEM. */
int resp_parse(struct resp_parser *p, const char *data, size_t len);

/* Is no request half read? */
static inline bool resp_parser_is_between(const struct resp_parser *p)
{
	return p->pos == 0;
}

/* A request of at most RESP_SHORT_ARGS words of 1 to 999 bytes that is there as a whole, for a parser that is
 * between two requests: what nearly all are, in a third of the time. Returns its size in bytes with the words
 * in argv[0..*argc); 0: not such a one, ask resp_parse(), which takes the same bytes for the same words. */
enum { RESP_SHORT_ARGS = 4 };
size_t resp_parse_short(const char *data, size_t len, struct slice argv[RESP_SHORT_ARGS], size_t *argc);

/* ---- replies out ---- */

/* All append to `b` (failure is sticky in b); `proto` is 2 or 3. Only whole replies are appended. */

/* +OK. `s` holds no CR or LF. */
void resp_put_simple(struct buf *b, const char *s);

/* "ERR text": the leading code included. CR and LF become blanks. */
void resp_put_error(struct buf *b, const char *s);
void resp_put_errorf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void resp_put_int(struct buf *b, int64_t v); /* :1 */
/* `count` of them, at least one: first, first + step, ... The last one fits 64 bits. */
void resp_put_ints(struct buf *b, int64_t first, int64_t step, size_t count);
void resp_put_bulk(struct buf *b, const void *data, size_t len);
void resp_put_bulk_str(struct buf *b, const char *s);
void resp_put_bulk_i64(struct buf *b, int64_t v); /* $1 7: what GET answers */

/* =6 txt:hi, or a bulk in RESP2. */
void resp_put_verbatim(struct buf *b, int proto, const void *data, size_t len);

void resp_put_null(struct buf *b, int proto);	      /* $-1 or _ */
void resp_put_null_array(struct buf *b, int proto);   /* *-1 or _ */
void resp_put_bool(struct buf *b, int proto, bool v); /* :1 or #t */

/* Headers; the caller puts the elements behind them. */
void resp_put_array(struct buf *b, size_t count);
void resp_put_map(struct buf *b, int proto, size_t pairs); /* %n, or an array of 2n in RESP2 */
void resp_put_set(struct buf *b, int proto, size_t count); /* ~n, or an array in RESP2 */

/* ---- requests out (the client's side) ---- */

/* Appends an array of `argc` bulk strings. */
void resp_put_request(struct buf *b, size_t argc, const struct slice *argv);

/* ---- replies in ---- */

enum resp_type {
	RESP_SIMPLE,
	RESP_ERROR,
	RESP_INT,
	RESP_BULK,
	RESP_NULL,
	RESP_ARRAY,
	RESP_MAP,
	RESP_SET,
	RESP_DOUBLE,
	RESP_BOOL,
	RESP_BIGNUM,
	RESP_VERBATIM,
	RESP_PUSH,
};

/* One reply, whole. Aggregates hold `count` elements (a map: 2 a pair) as a contiguous run of nodes at
 * `elements`. */
struct resp_reply {
	enum resp_type type;
	/* SIMPLE ERROR BULK BIGNUM DOUBLE, VERBATIM without "txt:": points into the caller's bytes. */
	struct slice str;
	int64_t i64;		     /* INT, BOOL */
	size_t count;		     /* elements, aggregates only */
	struct resp_reply *elements; /* owned by the reply's reader; null when count is 0 */
};

/* Reads one reply after the other. */
enum { RESP_DEPTH_MAX = 8 }; /* aggregates inside each other; the daemon's own go 3 deep */
struct resp_reader {
	/* results */
	struct resp_reply reply; /* after RESP_DONE, until the next call or the bytes move */
	const char *error;	 /* after RESP_BAD: what is wrong with the reply; static */
	/* private */
	struct resp_reply *nodes; /* the elements of all aggregates of the reply */
	size_t nodes_cap;
	size_t nodes_count;	     /* how many it needs */
	size_t pos;		     /* offset of the item being read */
	size_t scanned;		     /* bytes of that item known to hold no line end */
	int depth;		     /* aggregates not whole yet */
	size_t left[RESP_DEPTH_MAX]; /* elements still to come in each of them */
};

void resp_reader_init(struct resp_reader *r);
void resp_reader_fini(struct resp_reader *r);

/* Reads the reply at data[0..len) into the reader's own nodes, from the start, whatever came before. Returns
 * RESP_DONE with *size_bytes set, RESP_MORE, RESP_BAD or -ENOMEM. Nested at most RESP_DEPTH_MAX deep. */
int resp_read(struct resp_reader *r, const char *data, size_t len, size_t *size_bytes);

/* The same, after RESP_MORE of either, for the same bytes (they may have moved) with more behind them: goes
 * on where the last call stopped. So a reply of a million elements costs no more in many pieces than in one.
 */
int resp_read_more(struct resp_reader *r, const char *data, size_t len, size_t *size_bytes);

#endif
