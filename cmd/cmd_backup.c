/* SPDX-License-Identifier: MIT */
/*
 * cmd_backup.c - a consistent copy of the server's state, read through the connection. What stands under the
 * name given is whole and on disk, or as it was before.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/num.h"
#include "command.h"
#include "output.h"
#include "target.h"

enum {
	CHUNK_BYTES = 1 << 20,	  /* the most that one READ gives */
	COPYING_MS_MAX = 3600000, /* the server's patience with its own disk; ours without --timeout */
};

enum { OPTION_FORCE };

static const struct option_spec options[] = {
	[OPTION_FORCE] = {0, "force", OPTION_FLAG, NULL, "replace FILE if it is there"},
	{0},
};

struct backup {
	const struct invocation *inv;
	const char *file; /* as given */
	char *part;	  /* where it is written; null: standard output */
	int fd;
	bool is_named; /* it has become `file` */
	struct shc *shc;
	int64_t size;
};

/* ---- the server's side ---- */

static int protocol_trouble(void)
{
	return command_fail(EX_UNAVAILABLE, "the answer to SHC.BACKUP makes no sense: is that a shcounterd?");
}

static int begin(struct backup *b)
{
	const char *argv[] = {"SHC.BACKUP", "BEGIN"};
	const struct shc_reply *reply;
	if (b->inv->timeout_ms == TIMEOUT_DEFAULT_MS)
		shc_set_timeout(b->shc, COPYING_MS_MAX);
	enum shc_status status = shc_command(b->shc, 2, argv, NULL, false, &reply);
	shc_set_timeout(b->shc, b->inv->timeout_ms);
	if (status)
		return command_status(b->shc, status);
	if (reply->type != SHC_T_INT || reply->integer < 1)
		return protocol_trouble();
	b->size = reply->integer;
	return EX_OK;
}

static int write_all(const struct backup *b, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(b->fd, data, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return command_fail(EX_IOERR, "%s: %s", b->part ? b->part : "standard output",
					    strerror(errno));
		data += n;
		len -= (size_t)n;
	}
	return EX_OK;
}

static int copy_chunk(const struct backup *b, int64_t offset, int64_t count)
{
	char offset_text[NUM_I64_CHARS_MAX], count_text[NUM_I64_CHARS_MAX];
	const char *argv[] = {"SHC.BACKUP", "READ", offset_text, count_text};
	size_t argv_len[] = {10, 4, num_format_i64(offset_text, offset), num_format_i64(count_text, count)};
	const struct shc_reply *reply;
	enum shc_status status = shc_command(b->shc, 4, argv, argv_len, false, &reply);
	if (status)
		return command_status(b->shc, status);
	if (reply->type != SHC_T_STRING)
		return protocol_trouble();
	if (reply->len != (size_t)count)
		return command_fail(
			EX_UNAVAILABLE,
			"the copy is shorter than announced: %lld bytes were expected at %lld, %zu came",
			(long long)count, (long long)offset, reply->len);
	return write_all(b, reply->data, reply->len);
}

static int copy(const struct backup *b)
{
	int rc = EX_OK;
	for (int64_t done = 0; rc == EX_OK && done < b->size; done += CHUNK_BYTES)
		rc = copy_chunk(b, done, b->size - done < CHUNK_BYTES ? b->size - done : CHUNK_BYTES);
	const char *argv[] = {"SHC.BACKUP", "END"};
	const struct shc_reply *reply;
	if (rc == EX_OK)
		(void)shc_command(b->shc, 2, argv, NULL, false,
				  &reply); /* the end of the connection does it, too */
	return rc;
}

/* ---- the file's side ---- */

static int file_trouble(const char *file)
{
	return command_fail(EX_IOERR, "%s: %s", file, strerror(errno));
}

static int not_regular(const char *file)
{
	return command_fail(EX_IOERR, "%s: is not a regular file: name another", file);
}

/* What the server says about where it keeps its state; empty when it does not. */
static void ask_database(const struct backup *b, char *path, size_t size)
{
	const char *argv[] = {"CONFIG", "GET", "db"};
	const struct shc_reply *reply;
	path[0] = 0;
	if (shc_command(b->shc, 3, argv, NULL, false, &reply) == SHC_OK && reply->count == 2 &&
	    reply->elements[1].type == SHC_T_STRING)
		snprintf(path, size, "%.*s", (int)reply->elements[1].len, reply->elements[1].data);
}

/* A copy that takes the place of the state itself would end it: what is committed later would go into a file
 * without a name. */
static bool is_of_state(const char *file, const char *database)
{
	static const char *const endings[] = {"", "-wal", "-shm", ".lock"};
	struct stat ours, theirs;
	bool is_there = stat(file, &ours) == 0;
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		char path[PATH_MAX + 8];
		snprintf(path, sizeof(path), "%s%s", database, endings[i]);
		if (strcmp(file, path) == 0)
			return true;
		if (is_there && stat(path, &theirs) == 0 && ours.st_dev == theirs.st_dev &&
		    ours.st_ino == theirs.st_ino)
			return true;
	}
	return false;
}

/* Beside what its path leads to are the files that it is kept in. */
static bool is_of_server(const char *file, const char *database)
{
	char real[PATH_MAX];
	return is_of_state(file, database) || (realpath(database, real) && is_of_state(file, real));
}

static int look_at_name(const struct backup *b)
{
	struct stat st;
	bool is_there = lstat(b->file, &st) == 0;
	char database[PATH_MAX];
	/* A device or a link would be replaced, not written to. */
	if (is_there && !S_ISREG(st.st_mode))
		return command_fail(EX_IOERR,
				    "%s: is not a regular file: name another, or write to - and redirect",
				    b->file);
	if (is_there && !b->inv->values[OPTION_FORCE])
		return command_fail(EX_IOERR, "%s: is there already; --force replaces it", b->file);
	ask_database(b, database, sizeof(database));
	if (database[0] && (is_of_server(b->file, database) || is_of_server(b->part, database)))
		return command_fail(EX_IOERR, "%s: the server keeps its state in there: name another",
				    b->file);
	return EX_OK;
}

/* The lock is on the file, the name may lead to another one by now. */
static bool is_still(const char *name, int fd)
{
	struct stat by_name, open;
	return stat(name, &by_name) == 0 && fstat(fd, &open) == 0 && by_name.st_dev == open.st_dev &&
	       by_name.st_ino == open.st_ino;
}

/* What a run that was killed leaves begins like every database, or is empty. */
static bool is_begun_copy(int fd)
{
	static const char magic[16] = "SQLite format 3";
	char head[sizeof(magic)];
	ssize_t n = pread(fd, head, sizeof(head), 0);
	return n >= 0 && memcmp(head, magic, (size_t)n) == 0;
}

static int lock_regular(const struct backup *b, int fd)
{
	struct stat st;
	if (fstat(fd, &st))
		return file_trouble(b->part);
	if (!S_ISREG(st.st_mode))
		return not_regular(b->part);
	/* He has it open already, or may open it later, whatever its mode is made. */
	if (st.st_uid != geteuid())
		return command_fail(EX_IOERR, "%s: is somebody else's file: name another, or remove it",
				    b->part);
	/* A file of ours that another user has put here: it would be overwritten. */
	if (st.st_nlink > 1)
		return command_fail(EX_IOERR,
				    "%s: has another name, too (a hard link): name another, or remove it",
				    b->part);
	if (flock(fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK
			       ? command_fail(EX_IOERR, "%s: another backup is writing it", b->part)
			       : file_trouble(b->part);
	if (!is_begun_copy(fd))
		return command_fail(EX_IOERR, "%s: is no unfinished copy: name another, or move it away",
				    b->part);
	return EX_OK;
}

/* That of a run which was killed is taken over, that of one under way is not. What is open behind this is
 * ours. */
static int lock_part(struct backup *b)
{
	do {
		if (b->fd >= 0)
			close(b->fd);
		b->fd = open(b->part, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
		if (b->fd < 0)
			return errno == ELOOP || errno == EISDIR ? not_regular(b->part)
								 : file_trouble(b->part);
		int rc = lock_regular(b, b->fd);
		if (rc) {
			close(b->fd);
			b->fd = -1;
			return rc;
		}
	} while (!is_still(b->part, b->fd));
	return fchmod(b->fd, 0600) || ftruncate(b->fd, 0) ? file_trouble(b->part) : EX_OK;
}

static int open_part(struct backup *b)
{
	if (asprintf(&b->part, "%s.part", b->file) < 0) {
		b->part = NULL;
		return command_fail(EX_IOERR, "out of memory");
	}
	int rc = look_at_name(b);
	return rc ? rc : lock_part(b);
}

/* The new name is only sure when the directory is on disk. */
static int sync_directory(const char *file)
{
	const char *slash = strrchr(file, '/');
	char directory[PATH_MAX] = ".";
	if (slash)
		snprintf(directory, sizeof(directory), "%.*s", slash == file ? 1 : (int)(slash - file), file);
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return file_trouble(directory);
	int rc = fsync(fd) ? file_trouble(directory) : EX_OK;
	close(fd);
	return rc;
}

/* Without --force what has come to stand there meanwhile stays. */
static int rename_part(const struct backup *b)
{
	unsigned flags = b->inv->values[OPTION_FORCE] ? 0 : RENAME_NOREPLACE;
	int rc = renameat2(AT_FDCWD, b->part, AT_FDCWD, b->file, flags);
	if (rc && errno == EINVAL) /* this file system cannot promise it */
		rc = rename(b->part, b->file);
	return rc ? file_trouble(b->file) : sync_directory(b->file);
}

static int finish_file(struct backup *b)
{
	int rc = fsync(b->fd) ? file_trouble(b->part) : rename_part(b);
	b->is_named = rc == EX_OK;
	return rc;
}

static int show(const struct backup *b)
{
	struct output out;
	output_init(&out, STDOUT_FILENO, false);
	json_open(&out);
	json_text(&out, slice_str("file"), slice_str(b->file));
	json_i64(&out, "bytes", b->size);
	json_close(&out);
	return output_finish(&out);
}

static int to_file(struct backup *b)
{
	int rc = open_part(b);
	if (rc == EX_OK)
		rc = begin(b);
	if (rc == EX_OK)
		rc = copy(b);
	if (rc == EX_OK)
		rc = finish_file(b);
	if (b->fd >= 0) {
		if (!b->is_named && is_still(b->part, b->fd))
			(void)unlink(b->part);
		close(b->fd); /* and the lock */
	}
	free(b->part);
	return rc == EX_OK && b->inv->is_json && !b->inv->is_quiet ? show(b) : rc;
}

static int to_stdout(struct backup *b)
{
	if (isatty(STDOUT_FILENO))
		return command_usage(b->inv, "a backup is not for a terminal: redirect it, or name a file");
	b->fd = STDOUT_FILENO;
	int rc = begin(b);
	return rc ? rc : copy(b);
}

static int run(struct invocation *inv)
{
	struct backup b = {.inv = inv, .file = inv->operands[0], .fd = -1};
	signal(SIGXFSZ, SIG_IGN); /* the write says EFBIG, and what is half written goes */
	if (!*b.file)
		return command_usage(inv, "backup needs the name of a file");
	int rc = target_connect(inv, &b.shc);
	if (rc)
		return rc;
	rc = target_check_daemon(inv, b.shc);
	if (rc == EX_OK)
		rc = strcmp(b.file, "-") == 0 ? to_stdout(&b) : to_file(&b);
	shc_close(b.shc);
	return rc;
}

const struct command cmd_backup = {
	.name = "backup",
	.group = GROUP_SERVER,
	.operands = "FILE",
	.summary = "copy the server's state to a file",
	.help = "  shcount backup counters-$(date +%F).db\n"
		"  shcount backup - | gzip >counters.db.gz\n"
		"\n"
		"A consistent copy of everything acknowledged before, made while the server goes on, which "
		"needs room\n"
		"for it beside its own file. FILE appears when the copy is whole and on disk (until then it "
		"is FILE.part), "
		"readable by its\n"
		"owner only, and is what shcounterd --db takes. What is there already stays without --force. "
		"--timeout\n"
		"is for each step; without it, the server may take an hour to make its copy.\n",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.is_local = true,
	.run = run,
};
