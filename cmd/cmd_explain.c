/* SPDX-License-Identifier: MIT */
/*
 * cmd_explain.c - what is known about one counter. SHC.EXPLAIN says it; what that does not is found out here:
 * the rate, from a value read a moment before, and the slot. A server without SHC.EXPLAIN is asked for the
 * value alone.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../lib/conn.h"
#include "../lib/num.h"
#include "../lib/slot.h"
#include "command.h"
#include "output.h"
#include "target.h"

enum { OPTION_STRICT };

static const struct option_spec options[] = {
	[OPTION_STRICT] = {0, "strict", OPTION_FLAG, NULL, "exit 1 when the counter was never touched"},
	{0},
};

enum {
	LABEL_COLUMNS = 14,
	RATE_PAUSE_NS = 250000000, /* between the two readings */
	SENTENCE_SIZE = 200,
};

struct explanation {
	struct slice name;
	const struct shc_reply
		*parts; /* of SHC.EXPLAIN: key and value in turn; null: the server does not know it */
	int64_t value;
	bool is_missing;
	bool has_rate;
	double rate;	     /* change per second */
	double rate_seconds; /* over this time */
};

/* ---- the answer ---- */

/* The value of `key`; null when the server does not tell it. */
static const struct shc_reply *part(const struct explanation *e, const char *key)
{
	for (size_t i = 0; e->parts && i + 1 < e->parts->count; i += 2) {
		const struct shc_reply *k = &e->parts->elements[i];
		if (k->type == SHC_T_STRING && slice_equal((struct slice){k->data, k->len}, slice_str(key)))
			return &e->parts->elements[i + 1];
	}
	return NULL;
}

/* An integer, or the digits of one: what has been asked of the cluster comes as texts. */
static bool part_i64(const struct explanation *e, const char *key, int64_t *out)
{
	const struct shc_reply *p = part(e, key);
	if (p && p->type == SHC_T_STRING)
		return num_parse_i64((struct slice){p->data, p->len}, out);
	if (!p || p->type != SHC_T_INT)
		return false;
	*out = p->integer;
	return true;
}

static int64_t part_or_0(const struct explanation *e, const char *key)
{
	int64_t v = 0;
	(void)part_i64(e, key, &v);
	return v;
}

static const struct shc_reply *cells_of(const struct explanation *e)
{
	const struct shc_reply *cells = part(e, "cells");
	for (size_t i = 0; cells && cells->type == SHC_T_ARRAY && i < cells->count; i++) {
		if (cells->elements[i].type != SHC_T_INT)
			return NULL;
	}
	return cells && cells->type == SHC_T_ARRAY ? cells : NULL;
}

/* ---- for people ---- one function a line; one that has nothing to say leaves its line out */

static void begin_line(struct output *out, const char *label)
{
	output_label(out, slice_str(label), LABEL_COLUMNS);
}

static void put_sentence(struct output *out, const char *label, const char *text)
{
	begin_line(out, label);
	output_text(out, slice_str(text));
	output_line(out);
}

static void put_value(struct output *out, const struct explanation *e)
{
	begin_line(out, "value");
	output_i64(out, e->value);
	output_text(out, slice_str(e->is_missing ? " (no such counter: never touched, or deleted)" : ""));
	output_line(out);
}

static bool part_is(const struct explanation *e, const char *key, const char *word)
{
	const struct shc_reply *p = part(e, key);
	return p && p->type == SHC_T_STRING && slice_equal((struct slice){p->data, p->len}, slice_str(word));
}

/* What the disk had before the newest changes is kept nowhere but there. */
static void put_disk(struct output *out, const struct explanation *e)
{
	char text[SENTENCE_SIZE], when[64];
	int64_t stored;
	if (!part_i64(e, "stored", &stored))
		return;
	snprintf(when, sizeof(when), "at most one commit interval (%g s) to go",
		 (double)part_or_0(e, "commit_interval_ms") / 1000);
	if (part_is(e, "store_status", "retrying"))
		snprintf(when, sizeof(when), "the disk takes nothing for now, see the daemon's log");
	if (stored && e->is_missing)
		snprintf(text, sizeof(text), "the same");
	else if (stored)
		snprintf(text, sizeof(text), "%" PRId64, e->value);
	else if (e->is_missing)
		snprintf(text, sizeof(text), "it is still there; %s", when);
	else
		snprintf(text, sizeof(text),
			 "not all of it yet: last changed in epoch %" PRId64 ", the disk has %" PRId64 "; %s",
			 part_or_0(e, "changed_epoch"), part_or_0(e, "durable_epoch"), when);
	put_sentence(out, "on disk", text);
}

/* Of a daemon with an uplink: what `global` is, and whether the cluster has such a key. */
static bool part_global(const struct explanation *e, struct slice *total, int64_t *age_ms)
{
	const struct shc_reply *p = part(e, "global");
	if (!p || p->type != SHC_T_STRING || !part_i64(e, "global_age_ms", age_ms))
		return false;
	*total = (struct slice){p->data, p->len};
	return true;
}

static void put_global(struct output *out, const struct explanation *e)
{
	char text[SENTENCE_SIZE];
	struct slice total;
	int64_t age_ms;
	if (!part_global(e, &total, &age_ms))
		return;
	snprintf(text, sizeof(text), " (all daemons together, %" PRId64 ".%03d s ago)", age_ms / 1000,
		 (int)(age_ms % 1000));
	begin_line(out, "cluster");
	output_name(out, total.len ? total : slice_str("no such counter"));
	output_text(out, slice_str(text));
	output_line(out);
}

static void put_parts(struct output *out, const struct explanation *e)
{
	const struct shc_reply *cells = cells_of(e);
	int64_t base;
	if (e->is_missing || !cells || !part_i64(e, "base", &base))
		return;
	begin_line(out, "base");
	output_i64(out, base);
	output_line(out);
	begin_line(out, "cells");
	if (cells->count == 0)
		output_text(out, slice_str("none"));
	for (size_t i = 0; i < cells->count; i++) {
		output_text(out, slice_str(i ? " " : ""));
		output_i64(out, cells->elements[i].integer);
	}
	output_text(out, slice_str(part_or_0(e, "merging") ? " (being folded into the base)" : ""));
	output_line(out);
}

static void put_contention(struct output *out, const struct explanation *e)
{
	const struct shc_reply *cells = cells_of(e);
	char text[SENTENCE_SIZE];
	int64_t changes, needed = part_or_0(e, "contention_for_cells");
	if (e->is_missing || !cells || !part_i64(e, "contention", &changes))
		return;
	if (cells->count > 0)
		snprintf(text, sizeof(text),
			 "each of %zu workers adds to a cell of its own (incr -q, ingest)", cells->count);
	else if (changes > 0)
		snprintf(text, sizeof(text),
			 "changed hands between workers %" PRId64 " times of late; %" PRId64 " give it cells",
			 changes, needed);
	else
		snprintf(text, sizeof(text), "none seen");
	put_sentence(out, "contention", text);
}

static void put_changed(struct output *out, const struct explanation *e)
{
	char text[SENTENCE_SIZE];
	int64_t epoch;
	if (e->is_missing || !part_i64(e, "changed_epoch", &epoch))
		return;
	if (epoch)
		snprintf(text, sizeof(text), "in epoch %" PRId64, epoch);
	else
		snprintf(text, sizeof(text), "before the daemon started");
	put_sentence(out, "last changed", text);
}

/* The larger units of a time to wait. */
static void write_wait(char *text, size_t size, int64_t ms)
{
	const int64_t s = ms / 1000, m = s / 60, h = m / 60, d = h / 24;
	if (d > 0)
		snprintf(text, size, "%" PRId64 "d%" PRId64 "h", d, h % 24);
	else if (h > 0)
		snprintf(text, size, "%" PRId64 "h%" PRId64 "m", h, m % 60);
	else if (m > 0)
		snprintf(text, size, "%" PRId64 "m%" PRId64 "s", m, s % 60);
	else
		snprintf(text, size, "%" PRId64 ".%03ds", s, (int)(ms % 1000));
}

static void put_expiry(struct output *out, const struct explanation *e)
{
	char wait[64], when[64] = "", text[SENTENCE_SIZE];
	int64_t at_ms;
	struct timespec now;
	struct tm tm;
	if (e->is_missing || !part_i64(e, "expire_at_ms", &at_ms) || at_ms <= 0)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t left_ms = at_ms - ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
	write_wait(wait, sizeof(wait), left_ms > 0 ? left_ms : 0);
	time_t at_s = at_ms / 1000;
	if (localtime_r(&at_s, &tm))
		strftime(when, sizeof(when), ", at %Y-%m-%d %H:%M:%S %z", &tm);
	snprintf(text, sizeof(text), "in %s%s", wait, when);
	put_sentence(out, "expires", text);
}

static void put_rate(struct output *out, const struct explanation *e)
{
	char text[SENTENCE_SIZE];
	if (!e->has_rate)
		return;
	snprintf(text, sizeof(text), "%.1f a second (over %.2f s)", e->rate, e->rate_seconds);
	put_sentence(out, "rate", text);
}

static void put_slot(struct output *out, const struct explanation *e)
{
	char text[SENTENCE_SIZE];
	snprintf(text, sizeof(text), "%u (in a Redis Cluster)", slot_of(e->name));
	put_sentence(out, "slot", text);
}

static void put_note(struct output *out, const struct explanation *e)
{
	if (!e->parts)
		put_sentence(out, "note",
			     "the server does not know SHC.EXPLAIN: it is no shcounterd, or an older one");
}

static void put_lines(struct output *out, const struct explanation *e)
{
	begin_line(out, "name");
	output_name(out, e->name);
	output_line(out);
	put_value(out, e);
	put_disk(out, e);
	put_global(out, e);
	put_parts(out, e);
	put_contention(out, e);
	put_changed(out, e);
	put_expiry(out, e);
	put_rate(out, e);
	put_slot(out, e);
	put_note(out, e);
}

/* ---- for programs ---- */

/* Integers under the server's own names. */
static void put_json_parts(struct output *out, const struct explanation *e)
{
	static const char *const keys[] = {"base",	    "contention",    "contention_for_cells",
					   "changed_epoch", "durable_epoch", "commit_interval_ms"};
	const struct shc_reply *cells = cells_of(e);
	int64_t v;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (part_i64(e, keys[i], &v))
			json_i64(out, keys[i], v);
	}
	if (!e->is_missing && part_i64(e, "expire_at_ms", &v) && v > 0)
		json_i64(out, "expire_at_ms", v);
	if (part_i64(e, "merging", &v))
		json_bool(out, "merging", v != 0);
	if (part_i64(e, "stored", &v)) {
		json_bool(out, "stored", v != 0);
		if (v)
			json_i64(out, "stored_value", e->value);
	}
	if (part(e, "store_status"))
		json_text(out, slice_str("store_status"),
			  slice_str(part_is(e, "store_status", "ok") ? "ok" : "retrying"));
	if (!cells)
		return;
	json_raw(out, slice_str("cells"), slice_str("["));
	for (size_t i = 0; i < cells->count; i++) {
		output_text(out, slice_str(i ? "," : ""));
		output_i64(out, cells->elements[i].integer);
	}
	output_text(out, slice_str("]"));
}

static void put_json_global(struct output *out, const struct explanation *e)
{
	struct slice total;
	int64_t age_ms, value;
	if (!part_global(e, &total, &age_ms))
		return;
	bool is_there = num_parse_i64(total, &value);
	json_raw(out, slice_str("global"), is_there ? total : slice_str("null"));
	json_i64(out, "global_age_ms", age_ms);
}

static void put_json(struct output *out, const struct explanation *e)
{
	char number[64];
	json_open(out);
	json_name(out, e->name);
	json_i64(out, "value", e->value);
	if (e->is_missing)
		json_bool(out, "missing", true);
	put_json_parts(out, e);
	put_json_global(out, e);
	if (e->has_rate) {
		snprintf(number, sizeof(number), "%.3f", e->rate);
		json_raw(out, slice_str("rate"), slice_str(number));
		snprintf(number, sizeof(number), "%.3f", e->rate_seconds);
		json_raw(out, slice_str("rate_seconds"), slice_str(number));
	}
	json_i64(out, "slot", slot_of(e->name));
	json_bool(out, "explained", e->parts != NULL);
	json_close(out);
}

/* ---- questions ---- */

static int complain_about(const char *command)
{
	return command_fail(EX_UNAVAILABLE, "the answer to %s makes no sense: is that a shcounterd?",
			    command);
}

static int ask_value(struct shc *shc, const char *name, int64_t *value, bool *is_missing)
{
	const char *argv[] = {"GET", name};
	const struct shc_reply *reply;
	enum shc_status status = shc_command(shc, 2, argv, NULL, false, &reply);
	if (status)
		return command_status(shc, status);
	*is_missing = reply->type == SHC_T_NIL;
	*value = 0;
	if (!*is_missing &&
	    (reply->type != SHC_T_STRING || !num_parse_i64((struct slice){reply->data, reply->len}, value)))
		return command_fail(EXIT_NO, "%s: what is stored under this name is not a counter", name);
	return EX_OK;
}

static bool is_unknown_command(const struct shc_reply *reply)
{
	static const char WORDS[] = "ERR unknown command";
	return reply->len >= sizeof(WORDS) - 1 && memcmp(reply->data, WORDS, sizeof(WORDS) - 1) == 0;
}

/* e->parts is the handle's until its next call. */
static int ask_parts(struct shc *shc, const char *name, struct explanation *e)
{
	const char *argv[] = {"SHC.EXPLAIN", name};
	const struct shc_reply *reply;
	int64_t exists;
	enum shc_status status = shc_command(shc, 2, argv, NULL, false, &reply);
	if (status == SHC_REFUSED && is_unknown_command(reply))
		return ask_value(shc, name, &e->value, &e->is_missing);
	if (status)
		return command_status(shc, status);
	if (reply->type != SHC_T_ARRAY)
		return complain_about(argv[0]);
	e->parts = reply;
	if (!part_i64(e, "value", &e->value) || !part_i64(e, "exists", &exists))
		return complain_about(argv[0]);
	e->is_missing = !exists;
	return EX_OK;
}

/* What is asked last is the newest, so the value, and what is said about it. */
static int ask(struct shc *shc, const char *name, struct explanation *e)
{
	struct timespec pause = {.tv_nsec = RATE_PAUSE_NS};
	int64_t value_before;
	bool was_missing;
	int rc = ask_value(shc, name, &value_before, &was_missing);
	if (rc)
		return rc;
	int64_t before_ns = conn_now_ns();
	nanosleep(&pause, NULL);
	rc = ask_parts(shc, name, e);
	if (rc)
		return rc;
	e->rate_seconds = (double)(conn_now_ns() - before_ns) / 1e9;
	e->rate = num_difference(e->value, value_before) / e->rate_seconds;
	e->has_rate = !e->is_missing;
	return EX_OK;
}

static int explain(const struct invocation *inv, struct shc *shc)
{
	struct explanation e = {.name = slice_str(inv->operands[0])};
	int rc = ask(shc, inv->operands[0], &e);
	if (rc)
		return rc;
	if (e.is_missing && inv->values[OPTION_STRICT])
		return command_fail(EXIT_NO, "%s: no such counter", inv->operands[0]);
	struct output out;
	output_init(&out, STDOUT_FILENO, true);
	if (inv->is_json && !inv->is_quiet)
		put_json(&out, &e);
	else if (!inv->is_quiet)
		put_lines(&out, &e);
	return output_finish(&out);
}

static int check_and_explain(struct invocation *inv, struct shc *shc)
{
	int rc = target_check_names(inv, shc);
	return rc ? rc : explain(inv, shc);
}

static int run(struct invocation *inv)
{
	return command_is_name(inv, inv->operands[0]) ? target_ask(inv, check_and_explain) : EX_USAGE;
}

const struct command cmd_explain = {
	.name = "explain",
	.operands = "NAME",
	.summary = "print what is known about a counter",
	.help = "  shcount explain visits           WHAT<TAB>VALUE, a line each\n"
		"  shcount explain --json visits    one object\n"
		"\n"
		"The value, and whether the disk has it; with an uplink the total in the cluster, and how old that "
		"is; the parts it is made of and whether workers "
		"compete for it; when it was last changed (an epoch is what is written to disk together) and when it "
		"expires, if it does; "
		"the rate, from two readings a quarter of a second apart; the slot that the name has in a "
		"Redis Cluster. Of a server that is no shcounterd only value, rate and slot are known.\n",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.is_local = true,
	.run = run,
};
