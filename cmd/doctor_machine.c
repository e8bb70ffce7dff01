/* SPDX-License-Identifier: MIT */
/*
 * doctor_machine.c - kernel, io_uring, and the limits that a daemon would have that is started from here.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor.h"

enum {
	KERNEL_MAJOR = 6, /* of these on the daemon's rings can be made */
	KERNEL_MINOR = 1,
	RING_ENTRIES = 8,
	FILES_WANTED = 10000 + 100, /* max-clients, and what the daemon needs itself */
	MEMLOCK_WANTED = 8 << 20,   /* as in its unit */
};

static void look_at_kernel(struct doctor *d)
{
	struct utsname name;
	int major = 0, minor = 0;
	if (uname(&name) || sscanf(name.release, "%d.%d", &major, &minor) != 2)
		return doctor_say(d, DOCTOR_WARN, "kernel", NULL, "its version cannot be told");
	bool is_new = major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR);
	doctor_say(d, is_new ? DOCTOR_OK : DOCTOR_WARN, "kernel",
		   is_new ? NULL : "io_uring needs Linux 6.1; before that shcounterd uses epoll", "%s %s %s",
		   name.sysname, name.release, name.machine);
}

/* The number behind `key` in a file of /proc; -1: it is not there. `key` may be "". */
static long number_in(const char *path, const char *key)
{
	char line[256];
	long found = -1;
	FILE *file = fopen(path, "re");
	while (file && found < 0 && fgets(line, sizeof(line), file))
		if (strncmp(line, key, strlen(key)) == 0)
			found = strtol(line + strlen(key), NULL, 10);
	if (file)
		fclose(file);
	return found;
}

/* The daemon's own rings: a kernel that knows less is refused with EINVAL. */
static int try_ring(void)
{
	struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
	long fd = syscall(SYS_io_uring_setup, RING_ENTRIES, &p);
	if (fd < 0)
		return errno;
	close((int)fd);
	return 0;
}

/* Who forbids it. The daemon may stand under other rules than this process. */
static void explain_refusal(struct doctor *d, int error)
{
	static const char setting[] = "/proc/sys/kernel/io_uring_disabled";
	long disabled = number_in(setting, "");
	bool is_filtered = number_in("/proc/self/status", "Seccomp:") > 0;
	if (disabled == 2 || (disabled == 1 && error == EPERM))
		doctor_say(d, DOCTOR_WARN, "io_uring",
			   "sysctl kernel.io_uring_disabled=0 allows it; without it shcounterd uses epoll",
			   "forbidden by kernel.io_uring_disabled = %ld", disabled);
	else if (is_filtered)
		doctor_say(
			d, DOCTOR_WARN, "io_uring",
			"a container takes deploy/seccomp/shcounterd.json, a unit SystemCallFilter=@aio; without "
			"it shcounterd uses epoll",
			"forbidden by a seccomp filter (%s)", strerror(error));
	else
		doctor_say(
			d, DOCTOR_WARN, "io_uring",
			"it is there from Linux 6.1 on, unless the kernel was built without; shcounterd uses "
			"epoll instead",
			"not to be had: %s", strerror(error));
}

static void look_at_io_uring(struct doctor *d)
{
	int error = try_ring();
	if (error == 0)
		doctor_say(d, DOCTOR_OK, "io_uring", NULL, "allowed");
	else if (error == ENOMEM || error == EMFILE || error == ENFILE)
		doctor_say(
			d, DOCTOR_BAD, "io_uring",
			"raise the limit that is too small (LimitMEMLOCK= or LimitNOFILE= of a unit, ulimit -l, "
			"ulimit -n)",
			"allowed, but a ring cannot be made: %s", strerror(error));
	else
		explain_refusal(d, error);
}

static void look_at_limit(struct doctor *d, int which, const char *what, rlim_t wanted, rlim_t unit,
			  const char *unit_name, const char *change)
{
	struct rlimit limit;
	if (getrlimit((__rlimit_resource_t)which, &limit))
		return;
	/* What the daemon needs it takes up to the hard limit itself, and root's memory is not counted. */
	bool is_enough = limit.rlim_max == RLIM_INFINITY || limit.rlim_max >= wanted ||
			 (which == RLIMIT_MEMLOCK && geteuid() == 0);
	if (limit.rlim_max == RLIM_INFINITY)
		doctor_say(d, DOCTOR_OK, what, NULL, "no limit for what is started here");
	else
		doctor_say(d, is_enough ? DOCTOR_OK : DOCTOR_WARN, what, is_enough ? NULL : change,
			   "%llu%s for what is started here", (unsigned long long)(limit.rlim_max / unit),
			   unit_name);
}

void doctor_machine(struct doctor *d)
{
	look_at_kernel(d);
	look_at_io_uring(d);
	look_at_limit(
		d, RLIMIT_NOFILE, "open files", FILES_WANTED, 1, "",
		"a shcounterd started here serves fewer than 10000 connections: raise ulimit -Hn, or LimitNOFILE= of its unit");
	look_at_limit(
		d, RLIMIT_MEMLOCK, "locked memory", MEMLOCK_WANTED, 1024, " KiB",
		"rings of io_uring are counted against it, some 400 KiB a worker: raise ulimit -Hl, or LimitMEMLOCK= of its unit");
}
