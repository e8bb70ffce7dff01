/* SPDX-License-Identifier: MIT */
/*
 * spawn.c - how long commands take from their start to their exit, taking turns.
 *
 * Usage: spawn ROUNDS COMMAND [ARGUMENT...] [--next COMMAND [ARGUMENT...]]...
 *
 * Their output is dropped; one that does not exit with 0 ends it with status 1. Prints a line for each, in
 * order: the median in microseconds, the 10th and 90th percentile, the median of the ratios to the first
 * command in the same round; and the same median and ratio of the CPU time of the process, which a busy
 * machine disturbs less (what a server does for it is not in there).
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { COMMANDS_MAX = 8, ROUNDS_MAX = 100000 };

extern char **environ;

static posix_spawn_file_actions_t quiet;

static double now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Of one run. */
struct cost {
	double wall_us, cpu_us;
};

static double to_us(struct timeval t)
{
	return (double)t.tv_sec * 1e6 + (double)t.tv_usec;
}

static struct cost run(char **argv)
{
	pid_t pid;
	int status;
	struct rusage used;
	double begin = now_us();
	if (posix_spawnp(&pid, argv[0], &quiet, NULL, argv, environ) ||
	    wait4(pid, &status, 0, &used) != pid || status) {
		fprintf(stderr, "spawn: %s has failed\n", argv[0]);
		exit(1);
	}
	return (struct cost){now_us() - begin, to_us(used.ru_utime) + to_us(used.ru_stime)};
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Of sorted ones. */
static double at(const double *values, size_t count, double share)
{
	return values[(size_t)((double)(count - 1) * share + 0.5)];
}

/* What one command took, round by round. */
struct times {
	double wall_us[ROUNDS_MAX], cpu_us[ROUNDS_MAX];
};

/* Of the same rounds: asked before anything is sorted. */
static double median_ratio(const double *values, const double *first, size_t rounds)
{
	static double ratios[ROUNDS_MAX];
	for (size_t i = 0; i < rounds; i++)
		ratios[i] = values[i] / first[i];
	qsort(ratios, rounds, sizeof(*ratios), compare);
	return at(ratios, rounds, 0.5);
}

static void report(const struct times *first, struct times *t, size_t rounds)
{
	double ratio = median_ratio(t->wall_us, first->wall_us, rounds),
	       cpu_ratio = median_ratio(t->cpu_us, first->cpu_us, rounds);
	qsort(t->wall_us, rounds, sizeof(double), compare);
	qsort(t->cpu_us, rounds, sizeof(double), compare);
	printf("median_us=%.0f p10_us=%.0f p90_us=%.0f ratio=%.3f cpu_us=%.0f cpu_ratio=%.3f\n",
	       at(t->wall_us, rounds, 0.5), at(t->wall_us, rounds, 0.1), at(t->wall_us, rounds, 0.9), ratio,
	       at(t->cpu_us, rounds, 0.5), cpu_ratio);
}

int main(int argc, char **argv)
{
	static struct times times[COMMANDS_MAX], first;
	char **commands[COMMANDS_MAX];
	size_t count = 0, rounds = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
	for (int i = 2; i < argc && count < COMMANDS_MAX; i++) {
		if (i == 2 || strcmp(argv[i - 1], "--next") == 0)
			commands[count++] = argv + i;
	}
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--next") == 0)
			argv[i] = NULL;
	}
	if (count == 0 || rounds == 0 || rounds > ROUNDS_MAX || !commands[count - 1][0]) {
		fprintf(stderr,
			"usage: spawn ROUNDS COMMAND [ARGUMENT...] [--next COMMAND [ARGUMENT...]]...\n");
		return 64;
	}
	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	for (size_t i = 0; i < rounds; i++) {
		for (size_t k = 0; k < count; k++) {
			struct cost cost = run(commands[k]);
			times[k].wall_us[i] = cost.wall_us;
			times[k].cpu_us[i] = cost.cpu_us;
		}
	}
	first = times[0];
	for (size_t k = 0; k < count; k++)
		report(&first, &times[k], rounds);
	return 0;
}
