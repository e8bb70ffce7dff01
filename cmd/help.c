/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "../lib/fill.h"
#include "help.h"
#include "output.h"
#include "terminal.h"

enum {
	WIDTH_MAX = 80,
	WIDTH_NARROW = 60, /* below it, what explains a word stands under it, not beside it */
	INDENT = 2,
	INDENT_UNDER = 8,
	INDENT_BESIDE = 27,
};

static const char *const group_titles[] = {
	[GROUP_COUNTER] = "Counters, by name:",
	[GROUP_MANY] = "Many counters at once:",
	[GROUP_SERVER] = "The server:",
};

enum { GROUPS_COUNT = sizeof(group_titles) / sizeof(group_titles[0]) };

/* The page, and how wide it may be. */
struct page {
	struct output out;
	size_t width;
};

static void page_init(struct page *p)
{
	struct terminal t;
	output_init(&p->out, STDOUT_FILENO, false);
	terminal_look(&t, STDOUT_FILENO);
	p->width = t.columns < WIDTH_MAX ? (size_t)t.columns : WIDTH_MAX;
}

__attribute__((format(printf, 2, 3))) static void put(struct page *p, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fill_append(&p->out.buf, text, 0, 0, p->width);
}

/* "  left      what it is", in a column of its own where there is room. */
static void put_entry(struct page *p, const char *left, const char *what)
{
	size_t indent = p->width < WIDTH_NARROW ? INDENT_UNDER : INDENT_BESIDE;
	size_t at = INDENT + strlen(left);
	struct slice blanks = slice_str("  ");
	output_text(&p->out, blanks);
	output_text(&p->out, slice_str(left));
	if (indent == INDENT_UNDER || at + blanks.len > indent) {
		output_text(&p->out, slice_str("\n"));
		at = 0;
	}
	fill_append(&p->out.buf, what, at, indent, p->width);
}

/* "-k, --field N" for people; one option a line. */
static void put_option(struct page *p, const struct option_spec *o)
{
	char left[80];
	const char *value = o->arg_name ? o->arg_name : "";
	const char *open = o->arg == OPTION_MAYBE ? "[=" : o->arg == OPTION_VALUE ? " " : "";
	const char *close = o->arg == OPTION_MAYBE ? "]" : "";
	if (o->letter)
		snprintf(left, sizeof(left), "-%c, --%s%s%s%s", o->letter, o->word, open, value, close);
	else
		snprintf(left, sizeof(left), "    --%s%s%s%s", o->word, open, value, close);
	put_entry(p, left, o->help);
}

static void put_options(struct page *p, const char *title, const struct option_spec *table)
{
	if (!table || !table->word)
		return;
	put(p, "\n%s\n", title);
	for (; table->word; table++)
		put_option(p, table);
}

static void put_commands(struct page *p, const struct command *const *commands, size_t count,
			 enum command_group group)
{
	put(p, "\n%s\n", group_titles[group]);
	for (size_t i = 0; i < count; i++) {
		char left[64];
		if (commands[i]->group != group)
			continue;
		snprintf(left, sizeof(left), "%s %s", commands[i]->name, commands[i]->operands);
		put_entry(p, left, commands[i]->summary);
	}
}

int help_list(const struct command *const *commands, size_t count, const struct option_spec *globals)
{
	struct page p;
	page_init(&p);
	put(&p, "Counters from the shell, kept by shcounterd.\n\n"
		"  shcount incr visits              add 1, print the new value\n"
		"  shcount get visits\n"
		"  shcount ingest -k 1 access.log   count the first field of every line\n"
		"  shcount help incr                examples of a command, and all about it\n\n"
		"Usage: shcount [OPTION...] COMMAND [ARGUMENT...]\n");
	for (int group = 0; group < GROUPS_COUNT; group++)
		put_commands(&p, commands, count, (enum command_group)group);
	put(&p, "\n");
	put_entry(&p, "help [COMMAND]", "this, or all about a command");
	put_options(&p, "Options, before or behind the command:", globals);
	put(&p,
	    "\nThe server is the one of -s, -u or -c, $SHCOUNT_URL, $SHCOUNT_SOCKET, "
	    "$XDG_RUNTIME_DIR/shcounterd/shcounterd.sock, /run/shcounterd/shcounterd.sock; where none answers, "
	    "a daemon of your own is started (SHCOUNT_AUTOSTART=0: not). Passwords that do not stand in a URL: "
	    "$SHCOUNT_AUTH, $REDISCLI_AUTH.\n\n"
	    "Exit status: 0 done, 1 no, 64 usage, 65 bad input, 69 no server, 74 I/O error, "
	    "75 in doubt, 77 not permitted, 78 configuration. More: man shcount\n");
	return output_finish(&p.out);
}

int help_command(const struct command *command, const struct option_spec *globals)
{
	struct page p;
	page_init(&p);
	put(&p, "shcount %s - %s\n\n", command->name, command->summary);
	fill_append(&p.out.buf, command->help, 0, 0, p.width);
	if (command->is_local)
		put(&p, "\nNot for a Redis Cluster.\n");
	put(&p, "\nUsage: shcount [OPTION...] %s%s%s\n", command->name, *command->operands ? " " : "",
	    command->operands);
	put_options(&p, "Options:", command->options);
	put_options(&p, "Options of every command:", globals);
	return output_finish(&p.out);
}
