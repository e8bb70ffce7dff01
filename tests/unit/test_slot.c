/* SPDX-License-Identifier: MIT */
/*
 * Slots of a Redis Cluster. What is expected was said by CLUSTER KEYSLOT of redis-server 7.0.15, or stands in
 * the cluster specification.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../lib/slot.h"

static void test_the_checksum_is_that_of_the_specification(void **state)
{
	(void)state;
	assert_int_equal(slot_crc16(slice_str("123456789")), 0x31c3);
	assert_int_equal(slot_crc16((struct slice){0}), 0);
}

static void test_slots_are_those_of_redis(void **state)
{
	static const struct {
		const char *key;
		unsigned slot;
	} cases[] = {
		{"a", 15495},
		{"foo", 12182},
		{"visits", 12263},
		{"123456789", 12739},
		{"{user1000}.following", 3443},
		{"{user1000}.followers", 3443},
		{"foo{}{bar}", 8363},
		{"foo{{bar}}zap", 4015},
		{"foo{bar}{zap}", 5061},
		{"shc:{visits:1}", 5949},
		{"{}", 15257},
		{"gr\303\274\303\237e", 3194},
		{"{", 4092},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(slot_of(slice_str(cases[i].key)), cases[i].slot);
}

static void test_a_tag_is_between_the_first_brace_and_the_next_that_closes(void **state)
{
	static const struct {
		const char *key, *hashed;
	} cases[] = {
		{"{user1000}.following", "user1000"},
		{"foo{{bar}}zap", "{bar"},
		{"foo{bar}{zap}", "bar"},
		{"a}b{c}", "c"},
	};
	/* Of these everything counts. */
	static const char *const whole[] = {"foo{}{bar}", "{}", "{", "}", "foo{bar", "foo}bar{"};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(slot_of(slice_str(cases[i].key)),
				 slot_crc16(slice_str(cases[i].hashed)) % SLOT_COUNT);
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		assert_int_equal(slot_of(slice_str(whole[i])), slot_crc16(slice_str(whole[i])) % SLOT_COUNT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_checksum_is_that_of_the_specification),
		cmocka_unit_test(test_slots_are_those_of_redis),
		cmocka_unit_test(test_a_tag_is_between_the_first_brace_and_the_next_that_closes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
