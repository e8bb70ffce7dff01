/* SPDX-License-Identifier: MIT */
/* request_command.c - COMMAND: the tables of commands and subcommands, in the shapes of Redis 7.0. */
#include <string.h>

#include "../lib/glob.h"
#include "../lib/resp.h"
#include "peer.h"
#include "request.h"
#include "request_sub.h"

/* A command or a subcommand, as far as COMMAND shows them. */
struct row {
	const char *name;
	int arity;
	unsigned flags; /* enum command_flags */
	int key_first, key_last, key_step;
	const char *group, *since, *summary, *syntax;
	const struct subcommands *subcommands; /* null: no container */
};

/* Of the containers only COMMAND does something itself: the others have no flags, as in Redis. */
static bool is_mere_container(const struct row *r)
{
	return r->subcommands && r->arity != -1;
}

static struct row row_of(const struct command *c)
{
	return (struct row){
		.name = c->name,
		.arity = c->arity,
		.flags = c->flags,
		.key_first = c->key_first,
		/* Redis's way to say that the value behind the last name is not one: step 2 from the first.
		 */
		.key_last = c->key_last < 0 ? -1 : c->key_last,
		.key_step = c->key_step,
		.group = c->group,
		.since = c->since,
		.summary = c->summary,
		.syntax = c->syntax,
		.subcommands = subcommands_of(c),
	};
}

static struct row row_of_sub(const struct command *c, const struct subcommand *s)
{
	return (struct row){
		.name = s->name,
		.arity = s->arity,
		.flags = s->need.role == ROLE_ADMIN ? COMMAND_ADMIN : c->flags & COMMAND_ADMIN,
		.group = c->group,
		.since = s->since,
		.summary = s->summary,
		.syntax = s->syntax,
	};
}

/* "get", "client|list". False: there is none. */
static bool row_find(struct slice name, struct row *out)
{
	const char *bar = name.len ? memchr(name.data, '|', name.len) : NULL;
	size_t head_len = bar ? (size_t)(bar - name.data) : name.len;
	const struct command *c = command_find((struct slice){.data = name.data, .len = head_len});
	const struct subcommands *table = c ? subcommands_of(c) : NULL;
	const struct subcommand *s = NULL;

	if (!c || (bar && !table))
		return false;
	if (!bar) {
		*out = row_of(c);
		return true;
	}
	s = subcommand_find(table, (struct slice){.data = bar + 1, .len = name.len - head_len - 1});
	if (!s)
		return false;
	*out = row_of_sub(c, s);
	return true;
}

/* ---- words of a row ---- */

enum {
	WORDS_MAX = 8,
	NAMES_MAX = 1000,
	STEPS_OF_A_BYTE =
		10000, /* of a pattern: names of commands have so many, and are gone through twice */
};
struct words {
	const char *word[WORDS_MAX];
	size_t count;
};

static void words_add(struct words *w, bool is_so, const char *word)
{
	if (is_so)
		w->word[w->count++] = word;
}

/* Does it look at counters, named in its words or all there are, and change none? */
static bool is_readonly(const struct row *r)
{
	return (r->key_first || r->flags & (COMMAND_ALL | COMMAND_NAMED)) && !(r->flags & COMMAND_WRITE);
}

static struct words flags_of(const struct row *r)
{
	struct words w = {.count = 0};

	if (is_mere_container(r))
		return w;
	words_add(&w, r->flags & COMMAND_WRITE, "write");
	words_add(&w, is_readonly(r), "readonly");
	words_add(&w, r->flags & COMMAND_CREATE && r->key_first, "denyoom"); /* FLUSHALL makes none */
	words_add(&w, r->flags & COMMAND_ADMIN, "admin");
	words_add(&w, r->flags & COMMAND_NO_MULTI, "no_multi");
	words_add(&w, r->flags & COMMAND_BLOCKING, "blocking");
	words_add(&w, r->flags & COMMAND_FAST, "fast");
	words_add(&w, r->flags & COMMAND_ANYBODY, "no_auth");
	return w;
}

/* The group's category has another name than the group. */
static const char *group_category(const char *group)
{
	static const char *const names[][2] = {{"string", "@string"},
					       {"generic", "@keyspace"},
					       {"connection", "@connection"},
					       {"transactions", "@transaction"},
					       {"scripting", "@scripting"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i][0], group) == 0)
			return names[i][1];
	return NULL;
}

static struct words categories_of(const struct row *r)
{
	struct words w = {.count = 0};
	const char *category = r->flags & COMMAND_ALL ? "@keyspace" : group_category(r->group);

	if (is_mere_container(r)) {
		words_add(&w, true, "@slow");
		return w;
	}
	words_add(&w, r->flags & COMMAND_WRITE, "@write");
	words_add(&w, is_readonly(r), "@read");
	words_add(&w, category, category);
	words_add(&w, r->flags & COMMAND_ADMIN, "@admin");
	words_add(&w, true, r->flags & COMMAND_FAST ? "@fast" : "@slow");
	words_add(&w, r->flags & COMMAND_ADMIN, "@dangerous");
	words_add(&w, r->flags & COMMAND_BLOCKING, "@blocking");
	return w;
}

static void put_words(struct request *r, const struct words *w)
{
	resp_put_set(r->out, r->proto, w->count);
	for (size_t i = 0; i < w->count; i++)
		resp_put_simple(r->out, w->word[i]);
}

/* ---- COMMAND, COMMAND INFO ---- */

static void put_key_range(struct request *r, const struct row *row)
{
	struct buf *out = r->out;

	resp_put_map(out, r->proto, 2);
	resp_put_bulk_str(out, "type");
	resp_put_bulk_str(out, "range");
	resp_put_bulk_str(out, "spec");
	resp_put_map(out, r->proto, 3);
	resp_put_bulk_str(out, "lastkey");
	/* counted from the first key */
	resp_put_int(out, row->key_last < 0 ? row->key_last : row->key_last - row->key_first);
	resp_put_bulk_str(out, "keystep");
	resp_put_int(out, row->key_step);
	resp_put_bulk_str(out, "limit");
	resp_put_int(out, 0);
}

static void put_key_specs(struct request *r, const struct row *row)
{
	struct buf *out = r->out;
	bool is_write = row->flags & COMMAND_WRITE;
	struct words flags = {.word = {is_write ? "RW" : "RO", "access", "update"},
			      .count = is_write ? 3 : 2};

	resp_put_set(out, r->proto, row->key_first ? 1 : 0);
	if (!row->key_first)
		return;
	resp_put_map(out, r->proto, 3);
	resp_put_bulk_str(out, "flags");
	put_words(r, &flags);
	resp_put_bulk_str(out, "begin_search");
	resp_put_map(out, r->proto, 2);
	resp_put_bulk_str(out, "type");
	resp_put_bulk_str(out, "index");
	resp_put_bulk_str(out, "spec");
	resp_put_map(out, r->proto, 1);
	resp_put_bulk_str(out, "index");
	resp_put_int(out, row->key_first);
	resp_put_bulk_str(out, "find_keys");
	put_key_range(r, row);
}

/* All but the subcommands. */
static void put_info_head(struct request *r, const struct row *row)
{
	struct words flags = flags_of(row), categories = categories_of(row);

	resp_put_array(r->out, 10);
	resp_put_bulk_str(r->out, row->name);
	resp_put_int(r->out, row->arity);
	put_words(r, &flags);
	resp_put_int(r->out, row->key_first);
	resp_put_int(r->out, row->key_last);
	resp_put_int(r->out, row->key_step);
	put_words(r, &categories);
	resp_put_set(r->out, r->proto, 0); /* tips: none */
	put_key_specs(r, row);
}

static void put_info(struct request *r, const struct row *row, const struct command *c)
{
	const struct subcommands *table = row->subcommands;

	put_info_head(r, row);
	resp_put_set(r->out, r->proto, table ? table->count : 0);
	for (size_t i = 0; table && i < table->count; i++) {
		struct row sub = row_of_sub(c, &table->rows[i]);

		put_info_head(r, &sub);
		resp_put_set(r->out, r->proto, 0);
	}
}

static enum request_result put_all_info(struct request *r)
{
	resp_put_array(r->out, command_count());
	for (size_t i = 0; i < command_count(); i++) {
		struct row row = row_of(command_at(i));

		put_info(r, &row, command_at(i));
	}
	return REQUEST_DONE;
}

/* Each is answered with so much that a million would not fit into memory. */
static bool has_too_many(struct request *r)
{
	if (r->argc - 2 <= NAMES_MAX)
		return false;
	reply_error(r, "ERR at most 1000 commands are described at once");
	return true;
}

static enum request_result command_info(struct request *r)
{
	struct row row;

	if (has_too_many(r))
		return REQUEST_DONE;
	if (r->argc == 2)
		return put_all_info(r);
	resp_put_array(r->out, r->argc - 2);
	for (size_t i = 2; i < r->argc; i++) {
		if (row_find(r->argv[i], &row))
			put_info(r, &row, command_find(r->argv[i]));
		else
			resp_put_null(r->out, r->proto);
	}
	return REQUEST_DONE;
}

/* ---- COMMAND DOCS ---- */

/* The next argument of a syntax: a word, or all of a bracket with what is nested in it. False: none left. */
static bool next_argument(const char **rest, struct slice *out)
{
	const char *p = *rest;
	int depth = 0;

	while (*p == ' ')
		p++;
	out->data = p;
	for (; *p && (*p != ' ' || depth); p++)
		depth += (*p == '[' || *p == '(') - (*p == ']' || *p == ')');
	out->len = (size_t)(p - out->data);
	*rest = p;
	return out->len > 0;
}

static size_t argument_count(const char *syntax)
{
	struct slice argument;
	size_t n = 0;

	while (next_argument(&syntax, &argument))
		n++;
	return n;
}

/* The syntax is for people, so what is inside a bracket is one argument, as it stands. */
static void put_argument(struct request *r, struct slice argument)
{
	bool is_optional = argument.data[0] == '[';
	size_t trim = is_optional ? 1 : 0;

	resp_put_map(r->out, r->proto, is_optional ? 3 : 2);
	resp_put_bulk_str(r->out, "name");
	resp_put_bulk(r->out, argument.data + trim, argument.len - 2 * trim);
	resp_put_bulk_str(r->out, "type");
	resp_put_bulk_str(r->out, "string");
	if (is_optional) {
		resp_put_bulk_str(r->out, "flags");
		resp_put_set(r->out, r->proto, 1);
		resp_put_simple(r->out, "optional");
	}
}

/* Without subcommands; `more` entries follow. */
static void put_docs_head(struct request *r, const struct row *row, size_t more)
{
	size_t arguments = argument_count(row->syntax);
	const char *rest = row->syntax;
	struct slice argument;

	resp_put_bulk_str(r->out, row->name);
	resp_put_map(r->out, r->proto, 3 + (arguments ? 1u : 0u) + more);
	resp_put_bulk_str(r->out, "summary");
	resp_put_bulk_str(r->out, row->summary);
	resp_put_bulk_str(r->out, "since");
	resp_put_bulk_str(r->out, row->since);
	resp_put_bulk_str(r->out, "group");
	resp_put_bulk_str(r->out, row->group);
	if (!arguments)
		return;
	resp_put_bulk_str(r->out, "arguments");
	resp_put_array(r->out, arguments);
	while (next_argument(&rest, &argument))
		put_argument(r, argument);
}

static void put_docs(struct request *r, const struct row *row, const struct command *c)
{
	const struct subcommands *table = row->subcommands;

	put_docs_head(r, row, table ? 1 : 0);
	if (!table)
		return;
	resp_put_bulk_str(r->out, "subcommands");
	resp_put_map(r->out, r->proto, table->count);
	for (size_t i = 0; i < table->count; i++) {
		struct row sub = row_of_sub(c, &table->rows[i]);

		put_docs_head(r, &sub, 0);
	}
}

static enum request_result command_docs(struct request *r)
{
	struct row row;
	size_t known = 0;

	if (has_too_many(r))
		return REQUEST_DONE;
	if (r->argc == 2) {
		resp_put_map(r->out, r->proto, command_count());
		for (size_t i = 0; i < command_count(); i++) {
			row = row_of(command_at(i));
			put_docs(r, &row, command_at(i));
		}
		return REQUEST_DONE;
	}
	for (size_t i = 2; i < r->argc; i++)
		known += row_find(r->argv[i], &row);
	resp_put_map(r->out, r->proto, known);
	for (size_t i = 2; i < r->argc; i++)
		if (row_find(r->argv[i], &row))
			put_docs(r, &row, command_find(r->argv[i]));
	return REQUEST_DONE;
}

/* ---- COMMAND LIST ---- */

enum filter { FILTER_NONE, FILTER_MODULE, FILTER_CATEGORY, FILTER_PATTERN };

static bool passes(const struct row *row, enum filter filter, struct slice word)
{
	struct words categories = categories_of(row);

	switch (filter) {
	case FILTER_NONE: return true;
	case FILTER_MODULE: return false; /* there are no modules */
	case FILTER_PATTERN: return glob_match(word, slice_str(row->name));
	case FILTER_CATEGORY: break;
	}
	for (size_t i = 0; i < categories.count; i++)
		if (slice_is_word(word, categories.word[i] + 1))
			return true;
	return false;
}

/* Counts what passes, subcommands too; puts the names when `is_putting`. */
static size_t list_rows(struct request *r, enum filter filter, struct slice word, bool is_putting)
{
	size_t n = 0;

	for (size_t i = 0; i < command_count(); i++) {
		const struct subcommands *table = subcommands_of(command_at(i));
		struct row row = row_of(command_at(i));

		for (size_t k = 0;; k++) {
			if (passes(&row, filter, word)) {
				n++;
				if (is_putting)
					resp_put_bulk_str(r->out, row.name);
			}
			if (!table || k == table->count)
				break;
			row = row_of_sub(command_at(i), &table->rows[k]);
		}
	}
	return n;
}

static enum request_result command_list(struct request *r)
{
	enum filter filter = FILTER_NONE;
	struct slice word = {0};

	if (r->argc == 5 && slice_is_word(r->argv[2], "filterby")) {
		word = r->argv[4];
		if (slice_is_word(r->argv[3], "module"))
			filter = FILTER_MODULE;
		else if (slice_is_word(r->argv[3], "aclcat"))
			filter = FILTER_CATEGORY;
		else if (slice_is_word(r->argv[3], "pattern"))
			filter = FILTER_PATTERN;
	}
	if (!filter && r->argc > 2)
		return reply_syntax(r);
	if (!request_is_pattern(r, word))
		return REQUEST_DONE;
	if (!request_may_look(r, (word.len + 1) * STEPS_OF_A_BYTE))
		return reply_error(r, "ERR COMMAND LIST is not asked so often in a transaction");
	resp_put_array(r->out, list_rows(r, filter, word, false));
	list_rows(r, filter, word, true);
	return REQUEST_DONE;
}

/* ---- the small ones ---- */

static enum request_result command_total(struct request *r)
{
	return reply_int(r, (int64_t)command_count());
}

static enum request_result command_getkeys(struct request *r)
{
	const struct command *c = command_find(r->argv[2]);
	size_t argc = r->argc - 2;
	long count;

	if (!c)
		return reply_error(r, "ERR Invalid command specified");
	if (!c->key_first)
		return reply_error(r, "ERR The command has no key arguments");
	count = command_key_count(c, argc);
	if ((c->arity < 0 ? argc < (size_t)-c->arity : argc != (size_t)c->arity) || count < 1)
		return reply_error(r, "ERR Invalid number of arguments specified for command");
	resp_put_array(r->out, (size_t)count);
	for (long i = 0; i < count; i++) {
		const struct slice *key = &r->argv[2 + c->key_first + i * c->key_step];

		resp_put_bulk(r->out, key->data, key->len);
	}
	return REQUEST_DONE;
}

static enum request_result command_help(struct request *r)
{
	return subcommand_help(r, &subcommands_command);
}

static const struct subcommand rows[] = {
	{"command|count", 2, command_total, "2.8.13", "Return the total number of commands.", "", AS_COMMAND},
	{"command|docs", -2, command_docs, "7.0.0",
	 "Return documentation of commands, of all when none is named.", "[command-name ...]", AS_COMMAND},
	{"command|getkeys", -4, command_getkeys, "2.8.13", "Return the names of counters in a full command.",
	 "full-command", AS_COMMAND},
	{"command|help", 2, command_help, "5.0.0", "Prints this help.", "", AS_COMMAND},
	{"command|info", -2, command_info, "2.8.13",
	 "Return details about commands, about all when none is named.", "[command-name ...]", AS_COMMAND},
	{"command|list", -2, command_list, "7.0.0", "Return the names of all commands.",
	 "[FILTERBY (MODULE module-name|ACLCAT cat|PATTERN pattern)]", AS_COMMAND},
};

const struct subcommands subcommands_command = {rows, sizeof(rows) / sizeof(rows[0])};

enum request_result request_command(struct request *r)
{
	return r->argc == 1 ? put_all_info(r) : subcommand_run(r, &subcommands_command);
}
