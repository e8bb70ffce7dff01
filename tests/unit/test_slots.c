/* SPDX-License-Identifier: MIT */
/*
 * Replies to CLUSTER SLOTS: what redis 7.0 says in its different moods, and what nobody should believe.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../lib/slots.h"

struct told {
	char text[512];
};

static void tell(void *arg, unsigned first, unsigned last, const struct slots_node *node)
{
	struct told *t = arg;
	size_t len = strlen(t->text);
	snprintf(t->text + len, sizeof(t->text) - len, "%u-%u%s%.*s:%u ", first, last,
		 node->is_replica ? "<" : "=", (int)node->host.len, node->host.len ? node->host.data : "",
		 (unsigned)node->port);
}

/* What is told of a reply in RESP; "refused". */
static const char *read_slots(const char *resp, struct told *t)
{
	struct resp_reader reader;
	size_t size;
	t->text[0] = '\0';
	resp_reader_init(&reader);
	assert_int_equal(resp_read(&reader, resp, strlen(resp), &size), RESP_DONE);
	if (!slots_read(&reader.reply, tell, t)) {
		assert_string_equal(t->text, ""); /* nothing was told before it was found to be wrong */
		snprintf(t->text, sizeof(t->text), "refused");
	}
	resp_reader_fini(&reader);
	return t->text;
}

static void test_masters_and_replicas_are_told_by_range(void **state)
{
	struct told t;
	(void)state;
	assert_string_equal(
		read_slots("*2\r\n"
			   "*4\r\n:0\r\n:5460\r\n"
			   "*4\r\n$9\r\n127.0.0.1\r\n:7000\r\n$2\r\nid\r\n*0\r\n"
			   "*4\r\n$9\r\n127.0.0.1\r\n:7003\r\n$2\r\nid\r\n*2\r\n$8\r\nhostname\r\n$1\r\nh\r\n"
			   "*3\r\n:5461\r\n:16383\r\n"
			   "*3\r\n$1\r\nb\r\n:7001\r\n$2\r\nid\r\n",
			   &t),
		"0-5460=127.0.0.1:7000 0-5460<127.0.0.1:7003 5461-16383=b:7001 ");
	assert_string_equal(read_slots("*0\r\n", &t), "");
}

static void test_a_node_that_does_not_know_its_name_is_the_one_that_was_asked(void **state)
{
	struct told t;
	(void)state;
	assert_string_equal(read_slots("*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$-1\r\n:7000\r\n", &t), "0-1=:7000 ");
	assert_string_equal(read_slots("*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$0\r\n\r\n:7000\r\n", &t),
			    "0-1=:7000 ");
}

static void test_nodes_without_an_address_are_left_out(void **state)
{
	struct told t;
	(void)state;
	assert_string_equal(
		read_slots("*1\r\n*4\r\n:0\r\n:1\r\n*2\r\n$1\r\n?\r\n:7000\r\n*2\r\n$1\r\na\r\n:1\r\n", &t),
		"");
	assert_string_equal(
		read_slots("*1\r\n*4\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n:1\r\n*2\r\n$1\r\nb\r\n:0\r\n", &t),
		"0-1=a:1 ");
}

static void test_what_makes_no_sense_is_refused_whole(void **state)
{
	static const char *const replies[] = {
		"+OK\r\n",
		"*1\r\n:1\r\n",
		"*1\r\n*2\r\n:0\r\n:1\r\n",
		"*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n",
		"*1\r\n*3\r\n:-1\r\n:5\r\n*2\r\n$1\r\na\r\n:1\r\n",
		"*1\r\n*3\r\n:5\r\n:4\r\n*2\r\n$1\r\na\r\n:1\r\n",
		"*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n:65536\r\n",
		"*1\r\n*3\r\n:0\r\n:1\r\n*1\r\n$1\r\na\r\n",
		"*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n:1\r\n:1\r\n",
		"*2\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n:1\r\n*3\r\n$1\r\n0\r\n:1\r\n*2\r\n$1\r\na\r\n:1\r\n",
	};
	struct told t;
	(void)state;
	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++)
		assert_string_equal(read_slots(replies[i], &t), "refused");
}

static void test_a_failed_replica_is_a_replica(void **state)
{
	static const char head[] =
		"07c3 127.0.0.1:30004@31004,host slave e7d1 0 1426238317239 4 connected\n"
		"67ed 127.0.0.1:30002@31002 master - 0 1426238316232 2 connected 5461-10922\n";
	char text[512];
	(void)state;
	assert_false(slots_has_replica(slice_str("")));
	assert_false(slots_has_replica(slice_str(head))); /* nobody says who he is */
	snprintf(text, sizeof(text), "%s%s", head,
		 "e7d1 127.0.0.1:30001@31001 myself,master - 0 0 1 connected 0-5460\n");
	assert_true(slots_has_replica(slice_str(text)));
	snprintf(text, sizeof(text), "%s%s", head,
		 "67ed 127.0.0.1:30002@31002 myself,master - 0 0 2 connected");
	assert_false(slots_has_replica(slice_str(text)));
	snprintf(text, sizeof(text), "%s%s%s", head,
		 "292f 127.0.0.1:30003@31003 myself,master - 0 0 3 connected\n",
		 "6ec2 127.0.0.1:30005@31005 slave,fail 292f 0 1426238316232 5 disconnected\n");
	assert_true(slots_has_replica(slice_str(text)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_masters_and_replicas_are_told_by_range),
		cmocka_unit_test(test_a_node_that_does_not_know_its_name_is_the_one_that_was_asked),
		cmocka_unit_test(test_nodes_without_an_address_are_left_out),
		cmocka_unit_test(test_what_makes_no_sense_is_refused_whole),
		cmocka_unit_test(test_a_failed_replica_is_a_replica),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
