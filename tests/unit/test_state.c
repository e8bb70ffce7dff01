/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/info.h"
#include "../../gateway/state.h"

/* ---- INFO ---- */

static void test_a_line_is_found_by_its_whole_key(void **state)
{
	static const char text[] =
		"# Server\r\nxa:0\r\na:1\r\nab:2\r\nwords:a:b, c\r\nempty:\r\nno_line\r\nlast:-3";
	struct slice value;

	(void)state;
	assert_true(info_find(slice_str(text), "a", &value));
	assert_true(slice_equal(value, slice_str("1")));
	assert_true(info_find(slice_str(text), "words", &value));
	assert_true(slice_equal(value, slice_str("a:b, c")));
	assert_true(info_find(slice_str(text), "empty", &value));
	assert_int_equal(value.len, 0);
	assert_int_equal(info_number(slice_str(text), "last", 7), -3);
	assert_int_equal(info_number(slice_str(text), "words", 7), 7);
	assert_int_equal(info_number(slice_str(text), "no_line", 7), 7);
	assert_int_equal(info_number(slice_str(text), "b", 7), 7);
	assert_int_equal(info_number((struct slice){0}, "a", 7), 7);
	assert_int_equal(info_number(slice_str(""), "a", 7), 7);
	assert_int_equal(info_number(slice_str("a:9223372036854775808"), "a", 7), 7);
}

static void test_a_part_of_a_value_is_found_by_its_key(void **state)
{
	struct slice value = slice_str("keys=2,expires=,avg_ttl=9223372036854775807,x");

	(void)state;
	assert_int_equal(info_part(value, "keys", -1), 2);
	assert_int_equal(info_part(value, "expires", -1), -1);
	assert_int_equal(info_part(value, "avg_ttl", -1), INT64_MAX);
	assert_int_equal(info_part(value, "x", -1), -1);
	assert_int_equal(info_part((struct slice){0}, "keys", -1), -1);
}

static void test_a_quantile_is_the_bound_of_its_class(void **state)
{
	struct slice value = slice_str("le_100=50,le_250=98,le_500=99,le_inf=100,sum_us=12345");

	(void)state;
	assert_int_equal(info_quantile(value, 0.5), 100);
	assert_int_equal(info_quantile(value, 0.51), 250);
	assert_int_equal(info_quantile(value, 0.99), 500);
	assert_true(info_quantile(value, 1.0) == INT64_MAX);
	assert_int_equal(info_quantile(slice_str("le_100=0,le_inf=0,sum_us=0"), 0.5), -1);
	assert_int_equal(info_quantile((struct slice){0}, 0.5), -1);
}

/* ---- an event ---- */

/* The JSON of it, owned by the caller. */
static json_t *event_of(const struct state *s)
{
	static const char head[] = "event: state\ndata: ";
	char *text = state_event(s), *end;
	json_t *json;

	assert_non_null(text);
	assert_memory_equal(text, head, strlen(head));
	end = strchr(text + strlen(head), '\n');
	assert_string_equal(end, "\n\n");
	*end = '\0';
	json = json_loads(text + strlen(head), 0, NULL);
	assert_non_null(json);
	free(text);
	return json;
}

static const json_t *at(const json_t *json, const char *array, size_t i)
{
	return json_array_get(json_object_get(json, array), i);
}

static const char *text_of(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

static double number_of(const json_t *json, const char *key)
{
	assert_true(json_is_number(json_object_get(json, key)));
	return json_number_value(json_object_get(json, key));
}

static void test_values_are_exact_and_names_need_not_be_utf8(void **state)
{
	static const struct state_top top[] = {
		{.name = "gr\xc3\xb6\xc3\x9f"
			 "e\"\n",
		 .name_len = 9,
		 .value = INT64_MIN,
		 .change = INT64_MAX,
		 .rate = 0.5},
		{.name = "\xe4", .name_len = 1, .value = 9007199254740993, .change = -1, .rate = -1},
		{.name = "\xe4\xff", .name_len = 2},
		{.name = "\x01\xff\xfe", .name_len = 3},
	};
	json_t *json =
		event_of(&(struct state){.time_ms = 1234, .has_top = true, .top = top, .top_count = 4});

	(void)state;
	assert_int_equal(json_integer_value(json_object_get(json, "time")), 1234);
	assert_string_equal(text_of(at(json, "top", 0), "name"), "gr\xc3\xb6\xc3\x9f"
								 "e\"\n");
	assert_string_equal(text_of(at(json, "top", 0), "value"), "-9223372036854775808");
	assert_string_equal(text_of(at(json, "top", 0), "change"), "9223372036854775807");
	assert_true(number_of(at(json, "top", 0), "rate") == 0.5);
	assert_null(text_of(at(json, "top", 1), "name"));
	assert_string_equal(text_of(at(json, "top", 1), "name_base64"), "5A==");
	assert_string_equal(text_of(at(json, "top", 1), "value"), "9007199254740993");
	assert_string_equal(text_of(at(json, "top", 2), "name_base64"), "5P8=");
	assert_string_equal(text_of(at(json, "top", 3), "name_base64"), "Af/+");
	json_decref(json);
}

static void test_what_is_not_known_is_null_and_nothing_is_a_list(void **state)
{
	json_t *json = event_of(&(struct state){0});

	(void)state;
	assert_true(json_is_null(json_object_get(json, "top")));
	assert_int_equal(json_array_size(json_object_get(json, "backends")), 0);
	json_decref(json);
	json = event_of(&(struct state){.has_top = true});
	assert_true(json_is_array(json_object_get(json, "top")));
	json_decref(json);
}

static void test_a_backend_that_is_away_says_why_and_has_no_health(void **state)
{
	const struct state_backend backends[] = {
		{.name = "/s",
		 .kind = STATE_DAEMON,
		 .answers = false,
		 .error = "it \xff hurts",
		 .info = "workers:2"},
		{.name = "a:1", .kind = STATE_CLUSTER, .answers = true},
		{.name = "b:1", .kind = STATE_SERVER, .answers = false, .error = "refused"}};
	json_t *json = event_of(&(struct state){.backends = backends, .backend_count = 3});

	(void)state;
	assert_true(json_is_false(json_object_get(at(json, "backends", 0), "answers")));
	assert_null(text_of(at(json, "backends", 0), "error")); /* no UTF-8: left out, not an event less */
	assert_null(json_object_get(at(json, "backends", 0), "info"));
	assert_true(json_is_true(json_object_get(at(json, "backends", 1), "answers")));
	assert_string_equal(text_of(at(json, "backends", 1), "kind"), "cluster");
	assert_string_equal(text_of(at(json, "backends", 2), "error"), "refused");
	json_decref(json);
}

/* Of one backend. Borrowed from *json, which the caller owns. */
static const json_t *health_of(json_t **json, const char *before, const char *info)
{
	const struct state_backend b = {.name = "/s",
					.kind = STATE_DAEMON,
					.answers = true,
					.info = info,
					.before = before,
					.since_before_ns = 2000000000,
					.answer_ns = 1500000};

	*json = event_of(&(struct state){.backends = &b, .backend_count = 1});
	assert_true(number_of(at(*json, "backends", 0), "answer_ms") == 1.5);
	return json_object_get(at(*json, "backends", 0), "info");
}

static void test_rates_are_differences_by_time(void **state)
{
	json_t *json;
	const json_t *info = health_of(
		&json,
		"total_commands_processed:100\r\ncommits:10\r\ncommit_times:le_100=1,le_inf=4,sum_us=4000\r\n",
		"total_commands_processed:300\r\ncommits:13\r\ncommit_times:le_100=1,le_5000=6,le_inf=6,sum_us=9000\r\n");

	(void)state;
	assert_true(number_of(info, "requests_per_s") == 100);
	assert_true(number_of(info, "commits_per_s") == 1.5);
	assert_true(number_of(info, "commit_ms") == 2.5);
	assert_true(number_of(info, "commit_ms_p99") == 5);
	json_decref(json);
}

static void test_a_backend_that_was_started_anew_has_no_rates_yet(void **state)
{
	json_t *json;
	const json_t *info =
		health_of(&json, "total_commands_processed:300\r\ncommit_times:le_inf=4,sum_us=9\r\n",
			  "total_commands_processed:3\r\ncommit_times:le_inf=1,sum_us=5\r\n");

	(void)state;
	assert_null(json_object_get(info, "requests_per_s"));
	assert_null(json_object_get(info, "commit_ms"));
	assert_null(json_object_get(info, "commit_ms_p99")); /* beyond the last bound: not known */
	json_decref(json);
	info = health_of(&json, NULL, "total_commands_processed:3\r\n");
	assert_null(json_object_get(info, "requests_per_s"));
	json_decref(json);
}

static void test_health_is_what_info_says(void **state)
{
	json_t *json;
	const json_t *info = health_of(
		&json, NULL,
		"shcounterd_version:0.1.0\r\ndurable_epoch:41\r\nopen_epoch:42\r\nstore_status:retrying\r\n"
		"db0:keys=17,expires=0,avg_ttl=0\r\nuplink_up:1\r\nuplink_lag_ms:1250\r\nuplink_due:3\r\n");

	(void)state;
	assert_string_equal(text_of(info, "version"), "0.1.0");
	assert_string_equal(text_of(info, "store"), "retrying");
	assert_true(number_of(info, "durable_epoch") == 41);
	assert_true(number_of(info, "open_epoch") == 42);
	assert_true(number_of(info, "counters") == 17);
	assert_null(json_object_get(info, "workers"));
	assert_true(json_is_true(json_object_get(json_object_get(info, "uplink"), "up")));
	assert_true(number_of(json_object_get(info, "uplink"), "lag_ms") == 1250);
	json_decref(json);
	info = health_of(&json, NULL, "shcounterd_version:0.1.0\r\n");
	assert_true(number_of(info, "counters") == 0);
	assert_null(json_object_get(info, "uplink"));
	json_decref(json);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_line_is_found_by_its_whole_key),
		cmocka_unit_test(test_a_part_of_a_value_is_found_by_its_key),
		cmocka_unit_test(test_a_quantile_is_the_bound_of_its_class),
		cmocka_unit_test(test_values_are_exact_and_names_need_not_be_utf8),
		cmocka_unit_test(test_what_is_not_known_is_null_and_nothing_is_a_list),
		cmocka_unit_test(test_a_backend_that_is_away_says_why_and_has_no_health),
		cmocka_unit_test(test_rates_are_differences_by_time),
		cmocka_unit_test(test_a_backend_that_was_started_anew_has_no_rates_yet),
		cmocka_unit_test(test_health_is_what_info_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
