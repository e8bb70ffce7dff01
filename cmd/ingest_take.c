/* SPDX-License-Identifier: MIT */
/*
 * ingest_take.c - records into the table, each format in its way.
 */
#include <errno.h>
#include <string.h>

#include "command.h"
#include "ingest.h"
#include "json_line.h"
#include "scan.h"
#include "statsd.h"
#include "stream.h"

static const char too_long[] = "the line is longer than 1 MiB";
static const char own_name[] = "names that begin with shc: are taken in Redis, for what belongs to counters";

/* ---- the table ---- */

static int no_memory(struct ingest *in)
{
	in->lost = command_fail(EX_IOERR, "out of memory at %s:%llu", in->file,
				(unsigned long long)in->file_lines);
	return in->lost;
}

/* Empties ops. The table's troubles end here: a sum about to overflow is sent. */
static int apply_batch(struct ingest *in)
{
	size_t done = 0;
	int rc = EX_OK;
	while (rc == EX_OK && done < in->ops_count) {
		int applied = table_apply(&in->table, in->ops, in->ops_count, &done);
		if (applied == TABLE_OVERFLOW) {
			struct table_op *op = &in->ops[done++];
			struct table_entry *e =
				table_find(&in->table, (struct slice){op->name, op->name_len});
			rc = ingest_send_entry(in, e);
			e->sum = op->delta;
		} else if (applied == -ENOMEM) {
			/* A stream's batch cannot end in the middle of a block. */
			rc = in->table.count > 0 && !in->stream ? ingest_send(in) : no_memory(in);
		}
	}
	in->ops_count = 0;
	return rc ? rc : in->lost;
}

static bool is_full(const struct ingest *in)
{
	return in->table.count >= INGEST_NAMES_MAX ||
	       table_bytes(&in->table) + fraction_bytes(&in->fractions) >= INGEST_TABLE_BYTES_MAX;
}

/* Between two records: a full table is sent, too. */
static int apply_ops(struct ingest *in)
{
	int rc = apply_batch(in);
	return rc || in->stream || !is_full(in) ? rc : ingest_send_gathered(in);
}

static inline void queue_op(struct ingest *in, struct slice name, int64_t delta)
{
	in->ops[in->ops_count++] =
		(struct table_op){.name = name.data, .name_len = (uint32_t)name.len, .delta = delta};
}

static inline int put_op(struct ingest *in, struct slice name, int64_t delta)
{
	queue_op(in, name, delta);
	return in->ops_count == TABLE_BATCH_MAX ? apply_ops(in) : EX_OK;
}

/* ---- one record ---- */

int ingest_bad_record(struct ingest *in, const char *reason)
{
	in->seen.lines_bad++;
	progress_wipe(&in->progress);
	command_fail(EX_DATAERR, "%s:%llu: %s", in->file, (unsigned long long)ingest_record_line(in), reason);
	return in->is_skip ? EX_OK : EX_DATAERR;
}

static inline bool is_own_name(const struct ingest *in, struct slice name)
{
	const struct slice own = in->own_names;
	return own.data && name.len >= own.len && memcmp(name.data, own.data, own.len) == 0;
}

static int skip_record(struct ingest *in)
{
	in->lines_skipped++;
	return EX_OK;
}

static inline int take_fields(struct ingest *in, struct slice record)
{
	struct slice name;
	int64_t delta;
	const char *reason;
	int found = in->format == INGEST_UNIQ
			    ? fields_take_uniq(&in->rule, record, &name, &delta, &reason)
			    : fields_take(&in->rule, record, in->room[in->ops_count], &name, &delta, &reason);
	if (found == FIELDS_OK)
		return is_own_name(in, name) ? ingest_bad_record(in, own_name) : put_op(in, name, delta);
	return found == FIELDS_BAD ? ingest_bad_record(in, reason) : skip_record(in);
}

static int take_object(struct ingest *in, struct json_line *l)
{
	struct slice name;
	int64_t delta = 1;
	int found = json_line_name(l, &name);
	if (found == JSON_LINE_OK)
		found = json_line_i64(l, "delta", &delta);
	if (found == JSON_LINE_BAD)
		return ingest_bad_record(in, l->reason);
	const char *reason = name.len ? fields_name_fault(name, in->rule.name_max) : "the name is empty";
	if (!reason && is_own_name(in, name))
		reason = own_name;
	if (reason)
		return ingest_bad_record(in, reason);
	char *room = in->room[in->ops_count]; /* the object goes before the batch is applied */
	memcpy(room, name.data, name.len);
	return put_op(in, (struct slice){room, name.len}, delta);
}

/* Not inlined, like take_statsd: their frames are not for take_line to set up for every line of others. */
__attribute__((noinline)) static int take_json(struct ingest *in, struct slice line)
{
	struct json_line l;
	int found = json_line_open(&l, line);
	if (found)
		return found == JSON_LINE_BAD ? ingest_bad_record(in, l.reason) : skip_record(in);
	int rc = take_object(in, &l);
	json_line_close(&l);
	return rc;
}

/* One value of several in a line: the table may be sent only when all are in it. */
static int put_value(struct ingest *in, struct slice name, const struct fraction *value)
{
	int64_t more = fraction_add(&in->fractions, name, value);
	queue_op(in, name, value->whole); /* so that the name is there, be it worth nothing yet */
	int rc = in->ops_count == TABLE_BATCH_MAX ? apply_batch(in) : EX_OK;
	if (rc || more == 0)
		return rc;
	queue_op(in, name, more);
	return in->ops_count == TABLE_BATCH_MAX ? apply_batch(in) : EX_OK;
}

__attribute__((noinline)) static int take_statsd(struct ingest *in, struct slice line)
{
	struct statsd_line l;
	struct fraction value;
	const char *reason;
	int found = statsd_open(&l, line, &reason);
	if (found == STATSD_NONE)
		return skip_record(in);
	if (found == STATSD_OK)
		reason = fields_name_fault(l.name, in->rule.name_max);
	if (!reason && is_own_name(in, l.name))
		reason = own_name;
	if (reason)
		return ingest_bad_record(in, reason);
	int rc = EX_OK;
	while (rc == EX_OK && statsd_next(&l, &value, &reason) == STATSD_OK)
		rc = put_value(in, l.name, &value);
	return rc;
}

/* A line that needs a closer look. */
static int take_line(struct ingest *in, struct slice line)
{
	if (line.len > INGEST_LINE_MAX)
		return ingest_bad_record(in, too_long);
	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	switch (in->format) {
	case INGEST_JSON: return take_json(in, line);
	case INGEST_STATSD: return take_statsd(in, line);
	default: return take_fields(in, line);
	}
}

/* ---- many ---- */

/* Where names of a block are taken; a copy of what `struct ingest` knows, which stays in registers. */
struct names {
	const char *start;	  /* of the line that has not ended */
	bool is_spoiled;	  /* it has a control character */
	struct table_op *op;	  /* the next one */
	struct table_op *counted; /* of those before it the lines are counted */
};

static inline void names_get(struct ingest *in, struct names *n)
{
	n->op = n->counted = in->ops + in->ops_count;
}

static inline void names_put(struct ingest *in, const struct names *n)
{
	uint64_t lines = (uint64_t)(n->op - n->counted);
	in->ops_count = (size_t)(n->op - in->ops);
	in->file_lines += lines;
	in->seen.lines += lines;
	in->record_lines = 1;
}

/* Lines that end where bits of `ends` are set, of 64 bytes without any other control character. */
static inline int take_plain_names(struct ingest *in, struct names *n, const char *data, uint64_t ends)
{
	int rc = EX_OK;
	for (; ends && rc == EX_OK; ends &= ends - 1) {
		const char *end = data + __builtin_ctzll(ends);
		struct slice line = {n->start, (size_t)(end - n->start)};
		bool is_name = line.len - 1 < in->rule.name_max;
		if (is_name) {
			n->op->name = line.data;
			n->op->name_len = (uint32_t)line.len;
			n->op->delta = 1;
			n->op++;
		}
		if (!is_name || n->op == in->ops + TABLE_BATCH_MAX) {
			names_put(in, n);
			if (!is_name)
				ingest_count_lines(in, 1);
			rc = is_name ? apply_ops(in) : take_line(in, line);
			names_get(in, n);
		}
		n->start = rc == EX_DATAERR ? n->start : end + 1; /* a line it stops at is not taken */
	}
	return rc;
}

/* The same where there are control characters, or names to be looked at one by one. */
__attribute__((noinline)) static int take_odd_names(struct ingest *in, struct names *n, const char *data,
						    uint64_t controls)
{
	int rc = EX_OK;
	names_put(in, n);
	for (; controls && rc == EX_OK; controls &= controls - 1) {
		const char *at = data + __builtin_ctzll(controls);
		if (*at != '\n') {
			n->is_spoiled = true;
			continue;
		}
		struct slice line = {n->start, (size_t)(at - n->start)};
		ingest_count_lines(in, 1);
		if (!n->is_spoiled && line.len - 1 < in->rule.name_max && !is_own_name(in, line))
			rc = put_op(in, line, 1);
		else
			rc = take_line(in, line);
		n->start = rc == EX_DATAERR ? n->start : at + 1;
		n->is_spoiled = false;
	}
	names_get(in, n);
	return rc;
}

/* Names, a line each: one scan finds the ends and whatever spoils a name. *begin: where the last, open line
 * starts. */
static int take_names(struct ingest *in, const char *data, size_t len, size_t *begin)
{
	int rc = EX_OK;
	const bool is_any_odd = in->own_names.data != NULL;
	struct names n = {.start = data};
	names_get(in, &n);
	for (size_t base = 0; base < len && rc == EX_OK; base += SCAN_BYTES) {
		struct scan s = scan_look(data + base);
		if (len - base < SCAN_BYTES) {
			s.controls &= (UINT64_C(1) << (len - base)) - 1;
			s.ends &= s.controls;
		}
		if (s.controls == s.ends && !n.is_spoiled && !is_any_odd) {
			rc = take_plain_names(in, &n, data + base, s.ends);
		} else {
			struct names odd = n;
			rc = take_odd_names(in, &odd, data + base, s.controls);
			n = odd;
		}
	}
	names_put(in, &n);
	*begin = (size_t)(n.start - data);
	return rc;
}

static int take_each_line(struct ingest *in, const char *data, size_t len, size_t *begin)
{
	int rc = EX_OK;
	size_t start = 0;
	while (rc == EX_OK && start < len) {
		const char *end = memchr(data + start, '\n', len - start);
		if (!end)
			break;
		size_t at = (size_t)(end - data);
		ingest_count_lines(in, 1);
		rc = take_line(in, (struct slice){data + start, at - start});
		start = rc == EX_DATAERR ? start : at + 1;
	}
	*begin = start;
	return rc;
}

static int take_lines(struct ingest *in, const char *data, size_t len, bool is_end, struct ingest_taken *t)
{
	bool is_name = in->format == INGEST_FIELDS && in->rule.name_field == 0;
	int rc = is_name ? take_names(in, data, len, &t->whole) : take_each_line(in, data, len, &t->whole);
	struct slice rest = {data + t->whole, len - t->whole};
	if (rc || rest.len == 0)
		return rc;
	if (is_end) {
		ingest_count_lines(in, 1);
		rc = take_line(in, rest);
		t->whole = rc == EX_DATAERR ? t->whole : len;
	} else if (rest.len > INGEST_LINE_MAX) {
		t->endless = rest.len;
		t->endless_lines = 1;
		t->fault = too_long;
	}
	return rc;
}

static int take_csv(struct ingest *in, const char *data, size_t len, bool is_end, struct ingest_taken *t)
{
	struct csv_record r;
	while (csv_cut(&in->cutter, data + t->whole, len - t->whole, is_end, &r)) {
		if (r.is_endless) {
			t->endless = r.size;
			t->endless_lines = r.lines;
			t->fault = r.fault;
			return EX_OK;
		}
		ingest_count_lines(in, r.lines);
		int rc = r.fault ? ingest_bad_record(in, r.fault) : take_fields(in, r.text);
		t->whole += rc == EX_DATAERR ? 0 : r.size;
		if (rc)
			return rc;
	}
	return EX_OK;
}

int ingest_take(struct ingest *in, const char *data, size_t len, bool is_end, struct ingest_taken *t)
{
	*t = (struct ingest_taken){0};
	int rc = in->format == INGEST_CSV ? take_csv(in, data, len, is_end, t)
					  : take_lines(in, data, len, is_end, t);
	int applied = apply_ops(in); /* at a bad record too: what came before it counts */
	return applied ? applied : rc;
}
