/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "command.h"
#include "spawn.h"

/* ---- the program ---- */

static bool is_program(char out[PATH_MAX], const char *directory, size_t len)
{
	return len > 0 && directory[0] == '/' &&
	       snprintf(out, PATH_MAX, "%.*s/shcounterd", (int)len, directory) < PATH_MAX &&
	       access(out, X_OK) == 0;
}

int spawn_find(char program[PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[len > 0 ? len : 0] = '\0';
	const char *slash = strrchr(self, '/');
	size_t directory_len = slash ? (size_t)(slash - self) : 0;
	if (is_program(program, self, directory_len))
		return EX_OK;
	const char *path = getenv("PATH");
	for (size_t n; path && *path; path += n + (path[n] == ':')) {
		n = strcspn(path, ":");
		if (is_program(program, path, n))
			return EX_OK;
	}
	return command_fail(EX_UNAVAILABLE,
			    "there is no shcounterd in %.*s or on the PATH: install it there, or name a "
			    "daemon with -s or -u",
			    (int)directory_len, self);
}

/* ---- limits ---- meant for the command at hand, and not for a daemon that serves others later */

static const struct limit {
	int resource;
	const char *told; /* what it means when it cannot be taken back; null: nothing to tell */
} limits[] = {
	{RLIMIT_AS, "memory (ulimit -v): what is counted beyond it is refused"},
	{RLIMIT_CPU, "CPU time (ulimit -t): it is killed when that is used up"},
	{RLIMIT_FSIZE, "the size of files (ulimit -f): a larger state is taken for a full disk"},
	{RLIMIT_DATA, NULL},
	{RLIMIT_MEMLOCK, NULL},
	{RLIMIT_NOFILE, NULL},
	{RLIMIT_NPROC, NULL},
};

enum { LIMITS_COUNT = sizeof(limits) / sizeof(limits[0]) };

struct inherited {
	struct rlimit limits[LIMITS_COUNT];
	int nice;
};

static void tell_limits(const struct inherited *was)
{
	for (size_t i = 0; i < LIMITS_COUNT; i++) {
		rlim_t max = was->limits[i].rlim_max;
		if (limits[i].told && max != RLIM_INFINITY)
			command_fail(EX_OK,
				     "your daemon is being started under a hard limit of %llu on %s; to "
				     "have none, end it and use shcount first where there is no such limit",
				     (unsigned long long)max, limits[i].told);
	}
}

/* posix_spawn knows no limits: the child has those of this process. Failing is no reason not to start. */
static void lift(struct inherited *was)
{
	for (size_t i = 0; i < LIMITS_COUNT; i++) {
		if (getrlimit((__rlimit_resource_t)limits[i].resource, &was->limits[i]))
			was->limits[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
		struct rlimit lifted = {was->limits[i].rlim_max, was->limits[i].rlim_max};
		(void)setrlimit((__rlimit_resource_t)limits[i].resource, &lifted);
	}
	was->nice = getpriority(PRIO_PROCESS, 0);
	if (was->nice > 0)
		(void)setpriority(PRIO_PROCESS, 0, 0);
}

static void put_back(const struct inherited *was)
{
	for (size_t i = 0; i < LIMITS_COUNT; i++)
		(void)setrlimit((__rlimit_resource_t)limits[i].resource, &was->limits[i]);
	if (was->nice > 0)
		(void)setpriority(PRIO_PROCESS, 0, was->nice);
}

/* ---- the process ---- */

static int spawn_clean(const char *program, const char *const argv[], int null_fd, int log_fd, pid_t *out)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	sigemptyset(&none);
	sigfillset(&all);
	if (posix_spawn_file_actions_init(&files))
		return ENOMEM;
	if (posix_spawnattr_init(&attributes)) {
		posix_spawn_file_actions_destroy(&files);
		return ENOMEM;
	}
	int rc = posix_spawn_file_actions_adddup2(&files, null_fd, STDIN_FILENO);
	rc = rc ? rc : posix_spawn_file_actions_adddup2(&files, log_fd, STDOUT_FILENO);
	rc = rc ? rc : posix_spawn_file_actions_adddup2(&files, log_fd, STDERR_FILENO);
	rc = rc ? rc : posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
	rc = rc ? rc : posix_spawn_file_actions_addchdir_np(&files, "/");
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes,
				 POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	rc = rc ? rc
		: posix_spawn(out, program, &files, &attributes, (char *const *)(uintptr_t)argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return rc;
}

/* What a service manager told us is not for it, nor are passwords of other servers. */
static void clean_environment(void)
{
	static const char *const names[] = {"NOTIFY_SOCKET",  "LISTEN_PID",   "LISTEN_FDS",
					    "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC",
					    "SHCOUNT_AUTH",   "REDISCLI_AUTH"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
}

int spawn_run(const char *program, const char *const argv[], int log_fd, bool is_telling, pid_t *out)
{
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null_fd < 0)
		return errno;
	struct inherited was;
	clean_environment();
	signal(SIGCHLD, SIG_DFL); /* ignored, it would take the exit status with it */
	lift(&was);
	if (is_telling)
		tell_limits(&was);
	int error = spawn_clean(program, argv, null_fd, log_fd, out);
	put_back(&was);
	close(null_fd);
	return error;
}
