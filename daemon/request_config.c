/* SPDX-License-Identifier: MIT */
/*
 * request_config.c - CONFIG: the settings by their own names, and by those of Redis that clients ask for,
 * with the values that are true here.
 */
#include <bsd/string.h>
#include <stdio.h>
#include <string.h>

#include "../lib/glob.h"
#include "../lib/num.h"
#include "../lib/resp.h"
#include "config.h"
#include "request.h"
#include "request_sub.h"
#include "server.h"
#include "worker.h"

enum { VALUE_MAX = 4096, WORD_MAX = 64 };

/* ---- Redis's names ---- */

typedef void value_fn(const struct server *s, char *out, size_t out_size);

static void put_number(char *out, size_t out_size, int64_t v)
{
	snprintf(out, out_size, "%lld", (long long)v);
}

/* What a plain setting of Redis would have to be to get this behaviour: changes go to disk about every
 * second. */
static void value_appendfsync(const struct server *s, char *out, size_t out_size)
{
	strlcpy(out, s->config->durability == DURABILITY_COMMIT ? "always" : "everysec", out_size);
}

static void value_maxclients(const struct server *s, char *out, size_t out_size)
{
	put_number(out, out_size, atomic_load_explicit(&s->config->max_clients, memory_order_relaxed));
}

static void value_maxmemory(const struct server *s, char *out, size_t out_size)
{
	put_number(out, out_size, atomic_load_explicit(&s->config->max_memory_bytes, memory_order_relaxed));
}

static void value_bulk_len(const struct server *s, char *out, size_t out_size)
{
	(void)s;
	put_number(out, out_size, RESP_BULK_MAX);
}

static void value_port(const struct server *s, char *out, size_t out_size)
{
	put_number(out, out_size, s->acceptor.tcp_port);
}

static void value_bind(const struct server *s, char *out, size_t out_size)
{
	const char *colon = s->config->listen ? strrchr(s->config->listen, ':') : NULL;

	snprintf(out, out_size, "%.*s", colon ? (int)(colon - s->config->listen) : 0,
		 colon ? s->config->listen : "");
}

static void value_unixsocket(const struct server *s, char *out, size_t out_size)
{
	strlcpy(out, s->acceptor.socket_path, out_size);
}

static void value_unixsocketperm(const struct server *s, char *out, size_t out_size)
{
	snprintf(out, out_size, "%o", (unsigned)s->config->socket_mode);
}

static void value_dir(const struct server *s, char *out, size_t out_size)
{
	const char *slash = strrchr(s->config->db, '/');
	int len = !slash ? 0 : slash == s->config->db ? 1 : (int)(slash - s->config->db);

	snprintf(out, out_size, "%.*s", len, s->config->db);
}

static void value_dbfilename(const struct server *s, char *out, size_t out_size)
{
	const char *slash = strrchr(s->config->db, '/');

	strlcpy(out, slash ? slash + 1 : s->config->db, out_size);
}

/* What is constant has no function. */
static const struct alias {
	const char *name;
	const char *value;
	value_fn *fn;
} aliases[] = {
	{"appendfsync", NULL, value_appendfsync},
	{"appendonly", "yes", NULL}, /* every change goes to the journal; WAITAOF waits for it */
	{"bind", NULL, value_bind},
	{"cluster-enabled", "no", NULL},
	{"databases", "1", NULL},
	{"dbfilename", NULL, value_dbfilename},
	{"dir", NULL, value_dir},
	{"maxclients", NULL, value_maxclients},
	{"maxmemory", NULL, value_maxmemory},
	{"maxmemory-policy", "noeviction", NULL},
	{"notify-keyspace-events", "", NULL},
	{"port", NULL, value_port},
	{"proto-max-bulk-len", NULL, value_bulk_len},
	{"protected-mode", "yes", NULL}, /* TCP beyond loopback needs a login */
	{"requirepass", "", NULL},
	{"save", "", NULL},	/* no save points: the journal is folded by snapshot-interval */
	{"timeout", "0", NULL}, /* idle connections are kept */
	{"unixsocket", NULL, value_unixsocket},
	{"unixsocketperm", NULL, value_unixsocketperm},
};

static void each_alias(const struct server *s, config_each_fn *fn, void *arg)
{
	char value[VALUE_MAX];

	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		if (aliases[i].fn)
			aliases[i].fn(s, value, sizeof(value));
		fn(arg, aliases[i].name, aliases[i].fn ? value : aliases[i].value);
	}
}

/* ---- CONFIG GET ---- */

struct search {
	struct request *r;
	size_t found;
	bool is_putting;
};

/* Names are told once, however many patterns fit; letters of either case. Null: none fits. */
static const struct slice *fitting(const struct request *r, const char *name)
{
	char word[WORD_MAX];

	for (size_t i = 2; i < r->argc; i++) {
		const struct slice *pattern = &r->argv[i];

		if (pattern->len >= sizeof(word))
			continue;
		for (size_t k = 0; k < pattern->len; k++) {
			char c = pattern->data[k];

			word[k] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
		}
		if (glob_match((struct slice){.data = word, .len = pattern->len}, slice_str(name)))
			return pattern;
	}
	return NULL;
}

static void visit(void *arg, const char *name, const char *value)
{
	struct search *search = arg;
	const struct slice *pattern = fitting(search->r, name);

	if (!pattern)
		return;
	search->found++;
	if (!search->is_putting)
		return;
	/* As Redis: a name in full is told as it was asked for. */
	if (slice_is_word(*pattern, name))
		resp_put_bulk(search->r->out, pattern->data, pattern->len);
	else
		resp_put_bulk_str(search->r->out, name);
	resp_put_bulk_str(search->r->out, value);
}

static enum request_result sub_get(struct request *r)
{
	const struct server *s = r->worker->server;
	struct search search = {.r = r};

	config_each(s->config, visit, &search);
	each_alias(s, visit, &search);
	resp_put_map(r->out, r->proto, search.found);
	search.is_putting = true;
	config_each(s->config, visit, &search);
	each_alias(s, visit, &search);
	return REQUEST_DONE;
}

/* ---- what cannot be done from here ---- */

static enum request_result sub_set(struct request *r)
{
	const char *path = r->worker->server->config->config_path;

	resp_put_errorf(r->out,
			"ERR CONFIG SET is not supported: settings stand on the command line and in %s; send "
			"SIGHUP to "
			"reload the file",
			path ? path : "the file that shcounterd -f names");
	return REQUEST_DONE;
}

static enum request_result sub_rewrite(struct request *r)
{
	return reply_error(
		r,
		"ERR CONFIG REWRITE is not supported: the configuration file is only written by its owner");
}

static enum request_result sub_resetstat(struct request *r)
{
	return reply_error(
		r, "ERR CONFIG RESETSTAT is not supported: the numbers of INFO count from the start of the "
		   "daemon; take differences");
}

static enum request_result sub_help(struct request *r)
{
	return subcommand_help(r, &subcommands_config);
}

static const struct subcommand rows[] = {
	{"config|get", -3, sub_get, "2.0.0", "Return the settings that match the patterns, and their values.",
	 "pattern [pattern ...]", AS_COMMAND},
	{"config|help", 2, sub_help, "5.0.0", "Prints this help.", "", AS_COMMAND},
	{"config|resetstat", 2, sub_resetstat, "2.0.0", "Refused: the numbers of INFO count from the start.",
	 "", AS_COMMAND},
	{"config|rewrite", 2, sub_rewrite, "2.8.0", "Refused: the file is yours.", "", AS_COMMAND},
	{"config|set", -4, sub_set, "2.0.0", "Refused: change the file and send SIGHUP.", "directive value",
	 AS_COMMAND},
};

const struct subcommands subcommands_config = {rows, sizeof(rows) / sizeof(rows[0])};

enum request_result request_config(struct request *r)
{
	return subcommand_run(r, &subcommands_config);
}
