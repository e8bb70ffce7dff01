/* SPDX-License-Identifier: MIT */
/*
 * Names of keys on a cluster: what is written is read back, lies where it should, and is nobody else's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../lib/adds.h"
#include "../../lib/shard.h"
#include "../../lib/slot.h"

static struct slice part(struct shard_key *key, const char *name, unsigned k)
{
	shard_part(key, slice_str(name), k);
	return shard_slice(key);
}

static void test_parts_are_named_as_documented(void **state)
{
	struct shard_key key;
	(void)state;
	assert_true(slice_equal(part(&key, "visits", 0), slice_str("visits")));
	assert_true(slice_equal(part(&key, "visits", 1), slice_str("shc:{visits:1}")));
	assert_true(slice_equal(part(&key, "a{b}c%", 12), slice_str("shc:{a%7Bb%7Dc%25:12}")));
	assert_true(slice_equal(part(&key, "{", 3), slice_str("shc:{%7B:3}")));
	assert_true(slice_equal(part(&key, "\xff:7", 1000), slice_str("shc:{\xff:7:1000}")));
}

static void test_a_part_says_whose_it_is(void **state)
{
	static const char *const names[] = {"visits", "a{b}c%",	  "{}",	 "%7B", "x:1",
					    ":",      "\x80\xff", "shc", "a b"};
	char longest[NAME_LEN_MAX + 1];
	(void)state;
	memset(longest, '{', NAME_LEN_MAX);
	longest[NAME_LEN_MAX] = '\0';
	for (size_t i = 0; i <= sizeof(names) / sizeof(names[0]); i++) {
		const char *wanted = i < sizeof(names) / sizeof(names[0]) ? names[i] : longest;
		struct shard_key key;
		struct slice name;
		char room[NAME_LEN_MAX];
		unsigned k;
		assert_true(shard_of_part(part(&key, wanted, 17), room, &name, &k));
		assert_true(slice_equal(name, slice_str(wanted)));
		assert_int_equal(k, 17);
	}
}

static void test_no_other_key_is_taken_for_a_part(void **state)
{
	static const char *const keys[] = {
		"visits",
		"shc:{visits:0}",
		"shc:{visits:01}",
		"shc:{visits:1001}",
		"shc:{visits:}",
		"shc:{visits}",
		"shc:{visits:1}x",
		"shc:{vi{sits:1}",
		"shc:{%7b:1}",
		"shc:{%41:1}",
		"shc:{a%:1}",
		"shc:{:1}",
		"shc:{4f}:shards",
		"shc:{visits:-1}",
		"shc:{a}:at:x:1}",
		"shc:{a\x01:1}",
		"shc:",
		"",
	};
	char room[NAME_LEN_MAX], too_long[NAME_LEN_MAX + 20];
	struct slice name;
	unsigned k;
	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_false(shard_of_part(slice_str(keys[i]), room, &name, &k));
	snprintf(too_long, sizeof(too_long), "shc:{%0*d:1}", NAME_LEN_MAX + 1, 0);
	assert_false(shard_of_part(slice_str(too_long), room, &name, &k));
}

static void test_every_slot_has_a_tag_and_it_is_the_first(void **state)
{
	char(*tags)[SHARD_TAG_SIZE] = calloc(SLOT_COUNT, sizeof(*tags));
	(void)state;
	assert_non_null(tags);
	shard_tags(tags);
	for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
		assert_in_range(strlen(tags[slot]), 1, SHARD_TAG_SIZE - 1);
		assert_int_equal(strspn(tags[slot], "0123456789abcdefghijklmnopqrstuvwxyz"),
				 strlen(tags[slot]));
		assert_int_equal(slot_crc16(slice_str(tags[slot])) % SLOT_COUNT, slot);
	}
	for (unsigned slot = 0; slot < SLOT_COUNT; slot += 331) {
		char one[SHARD_TAG_SIZE];
		shard_tag(slot, one);
		assert_string_equal(one, tags[slot]);
	}
	/* Other programs may look for these keys: they stay where they are. */
	assert_string_equal(tags[slot_crc16(slice_str("0")) % SLOT_COUNT], "0");
	assert_string_equal(tags[0], "1bz");
	assert_string_equal(tags[16383], "hia");
	free(tags);
}

static void test_own_keys_lie_in_the_slot_of_their_tag(void **state)
{
	static const char hostile[] = "a}{b";
	struct shard_key key;
	char tag[SHARD_TAG_SIZE];
	(void)state;
	for (unsigned slot = 5; slot < SLOT_COUNT; slot += 1117) {
		shard_tag(slot, tag);
		shard_table(&key, tag);
		assert_int_equal(slot_of(shard_slice(&key)), slot);
		shard_token(&key, tag, slice_str(hostile), slice_str(hostile));
		assert_int_equal(slot_of(shard_slice(&key)), slot);
		for (enum shard_extra e = 0; e < SHARD_EXTRAS; e++) {
			shard_extra(&key, tag, e, slice_str(hostile));
			assert_int_equal(slot_of(shard_slice(&key)), slot);
			assert_true(shard_is_own(shard_slice(&key)));
		}
		shard_stream(&key, tag, slice_str(hostile));
		assert_int_equal(slot_of(shard_slice(&key)), slot);
		shard_position(&key, tag, slice_str(hostile));
		assert_int_equal(slot_of(shard_slice(&key)), slot);
		assert_true(shard_is_own(shard_slice(&key)));
	}
}

static void test_two_tokens_never_share_a_key(void **state)
{
	struct shard_key one, other;
	(void)state;
	shard_token(&one, "x", slice_str("a"), slice_str("b:c"));
	shard_token(&other, "x", slice_str("a:b"), slice_str("c"));
	assert_false(slice_equal(shard_slice(&one), shard_slice(&other)));
}

static void test_the_longest_names_fit(void **state)
{
	char name[NAME_LEN_MAX + 1];
	struct shard_key key;
	(void)state;
	memset(name, '%', NAME_LEN_MAX);
	name[NAME_LEN_MAX] = '\0';
	shard_part(&key, slice_str(name), SHARDS_MAX);
	assert_int_equal(key.len, strlen("shc:{:1000}") + 3 * NAME_LEN_MAX);
	shard_ledger(&key, "zzzzzzz", slice_str(name));
	assert_int_equal(key.len, strlen("shc:{zzzzzzz}:ledger:") + NAME_LEN_MAX);
	shard_token(&key, "zzzzzzz", slice_str(name), slice_str(name));
	assert_in_range(key.len, 2 * NAME_LEN_MAX, SHARD_KEY_SIZE);
}

/* ---- ledgers ---- */

static bool is_ledger_of(struct slice key, struct slice wanted)
{
	struct slice name;
	return shard_of_ledger(key, &name) && slice_equal(name, wanted);
}

static void test_ledgers_and_records_are_named_as_documented(void **state)
{
	struct shard_key key;
	char tag[SHARD_TAG_SIZE];
	(void)state;
	shard_tag(0, tag);
	shard_ledger(&key, tag, slice_str("a{b}c%"));
	assert_true(slice_equal(shard_slice(&key), slice_str("shc:{1bz}:ledger:a{b}c%")));
	shard_record(&key, slice_str("00ff00ff00ff00ff"));
	assert_true(slice_equal(shard_slice(&key), slice_str("shc:uplink:00ff00ff00ff00ff")));
	assert_true(shard_is_own(shard_slice(&key)));
}

/* What braces, tags and our own words do to a slot, in all bytes that a name may have. */
static struct slice draw_name(char room[NAME_LEN_MAX])
{
	static const char *const words[] = {"{", "}",	"{}",	     "}{",	":",
					    "%", "{a}", "}:ledger:", "ledger:", "x"};
	struct slice name = {room, 0};
	size_t len_max = rand() % 8 ? 1 + (size_t)rand() % 24 : NAME_LEN_MAX;
	while (name.len < len_max) {
		const char *word = words[(size_t)rand() % (sizeof(words) / sizeof(words[0]))];
		char byte = (char)(32 + rand() % (256 - 32));
		if (rand() % 2 || name.len + strlen(word) > len_max)
			room[name.len++] = byte == 127 ? '{' : byte;
		else
			for (; *word; word++)
				room[name.len++] = *word;
	}
	assert_true(slice_is_name(name));
	return name;
}

static void test_the_ledger_of_each_name_lies_in_its_slot_and_says_whose_it_is(void **state)
{
	char(*tags)[SHARD_TAG_SIZE] = calloc(SLOT_COUNT, sizeof(*tags));
	(void)state;
	assert_non_null(tags);
	shard_tags(tags);
	srand(7);
	for (unsigned i = 0; i < 200000; i++) {
		struct shard_key key, part;
		char room[NAME_LEN_MAX], other[NAME_LEN_MAX];
		struct slice name = draw_name(room), whose;
		unsigned slot = slot_of(name), k;
		shard_ledger(&key, tags[slot], name);
		assert_int_equal(slot_of(shard_slice(&key)), slot);
		assert_true(shard_is_own(shard_slice(&key)));
		assert_true(is_ledger_of(shard_slice(&key), name));
		assert_false(shard_of_part(shard_slice(&key), other, &whose, &k));
		shard_part(&part, name, 1 + i % SHARDS_MAX);
		assert_false(shard_of_ledger(shard_slice(&part), &whose));
		shard_ledger(&key, tags[(slot + 1 + i % (SLOT_COUNT - 1)) % SLOT_COUNT], name);
		assert_false(shard_of_ledger(shard_slice(&key), &whose)); /* the tag of another slot */
	}
	free(tags);
}

static void test_no_other_key_is_taken_for_a_ledger(void **state)
{
	/* "x" lies in the slot of {x}. */
	static const char *const keys[] = {
		"",
		"shc:",
		"shc:{",
		"shc:{x",
		"shc:{x}",
		"shc:{x}:ledger",
		"shc:{x}:ledger:",
		"shc:{x}:ledgerx",
		"shc:{x}:ledges:x",
		"shc:{x}ledger:x",
		"shc:{}:ledger:x",
		"shc:{x:ledger:x",
		"shc:{x}}:ledger:x",
		"shc:{{x}:ledger:x",
		"Shc:{x}:ledger:x",
		"shc:x:ledger:x",
		"shc:{y}:ledger:x",
		"shc:{X}:ledger:{X}",
		"shc:{12345678}:ledger:{12345678}",
		"shc:{x}:ledger:{x}\x01",
		"shc:{x}:ledger:shc:{x}",
		"shc:{x}:shards",
		"shc:{x}:limit:x",
		"shc:uplink:0123456789abcdef",
	};
	char too_long[NAME_LEN_MAX + 40];
	struct slice name;
	(void)state;
	assert_true(is_ledger_of(slice_str("shc:{x}:ledger:x"), slice_str("x")));
	assert_true(is_ledger_of(slice_str("shc:{x}:ledger:{x}:ledger:x"), slice_str("{x}:ledger:x")));
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_false(shard_of_ledger(slice_str(keys[i]), &name));
	/* the longest name, and one byte more */
	snprintf(too_long, sizeof(too_long), "shc:{x}:ledger:{x}%0*d", NAME_LEN_MAX - 3 + 1, 0);
	assert_true(shard_of_ledger((struct slice){too_long, strlen(too_long) - 1}, &name));
	assert_int_equal(name.len, NAME_LEN_MAX);
	assert_false(shard_of_ledger(slice_str(too_long), &name));
}

static void test_counts_are_read_or_refused(void **state)
{
	static const char *const bad[] = {"",	 "4",	   "4 ",  " 4",	  "0 4",
					  "5 4", "4 1001", "4 x", "-1 4", "4 8 9"};
	struct shard_count count = {0, 0};
	(void)state;
	assert_true(shard_read_count(slice_str("4 8"), &count));
	assert_int_equal(count.now, 4);
	assert_int_equal(count.most, 8);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(shard_read_count(slice_str(bad[i]), &count));
}

static void test_additions_come_back_as_they_were_put(void **state)
{
	static const int64_t deltas[] = {0, 1, -1, INT64_MAX, INT64_MIN};
	struct buf adds = BUF_INIT;
	size_t pos = 0;
	uint32_t count;
	int64_t delta;
	(void)state;
	for (size_t i = 0; i < 5; i++)
		assert_true(adds_put(&adds, slice_str("name"), deltas[i]));
	struct slice all = {buf_head(&adds), buf_len(&adds)};
	assert_true(adds_read_count(all, &count));
	assert_int_equal(count, 5);
	for (size_t i = 0; i < 5; i++) {
		assert_true(slice_equal(adds_next(&adds, &pos, &delta), slice_str("name")));
		assert_true(delta == deltas[i]);
	}
	for (size_t len = 1; len < all.len; len++) /* cut anywhere but between two */
		assert_int_equal(adds_read_count((struct slice){all.data, len}, &count), len % 13 == 0);
	assert_false(adds_read_count((struct slice){"\0\0\0\0\0\0\0\0\0", 9}, &count)); /* no name */
	buf_fini(&adds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts_are_named_as_documented),
		cmocka_unit_test(test_a_part_says_whose_it_is),
		cmocka_unit_test(test_no_other_key_is_taken_for_a_part),
		cmocka_unit_test(test_every_slot_has_a_tag_and_it_is_the_first),
		cmocka_unit_test(test_own_keys_lie_in_the_slot_of_their_tag),
		cmocka_unit_test(test_two_tokens_never_share_a_key),
		cmocka_unit_test(test_the_longest_names_fit),
		cmocka_unit_test(test_ledgers_and_records_are_named_as_documented),
		cmocka_unit_test(test_the_ledger_of_each_name_lies_in_its_slot_and_says_whose_it_is),
		cmocka_unit_test(test_no_other_key_is_taken_for_a_ledger),
		cmocka_unit_test(test_counts_are_read_or_refused),
		cmocka_unit_test(test_additions_come_back_as_they_were_put),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
