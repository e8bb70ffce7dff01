/* SPDX-License-Identifier: MIT */
#include <locale.h>
#include <stdbool.h>
#include <string.h>
#include <wchar.h>

#include "columns.h"

#define CSTYLE "nrbavtfs0" /* vis(3): behind a backslash, a byte */

/* A character, or one made visible, and how much room it takes. */
struct glyph {
	size_t len; /* bytes */
	size_t columns;
};

/* Whatever the user's locale is, the text is UTF-8. Null, and everything beyond ASCII counts as wide, where
 * the system does not have it. */
static locale_t utf8_locale(void)
{
	static locale_t locale;
	static bool is_loaded;
	if (!is_loaded)
		locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	is_loaded = true;
	return locale;
}

enum {
	WIDE = 2,
	EMOJI_STYLE = 0xfe0f, /* makes the character before it a wide one, in some terminals */
};

static size_t columns_of_code(wchar_t code)
{
	locale_t utf8 = utf8_locale();
	locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
	int columns = wcwidth(code);
	if (utf8)
		uselocale(before);
	if (code == EMOJI_STYLE)
		return 1;
	return columns < 0 ? WIDE : (size_t)columns;
}

/* What output_visible writes for a byte: the length of "\303" or "\t" at the beginning, or 1. A name may
 * have the same by itself; it stays whole, too. */
static size_t escape_len(struct slice text)
{
	size_t digits = 1;
	while (digits < text.len && digits <= 3 && text.data[digits] >= '0' && text.data[digits] <= '7')
		digits++;
	if (digits == 4)
		return digits;
	return text.len > 1 && memchr(CSTYLE, text.data[1], sizeof(CSTYLE) - 1) ? 2 : 1;
}

/* The first one; `text` is not empty. */
static struct glyph first_of(struct slice text)
{
	const unsigned char *p = (const unsigned char *)text.data;
	if (p[0] == '\\') {
		size_t len = escape_len(text);
		return (struct glyph){len, len};
	}
	if (p[0] < 0x80)
		return (struct glyph){1, 1};
	size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || len > text.len)
		return (struct glyph){1, 1};
	wchar_t code = p[0] & (0x7f >> len);
	for (size_t i = 1; i < len; i++)
		code = (wchar_t)((unsigned)code << 6 | (p[i] & 0x3f));
	return (struct glyph){len, columns_of_code(code)};
}

static void skip(struct slice *text, size_t len)
{
	text->data += len;
	text->len -= len;
}

size_t columns_of(struct slice text)
{
	size_t columns = 0;
	while (text.len > 0) {
		struct glyph g = first_of(text);
		columns += g.columns;
		skip(&text, g.len);
	}
	return columns;
}

/* The longest beginning that takes at most `columns`; *taken is what it takes. */
static size_t beginning(struct slice text, size_t columns, size_t *taken)
{
	size_t len = 0;
	*taken = 0;
	while (text.len > 0) {
		struct glyph g = first_of(text);
		if (*taken + g.columns > columns)
			break;
		*taken += g.columns;
		len += g.len;
		skip(&text, g.len);
	}
	return len;
}

/* The longest end that takes at most `columns` and does not begin with what belongs to the character before.
 */
static struct slice ending(struct slice text, size_t columns, size_t *taken)
{
	size_t left = columns_of(text);
	while (text.len > 0) {
		struct glyph g = first_of(text);
		if (left <= columns && g.columns > 0)
			break;
		left -= g.columns;
		skip(&text, g.len);
	}
	*taken = left;
	return text;
}

static size_t cut(struct buf *out, struct slice text, size_t columns, size_t columns_tail, const char *mark)
{
	size_t head, tail, total = columns_of(text);
	if (total <= columns) {
		buf_append(out, text.data, text.len);
		return total;
	}
	if (columns == 0)
		return 0;
	struct slice end = ending(text, columns_tail, &tail);
	size_t len = beginning(text, columns - 1 - tail, &head);
	buf_append(out, text.data, len);
	buf_append(out, mark, strlen(mark));
	buf_append(out, end.data, end.len);
	return head + 1 + tail;
}

size_t columns_cut_middle(struct buf *out, struct slice text, size_t columns, const char *mark)
{
	return cut(out, text, columns, columns ? (columns - 1) / 2 : 0, mark);
}

size_t columns_cut_end(struct buf *out, struct slice text, size_t columns, const char *mark)
{
	return cut(out, text, columns, 0, mark);
}

void columns_pad(struct buf *out, size_t columns)
{
	while (columns-- > 0)
		buf_append(out, " ", 1);
}
