/* SPDX-License-Identifier: MIT */
/*
 * store_check.c - `shcounterd --check`: reads everything there is in the file and says what is wrong with it.
 *
 * From SQLite's pages upward to what the counters mean. Changes nothing (a temporary table of names lives
 * elsewhere), and may run beside the daemon: it sees the last commit there was when the file was opened.
 */
#include "store_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/num.h"
#include "window.h"

enum { LINE_BYTES = 1600 };

struct check {
	struct store *s;
	void (*say)(void *arg, const char *line);
	void *arg;
	uint64_t findings;
	bool is_journal_damaged;
	uint64_t rows, bytes;	/* of the journal */
	sqlite3_stmt *seen_add; /* a live name */
};

__attribute__((format(printf, 2, 3))) static void find(struct check *check, const char *fmt, ...)
{
	char line[LINE_BYTES];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	check->findings++;
	check->say(check->arg, line);
}

/* The sentence of a failed call: a finding when the file is at fault, else the reason why there is no result.
 */
static int find_error(struct check *check, int r)
{
	find(check, "%s", store_error(check->s));
	return r == -EUCLEAN ? 0 : r == STORE_RETRY ? -check->s->cause : r;
}

/* ---- pages ---- */

/* A page that could not be had for want of memory, or because the disk failed, is not damaged. SQLite's text
 * has a line for each page, mostly with the code (not for overflow pages); pages behind such a one are "never
 * used". That code, or 0. */
static int code_in(const char *text)
{
	static const char words[] = "error code";

	while ((text = strstr(text, words))) {
		int code;

		text += strlen(words);
		code = (int)strtol(text + (*text == '='), NULL, 10);
		if ((code & 0xff) == SQLITE_NOMEM || (code & 0xff) == SQLITE_IOERR)
			return code;
	}
	return 0;
}

int store_each_fault(struct store *s, store_fault_fn *fn, void *arg)
{
	sqlite3_stmt *stmt = NULL;
	int r = 0, rc = sqlite3_prepare_v2(s->db, "PRAGMA integrity_check", -1, &stmt, NULL);

	while (r == 0 && (rc == SQLITE_OK || rc == SQLITE_ROW)) {
		const char *text;

		rc = sqlite3_step(stmt);
		if (rc != SQLITE_ROW)
			break;
		text = (const char *)sqlite3_column_text(stmt, 0);
		if (!text || code_in(text))
			rc = text ? code_in(text) : SQLITE_NOMEM;
		else if (strcmp(text, "ok") != 0)
			r = fn(arg, text);
	}
	sqlite3_finalize(stmt);
	return r != 0 || rc == SQLITE_DONE ? r : store_fail(s, rc, "reading all pages");
}

static int find_fault(void *arg, const char *fault)
{
	find(arg, "pages: %s", fault);
	return 0;
}

static int check_pages(struct check *check)
{
	int r = store_each_fault(check->s, find_fault, check);

	return r == 0 ? 0 : find_error(check, r);
}

/* ---- journal ---- */

static int check_body(void *arg, uint64_t epoch, uint64_t part, const void *body, size_t len)
{
	struct check *check = arg;
	struct journal_reader reader;
	struct journal_record record;
	int result = journal_reader_init(&reader, body, len);

	while (result == JOURNAL_OK)
		result = journal_next(&reader, &record);
	check->rows++;
	check->bytes += len;
	if (result == JOURNAL_DAMAGED || epoch > check->s->epoch_limit) {
		check->is_journal_damaged = true;
		find(check, "journal: epoch %llu part %llu (%zu bytes) %s", (unsigned long long)epoch,
		     (unsigned long long)part, len,
		     result == JOURNAL_DAMAGED ? "is not what was written" : "is beyond epoch_limit");
	}
	return 0;
}

static int check_journal(struct check *check)
{
	int r = store_read_journal(check->s, 0, JOURNAL_ID_MAX, check_body, check);

	return r == 0 ? 0 : find_error(check, r);
}

/* ---- rows ---- */

/* Counts rows that must not be. */
static int check_count(struct check *check, const char *sql, const char *what)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(check->s->db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW && sqlite3_column_int64(stmt, 0) > 0)
		find(check, "rows: %lld %s; the first is id %lld", (long long)sqlite3_column_int64(stmt, 0),
		     what, (long long)sqlite3_column_int64(stmt, 1));
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW ? 0 : find_error(check, store_fail(check->s, rc, "counting rows"));
}

static int check_extras(struct check *check)
{
	int r = check_count(check,
			    "SELECT count(*), min(id) FROM state AS s"
			    " WHERE NOT EXISTS (SELECT 1 FROM name AS n WHERE n.id = s.id)",
			    "states have no name");

	if (r == 0)
		r = check_count(check,
				"SELECT count(*), min(id) FROM window AS w"
				" WHERE NOT EXISTS (SELECT 1 FROM name AS n WHERE n.id = w.id)",
				"windows have no name");
	if (r == 0)
		r = check_count(check,
				"SELECT count(*), min(id) FROM window"
				" WHERE as_of > (SELECT value FROM meta WHERE key = 'fold_epoch')",
				"windows are newer than the last fold");
	return r;
}

/* Rows of other incarnations, and of counters that are gone, may stand there for a while. */
static int check_baselines(struct check *check)
{
	int r = check_count(check,
			    "SELECT count(*), min(id) FROM baseline"
			    " WHERE id < 1 OR id >= (SELECT value FROM meta WHERE key = 'id_next')",
			    "baselines are of an id that was not given out yet");

	if (r == 0)
		r = check_count(check, "SELECT count(*), min(id) FROM baseline WHERE incarnation < 1",
				"baselines are of no incarnation");
	return r;
}

static int check_uplink(struct check *check)
{
	struct store_uplink uplink = {0};
	int r = store_uplink_load(check->s, &uplink);

	if (r < 0)
		return find_error(check, r);
	free(uplink.starts);
	if (!uplink.incarnation && uplink.start_count)
		find(check, "uplink: %zu starts, and no incarnation", uplink.start_count);
	if (!uplink.incarnation && uplink.is_restored)
		find(check, "uplink: restored, and no incarnation");
	return check_baselines(check);
}

static int check_rows(struct check *check)
{
	int r = check_count(check,
			    "SELECT count(*), min(id) FROM value AS v"
			    " WHERE NOT EXISTS (SELECT 1 FROM name AS n WHERE n.id = v.id)",
			    "values have no name");

	if (r == 0)
		r = check_count(check,
				"SELECT count(*), min(id) FROM value"
				" WHERE as_of > (SELECT value FROM meta WHERE key = 'fold_epoch')",
				"values are newer than the last fold");
	if (r == 0)
		r = check_count(check,
				"SELECT count(*), min(id) FROM name"
				" WHERE id >= (SELECT value FROM meta WHERE key = 'id_next')",
				"names have an id that was not given out yet");
	if (r == 0 && check->s->schema_version >= 3)
		r = check_extras(check);
	return r == 0 && check->s->schema_version >= 4 ? check_uplink(check) : r;
}

/* ---- counters ---- */

static int check_counter(struct check *check, const struct store_counter *c)
{
	int rc;

	sqlite3_bind_blob64(check->seen_add, 1, c->name.data, c->name.len, SQLITE_STATIC);
	rc = sqlite3_step(check->seen_add);
	sqlite3_reset(check->seen_add);
	if (rc != SQLITE_DONE)
		return -EIO;
	if (sqlite3_changes(check->s->db) == 0)
		find(check, "counters: id %llu has the name of another counter", (unsigned long long)c->id);
	return 0;
}

static int check_batch(void *arg, unsigned loader, const struct store_counter *counters, size_t count)
{
	int r = 0;

	(void)loader;
	for (size_t i = 0; i < count && r == 0; i++)
		r = check_counter(arg, &counters[i]);
	return r;
}

/* That they make sense is looked at as they are told. */
static int check_session(void *arg, struct slice id, uint64_t seq, struct slice cursor, int64_t used_ms)
{
	(void)arg;
	(void)id;
	(void)seq;
	(void)cursor;
	(void)used_ms;
	return 0;
}

static int check_token(void *arg, struct slice name, struct slice token, int64_t delta, int64_t used_ms)
{
	(void)arg;
	(void)name;
	(void)token;
	(void)delta;
	(void)used_ms;
	return 0;
}

static int check_state(void *arg, const struct journal_state *state)
{
	(void)arg;
	(void)state;
	return 0;
}

static int check_window(void *arg, uint64_t id, struct window *window)
{
	(void)arg;
	(void)id;
	window_free(window);
	return 0;
}

static int check_counters(struct check *check, struct store_state *state)
{
	const struct store_sink sink = {
		.counters = check_batch,
		.state = check_state,
		.window = check_window,
		.session = check_session,
		.token = check_token,
		.arg = check,
	};
	sqlite3 *db = check->s->db;
	int rc, r;

	rc = sqlite3_exec(db, "CREATE TEMP TABLE seen(name BLOB PRIMARY KEY) WITHOUT ROWID", NULL, NULL,
			  NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(db, "INSERT OR IGNORE INTO temp.seen VALUES (?1)", -1,
					&check->seen_add, NULL);
	if (rc != SQLITE_OK)
		return find_error(check, store_fail(check->s, rc, "making a temporary table"));
	r = store_load_rows(check->s, &sink, state);
	sqlite3_finalize(check->seen_add);
	return r == 0 ? 0 : find_error(check, r);
}

static void say_clean(const struct check *check, const struct store_state *state)
{
	char line[LINE_BYTES];

	(void)snprintf(line, sizeof(line),
		       "clean: %" PRIu64 " counter%s, %" PRIu64 " session%s, %" PRIu64 " token%s, %" PRIu64
		       " journal row%s with %" PRIu64 " byte%s, schema version %d%s",
		       state->counters, num_plural(state->counters), state->sessions,
		       num_plural(state->sessions), state->tokens, num_plural(state->tokens), check->rows,
		       num_plural(check->rows), check->bytes, num_plural(check->bytes),
		       check->s->schema_version,
		       store_is_old(check->s) ? ", which the next start brings up to date" : "");
	check->say(check->arg, line);
}

static int check_all(struct check *check)
{
	struct store_state state = {0};
	int r = check_pages(check);

	if (r == 0) {
		r = store_load_meta(check->s);
		if (r < 0)
			return find_error(check, r);
	}
	if (r == 0)
		r = check_journal(check);
	if (r == 0)
		r = check_rows(check);
	/* Recovery stops at the first damaged body, which is said already. */
	if (r == 0 && !check->is_journal_damaged)
		r = check_counters(check, &state);
	if (r == 0 && check->findings == 0)
		say_clean(check, &state);
	return r;
}

int store_check(const char *path, void (*say)(void *arg, const char *line), void *arg)
{
	struct check check = {.say = say, .arg = arg};
	int r = store_open(&check.s, path, STORE_READONLY);

	r = r == 0 ? check_all(&check) : find_error(&check, r);
	check.s = store_close(check.s);
	return r < 0 ? r : check.findings > 0;
}
