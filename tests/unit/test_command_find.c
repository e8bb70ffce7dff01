/* SPDX-License-Identifier: MIT */
/* command_find: every name of the table in any case, and nothing that only looks like one. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../daemon/request.h"

static void test_every_name_is_found_in_any_case(void **state)
{
	(void)state;
	assert_true(command_count() > 40);
	for (size_t i = 0; i < command_count(); i++) {
		const struct command *c = command_at(i);
		char text[64];
		size_t len = strlen(c->name);

		for (unsigned mask = 0; mask < 4; mask++) {
			for (size_t k = 0; k < len; k++)
				text[k] = (char)((k & 1 ? mask & 1 : mask & 2) ? toupper(c->name[k])
									       : c->name[k]);
			assert_ptr_equal(command_find((struct slice){text, len}), c);
		}
	}
}

static void test_a_name_with_one_wrong_byte_is_none(void **state)
{
	(void)state;
	for (size_t i = 0; i < command_count(); i++) {
		const char *name = command_at(i)->name;
		size_t len = strlen(name);

		for (size_t k = 0; k < len; k++) {
			for (int byte = 0; byte < 256; byte++) {
				char text[64];
				const struct command *found;

				memcpy(text, name, len);
				text[k] = (char)byte;
				found = command_find((struct slice){text, len});
				/* another command, or the same in capitals, but nothing that is spelt
				 * differently */
				if (found)
					assert_true(slice_is_word((struct slice){text, len}, found->name));
			}
		}
	}
}

static void test_parts_of_names_are_none(void **state)
{
	(void)state;
	assert_null(command_find((struct slice){"", 0}));
	assert_null(command_find((struct slice){"inc", 3}));
	assert_null(command_find((struct slice){"incrb", 5}));
	assert_null(command_find((struct slice){"incrbyx", 7}));
	assert_null(command_find((struct slice){"randomke", 8}));
	assert_null(command_find((struct slice){"randomkeyrandomkeyrandomkey", 27}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_name_is_found_in_any_case),
		cmocka_unit_test(test_a_name_with_one_wrong_byte_is_none),
		cmocka_unit_test(test_parts_of_names_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
