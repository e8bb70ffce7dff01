/* SPDX-License-Identifier: MIT */
#include "config_default.h"

#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint32_t config_default_workers(void)
{
	cpu_set_t set;
	long count;
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		count = CPU_COUNT(&set);
	else /* more CPUs than the set has bits */
		count = sysconf(_SC_NPROCESSORS_ONLN);
	return count < 1 ? 1 : count > CONFIG_WORKERS_MAX ? CONFIG_WORKERS_MAX : (uint32_t)count;
}

/* A directory from the environment: the first of a list, absolute; else null. */
static const char *directory_from(const char *variable, int *len)
{
	const char *value = getenv(variable);
	if (value == NULL || value[0] != '/')
		return NULL;
	*len = (int)strcspn(value, ":");
	return value;
}

static char *join(const char *directory, int len, const char *rest)
{
	char *path = NULL;
	return asprintf(&path, "%.*s%s", len, directory, rest) < 0 ? NULL : path;
}

char *config_default_socket(void)
{
	const char *directory;
	char *path = NULL;
	int len;
	if ((directory = directory_from("RUNTIME_DIRECTORY", &len)) != NULL)
		return join(directory, len, "/shcounterd.sock");
	if (geteuid() == 0)
		return strdup("/run/shcounterd/shcounterd.sock");
	if ((directory = directory_from("XDG_RUNTIME_DIR", &len)) != NULL)
		return join(directory, len, "/shcounterd/shcounterd.sock");
	return asprintf(&path, "/tmp/shcounterd-%u/shcounterd.sock", (unsigned)geteuid()) < 0 ? NULL : path;
}

char *config_default_db(void)
{
	const char *directory;
	const struct passwd *user;
	int len;
	if ((directory = directory_from("STATE_DIRECTORY", &len)) != NULL)
		return join(directory, len, "/counters.db");
	if (geteuid() == 0)
		return strdup("/var/lib/shcounterd/counters.db");
	if ((directory = directory_from("XDG_STATE_HOME", &len)) != NULL)
		return join(directory, len, "/shcounterd/counters.db");
	if ((directory = getenv("HOME")) == NULL || directory[0] != '/')
		directory = (user = getpwuid(geteuid())) != NULL ? user->pw_dir : "";
	return join(directory, (int)strlen(directory), "/.local/state/shcounterd/counters.db");
}
