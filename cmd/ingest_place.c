/* SPDX-License-Identifier: MIT */
/*
 * ingest_place.c - the command that goes on where a run has ended, to be copied into a shell.
 */
#include <string.h>

#include "../lib/buf.h"
#include "command.h"
#include "ingest.h"
#include "inputs.h"

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

void ingest_tell_how_on(const char *what, const char *file, int files_left, uint64_t line)
{
	struct buf word = BUF_INIT;
	if (file != inputs_stdin_name)
		put_word(&word, file);
	command_fail(0, "%s with: shcount ingest --from-line %llu ... %.*s%s", what, (unsigned long long)line,
		     file == inputs_stdin_name ? 16 : (int)buf_len(&word),
		     file == inputs_stdin_name ? "< the same input" : buf_head(&word),
		     files_left > 0 ? " and the files behind it" : "");
	buf_fini(&word);
}
