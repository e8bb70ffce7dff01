/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <bsd/string.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/fill.h"
#include "config_default.h"
#include "config_value.h"

enum { VALUE_TEXT_MAX = 4096, WHY_MAX = 384 };

/* How the field of struct config is declared. */
enum storage {
	AS_STRING,
	AS_MODE,
	AS_U32,
	AS_I64,
	AS_ENUM,
	AS_BOOL,
	AS_ATOMIC_INT,
	AS_ATOMIC_I64,
	AS_ATOMIC_STRING,
};

struct option_row {
	const char *name;
	const char *arg; /* in --help; null: its words */
	size_t offset;
	enum storage storage;
	struct config_value_rule rule;
	int64_t initial; /* of a number that does not depend on the machine */
	bool is_reloadable;
	const char *help;
};

#define FIELD(f, s)	.offset = offsetof(struct config, f), .storage = AS_##s
#define TEXT(k)		.rule = {.kind = CONFIG_VALUE_##k}
#define NUMBER(k, a, b) .rule = {.kind = CONFIG_VALUE_##k, .min = (a), .max = (b)}
#define WORDS(...)	.rule = {.kind = CONFIG_VALUE_WORD, .words = (const char *const[]){__VA_ARGS__, NULL}}
#define SECONDS(n)	((int64_t)(n)*1000)
#define HOURS(n)	((int64_t)(n)*3600000)
#define KIB(n)		((int64_t)(n) << 10)
#define MIB(n)		((int64_t)(n) << 20)
#define GIB(n)		((int64_t)(n) << 30)

/* clang-format off: one setting a paragraph */
/* The one table, in the order of --help and CONFIG GET. Words stand in the order of their enums. */
static const struct option_row options[] = {
	{.name = "socket", .arg = "PATH", FIELD(socket, STRING), TEXT(SOCKET), .help = "where to listen"},
	{.name = "socket-mode",
	 .arg = "MODE",
	 FIELD(socket_mode, MODE),
	 NUMBER(MODE, 0, 0777),
	 .initial = 0660,
	 .help = "permissions of the socket: who may connect"},
	{.name = "socket-group",
	 .arg = "GROUP",
	 FIELD(socket_group, STRING),
	 TEXT(GROUP),
	 .help = "group of the socket"},
	{.name = "db",
	 .arg = "PATH",
	 FIELD(db, STRING),
	 TEXT(PATH),
	 .help = "the SQLite file that keeps the counters"},
	{.name = "workers",
	 .arg = "N",
	 FIELD(workers, U32),
	 NUMBER(COUNT, 1, CONFIG_WORKERS_MAX),
	 .help = "threads that serve connections"},
	{.name = "cells",
	 FIELD(cells, ENUM),
	 WORDS("auto", "always"),
	 .initial = CELLS_AUTO,
	 .help = "when a counter gets a cell per worker: once contention asks for it, or when it is made"},
	{.name = "commit-interval",
	 .arg = "DURATION",
	 FIELD(commit_interval_ms, ATOMIC_I64),
	 NUMBER(DURATION, 10, HOURS(1)),
	 .initial = SECONDS(1),
	 .is_reloadable = true,
	 .help = "a crash loses at most what came in during one of these"},
	{.name = "snapshot-interval",
	 .arg = "DURATION",
	 FIELD(snapshot_interval_ms, ATOMIC_I64),
	 NUMBER(DURATION, 10, HOURS(24)),
	 .initial = SECONDS(30),
	 .is_reloadable = true,
	 .help = "how often the journal is folded into the snapshot"},
	{.name = "fold-cpu",
	 .arg = "PERCENT",
	 FIELD(fold_cpu_percent, ATOMIC_I64),
	 NUMBER(COUNT, 1, 100),
	 .initial = 50,
	 .is_reloadable = true,
	 .help = "how much of one CPU that may take, unless a SAVE or a stop waits for it"},
	{.name = "durability",
	 FIELD(durability, ENUM),
	 WORDS("interval", "commit"),
	 .initial = DURABILITY_INTERVAL,
	 .help = "replies leave at once, and changes reach the disk every commit interval; or no reply "
		 "leaves "
		 "before what it tells is on disk"},
	{.name = "token-ttl",
	 .arg = "DURATION",
	 FIELD(token_ttl_ms, ATOMIC_I64),
	 NUMBER(DURATION, SECONDS(1), HOURS(24 * 365)),
	 .initial = HOURS(24),
	 .is_reloadable = true,
	 .help = "how long a token of SHC.ONCE is remembered after it was first used"},
	{.name = "session-ttl",
	 .arg = "DURATION",
	 FIELD(session_ttl_ms, ATOMIC_I64),
	 NUMBER(DURATION, SECONDS(1), HOURS(24 * 365)),
	 .initial = HOURS(24 * 7),
	 .is_reloadable = true,
	 .help = "how long a session is remembered after its last use"},
	{.name = "max-tokens",
	 .arg = "N",
	 FIELD(max_tokens, ATOMIC_I64),
	 NUMBER(COUNT, 0, 1000000000),
	 .initial = 1000000,
	 .is_reloadable = true,
	 .help = "tokens at a time; beyond it new ones are refused, none is forgotten early"},
	{.name = "max-sessions",
	 .arg = "N",
	 FIELD(max_sessions, ATOMIC_I64),
	 NUMBER(COUNT, 0, 100000000),
	 .initial = 100000,
	 .is_reloadable = true,
	 .help = "sessions at a time; beyond it new ones are refused, none is forgotten early"},
	{.name = "audit",
	 .arg = "GLOB...",
	 FIELD(audit, ATOMIC_STRING),
	 TEXT(PATTERNS),
	 .is_reloadable = true,
	 .help = "counters whose changes are written into the audit log, as one word: patterns with blanks "
		 "between"},
	{.name = "audit-keep",
	 .arg = "DURATION",
	 FIELD(audit_keep_ms, ATOMIC_I64),
	 NUMBER(DURATION, 0, HOURS(24 * 3660)),
	 .initial = HOURS(24 * 90),
	 .is_reloadable = true,
	 .help = "how long entries of the audit log are kept; 0 is for ever"},
	{.name = "audit-max",
	 .arg = "N",
	 FIELD(audit_max, ATOMIC_I64),
	 NUMBER(COUNT, 0, 1000000000),
	 .initial = 1000000,
	 .is_reloadable = true,
	 .help = "entries of the audit log that are kept, of all counters together, the newest ones; 0 is no "
		 "limit"},
	{.name = "io",
	 FIELD(io, ENUM),
	 WORDS("auto", "io_uring", "epoll"),
	 .initial = IO_AUTO,
	 .help = "how sockets are served; auto is io_uring, or epoll where the kernel refuses it"},
	{.name = "listen",
	 .arg = "HOST:PORT",
	 FIELD(listen, STRING),
	 TEXT(ADDRESS),
	 .help = "listen on TCP too; beyond loopback only with a login in the rules of access"},
	{.name = "access",
	 .arg = "FILE",
	 FIELD(access, ATOMIC_STRING),
	 TEXT(PATH),
	 .is_reloadable = true,
	 .help = "rules of who may do what; without them whoever can connect may do everything"},
	{.name = "uplink",
	 .arg = "URL",
	 FIELD(uplink, STRING),
	 TEXT(UPLINK),
	 .help = "a Redis Cluster (redis+cluster://HOST:PORT) that what is counted here is brought to, where it "
		 "adds up with what other daemons bring"},
	{.name = "uplink-interval",
	 .arg = "DURATION",
	 FIELD(uplink_interval_ms, ATOMIC_I64),
	 NUMBER(DURATION, 10, HOURS(1)),
	 .initial = SECONDS(1),
	 .is_reloadable = true,
	 .help = "how often a counter that changes is brought there, at most"},
	{.name = "max-memory",
	 .arg = "SIZE",
	 FIELD(max_memory_bytes, ATOMIC_I64),
	 NUMBER(SIZE, 0, GIB(1 << 20)),
	 .initial = 0,
	 .is_reloadable = true,
	 .help = "no new counters beyond it; 0 is no limit"},
	{.name = "max-clients",
	 .arg = "N",
	 FIELD(max_clients, ATOMIC_I64),
	 NUMBER(COUNT, 1, 1000000),
	 .initial = 10000,
	 .is_reloadable = true,
	 .help = "connections at a time"},
	{.name = "max-client-memory",
	 .arg = "SIZE",
	 FIELD(max_client_memory_bytes, ATOMIC_I64),
	 NUMBER(SIZE, 0, GIB(1 << 20)),
	 .initial = GIB(1),
	 .is_reloadable = true,
	 .help = "what all connections together may hold in half requests, transactions and unread replies; beyond it "
		 "the largest are closed; 0 is no limit"},
	{.name = "output-limit",
	 .arg = "SIZE",
	 FIELD(output_limit_bytes, ATOMIC_I64),
	 NUMBER(SIZE, KIB(64), GIB(16)),
	 .initial = MIB(64),
	 .is_reloadable = true,
	 .help = "replies that one connection may leave unread"},
	{.name = "output-timeout",
	 .arg = "DURATION",
	 FIELD(output_timeout_ms, ATOMIC_I64),
	 NUMBER(DURATION, 100, HOURS(24)),
	 .initial = SECONDS(60),
	 .is_reloadable = true,
	 .help = "a connection that takes no reply for so long is closed"},
	{.name = "idle-exit",
	 .arg = "DURATION",
	 FIELD(idle_exit_ms, I64),
	 NUMBER(DURATION, 0, HOURS(24 * 7)),
	 .initial = 0,
	 .help = "leave when nobody has been connected for so long; 0 is never"},
	{.name = "log-format",
	 FIELD(is_log_json, BOOL),
	 WORDS("text", "json"),
	 .initial = false,
	 .help = "lines for people or for programs"},
	{.name = "log-level",
	 FIELD(log_level, ATOMIC_INT),
	 WORDS("debug", "info", "warning", "error"),
	 .initial = LOG_LEVEL_INFO,
	 .is_reloadable = true,
	 .help = "the least important that is logged"},
};
/* clang-format on */

enum { OPTIONS = sizeof(options) / sizeof(options[0]) };
_Static_assert(OPTIONS <= 64, "config.given has a bit for each");

/* ---- fields ---- */

static struct config_value field_load(const struct config *c, const struct option_row *row)
{
	const void *field = (const char *)c + row->offset;
	struct config_value value = {0};
	switch (row->storage) {
	case AS_STRING: value.text = *(char *const *)field; break;
	case AS_MODE: value.number = *(const mode_t *)field; break;
	case AS_U32: value.number = *(const uint32_t *)field; break;
	case AS_I64: value.number = *(const int64_t *)field; break;
	case AS_ENUM: value.number = *(const unsigned *)field; break;
	case AS_BOOL: value.number = *(const bool *)field; break;
	case AS_ATOMIC_INT:
		value.number = atomic_load_explicit((const _Atomic int *)field, memory_order_relaxed);
		break;
	case AS_ATOMIC_I64:
		value.number = atomic_load_explicit((const _Atomic int64_t *)field, memory_order_relaxed);
		break;
	case AS_ATOMIC_STRING:
		/* acquire: pairs with the release in field_store. */
		value.text = atomic_load_explicit((const _Atomic(char *) *)field, memory_order_acquire);
		break;
	}
	return value;
}

/* Somebody may be reading it: it lasts as long as the config. Without memory for the note it lasts longer. */
static void keep_old(struct config *c, char *text)
{
	char **old = text != NULL ? reallocarray(c->old, c->old_count + 1, sizeof(*old)) : NULL;
	if (old == NULL)
		return;
	c->old = old;
	c->old[c->old_count++] = text;
}

/* Takes value.text. */
static void field_store(struct config *c, const struct option_row *row, struct config_value value)
{
	void *field = (char *)c + row->offset;
	switch (row->storage) {
	case AS_STRING:
		free(*(char **)field);
		*(char **)field = value.text;
		break;
	case AS_MODE: *(mode_t *)field = (mode_t)value.number; break;
	case AS_U32: *(uint32_t *)field = (uint32_t)value.number; break;
	case AS_I64: *(int64_t *)field = value.number; break;
	case AS_ENUM: *(unsigned *)field = (unsigned)value.number; break;
	case AS_BOOL: *(bool *)field = value.number != 0; break;
	case AS_ATOMIC_INT:
		atomic_store_explicit((_Atomic int *)field, (int)value.number, memory_order_relaxed);
		break;
	case AS_ATOMIC_I64:
		atomic_store_explicit((_Atomic int64_t *)field, value.number, memory_order_relaxed);
		break;
	case AS_ATOMIC_STRING:
		/* release: who reads the pointer reads the text. */
		keep_old(c, atomic_exchange_explicit((_Atomic(char *) *)field, value.text,
						     memory_order_release));
		break;
	}
}

static void field_format(const struct config *c, const struct option_row *row, char *out, size_t out_size)
{
	struct config_value value = field_load(c, row);
	config_value_format(&row->rule, &value, out, out_size);
}

void config_each(const struct config *c, config_each_fn *fn, void *arg)
{
	char text[VALUE_TEXT_MAX];
	for (size_t i = 0; i < OPTIONS; i++) {
		field_format(c, &options[i], text, sizeof(text));
		fn(arg, options[i].name, text);
	}
}

void config_init(struct config *c)
{
	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < OPTIONS; i++)
		if (!config_value_is_text(options[i].rule.kind))
			field_store(c, &options[i], (struct config_value){.number = options[i].initial});
	c->workers = config_default_workers();
	c->socket = config_default_socket();
	c->db = config_default_db();
}

void config_fini(struct config *c)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if (options[i].storage == AS_STRING || options[i].storage == AS_ATOMIC_STRING)
			field_store(c, &options[i], (struct config_value){0});
	for (size_t i = 0; i < c->old_count; i++)
		free(c->old[i]);
	free(c->old);
	c->old = NULL;
	c->old_count = 0;
	free(c->config_path);
	c->config_path = NULL;
}

/* ---- one setting ---- */

static int fail(struct config_error *err, int outcome, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct config_error *err, int outcome, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	return outcome;
}

/* Null when there is none. */
static const struct option_row *option_find(const char *name)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

/* 0, or an outcome (`outcome` when the value is bad) with a sentence in why. */
static int option_set(struct config *c, const struct option_row *row, const char *text, const char *base,
		      int outcome, char *why)
{
	struct config_value value;
	if (config_value_parse(&row->rule, text, base, &value, why, WHY_MAX) != 0)
		return outcome;
	field_store(c, row, value);
	return CONFIG_OK;
}

/* ---- the file ---- */

/* One reading of a file. */
struct file {
	const char *path;
	char *base; /* its directory, where relative paths in it start */
	unsigned line;
	unsigned seen_at[OPTIONS]; /* line; 0: not yet */
};

static char *trim(char *s)
{
	char *end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	while (isspace((unsigned char)*s))
		s++;
	return s;
}

/* A comment begins at a # that stands first or behind a blank, so that a path may hold one. */
static void cut_comment(char *line)
{
	for (char *p = line; (p = strchr(p, '#')) != NULL; p++)
		if (p == line || isspace((unsigned char)p[-1])) {
			*p = '\0';
			return;
		}
}

static int file_fail(const struct file *f, struct config_error *err, const char *name, const char *why)
{
	return fail(err, CONFIG_BAD, "%s:%u: %s%s%s", f->path, f->line, name, name[0] != '\0' ? ": " : "",
		    why);
}

/* `line` is cut up. */
static int file_line(struct file *f, struct config *c, char *line, struct config_error *err)
{
	const struct option_row *row;
	char why[WHY_MAX], shown[64];
	char *name, *value;
	cut_comment(line);
	name = trim(line);
	if (name[0] == '\0')
		return CONFIG_OK;
	if ((value = strchr(name, '=')) == NULL)
		return file_fail(f, err, "", "no '=': a line is `name = value`");
	*value++ = '\0';
	name = trim(name);
	if ((row = option_find(name)) == NULL) {
		snprintf(why, sizeof(why), "unknown setting '%s' (shcounterd --help lists them)",
			 config_value_visible(name, shown, sizeof(shown)));
		return file_fail(f, err, "", why);
	}
	if (f->seen_at[row - options] != 0) {
		snprintf(why, sizeof(why), "given twice, first in line %u: keep one",
			 f->seen_at[row - options]);
		return file_fail(f, err, name, why);
	}
	f->seen_at[row - options] = f->line;
	if (option_set(c, row, trim(value), f->base, CONFIG_BAD, why) != CONFIG_OK)
		return file_fail(f, err, name, why);
	return CONFIG_OK;
}

static int file_lines(struct file *f, struct config *c, FILE *in, struct config_error *err)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	int outcome = CONFIG_OK;
	errno = 0;
	while (outcome == CONFIG_OK && (len = getline(&line, &cap, in)) >= 0) {
		f->line++;
		if (strlen(line) != (size_t)len)
			outcome = file_fail(f, err, "", "a NUL byte: this is no text file");
		else
			outcome = file_line(f, c, line, err);
	}
	if (outcome == CONFIG_OK && !feof(in))
		outcome = fail(err, CONFIG_BAD, "%s: cannot be read: %s", f->path, strerror(errno));
	free(line);
	return outcome;
}

/* Reads c->config_path into c. */
static int file_read(struct config *c, struct config_error *err)
{
	struct file f = {.path = c->config_path};
	FILE *in = NULL;
	int outcome;
	f.base = strndup(f.path, (size_t)(strrchr(f.path, '/') - f.path));
	if (f.base == NULL || (in = fopen(f.path, "re")) == NULL) {
		outcome = fail(err, CONFIG_BAD, "%s: cannot be read: %s", f.path, strerror(errno));
		goto out;
	}
	outcome = file_lines(&f, c, in, err);
out:
	if (in != NULL)
		fclose(in);
	free(f.base);
	return outcome;
}

/* ---- the command line ---- */

enum {
	OPT_HELP = 'h',
	OPT_VERSION = 'V',
	OPT_CONFIG = 'f',
	OPT_CHECK = 'c' + 256,
	OPT_HASH = 'p' + 256,
	OPT_ROW = 1000
};

/* What the command line says, before any of it is done. */
struct arguments {
	int action; /* outcome of config_parse_args when all goes well */
	const char *config_path;
	const char *values[OPTIONS]; /* null: not given */
};

static void long_options(struct option *out)
{
	static const struct option extra[] = {
		{"config", required_argument, NULL, OPT_CONFIG}, {"check", no_argument, NULL, OPT_CHECK},
		{"hash-password", no_argument, NULL, OPT_HASH},	 {"version", no_argument, NULL, OPT_VERSION},
		{"help", no_argument, NULL, OPT_HELP},		 {NULL, 0, NULL, 0}};
	for (int i = 0; i < OPTIONS; i++)
		out[i] = (struct option){options[i].name, required_argument, NULL, OPT_ROW + i};
	memcpy(out + OPTIONS, extra, sizeof(extra));
}

static int arguments_complaint(int kind, char **argv, struct config_error *err)
{
	char shown[128];
	const char *word = config_value_visible(argv[optind - 1], shown, sizeof(shown));
	if (kind == ':')
		return fail(err, CONFIG_USAGE, "%s: a value is missing", word);
	if (optopt >= OPT_ROW || optopt == OPT_CHECK || optopt == OPT_HASH)
		return fail(err, CONFIG_USAGE, "%s: takes no value", word);
	if (optopt != 0)
		return fail(err, CONFIG_USAGE, "-%c: unknown option (shcounterd --help lists them)", optopt);
	return fail(err, CONFIG_USAGE, "%s: unknown option (shcounterd --help lists them)", word);
}

static int arguments_read(struct arguments *a, int argc, char **argv, struct config_error *err)
{
	struct option table[OPTIONS + 6];
	char shown[128];
	int opt;
	long_options(table);
	optind = 0; /* glibc: begin anew */
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":f:hV", table, NULL)) != -1) {
		if (opt == '?' || opt == ':')
			return arguments_complaint(opt, argv, err);
		if (opt >= OPT_ROW)
			a->values[opt - OPT_ROW] = optarg;
		else if (opt == OPT_CONFIG)
			a->config_path = optarg;
		else if (opt == OPT_CHECK)
			a->action = CONFIG_CHECK;
		else if (opt == OPT_HASH)
			return CONFIG_HASH_PASSWORD;
		else
			return opt == OPT_HELP ? CONFIG_HELP : CONFIG_VERSION;
	}
	if (optind < argc)
		return fail(err, CONFIG_USAGE, "'%s': no operands are taken",
			    config_value_visible(argv[optind], shown, sizeof(shown)));
	return CONFIG_OK;
}

static int take_arguments(struct config *c, const struct arguments *a, struct config_error *err)
{
	char why[WHY_MAX];
	for (size_t i = 0; i < OPTIONS; i++) {
		if (a->values[i] == NULL)
			continue;
		int outcome = option_set(c, &options[i], a->values[i], NULL, CONFIG_USAGE, why);
		if (outcome != CONFIG_OK)
			return fail(err, outcome, "--%s: %s", options[i].name, why);
		c->given |= UINT64_C(1) << i;
	}
	return CONFIG_OK;
}

static int take_config_path(struct config *c, const char *path, struct config_error *err)
{
	const struct config_value_rule rule = {.kind = CONFIG_VALUE_PATH};
	struct config_value value;
	char why[WHY_MAX];
	if (config_value_parse(&rule, path, NULL, &value, why, sizeof(why)) != 0)
		return fail(err, CONFIG_USAGE, "--config: %s", why);
	free(c->config_path);
	c->config_path = value.text;
	return CONFIG_OK;
}

int config_parse_args(struct config *c, int argc, char **argv, struct config_error *err)
{
	struct arguments a = {.action = CONFIG_OK};
	char why[WHY_MAX];
	int outcome = arguments_read(&a, argc, argv, err);
	if (outcome != CONFIG_OK)
		return outcome;
	if (a.config_path != NULL) {
		if ((outcome = take_config_path(c, a.config_path, err)) != CONFIG_OK ||
		    (outcome = file_read(c, err)) != CONFIG_OK)
			return outcome;
	}
	if ((outcome = take_arguments(c, &a, err)) != CONFIG_OK)
		return outcome;
	if (c->socket == NULL || c->db == NULL)
		return fail(err, CONFIG_BAD, "out of memory");
	/* A default has not been looked at yet. */
	if (config_value_socket_complaint(c->socket, why, sizeof(why)) != NULL)
		return fail(err, CONFIG_BAD, "socket: %s", why);
	/* What the rules say is looked at when they are read. */
	if (c->listen != NULL && !config_value_is_loopback(c->listen) && atomic_load(&c->access) == NULL)
		return fail(err, CONFIG_BAD, "listen: '%s' is %s",
			    config_value_visible(c->listen, why, sizeof(why)), config_value_not_loopback);
	return a.action;
}

/* ---- reload ---- */

static void say(char *said, size_t said_size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void say(char *said, size_t said_size, const char *fmt, ...)
{
	size_t len = strlen(said);
	va_list args;
	va_start(args, fmt);
	if (len > 0)
		len = strlcat(said, ", ", said_size);
	if (len < said_size)
		vsnprintf(said + len, said_size - len, fmt, args);
	va_end(args);
}

/* Of settings that are reloadable: a string goes over, and is no more the other one's. */
static void field_move(struct config *c, struct config *fresh, const struct option_row *row)
{
	field_store(c, row, field_load(fresh, row));
	if (row->storage == AS_ATOMIC_STRING)
		atomic_store_explicit((_Atomic(char *) *)(void *)((char *)fresh + row->offset), NULL,
				      memory_order_relaxed);
}

/* Whether texts differ in what is not shown of them. Both may be null. */
static bool is_secret_changed(const struct config *c, const struct config *fresh,
			      const struct option_row *row)
{
	const char *before = field_load(c, row).text, *after = field_load(fresh, row).text;
	return before && after && strcmp(before, after) != 0;
}

static void take_over(struct config *c, struct config *fresh, char *said, size_t said_size)
{
	char before[VALUE_TEXT_MAX], after[VALUE_TEXT_MAX];
	for (size_t i = 0; i < OPTIONS; i++) {
		const struct option_row *row = &options[i];
		if ((c->given & UINT64_C(1) << i) != 0)
			continue;
		field_format(c, row, before, sizeof(before));
		field_format(fresh, row, after, sizeof(after));
		if (strcmp(before, after) == 0) {
			if (row->rule.kind == CONFIG_VALUE_UPLINK && is_secret_changed(c, fresh, row))
				say(said, said_size, "another user or password of %s needs a restart",
				    row->name);
			continue;
		}
		if (row->is_reloadable) {
			field_move(c, fresh, row);
			say(said, said_size, "%s is now %s (was %s)", row->name, after, before);
		} else {
			say(said, said_size, "%s = %s needs a restart", row->name, after);
		}
	}
}

int config_reload(struct config *c, char *said, size_t said_size, struct config_error *err)
{
	struct config fresh;
	int outcome;
	said[0] = '\0';
	if (c->config_path == NULL) {
		say(said, said_size, "no configuration file was given, so there is nothing to reload");
		return CONFIG_OK;
	}
	config_init(&fresh);
	outcome = take_config_path(&fresh, c->config_path, err);
	if (outcome == CONFIG_OK)
		outcome = file_read(&fresh, err);
	if (outcome == CONFIG_OK)
		take_over(c, &fresh, said, said_size);
	if (outcome == CONFIG_OK && said[0] == '\0')
		say(said, said_size, "nothing has changed");
	config_fini(&fresh);
	return outcome == CONFIG_OK ? CONFIG_OK : CONFIG_BAD;
}

/* ---- help ---- */

enum { HELP_WIDTH = 80, HELP_INDENT = 8 };

static const char help_head[] =
	"usage: shcounterd [-f FILE] [--NAME VALUE]...\n"
	"\n"
	"  shcounterd --socket ./s --db ./counters.db   a daemon of your own\n"
	"  shcounterd -f /etc/shcounterd.conf --check   is it, and the database, right?\n"
	"\n"
	"Counts for every process of this machine: Redis protocol on a Unix socket, values kept in an "
	"SQLite file. Runs in the foreground and logs to standard error. shcounterd(8) has the whole story.\n"
	"\n"
	"  -f, --config FILE\n"
	"        settings, a `name = value` a line; options win over the file\n"
	"      --check\n"
	"        look at settings and database, with -f at their places, too; change\n"
	"        nothing\n"
	"      --hash-password\n"
	"        read a password, print what stands for it in the rules of access\n"
	"  -V, --version\n"
	"        the version\n"
	"  -h, --help\n"
	"        this\n"
	"\n"
	"Settings, each an option and a line of the file:\n";

/* "--io auto|io_uring|epoll": words say themselves what they may be. */
static void help_argument(const struct option_row *row, char *out, size_t out_size)
{
	strlcpy(out, row->arg != NULL ? row->arg : "", out_size);
	for (size_t i = 0; row->arg == NULL && row->rule.words[i] != NULL; i++) {
		strlcat(out, i > 0 ? "|" : "", out_size);
		strlcat(out, row->rule.words[i], out_size);
	}
}

static void help_setting(const struct option_row *row, const struct config *defaults, struct buf *out)
{
	char initial[VALUE_TEXT_MAX], range[256] = "", line[VALUE_TEXT_MAX + 512];
	bool has_range = row->arg != NULL && !config_value_is_text(row->rule.kind);
	help_argument(row, range, sizeof(range));
	snprintf(line, sizeof(line), "      --%s %s\n", row->name, range);
	fill_append(out, line, 0, 0, HELP_WIDTH);
	field_format(defaults, row, initial, sizeof(initial));
	config_value_range(&row->rule, range, sizeof(range));
	snprintf(line, sizeof(line), "%s%s%s; default: %s", row->help, has_range ? "; " : "",
		 has_range ? range : "", initial[0] != '\0' ? initial : "none");
	fill_append(out, line, 0, HELP_INDENT, HELP_WIDTH);
}

void config_help(struct buf *out)
{
	struct config defaults;
	config_init(&defaults);
	fill_append(out, help_head, 0, 0, HELP_WIDTH);
	for (size_t i = 0; i < OPTIONS; i++)
		help_setting(&options[i], &defaults, out);
	config_fini(&defaults);
}
