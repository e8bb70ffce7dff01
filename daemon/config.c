/* SPDX-License-Identifier: MIT */
/* config.c - see config.h: defaults, the command line, the reload. */
#include "config.h"

#include <bsd/string.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_default.h"
#include "config_private.h"
#include "config_value.h"

void config_each(const struct config *c, config_each_fn *fn, void *arg)
{
	char text[CONFIG_TEXT_MAX];
	for (size_t i = 0; i < config_row_count; i++) {
		config_row_format(c, &config_rows[i], text, sizeof(text));
		fn(arg, config_rows[i].name, text);
	}
}

void config_init(struct config *c)
{
	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < config_row_count; i++)
		if (!config_value_is_text(config_rows[i].rule.kind))
			config_row_store(c, &config_rows[i],
					 (struct config_value){.number = config_rows[i].initial});
	c->workers = config_default_workers();
	c->socket = config_default_socket();
	c->db = config_default_db();
}

void config_fini(struct config *c)
{
	for (size_t i = 0; i < config_row_count; i++)
		if (config_rows[i].storage == AS_STRING || config_rows[i].storage == AS_ATOMIC_STRING)
			config_row_store(c, &config_rows[i], (struct config_value){0});
	for (size_t i = 0; i < c->old_count; i++)
		free(c->old[i]);
	free(c->old);
	c->old = NULL;
	c->old_count = 0;
	free(c->config_path);
	c->config_path = NULL;
}

int config_fail(struct config_error *err, int outcome, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
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
	const char *values[CONFIG_ROWS_MAX]; /* null: not given */
};

static void long_options(struct option *out)
{
	static const struct option extra[] = {
		{"config", required_argument, NULL, OPT_CONFIG}, {"check", no_argument, NULL, OPT_CHECK},
		{"hash-password", no_argument, NULL, OPT_HASH},	 {"version", no_argument, NULL, OPT_VERSION},
		{"help", no_argument, NULL, OPT_HELP},		 {NULL, 0, NULL, 0}};
	for (size_t i = 0; i < config_row_count; i++)
		out[i] = (struct option){config_rows[i].name, required_argument, NULL, OPT_ROW + (int)i};
	memcpy(out + config_row_count, extra, sizeof(extra));
}

static int arguments_complaint(int kind, char **argv, struct config_error *err)
{
	char shown[128];
	const char *word = config_value_visible(argv[optind - 1], shown, sizeof(shown));
	if (kind == ':')
		return config_fail(err, CONFIG_USAGE, "%s: a value is missing", word);
	if (optopt >= OPT_ROW || optopt == OPT_CHECK || optopt == OPT_HASH)
		return config_fail(err, CONFIG_USAGE, "%s: takes no value", word);
	if (optopt != 0)
		return config_fail(err, CONFIG_USAGE, "-%c: unknown option (shcounterd --help lists them)",
				   optopt);
	return config_fail(err, CONFIG_USAGE, "%s: unknown option (shcounterd --help lists them)", word);
}

static int arguments_read(struct arguments *a, int argc, char **argv, struct config_error *err)
{
	struct option table[CONFIG_ROWS_MAX + 6];
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
		return config_fail(err, CONFIG_USAGE, "'%s': no operands are taken",
				   config_value_visible(argv[optind], shown, sizeof(shown)));
	return CONFIG_OK;
}

static int take_arguments(struct config *c, const struct arguments *a, struct config_error *err)
{
	char why[CONFIG_WHY_MAX];
	for (size_t i = 0; i < config_row_count; i++) {
		if (a->values[i] == NULL)
			continue;
		int outcome = config_row_set(c, &config_rows[i], a->values[i], NULL, CONFIG_USAGE, why);
		if (outcome != CONFIG_OK)
			return config_fail(err, outcome, "--%s: %s", config_rows[i].name, why);
		c->given |= UINT64_C(1) << i;
	}
	return CONFIG_OK;
}

static int take_config_path(struct config *c, const char *path, struct config_error *err)
{
	const struct config_value_rule rule = {.kind = CONFIG_VALUE_PATH};
	struct config_value value;
	char why[CONFIG_WHY_MAX];
	if (config_value_parse(&rule, path, NULL, &value, why, sizeof(why)) != 0)
		return config_fail(err, CONFIG_USAGE, "--config: %s", why);
	free(c->config_path);
	c->config_path = value.text;
	return CONFIG_OK;
}

int config_parse_args(struct config *c, int argc, char **argv, struct config_error *err)
{
	struct arguments a = {.action = CONFIG_OK};
	char why[CONFIG_WHY_MAX];
	int outcome = arguments_read(&a, argc, argv, err);
	if (outcome != CONFIG_OK)
		return outcome;
	if (a.config_path != NULL) {
		if ((outcome = take_config_path(c, a.config_path, err)) != CONFIG_OK ||
		    (outcome = config_file_read(c, err)) != CONFIG_OK)
			return outcome;
	}
	if ((outcome = take_arguments(c, &a, err)) != CONFIG_OK)
		return outcome;
	if (c->socket == NULL || c->db == NULL)
		return config_fail(err, CONFIG_BAD, "out of memory");
	/* A default has not been looked at yet. */
	if (config_value_socket_complaint(c->socket, why, sizeof(why)) != NULL)
		return config_fail(err, CONFIG_BAD, "socket: %s", why);
	/* What the rules say is looked at when they are read. */
	if (c->listen != NULL && !config_value_is_loopback(c->listen) && atomic_load(&c->access) == NULL)
		return config_fail(err, CONFIG_BAD, "listen: '%s' is %s",
				   config_value_visible(c->listen, why, sizeof(why)),
				   config_value_not_loopback);
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
static void field_move(struct config *c, struct config *fresh, const struct config_row *row)
{
	config_row_store(c, row, config_row_load(fresh, row));
	if (row->storage == AS_ATOMIC_STRING)
		atomic_store_explicit((_Atomic(char *) *)(void *)((char *)fresh + row->offset), NULL,
				      memory_order_relaxed);
}

/* Whether texts differ in what is not shown of them. Both may be null. */
static bool is_secret_changed(const struct config *c, const struct config *fresh,
			      const struct config_row *row)
{
	const char *before = config_row_load(c, row).text, *after = config_row_load(fresh, row).text;
	return before && after && strcmp(before, after) != 0;
}

static void take_over(struct config *c, struct config *fresh, char *said, size_t said_size)
{
	char before[CONFIG_TEXT_MAX], after[CONFIG_TEXT_MAX];
	for (size_t i = 0; i < config_row_count; i++) {
		const struct config_row *row = &config_rows[i];
		if ((c->given & UINT64_C(1) << i) != 0)
			continue;
		config_row_format(c, row, before, sizeof(before));
		config_row_format(fresh, row, after, sizeof(after));
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

static bool is_given(const struct config *c, const char *name)
{
	return (c->given & UINT64_C(1) << (config_row_find(name) - config_rows)) != 0;
}

int config_set_socket(struct config *c, const char *socket)
{
	char *copy = strdup(socket);
	if (copy == NULL)
		return -ENOMEM;
	free(c->socket);
	c->socket = copy;
	c->given |= UINT64_C(1) << (config_row_find("socket") - config_rows);
	return 0;
}

int config_reload(struct config *c, config_approve_fn *approve, void *arg, char *said, size_t said_size,
		  struct config_error *err)
{
	struct config fresh;
	const char *access;
	int outcome = CONFIG_OK;
	said[0] = '\0';
	if (c->config_path == NULL)
		return approve != NULL ? approve(arg, atomic_load(&c->access), err) : CONFIG_OK;
	config_init(&fresh);
	outcome = take_config_path(&fresh, c->config_path, err);
	if (outcome == CONFIG_OK)
		outcome = config_file_read(&fresh, err);
	access = is_given(c, "access") ? atomic_load(&c->access) : atomic_load(&fresh.access);
	if (outcome == CONFIG_OK && approve != NULL)
		outcome = approve(arg, access, err);
	if (outcome == CONFIG_OK)
		take_over(c, &fresh, said, said_size);
	if (outcome == CONFIG_OK && said[0] == '\0')
		say(said, said_size, "nothing has changed");
	config_fini(&fresh);
	return outcome == CONFIG_OK ? CONFIG_OK : CONFIG_BAD;
}
