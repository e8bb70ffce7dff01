/* SPDX-License-Identifier: MIT */
/*
 * config.h - settings: one table (config_table.c) names each with its default, range, unit and help; the
 * command line, the file, CONFIG GET, --help and the tests of the manuals all read that table.
 *
 * Written by main before the threads start; SIGHUP reloads those marked reloadable, which are atomic here.
 */
#ifndef SHC_CONFIG_H
#define SHC_CONFIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../lib/buf.h"
#include "io.h"
#include "../lib/log.h"

enum cells_mode { CELLS_AUTO, CELLS_ALWAYS };
enum durability { DURABILITY_INTERVAL, DURABILITY_COMMIT };

struct config {
	/* strings are owned by the config */
	char *config_path; /* -f, absolute; null when none */
	uint64_t given;	   /* private to config*.c: a bit for each setting that stood on the command line */
	char *socket;	   /* path */
	mode_t socket_mode;
	char *socket_group; /* null: the process's */
	char *db;
	char *listen; /* HOST:PORT or null */
	char *uplink; /* URL or null */
	uint32_t workers;
	enum cells_mode cells;
	enum durability durability;
	enum io_kind io;
	bool is_log_json;
	int64_t idle_exit_ms; /* 0: never */
	/* reloadable */
	_Atomic int64_t commit_interval_ms;
	_Atomic int64_t snapshot_interval_ms;
	_Atomic int64_t uplink_interval_ms;
	_Atomic int64_t fold_cpu_percent;	 /* of one CPU */
	_Atomic int64_t max_memory_bytes;	 /* 0: no limit */
	_Atomic int64_t max_clients;		 /* connections */
	_Atomic int64_t max_client_memory_bytes; /* of all of their buffers; 0: no limit */
	_Atomic int64_t max_source_clients, max_source_operations, max_source_bytes; /* 0: no limit */
	_Atomic int64_t token_ttl_ms, session_ttl_ms;
	_Atomic int64_t max_tokens, max_sessions;
	_Atomic int64_t output_limit_bytes; /* replies one connection may have unread; above half, it is not
					       read from */
	_Atomic int64_t output_timeout_ms;  /* ... and closed when it takes nothing for so long */
	_Atomic int64_t audit_keep_ms;	    /* 0: for ever */
	_Atomic int64_t audit_max;	    /* entries; 0: no limit */
	_Atomic(char *) audit;	/* patterns, with blanks between; null: none. What it was is kept in `old` */
	_Atomic(char *) access; /* path of the rules; null: none. The same */
	_Atomic int log_level;	/* enum log_level */
	/* private to config*.c: strings that were replaced while others may read them; freed at the end */
	char **old;
	size_t old_count;
};

/* Text of the last failure of the functions below: "FILE:LINE: ..." or "--option: ..."; names the value and
 * the range. Values from outside are in it as strvis shows them. */
struct config_error {
	char text[512];
};

void config_init(struct config *c); /* defaults */
void config_fini(struct config *c);

/* Outcomes of config_parse_args. */
enum {
	CONFIG_OK = 0,
	CONFIG_HELP = 1,
	CONFIG_VERSION = 2,
	CONFIG_CHECK = 3,
	CONFIG_HASH_PASSWORD = 4,
	CONFIG_USAGE = 64,
	CONFIG_BAD = 78
};

/* The command line; reads -f FILE first, so options win over the file. A wrong option or operand is
 * CONFIG_USAGE, a wrong line or value in the file CONFIG_BAD. Fills in what depends on the machine (workers =
 * CPUs allowed). */
int config_parse_args(struct config *c, int argc, char **argv, struct config_error *err);

/* Asked before a reload takes over anything, with the file of rules that would be in force (null: none).
 * CONFIG_OK; or CONFIG_BAD, with a sentence in `err`. */
typedef int config_approve_fn(void *arg, const char *access, struct config_error *err);

/* SIGHUP: reads the file again, if there is one, and takes over what is reloadable; says in `said` (for the
 * log) what changed and what needs a restart. All or nothing: CONFIG_OK or CONFIG_BAD, also when `approve`
 * (may be null) refuses. Options given on the command line keep winning. */
int config_reload(struct config *c, config_approve_fn *approve, void *arg, char *said, size_t said_size,
		  struct config_error *err);

/* Main, before there are threads: it listens there instead, whatever the file says, also later. 0 or -ENOMEM.
 */
int config_set_socket(struct config *c, const char *socket);

/* The table, for CONFIG GET and --help: calls fn with each name and its present value as text. */
typedef void config_each_fn(void *arg, const char *name, const char *value);
void config_each(const struct config *c, config_each_fn *fn, void *arg);

/* Appends the text of --help, 80 columns wide. */
void config_help(struct buf *out);

#endif
