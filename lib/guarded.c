/* SPDX-License-Identifier: MIT */
/* guarded.c - see guarded.h. */
#include "guarded.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- lines and words ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* How many there are, a comment not counted. */
static size_t split(const char *line, size_t len, struct slice *words, size_t max)
{
	size_t count = 0, at = 0, first;

	for (;;) {
		while (at < len && is_blank(line[at]))
			at++;
		if (at == len || line[at] == '#')
			return count;
		first = at;
		while (at < len && !is_blank(line[at]))
			at++;
		if (count < max)
			words[count] = (struct slice){.data = line + first, .len = at - first};
		count++;
	}
}

int guarded_each_line(const char *text, size_t len, size_t max, guarded_line_fn *fn, void *arg)
{
	struct slice *words = calloc(max, sizeof(*words));
	const char *end = text + len, *newline;
	int rc = words ? 0 : -ENOMEM;

	for (size_t line = 1; !rc && text < end; line++, text = newline + 1) {
		size_t count;

		newline = memchr(text, '\n', (size_t)(end - text));
		if (!newline)
			newline = end;
		count = split(text, (size_t)(newline - text), words, max);
		if (count > 0)
			rc = fn(arg, words, count, line);
	}
	free(words);
	return rc;
}

int guarded_refuse(const char *path, size_t line, char why[GUARDED_WHY_SIZE], const char *fmt, ...)
{
	va_list ap;
	int len = snprintf(why, GUARDED_WHY_SIZE, "%.150s:%zu: ", path, line);

	va_start(ap, fmt);
	(void)vsnprintf(why + len, GUARDED_WHY_SIZE - (size_t)len, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* ---- the file ---- */

static int check_file(int fd, const char **what)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		*what = "it is no regular file";
	else if (st.st_uid != geteuid() && st.st_uid != 0)
		*what = "it belongs to somebody else: whoever can write it lets in whom they like";
	else if (st.st_mode & (S_IWGRP | S_IWOTH))
		*what = "others can write it, and let in whom they like: chmod go-w";
	else if (st.st_size > GUARDED_SIZE_MAX)
		*what = "it is too large";
	return *what ? -EINVAL : 0;
}

/* Its length, or -errno. It may be larger by now. */
static ssize_t read_all(int fd, char *out, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size && (n = read(fd, out + len, size - len)) != 0) {
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			len += (size_t)n;
	}
	return (ssize_t)len;
}

static int read_open(int fd, char **out, size_t *len, const char **what)
{
	char *text;
	ssize_t n;
	int rc = fd < 0 ? -errno : check_file(fd, what);

	if (rc)
		return rc;
	text = malloc(GUARDED_SIZE_MAX);
	if (!text)
		return -ENOMEM;
	n = read_all(fd, text, GUARDED_SIZE_MAX);
	if (n < 0) {
		free(text);
		return (int)n;
	}
	*out = text;
	*len = (size_t)n;
	return 0;
}

int guarded_read(const char *path, guarded_parse_fn *parse, void *out, char why[GUARDED_WHY_SIZE])
{
	static const char mark[] = "\xef\xbb\xbf"; /* some editors put it there, unseen */
	/* Not for a writer of a FIFO. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const char *what = NULL;
	char *text = NULL;
	size_t len = 0;
	int rc = read_open(fd, &text, &len, &what);

	if (fd >= 0)
		close(fd);
	if (rc) {
		(void)snprintf(why, GUARDED_WHY_SIZE, "%.150s: %s", path, what ? what : strerror(-rc));
		return rc == -ENOMEM ? rc : -EINVAL; /* a mistake in the configuration, whichever it is */
	}
	if (len >= sizeof(mark) - 1 && memcmp(text, mark, sizeof(mark) - 1) == 0) {
		(void)snprintf(why, GUARDED_WHY_SIZE,
			       "%.150s: begins with a byte order mark (UTF-8 BOM): save it without", path);
		rc = -EINVAL;
	} else {
		rc = parse(out, text, len, path, why);
	}
	free(text);
	return rc;
}
