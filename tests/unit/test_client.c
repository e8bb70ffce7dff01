/* SPDX-License-Identifier: MIT */
#include "../../daemon/client.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct client unix_client(void)
{
	struct client c = {.worker = 1,
			   .fd = 9,
			   .since_ms = 1000,
			   .address = {.peer = "/run/s:0", .local = "/run/s:0", .uid = 7, .pid = 8},
			   .active_ms = 5000,
			   .multi_count = -1,
			   .proto = 2};

	return c;
}

static void assert_text(struct buf *b, const char *wanted)
{
	assert_false(b->failed);
	buf_append(b, "", 1);
	assert_string_equal(buf_head(b), wanted);
	buf_fini(b);
}

static void test_ids_begin_at_1_and_are_not_used_again(void **state)
{
	struct client_directory d;
	struct client a = unix_client(), b = unix_client();

	(void)state;
	client_directory_init(&d);
	client_add(&d, &a);
	assert_int_equal(a.id, 1);
	client_remove(&d, &a);
	client_add(&d, &b);
	assert_int_equal(b.id, 2);
	assert_int_equal(atomic_load(&d.count), 1);
	client_remove(&d, &b);
	assert_int_equal(atomic_load(&d.count), 0);
	client_directory_fini(&d);
}

static void test_a_line_has_the_fields_of_redis_and_ours_behind_them(void **state)
{
	struct client c = unix_client();
	struct buf out = BUF_INIT;
	char wanted[1024];

	(void)state;
	c.id = 3;
	c.command = "client|list";
	c.input_bytes = 11;
	c.output_bytes = 22;
	strcpy(c.name, "n");
	strcpy(c.lib_name, "l");
	strcpy(c.lib_version, "1.0");
	client_print(&c, 12999, &out);
	(void)snprintf(
		wanted, sizeof(wanted),
		"id=3 addr=/run/s:0 laddr=/run/s:0 fd=9 name=n age=11 idle=7 flags=U db=0 sub=0 psub=0 "
		"ssub=0 "
		"multi=-1 qbuf=11 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=22 oll=0 omem=0 "
		"tot-mem=%zu events=r cmd=client|list user=default redir=-1 resp=2 lib-name=l lib-ver=1.0 "
		"worker=1 uid=7 pid=8 held-back=0\n",
		sizeof(c) + 33);
	assert_text(&out, wanted);
}

static void test_flags_tell_transactions_and_kinds_of_sockets(void **state)
{
	static const struct {
		const char *descr;
		uid_t uid;
		int32_t multi_count;
		const char *wanted;
	} cases[] = {
		{"Unix", 0, -1, "flags=U "},
		{"TCP", (uid_t)-1, -1, "flags=N "},
		{"Unix in MULTI", 0, 0, "flags=xU "},
		{"TCP in MULTI", (uid_t)-1, 3, "flags=x "},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct client c = unix_client();
		struct buf out = BUF_INIT;

		c.address.uid = cases[i].uid;
		c.multi_count = cases[i].multi_count;
		client_print(&c, 5000, &out);
		buf_append(&out, "", 1);
		if (!strstr(buf_head(&out), cases[i].wanted))
			fail_msg("%s: no '%s' in %s", cases[i].descr, cases[i].wanted, buf_head(&out));
		buf_fini(&out);
	}
}

static void test_a_client_without_request_has_no_command(void **state)
{
	struct client c = unix_client();
	struct buf out = BUF_INIT;

	(void)state;
	client_print(&c, 5000, &out);
	buf_append(&out, "", 1);
	assert_non_null(strstr(buf_head(&out), " cmd=NULL "));
	buf_fini(&out);
}

static void test_the_longest_strings_fit_a_line(void **state)
{
	struct client_directory d;
	struct client c = unix_client();
	char text[CLIENT_NAME_MAX];
	const struct slice longest = {.data = text, .len = sizeof(text)};
	struct buf out = BUF_INIT;

	(void)state;
	memset(text, 'x', sizeof(text));
	memset(c.address.peer, 'p', sizeof(c.address.peer) - 1);
	memset(c.address.local, 'q', sizeof(c.address.local) - 1);
	c.since_ms = INT64_MIN / 2;
	c.input_bytes = c.output_bytes = UINT64_MAX;
	client_directory_init(&d);
	client_add(&d, &c);
	client_set_string(&d, c.name, longest);
	client_set_string(&d, c.lib_name, longest);
	client_set_string(&d, c.lib_version, longest);
	client_print_all(&d, NULL, 0, &out);
	assert_false(out.failed);
	assert_int_equal(buf_head(&out)[buf_len(&out) - 1], '\n');
	buf_fini(&out);
	client_set_string(&d, c.name, (struct slice){0});
	assert_string_equal(c.name, "");
	client_remove(&d, &c);
	client_directory_fini(&d);
}

/* The ids at the beginning of the lines, as one word. */
static void assert_ids(struct client_directory *d, const uint64_t *ids, size_t count, const char *wanted)
{
	struct buf out = BUF_INIT, found = BUF_INIT;
	const char *at;

	client_print_all(d, ids, count, &out);
	buf_append(&out, "", 1);
	for (at = buf_head(&out); *at; at = strchr(at, '\n') + 1) {
		buf_append(&found, at + strlen("id="), strcspn(at, " ") - strlen("id="));
		buf_append(&found, ",", 1);
	}
	assert_text(&found, wanted);
	buf_fini(&out);
}

static void test_lines_come_by_id_and_only_those_asked_for(void **state)
{
	static const uint64_t some[] = {0, 1, 3, 3, 4}, other[] = {7};
	struct client_directory d;
	struct client c[4];

	(void)state;
	client_directory_init(&d);
	for (size_t i = 0; i < 4; i++) {
		c[i] = unix_client();
		client_add(&d, &c[i]);
	}
	client_remove(&d, &c[1]);
	assert_ids(&d, NULL, 0, "1,3,4,");
	assert_ids(&d, some, 5, "1,3,4,");
	assert_ids(&d, other, 1, "");
	for (size_t i = 0; i < 4; i++)
		if (i != 1)
			client_remove(&d, &c[i]);
	client_directory_fini(&d);
}

/* ---- threads ---- under ThreadSanitizer: what a line shows may be written meanwhile. */

enum { ROUNDS = 300 };

static void *come_and_go(void *arg)
{
	struct client_directory *d = arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct client c = unix_client();

		client_add(d, &c);
		client_set_string(d, c.name, i % 2 ? slice_str("odd") : slice_str("even-and-longer"));
		atomic_store_explicit(&c.active_ms, i, memory_order_relaxed);
		atomic_store_explicit(&c.command, "ping", memory_order_relaxed);
		client_remove(d, &c);
	}
	return NULL;
}

static void test_lists_are_whole_while_clients_come_and_go(void **state)
{
	struct client_directory d;
	pthread_t threads[2];

	(void)state;
	client_directory_init(&d);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &d), 0);
	for (int i = 0; i < ROUNDS; i++) {
		struct buf out = BUF_INIT;

		client_print_all(&d, NULL, 0, &out);
		if (buf_len(&out))
			assert_int_equal(buf_head(&out)[buf_len(&out) - 1], '\n');
		buf_fini(&out);
	}
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&d.count), 0);
	assert_int_equal(d.id_next, 1 + 2 * ROUNDS);
	client_directory_fini(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids_begin_at_1_and_are_not_used_again),
		cmocka_unit_test(test_a_line_has_the_fields_of_redis_and_ours_behind_them),
		cmocka_unit_test(test_flags_tell_transactions_and_kinds_of_sockets),
		cmocka_unit_test(test_a_client_without_request_has_no_command),
		cmocka_unit_test(test_the_longest_strings_fit_a_line),
		cmocka_unit_test(test_lines_come_by_id_and_only_those_asked_for),
		cmocka_unit_test(test_lists_are_whole_while_clients_come_and_go),
	};

	return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
