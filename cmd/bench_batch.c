/* SPDX-License-Identifier: MIT */
#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/buf.h"
#include "../lib/resp.h"
#include "bench_batch.h"

/* ---- digits ---- */

/* The eight decimal digits of a number below 10^8 as bytes: halves, then pairs, then digits, side by side in
 * one word. Source: Paul Khuong, "How to print integers really fast" (2017). 2 ns instead of 6 for a loop of
 * divisions, of which a pipeline has one a request. */
static uint64_t eight_digits(uint32_t key)
{
	uint64_t halves = key / 10000 | (uint64_t)(key % 10000) << 32;
	uint64_t hundreds = halves * 10486 >> 20 & 0x0000007f0000007f;
	uint64_t pairs = hundreds + ((halves - 100 * hundreds) << 16);
	uint64_t tens = pairs * 103 >> 10 & 0x000f000f000f000f;
	return htole64(0x3030303030303030 + tens + ((pairs - 10 * tens) << 8));
}

static inline void put_digits(char *out, unsigned digits, unsigned key)
{
	uint64_t text = eight_digits(key);
	if (digits == BENCH_DIGITS_MAX)
		memcpy(out, &text, sizeof(text));
	else
		memcpy(out, (const char *)&text + BENCH_DIGITS_MAX - digits, digits);
}

void bench_put_digits(char *out, unsigned digits, unsigned key)
{
	put_digits(out, digits, key);
}

/* ---- a request ---- */

/* What stands before and behind the name. `ma` adds 1 as incr does, and answers without the value. */
static const struct {
	struct slice before, behind;
} memcached[] = {
	[BENCH_INCR] = {{"incr ", 5}, {" 1\r\n", 4}},
	[BENCH_ADD] = {{"ma ", 3}, {"\r\n", 2}},
	[BENCH_GET] = {{"get ", 4}, {"\r\n", 2}},
};

static void put_memcached(struct buf *out, const struct bench_plan *plan, const char *name)
{
	const struct slice before = memcached[plan->kind].before, behind = memcached[plan->kind].behind;
	buf_append(out, before.data, before.len);
	buf_append(out, name, strlen(name));
	buf_append(out, behind.data, behind.len);
}

static void put_resp(struct buf *out, const struct bench_plan *plan, const char *name)
{
	static const struct slice one = {"1", 1};
	struct slice *argv = calloc(1 + 2 * (size_t)plan->names, sizeof(*argv));
	size_t argc = 0;
	if (!argv) {
		out->failed = true;
		return;
	}
	argv[argc++] = slice_str(plan->kind == BENCH_GET    ? "GET"
				 : plan->kind == BENCH_INCR ? "INCR"
				 : plan->is_redis	    ? "INCRBY"
							    : "SHC.ADD");
	for (unsigned i = 0; i < plan->names; i++) {
		argv[argc++] = slice_str(name);
		if (plan->kind == BENCH_ADD)
			argv[argc++] = one;
	}
	resp_put_request(out, argc, argv);
	free(argv);
}

static void put_request(struct buf *out, const struct bench_plan *plan)
{
	char name[BENCH_NAME_SIZE];
	bench_name(plan, 0, name);
	if (plan->memcached)
		put_memcached(out, plan, name);
	else
		put_resp(out, plan, name);
}

/* ---- the batch ---- */

/* Counted from the end: behind the last name stands what stands behind each. */
static void find_digits(struct bench_batch *b, const struct bench_plan *plan)
{
	char name[BENCH_NAME_SIZE], word[BENCH_NAME_SIZE + 16];
	bench_name(plan, 0, name);
	size_t behind = plan->memcached		  ? memcached[plan->kind].behind.len
			: plan->kind == BENCH_ADD ? strlen("\r\n$1\r\n1\r\n")
						  : strlen("\r\n");
	b->stride = (size_t)snprintf(word, sizeof(word), "$%zu\r\n%s", strlen(name), name) + behind;
	b->first = b->size - behind - b->digits - (b->names - 1) * b->stride;
}

size_t bench_batch_bytes(const struct bench_plan *plan)
{
	struct buf one = BUF_INIT;
	put_request(&one, plan);
	size_t bytes = buf_len(&one) * plan->pipeline;
	buf_fini(&one);
	return bytes;
}

bool bench_batch_init(struct bench_batch *b, const struct bench_plan *plan)
{
	struct buf all = BUF_INIT;
	for (unsigned i = 0; i < plan->pipeline; i++)
		put_request(&all, plan);
	*b = (struct bench_batch){
		.size = buf_len(&all) / plan->pipeline, .names = plan->names, .digits = plan->digits};
	if (all.failed) {
		buf_fini(&all);
		return false;
	}
	b->data = malloc(buf_len(&all));
	if (b->data)
		memcpy(b->data, buf_head(&all), buf_len(&all));
	buf_fini(&all);
	find_digits(b, plan);
	return b->data != NULL;
}

void bench_batch_fini(struct bench_batch *b)
{
	free(b->data);
}

void bench_batch_fill(struct bench_batch *b, struct bench_keys *keys, unsigned count)
{
	if (keys->count == 1)
		return;
	for (unsigned i = 0; i < count; i++) {
		char *digits = b->data + i * b->size + b->first;
		for (unsigned n = 0; n < b->names; n++, digits += b->stride)
			put_digits(digits, b->digits, bench_keys_next(keys));
	}
}
