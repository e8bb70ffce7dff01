/* SPDX-License-Identifier: MIT */
/*
 * Scripts are sent by their SHA-1, which stands beside them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sha1.h>
#include <cmocka.h>

#include "../../lib/script.h"

static void test_each_scripts_sha1_is_that_of_its_text(void **state)
{
	static const struct script *const scripts[] = {
		&script_shards,	    &script_once,	    &script_bound,    &script_hit,
		&script_hits,	    &script_allow,	    &script_apply,    &script_stream_open,
		&script_stream_put, &script_stream_through, &script_push,     &script_look,
		&script_reset,	    &script_retire,	    &script_register, &script_give_up,
	};
	(void)state;
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		char sha1[SHA1_DIGEST_STRING_LENGTH];
		SHA1Data((const uint8_t *)scripts[i]->text, strlen(scripts[i]->text), sha1);
		assert_string_equal(scripts[i]->sha1, sha1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_scripts_sha1_is_that_of_its_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
