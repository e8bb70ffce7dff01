/* SPDX-License-Identifier: MIT */
/*
 * Goal: whatever a node of a cluster answers, and whatever stands in its keys, is read without harm.
 *
 * Method: the first byte chooses. A reply is read as an answer to CLUSTER SLOTS and as a redirection; what is
 * told must be in range and lie in the bytes. Bytes are read as a stream's stored batch, whose count must be
 * that of its additions; as a key, which must be the very part that it says it is; and as a table's entry.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "../../lib/adds.h"
#include "../../lib/redirect.h"
#include "../../lib/shard.h"
#include "../../lib/slot.h"
#include "../../lib/slots.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool is_so)
{
	if (!is_so)
		abort();
}

static bool lies_in(struct slice part, struct slice whole)
{
	return part.len == 0 || (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static void look(void *arg, unsigned first, unsigned last, const struct slots_node *node)
{
	expect(first <= last && last < SLOT_COUNT && node->port != 0 &&
	       lies_in(node->host, *(struct slice *)arg));
}

static void read_reply(struct slice bytes)
{
	struct resp_reader reader;
	size_t size_bytes;
	resp_reader_init(&reader);
	if (bytes.len > 0 && resp_read(&reader, bytes.data, bytes.len, &size_bytes) == RESP_DONE) {
		(void)slots_read(&reader.reply, look, &bytes);
		struct redirect r = redirect_of(&reader.reply);
		bool has_address = r.step == REDIRECT_MOVED || r.step == REDIRECT_ASK;
		expect(!has_address || (r.slot < SLOT_COUNT && r.port != 0 && lies_in(r.host, bytes)));
	}
	resp_reader_fini(&reader);
}

static void read_batch(struct slice bytes)
{
	uint32_t count, seen = 0;
	int64_t delta;
	if (!adds_read_count(bytes, &count))
		return;
	struct buf adds = BUF_INIT;
	buf_append(&adds, bytes.data, bytes.len);
	for (size_t pos = 0; pos < buf_len(&adds); seen++)
		expect(slice_is_name(adds_next(&adds, &pos, &delta)));
	expect(seen == count);
	buf_fini(&adds);
}

static void read_key(struct slice bytes)
{
	char room[NAME_LEN_MAX];
	struct slice name;
	struct shard_key key;
	unsigned k;
	if (!shard_of_part(bytes, room, &name, &k))
		return;
	expect(slice_is_name(name) && shard_is_own(bytes));
	shard_part(&key, name, k);
	expect(slice_equal(shard_slice(&key), bytes));
}

static void read_nodes(struct slice bytes)
{
	(void)slots_has_replica(bytes);
}

static void read_entry(struct slice bytes)
{
	struct shard_count count;
	if (shard_read_count(bytes, &count))
		expect(count.now >= 1 && count.now <= count.most && count.most <= SHARDS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const readers[])(struct slice) = {read_reply, read_batch, read_key, read_entry,
							read_nodes};
	if (size > 0)
		readers[data[0] % 5]((struct slice){(const char *)data + 1, size - 1});
	return 0;
}
