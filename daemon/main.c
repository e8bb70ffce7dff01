/* SPDX-License-Identifier: MIT */
/* main.c - shcounterd: words of the command line -> configuration -> server_run. */
#include <bsd/unistd.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "log.h"
#include "server.h"
#include "store.h"

static void say(void *arg, const char *line)
{
	(void)arg;
	puts(line);
}

static int check(const struct config *config)
{
	int rc = store_check(config->db, say, NULL);

	return rc == 0 ? 0 : rc > 0 ? 65 : 74;
}

static int run(struct config *config)
{
	log_init(config->is_log_json, (enum log_level)config->log_level);
	setproctitle("%s", config->socket);
	return server_run(config);
}

int main(int argc, char **argv)
{
	struct config config;
	struct config_error err;
	int outcome, status = 0;

	config_init(&config);
	outcome = config_parse_args(&config, argc, argv, &err);
	switch (outcome) {
	case CONFIG_OK: status = run(&config); break;
	case CONFIG_CHECK: status = check(&config); break;
	case CONFIG_HELP: fputs(config_help(), stdout); break;
	case CONFIG_VERSION: printf("shcounterd %s\n", SHC_VERSION); break;
	default:
		fprintf(stderr, "shcounterd: %s\n", err.text);
		status = outcome;
		break;
	}
	config_fini(&config);
	return status;
}
