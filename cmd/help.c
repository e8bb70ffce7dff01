/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "help.h"
#include "output.h"

__attribute__((format(printf, 2, 3))) static void put(struct output *out, const char *fmt, ...)
{
	char text[4096];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	output_text(out, slice_str(text));
}

/* "-k N, --field N" for people; one option a line. */
static void put_option(struct output *out, const struct option_spec *o)
{
	char left[64];
	const char *value = o->arg_name ? o->arg_name : "";
	const char *open = o->arg == OPTION_MAYBE ? "[=" : o->arg == OPTION_VALUE ? " " : "";
	const char *close = o->arg == OPTION_MAYBE ? "]" : "";
	if (o->letter)
		snprintf(left, sizeof(left), "-%c, --%s%s%s%s", o->letter, o->word, open, value, close);
	else
		snprintf(left, sizeof(left), "    --%s%s%s%s", o->word, open, value, close);
	put(out, "  %-24s %s\n", left, o->help);
}

static void put_options(struct output *out, const char *title, const struct option_spec *table)
{
	if (!table || !table->word)
		return;
	put(out, "\n%s\n", title);
	for (; table->word; table++)
		put_option(out, table);
}

int help_list(const struct command *const *commands, size_t count, const struct option_spec *globals)
{
	struct output out;
	output_init(&out, STDOUT_FILENO, false);
	put(&out, "Counters from the shell, kept by shcounterd.\n\n"
		  "  shcount incr visits              add 1, print the new value\n"
		  "  shcount get visits\n"
		  "  shcount ingest -k 1 access.log   count the first field of every line\n\n"
		  "Usage: shcount [OPTION...] COMMAND [ARGUMENT...]\n\nCommands:\n");
	for (size_t i = 0; i < count; i++) {
		char left[64];
		snprintf(left, sizeof(left), "%s %s", commands[i]->name, commands[i]->operands);
		put(&out, "  %-24s %s\n", left, commands[i]->summary);
	}
	put(&out, "  %-24s %s\n", "help [COMMAND]", "this, or all about a command");
	put_options(&out, "Options, before or behind the command:", globals);
	put(&out, "\nThe server is the one of -s or -u, $SHCOUNT_URL, $SHCOUNT_SOCKET,\n"
		  "$XDG_RUNTIME_DIR/shcounterd/shcounterd.sock, /run/shcounterd/shcounterd.sock;\n"
		  "where none answers, a daemon of your own is started (SHCOUNT_AUTOSTART=0: not).\n"
		  "Exit status: 0 done, 1 no, 64 usage, 65 bad input, 69 no server, 74 I/O error,\n"
		  "75 in doubt, 77 not permitted, 78 configuration. More: man shcount\n");
	return output_finish(&out);
}

int help_command(const struct command *command, const struct option_spec *globals)
{
	struct output out;
	output_init(&out, STDOUT_FILENO, false);
	put(&out, "shcount %s - %s\n\n%s\n", command->name, command->summary, command->help);
	put(&out, "Usage: shcount [OPTION...] %s %s\n", command->name, command->operands);
	put_options(&out, "Options:", command->options);
	put_options(&out, "Options of every command:", globals);
	return output_finish(&out);
}
