/* SPDX-License-Identifier: MIT */
/*
 * walk.c - page after page: each page's MGET travels with the SCAN for the next page.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/num.h"
#include "../lib/redis.h"
#include "command.h"
#include "walk.h"

#define PAGE_NAMES                                                                                           \
	"1000" /* a round trip costs little beside so many, and the server answers others between */

enum { SCAN_WORDS_MAX = 6, CURSOR_SIZE = 24 };

struct walk {
	const struct walker *walker;
	const char *glob;
	struct shc *shc;
	uint64_t connection; /* the one it began on */
	char cursor[CURSOR_SIZE];
	/* the page whose values are asked for */
	const char **argv; /* "MGET" and its names */
	size_t *argv_len;
	size_t argc, argv_cap;
	char *names; /* owned: what argv points into */
	size_t names_cap;
};

static int no_memory(void)
{
	return command_fail(EX_IOERR, "out of memory");
}

static int no_sense(const char *command)
{
	return command_fail(EX_UNAVAILABLE, "the answer to %s makes no sense: is that a shcounterd?",
			    command);
}

/* ---- the names of a page ---- */

static enum shc_status append_scan(struct walk *w)
{
	const char *argv[SCAN_WORDS_MAX] = {"SCAN", w->cursor, "COUNT", PAGE_NAMES};
	size_t argc = 4;
	if (w->glob) {
		argv[argc++] = "MATCH";
		argv[argc++] = w->glob;
	}
	return shc_append(w->shc, argc, argv, NULL, false);
}

static bool is_scan_reply(const struct shc_reply *r)
{
	if (r->type != SHC_T_ARRAY || r->count != 2 || r->elements[0].type != SHC_T_STRING ||
	    r->elements[0].len >= CURSOR_SIZE || r->elements[1].type != SHC_T_ARRAY)
		return false;
	for (size_t i = 0; i < r->elements[1].count; i++) {
		if (r->elements[1].elements[i].type != SHC_T_STRING)
			return false;
	}
	return true;
}

static bool make_room(struct walk *w, size_t argc, size_t bytes)
{
	if (argc > w->argv_cap) {
		free(w->argv);
		free(w->argv_len);
		w->argv = calloc(argc, sizeof(*w->argv));
		w->argv_len = calloc(argc, sizeof(*w->argv_len));
		w->argv_cap = w->argv && w->argv_len ? argc : 0;
	}
	if (bytes > w->names_cap) {
		free(w->names);
		w->names = malloc(bytes);
		w->names_cap = w->names ? bytes : 0;
	}
	return argc <= w->argv_cap && bytes <= w->names_cap;
}

/* Keeps cursor and names: they are needed beyond the handle's next call. Names that no counter can have
 * belong to something else on a Redis server. */
static int keep_page(struct walk *w, const struct shc_reply *r)
{
	if (!is_scan_reply(r))
		return no_sense("SCAN");
	memcpy(w->cursor, r->elements[0].data, r->elements[0].len);
	w->cursor[r->elements[0].len] = '\0';
	const struct shc_reply *names = &r->elements[1];
	size_t bytes = 0;
	for (size_t i = 0; i < names->count; i++)
		bytes += names->elements[i].len;
	if (!make_room(w, names->count + 1, bytes + 1))
		return no_memory();
	char *to = w->names;
	w->argv[0] = "MGET";
	w->argv_len[0] = 4;
	w->argc = 1;
	for (size_t i = 0; i < names->count; i++) {
		struct slice name = {names->elements[i].data, names->elements[i].len};
		if (!slice_is_name(name) || (redis_is(w->shc) && shard_is_own(name)))
			continue;
		memcpy(to, name.data, name.len);
		w->argv[w->argc] = to;
		w->argv_len[w->argc++] = name.len;
		to += name.len;
	}
	return 0;
}

/* ---- its values ---- */

/* Nil: deleted meanwhile. No number: not a counter. */
static int hand_on(const struct walk *w, const struct shc_reply *r)
{
	if (r->type != SHC_T_ARRAY || r->count != w->argc - 1)
		return no_sense("MGET");
	int rc = EX_OK;
	for (size_t i = 0; rc == EX_OK && i < r->count; i++) {
		struct slice name = {w->argv[i + 1], w->argv_len[i + 1]};
		struct slice text = {r->elements[i].data, r->elements[i].len};
		int64_t value;
		if (r->elements[i].type == SHC_T_STRING && num_parse_i64(text, &value))
			rc = w->walker->counter(w->walker->arg, name, value);
	}
	return rc;
}

/* ---- the walk ---- */

/* A cursor is worth nothing to another server process, which keeps its counters in another order: going on
 * there would leave some out. */
static int check_connection(struct walk *w)
{
	if (w->connection == 0)
		w->connection = shc_connections(w->shc);
	if (shc_connections(w->shc) == w->connection)
		return EX_OK;
	return command_fail(EX_UNAVAILABLE, "the server hung up in between; this is not all: run it again");
}

/* Cursor and names of the next page, whose SCAN is under way. */
static int take_names(struct walk *w)
{
	const struct shc_reply *reply;
	enum shc_status status = shc_next(w->shc, &reply);
	if (status)
		return command_status(w->shc, status);
	int rc = check_connection(w);
	return rc ? rc : keep_page(w, reply);
}

/* The values of the page at hand, whose MGET is under way. */
static int take_values(struct walk *w)
{
	const struct shc_reply *reply;
	enum shc_status status = shc_next(w->shc, &reply);
	return status ? command_status(w->shc, status) : hand_on(w, reply);
}

/* Values of the page at hand and names of the next one, in one round trip. */
static int next_page(struct walk *w, bool is_last)
{
	bool has_names = w->argc > 1;
	enum shc_status status = SHC_OK;
	if (has_names)
		status = shc_append(w->shc, w->argc, w->argv, w->argv_len, false);
	if (status == SHC_OK && !is_last)
		status = append_scan(w);
	if (status)
		return command_status(w->shc, status);
	int rc = has_names ? take_values(w) : EX_OK;
	if (rc == EX_OK && w->walker->page)
		rc = w->walker->page(w->walker->arg);
	return rc || is_last ? rc : take_names(w);
}

static int walk_cluster(struct shc *shc, const char *glob, const struct walker *walker)
{
	int ended = EX_OK;
	enum shc_status status = redis_walk(shc, glob, walker->counter, walker->page, walker->arg, &ended);
	if (status)
		return command_status(shc, status);
	return ended == WALK_STOP ? EX_OK : ended;
}

int walk(struct shc *shc, const char *glob, const struct walker *walker)
{
	if (redis_is_cluster(shc))
		return walk_cluster(shc, glob, walker);
	struct walk w = {.walker = walker, .glob = glob, .shc = shc, .cursor = "0"};
	enum shc_status status = redis_identify(shc);
	if (status == SHC_OK)
		status = append_scan(&w);
	int rc = status ? command_status(shc, status) : take_names(&w);
	for (bool is_last = false; rc == EX_OK && !is_last;) {
		is_last = strcmp(w.cursor, "0") == 0;
		rc = next_page(&w, is_last);
	}
	free(w.argv);
	free(w.argv_len);
	free(w.names);
	return rc == WALK_STOP ? EX_OK : rc;
}
