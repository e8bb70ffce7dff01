/* SPDX-License-Identifier: MIT */
/* The description of the API has the requests of the gateway's table, and no others. Runs in the top
 * directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "../../gateway/route.h"

static const struct {
	unsigned bit;
	const char *word;
} methods[] = {{METHOD_GET, "get"}, {METHOD_POST, "post"}, {METHOD_PUT, "put"}};
enum { METHODS = sizeof(methods) / sizeof(methods[0]) };

static json_t *load(void)
{
	json_error_t error;
	json_t *description = json_load_file("gateway/page/openapi.json", JSON_REJECT_DUPLICATES, &error);

	if (!description)
		fail_msg("%s:%d: %s", error.source, error.line, error.text);
	return description;
}

static const json_t *operation(const json_t *description, const char *path, const char *method)
{
	return json_object_get(json_object_get(json_object_get(description, "paths"), path), method);
}

static void test_each_request_of_the_table_is_described(void **state)
{
	json_t *description = load();

	(void)state;
	for (size_t i = 0; i < route_count; i++)
		for (size_t m = 0; m < METHODS; m++)
			if ((routes[i].methods & methods[m].bit) &&
			    !operation(description, routes[i].path, methods[m].word))
				fail_msg("%s %s is not described", methods[m].word, routes[i].path);
	json_decref(description);
}

static void check_known(const char *path, const char *word)
{
	bool is_other;

	for (size_t m = 0; m < METHODS; m++)
		if (strcmp(methods[m].word, word) == 0) {
			if (!route_find(path, methods[m].bit, &is_other) || is_other)
				fail_msg("there is no %s %s", word, path);
			return;
		}
	fail_msg("%s: there is no method %s", path, word);
}

static void test_nothing_else_is_described(void **state)
{
	json_t *description = load(), *path, *found;
	const char *name, *word;

	(void)state;
	json_object_foreach(json_object_get(description, "paths"), name, path)
	{
		json_object_foreach(path, word, found)
		{
			check_known(name, word);
		}
	}
	json_decref(description);
}

/* "security": [] is for everybody, [{"token": ["read"]}] for that role. */
static void test_roles_are_those_of_the_table(void **state)
{
	static const char *const words[] = {NULL, "read", "write", "admin"};
	json_t *description = load();

	(void)state;
	for (size_t i = 0; i < route_count; i++)
		for (size_t m = 0; m < METHODS; m++) {
			const json_t *security = json_object_get(
				operation(description, routes[i].path, methods[m].word), "security");
			const json_t *roles = json_object_get(json_array_get(security, 0), "token");
			const char *role = json_string_value(json_array_get(roles, 0));
			const char *wanted = words[routes[i].role];

			if (!(routes[i].methods & methods[m].bit))
				continue;
			assert_true(json_is_array(security));
			if (!role != !wanted || (role && strcmp(role, wanted) != 0))
				fail_msg("%s %s: the role %s is described, it is %s", methods[m].word,
					 routes[i].path, role ? role : "of nobody",
					 wanted ? wanted : "of nobody");
		}
	json_decref(description);
}

/* A reader of the description resolves each. */
static void check_references(const json_t *description, const json_t *at)
{
	const char *key, *target;
	json_t *value;
	size_t i;

	json_array_foreach(at, i, value) check_references(description, value);
	json_object_foreach((json_t *)(uintptr_t)at, key, value)
	{
		check_references(description, value);
		if (strcmp(key, "$ref") != 0)
			continue;
		target = json_string_value(value);
		assert_true(target && strncmp(target, "#/components/", 13) == 0);
		char kind[32], name[32];

		assert_int_equal(sscanf(target + 13, "%31[^/]/%31s", kind, name), 2);
		if (!json_object_get(json_object_get(json_object_get(description, "components"), kind), name))
			fail_msg("there is no %s", target);
	}
}

static void test_all_references_lead_somewhere(void **state)
{
	json_t *description = load();

	(void)state;
	check_references(description, description);
	json_decref(description);
}

static void test_its_version_is_the_programs(void **state)
{
	json_t *description = load();

	(void)state;
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(description, "info"), "version")),
		SHC_VERSION);
	assert_string_equal(json_string_value(json_object_get(description, "openapi")), "3.1.0");
	json_decref(description);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_request_of_the_table_is_described),
		cmocka_unit_test(test_nothing_else_is_described),
		cmocka_unit_test(test_roles_are_those_of_the_table),
		cmocka_unit_test(test_all_references_lead_somewhere),
		cmocka_unit_test(test_its_version_is_the_programs),
	};
	return cmocka_run_group_tests_name("gateway_description", tests, NULL, NULL);
}
