/* SPDX-License-Identifier: MIT */
/*
 * chain.c - which files go on where a stream was.
 *
 * Why no file is left out and none counts twice, whoever is killed and whenever the log is rotated: the entry
 * of the cursor (offset, mark, id) is always about the file whose bytes were counted last, with an offset
 * that is not 0, so there is content to know it by. It goes over to the next file only together with the
 * first bytes of that one (stream_took). Older files were counted to their end before that, and newer ones
 * were not touched. So a run that finds the file of the entry, whatever it is called by then, has to count
 * its rest and all that is newer, in order; and an entry that stays at the end of a finished file says just
 * that.
 *
 * A file is done with only when a newer one has something in it: until then the writer, which is one, may not
 * have reopened. Its last line is then whole, with an end or without.
 *
 * The log may be rotated while it is looked at. Renaming gives a file an older name and never one it had
 * before. So when every name is found to be of the file that was opened by it, after all of them were opened,
 * each was so during all that time, and together they are what there was in one moment of it.
 *
 * Between renaming and reopening FILE is not there. That is as if it were empty: nothing is newer than the
 * renamed one, to which the writer may still write. When it is found missing before and after the others were
 * looked at, it was so all the time: one that came and went would have given the others older names.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chain.h"
#include "command.h"
#include "rotated.h"
#include "source.h"

enum {
	LOOKS_MAX = 20,	 /* at a log that is rotated meanwhile */
	LOOK_AGAIN = -1, /* beside the exit statuses */
	NOT_FOUND = -2,	 /* the same */
};

/* ---- knowing input again ---- */

uint32_t chain_id(ino_t ino)
{
	uint64_t n = ino;
	return (uint32_t)(n ^ n >> 32);
}

/* `len` bytes at `offset`. */
static int feed_from(struct mark *m, int fd, off_t offset, size_t len)
{
	char bytes[MARK_BYTES];
	for (size_t got = 0; got < len;) {
		ssize_t n = pread(fd, bytes, len - got, offset + (off_t)got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : CHAIN_SHORTER;
		mark_feed(m, bytes, (size_t)n);
		got += (size_t)n;
	}
	return 0;
}

int chain_check(int fd, off_t base, const struct cursor_file *at, struct mark *m)
{
	struct stat st;
	if (fstat(fd, &st) == 0 && (uint64_t)(st.st_size - base) < at->offset)
		return CHAIN_SHORTER;
	size_t len = at->offset < MARK_BYTES ? (size_t)at->offset : MARK_BYTES;
	*m = (struct mark){0};
	int rc = feed_from(m, fd, base, len);
	if (rc == 0 && at->offset > MARK_BYTES)
		rc = feed_from(m, fd, base + (off_t)(at->offset - MARK_BYTES), MARK_BYTES);
	if (rc)
		return rc;
	return mark_hash(m) == at->mark ? CHAIN_SAME : CHAIN_ANOTHER;
}

int chain_refuse(const char *file, const struct cursor_file *at, int how, const char *more)
{
	if (how == CHAIN_SHORTER)
		return command_fail(
			EX_DATAERR,
			"%s: is shorter than what the runs before have counted of it (%llu bytes)%s", file,
			(unsigned long long)at->offset, more);
	if (how == CHAIN_MISSING)
		return command_fail(EX_DATAERR, "%s: is not there%s", file, more);
	return command_fail(EX_DATAERR, "%s: does not begin with what the runs before have counted%s", file,
			    more);
}

/* The same of a packed file, which is read over. */
static int check_packed(const char *path, int fd, const struct cursor_file *at)
{
	char bytes[64 << 10];
	struct source src;
	struct mark m = {0};
	int rc = source_open(&src, path, fd);
	for (uint64_t left = at->offset; rc == 0 && left > 0;) {
		ssize_t n = source_read(&src, bytes, left < sizeof(bytes) ? (size_t)left : sizeof(bytes));
		if (n == -EINTR)
			continue;
		if (n <= 0) {
			rc = n == 0 ? CHAIN_SHORTER : (int)n;
			break;
		}
		mark_feed(&m, bytes, (size_t)n);
		left -= (uint64_t)n;
	}
	source_close(&src);
	if (rc)
		return rc == -EBADMSG ? CHAIN_ANOTHER : rc;
	return mark_hash(&m) == at->mark ? CHAIN_SAME : CHAIN_ANOTHER;
}

static int no_memory(void)
{
	return command_fail(EX_IOERR, "out of memory");
}

/* ---- opening ---- */

static void close_file(struct chain_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	free(f->path);
	*f = (struct chain_file){.fd = -1};
}

void chain_close(struct chain *c)
{
	for (size_t i = 0; i < c->count; i++)
		close_file(&c->files[i]);
	free(c->files);
	*c = (struct chain){0};
}

/* LOOK_AGAIN: it has gone, and `may_go`, for it was renamed. */
static int open_file(struct chain_file *f, const char *path, bool may_go)
{
	struct stat st;
	*f = (struct chain_file){.path = strdup(path), .fd = open(path, O_RDONLY | O_CLOEXEC)};
	int error = f->fd < 0 || fstat(f->fd, &st) ? errno : 0;
	if (f->path && error == 0) {
		f->dev = st.st_dev;
		f->ino = st.st_ino;
		f->size = (uint64_t)st.st_size;
		return EX_OK;
	}
	bool is_path = f->path;
	close_file(f);
	if (!is_path)
		return no_memory();
	return may_go && error == ENOENT ? LOOK_AGAIN
					 : command_fail(EX_IOERR, "%s: %s", path, strerror(error));
}

/* Appends; only chain_open's last step knows the final order. */
static int append(struct chain *c, const struct chain_file *f)
{
	struct chain_file *files = reallocarray(c->files, c->count + 1, sizeof(*files));
	if (!files)
		return no_memory();
	c->files = files;
	c->files[c->count++] = *f;
	return EX_OK;
}

static int append_path(struct chain *c, const char *path, bool is_rotated)
{
	struct chain_file f;
	int rc = open_file(&f, path, is_rotated);
	if (rc)
		return rc;
	rc = append(c, &f);
	if (rc)
		close_file(&f);
	return rc;
}

/* ---- finding the file that was counted ---- */

/* gzip and zstd are read, others are not. */
static bool is_readable(const struct rotated *item)
{
	return !item->is_packed || source_kind_of(item->path) != SOURCE_PLAIN;
}

static int not_found(const char *file, const struct cursor_file *at, int how, const struct rotated_list *list)
{
	char more[512];
	const char *packed = NULL;
	for (size_t i = 0; i < list->count && !packed; i++)
		packed = is_readable(&list->items[i]) ? NULL : list->items[i].path;
	if (packed)
		snprintf(more, sizeof(more),
			 ", and no file that it was rotated to and that can be read begins with what was "
			 "counted; nothing of it was added: unpack %s and those before it, and run it again",
			 packed);
	else
		snprintf(
			more, sizeof(more),
			", and no file that it was rotated to (%.60s.1, %.60s-DATE) begins with what was "
			"counted; nothing of it was added: name the old file in front of it, or use another ID to count it from its "
			"beginning",
			file, file);
	return chain_refuse(file, at, how, more);
}

/* Whether the rotated file is the one: EX_OK, NOT_FOUND, or another status. */
static int check_rotated(const struct rotated *item, const struct cursor_file *at)
{
	struct chain_file f;
	struct mark m;
	int rc = open_file(&f, item->path, true);
	if (rc)
		return rc;
	int how = item->is_packed ? check_packed(item->path, f.fd, at) : chain_check(f.fd, 0, at, &m);
	close_file(&f);
	if (how < 0)
		return command_fail(EX_IOERR, "%s: %s", item->path, strerror(-how));
	return how == CHAIN_SAME ? EX_OK : NOT_FOUND;
}

enum among { ALL, PACKED, SAME_ID };

static int search(const struct rotated_list *list, const struct cursor_file *at, enum among among,
		  size_t *found)
{
	int rc = NOT_FOUND;
	for (size_t i = 0; rc == NOT_FOUND && i < list->count; i++) {
		const struct rotated *item = &list->items[i];
		if (!is_readable(item) || (among == PACKED && !item->is_packed) ||
		    (among == SAME_ID && item->id != at->id))
			continue;
		rc = check_rotated(item, at);
		*found = i;
	}
	return rc;
}

/* Where FILE's content is not what was counted, or FILE is not the file that it was: the place in the list;
 * list->count for FILE; or NOT_FOUND. `how` is what chain_check says of FILE. When FILE begins with the same,
 * it is a copy of what it was, or one of logs that begin alike, and the other one was packed since: a renamed
 * one has its id. */
static int find(const struct cursor_file *at, int how, const struct rotated_list *list, size_t *found)
{
	int rc = at->id ? search(list, at, SAME_ID, found) : NOT_FOUND;
	if (rc == NOT_FOUND)
		rc = search(list, at, how == CHAIN_SAME ? PACKED : ALL, found);
	if (rc == NOT_FOUND && how == CHAIN_SAME) {
		*found = list->count;
		return EX_OK;
	}
	return rc;
}

/* Are the same files there under the same names? What is renamed while a directory is read may not be in the
 * list. */
static bool is_same_list(const struct rotated_list *list, const struct rotated_list *now)
{
	if (list->count != now->count)
		return false;
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].id != now->items[i].id ||
		    strcmp(list->items[i].path, now->items[i].path) != 0)
			return false;
	return true;
}

static bool is_still_newest(const struct chain_file *newest)
{
	struct stat st;
	bool is_there = stat(newest->path, &st) == 0;
	return is_there == (newest->fd >= 0) &&
	       (!is_there || (st.st_ino == newest->ino && st.st_dev == newest->dev));
}

/* Is the list what there was while it was searched? Else somebody is renaming, and what was not found may be
 * there all the same. */
static bool is_quiet(const struct chain_file *newest, const struct rotated_list *list)
{
	struct rotated_list now;
	if (rotated_find(newest->path, &now))
		return false;
	bool is_same = is_still_newest(newest) && is_same_list(list, &now);
	rotated_fini(&now);
	return is_same;
}

/* ---- the chain ---- */

static int append_newer(struct chain *c, const char *file, const struct rotated_list *list, size_t found)
{
	for (size_t i = found + 1; i-- > 0;) {
		const struct rotated *item = &list->items[i];
		if (!is_readable(item))
			return command_fail(
				EX_DATAERR,
				"%s: was rotated to %s, and more than once since: %s is to be counted "
				"behind that; nothing of it was added: unpack it, and run it again",
				file, list->items[found].path, item->path);
		int rc = append_path(c, item->path, true);
		if (rc)
			return rc;
	}
	return EX_OK;
}

static bool is_still_there(const struct chain *c)
{
	for (size_t i = 0; i < c->count; i++) {
		struct stat st;
		const struct chain_file *f = &c->files[i];
		bool is_there = stat(f->path, &st) == 0;
		if (is_there != (f->fd >= 0) || (is_there && (st.st_ino != f->ino || st.st_dev != f->dev)))
			return false;
	}
	return true;
}

/* What is empty at the newer end is not begun with; what is older than something is done with. */
static void settle(struct chain *c)
{
	while (c->count > 1 && c->files[c->count - 1].size == 0)
		close_file(&c->files[--c->count]);
	for (size_t i = 0; i + 1 < c->count; i++)
		c->files[i].is_left = true;
}

/* `newest` is FILE, opened; taken. */
static int open_rotated(struct chain *c, struct chain_file *newest, const struct cursor_file *at, int how)
{
	struct rotated_list list;
	size_t found = 0;
	int rc = rotated_find(newest->path, &list);
	if (rc)
		rc = command_fail(EX_IOERR, "looking for what %s was rotated to: %s", newest->path,
				  strerror(-rc));
	else
		rc = find(at, how, &list, &found);
	if ((rc == NOT_FOUND || (rc == EX_OK && found == list.count)) && !is_quiet(newest, &list))
		rc = LOOK_AGAIN;
	else if (rc == NOT_FOUND)
		rc = not_found(newest->path, at, how, &list);
	c->is_rotated = rc == EX_OK && found < list.count;
	if (c->is_rotated)
		rc = append_newer(c, newest->path, &list, found);
	rotated_fini(&list);
	if (rc == EX_OK)
		rc = append(c, newest);
	if (rc) {
		close_file(newest);
		return rc;
	}
	if (c->is_rotated && !is_still_there(c))
		return LOOK_AGAIN;
	settle(c);
	return EX_OK;
}

/* FILE; without a descriptor when it was counted and is not there. */
static int open_newest(struct chain_file *f, const char *file, const struct cursor_file *at)
{
	int rc = open_file(f, file, at->offset > 0);
	if (rc != LOOK_AGAIN)
		return rc;
	*f = (struct chain_file){.path = strdup(file), .fd = -1};
	return f->path ? EX_OK : no_memory();
}

static int look(struct chain *c, const char *file, const struct cursor_file *at)
{
	struct chain_file newest;
	struct mark m;
	int rc = open_newest(&newest, file, at);
	if (rc)
		return rc;
	if (newest.fd < 0)
		return open_rotated(c, &newest, at, CHAIN_MISSING);
	int how = at->offset > 0 ? chain_check(newest.fd, 0, at, &m) : CHAIN_SAME;
	if (how < 0) {
		close_file(&newest);
		return command_fail(EX_IOERR, "%s: %s", file, strerror(-how));
	}
	/* Many logs begin alike: the same bytes in another file are not enough. */
	if (how != CHAIN_SAME || (at->offset > 0 && at->id && at->id != chain_id(newest.ino)))
		return open_rotated(c, &newest, at, how);
	rc = append(c, &newest);
	if (rc)
		close_file(&newest);
	return rc;
}

int chain_open(struct chain *c, const char *file, const struct cursor_file *at)
{
	int rc = LOOK_AGAIN;
	for (int i = 0; rc == LOOK_AGAIN && i < LOOKS_MAX; i++) {
		*c = (struct chain){0};
		rc = look(c, file, at);
		if (rc)
			chain_close(c);
	}
	return rc == LOOK_AGAIN
		       ? command_fail(EX_IOERR, "%s: is being rotated all the time; run it again", file)
		       : rc;
}
