/* SPDX-License-Identifier: MIT */
/*
 * uplink_verify.c - SHC.UPLINK VERIFY, page after page, a line a counter, and what it comes to at the end.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "output.h"
#include "uplink.h"

enum {
	CURSOR_SIZE = 1024,
	ROW_WORDS = 7,
};

/* One counter. */
struct row {
	struct slice name;
	int64_t local, baseline, ledger, total, foreign;
	bool has_total;	  /* the cluster has such a key */
	struct slice why; /* empty: it is right */
};

struct verify {
	const struct invocation *inv;
	struct shc *shc;
	bool is_repairing;
	struct output out;
	char cursor[CURSOR_SIZE];
	size_t cursor_len;
	uint64_t connection; /* the one it began on; 0: it has not begun */
	uint64_t counters, differences;
};

/* ---- a page ---- */

static bool is_row(const struct shc_reply *r)
{
	if (r->type != SHC_T_ARRAY || r->count < ROW_WORDS || r->elements[0].type != SHC_T_STRING ||
	    r->elements[6].type != SHC_T_STRING)
		return false;
	for (size_t i = 1; i <= 5; i++) {
		bool may_be_nil = i == 4;
		enum shc_type type = r->elements[i].type;
		if (type != SHC_T_INT && !(may_be_nil && type == SHC_T_NIL))
			return false;
	}
	return true;
}

static struct row read_row(const struct shc_reply *r)
{
	const struct shc_reply *word = r->elements;
	return (struct row){
		.name = {word[0].data, word[0].len},
		.local = word[1].integer,
		.baseline = word[2].integer,
		.ledger = word[3].integer,
		.total = word[4].integer,
		.foreign = word[5].integer,
		.has_total = word[4].type == SHC_T_INT,
		.why = {word[6].data, word[6].len},
	};
}

/* One that leads nowhere else would be asked for ever. */
static bool is_page(const struct verify *v, const struct shc_reply *r)
{
	if (r->type != SHC_T_ARRAY || r->count != 2 || r->elements[1].type != SHC_T_ARRAY)
		return false;
	const struct shc_reply *next = &r->elements[0], *rows = &r->elements[1];
	if (next->type != SHC_T_STRING || next->len == 0 || next->len >= CURSOR_SIZE)
		return false;
	struct slice cursor = {next->data, next->len};
	if (slice_equal(cursor, (struct slice){v->cursor, v->cursor_len}) &&
	    !slice_equal(cursor, slice_str("0")))
		return false;
	for (size_t i = 0; i < rows->count; i++) {
		if (!is_row(&rows->elements[i]))
			return false;
	}
	return true;
}

static void keep_cursor(struct verify *v, struct slice cursor)
{
	memcpy(v->cursor, cursor.data, cursor.len);
	v->cursor_len = cursor.len;
}

static bool is_at_end(const struct verify *v)
{
	return slice_equal((struct slice){v->cursor, v->cursor_len}, slice_str("0"));
}

/* ---- what is printed ---- */

static void put_json(struct output *out, const struct row *r)
{
	json_open(out);
	json_name(out, r->name);
	json_i64(out, "local", r->local);
	json_i64(out, "baseline", r->baseline);
	json_i64(out, "ledger", r->ledger);
	if (r->has_total)
		json_i64(out, "total", r->total);
	else
		json_raw(out, slice_str("total"), slice_str("null"));
	json_i64(out, "foreign", r->foreign);
	if (r->why.len)
		json_text(out, slice_str("differs"), r->why);
	json_close(out);
}

static void put_tab_i64(struct output *out, int64_t v)
{
	output_text(out, slice_str("\t"));
	output_i64(out, v);
}

static void put_line(struct output *out, const struct row *r)
{
	output_name(out, r->name);
	put_tab_i64(out, r->local);
	put_tab_i64(out, r->ledger);
	if (r->has_total)
		put_tab_i64(out, r->total);
	else
		output_text(out, slice_str("\t-"));
	put_tab_i64(out, r->foreign);
	if (r->why.len) {
		output_text(out, slice_str("\t"));
		output_name(out, r->why);
	}
	output_line(out);
}

static void take_row(struct verify *v, const struct row *r)
{
	v->counters++;
	v->differences += r->why.len > 0;
	if (v->inv->is_quiet)
		return;
	if (v->inv->is_json)
		put_json(&v->out, r);
	else
		put_line(&v->out, r);
}

/* ---- page after page ---- */

/* The answer ends here. What was printed must not be taken for all. */
static int end_early(struct verify *v, int rc)
{
	output_flush(&v->out);
	if (v->counters == 0)
		return rc;
	return command_fail(rc, "this is not all: nothing is known behind %" PRIu64 " %s; run it again",
			    v->counters, command_noun(v->counters, "counter", "counters"));
}

static int refuse_page(struct verify *v, enum shc_status status)
{
	output_flush(&v->out);
	return end_early(v, command_status(v->shc, status));
}

/* A cursor is worth nothing to another process of the server. */
static bool is_same_server(struct verify *v)
{
	uint64_t connection = shc_connections(v->shc);
	if (v->connection == 0)
		v->connection = connection;
	return v->connection == connection;
}

static int take_page(struct verify *v, const struct shc_reply *reply)
{
	if (!is_same_server(v))
		return end_early(v, command_fail(EX_UNAVAILABLE, "the server hung up in between"));
	if (!is_page(v, reply))
		return end_early(v, uplink_no_sense("SHC.UPLINK VERIFY"));
	const struct shc_reply *next = &reply->elements[0], *rows = &reply->elements[1];
	for (size_t i = 0; i < rows->count; i++) {
		struct row row = read_row(&rows->elements[i]);
		take_row(v, &row);
	}
	keep_cursor(v, (struct slice){next->data, next->len});
	output_flush(&v->out);
	return EX_OK;
}

static int ask_page(struct verify *v)
{
	const char *const argv[] = {"SHC.UPLINK", "VERIFY", v->cursor, "REPAIR"};
	const size_t argv_len[] = {10, 6, v->cursor_len, 6};
	const struct shc_reply *reply;
	enum shc_status status =
		shc_command(v->shc, v->is_repairing ? 4 : 3, argv, argv_len, v->is_repairing, &reply);
	return status ? refuse_page(v, status) : take_page(v, reply);
}

static int summarize(const struct verify *v)
{
	int rc = v->differences ? EXIT_NO : EX_OK;
	if (v->inv->is_quiet)
		return rc;
	return command_fail(
		rc, "%" PRIu64 " %s, %" PRIu64 " %s", v->counters,
		command_noun(v->counters, "counter", "counters"), v->differences,
		v->is_repairing ? command_noun(v->differences, "difference is left", "differences are left")
				: command_noun(v->differences, "difference", "differences"));
}

int uplink_verify(const struct invocation *inv, struct shc *shc, bool is_repairing)
{
	struct verify v = {.inv = inv, .shc = shc, .is_repairing = is_repairing};
	int rc;
	keep_cursor(&v, slice_str("0"));
	output_init(&v.out, STDOUT_FILENO, true);
	do
		rc = ask_page(&v);
	while (rc == EX_OK && !is_at_end(&v) && !v.out.error);
	int written = output_finish(&v.out);
	if (rc == EX_OK && !written)
		rc = summarize(&v);
	return written ? written : rc;
}
