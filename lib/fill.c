/* SPDX-License-Identifier: MIT */
#include "fill.h"

#include <stdbool.h>
#include <string.h>

/* Where the filling stands. */
struct fill {
	struct buf *out;
	size_t indent, width;
	size_t column;
	bool is_begun; /* a word of the paragraph stands in this line */
};

/* Of UTF-8: every byte but those that go on. */
static size_t columns(const char *text, size_t len)
{
	size_t n = 0;
	for (size_t i = 0; i < len; i++)
		n += ((unsigned char)text[i] & 0xc0) != 0x80;
	return n;
}

static void put(struct fill *f, const char *text, size_t len)
{
	buf_append(f->out, text, len);
	f->column += columns(text, len);
}

static void end_line(struct fill *f)
{
	buf_append(f->out, "\n", 1);
	f->column = 0;
	f->is_begun = false;
}

static void put_indent(struct fill *f)
{
	while (f->column < f->indent)
		put(f, " ", 1);
}

static void put_word(struct fill *f, const char *word, size_t len)
{
	if (f->is_begun && f->column + 1 + columns(word, len) > f->width)
		end_line(f);
	if (f->is_begun)
		put(f, " ", 1);
	put_indent(f);
	put(f, word, len);
	f->is_begun = true;
}

static void put_words(struct fill *f, const char *line, size_t len)
{
	const char *end = line + len;
	while (line < end) {
		size_t blanks = strspn(line, " ");
		size_t word = strcspn(line + blanks, " \n");
		if (word)
			put_word(f, line + blanks, word);
		line += blanks + word;
	}
}

void fill_append(struct buf *out, const char *text, size_t at, size_t indent, size_t width)
{
	struct fill f = {.out = out, .indent = indent, .width = width, .column = at};
	while (*text) {
		size_t len = strcspn(text, "\n");
		bool is_fixed = len == 0 || text[0] == ' ';
		if (is_fixed && f.is_begun)
			end_line(&f);
		if (is_fixed) {
			if (len)
				put_indent(&f);
			put(&f, text, len);
			end_line(&f);
		} else {
			put_words(&f, text, len);
		}
		text += len + (text[len] == '\n');
	}
	if (f.is_begun)
		end_line(&f);
}
