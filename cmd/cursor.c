/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../lib/hash.h"
#include "cursor.h"

static const char title[] = "shcount ingest 1";

/* ---- marks ---- */

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

void mark_feed(struct mark *m, const char *data, size_t len)
{
	size_t more = smaller(len, MARK_BYTES - m->head_len);
	memcpy(m->head + m->head_len, data, more);
	m->head_len += more;
	size_t fresh = smaller(len, MARK_BYTES);
	size_t stays = smaller(m->tail_len, MARK_BYTES - fresh);
	memmove(m->tail, m->tail + m->tail_len - stays, stays);
	memcpy(m->tail + stays, data + len - fresh, fresh);
	m->tail_len = stays + fresh;
}

uint64_t mark_hash(const struct mark *m)
{
	struct hash_key key = {.k0 = 0x73686320696e6765, .k1 = 0x73742063ad726b31};
	key.k1 ^= hash_bytes(&key, m->head, m->head_len);
	return hash_bytes(&key, m->tail, m->tail_len);
}

/* ---- text ---- */

__attribute__((format(printf, 2, 3))) static void put(struct buf *b, const char *fmt, ...)
{
	char line[128];
	va_list ap;
	va_start(ap, fmt);
	int len = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	buf_append(b, line, (size_t)len);
}

void cursor_put(struct buf *b, const struct cursor *c)
{
	put(b, "%s\n", title);
	if (c->format != 0) /* without it, it is the text of versions that knew only one */
		put(b, "format %x\n", c->format);
	put(b, "separator %x\nname %x\ndelta %x\nskip %x\nprefix ", (unsigned char)c->separator,
	    (unsigned)c->name_field, (unsigned)c->delta_field, c->is_skip);
	buf_append(b, c->prefix.data, c->prefix.len);
	put(b, "\nlines %" PRIx64 "\nbad %" PRIx64 "\nskipped %" PRIx64 "\nfinished %x\n", c->lines,
	    c->lines_bad, c->lines_skipped, c->is_finished);
	for (size_t i = 0; i < c->files_count; i++) {
		const struct cursor_file *f = &c->files[i];
		put(b, "%" PRIx64 " %" PRIx64 " %" PRIx64, f->offset, f->lines, f->mark);
		if (f->id)
			put(b, " %" PRIx32, f->id);
		put(b, "\n");
	}
}

/* The text up to `end`, which is taken too. */
static bool take_until(struct slice *text, char end, struct slice *out)
{
	const char *at = text->len ? memchr(text->data, end, text->len) : NULL;
	if (!at)
		return false;
	size_t len = (size_t)(at - text->data);
	*out = (struct slice){text->data, len};
	*text = (struct slice){at + 1, text->len - len - 1};
	return true;
}

static bool take_key(struct slice *text, const char *key)
{
	struct slice found;
	return take_until(text, ' ', &found) && slice_equal(found, slice_str(key));
}

static bool take_hex(struct slice *text, char end, uint64_t *out)
{
	struct slice digits;
	uint64_t value = 0;
	if (!take_until(text, end, &digits) || digits.len == 0 || digits.len > 16)
		return false;
	for (size_t i = 0; i < digits.len; i++) {
		const char *known = "0123456789abcdef", *at = memchr(known, digits.data[i], 16);
		if (!at)
			return false;
		value = value << 4 | (uint64_t)(at - known);
	}
	*out = value;
	return true;
}

static bool take_field(struct slice *text, const char *key, uint64_t *out)
{
	return take_key(text, key) && take_hex(text, '\n', out);
}

static bool take_options(struct slice *text, struct cursor *c)
{
	uint64_t format = 0, separator, name, delta, skip;
	struct slice behind = *text;
	if (take_field(&behind, "format", &format))
		*text = behind;
	if (!take_field(text, "separator", &separator) || !take_field(text, "name", &name) ||
	    !take_field(text, "delta", &delta) || !take_field(text, "skip", &skip) ||
	    !take_key(text, "prefix") || !take_until(text, '\n', &c->prefix))
		return false;
	c->format = (unsigned)format;
	c->separator = (char)separator;
	c->name_field = (int)name;
	c->delta_field = (int)delta;
	c->is_skip = skip != 0;
	return true;
}

/* Version 0.1 stored no id. */
static bool take_file(struct slice *text, struct cursor_file *f)
{
	struct slice line;
	uint64_t id = 0;
	if (!take_hex(text, ' ', &f->offset) || !take_hex(text, ' ', &f->lines) ||
	    !take_until(text, '\n', &line))
		return false;
	bool has_id = memchr(line.data, ' ', line.len);
	line.len++; /* with its end */
	if (!take_hex(&line, has_id ? ' ' : '\n', &f->mark) || (has_id && !take_hex(&line, '\n', &id)))
		return false;
	f->id = (uint32_t)id;
	return f->id == id;
}

bool cursor_parse(struct slice text, struct cursor *out)
{
	struct slice line;
	uint64_t finished;
	*out = (struct cursor){0};
	if (!take_until(&text, '\n', &line) || !slice_equal(line, slice_str(title)) ||
	    !take_options(&text, out) || !take_field(&text, "lines", &out->lines) ||
	    !take_field(&text, "bad", &out->lines_bad) ||
	    !take_field(&text, "skipped", &out->lines_skipped) || !take_field(&text, "finished", &finished))
		return false;
	out->is_finished = finished != 0;
	while (text.len > 0) {
		if (out->files_count == CURSOR_FILES_MAX)
			return false;
		if (!take_file(&text, &out->files[out->files_count++]))
			return false;
	}
	return true;
}

const char *cursor_difference(const struct cursor *a, const struct cursor *b)
{
	if (a->format != b->format)
		return "-f";
	if (a->separator != b->separator)
		return "-F (or -f)";
	if (a->name_field != b->name_field)
		return "-k";
	if (a->delta_field != b->delta_field)
		return "-d";
	if (!slice_equal(a->prefix, b->prefix))
		return "--prefix";
	return a->is_skip != b->is_skip ? "--on-error" : NULL;
}
