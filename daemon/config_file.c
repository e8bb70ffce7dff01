/* SPDX-License-Identifier: MIT */
/* config_file.c - the file of settings, a `name = value` a line: see config_private.h. */
#include "config_private.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One reading of a file. */
struct file {
	const char *path;
	char *base; /* its directory, where relative paths in it start */
	unsigned line;
	unsigned seen_at[CONFIG_ROWS_MAX]; /* line; 0: not yet */
};

static char *trim(char *s)
{
	char *end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	while (isspace((unsigned char)*s))
		s++;
	return s;
}

/* A comment begins at a # that stands first or behind a blank, so that a path may hold one. */
static void cut_comment(char *line)
{
	for (char *p = line; (p = strchr(p, '#')) != NULL; p++)
		if (p == line || isspace((unsigned char)p[-1])) {
			*p = '\0';
			return;
		}
}

static int file_fail(const struct file *f, struct config_error *err, const char *name, const char *why)
{
	return config_fail(err, CONFIG_BAD, "%s:%u: %s%s%s", f->path, f->line, name,
			   name[0] != '\0' ? ": " : "", why);
}

/* `line` is cut up. */
static int file_line(struct file *f, struct config *c, char *line, struct config_error *err)
{
	const struct config_row *row;
	char why[CONFIG_WHY_MAX], shown[64];
	char *name, *value;
	cut_comment(line);
	name = trim(line);
	if (name[0] == '\0')
		return CONFIG_OK;
	if ((value = strchr(name, '=')) == NULL)
		return file_fail(f, err, "", "no '=': a line is `name = value`");
	*value++ = '\0';
	name = trim(name);
	if ((row = config_row_find(name)) == NULL) {
		snprintf(why, sizeof(why), "unknown setting '%s' (shcounterd --help lists them)",
			 config_value_visible(name, shown, sizeof(shown)));
		return file_fail(f, err, "", why);
	}
	if (f->seen_at[row - config_rows] != 0) {
		snprintf(why, sizeof(why), "given twice, first in line %u: keep one",
			 f->seen_at[row - config_rows]);
		return file_fail(f, err, name, why);
	}
	f->seen_at[row - config_rows] = f->line;
	if (config_row_set(c, row, trim(value), f->base, CONFIG_BAD, why) != CONFIG_OK)
		return file_fail(f, err, name, why);
	return CONFIG_OK;
}

static int file_lines(struct file *f, struct config *c, FILE *in, struct config_error *err)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	int outcome = CONFIG_OK;
	errno = 0;
	while (outcome == CONFIG_OK && (len = getline(&line, &cap, in)) >= 0) {
		f->line++;
		if (strlen(line) != (size_t)len)
			outcome = file_fail(f, err, "", "a NUL byte: this is no text file");
		else
			outcome = file_line(f, c, line, err);
	}
	if (outcome == CONFIG_OK && !feof(in))
		outcome = config_fail(err, CONFIG_BAD, "%s: cannot be read: %s", f->path, strerror(errno));
	free(line);
	return outcome;
}

int config_file_read(struct config *c, struct config_error *err)
{
	struct file f = {.path = c->config_path};
	FILE *in = NULL;
	int outcome;
	f.base = strndup(f.path, (size_t)(strrchr(f.path, '/') - f.path));
	if (f.base == NULL || (in = fopen(f.path, "re")) == NULL) {
		outcome = config_fail(err, CONFIG_BAD, "%s: cannot be read: %s", f.path, strerror(errno));
		goto out;
	}
	outcome = file_lines(&f, c, in, err);
out:
	if (in != NULL)
		fclose(in);
	free(f.base);
	return outcome;
}
