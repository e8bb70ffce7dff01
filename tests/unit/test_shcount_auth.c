/* SPDX-License-Identifier: MIT */
/* libshcount: passwords in the URL and beside it, against a scripted server. */
#include "shcount_rig.h"

/* ---- authentication ---- */

static void test_a_password_is_sent_before_anything_else(void **state)
{
	(void)state;
	static const struct step steps[] = {DO(ACCEPT),
					    SAY(REQUEST, "AUTH ann s cret"),
					    SAY(REPLY, "+OK\r\n"),
					    SAY(REQUEST, "GET x"),
					    SAY(REPLY, "$1\r\n3\r\n"),
					    DO(END)};
	int64_t v;
	start_tcp(steps, "ann:s%20cret@");
	assert_int_equal(shc_get(shc, "x", 1, &v), SHC_OK);
	assert_int_equal(v, 3);
	finish();
}

static void test_nothing_follows_a_wrong_password(void **state)
{
	(void)state;
	static const struct step steps[] = {DO(ACCEPT), SAY(REQUEST, "AUTH wrong"),
					    SAY(REPLY, "-WRONGPASS invalid\r\n"), DO(SIGNAL), DO(END)};
	int64_t v;
	start_tcp(steps, ":wrong@");
	assert_int_equal(shc_incr(shc, "x", 1, 1, &v), SHC_DENIED);
	assert_says("WRONGPASS");
	server_wait(&server);
	char byte;
	assert_int_equal(recv(server.fd, &byte, 1, 0), 0);
	finish();
}

/* ---- a password beside the URL ---- */

/* A server that is asked with `auth` and says `answer`. The handle has the password "s3cret" beside its URL.
 */
static enum shc_status log_in(const char *in_url, const char *user, const char *auth, const char *answer,
			      bool goes_on)
{
	static struct step steps[6]; /* the server's thread reads them */
	const struct step get[] = {SAY(REQUEST, "GET x"), SAY(REPLY, "$1\r\n3\r\n")};
	int64_t v;
	steps[0] = (struct step)DO(ACCEPT);
	steps[1] = (struct step)SAY(REQUEST, auth);
	steps[2] = (struct step)SAY(REPLY, answer);
	for (size_t i = 0; i < 2; i++)
		steps[3 + i] = goes_on ? get[i] : (struct step)DO(END);
	steps[5] = (struct step)DO(END);
	server_start_tcp(&server, steps, in_url);
	assert_int_equal(shc_open(&shc, server.url, PATIENCE_MS), SHC_OK);
	assert_int_equal(shc_set_auth(shc, user, "s3cret"), SHC_OK);
	return shc_get(shc, "x", 1, &v);
}

#define NO_PASSWORD                                                                                          \
	"-ERR AUTH <password> called without any password configured for the default user. Are you sure "    \
	"your configuration is correct?\r\n"

static void test_a_password_beside_the_url_is_used_where_it_has_none(void **state)
{
	(void)state;
	static const struct {
		const char *in_url, *user, *auth;
	} cases[] = {
		{"", NULL, "AUTH s3cret"},	    {"", "bob", "AUTH bob s3cret"},
		{"ann@", "bob", "AUTH ann s3cret"}, {"ann:own@", "bob", "AUTH ann own"},
		{":own@", "bob", "AUTH own"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(log_in(cases[i].in_url, cases[i].user, cases[i].auth, "+OK\r\n", true),
				 SHC_OK);
		finish();
	}
}

static void test_a_server_without_passwords_takes_one_beside_the_url_but_none_in_it(void **state)
{
	(void)state;
	static const char older[] = "-ERR Client sent AUTH, but no password is set\r\n";
	assert_int_equal(log_in("", NULL, "AUTH s3cret", NO_PASSWORD, true), SHC_OK);
	finish();
	assert_int_equal(log_in("", NULL, "AUTH s3cret", older, true), SHC_OK);
	finish();
	assert_int_equal(log_in(":own@", NULL, "AUTH own", NO_PASSWORD, false), SHC_DENIED);
	assert_says("without any password");
	finish();
	assert_int_equal(log_in("", NULL, "AUTH s3cret", "-ERR too busy\r\n", false), SHC_DENIED);
	finish();
}

static void test_a_password_that_the_server_repeats_is_not_shown(void **state)
{
	(void)state;
	const char *answer = "-ERR unknown command 'AUTH', with args beginning with: 's3cret'\r\n";
	assert_int_equal(log_in("", NULL, "AUTH s3cret", answer, false), SHC_DENIED);
	assert_says("AUTH: refused");
	assert_null(strstr(shc_error(shc), "s3cret"));
	finish();
}

static void test_who_to_log_in_as_is_said_once_before_connecting(void **state)
{
	(void)state;
	assert_int_equal(log_in("ann:own@", NULL, "AUTH ann own", "+OK\r\n", true), SHC_OK);
	assert_int_equal(shc_set_auth(shc, NULL, "other"), SHC_USAGE);
	assert_says("before the first connection");
	finish();
	assert_int_equal(shc_open(&shc, "redis://h", PATIENCE_MS), SHC_OK);
	assert_int_equal(shc_set_auth(shc, NULL, "one"), SHC_OK);
	assert_int_equal(shc_set_auth(shc, NULL, "two"), SHC_USAGE);
	shc_close(shc);
}

static void test_what_only_a_cluster_has_is_refused_elsewhere(void **state)
{
	(void)state;
	static const char *const urls[] = {"/nonexistent/socket", "redis://h"};
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(shc_open(&shc, urls[i], PATIENCE_MS), SHC_OK);
		assert_int_equal(shc_set_shards(shc, 2), SHC_USAGE);
		assert_says("this server is none");
		assert_int_equal(shc_set_read_replica(shc, true), SHC_USAGE);
		assert_says("this server is none");
		shc_close(shc);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_password_is_sent_before_anything_else),
		cmocka_unit_test(test_nothing_follows_a_wrong_password),
		cmocka_unit_test(test_a_password_beside_the_url_is_used_where_it_has_none),
		cmocka_unit_test(test_a_server_without_passwords_takes_one_beside_the_url_but_none_in_it),
		cmocka_unit_test(test_a_password_that_the_server_repeats_is_not_shown),
		cmocka_unit_test(test_who_to_log_in_as_is_said_once_before_connecting),
		cmocka_unit_test(test_what_only_a_cluster_has_is_refused_elsewhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
