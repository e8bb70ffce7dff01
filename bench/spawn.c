/* SPDX-License-Identifier: MIT */
/*
 * spawn.c - how long commands take from their start to their exit, taking turns.
 *
 * Usage: spawn ROUNDS COMMAND [ARGUMENT...] [--next COMMAND [ARGUMENT...]]...
 *
 * Their output is dropped; one that does not exit with 0 ends it with status 1. Prints a line for each, in
 * order: the median in microseconds, the 10th and 90th percentile, the median of the ratios to the first
 * command in the same round.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static double run(char **argv)
{
	pid_t pid;
	int status;
	double begin = now_us();
	if (posix_spawnp(&pid, argv[0], &quiet, NULL, argv, environ) || waitpid(pid, &status, 0) != pid ||
	    status) {
		fprintf(stderr, "spawn: %s has failed\n", argv[0]);
		exit(1);
	}
	return now_us() - begin;
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

static void report(const double *first, double *times, size_t rounds)
{
	static double ratios[ROUNDS_MAX];
	for (size_t i = 0; i < rounds; i++)
		ratios[i] = times[i] / first[i];
	qsort(ratios, rounds, sizeof(*ratios), compare);
	qsort(times, rounds, sizeof(*times), compare);
	printf("median_us=%.0f p10_us=%.0f p90_us=%.0f ratio=%.3f\n", at(times, rounds, 0.5),
	       at(times, rounds, 0.1), at(times, rounds, 0.9), at(ratios, rounds, 0.5));
}

int main(int argc, char **argv)
{
	static double times[COMMANDS_MAX][ROUNDS_MAX], first[ROUNDS_MAX];
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
		for (size_t k = 0; k < count; k++)
			times[k][i] = run(commands[k]);
	}
	memcpy(first, times[0], sizeof(first));
	for (size_t k = 0; k < count; k++)
		report(first, times[k], rounds);
	return 0;
}
