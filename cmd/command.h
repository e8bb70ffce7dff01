/* SPDX-License-Identifier: MIT */
/*
 * command.h - what a subcommand is: one constant table entry in its own cmd_<verb>.c, run by main.c.
 */
#ifndef SHC_COMMAND_H
#define SHC_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sysexits.h>

#include "../lib/shcount.h"
#include "../lib/slice.h"

/* Exit statuses: EX_OK, EXIT_NO, and of sysexits.h EX_USAGE 64, EX_DATAERR 65, EX_UNAVAILABLE 69 (no server),
 * EX_IOERR 74, EX_TEMPFAIL 75 (in doubt), EX_NOPERM 77, EX_CONFIG 78. */
enum { EXIT_NO = 1 };

enum {
	OPTIONS_MAX = 16, /* of one command */
	TIMEOUT_DEFAULT_MS = 5000,
};

enum option_arg { OPTION_FLAG, OPTION_VALUE, OPTION_MAYBE /* only as --name=VALUE */ };

struct option_spec {
	char letter;	  /* '\0': none */
	const char *word; /* without "--" */
	enum option_arg arg;
	const char *arg_name; /* completions know NAME and GLOB, FILE, PATH and SOCKET, and "this|that" */
	const char *help;     /* one sentence; put into lines by help.c */
};

struct invocation;

/* Where it stands in `shcount help`. */
enum command_group { GROUP_COUNTER, GROUP_MANY, GROUP_SERVER };

struct command {
	const char *name;
	enum command_group group;
	const char *operands;		    /* of the synopsis, e.g. "NAME [DELTA]"; for completions, too */
	const char *summary;		    /* a few words for the list of commands */
	const char *help;		    /* examples first, then paragraphs; put into lines by help.c */
	const struct option_spec *options;  /* ended by a zero entry; null when there are none */
	int operands_min, operands_max;	    /* -1: any number */
	bool is_local;			    /* needs a shcounterd: not for a Redis Cluster */
	int (*run)(struct invocation *inv); /* returns the exit status */
};

/* One run of the program. */
struct invocation {
	const struct command *command;
	/* options that every command has */
	const char *socket;  /* null when not given, as the next two */
	const char *url;     /* only one of the three is given */
	const char *cluster; /* HOST:PORT,HOST:PORT... */
	unsigned shards;     /* of a cluster's counters; 0: not given */
	bool reads_replica;
	bool is_json;
	bool is_quiet;
	int timeout_ms;
	/* the command's own: index as in its table; null when not given, "" for a flag */
	const char *values[OPTIONS_MAX];
	char **operands;
	int operands_count;
};

extern const struct command cmd_allow, cmd_hit, cmd_hits;
extern const struct command cmd_backup, cmd_bench, cmd_incr, cmd_decr, cmd_del, cmd_doctor, cmd_explain,
	cmd_export, cmd_get, cmd_import, cmd_ingest, cmd_list, cmd_log, cmd_ping, cmd_set, cmd_shards,
	cmd_stats, cmd_sync, cmd_top, cmd_uplink, cmd_watch;

/* "shcount: ..." and a newline on stderr, in one write. Bytes that could steer a terminal are made visible.
 * Returns `status`. */
int command_fail(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Complains about the command line and points to the help. Returns EX_USAGE. */
int command_usage(const struct invocation *inv, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What to call `n` things. */
const char *command_noun(uint64_t n, const char *one, const char *many);

/* Whether `name` is one; else complains. */
bool command_is_name(const struct invocation *inv, const char *name);
/* Likewise of all operands. */
bool command_are_names(const struct invocation *inv);

/* The number in `text`; else complains, calling it `what`. */
bool command_number(const struct invocation *inv, const char *text, const char *what, int64_t *out);

/* The duration in `text`, from 1 ms to max_ms; else complains. */
bool command_duration(const struct invocation *inv, const char *text, const char *what, int64_t max_ms,
		      int64_t *out_ms);

/* Complains, false, when the counter is to be spread: `what` needs it in one place. */
bool command_is_in_one_place(const struct invocation *inv, const char *what);

/* Whether a server's error begins so. */
bool command_says(const struct shc *shc, const char *words);

/* Complains about what the server did, and returns the exit status that belongs to it. */
int command_status(const struct shc *shc, enum shc_status status);

#endif
