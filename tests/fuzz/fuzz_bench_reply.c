/* SPDX-License-Identifier: MIT */
/*
 * Goal: whatever a server sends, a load generator reads the same replies however the bytes are cut, and no
 * byte that it was not given.
 *
 * Method: the first byte chooses the kind of reply. Each reply of the rest is read from ever longer
 * beginnings: it must stay unfinished up to some length, and from there on be one and the same. Read as a
 * run, the replies must be those that were read one by one. Each call gets a heap block of exactly the size
 * it is told, so that the address sanitizer sees a read beyond it.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../cmd/bench_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BYTES_MAX = 300 /* each of them is a call */ };

static void expect(bool is_so)
{
	if (!is_so)
		abort();
}

/* `words` as an offset, for the block is gone. */
struct outcome {
	int rc;
	size_t size, words_at, words_len;
	int64_t value;
	bool is_there;
};

static char *block_of(const uint8_t *data, size_t len)
{
	char *block = malloc(len ? len : 1);
	expect(block != NULL);
	if (len > 0)
		memcpy(block, data, len);
	return block;
}

static struct outcome read_one(enum reply_kind kind, const uint8_t *data, size_t len)
{
	char *block = block_of(data, len);
	struct reply reply;
	struct outcome o = {.rc = reply_read(kind, block, len, &reply)};
	if (o.rc == REPLY_GOOD || o.rc == REPLY_REFUSED) {
		expect(reply.size > 0 && reply.size <= len);
		o.size = reply.size;
		o.value = reply.value;
		o.is_there = reply.is_there;
	}
	if (o.rc == REPLY_REFUSED) {
		expect(reply.words.data >= block && reply.words.data + reply.words.len <= block + reply.size);
		o.words_at = (size_t)(reply.words.data - block);
		o.words_len = reply.words.len;
	}
	free(block);
	return o;
}

static void expect_same(const struct outcome *a, const struct outcome *b)
{
	expect(a->rc == b->rc && a->size == b->size && a->value == b->value && a->is_there == b->is_there);
	expect(a->words_at == b->words_at && a->words_len == b->words_len);
}

static struct outcome read_cut(enum reply_kind kind, const uint8_t *data, size_t len)
{
	struct outcome whole = read_one(kind, data, len);
	bool is_decided = false;
	for (size_t cut = 0; cut < len; cut++) {
		struct outcome o = read_one(kind, data, cut);
		if (!is_decided && o.rc == REPLY_MORE)
			continue;
		is_decided = true;
		expect_same(&o, &whole);
	}
	return whole;
}

/* How many good replies there are at the beginning, one by one. */
static unsigned read_all(enum reply_kind kind, const uint8_t *data, size_t size, size_t *good_bytes, int *rc)
{
	unsigned count = 0;
	for (*good_bytes = 0;; count++) {
		struct outcome o = read_cut(kind, data + *good_bytes, size - *good_bytes);
		*rc = o.rc;
		if (o.rc != REPLY_GOOD)
			return count;
		*good_bytes += o.size;
	}
}

static void read_run(enum reply_kind kind, const uint8_t *data, size_t size)
{
	struct reply_run run = {.last = INT64_MIN};
	struct reply next;
	size_t good_bytes;
	int rc;
	unsigned count = read_all(kind, data, size, &good_bytes, &rc);
	char *block = block_of(data, size);
	expect(reply_read_run(kind, block, size, count + 1, &run, &next) == rc);
	expect(run.count == count && run.size == good_bytes);
	run.last = INT64_MIN;
	if (count > 0)
		expect(reply_read_run(kind, block, size, count, &run, &next) == REPLY_GOOD &&
		       run.count == count);
	free(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0 || size > BYTES_MAX)
		return 0;
	read_run((enum reply_kind)(data[0] % (REPLY_STATS + 1)), data + 1, size - 1);
	return 0;
}
