/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/buf.h"
#include "inputs.h"

/* What standard input is called in what is said about it. */
static const char stdin_name[] = "(standard input)";

static bool is_stdin(const char *file)
{
	return strcmp(file, "-") == 0;
}

char **inputs_of(const struct invocation *inv, int *count)
{
	static char dash[] = "-";
	static char *only_stdin[] = {dash};
	*count = inv->operands_count > 0 ? inv->operands_count : 1;
	return inv->operands_count > 0 ? inv->operands : only_stdin;
}

static int look(char **files, int count, const char *nothing, bool may_miss, uint64_t *bytes_total)
{
	bool is_known = true;
	uint64_t total = 0;
	for (int i = 0; i < count; i++) {
		struct stat st;
		int rc = is_stdin(files[i]) ? fstat(STDIN_FILENO, &st) : stat(files[i], &st);
		if (rc == 0 && !is_stdin(files[i]) && access(files[i], R_OK))
			rc = -1;
		if (rc && errno == ENOENT && may_miss)
			continue;
		if (rc)
			return command_fail(EX_IOERR, "%s: %s; %s", files[i], strerror(errno), nothing);
		if (S_ISDIR(st.st_mode))
			return command_fail(EX_IOERR, "%s: is a directory; %s", files[i], nothing);
		is_known = is_known && S_ISREG(st.st_mode);
		total += (uint64_t)st.st_size;
	}
	*bytes_total = is_known ? total : 0;
	return EX_OK;
}

int inputs_look(char **files, int count, const char *nothing, uint64_t *bytes_total)
{
	return look(files, count, nothing, false, bytes_total);
}

int inputs_look_present(char **files, int count, const char *nothing, uint64_t *bytes_total)
{
	return look(files, count, nothing, true, bytes_total);
}

/* Without O_NONBLOCK a named pipe would keep us here until somebody writes, deaf to signals. */
int inputs_open(const char *file, const char **name)
{
	*name = is_stdin(file) ? stdin_name : file;
	if (is_stdin(file))
		return STDIN_FILENO;
	int fd = open(file, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	int flags = fcntl(fd, F_GETFL);
	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
	return fd;
}

void inputs_close(int fd)
{
	if (fd != STDIN_FILENO)
		close(fd);
}

/* ---- where to go on ---- */

/* Is it one word of a shell as it stands? */
static bool is_word(const char *file)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_";
	return file[0] != '\0' && file[strspn(file, plain)] == '\0';
}

static void put_word(struct buf *to, const char *file)
{
	if (file[0] == '-')
		buf_append(to, "./", 2);
	if (is_word(file)) {
		buf_append(to, file, strlen(file));
		return;
	}
	buf_append(to, "'", 1);
	for (; *file; file++) {
		if (*file == '\'')
			buf_append(to, "'\\''", 4);
		else
			buf_append(to, file, 1);
	}
	buf_append(to, "'", 1);
}

void inputs_tell_how_on(const char *command, const char *what, const char *file, int files_left,
			uint64_t line)
{
	struct buf word = BUF_INIT;
	bool has_file = file != stdin_name;
	if (has_file)
		put_word(&word, file);
	else
		buf_append(&word, "< the same input", 16);
	command_fail(0, "%s with: shcount %s --from-line %llu ... %.*s%s", what, command,
		     (unsigned long long)line, (int)buf_len(&word), buf_head(&word),
		     files_left > 0 ? " and the files behind it" : "");
	buf_fini(&word);
}
