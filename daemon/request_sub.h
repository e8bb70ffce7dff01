/* SPDX-License-Identifier: MIT */
/*
 * request_sub.h - commands that are containers (CLIENT, CONFIG, COMMAND, FUNCTION): one table each, which
 * dispatch, HELP, COMMAND INFO and COMMAND DOCS read.
 */
#ifndef SHC_REQUEST_SUB_H
#define SHC_REQUEST_SUB_H

#include <stdbool.h>
#include <stddef.h>

#include "../lib/slice.h"
#include "request.h"

struct subcommand {
	const char *name; /* "client|list": container, bar, own name; lower case */
	int arity;	  /* words with both names; negative: at least */
	request_fn *handler;
	const char *since;   /* version of Redis */
	const char *summary; /* one sentence */
	const char *syntax;  /* arguments, for people */
	struct command_need need;
};

/* As its container needs. */
#define AS_COMMAND                                                                                           \
	{                                                                                                    \
		ROLE_NOBODY, false, 0                                                                        \
	}

struct subcommands {
	const struct subcommand *rows;
	size_t count;
};

/* Each stands beside its handlers. */
extern const struct subcommands subcommands_backup, subcommands_client, subcommands_command,
	subcommands_config, subcommands_function, subcommands_uplink;

/* The table of a container; null: the command is none. */
const struct subcommands *subcommands_of(const struct command *c);

/* Null: unknown. */
const struct subcommand *subcommand_find(const struct subcommands *table, struct slice word);

/* Before a container is queued: has it a subcommand with the right number of words (or is it none)? Else the
 * error is put. */
bool subcommand_is_right(struct request *r);

/* Runs the handler of argv[1], or gives Redis's error. The command has a second word. */
enum request_result subcommand_run(struct request *r, const struct subcommands *table);

/* HELP, made from the table. */
enum request_result subcommand_help(struct request *r, const struct subcommands *table);

#endif
