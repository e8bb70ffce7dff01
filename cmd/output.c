/* SPDX-License-Identifier: MIT */
#define LIBBSD_NETBSD_VIS /* the vis(3) family as NetBSD and FreeBSD have it */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include <bsd/vis.h>

#include "../lib/num.h"
#include "columns.h"
#include "command.h"
#include "output.h"
#include "terminal.h"

enum { WRITE_BYTES_MIN = 64 << 10, VISIBLE_CHARS_MAX = 8, UTF8_LEN_MAX = 4, VALUE_COLUMNS_MIN = 16 };

/* ---- bytes ---- */

/* The length of the UTF-8 sequence at s (Unicode 15, table 3-7: no overlong forms, no surrogates), or 0. */
static size_t utf8_len(const unsigned char *s, size_t left)
{
	size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] <= 0xdf ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : 4;
	if (len == 1)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4 || len > left)
		return 0;
	unsigned char low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
	unsigned char high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	return len;
}

bool output_is_utf8(struct slice s)
{
	const unsigned char *p = (const unsigned char *)s.data;
	for (size_t pos = 0; pos < s.len;) {
		size_t len = utf8_len(p + pos, s.len - pos);
		if (len == 0)
			return false;
		pos += len;
	}
	return true;
}

/* C0, DEL, and the C1 controls, which some terminals take as ESC [. */
static bool is_control(const unsigned char *s, size_t len)
{
	return s[0] < 0x20 || s[0] == 0x7f || (len == 2 && s[0] == 0xc2 && s[1] < 0xa0);
}

static uint32_t code_point(const unsigned char *s, size_t len)
{
	static const unsigned char first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t code = s[0] & first_bits[len];
	for (size_t i = 1; i < len; i++)
		code = code << 6 | (s[i] & 0x3f);
	return code;
}

/* Unicode's Bidi_Control, and the separators of lines and paragraphs. */
static bool is_turning(const unsigned char *s, size_t len)
{
	uint32_t c = code_point(s, len);
	return c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

/* Combining marks are drawn onto what stands before them. */
static bool is_mark(const unsigned char *s, size_t len)
{
	return columns_of((struct slice){(const char *)s, len}) == 0;
}

static void put_visible(struct buf *b, struct slice s, size_t len_max)
{
	const unsigned char *p = (const unsigned char *)s.data;
	bool has_letter = false; /* before pos, as it is */
	for (size_t pos = 0; pos < s.len;) {
		size_t len = utf8_len(p + pos, s.len - pos);
		bool is_harmless =
			len > 0 && len <= len_max && !is_control(p + pos, len) && !is_turning(p + pos, len);
		if (is_harmless && (has_letter || !is_mark(p + pos, len))) {
			buf_append(b, p + pos, len);
			pos += len;
			has_letter = true;
			continue;
		}
		has_letter = false;
		char text[VISIBLE_CHARS_MAX];
		const char *end = vis(text, p[pos], VIS_OCTAL | VIS_CSTYLE | VIS_TAB | VIS_NL, 0);
		buf_append(b, text, (size_t)(end - text));
		pos++;
	}
}

void output_visible(struct buf *b, struct slice s)
{
	put_visible(b, s, UTF8_LEN_MAX);
}

void output_visible_ascii(struct buf *b, struct slice s)
{
	put_visible(b, s, 1);
}

/* ---- writing ---- */

void output_init(struct output *out, int fd, bool may_show_names)
{
	struct terminal t = {0};
	if (may_show_names)
		terminal_look(&t, fd);
	*out = (struct output){
		.fd = fd,
		.is_terminal = t.is_terminal,
		.is_ascii = t.is_terminal && !t.is_utf8,
		.columns = t.is_terminal ? t.columns : 0,
	};
}

void output_flush(struct output *out)
{
	while (buf_len(&out->buf) > 0 && !out->error) {
		ssize_t n = write(out->fd, buf_head(&out->buf), buf_len(&out->buf));
		if (n > 0)
			buf_consume(&out->buf, (size_t)n);
		else if (n < 0 && errno != EINTR)
			out->error = errno;
	}
	buf_consume(&out->buf, buf_len(&out->buf));
}

int output_finish(struct output *out)
{
	output_flush(out);
	if (!out->error && out->buf.failed)
		out->error = ENOMEM;
	buf_fini(&out->buf);
	if (!out->error)
		return EX_OK;
	return command_fail(EX_IOERR, "cannot write to standard output: %s", strerror(out->error));
}

void output_text(struct output *out, struct slice text)
{
	buf_append(&out->buf, text.data, text.len);
}

static void put(struct output *out, const char *text)
{
	buf_append(&out->buf, text, strlen(text));
}

void output_i64(struct output *out, int64_t v)
{
	char digits[NUM_I64_CHARS_MAX];
	buf_append(&out->buf, digits, num_format_i64(digits, v));
}

void output_name(struct output *out, struct slice name)
{
	if (out->is_ascii)
		output_visible_ascii(&out->buf, name);
	else if (out->is_terminal)
		output_visible(&out->buf, name);
	else
		output_text(out, name);
}

void output_label(struct output *out, struct slice label, int columns)
{
	bool has_room = out->columns >= columns + VALUE_COLUMNS_MIN;
	output_text(out, label);
	if (!has_room)
		put(out, "\t");
	for (int i = (int)label.len; has_room && i < columns; i++)
		put(out, " ");
}

void output_line(struct output *out)
{
	put(out, "\n");
	if (buf_len(&out->buf) >= WRITE_BYTES_MIN)
		output_flush(out);
}

void output_row(struct output *out, struct slice name, int64_t value)
{
	output_name(out, name);
	put(out, "\t");
	output_i64(out, value);
	output_line(out);
}

/* ---- JSON ---- */

/* "\\u1234" */
static void put_unit(struct output *out, uint32_t unit)
{
	static const char hex[] = "0123456789abcdef";
	char text[] = {'\\', 'u', hex[unit >> 12], hex[unit >> 8 & 15], hex[unit >> 4 & 15], hex[unit & 15]};
	buf_append(&out->buf, text, sizeof(text));
}

static void put_code_point(struct output *out, uint32_t code)
{
	if (code > 0xffff) {
		put_unit(out, 0xd800 + ((code - 0x10000) >> 10));
		code = 0xdc00 + (code & 0x3ff);
	}
	put_unit(out, code);
}

static void put_escaped(struct output *out, struct slice s)
{
	const unsigned char *p = (const unsigned char *)s.data;
	put(out, "\"");
	for (size_t pos = 0; pos < s.len;) {
		size_t len = utf8_len(p + pos, s.len - pos);
		if (len == 0) {
			put(out, "\\ufffd");
			len = 1;
		} else if (p[pos] == '"' || p[pos] == '\\') {
			put(out, "\\");
			buf_append(&out->buf, p + pos, 1);
		} else if (is_control(p + pos, len) || is_turning(p + pos, len) ||
			   (out->is_ascii && len > 1)) {
			put_code_point(out, code_point(p + pos, len));
		} else {
			buf_append(&out->buf, p + pos, len);
		}
		pos += len;
	}
	put(out, "\"");
}

static void put_key(struct output *out, struct slice key)
{
	if (!out->is_first)
		put(out, ",");
	out->is_first = false;
	put_escaped(out, key);
	put(out, ":");
}

void json_open(struct output *out)
{
	put(out, "{");
	out->is_first = true;
}

void json_close(struct output *out)
{
	put(out, "}");
	output_line(out);
}

void json_open_inner(struct output *out)
{
	json_open(out);
}

void json_close_inner(struct output *out)
{
	put(out, "}");
	out->is_first = false;
}

static void put_base64(struct output *out, struct slice s)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = (const unsigned char *)s.data;
	for (size_t i = 0; i < s.len; i += 3) {
		size_t left = s.len - i;
		uint32_t bits = (uint32_t)p[i] << 16;
		bits |= left > 1 ? (uint32_t)p[i + 1] << 8 : 0;
		bits |= left > 2 ? p[i + 2] : 0;
		char quad[4] = {digits[bits >> 18], digits[bits >> 12 & 63],
				left > 1 ? digits[bits >> 6 & 63] : '=', left > 2 ? digits[bits & 63] : '='};
		buf_append(&out->buf, quad, sizeof(quad));
	}
}

void json_bytes(struct output *out, const char *key, struct slice bytes)
{
	char base64_key[32];
	if (output_is_utf8(bytes)) {
		json_text(out, slice_str(key), bytes);
		return;
	}
	snprintf(base64_key, sizeof(base64_key), "%s_base64", key);
	put_key(out, slice_str(base64_key));
	put(out, "\"");
	put_base64(out, bytes);
	put(out, "\"");
}

void json_name(struct output *out, struct slice name)
{
	json_bytes(out, "name", name);
}

void json_i64(struct output *out, const char *key, int64_t v)
{
	put_key(out, slice_str(key));
	output_i64(out, v);
}

void json_text(struct output *out, struct slice key, struct slice v)
{
	put_key(out, key);
	put_escaped(out, v);
}

void json_bool(struct output *out, const char *key, bool v)
{
	put_key(out, slice_str(key));
	put(out, v ? "true" : "false");
}

void json_raw(struct output *out, struct slice key, struct slice text)
{
	put_key(out, key);
	output_text(out, text);
}
