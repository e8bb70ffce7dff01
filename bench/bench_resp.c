/* SPDX-License-Identifier: MIT */
/*
 * bench_resp.c - what the pure parts of one request cost: parsing it, hashing its name, writing its answer.
 * Prints nanoseconds per operation, the best of several rounds (the others were disturbed).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/buf.h"
#include "../lib/hash.h"
#include "../lib/num.h"
#include "../lib/resp.h"

enum { DEPTH = 128, ROUNDS = 15, ROUND_OPS = 128 * 20000, NAME_LEN = 16, NAMES = 1024 };

static uint64_t sink; /* keeps the compiler from dropping the work */

static double now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void fill_pipeline(struct buf *b)
{
	for (int i = 0; i < DEPTH; i++) {
		char name[NAME_LEN + 1];
		snprintf(name, sizeof(name), "page:%011d", i);
		struct slice argv[] = {slice_str("INCR"), {name, NAME_LEN}};
		resp_put_request(b, 2, argv);
	}
}

static void parse_pipeline(struct resp_parser *p, const struct buf *b)
{
	for (size_t at = b->head; at < b->tail; at += p->size_bytes) {
		if (resp_parse(p, b->data + at, b->tail - at) != RESP_DONE)
			abort();
		sink += p->argc + (uint64_t)(unsigned char)p->argv[1].data[NAME_LEN - 1];
	}
}

static void bench_parse(void)
{
	struct buf b = BUF_INIT;
	struct resp_parser p;
	resp_parser_init(&p);
	fill_pipeline(&b);
	for (int i = 0; i < ROUND_OPS / DEPTH; i++)
		parse_pipeline(&p, &b);
	resp_parser_fini(&p);
	buf_fini(&b);
}

/* Each request is met twice: first its front half, then all of it. */
static void bench_parse_cut(void)
{
	struct buf b = BUF_INIT;
	struct resp_parser p;
	resp_parser_init(&p);
	fill_pipeline(&b);
	for (int i = 0; i < ROUND_OPS; i++) {
		size_t size = (b.tail - b.head) / DEPTH;
		if (resp_parse(&p, b.data, size / 2) != RESP_MORE ||
		    resp_parse(&p, b.data, size) != RESP_DONE)
			abort();
		sink += p.argc;
	}
	resp_parser_fini(&p);
	buf_fini(&b);
}

static void bench_hash(void)
{
	static char names[NAMES][NAME_LEN];
	struct hash_key key;
	hash_key_init(&key);
	for (int i = 0; i < ROUND_OPS; i++) {
		sink += hash_bytes(&key, names[i % NAMES], NAME_LEN);
		names[i % NAMES][i % NAME_LEN]++;
	}
}

static void bench_name(void)
{
	static char names[NAMES][NAME_LEN];
	memset(names, 'n', sizeof(names));
	for (int i = 0; i < ROUND_OPS; i++)
		sink += slice_is_name((struct slice){names[i % NAMES], NAME_LEN});
}

static void bench_put(void (*put)(struct buf *, int64_t))
{
	struct buf b = BUF_INIT;
	for (int i = 0; i < ROUND_OPS / DEPTH; i++) {
		for (int k = 0; k < DEPTH; k++)
			put(&b, 1234567 + k);
		sink += buf_len(&b);
		buf_consume(&b, buf_len(&b));
	}
	buf_fini(&b);
}

static void bench_put_int(void)
{
	bench_put(resp_put_int);
}

static void bench_put_bulk_i64(void)
{
	bench_put(resp_put_bulk_i64);
}

static void bench_parse_i64(void)
{
	for (int i = 0; i < ROUND_OPS; i++) {
		int64_t v = 0;
		sink += num_parse_i64((struct slice){"1234567", (size_t)(1 + i % 7)}, &v) + (uint64_t)v;
	}
}

static void run(const char *what, void (*bench)(void))
{
	double best = 1e30;
	for (int round = 0; round < ROUNDS; round++) {
		double start = now_ns();
		bench();
		double ns = (now_ns() - start) / ROUND_OPS;
		if (ns < best)
			best = ns;
	}
	printf("%-52s %7.2f ns\n", what, best);
}

int main(void)
{
	run("resp_parse, INCR of 37 bytes, 128 deep", bench_parse);
	run("resp_parse, INCR of 37 bytes, cut in the middle", bench_parse_cut);
	run("hash_bytes, 16 bytes", bench_hash);
	run("slice_is_name, 16 bytes", bench_name);
	run("num_parse_i64, 1 to 7 digits", bench_parse_i64);
	run("resp_put_int, 7 digits", bench_put_int);
	run("resp_put_bulk_i64, 7 digits", bench_put_bulk_i64);
	return sink == 0;
}
