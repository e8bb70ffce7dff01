/* SPDX-License-Identifier: MIT */
/*
 * fault.c - calls on files that fail when a test says so (fault_rule.h): to be loaded before libc,
 * LD_PRELOAD=fault.so.
 *
 * These are the names that the daemon and Debian's SQLite call (nm -D): SQLite uses open64, pread64,
 * pwrite64, write, ftruncate64, fdatasync, mmap64 and unlink, the daemon itself open, write, ftruncate and
 * unlink. What is not struck goes straight to the kernel. Sockets are driven by io_uring or recv and send,
 * and never come here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault_rule.h"

#define EXPORT __attribute__((visibility("default")))

static int fail(int error)
{
	errno = error;
	return -1;
}

/* ---- by name ---- */

static int open_at(int dir, const char *path, int flags, mode_t mode)
{
	struct fault fault;

	if (fault_strike(FAULT_OPEN, -1, path, &fault) && fault.error)
		return fail(fault.error);
	return (int)syscall(SYS_openat, dir, path, flags, mode);
}

static mode_t mode_behind(int flags, va_list args)
{
	return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(args, mode_t) : 0;
}

#define OPEN(name)                                                                                           \
	EXPORT int name(const char *path, int flags, ...)                                                    \
	{                                                                                                    \
		va_list args;                                                                                \
		mode_t mode;                                                                                 \
                                                                                                             \
		va_start(args, flags);                                                                       \
		mode = mode_behind(flags, args);                                                             \
		va_end(args);                                                                                \
		return open_at(AT_FDCWD, path, flags, mode);                                                 \
	}

#define OPENAT(name)                                                                                         \
	EXPORT int name(int dir, const char *path, int flags, ...)                                           \
	{                                                                                                    \
		va_list args;                                                                                \
		mode_t mode;                                                                                 \
                                                                                                             \
		va_start(args, flags);                                                                       \
		mode = mode_behind(flags, args);                                                             \
		va_end(args);                                                                                \
		return open_at(dir, path, flags, mode);                                                      \
	}

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

/* What open becomes with _FORTIFY_SOURCE. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);

EXPORT int __open_2(const char *path, int flags)
{
	return open_at(AT_FDCWD, path, flags, 0);
}

EXPORT int __open64_2(const char *path, int flags)
{
	return open_at(AT_FDCWD, path, flags, 0);
}

EXPORT int unlink(const char *path)
{
	struct fault fault;

	if (fault_strike(FAULT_UNLINK, -1, path, &fault) && fault.error)
		return fail(fault.error);
	return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

/* ---- by descriptor ---- */

/* What is taken before it fails is really written: half a page can be on the disk. */
static ssize_t write_at(int fd, const void *data, size_t len, int64_t at)
{
	struct fault fault;
	size_t taken = len;
	ssize_t n;

	if (fault_strike(FAULT_WRITE, fd, NULL, &fault)) {
		if (fault.size_max < taken)
			taken = fault.size_max;
		else if (fault.error)
			taken = 0;
		if (fault.error && taken == 0)
			return fail(fault.error);
	}
	n = at < 0 ? syscall(SYS_write, fd, data, taken) : syscall(SYS_pwrite64, fd, data, taken, at);
	return n < 0 || !fault.error ? n : fail(fault.error);
}

EXPORT ssize_t write(int fd, const void *data, size_t len)
{
	return write_at(fd, data, len, -1);
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
	return write_at(fd, data, len, at);
}

EXPORT ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
	return write_at(fd, data, len, at);
}

static ssize_t read_at(int fd, void *data, size_t len, int64_t at)
{
	struct fault fault;

	if (fault_strike(FAULT_READ, fd, NULL, &fault) && fault.error)
		return fail(fault.error);
	return syscall(SYS_pread64, fd, data, len, at);
}

EXPORT ssize_t pread(int fd, void *data, size_t len, off_t at)
{
	return read_at(fd, data, len, at);
}

EXPORT ssize_t pread64(int fd, void *data, size_t len, off64_t at)
{
	return read_at(fd, data, len, at);
}

static int truncate_to(int fd, int64_t size)
{
	struct fault fault;

	if (fault_strike(FAULT_TRUNCATE, fd, NULL, &fault) && fault.error)
		return fail(fault.error);
	return (int)syscall(SYS_ftruncate, fd, size);
}

EXPORT int ftruncate(int fd, off_t size)
{
	return truncate_to(fd, size);
}

EXPORT int ftruncate64(int fd, off64_t size)
{
	return truncate_to(fd, size);
}

static int sync_by(long call, int fd)
{
	struct fault fault;

	if (fault_strike(FAULT_SYNC, fd, NULL, &fault) && fault.error)
		return fail(fault.error);
	return (int)syscall(call, fd);
}

EXPORT int fsync(int fd)
{
	return sync_by(SYS_fsync, fd);
}

EXPORT int fdatasync(int fd)
{
	return sync_by(SYS_fdatasync, fd);
}

static void *map(void *address, size_t len, int protection, int flags, int fd, int64_t at)
{
	struct fault fault;

	if (fd >= 0 && fault_strike(FAULT_MAP, fd, NULL, &fault) && fault.error) {
		errno = fault.error;
		return MAP_FAILED;
	}
	return (void *)(uintptr_t)syscall(SYS_mmap, address, len, protection, flags, fd, at);
}

EXPORT void *mmap(void *address, size_t len, int protection, int flags, int fd, off_t at)
{
	return map(address, len, protection, flags, fd, at);
}

EXPORT void *mmap64(void *address, size_t len, int protection, int flags, int fd, off64_t at)
{
	return map(address, len, protection, flags, fd, at);
}
