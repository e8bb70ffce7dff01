/* SPDX-License-Identifier: MIT */
/* config_help.c - --help, made of the table. */
#include "config_private.h"

#include <bsd/string.h>
#include <stdio.h>

#include "../lib/fill.h"

enum { HELP_WIDTH = 80, HELP_INDENT = 8 };

static const char help_head[] =
	"usage: shcounterd [-f FILE] [--NAME VALUE]...\n"
	"\n"
	"  shcounterd --socket ./s --db ./counters.db   a daemon of your own\n"
	"  shcounterd -f /etc/shcounterd.conf --check   is it, and the database, right?\n"
	"\n"
	"Counts for every process of this machine: Redis protocol on a Unix socket, values kept in an "
	"SQLite file. Runs in the foreground and logs to standard error. shcounterd(8) has the whole story.\n"
	"\n"
	"  -f, --config FILE\n"
	"        settings, a `name = value` a line; options win over the file\n"
	"      --check\n"
	"        look at settings and database, with -f at their places, too; change\n"
	"        nothing\n"
	"      --hash-password\n"
	"        read a password, print what stands for it in the rules of access\n"
	"  -V, --version\n"
	"        the version\n"
	"  -h, --help\n"
	"        this\n"
	"\n"
	"Settings, each an option and a line of the file:\n";

/* "--io auto|io_uring|epoll": words say themselves what they may be. */
static void help_argument(const struct config_row *row, char *out, size_t out_size)
{
	strlcpy(out, row->arg != NULL ? row->arg : "", out_size);
	for (size_t i = 0; row->arg == NULL && row->rule.words[i] != NULL; i++) {
		strlcat(out, i > 0 ? "|" : "", out_size);
		strlcat(out, row->rule.words[i], out_size);
	}
}

static void help_setting(const struct config_row *row, const struct config *defaults, struct buf *out)
{
	char initial[CONFIG_TEXT_MAX], range[256] = "", line[CONFIG_TEXT_MAX + 512];
	bool has_range = row->arg != NULL && !config_value_is_text(row->rule.kind);
	help_argument(row, range, sizeof(range));
	snprintf(line, sizeof(line), "      --%s %s\n", row->name, range);
	fill_append(out, line, 0, 0, HELP_WIDTH);
	config_row_format(defaults, row, initial, sizeof(initial));
	config_value_range(&row->rule, range, sizeof(range));
	snprintf(line, sizeof(line), "%s%s%s; default: %s", row->help, has_range ? "; " : "",
		 has_range ? range : "", initial[0] != '\0' ? initial : "none");
	fill_append(out, line, 0, HELP_INDENT, HELP_WIDTH);
}

void config_help(struct buf *out)
{
	struct config defaults;
	config_init(&defaults);
	fill_append(out, help_head, 0, 0, HELP_WIDTH);
	for (size_t i = 0; i < config_row_count; i++)
		help_setting(&config_rows[i], &defaults, out);
	config_fini(&defaults);
}
