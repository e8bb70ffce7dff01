/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "command.h"
#include "head.h"

/* Of gzip the method, too, of which there is only one: two bytes are few for a file of any kind. */
static const struct {
	enum head head;
	size_t len;
	const char *bytes;
} marks[] = {
	{HEAD_MARK, HEAD_MARK_BYTES, "\xef\xbb\xbf"},
	{HEAD_GZIP, 3, "\x1f\x8b\x08"},
	{HEAD_ZSTD, 4, "\x28\xb5\x2f\xfd"},
};

enum head head_look(const char *data, size_t len, bool is_end)
{
	if (len == 0)
		return is_end ? HEAD_TEXT : HEAD_OPEN;
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		if (len >= marks[i].len && memcmp(data, marks[i].bytes, marks[i].len) == 0)
			return marks[i].head;
		if (len < marks[i].len && !is_end && memcmp(data, marks[i].bytes, len) == 0)
			return HEAD_OPEN;
	}
	return HEAD_TEXT;
}

int head_refuse(enum head head, const char *file, const char *command)
{
	bool is_gzip = head == HEAD_GZIP;
	return command_fail(EX_DATAERR,
			    "%s: is compressed with %s, and only files named *%s are decompressed; "
			    "`%s < FILE | shcount %s ...` reads it",
			    file, is_gzip ? "gzip" : "zstd", is_gzip ? ".gz" : ".zst",
			    is_gzip ? "zcat" : "zstdcat", command);
}
