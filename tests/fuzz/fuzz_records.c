/* SPDX-License-Identifier: MIT */
/*
 * Goal: the parsers of ingest's records read no byte that they were not given, say the same whatever pieces
 * the input comes in, and keep what their headers promise.
 *
 * Method: the first byte chooses the format and its options. CSV is read whole, byte by byte and in pieces
 * whose sizes are taken from the input, and held against the plainest reader there is. A line of StatsD that
 * was looked at must not turn out bad half-way. Each call gets a heap block of exactly the size it is told,
 * so that the address sanitizer sees a read beyond it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../cmd/csv.h"
#include "../../cmd/fields.h"
#include "../../cmd/json_line.h"
#include "../../cmd/statsd.h"
#include "../../lib/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static char *exact_copy(const char *data, size_t len)
{
	char *block = malloc(len ? len : 1);
	check(block != NULL);
	if (len > 0)
		memcpy(block, data, len);
	return block;
}

/* ---- csv: what is read, as bytes that can be compared ---- */

static void log_size(struct buf *log, size_t v)
{
	buf_append(log, &v, sizeof(v));
}

static void log_bytes(struct buf *log, const char *data, size_t len)
{
	log_size(log, len);
	buf_append(log, data, len);
}

static void log_record(struct buf *log, size_t size, size_t lines, bool is_bad)
{
	log_size(log, size);
	log_size(log, lines);
	log_size(log, is_bad);
}

static void log_fields(struct buf *log, struct slice text, char separator)
{
	struct csv_field field;
	while (csv_next(&text, separator, &field)) {
		char *to = malloc(field.text.len + 1);
		check(to != NULL);
		size_t len = field.has_pairs ? csv_unpair(field.text, to) : field.text.len;
		log_bytes(log, field.has_pairs ? to : field.text.data, len);
		free(to);
	}
}

static size_t piece_of(const char *data, size_t size, size_t at, int how)
{
	if (how == 0)
		return size;
	return how == 1 ? 1 : 1 + (unsigned char)data[(at * 31 + size) % size] % 16;
}

static void read_csv(const char *data, size_t size, char separator, int how, struct buf *log)
{
	struct csv_cutter cutter = {.separator = separator};
	size_t begin = 0, have = 0;
	while (begin < size) {
		if (have < size)
			have += piece_of(data, size, have, how);
		have = have < size ? have : size;
		for (bool is_more = true; is_more;) {
			struct csv_record r;
			char *block = exact_copy(data + begin, have - begin);
			is_more = csv_cut(&cutter, block, have - begin, have == size, &r);
			if (is_more) {
				check(r.size > 0 && r.size <= have - begin && !r.is_endless);
				log_record(log, r.size, (size_t)r.lines, r.fault != NULL);
				if (!r.fault)
					log_fields(log, r.text, separator);
				begin += r.size;
			}
			free(block);
		}
		check(have < size || begin == size);
	}
}

/* ---- csv: the plainest reader ---- */

struct reference {
	const char *data;
	size_t size, at; /* at: what comes next */
	char separator;
	bool is_bad, is_ended;
	struct buf fields;
};

static bool is_line_end(struct reference *r)
{
	if (r->at == r->size)
		return true;
	if (r->data[r->at] == '\r' && (r->at + 1 == r->size || r->data[r->at + 1] == '\n'))
		r->at += r->at + 1 < r->size;
	return r->data[r->at] == '\n' || (r->data[r->at] == '\r' && r->at + 1 == r->size);
}

static void reference_quoted(struct reference *r, struct buf *field)
{
	for (r->at++;; r->at++) {
		if (r->at == r->size) {
			r->is_bad = true;
			return;
		}
		if (r->data[r->at] == '"') {
			if (r->at + 1 == r->size || r->data[r->at + 1] != '"')
				break;
			r->at++;
		}
		buf_append(field, &r->data[r->at], 1);
	}
	r->at++;
	if (!is_line_end(r) && r->data[r->at] != r->separator)
		r->is_bad = true;
}

static void reference_plain(struct reference *r, struct buf *field)
{
	for (; r->at < r->size && r->data[r->at] != r->separator && r->data[r->at] != '\n'; r->at++) {
		if (r->data[r->at] == '"') {
			r->is_bad = true;
			return;
		}
		buf_append(field, &r->data[r->at], 1);
	}
	bool is_end = r->at == r->size || r->data[r->at] == '\n';
	if (is_end && buf_len(field) > 0 && buf_head(field)[buf_len(field) - 1] == '\r')
		field->tail--;
}

static void reference_field(struct reference *r)
{
	struct buf field = BUF_INIT;
	if (r->at < r->size && r->data[r->at] == '"')
		reference_quoted(r, &field);
	else
		reference_plain(r, &field);
	log_bytes(&r->fields, buf_head(&field), buf_len(&field));
	buf_fini(&field);
	r->is_ended = r->is_bad || r->at >= r->size || r->data[r->at] != r->separator;
	r->at += !r->is_ended;
}

static void reference_csv(const char *data, size_t size, char separator, struct buf *log)
{
	struct reference r = {.data = data, .size = size, .separator = separator};
	while (r.at < size) {
		size_t begin = r.at, lines = 0;
		r.is_bad = r.is_ended = false;
		while (!r.is_ended)
			reference_field(&r);
		while (r.at < size && data[r.at] != '\n')
			r.at++;
		r.at += r.at < size;
		for (size_t i = begin; i < r.at; i++)
			lines += data[i] == '\n' || i + 1 == r.at;
		log_record(log, r.at - begin, lines, r.is_bad);
		if (!r.is_bad)
			buf_append(log, buf_head(&r.fields), buf_len(&r.fields));
		buf_consume(&r.fields, buf_len(&r.fields));
	}
	buf_fini(&r.fields);
}

static void try_csv(const char *data, size_t size, char separator)
{
	struct buf wanted = BUF_INIT;
	reference_csv(data, size, separator, &wanted);
	for (int how = 0; how < 3; how++) {
		struct buf log = BUF_INIT;
		read_csv(data, size, separator, how, &log);
		check(!log.failed && !wanted.failed && buf_len(&log) == buf_len(&wanted));
		check(buf_len(&log) == 0 || memcmp(buf_head(&log), buf_head(&wanted), buf_len(&log)) == 0);
		buf_fini(&log);
	}
	buf_fini(&wanted);
}

/* ---- the others: a line each ---- */

static void try_fields(struct slice line, uint8_t options)
{
	static const struct fields_rule RULES[] = {{1, 0, 0, 255, false},
						   {2, 1, ':', 255, false},
						   {3, 2, '\t', 3, false},
						   {0, 0, 0, 255, false}};
	char room[FIELDS_ROOM];
	struct slice name;
	int64_t delta;
	const char *reason;
	const struct fields_rule *rule = &RULES[options % 4];
	int rc = options & 4 ? fields_take_uniq(rule, line, &name, &delta, &reason)
			     : fields_take(rule, line, room, &name, &delta, &reason);
	check(rc != FIELDS_OK || (slice_is_name(name) && name.len <= rule->name_max));
	check(rc != FIELDS_BAD || reason);
}

static void try_json(struct slice line)
{
	struct json_line l;
	struct slice name;
	int64_t delta;
	if (json_line_open(&l, line) != JSON_LINE_OK)
		return;
	if (json_line_name(&l, &name) == JSON_LINE_OK && name.len > 0)
		check(memchr(name.data, 0, name.len) == NULL || !slice_is_name(name));
	(void)json_line_i64(&l, "delta", &delta);
	json_line_close(&l);
}

static void try_statsd(struct slice line)
{
	struct statsd_line l;
	struct fraction f;
	const char *reason;
	size_t values = 0;
	int rc = statsd_open(&l, line, &reason);
	if (rc != STATSD_OK)
		return;
	check(l.name.len > 0);
	while ((rc = statsd_next(&l, &f, &reason)) == STATSD_OK) {
		check(f.rest < f.parts && (f.rest > 0 || f.parts == 1));
		values++;
	}
	check(rc == STATSD_NONE && values > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	const char *input = (const char *)data + 1;
	size_t len = size - 1;
	if (data[0] % 4 == 0) {
		try_csv(input, len, data[0] & 4 ? ';' : ',');
		return 0;
	}
	char *block = exact_copy(input, len);
	struct slice line = {block, len};
	switch (data[0] % 4) {
	case 1: try_fields(line, data[0] >> 2); break;
	case 2: try_json(line); break;
	default: try_statsd(line); break;
	}
	free(block);
	return 0;
}
