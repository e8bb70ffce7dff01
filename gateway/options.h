/* SPDX-License-Identifier: MIT */
/*
 * options.h - settings of the gateway: one table (options.c) names each with its default, range and help;
 * command line, file, --help and the tests of the manual read that table. Written by main before the threads
 * start, and not after: what a reload changes is the tokens (guard.h) and the certificate.
 */
#ifndef SHC_GATEWAY_OPTIONS_H
#define SHC_GATEWAY_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "job.h"

enum { OPTION_HOSTS_MAX = 16, OPTIONS_ERROR_SIZE = 320 };

struct options {
	/* strings are owned */
	char *listen; /* HOST:PORT */
	char *backends[JOB_BACKENDS_MAX];
	size_t backend_count;
	char *tokens;		       /* path; null: none */
	char *hosts[OPTION_HOSTS_MAX]; /* names that a browser may know us by, beside those of loopback */
	size_t host_count;
	char *tls_cert, *tls_key; /* paths; null: plain HTTP */
	char *metrics_prefix;	  /* names of counters that /metrics has; null: none */
	int64_t metrics_max;	  /* of them */
	int64_t threads;
	int64_t rate_limit; /* requests a second of a client; 0: no limit */
	int64_t backend_timeout_ms;
	int64_t idle_timeout_s;	      /* of a client's connection */
	int64_t max_connections;      /* of all threads */
	int64_t max_connections_each; /* of a client's address */
	int64_t max_body_bytes;
	bool is_log_json;
	int log_level; /* enum log_level */
};

/* 0: go on; 1: --help or --version was answered; -EINVAL, or -EBADMSG for the file: a sentence in `why`. */
int options_parse(struct options *o, int argc, char **argv, char why[OPTIONS_ERROR_SIZE]);
void options_fini(struct options *o);

#endif
