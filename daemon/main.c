/* SPDX-License-Identifier: MIT */
/* main.c - shcounterd: words of the command line -> configuration -> server_run. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "config.h"
#include "hash_password.h"
#include "../lib/log.h"
#include "server.h"

enum {
	/* Blocks from here on are of the kernel, and go back when they are freed. Unless told so, malloc
	 * learns from the first ones to keep the next, up to 32 MiB each, in heaps where others lie behind
	 * them. */
	MAPPED_BYTES_MIN = 1 << 20,
	HEAP_SPARE_BYTES = 16 << 20, /* at the end of a heap; the committer trims now and then */
};

static void tame_malloc(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES_MIN);
	(void)mallopt(M_TRIM_THRESHOLD, HEAP_SPARE_BYTES);
}

/* A closed one of the first three would be taken by a socket or the database, and log lines land in it. */
static void keep_standard_files(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)!open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY);
}

static void help(void)
{
	struct buf text = BUF_INIT;

	config_help(&text);
	fwrite(buf_head(&text), 1, buf_len(&text), stdout);
	buf_fini(&text);
}

static int run(struct config *config)
{
	log_init(config->is_log_json, (enum log_level)config->log_level);
	return server_run(config);
}

int main(int argc, char **argv)
{
	struct config config;
	struct config_error err;
	int outcome, status = 0;

	keep_standard_files();
	tame_malloc();
	config_init(&config);
	outcome = config_parse_args(&config, argc, argv, &err);
	switch (outcome) {
	case CONFIG_OK: status = run(&config); break;
	case CONFIG_CHECK: status = check_run(&config); break;
	case CONFIG_HASH_PASSWORD: status = hash_password(); break;
	case CONFIG_HELP: help(); break;
	case CONFIG_VERSION: printf("shcounterd %s\n", SHC_VERSION); break;
	default:
		fprintf(stderr, "shcounterd: %s\n", err.text);
		status = outcome;
		break;
	}
	config_fini(&config);
	return status;
}
