/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "terminal.h"

enum { COLUMNS_DEFAULT = 80, ROWS_DEFAULT = 24 };

static bool is_set(const char *name)
{
	const char *value = getenv(name);
	return value && value[0];
}

/* The locale by its name alone: loading it would cost more than all the rest that `shcount get` does, and one
 * that is not installed says all the same what the terminal takes. */
static bool is_utf8(void)
{
	static const char *const variables[] = {"LC_ALL", "LC_CTYPE", "LANG"};
	size_t i = 0;
	while (i < 2 && !is_set(variables[i]))
		i++;
	const char *name = getenv(variables[i]);
	return name && (strcasestr(name, "utf-8") || strcasestr(name, "utf8"));
}

void terminal_look(struct terminal *t, int fd)
{
	struct winsize size = {0};
	*t = (struct terminal){.columns = COLUMNS_DEFAULT, .rows = ROWS_DEFAULT};
	t->is_terminal = isatty(fd);
	if (!t->is_terminal)
		return;
	t->can_move = is_set("TERM") && strcmp(getenv("TERM"), "dumb") != 0;
	t->is_utf8 = is_utf8();
	t->has_color = t->can_move && !is_set("NO_COLOR");
	if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
		t->columns = size.ws_col;
		t->rows = size.ws_row;
	}
}
