/* SPDX-License-Identifier: MIT */
#include "request_sub.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "../lib/resp.h"
#include "peer.h"

const struct subcommands *subcommands_of(const struct command *c)
{
	if (c->handler == request_shc_backup)
		return &subcommands_backup;
	if (c->handler == request_client)
		return &subcommands_client;
	if (c->handler == request_command)
		return &subcommands_command;
	if (c->handler == request_config)
		return &subcommands_config;
	if (c->handler == request_function)
		return &subcommands_function;
	if (c->handler == request_shc_uplink)
		return &subcommands_uplink;
	return NULL;
}

/* The part of the name behind the bar. */
static const char *word_of(const struct subcommand *s)
{
	return strchr(s->name, '|') + 1;
}

const struct subcommand *subcommand_find(const struct subcommands *table, struct slice word)
{
	for (size_t i = 0; i < table->count; i++)
		if (slice_is_word(word, word_of(&table->rows[i])))
			return &table->rows[i];
	return NULL;
}

/* The row of argv[1]; or null, and Redis's error is put. */
static const struct subcommand *subcommand_check(struct request *r, const struct subcommands *table)
{
	const struct subcommand *s = subcommand_find(table, r->argv[1]);

	if (!s) {
		reply_unknown_subcommand(r);
		return NULL;
	}
	if (s->arity < 0 ? r->argc >= (size_t)-s->arity : r->argc == (size_t)s->arity)
		return s;
	resp_put_errorf(r->out, "ERR wrong number of arguments for '%s' command", s->name);
	return NULL;
}

bool subcommand_is_right(struct request *r)
{
	const struct subcommands *table = subcommands_of(r->command);

	return !table || r->argc < 2 || subcommand_check(r, table);
}

enum request_result subcommand_run(struct request *r, const struct subcommands *table)
{
	const struct subcommand *s = subcommand_check(r, table);

	if (!s)
		return REQUEST_DONE;
	atomic_store_explicit(&r->peer->client.command, s->name, memory_order_relaxed);
	return s->handler(r);
}

/* `text` in capitals up to `len` bytes, then as it is. */
static void put_help_line(struct buf *out, const char *text, size_t capitals, const char *rest)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "%s%s%s", text, rest[0] ? " " : "", rest);

	for (size_t i = 0; i < capitals && i < (size_t)n; i++)
		if (line[i] >= 'a' && line[i] <= 'z')
			line[i] = (char)(line[i] - 'a' + 'A');
	resp_put_simple(out, line);
}

enum request_result subcommand_help(struct request *r, const struct subcommands *table)
{
	resp_put_array(r->out, 1 + 2 * table->count);
	put_help_line(r->out, r->command->name, strlen(r->command->name),
		      "<subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
	for (size_t i = 0; i < table->count; i++) {
		const struct subcommand *s = &table->rows[i];
		const char *word = word_of(s);

		put_help_line(r->out, word, strlen(word), s->syntax);
		put_help_line(r->out, "   ", 0, s->summary);
	}
	return REQUEST_DONE;
}
