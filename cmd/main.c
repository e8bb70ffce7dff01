/* SPDX-License-Identifier: MIT */
/*
 * main.c - the command line: finds the command and its options, runs it, and exits with its status.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../lib/num.h"
#include "command.h"
#include "help.h"
#include "nearest.h"
#include "output.h"
#include "target.h"

static const struct command *const commands[] = {
	&cmd_incr,  &cmd_decr,	 &cmd_get,   &cmd_set,	   &cmd_del,	&cmd_list,
	&cmd_hit,   &cmd_hits,	 &cmd_allow, &cmd_ingest,  &cmd_export, &cmd_import,
	&cmd_watch, &cmd_top,	 &cmd_log,   &cmd_explain, &cmd_shards, &cmd_stats,
	&cmd_ping,  &cmd_doctor, &cmd_sync,  &cmd_uplink,  &cmd_backup, &cmd_bench,
};

enum { COMMANDS_COUNT = sizeof(commands) / sizeof(commands[0]) };

enum {
	GLOBAL_SOCKET,
	GLOBAL_URL,
	GLOBAL_CLUSTER,
	GLOBAL_SHARDS,
	GLOBAL_READ,
	GLOBAL_JSON,
	GLOBAL_QUIET,
	GLOBAL_TIMEOUT,
	GLOBAL_HELP,
	GLOBAL_VERSION,
	GLOBALS_COUNT
};

static const struct option_spec globals[] = {
	[GLOBAL_SOCKET] = {'s', "socket", OPTION_VALUE, "SOCKET", "the daemon's Unix socket"},
	[GLOBAL_URL] = {'u', "url", OPTION_VALUE, "URL",
			"unix:///PATH, redis://[USER[:PASSWORD]@]HOST[:PORT], redis+cluster://...; with TLS "
			"rediss://, rediss+cluster://"},
	[GLOBAL_CLUSTER] = {'c', "cluster", OPTION_VALUE, "HOSTS",
			    "a Redis Cluster, by some of its nodes: HOST:PORT,HOST:PORT"},
	[GLOBAL_SHARDS] = {0, "shards", OPTION_VALUE, "N",
			   "on a cluster: spread a counter over N keys from now on"},
	[GLOBAL_READ] = {0, "read", OPTION_VALUE, "primary|replica",
			 "on a cluster: read from primary (default), or from replica, which may be behind"},
	[GLOBAL_JSON] = {0, "json", OPTION_FLAG, NULL, "one JSON object, or one a line"},
	[GLOBAL_QUIET] = {'q', "quiet", OPTION_FLAG, NULL, "print nothing but complaints"},
	[GLOBAL_TIMEOUT] = {0, "timeout", OPTION_VALUE, "DUR",
			    "how long to wait for an answer: 500ms, 5s, 1m (default 5s)"},
	[GLOBAL_HELP] = {'h', "help", OPTION_FLAG, NULL, "help, also for a command"},
	[GLOBAL_VERSION] = {'V', "version", OPTION_FLAG, NULL, "the version"},
	{0},
};

/* ---- one word of the command line after the other ---- */

/* Where a scan of argv stands. Before the command is known, options of all commands are understood, so that
 * they may stand in front of it: an option of two commands must take a value in both or in none. */
struct scan {
	int argc;
	char **argv;
	int index;	     /* the next word */
	const char *cluster; /* the rest of "-qk3" */
	bool is_operands;    /* behind "--" */
	const struct command *command;
	/* of an option: */
	const struct option_spec *spec;
	const char *value;
	bool is_long;
	struct slice name; /* as the user wrote it, without dashes and value */
};

enum { SCAN_END, SCAN_OPERAND, SCAN_OPTION, SCAN_UNKNOWN, SCAN_NO_VALUE, SCAN_NEEDS_NO_VALUE };

static const struct option_spec *find_in(const struct option_spec *table, char letter, struct slice word)
{
	for (; table && table->word; table++) {
		if (letter ? table->letter == letter : slice_equal(word, slice_str(table->word)))
			return table;
	}
	return NULL;
}

static const struct option_spec *find_option(const struct scan *s, char letter, struct slice word)
{
	const struct option_spec *spec = find_in(globals, letter, word);
	if (spec || s->command)
		return spec ? spec : find_in(s->command->options, letter, word);
	for (size_t i = 0; i < COMMANDS_COUNT && !spec; i++)
		spec = find_in(commands[i]->options, letter, word);
	return spec;
}

static int scan_long(struct scan *s, const char *word)
{
	const char *equals = strchr(word, '=');
	struct slice name = {word, equals ? (size_t)(equals - word) : strlen(word)};
	s->is_long = true;
	s->name = name;
	s->spec = find_option(s, 0, name);
	s->value = equals ? equals + 1 : "";
	if (!s->spec)
		return SCAN_UNKNOWN;
	if (s->spec->arg == OPTION_FLAG)
		return equals ? SCAN_NEEDS_NO_VALUE : SCAN_OPTION;
	if (s->spec->arg == OPTION_MAYBE && equals && s->value[0] == '\0')
		return SCAN_NO_VALUE;
	if (s->spec->arg == OPTION_VALUE && !equals) {
		if (s->index >= s->argc)
			return SCAN_NO_VALUE;
		s->value = s->argv[s->index++];
	}
	return SCAN_OPTION;
}

static int scan_letter(struct scan *s)
{
	s->is_long = false;
	s->name = (struct slice){s->cluster, 1};
	char letter = *s->cluster++;
	s->spec = find_option(s, letter, (struct slice){0});
	s->value = "";
	if (s->spec && s->spec->arg == OPTION_VALUE) {
		if (*s->cluster == '\0' && s->index >= s->argc)
			return SCAN_NO_VALUE;
		s->value = *s->cluster ? s->cluster : s->argv[s->index++];
		s->cluster = "";
	}
	return s->spec ? SCAN_OPTION : SCAN_UNKNOWN;
}

/* "-" is a file, and "-5" a number: no option is a digit. */
static bool is_operand(const char *word)
{
	return word[0] != '-' || word[1] == '\0' || (word[1] >= '0' && word[1] <= '9');
}

static int scan_next(struct scan *s)
{
	if (*s->cluster)
		return scan_letter(s);
	if (s->index >= s->argc)
		return SCAN_END;
	const char *word = s->argv[s->index++];
	if (!s->is_operands && strcmp(word, "--") == 0) {
		s->is_operands = true;
		return scan_next(s);
	}
	s->value = word;
	if (s->is_operands || is_operand(word))
		return SCAN_OPERAND;
	if (word[1] == '-')
		return scan_long(s, word + 2);
	s->cluster = word + 1;
	return scan_letter(s);
}

static void offer_words(struct nearest *n, const struct option_spec *table)
{
	for (; table && table->word; table++)
		nearest_offer(n, table->word);
}

static int unknown_option(const struct invocation *inv, const struct scan *s, const char *shown)
{
	struct nearest n = {.word = shown + 2};
	char known[48] = "there is";
	if (inv->command)
		snprintf(known, sizeof(known), "%s has", inv->command->name);
	if (!s->is_long)
		return command_usage(inv, "%s no option %s", known, shown);
	offer_words(&n, globals);
	for (size_t i = 0; i < COMMANDS_COUNT; i++)
		if (!inv->command || inv->command == commands[i])
			offer_words(&n, commands[i]->options);
	if (!n.found)
		return command_usage(inv, "%s no option %s", known, shown);
	return command_usage(inv, "%s no option %s; did you mean --%s?", known, shown, n.found);
}

/* Only here is an option put into words: printf(3) costs `incr` four page faults. */
static int complain(const struct invocation *inv, const struct scan *s, int what)
{
	char shown[64];
	snprintf(shown, sizeof(shown), "%s%.*s", s->is_long ? "--" : "-", (int)s->name.len, s->name.data);
	if (what == SCAN_NO_VALUE)
		return command_usage(inv, "%s needs a value: %s", shown, s->spec->arg_name);
	if (what == SCAN_NEEDS_NO_VALUE)
		return command_usage(inv, "%s takes no value", shown);
	return unknown_option(inv, s, shown);
}

/* ---- the invocation ---- */

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS_COUNT; i++) {
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	}
	return NULL;
}

static int unknown_command(const struct invocation *inv, const char *name)
{
	struct nearest n = {.word = name};
	for (size_t i = 0; i < COMMANDS_COUNT; i++)
		nearest_offer(&n, commands[i]->name);
	nearest_offer(&n, "help");
	if (n.found)
		return command_usage(inv, "there is no command \"%.64s\"; did you mean %s?", name, n.found);
	return command_usage(inv, "there is no command \"%.64s\"", name);
}

static int set_timeout(struct invocation *inv, const char *text)
{
	int64_t ms;
	if (!num_parse_duration_ms(slice_str(text), &ms) || ms < 1 || ms > INT_MAX)
		return command_usage(
			inv, "--timeout \"%.32s\": a duration such as 500ms, 5s or 1m is expected", text);
	inv->timeout_ms = (int)ms;
	return EX_OK;
}

static int set_shards(struct invocation *inv, const char *text)
{
	int64_t shards;
	if (!num_parse_i64_loose(slice_str(text), &shards) || shards < 1 || shards > SHC_SHARDS_MAX)
		return command_usage(inv, "--shards \"%.32s\": a number from 1 to %d is expected", text,
				     SHC_SHARDS_MAX);
	inv->shards = (unsigned)shards;
	return EX_OK;
}

static int set_read(struct invocation *inv, const char *text)
{
	inv->reads_replica = strcmp(text, "replica") == 0;
	if (!inv->reads_replica && strcmp(text, "primary") != 0)
		return command_usage(inv, "--read \"%.32s\": primary or replica is expected", text);
	return EX_OK;
}

static int set_global(struct invocation *inv, int index, const char *value, bool *is_help)
{
	switch (index) {
	case GLOBAL_SOCKET: inv->socket = value; break;
	case GLOBAL_URL: inv->url = value; break;
	case GLOBAL_CLUSTER: inv->cluster = value; break;
	case GLOBAL_SHARDS: return set_shards(inv, value);
	case GLOBAL_READ: return set_read(inv, value);
	case GLOBAL_JSON: inv->is_json = true; break;
	case GLOBAL_QUIET: inv->is_quiet = true; break;
	case GLOBAL_TIMEOUT: return set_timeout(inv, value);
	default: *is_help = true; break;
	}
	if ((inv->socket != NULL) + (inv->url != NULL) + (inv->cluster != NULL) > 1)
		return command_usage(inv, "-s, -u and -c exclude each other: one server at a time");
	return EX_OK;
}

/* What stands in front. */
struct first {
	const char *command; /* the first operand; null when there is none */
	bool is_version, is_help;
};

static int find_in_argv(const struct invocation *inv, int argc, char **argv, struct first *first)
{
	struct scan s = {.argc = argc, .argv = argv, .index = 1, .cluster = ""};
	for (;;) {
		int what = scan_next(&s);
		if (what == SCAN_OPERAND)
			first->command = s.value;
		if (what == SCAN_OPERAND || what == SCAN_END)
			return EX_OK;
		if (what != SCAN_OPTION)
			return complain(inv, &s, what);
		first->is_version |= s.spec == &globals[GLOBAL_VERSION];
		first->is_help |= s.spec == &globals[GLOBAL_HELP];
	}
}

/* Operands go to the front of argv, which nobody reads any more. */
static int read_words(struct invocation *inv, int argc, char **argv, bool *is_help)
{
	struct scan s = {.argc = argc, .argv = argv, .index = 1, .cluster = "", .command = inv->command};
	inv->operands = argv;
	for (int what; (what = scan_next(&s)) != SCAN_END;) {
		int rc = EX_OK;
		if (what == SCAN_OPERAND)
			inv->operands[inv->operands_count++] = argv[s.index - 1];
		else if (what != SCAN_OPTION)
			return complain(inv, &s, what);
		else if (s.spec >= globals && s.spec < globals + GLOBALS_COUNT)
			rc = set_global(inv, (int)(s.spec - globals), s.value, is_help);
		else
			inv->values[s.spec - inv->command->options] = s.value;
		if (rc)
			return rc;
	}
	inv->operands++; /* the command itself */
	inv->operands_count--;
	return EX_OK;
}

static int check_operands(const struct invocation *inv)
{
	const struct command *c = inv->command;
	if (inv->operands_count < c->operands_min)
		return command_usage(inv, "%s needs more: shcount %s %s", c->name, c->name, c->operands);
	if (c->operands_max >= 0 && inv->operands_count > c->operands_max)
		return command_usage(inv, "%s takes less: \"%.64s\" is too much; shcount %s%s%s", c->name,
				     inv->operands[c->operands_max], c->name, *c->operands ? " " : "",
				     c->operands);
	return EX_OK;
}

/* Before anything is sent. */
static int check_server(const struct invocation *inv)
{
	char able[256] = "";
	if (!inv->command->is_local || !target_is_cluster(inv))
		return EX_OK;
	for (size_t i = 0, len = 0; i < COMMANDS_COUNT && len < sizeof(able); i++)
		if (!commands[i]->is_local)
			len += (size_t)snprintf(able + len, sizeof(able) - len, "%s%s", len ? ", " : "",
						commands[i]->name);
	return command_usage(
		inv,
		"%s is not for a Redis Cluster, but for a shcounterd (-s, -u); for a cluster these are: %s",
		inv->command->name, able);
}

static int show_help(const struct invocation *inv, const char *name)
{
	if (!name || strcmp(name, "help") == 0)
		return help_list(commands, COMMANDS_COUNT, globals);
	const struct command *c = find_command(name);
	return c ? help_command(c, globals) : unknown_command(inv, name);
}

static int show_version(void)
{
	struct output out;
	output_init(&out, STDOUT_FILENO, false);
	output_text(&out, slice_str("shcount "));
	output_text(&out, slice_str(shc_version()));
	output_line(&out);
	return output_finish(&out);
}

/* `shcount help [COMMAND]`; there is no other option to it than --help. */
static int run_help(const struct invocation *inv, int argc, char **argv)
{
	const char *name = NULL;
	bool is_seen = false;
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-')
			continue;
		if (name)
			return command_usage(inv,
					     "help takes less: \"%.64s\" is too much; shcount help [COMMAND]",
					     argv[i]);
		if (is_seen)
			name = argv[i];
		is_seen = true;
	}
	return show_help(inv, name);
}

/* Who closes one of the first three (`>&-`) would have the connection opened in its place, and what is
 * printed sent to the server as commands. The stand-ins cannot be read or written, so that the loss is told
 * like any other. */
static void keep_standard_files(void)
{
	static const int WRONG_WAY[] = {O_WRONLY, O_RDONLY, O_WRONLY};
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)!open("/dev/null", WRONG_WAY[fd]);
}

int main(int argc, char **argv)
{
	struct invocation inv = {.timeout_ms = TIMEOUT_DEFAULT_MS};
	struct first first = {0};
	bool is_help = false;
	keep_standard_files();
	int rc = find_in_argv(&inv, argc, argv, &first);
	if (rc)
		return rc;
	if (first.is_version)
		return show_version();
	if (!first.command)
		return first.is_help ? show_help(&inv, NULL) : command_usage(&inv, "which command?");
	if (strcmp(first.command, "help") == 0)
		return run_help(&inv, argc, argv);
	inv.command = find_command(first.command);
	if (!inv.command)
		return unknown_command(&inv, first.command);
	rc = read_words(&inv, argc, argv, &is_help);
	if (rc)
		return rc;
	if (is_help)
		return help_command(inv.command, globals);
	rc = check_operands(&inv);
	rc = rc ? rc : check_server(&inv);
	return rc ? rc : inv.command->run(&inv);
}
