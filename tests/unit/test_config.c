/* SPDX-License-Identifier: MIT */
#include "../../daemon/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { ARGS_MAX = 32 };

/* A private directory, current for the test, with a file "shcounterd.conf" where a test wants one. */
struct fixture {
	char dir[64];
	char file[128];
	struct config config;
	struct config_error err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	strcpy(f->dir, "/tmp/test_config.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(chdir(f->dir), 0);
	snprintf(f->file, sizeof(f->file), "%s/shcounterd.conf", f->dir);
	unsetenv("RUNTIME_DIRECTORY");
	unsetenv("STATE_DIRECTORY");
	config_init(&f->config);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	config_fini(&f->config);
	unlink(f->file);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static void write_file(struct fixture *f, const void *content, size_t len)
{
	FILE *out = fopen(f->file, "w");
	assert_non_null(out);
	assert_int_equal(fwrite(content, 1, len, out), len);
	assert_int_equal(fclose(out), 0);
}

/* Words separated by one blank. */
static int parse(struct fixture *f, const char *words)
{
	char line[1024], *argv[ARGS_MAX] = {(char[]){"shcounterd"}}, *rest = line;
	int argc = 1;
	assert_true(strlen(words) < sizeof(line));
	strcpy(line, words);
	while (rest != NULL && *rest != '\0' && argc < ARGS_MAX - 1)
		argv[argc++] = strsep(&rest, " ");
	memset(&f->err, 0, sizeof(f->err));
	return config_parse_args(&f->config, argc, argv, &f->err);
}

static int parse_with_file(struct fixture *f, const char *content)
{
	write_file(f, content, strlen(content));
	return parse(f, "-f shcounterd.conf");
}

struct wanted {
	const char *name;
	char value[512];
};

static void take_wanted(void *arg, const char *name, const char *value)
{
	struct wanted *w = arg;
	if (strcmp(w->name, name) == 0)
		snprintf(w->value, sizeof(w->value), "%s", value);
}

static void assert_setting(struct fixture *f, const char *name, const char *value)
{
	struct wanted w = {.name = name, .value = "(no such setting)"};
	config_each(&f->config, take_wanted, &w);
	assert_string_equal(w.value, value);
}

static void assert_text_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("'%s' is not in '%s'", part, text);
}

/* ---- values ---- */

static void test_every_setting_is_taken_from_the_command_line(void **state)
{
	static const struct {
		const char *args, *name, *value;
	} good[] = {
		{"--socket /run/x.sock", "socket", "/run/x.sock"},
		{"--socket=/run/x.sock", "socket", "/run/x.sock"},
		{"--socket-mode 0600", "socket-mode", "0600"},
		{"--socket-mode 777", "socket-mode", "0777"},
		{"--socket-group root", "socket-group", "root"},
		{"--socket-group 4711", "socket-group", "4711"},
		{"--db /srv/c.db", "db", "/srv/c.db"},
		{"--workers 1", "workers", "1"},
		{"--workers 128", "workers", "128"},
		{"--cells always", "cells", "always"},
		{"--commit-interval 10ms", "commit-interval", "10ms"},
		{"--commit-interval 1h", "commit-interval", "1h"},
		{"--commit-interval 1500ms", "commit-interval", "1500ms"},
		{"--snapshot-interval 5m", "snapshot-interval", "5m"},
		{"--fold-cpu 1", "fold-cpu", "1"},
		{"--durability interval", "durability", "interval"},
		{"--io io_uring", "io", "io_uring"},
		{"--io epoll", "io", "epoll"},
		{"--listen 127.0.0.1:6379", "listen", "127.0.0.1:6379"},
		{"--listen 127.9.8.7:1", "listen", "127.9.8.7:1"},
		{"--listen [::1]:65535", "listen", "[::1]:65535"},
		{"--listen localhost:6379", "listen", "localhost:6379"},
		{"--max-memory 0", "max-memory", "0"},
		{"--max-memory 2g", "max-memory", "2g"},
		{"--max-memory 1073741825", "max-memory", "1073741825"},
		{"--max-clients 1", "max-clients", "1"},
		{"--output-limit 65536", "output-limit", "64k"},
		{"--output-timeout 90s", "output-timeout", "90s"},
		{"--idle-exit 0", "idle-exit", "0"},
		{"--idle-exit 10m", "idle-exit", "10m"},
		{"--log-format json", "log-format", "json"},
		{"--log-level warning", "log-level", "warning"},
		{"--workers 3 --workers 4", "workers", "4"},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		int outcome = parse(f, good[i].args);
		if (outcome != CONFIG_OK)
			fail_msg("%s: %d %s", good[i].args, outcome, f->err.text);
		assert_setting(f, good[i].name, good[i].value);
	}
}

static void test_the_fields_hold_what_the_values_mean(void **state)
{
	struct fixture *f = *state;
	struct config *c = &f->config;
	assert_int_equal(
		parse(f, "--socket-mode 0640 --workers 7 --cells always --commit-interval 2s --io epoll "
			 "--max-memory 1m --log-format json --log-level error"),
		CONFIG_OK);
	assert_int_equal(c->socket_mode, 0640);
	assert_int_equal(c->workers, 7);
	assert_int_equal(c->cells, CELLS_ALWAYS);
	assert_int_equal(c->commit_interval_ms, 2000);
	assert_int_equal(c->io, IO_EPOLL);
	assert_int_equal(c->max_memory_bytes, 1 << 20);
	assert_true(c->is_log_json);
	assert_int_equal(c->log_level, LOG_LEVEL_ERROR);
}

static void test_a_bad_value_is_named_with_its_range(void **state)
{
	static const struct {
		const char *args, *said, *range;
		int outcome;
	} bad[] = {
		{"--workers 0", "--workers: '0'", "1 to 128", CONFIG_USAGE},
		{"--workers 129", "--workers: '129'", "1 to 128", CONFIG_USAGE},
		{"--workers 2x", "--workers: '2x'", "1 to 128", CONFIG_USAGE},
		{"--workers=", "--workers: ", "a value is missing", CONFIG_USAGE},
		{"--commit-interval 9ms", "'9ms'", "10ms to 1h", CONFIG_USAGE},
		{"--commit-interval 61m", "'61m'", "10ms to 1h", CONFIG_USAGE},
		{"--commit-interval 1", "'1'", "10ms to 1h", CONFIG_USAGE},
		{"--commit-interval -1s", "'-1s'", "10ms to 1h", CONFIG_USAGE},
		{"--cells sometimes", "'sometimes'", "auto or always", CONFIG_USAGE},
		{"--io uring", "'uring'", "auto, io_uring or epoll", CONFIG_USAGE},
		{"--socket-mode 888", "'888'", "0000 to 0777", CONFIG_USAGE},
		{"--socket-mode 1777", "'1777'", "0000 to 0777", CONFIG_USAGE},
		{"--socket-group nobody-has-this", "'nobody-has-this'", "there is no group", CONFIG_USAGE},
		{"--max-memory -1", "'-1'", "0 to 1p", CONFIG_USAGE},
		{"--max-memory -18446744073709551615", "'-18446744073709551615'", "0 to 1p", CONFIG_USAGE},
		{"--max-memory 1q", "'1q'", "0 to 1p", CONFIG_USAGE},
		{"--max-memory 99999999999999999999", "'9999", "0 to 1p", CONFIG_USAGE},
		{"--output-limit 1k", "'1k'", "64k to 16g", CONFIG_USAGE},
		{"--log-level loud", "'loud'", "debug, info, warning or error", CONFIG_USAGE},
		{"--durability never", "'never'", "interval or commit", CONFIG_USAGE},
		{"--token-ttl 500ms", "'500ms'", "1s to 365d", CONFIG_USAGE},
		{"--idle-exit 8d", "'8d'", "0 to 7d", CONFIG_USAGE},
		{"--max-sessions -1", "'-1'", "0 to 100000000", CONFIG_USAGE},
		{"--listen 0.0.0.0:6379", "'0.0.0.0:6379'", "not a loopback address", CONFIG_BAD},
		{"--listen [::]:6379", "'[::]:6379'", "not a loopback address", CONFIG_BAD},
		{"--listen 10.0.0.1:6379", "'10.0.0.1:6379'", "not a loopback address", CONFIG_BAD},
		{"--listen example.org:6379", "'example.org:6379'", "not a loopback address", CONFIG_BAD},
		{"--listen 127.0.0.1", "'127.0.0.1'", "HOST:PORT", CONFIG_USAGE},
		{"--listen ::1:6379", "'::1:6379'", "HOST:PORT", CONFIG_USAGE},
		{"--listen :6379", "':6379'", "HOST:PORT", CONFIG_USAGE},
		{"--listen *:7778", "'*:7778'", "0.0.0.0:7778 or [::]:7778", CONFIG_USAGE},
		{"--listen 127.0.0.1:0", "'127.0.0.1:0'", "1 to 65535", CONFIG_USAGE},
		{"--listen 127.0.0.1:70000", "'127.0.0.1:70000'", "1 to 65535", CONFIG_USAGE},
		{"--listen 127.0.0.1:", "'127.0.0.1:'", "1 to 65535", CONFIG_USAGE},
		{"--workers \033[31m", "'^[[31m'", "1 to 128", CONFIG_USAGE},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int outcome = parse(f, bad[i].args);
		if (outcome != bad[i].outcome)
			fail_msg("%s: %d %s", bad[i].args, outcome, f->err.text);
		assert_text_has(f->err.text, bad[i].said);
		assert_text_has(f->err.text, bad[i].range);
	}
}

static void test_a_relative_path_becomes_absolute(void **state)
{
	struct fixture *f = *state;
	char wanted[128];
	assert_int_equal(parse(f, "--socket s.sock --db sub/c.db"), CONFIG_OK);
	snprintf(wanted, sizeof(wanted), "%s/s.sock", f->dir);
	assert_setting(f, "socket", wanted);
	snprintf(wanted, sizeof(wanted), "%s/sub/c.db", f->dir);
	assert_setting(f, "db", wanted);
}

static void test_a_relative_path_in_the_file_starts_at_the_file(void **state)
{
	struct fixture *f = *state;
	char words[192], wanted[128];
	write_file(f, "db = c.db\n", 10);
	assert_int_equal(chdir("/"), 0);
	snprintf(words, sizeof(words), "--config %s", f->file);
	assert_int_equal(parse(f, words), CONFIG_OK);
	snprintf(wanted, sizeof(wanted), "%s/c.db", f->dir);
	assert_setting(f, "db", wanted);
}

static void test_a_socket_path_that_is_too_long_is_told_with_both_lengths(void **state)
{
	struct fixture *f = *state;
	char words[256] = "--socket /";
	size_t fits = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
	memset(words + strlen(words), 'x', fits - 1);
	assert_int_equal(parse(f, words), CONFIG_OK);
	words[strlen(words)] = 'x';
	assert_int_equal(parse(f, words), CONFIG_USAGE);
	assert_text_has(f->err.text, "--socket: ");
	assert_text_has(f->err.text, "has 108 bytes");
	assert_text_has(f->err.text, "can have 107");
}

struct found {
	const char *name;
	char value[256];
};

static void find(void *arg, const char *name, const char *value)
{
	struct found *found = arg;
	if (strcmp(name, found->name) == 0)
		snprintf(found->value, sizeof(found->value), "%s", value);
}

static void test_the_password_of_the_uplink_is_not_told(void **state)
{
	static const struct {
		const char *args, *value;
	} urls[] = {
		{"--uplink redis://a:1", "redis://a:1"},
		{"--uplink redis+cluster://user:p%40ss@a:1,b:2", "redis+cluster://a:1,b:2"},
		{"--uplink rediss://:secret@a", "rediss://a"},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		struct found found = {.name = "uplink"};
		assert_int_equal(parse(f, urls[i].args), CONFIG_OK);
		config_each(&f->config, find, &found);
		assert_string_equal(found.value, urls[i].value);
	}
	assert_int_equal(parse(f, "--uplink redis://user:secret@host:port"), CONFIG_USAGE);
	assert_null(strstr(f->err.text, "secret"));
}

/* ---- the command line ---- */

static void test_a_wrong_command_line_is_told(void **state)
{
	static const struct {
		const char *args, *said;
	} bad[] = {
		{"--gateway redis://x", "--gateway: unknown option"},
		{"--uplink unix:///x", "--uplink: give a Redis Cluster"},
		{"--uplink redis+cluster://", "--uplink: "},
		{"--uplink-interval 1", "--uplink-interval: '1' will not do"},
		{"--nonsense=1", "--nonsense=1: unknown option"},
		{"-x", "-x: unknown option"},
		{"--workers", "--workers: a value is missing"},
		{"-f", "-f: a value is missing"},
		{"--check=yes", "--check=yes: takes no value"},
		{"start", "'start': no operands"},
		{"--workers 1 start", "'start': no operands"},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(parse(f, bad[i].args), CONFIG_USAGE);
		assert_text_has(f->err.text, bad[i].said);
	}
}

static void test_check_version_and_help_are_outcomes(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(parse(f, "--version"), CONFIG_VERSION);
	assert_int_equal(parse(f, "--help"), CONFIG_HELP);
	assert_int_equal(parse(f, "-h"), CONFIG_HELP);
	assert_int_equal(parse(f, "--check --workers 2"), CONFIG_CHECK);
	assert_setting(f, "workers", "2");
}

static void test_check_does_not_hide_a_bad_value(void **state)
{
	assert_int_equal(parse(*state, "--check --workers 0"), CONFIG_USAGE);
}

/* ---- the file ---- */

static void test_a_file_is_read_with_comments_and_blanks(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(parse_with_file(f, "# all of it\n\n  workers=3\r\ncells\t=  always   # at once\n"
					    "db = /srv/a#b\n   # indented\nlog-level = debug"),
			 CONFIG_OK);
	assert_setting(f, "workers", "3");
	assert_setting(f, "cells", "always");
	assert_setting(f, "db", "/srv/a#b");
	assert_setting(f, "log-level", "debug");
	assert_string_equal(f->config.config_path, f->file);
}

static void test_a_wrong_line_is_told_with_file_and_line(void **state)
{
	static const struct {
		const char *content, *said;
	} bad[] = {
		{"\n# x\nworkers = 0\n",
		 "shcounterd.conf:3: workers: '0' will not do: give a number from 1 to 128"},
		{"workers\n", "shcounterd.conf:1: no '='"},
		{"= 1\n", "shcounterd.conf:1: unknown setting ''"},
		{"gateway = redis://x\n", "shcounterd.conf:1: unknown setting 'gateway'"},
		{"uplink = redis+cluster://user:secret@:1:\n", "shcounterd.conf:1: uplink: "},
		{"Workers = 1\n", "shcounterd.conf:1: unknown setting 'Workers'"},
		{"check = yes\n", "shcounterd.conf:1: unknown setting 'check'"},
		{"workers =\n", "shcounterd.conf:1: workers: a value is missing"},
		{"workers = 1\ncells = auto\nworkers = 1\n",
		 "shcounterd.conf:3: workers: given twice, first in line 1"},
		{"durability = never\n", "shcounterd.conf:1: durability: 'never' will not do"},
		{"listen = 0.0.0.0:1\n", "listen: '0.0.0.0:1' is not a loopback address"},
		{"a\033b = 1\n", "shcounterd.conf:1: unknown setting 'a^[b'"},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(parse_with_file(f, bad[i].content), CONFIG_BAD);
		assert_text_has(f->err.text, bad[i].said);
	}
}

static void test_a_nul_byte_in_the_file_is_told(void **state)
{
	struct fixture *f = *state;
	write_file(f, "workers = 1\0 2\n", 15);
	assert_int_equal(parse(f, "-f shcounterd.conf"), CONFIG_BAD);
	assert_text_has(f->err.text, "shcounterd.conf:1: a NUL byte");
}

static void test_a_file_that_cannot_be_read_is_told(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(parse(f, "-f missing.conf"), CONFIG_BAD);
	assert_text_has(f->err.text, "/missing.conf: cannot be read: No such file");
	assert_int_equal(parse(f, "-f /"), CONFIG_BAD);
	assert_text_has(f->err.text, "/: cannot be read: Is a directory");
}

static void test_options_win_over_the_file(void **state)
{
	struct fixture *f = *state;
	write_file(f, "workers = 3\ncells = always\n", 27);
	assert_int_equal(parse(f, "--workers 5 -f shcounterd.conf"), CONFIG_OK);
	assert_setting(f, "workers", "5");
	assert_setting(f, "cells", "always");
}

static void test_a_bad_file_is_not_hidden_by_options(void **state)
{
	struct fixture *f = *state;
	write_file(f, "workers = 0\n", 12);
	assert_int_equal(parse(f, "--workers 5 -f shcounterd.conf"), CONFIG_BAD);
}

/* ---- defaults ---- */

static void test_paths_follow_the_service_manager(void **state)
{
	struct fixture *f = *state;
	config_fini(&f->config);
	setenv("RUNTIME_DIRECTORY", "/run/a:/run/b", 1);
	setenv("STATE_DIRECTORY", "/var/lib/a", 1);
	config_init(&f->config);
	assert_setting(f, "socket", "/run/a/shcounterd.sock");
	assert_setting(f, "db", "/var/lib/a/counters.db");
}

static void test_a_user_has_paths_of_his_own(void **state)
{
	struct fixture *f = *state;
	config_fini(&f->config);
	if (geteuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	setenv("XDG_STATE_HOME", "relative/is/ignored", 1);
	setenv("HOME", "/home/u", 1);
	config_init(&f->config);
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	assert_setting(f, "socket", "/run/user/7/shcounterd/shcounterd.sock");
	assert_setting(f, "db", "/home/u/.local/state/shcounterd/counters.db");
}

static void test_a_default_socket_that_is_too_long_is_told(void **state)
{
	struct fixture *f = *state;
	char directory[160] = "/run/";
	memset(directory + 5, 'd', 120);
	config_fini(&f->config);
	setenv("RUNTIME_DIRECTORY", directory, 1);
	config_init(&f->config);
	assert_int_equal(parse(f, ""), CONFIG_BAD);
	assert_text_has(f->err.text, "socket: ");
	assert_text_has(f->err.text, "can have 107");
}

/* ---- the table ---- */

static void parse_again(void *arg, const char *name, const char *value)
{
	struct fixture *f = arg;
	char words[1024], wanted[512];
	if (value[0] == '\0')
		return;
	snprintf(wanted, sizeof(wanted), "%s", value);
	snprintf(words, sizeof(words), "--%s=%s", name, value);
	assert_int_equal(parse(f, words), CONFIG_OK);
	assert_setting(f, name, wanted);
}

static void test_every_value_told_can_be_given_again(void **state)
{
	config_each(&((struct fixture *)*state)->config, parse_again, *state);
}

static void find_in_help(void *help, const char *name, const char *value)
{
	char option[64];
	(void)value;
	snprintf(option, sizeof(option), "      --%s ", name);
	assert_text_has(help, option);
}

static void test_help_names_every_setting(void **state)
{
	struct buf help = BUF_INIT;
	config_help(&help);
	assert_int_equal(buf_head(&help)[buf_len(&help) - 1], '\n');
	buf_append(&help, "", 1);
	config_each(&((struct fixture *)*state)->config, find_in_help, buf_head(&help));
	assert_text_has(buf_head(&help), "10ms to 1h;");
	assert_text_has(buf_head(&help), "--durability interval|commit");
	buf_fini(&help);
}

/* ---- reload ---- */

/* What would be approved of, and what it was asked about. */
static struct {
	bool is_refusing;
	char access[256];
} approval;

static int approve(void *arg, const char *access, struct config_error *err)
{
	assert_ptr_equal(arg, &approval);
	snprintf(approval.access, sizeof(approval.access), "%s", access ? access : "none");
	snprintf(err->text, sizeof(err->text), "these rules will not do");
	return approval.is_refusing ? CONFIG_BAD : CONFIG_OK;
}

static int reload(struct fixture *f, char *said, size_t said_size)
{
	return config_reload(&f->config, approve, &approval, said, said_size, &f->err);
}

static void test_reload_takes_over_what_it_can_and_names_the_rest(void **state)
{
	struct fixture *f = *state;
	char said[512];
	assert_int_equal(parse_with_file(f, "workers = 2\ncommit-interval = 1s\nmax-clients = 5\n"),
			 CONFIG_OK);
	write_file(f, "workers = 3\ncommit-interval = 2s\n", 33);
	assert_int_equal(reload(f, said, sizeof(said)), CONFIG_OK);
	assert_text_has(said, "commit-interval is now 2s (was 1s)");
	assert_text_has(said, "max-clients is now 10000 (was 5)");
	assert_text_has(said, "workers = 3 needs a restart");
	assert_int_equal(f->config.commit_interval_ms, 2000);
	assert_int_equal(f->config.workers, 2);
}

static void test_reload_keeps_what_the_command_line_said(void **state)
{
	struct fixture *f = *state;
	char said[512];
	write_file(f, "max-clients = 5\n", 16);
	assert_int_equal(parse(f, "-f shcounterd.conf --max-clients 7 --log-level debug"), CONFIG_OK);
	write_file(f, "max-clients = 6\nlog-level = error\n", 34);
	assert_int_equal(reload(f, said, sizeof(said)), CONFIG_OK);
	assert_string_equal(said, "nothing has changed");
	assert_int_equal(f->config.max_clients, 7);
	assert_int_equal(f->config.log_level, LOG_LEVEL_DEBUG);
}

static void test_reload_tells_of_another_password_and_not_which(void **state)
{
	static const struct {
		const char *file, *said;
	} rows[] = {
		{"uplink = redis://u:first@a:1\n", "nothing has changed"},
		{"uplink = redis://u:second@a:1\n", "another user or password of uplink needs a restart"},
		{"uplink = redis://first@a:1\n", "another user or password of uplink needs a restart"},
		{"uplink = redis://a:1\n", "another user or password of uplink needs a restart"},
		{"uplink = redis://u:second@a:2\n", "uplink = redis://a:2 needs a restart"},
		{"\n", "uplink =  needs a restart"},
	};
	struct fixture *f = *state;
	char said[512];
	assert_int_equal(parse_with_file(f, rows[0].file), CONFIG_OK);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		write_file(f, rows[i].file, strlen(rows[i].file));
		assert_int_equal(reload(f, said, sizeof(said)), CONFIG_OK);
		assert_string_equal(said, rows[i].said);
		assert_string_equal(f->config.uplink, "redis://u:first@a:1");
	}
}

static void test_reload_of_a_bad_file_changes_nothing(void **state)
{
	struct fixture *f = *state;
	char said[512];
	assert_int_equal(parse_with_file(f, "max-clients = 5\n"), CONFIG_OK);
	write_file(f, "max-clients = 6\nworkers = 0\n", 28);
	assert_int_equal(reload(f, said, sizeof(said)), CONFIG_BAD);
	assert_text_has(f->err.text, "shcounterd.conf:2: workers: '0'");
	assert_int_equal(f->config.max_clients, 5);
	unlink(f->file);
	assert_int_equal(reload(f, said, sizeof(said)), CONFIG_BAD);
	assert_text_has(f->err.text, "cannot be read");
}

static void test_reload_works_from_another_directory(void **state)
{
	struct fixture *f = *state;
	char said[512];
	assert_int_equal(parse_with_file(f, "db = c.db\n"), CONFIG_OK);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(reload(f, said, sizeof(said)), CONFIG_OK);
	assert_string_equal(said, "nothing has changed");
}

/* Whoever has read the pointer goes on with what it points to. */
static void test_reload_replaces_the_audit_patterns_and_keeps_the_old_ones(void **state)
{
	struct fixture *f = *state;
	const char *before;
	char said[512];
	assert_int_equal(parse_with_file(f, "audit = orders.* tickets\naudit-max = 5\n"), CONFIG_OK);
	before = f->config.audit;
	assert_string_equal(before, "orders.* tickets");
	write_file(f, "audit = money.*\n", 16);
	assert_int_equal(reload(f, said, sizeof(said)), CONFIG_OK);
	assert_text_has(said, "audit is now money.* (was orders.* tickets)");
	assert_text_has(said, "audit-max is now 1000000 (was 5)");
	assert_string_equal(f->config.audit, "money.*");
	assert_string_equal(before, "orders.* tickets");
	write_file(f, "\n", 1);
	assert_int_equal(reload(f, said, sizeof(said)), CONFIG_OK);
	assert_null(f->config.audit);
	assert_string_equal(before, "orders.* tickets");
}

static void test_audit_patterns_are_words_without_control_characters(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(parse_with_file(f, "audit = a\033b\n"), CONFIG_BAD);
	assert_text_has(f->err.text, "control character");
	assert_int_equal(parse_with_file(f, "audit =\n"), CONFIG_BAD);
	assert_text_has(f->err.text, "a value is missing");
}

static void test_reload_without_a_file_asks_about_the_rules_and_says_nothing(void **state)
{
	struct fixture *f = *state;
	char said[512];
	assert_int_equal(parse(f, "--access /x/rules"), CONFIG_OK);
	assert_int_equal(reload(f, said, sizeof(said)), CONFIG_OK);
	assert_string_equal(said, "");
	assert_string_equal(approval.access, "/x/rules");
	approval.is_refusing = true;
	assert_int_equal(reload(f, said, sizeof(said)), CONFIG_BAD);
	approval.is_refusing = false;
}

static void test_reload_changes_nothing_when_the_rules_will_not_do(void **state)
{
	struct fixture *f = *state;
	char said[512];
	assert_int_equal(parse_with_file(f, "max-clients = 5\naccess = /x/rules\n"), CONFIG_OK);
	write_file(f, "max-clients = 6\naccess = /x/rulez\n", 34);
	approval.is_refusing = true;
	assert_int_equal(reload(f, said, sizeof(said)), CONFIG_BAD);
	assert_string_equal(approval.access, "/x/rulez");
	assert_string_equal(f->err.text, "these rules will not do");
	assert_string_equal(f->config.access, "/x/rules");
	assert_int_equal(f->config.max_clients, 5);
	write_file(f, "\n", 1);
	assert_int_equal(reload(f, said, sizeof(said)), CONFIG_BAD);
	assert_string_equal(approval.access, "none");
	assert_string_equal(f->config.access, "/x/rules");
	approval.is_refusing = false;
	assert_int_equal(reload(f, said, sizeof(said)), CONFIG_OK);
	assert_null(f->config.access);
}

static void test_reload_asks_about_the_rules_of_the_command_line_which_win(void **state)
{
	struct fixture *f = *state;
	char said[512];
	write_file(f, "access = /x/rules\n", 18);
	assert_int_equal(parse(f, "-f shcounterd.conf --access /y/rules"), CONFIG_OK);
	assert_int_equal(reload(f, said, sizeof(said)), CONFIG_OK);
	assert_string_equal(approval.access, "/y/rules");
}

static void test_reload_leaves_a_socket_that_was_set_where_it_is(void **state)
{
	struct fixture *f = *state;
	char said[512];
	assert_int_equal(parse_with_file(f, "socket = /x/s\n"), CONFIG_OK);
	assert_int_equal(config_set_socket(&f->config, "/run/s"), 0);
	assert_setting(f, "socket", "/run/s");
	assert_int_equal(reload(f, said, sizeof(said)), CONFIG_OK);
	assert_string_equal(said, "nothing has changed");
	assert_setting(f, "socket", "/run/s");
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_setting_is_taken_from_the_command_line),
		TEST(test_the_fields_hold_what_the_values_mean),
		TEST(test_a_bad_value_is_named_with_its_range),
		TEST(test_a_relative_path_becomes_absolute),
		TEST(test_a_relative_path_in_the_file_starts_at_the_file),
		TEST(test_a_socket_path_that_is_too_long_is_told_with_both_lengths),
		TEST(test_the_password_of_the_uplink_is_not_told),
		TEST(test_a_wrong_command_line_is_told),
		TEST(test_check_version_and_help_are_outcomes),
		TEST(test_check_does_not_hide_a_bad_value),
		TEST(test_a_file_is_read_with_comments_and_blanks),
		TEST(test_a_wrong_line_is_told_with_file_and_line),
		TEST(test_a_nul_byte_in_the_file_is_told),
		TEST(test_a_file_that_cannot_be_read_is_told),
		TEST(test_options_win_over_the_file),
		TEST(test_a_bad_file_is_not_hidden_by_options),
		TEST(test_paths_follow_the_service_manager),
		TEST(test_a_user_has_paths_of_his_own),
		TEST(test_a_default_socket_that_is_too_long_is_told),
		TEST(test_every_value_told_can_be_given_again),
		TEST(test_help_names_every_setting),
		TEST(test_reload_takes_over_what_it_can_and_names_the_rest),
		TEST(test_reload_keeps_what_the_command_line_said),
		TEST(test_reload_tells_of_another_password_and_not_which),
		TEST(test_reload_of_a_bad_file_changes_nothing),
		TEST(test_reload_works_from_another_directory),
		TEST(test_reload_replaces_the_audit_patterns_and_keeps_the_old_ones),
		TEST(test_audit_patterns_are_words_without_control_characters),
		TEST(test_reload_without_a_file_asks_about_the_rules_and_says_nothing),
		TEST(test_reload_changes_nothing_when_the_rules_will_not_do),
		TEST(test_reload_asks_about_the_rules_of_the_command_line_which_win),
		TEST(test_reload_leaves_a_socket_that_was_set_where_it_is),
	};
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
