/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runs.h"

enum { BLOCK_BYTES = 256 << 10 };

void record_put(char *to, struct slice name, int64_t value)
{
	memcpy(to, &value, sizeof(value));
	to[RECORD_HEAD - 1] = (char)(unsigned char)name.len;
	memcpy(to + RECORD_HEAD, name.data, name.len);
}

/* ---- the file ---- */

void runs_init(struct runs *r)
{
	*r = (struct runs){.fd = -1};
}

void runs_fini(struct runs *r)
{
	if (r->fd >= 0)
		close(r->fd);
	free(r->run);
	free(r->block);
	runs_init(r);
}

const char *runs_directory(void)
{
	const char *directory = getenv("TMPDIR");
	return directory && directory[0] ? directory : "/tmp";
}

/* Not every file system has O_TMPFILE. What is wrong with the directory itself, the second way finds too. */
static int open_unnamed(void)
{
	int fd = open(runs_directory(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	char path[PATH_MAX];
	if (snprintf(path, sizeof(path), "%s/shcount.XXXXXX", runs_directory()) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

static int make(struct runs *r)
{
	r->block = malloc(BLOCK_BYTES);
	if (!r->block)
		return -ENOMEM;
	int fd = open_unnamed();
	if (fd < 0)
		return fd;
	r->fd = fd;
	return 0;
}

static int write_block(struct runs *r)
{
	for (size_t done = 0; done < r->block_len;) {
		ssize_t n = pwrite(r->fd, r->block + done, r->block_len - done, r->end);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			done += (size_t)n;
			r->end += n;
		}
	}
	r->block_len = 0;
	return 0;
}

/* ---- runs ---- */

int runs_begin(struct runs *r)
{
	int rc = r->fd < 0 ? make(r) : 0;
	if (rc)
		return rc;
	if (r->count == r->cap) {
		size_t cap = r->cap ? r->cap * 2 : 16;
		struct run *run = reallocarray(r->run, cap, sizeof(*run));
		if (!run)
			return -ENOMEM;
		r->run = run;
		r->cap = cap;
	}
	r->run[r->count++] = (struct run){.begin = r->end};
	return 0;
}

int runs_put(struct runs *r, const char *record)
{
	size_t size = record_size(record);
	int rc = r->block_len + size > BLOCK_BYTES ? write_block(r) : 0;
	if (rc)
		return rc;
	memcpy(r->block + r->block_len, record, size);
	r->block_len += size;
	return 0;
}

int runs_end(struct runs *r)
{
	int rc = write_block(r);
	r->run[r->count - 1].end = r->end;
	return rc;
}

/* ---- reading ---- */

void run_reader_init(struct run_reader *reader, const struct runs *r, size_t index, char *data, size_t size)
{
	*reader = (struct run_reader){
		.fd = r->fd,
		.at = r->run[index].begin,
		.end = r->run[index].end,
		.data = data,
		.size = size,
	};
}

/* Moves what is left to the front and fills up behind it. */
static int fill(struct run_reader *reader)
{
	reader->len -= reader->pos;
	memmove(reader->data, reader->data + reader->pos, reader->len);
	reader->pos = 0;
	while (reader->at < reader->end && reader->len < reader->size) {
		size_t want = reader->size - reader->len;
		if (want > (size_t)(reader->end - reader->at))
			want = (size_t)(reader->end - reader->at);
		ssize_t n = pread(reader->fd, reader->data + reader->len, want, reader->at);
		if (n == 0)
			return -EIO; /* somebody has cut the file */
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			reader->len += (size_t)n;
			reader->at += n;
		}
	}
	return 0;
}

static bool has_record(const struct run_reader *reader)
{
	size_t left = reader->len - reader->pos;
	return left >= RECORD_HEAD && left >= record_size(reader->data + reader->pos);
}

int run_next(struct run_reader *reader, const char **record)
{
	if (!has_record(reader)) {
		int rc = fill(reader);
		if (rc)
			return rc;
	}
	*record = NULL;
	if (!has_record(reader))
		return 0;
	*record = reader->data + reader->pos;
	reader->pos += record_size(*record);
	return 0;
}
