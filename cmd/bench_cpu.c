/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../lib/loopback.h"
#include "../lib/num.h"
#include "bench_cpu.h"
#include "bench_memcached.h"

enum { NS_PER_S = 1000000000 };

/* ---- which process ---- */

/* Who listens, as the kernel has it: whoever called listen(2). *is_here: the connection does not leave the
 * machine. */
static pid_t kernel_pid(int fd, bool *is_here)
{
	struct sockaddr_storage peer = {0};
	struct ucred cred = {0};
	socklen_t peer_len = sizeof(peer), cred_len = sizeof(cred);
	*is_here = false;
	if (getpeername(fd, (struct sockaddr *)&peer, &peer_len))
		return 0;
	*is_here = peer.ss_family == AF_UNIX || loopback_is((struct sockaddr *)&peer);
	if (peer.ss_family != AF_UNIX || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len))
		return 0;
	return cred.pid;
}

static pid_t told_pid(const struct bench_plan *plan, struct bench_link *link)
{
	pid_t pid = 0;
	int64_t number;
	if (plan->memcached)
		return memcached_pid(plan, &link->own, &pid) == EX_OK ? pid : 0;
	struct slice text = bench_link_info(link, "process_id");
	return text.data && num_parse_i64(text, &number) && number <= INT32_MAX ? (pid_t)number : 0;
}

pid_t bench_cpu_pid(const struct bench_plan *plan, struct bench_link *link)
{
	bool is_here;
	if (plan->is_cluster)
		return 0;
	pid_t pid = kernel_pid(bench_link_conn(link)->fd, &is_here);
	if (pid <= 1 && is_here) /* TCP; or the first process listens for it, as systemd does */
		pid = told_pid(plan, link);
	/* A server in a container may call itself 1. */
	return pid > 1 ? pid : 0;
}

/* ---- its time ---- */

/* The first number of a file. */
static int64_t read_first(const char *path)
{
	FILE *f = fopen(path, "re");
	int64_t value = -1;
	if (!f)
		return -1;
	if (fscanf(f, "%" SCNd64, &value) != 1)
		value = -1;
	(void)fclose(f);
	return value;
}

/* Of each thread, in ns. */
static int64_t sum_of_threads(pid_t pid)
{
	char path[64];
	int64_t sum = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *tasks = opendir(path);
	if (!tasks)
		return -1;
	for (struct dirent *e; sum >= 0 && (e = readdir(tasks));) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/schedstat", (int)pid, e->d_name);
		int64_t ns = read_first(path);
		sum = ns < 0 ? -1 : sum + ns;
	}
	closedir(tasks);
	return sum;
}

/* User and system time of the whole, in ticks: fields 14 and 15, counted from behind the program's name,
 * which may have anything in it. */
static int64_t ticks_of_process(pid_t pid)
{
	char path[64], text[1024];
	unsigned long long user, system;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return -1;
	size_t len = fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f);
	text[len] = '\0';
	const char *behind = strrchr(text, ')');
	if (!behind ||
	    sscanf(behind, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
		return -1;
	return (int64_t)(user + system) * (NS_PER_S / sysconf(_SC_CLK_TCK));
}

int64_t bench_cpu_ns(pid_t pid)
{
	if (pid == 0)
		return -1;
	int64_t ns = sum_of_threads(pid);
	return ns > 0 ? ns : ticks_of_process(pid);
}

int64_t bench_cpu_own_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}
