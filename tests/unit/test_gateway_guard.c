/* SPDX-License-Identifier: MIT */
/* Who may ask what, in which order that is judged, and what a reload changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../gateway/guard.h"

static char path[64];

static void write_tokens(const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* A line of the file; `token` is the token itself. */
static void write_token(const char *name, const char *role, const char *token)
{
	char hash[SECRET_LINE_SIZE], line[256];

	secret_line(slice_str(token), hash);
	(void)snprintf(line, sizeof(line), "%s %s %s\n", name, role, hash);
	write_tokens(line);
}

static void write_three(void)
{
	char read[SECRET_LINE_SIZE], write[SECRET_LINE_SIZE], admin[SECRET_LINE_SIZE], text[512];

	secret_line((struct slice){"r", 1}, read);
	secret_line((struct slice){"w", 1}, write);
	secret_line((struct slice){"a", 1}, admin);
	(void)snprintf(text, sizeof(text), "anna read %s\nbob write %s\nroot admin %s\n", read, write, admin);
	write_tokens(text);
}

static int make_path(void **state)
{
	(void)state;
	(void)snprintf(path, sizeof(path), "/tmp/test_gateway_guard.XXXXXX");
	int fd = mkstemp(path);
	return fd < 0 || close(fd);
}

static int drop_path(void **state)
{
	(void)state;
	return unlink(path);
}

static char listen_text[] = "127.0.0.1:8480";

static struct guard *open_with(const char *tokens, int64_t rate_limit)
{
	static struct options options;
	char why[OPTIONS_ERROR_SIZE];
	struct guard *g;

	options = (struct options){
		.listen = listen_text, .tokens = tokens ? path : NULL, .rate_limit = rate_limit};
	if (guard_open(&g, &options, why))
		fail_msg("%s", why);
	return g;
}

static struct guard_request from(uint32_t address, const char *authorization, enum role role)
{
	static _Thread_local struct sockaddr_in peers[8];
	struct sockaddr_in *peer = &peers[address % 8];

	*peer = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
	return (struct guard_request){.peer = (struct sockaddr *)peer,
				      .host = "localhost:8480",
				      .authorization = authorization,
				      .is_get = true,
				      .role = role};
}

static unsigned judge_at(struct guard *g, struct guard_request r, int64_t now_ms)
{
	struct verdict v = guard_judge(g, &r, now_ms);

	assert_true((v.status == 0) == (v.details == NULL));
	assert_true((v.status == 429) == (v.retry_after_s > 0));
	assert_true(v.status != 0 || v.has >= r.role);
	return v.status;
}

static unsigned judge(struct guard *g, const char *authorization, enum role role)
{
	return judge_at(g, from(1, authorization, role), 1000);
}

static void test_without_tokens_whoever_reaches_us_may_all(void **state)
{
	struct guard *g = open_with(NULL, 0);
	char why[OPTIONS_ERROR_SIZE];

	(void)state;
	assert_int_equal(judge(g, NULL, ROLE_ADMIN), 0);
	assert_int_equal(judge(g, "Bearer whatever", ROLE_WRITE), 0);
	assert_int_equal(guard_reload(g, why), 0);
	guard_close(g);
}

static void test_a_role_has_what_smaller_ones_have(void **state)
{
	static const char *const tokens[] = {"Bearer r", "Bearer w", "Bearer a"};
	struct guard *g;

	(void)state;
	write_three();
	g = open_with(path, 0);
	for (int has = 0; has < 3; has++)
		for (int needs = ROLE_NOBODY; needs <= ROLE_ADMIN; needs++)
			assert_int_equal(judge(g, tokens[has], (enum role)needs), needs <= has + 1 ? 0 : 403);
	guard_close(g);
}

static void test_no_token_and_an_unknown_one_are_401_and_health_needs_none(void **state)
{
	struct guard *g;

	(void)state;
	write_three();
	g = open_with(path, 0);
	assert_int_equal(judge(g, NULL, ROLE_READ), 401);
	assert_int_equal(judge(g, "Bearer x", ROLE_READ), 401);
	assert_int_equal(judge(g, "Basic r", ROLE_READ), 401);
	assert_int_equal(judge(g, NULL, ROLE_NOBODY), 0);
	assert_int_equal(judge(g, "Bearer x", ROLE_NOBODY), 0);
	guard_close(g);
}

static void test_another_ones_page_is_refused_whatever_its_token_is(void **state)
{
	struct guard *g;
	struct guard_request r;

	(void)state;
	write_three();
	g = open_with(path, 1);
	r = from(1, "Bearer a", ROLE_READ);
	r.host = "evil.example.com";
	assert_int_equal(judge_at(g, r, 1000), 403);
	r.host = NULL;
	assert_int_equal(judge_at(g, r, 1000), 400);
	r.host = "localhost:8480";
	r.origin = "http://evil.example.com";
	assert_int_equal(judge_at(g, r, 1000), 403);
	r.role = ROLE_NOBODY;
	assert_int_equal(judge_at(g, r, 1000), 403);
	r.origin = NULL;
	r.fetch_site = "cross-site";
	assert_int_equal(judge_at(g, r, 1000), 403);
	r.fetch_mode = "navigate";
	r.fetch_dest = "document";
	assert_int_equal(judge_at(g, r, 1000), 0);
	r.is_get = false;
	assert_int_equal(judge_at(g, r, 1000), 403);
	r.is_get = true;
	r.role = ROLE_READ;
	assert_int_equal(judge_at(g, r, 1000), 403);
	r.fetch_site = NULL;
	r.is_twice = true;
	assert_int_equal(judge_at(g, r, 1000), 400);
	r.is_twice = false;
	/* And it has not used up what its reader may ask. */
	assert_int_equal(judge_at(g, r, 1000), 0);
	guard_close(g);
}

static void test_the_limit_is_that_of_a_name_wherever_it_asks_from(void **state)
{
	struct guard *g;

	(void)state;
	write_three();
	g = open_with(path, 2);
	assert_int_equal(judge_at(g, from(1, "Bearer r", ROLE_READ), 1000), 0);
	assert_int_equal(judge_at(g, from(2, "Bearer r", ROLE_READ), 1000), 0);
	assert_int_equal(judge_at(g, from(3, "Bearer r", ROLE_READ), 1000), 429);
	assert_int_equal(judge_at(g, from(3, "Bearer w", ROLE_READ), 1000), 0);
	assert_int_equal(judge_at(g, from(3, "Bearer r", ROLE_READ), 2000), 0);
	guard_close(g);
}

static void test_who_guesses_is_limited_by_address_and_hurts_no_name(void **state)
{
	struct guard *g;

	(void)state;
	write_three();
	g = open_with(path, 2);
	assert_int_equal(judge(g, "Bearer x", ROLE_READ), 401);
	assert_int_equal(judge(g, "Bearer y", ROLE_READ), 401);
	assert_int_equal(judge(g, "Bearer z", ROLE_READ), 429);
	assert_int_equal(judge(g, NULL, ROLE_READ), 429);
	assert_int_equal(judge(g, "Bearer r", ROLE_READ), 0);
	assert_int_equal(judge(g, NULL, ROLE_NOBODY), 0);
	guard_close(g);
}

static void test_without_tokens_the_limit_is_that_of_an_address(void **state)
{
	struct guard *g = open_with(NULL, 1);

	(void)state;
	assert_int_equal(judge_at(g, from(1, NULL, ROLE_WRITE), 1000), 0);
	assert_int_equal(judge_at(g, from(1, "Bearer x", ROLE_WRITE), 1000), 429);
	assert_int_equal(judge_at(g, from(2, NULL, ROLE_WRITE), 1000), 0);
	guard_close(g);
}

static void test_a_reload_takes_the_new_file_or_leaves_the_old_one_in_force(void **state)
{
	struct guard *g;
	char why[OPTIONS_ERROR_SIZE];

	(void)state;
	write_three();
	g = open_with(path, 0);
	write_token("anna", "write", "new");
	assert_int_equal(judge(g, "Bearer r", ROLE_READ), 0);
	assert_int_equal(guard_reload(g, why), 0);
	assert_int_equal(judge(g, "Bearer r", ROLE_READ), 401);
	assert_int_equal(judge(g, "Bearer new", ROLE_WRITE), 0);
	write_tokens("anna write\n");
	assert_int_not_equal(guard_reload(g, why), 0);
	assert_non_null(strstr(why, ":1: "));
	assert_int_equal(judge(g, "Bearer new", ROLE_WRITE), 0);
	guard_close(g);
}

static void test_a_bad_file_opens_nothing(void **state)
{
	const struct options options = {.listen = listen_text, .tokens = path};
	char why[OPTIONS_ERROR_SIZE];
	struct guard *g = NULL;

	(void)state;
	write_tokens("");
	assert_int_not_equal(guard_open(&g, &options, why), 0);
	assert_null(g);
	assert_non_null(strstr(why, "there is no token in it"));
}

/* ---- threads ---- */

static _Atomic bool is_over;

static void *ask_always(void *arg)
{
	uint64_t asked = 0;

	/* One of the two sets has the one, and both have the other. */
	for (; !atomic_load(&is_over) || asked == 0; asked++) {
		unsigned status = judge(arg, "Bearer w", ROLE_READ);

		if (status != 0 && status != 401)
			return (void *)1;
		if (judge(arg, "Bearer always", ROLE_READ) != 0)
			return (void *)2;
	}
	return NULL;
}

static void test_requests_meet_the_old_set_or_the_new_one(void **state)
{
	char always[SECRET_LINE_SIZE], sometimes[SECRET_LINE_SIZE], text[2][512], why[OPTIONS_ERROR_SIZE];
	pthread_t threads[3];
	struct guard *g;
	void *result;

	(void)state;
	secret_line((struct slice){"always", 6}, always);
	secret_line((struct slice){"w", 1}, sometimes);
	(void)snprintf(text[0], sizeof(text[0]), "a read %s\n", always);
	(void)snprintf(text[1], sizeof(text[1]), "b read %s\na read %s\n", sometimes, always);
	write_tokens(text[0]);
	g = open_with(path, 0);
	atomic_store(&is_over, false);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_always, g), 0);
	for (int i = 0; i < 300; i++) {
		write_tokens(text[i % 2]);
		assert_int_equal(guard_reload(g, why), 0);
	}
	atomic_store(&is_over, true);
	for (size_t i = 0; i < 3; i++) {
		pthread_join(threads[i], &result);
		assert_null(result);
	}
	guard_close(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_tokens_whoever_reaches_us_may_all),
		cmocka_unit_test(test_a_role_has_what_smaller_ones_have),
		cmocka_unit_test(test_no_token_and_an_unknown_one_are_401_and_health_needs_none),
		cmocka_unit_test(test_another_ones_page_is_refused_whatever_its_token_is),
		cmocka_unit_test(test_the_limit_is_that_of_a_name_wherever_it_asks_from),
		cmocka_unit_test(test_who_guesses_is_limited_by_address_and_hurts_no_name),
		cmocka_unit_test(test_without_tokens_the_limit_is_that_of_an_address),
		cmocka_unit_test(test_a_reload_takes_the_new_file_or_leaves_the_old_one_in_force),
		cmocka_unit_test(test_a_bad_file_opens_nothing),
		cmocka_unit_test(test_requests_meet_the_old_set_or_the_new_one),
	};
	return cmocka_run_group_tests(tests, make_path, drop_path);
}
