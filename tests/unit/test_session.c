/* SPDX-License-Identifier: MIT */
/* Sessions and tokens in memory: what they say is stored, how many there may be, when they are forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../daemon/once.h"
#include "../../daemon/session.h"

static _Atomic int64_t count_max;
static _Atomic size_t used_bytes;

static struct session *get(struct session_table *t, const char *id)
{
	struct session *s = NULL;

	assert_int_equal(session_get(t, slice_str(id), &s), 0);
	return s;
}

static void init(struct session_table *t, int64_t max)
{
	count_max = max;
	assert_int_equal(session_table_init(t, &count_max, &used_bytes), 0);
}

static void fini(struct session_table *t)
{
	session_table_fini(t);
	assert_int_equal(used_bytes, 0);
}

static void advance(struct session_table *t, struct session *s, uint64_t seq, uint64_t epoch)
{
	session_advance(t, s, seq, NULL, 0, epoch, 1000);
}

static void test_what_is_stored_follows_the_durable_epoch(void **state)
{
	struct session_table t;
	struct session *s;

	(void)state;
	init(&t, 10);
	s = get(&t, "a");
	advance(&t, s, 1, 5);
	advance(&t, s, 2, 5);
	assert_int_equal(session_stored_seq(s, 4), 0);
	assert_int_equal(session_stored_seq(s, 5), 2);
	advance(&t, s, 3, 6);
	assert_int_equal(session_stored_seq(s, 4), 0);
	assert_int_equal(session_stored_seq(s, 5), 2);
	assert_int_equal(session_stored_seq(s, 6), 3);
	assert_int_equal(session_epoch_of(s, 2), 5);
	assert_int_equal(session_epoch_of(s, 3), 6);
	advance(&t, s, 4, 9); /* when 9 is open, 5 is durable */
	assert_int_equal(session_stored_seq(s, 5), 2);
	assert_int_equal(session_stored_seq(s, 8), 3);
	assert_int_equal(session_epoch_of(s, 2), 0);
	(void)session_put(&t, s, 1);
	fini(&t);
}

static void test_what_was_loaded_is_stored(void **state)
{
	struct session_table t;
	struct session *s;

	(void)state;
	init(&t, 10);
	assert_int_equal(session_load(&t, slice_str("a"), 7, slice_str("cur"), 1), 0);
	s = get(&t, "a");
	assert_int_equal(s->last.seq, 7);
	assert_int_equal(session_stored_seq(s, 0), 7);
	assert_int_equal(session_epoch_of(s, 7), 0);
	assert_true(slice_equal((struct slice){.data = s->cursor, .len = s->cursor_len}, slice_str("cur")));
	(void)session_put(&t, s, 1);
	fini(&t);
}

static void test_one_too_many_is_refused_and_the_others_are_still_found(void **state)
{
	struct session_table t;
	struct session *s[200], *more;
	char id[8];

	(void)state;
	init(&t, 200);
	for (int i = 0; i < 200; i++) {
		snprintf(id, sizeof(id), "%d", i);
		s[i] = get(&t, id);
	}
	assert_int_equal(session_get(&t, slice_str("more"), &more), -EDQUOT);
	for (int i = 0; i < 200; i++) {
		snprintf(id, sizeof(id), "%d", i);
		assert_ptr_equal(get(&t, id), s[i]);
	}
	/* Nothing was applied: the last reference takes them along. */
	for (int i = 0; i < 400; i++)
		(void)session_put(&t, s[i % 200], 1);
	assert_int_equal(t.count, 0);
	fini(&t);
}

static void test_only_idle_durable_and_old_ones_are_forgotten(void **state)
{
	struct session_table t;
	struct session *s, *held;

	(void)state;
	init(&t, 10);
	s = get(&t, "a");
	advance(&t, s, 1, 5);
	(void)session_put(&t, s, 1);
	held = get(&t, "held");
	advance(&t, held, 1, 5);
	session_expire(&t, 1000, 9); /* not old */
	session_expire(&t, 1001, 4); /* not durable */
	assert_int_equal(t.count, 2);
	session_expire(&t, 1001, 5);
	assert_int_equal(t.count, 1);
	s = get(&t, "a");
	assert_int_equal(s->last.seq, 0);
	(void)session_put(&t, s, 1);
	(void)session_put(&t, held, 1);
	fini(&t);
}

static void test_a_binding_ends_for_its_owner_only(void **state)
{
	struct session_table t;
	struct session *s;

	(void)state;
	init(&t, 10);
	s = get(&t, "a");
	(void)get(&t, "a");
	s->owner = 2;
	(void)session_put(&t, s, 1); /* the one it was taken from */
	assert_int_equal(s->owner, 2);
	assert_null(session_put(&t, s, 2));
	assert_int_equal(t.count, 0);
	fini(&t);
}

/* ---- tokens ---- */

static bool use(struct once_table *t, const char *name, const char *token, uint64_t epoch, int64_t now_ms,
		int64_t before_ms, uint64_t durable)
{
	struct once_key key = once_key(t, slice_str(name), slice_str(token));
	struct once_token *made = NULL;
	bool is_known;

	once_lock(t, &key);
	is_known = once_find(t, &key, before_ms, durable) != NULL;
	if (!is_known && once_new(t, &key, 3, before_ms, durable, &made) == 0)
		once_add(t, &key, made, epoch, now_ms);
	once_unlock(t, &key);
	return is_known;
}

static void test_a_token_is_known_for_its_name_until_it_is_old_and_durable(void **state)
{
	struct once_table *t = aligned_alloc(64, sizeof(*t));

	(void)state;
	assert_non_null(t);
	count_max = 100;
	once_table_init(t, &count_max, &used_bytes);
	assert_false(use(t, "x", "t", 5, 100, 0, 4));
	assert_true(use(t, "x", "t", 5, 101, 0, 4));
	assert_false(use(t, "xt", "t", 5, 102, 0, 4));
	assert_true(use(t, "x", "t", 6, 500, 200, 4));	/* old, but not durable */
	assert_false(use(t, "x", "t", 6, 500, 200, 5)); /* old and durable: used anew */
	assert_true(use(t, "x", "t", 6, 501, 200, 6));
	once_table_fini(t);
	assert_int_equal(used_bytes, 0);
	free(t);
}

static void test_when_full_none_is_forgotten_early(void **state)
{
	struct once_table *t = aligned_alloc(64, sizeof(*t));
	char token[8];

	(void)state;
	assert_non_null(t);
	count_max = 1000;
	once_table_init(t, &count_max, &used_bytes);
	for (int i = 0; i < 1100; i++) {
		snprintf(token, sizeof(token), "%d", i);
		assert_false(use(t, "x", token, 5, 100 + i, 0, 9));
	}
	assert_true(once_is_full(t));
	for (int i = 0; i < 1100; i++) {
		snprintf(token, sizeof(token), "%d", i);
		assert_true(use(t, "x", token, 5, 0, 0, 9) == (i < 1000));
	}
	once_expire(t, 600, 9);
	assert_int_equal(t->count, 500);
	assert_false(use(t, "x", "499", 6, 2000, 600, 9));
	assert_true(use(t, "x", "500", 6, 2000, 600, 9));
	once_table_fini(t);
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_stored_follows_the_durable_epoch),
		cmocka_unit_test(test_what_was_loaded_is_stored),
		cmocka_unit_test(test_one_too_many_is_refused_and_the_others_are_still_found),
		cmocka_unit_test(test_only_idle_durable_and_old_ones_are_forgotten),
		cmocka_unit_test(test_a_binding_ends_for_its_owner_only),
		cmocka_unit_test(test_a_token_is_known_for_its_name_until_it_is_old_and_durable),
		cmocka_unit_test(test_when_full_none_is_forgotten_early),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
