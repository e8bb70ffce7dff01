/* SPDX-License-Identifier: MIT */
#include "../../lib/way.h"

#include <grp.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { SOMEBODY = 54321 };

static char top[] = "/tmp/shc-way-XXXXXX";
static char why[WAY_WHY_SIZE];

static char *below(const char *name)
{
	static char paths[8][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, PATH_MAX, "%s/%s", top, name);
	return path;
}

static void make(const char *name, mode_t mode)
{
	assert_int_equal(mkdir(below(name), 0700), 0);
	assert_int_equal(chmod(below(name), mode), 0);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(top + sizeof(top) - 7, "XXXXXX");
	return mkdtemp(top) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[PATH_MAX];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return chdir("/") || system(command);
}

static enum way socket_way(const char *name)
{
	return way_look(below(name), WAY_FOR_SOCKET, why);
}

static enum way state_way(const char *name)
{
	return way_look(below(name), WAY_FOR_STATE, why);
}

static void assert_why(const char *words)
{
	if (!strstr(why, words))
		fail_msg("'%s' is not in '%s'", words, why);
}

/* ---- */

static void test_what_is_ours_alone_is_safe_also_below_tmp(void **state)
{
	(void)state;
	make("d", 0755);
	assert_int_equal(socket_way("d/s"), WAY_SAFE);
	assert_int_equal(state_way("d/c.db"), WAY_SAFE);
	assert_int_equal(state_way("none/c.db"), WAY_SAFE);
	assert_int_equal(chdir(below("d")), 0);
	assert_int_equal(way_look("c.db", WAY_FOR_STATE, why), WAY_SAFE);
	assert_int_equal(way_look("../d/./c.db", WAY_FOR_STATE, why), WAY_SAFE);
}

static void test_what_anybody_may_write_to_is_open_and_further_up_doubtful(void **state)
{
	(void)state;
	make("pp", 0777);
	make("pp/sub", 0700);
	make("pp/sub/below", 0700);
	assert_int_equal(socket_way("pp/s"), WAY_OPEN);
	assert_int_equal(state_way("pp/c.db"), WAY_OPEN);
	assert_int_equal(socket_way("pp/sub/s"), WAY_DOUBTFUL);
	assert_int_equal(state_way("pp/sub/below/c.db"), WAY_DOUBTFUL);
	assert_why("anybody may write to ");
	assert_why(below("pp)"));
	assert_int_equal(chmod(below("pp/sub/below"), 0777), 0);
	assert_int_equal(state_way("pp/sub/below/c.db"), WAY_OPEN);
	assert_why(below("pp/sub/below)"));
	assert_int_equal(chdir(below("pp/sub")), 0);
	assert_int_equal(way_look("s", WAY_FOR_SOCKET, why), WAY_DOUBTFUL);
	assert_int_equal(chmod(below("pp"), 0755), 0);
	assert_int_equal(socket_way("pp/sub/s"), WAY_SAFE);
}

static void test_in_a_sticky_directory_there_may_be_a_socket_and_no_state(void **state)
{
	(void)state;
	make("t", 01777);
	make("t/d", 0700);
	make("t/g", 0700);
	assert_int_equal(chmod(below("t/g"), 0707), 0);
	assert_int_equal(socket_way("t/g/s"), WAY_OPEN);
	assert_int_equal(socket_way("t/s"), WAY_SAFE);
	assert_int_equal(socket_way("t/d/s"), WAY_SAFE);
	assert_int_equal(state_way("t/d/c.db"), WAY_SAFE);
	assert_int_equal(state_way("t/c.db"), WAY_OPEN);
	assert_why("make files in");
}

static void test_links_are_followed_where_nobody_else_can_make_them(void **state)
{
	(void)state;
	make("own", 0755);
	make("pp", 0777);
	make("pp/sub", 0700);
	make("t", 01777);
	assert_int_equal(symlink("../pp/sub", below("own/far")), 0);
	assert_int_equal(symlink(below("own"), below("own/near")), 0);
	assert_int_equal(symlink("loop", below("own/loop")), 0);
	assert_int_equal(symlink(below("pp/sub/c.db"), below("own/c.db")), 0);
	assert_int_equal(symlink(below("own"), below("t/link")), 0);
	assert_int_equal(socket_way("own/near/s"), WAY_SAFE);
	assert_int_equal(socket_way("own/far/s"), WAY_DOUBTFUL);
	assert_int_equal(socket_way("own/loop/s"), WAY_SAFE);
	assert_int_equal(state_way("own/c.db"), WAY_DOUBTFUL);
	assert_int_equal(socket_way("own/c.db"), WAY_SAFE);
	assert_int_equal(socket_way("t/link/s"), WAY_OPEN);
	assert_why("symbolic link");
}

static void test_a_group_may_write_if_it_is_roots_or_ours_alone(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	make("g", 0770);
	assert_int_equal(socket_way("g/s"), WAY_SAFE);
	assert_int_equal(chown(below("g"), 0, SOMEBODY), 0);
	assert_int_equal(socket_way("g/s"), WAY_DOUBTFUL);
	assert_why("gid 54321 may write to");
	assert_why("chmod g-w");
	assert_int_equal(chown(below("g"), 0, SOMEBODY), 0);
	assert_int_equal(setegid(SOMEBODY), 0);
	assert_int_equal(socket_way("g/s"), WAY_SAFE);
	assert_int_equal(setegid(0), 0);
}

/* As Debian has them: daemon, with a group of its own, and bin. */
static void test_a_group_of_the_users_name_without_others_is_his_alone(void **state)
{
	const struct passwd *user = getpwnam("daemon");
	const struct group *group = getgrnam("daemon");
	uid_t uid = user ? user->pw_uid : 0;
	gid_t gid = group && !group->gr_mem[0] ? group->gr_gid : 0, other;

	(void)state;
	group = getgrnam("bin");
	other = group ? group->gr_gid : 0;
	if (geteuid() != 0 || !uid || !other || !gid || gid != user->pw_gid)
		skip();
	assert_int_equal(chmod(top, 0755), 0);
	make("own", 0770);
	make("other", 0770);
	assert_int_equal(chown(below("own"), uid, gid), 0);
	assert_int_equal(chown(below("other"), uid, other), 0);
	assert_int_equal(socket_way("own/s"), WAY_DOUBTFUL);
	assert_why("group daemon may write to");
	assert_int_equal(setegid(gid) || seteuid(uid), 0);
	assert_int_equal(socket_way("own/s"), WAY_SAFE);
	assert_int_equal(socket_way("other/s"), WAY_DOUBTFUL);
	assert_why("group bin may write to");
	assert_int_equal(seteuid(0) || setegid(0), 0);
}

static void test_another_users_directory_is_doubtful_and_open_among_everybodys(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	make("his", 0755);
	make("his/ours", 0755);
	assert_int_equal(chown(below("his"), SOMEBODY, SOMEBODY), 0);
	assert_int_equal(socket_way("his/s"), WAY_DOUBTFUL);
	assert_int_equal(state_way("his/ours/c.db"), WAY_DOUBTFUL);
	assert_why("belongs to uid 54321");
	assert_why(below("his belongs"));
	assert_int_equal(seteuid(SOMEBODY), 0);
	assert_int_equal(socket_way("his/s"), WAY_SAFE);
	assert_int_equal(seteuid(0), 0);
	make("t", 01777);
	assert_int_equal(rename(below("his"), below("t/his")), 0);
	assert_int_equal(socket_way("t/his/s"), WAY_OPEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_what_is_ours_alone_is_safe_also_below_tmp),
		TEST(test_what_anybody_may_write_to_is_open_and_further_up_doubtful),
		TEST(test_in_a_sticky_directory_there_may_be_a_socket_and_no_state),
		TEST(test_links_are_followed_where_nobody_else_can_make_them),
		TEST(test_a_group_may_write_if_it_is_roots_or_ours_alone),
		TEST(test_a_group_of_the_users_name_without_others_is_his_alone),
		TEST(test_another_users_directory_is_doubtful_and_open_among_everybodys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
