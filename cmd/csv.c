/* SPDX-License-Identifier: MIT */
#include "csv.h"

/* Where in a record the next byte is. */
enum {
	FIELD = 0, /* at the beginning of a field */
	PLAIN,	   /* in one without quotes */
	QUOTED,	   /* between quotes */
	QUOTE,	   /* behind a quote there: it closes the field, or is the first of two */
	CLOSED_CR, /* behind the CR of a CR LF behind a closing quote */
	BROKEN,	   /* behind a fault */
	ENDED,	   /* behind the LF */
};

static int broken(struct csv_cutter *c, char ch, const char *fault)
{
	c->fault = fault;
	return ch == '\n' ? ENDED : BROKEN;
}

static int text_behind_quote(struct csv_cutter *c, char ch)
{
	return broken(c, ch, "text behind a closing quote: a quote inside a quoted field is written twice");
}

static int in_plain(struct csv_cutter *c, char ch)
{
	if (ch == '"')
		return broken(c, ch,
			      "a quote in a field without quotes: put the field in quotes, and write that "
			      "one twice");
	return ch == c->separator ? FIELD : ch == '\n' ? ENDED : PLAIN;
}

static int step(struct csv_cutter *c, char ch)
{
	switch (c->state) {
	case FIELD:
		if (ch != '"')
			return in_plain(c, ch);
		c->is_quoted = true;
		return QUOTED;
	case PLAIN: return in_plain(c, ch);
	case QUOTED: return ch == '"' ? QUOTE : QUOTED;
	case QUOTE:
		if (ch == '"')
			return QUOTED;
		if (ch == '\r')
			return CLOSED_CR;
		return ch == c->separator ? FIELD : ch == '\n' ? ENDED : text_behind_quote(c, ch);
	case CLOSED_CR: return ch == '\n' ? ENDED : text_behind_quote(c, ch);
	default: return ch == '\n' ? ENDED : BROKEN;
	}
}

/* Most records have no quote. Leaves the cutter alone when this one has, or has no end yet. */
static bool is_plain_line(const char *data, size_t limit, size_t *end)
{
	const char *lf = memchr(data, '\n', limit);
	if (!lf || memchr(data, '"', (size_t)(lf - data)))
		return false;
	*end = (size_t)(lf - data);
	return true;
}

/* Whether the record ends before `limit`; then *end is where its LF is. */
static bool find_end(struct csv_cutter *c, const char *data, size_t limit, size_t *end)
{
	if (c->seen == 0 && is_plain_line(data, limit, end))
		return true;
	for (; c->seen < limit && c->state != ENDED; c->seen++) {
		if (c->state == QUOTED) {
			const char *quote = memchr(data + c->seen, '"', limit - c->seen);
			c->seen = quote ? (size_t)(quote - data) : limit - 1;
		}
		c->state = step(c, data[c->seen]);
	}
	*end = c->seen - 1;
	return c->state == ENDED;
}

static uint64_t count_ends(const char *data, size_t len)
{
	uint64_t count = 0;
	for (const char *end = data + len; (data = memchr(data, '\n', (size_t)(end - data))); data++)
		count++;
	return count;
}

static void take(struct csv_cutter *c, const char *data, size_t len, size_t size, struct csv_record *out)
{
	*out = (struct csv_record){.size = size, .text = {data, len}, .lines = 1, .fault = c->fault};
	if (c->is_quoted)
		out->lines += count_ends(data, len);
	if (len > 0 && data[len - 1] == '\r')
		out->text.len--;
	*c = (struct csv_cutter){.separator = c->separator};
}

bool csv_cut(struct csv_cutter *c, const char *data, size_t len, bool is_end, struct csv_record *out)
{
	size_t end, limit = len <= CSV_RECORD_MAX ? len : CSV_RECORD_MAX + 1;
	if (len == 0)
		return false;
	if (find_end(c, data, limit, &end)) {
		take(c, data, end, end + 1, out);
		return true;
	}
	if (len > CSV_RECORD_MAX) {
		take(c, data, CSV_RECORD_MAX, CSV_RECORD_MAX, out);
		out->is_endless = true;
		out->fault = "the record is longer than 1 MiB: is a quote not closed?";
		return true;
	}
	if (!is_end)
		return false;
	if (c->state == QUOTED)
		c->fault = "a quote that is not closed until the end of the file";
	take(c, data, len, len, out);
	out->lines -= out->lines > 1 && data[len - 1] == '\n'; /* nothing is behind it */
	return true;
}

/* ---- fields ---- */

/* The end of what the quote in front of `text` opens. */
static size_t find_closing(struct slice text, bool *has_pairs)
{
	size_t at = 0;
	*has_pairs = false;
	for (;;) {
		const char *quote = memchr(text.data + at, '"', text.len - at);
		if (!quote) /* not of a record without fault */
			return text.len;
		at = (size_t)(quote - text.data);
		if (at + 1 == text.len || text.data[at + 1] != '"')
			return at;
		*has_pairs = true;
		at += 2;
	}
}

bool csv_next(struct slice *rest, char separator, struct csv_field *field)
{
	struct slice all = *rest;
	if (!all.data)
		return false;
	size_t end = 0, behind = 0;
	*field = (struct csv_field){0};
	if (all.len > 0 && all.data[0] == '"') {
		struct slice inner = {all.data + 1, all.len - 1};
		end = find_closing(inner, &field->has_pairs);
		field->text = (struct slice){inner.data, end};
		behind = end < inner.len ? end + 2 : all.len;
	} else {
		const char *at = all.len > 0 ? memchr(all.data, separator, all.len) : NULL;
		behind = at ? (size_t)(at - all.data) : all.len;
		field->text = (struct slice){all.data, behind};
	}
	*rest = behind < all.len ? (struct slice){all.data + behind + 1, all.len - behind - 1}
				 : (struct slice){0};
	return true;
}

size_t csv_unpair(struct slice text, char *to)
{
	size_t len = 0;
	for (size_t i = 0; i < text.len; i++) {
		to[len++] = text.data[i];
		if (text.data[i] == '"')
			i++;
	}
	return len;
}
