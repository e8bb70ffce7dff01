/* SPDX-License-Identifier: MIT */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

#include "json_line.h"

enum { BIG_NUMBERS_MAX = 64 /* of a line that are read over */ };

__attribute__((format(printf, 2, 3))) static int bad(struct json_line *l, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(l->reason, sizeof(l->reason), fmt, ap);
	va_end(ap);
	return JSON_LINE_BAD;
}

static bool is_blank(struct slice text)
{
	size_t i = 0;
	while (i < text.len && (text.data[i] == ' ' || text.data[i] == '\t' || text.data[i] == '\r'))
		i++;
	return i == text.len;
}

/* A NUL in a name is for who knows what a name is to complain of. */
static json_t *load(const char *text, size_t len, json_error_t *error)
{
	return json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, error);
}

static bool is_of_number(char c)
{
	return (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.' || c == 'e' || c == 'E';
}

/* Makes the number that ends at `end` an empty string, which is no number to whoever asks for one. */
static bool blank_number(char *text, size_t end)
{
	size_t begin = end;
	while (begin > 0 && is_of_number(text[begin - 1]))
		begin--;
	if (end - begin < 2)
		return false;
	memset(text + begin, ' ', end - begin);
	text[begin] = text[begin + 1] = '"';
	return true;
}

/* Numbers beyond 64 bits or a double are everyday in keys that nobody asks for, and jansson takes none. */
static json_t *load_over_numbers(struct slice text, json_error_t *error)
{
	json_t *root = load(text.data, text.len, error);
	if (root || json_error_code(error) != json_error_numeric_overflow)
		return root;
	char *copy = malloc(text.len);
	if (!copy)
		return NULL;
	memcpy(copy, text.data, text.len);
	for (int i = 0; !root && i < BIG_NUMBERS_MAX; i++) {
		size_t end = error->position > 0 ? (size_t)error->position : 0;
		if (json_error_code(error) != json_error_numeric_overflow || end > text.len ||
		    !blank_number(copy, end))
			break;
		root = load(copy, text.len, error);
	}
	free(copy);
	return root;
}

static int refuse(struct json_line *l, const json_error_t *error)
{
	enum json_error_code code = json_error_code(error);
	bool is_limit = code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
			code == json_error_stack_overflow || code == json_error_duplicate_key;
	return bad(l, "%s: %s (column %d)", is_limit ? "JSON that is not taken" : "not JSON", error->text,
		   error->column);
}

int json_line_open(struct json_line *l, struct slice text)
{
	json_error_t error;
	if (is_blank(text))
		return JSON_LINE_NONE;
	json_t *root = load_over_numbers(text, &error);
	if (!root)
		return refuse(l, &error);
	if (!json_is_object(root)) {
		json_decref(root);
		return bad(l, "not a JSON object: one with \"name\" and a number is expected");
	}
	l->root = root;
	return JSON_LINE_OK;
}

void json_line_close(struct json_line *l)
{
	json_decref(l->root);
	l->root = NULL;
}

/* ---- the name ---- */

static int digit_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The bytes of four characters, 1 to 3 of them; 0: they are not base64. Bits that pad must be zero, so that
 * there is one way to write a name. */
static size_t decode_quad(const char *quad, bool is_last, char out[3])
{
	size_t chars = quad[3] != '=' || !is_last ? 4 : quad[2] != '=' ? 3 : 2;
	uint32_t bits = 0;
	for (size_t i = 0; i < 4; i++) {
		int digit = i < chars ? digit_of(quad[i]) : 0;
		if (digit < 0)
			return 0;
		bits = bits << 6 | (uint32_t)digit;
	}
	if (bits & ((UINT32_C(1) << (8 * (4 - chars))) - 1))
		return 0;
	for (size_t i = 0; i < 3; i++)
		out[i] = (char)(bits >> (16 - 8 * i) & 0xff);
	return chars - 1;
}

static int decode_name(struct json_line *l, struct slice text, struct slice *name)
{
	size_t len = 0;
	if (text.len % 4 != 0)
		return bad(l, "name_base64: not a multiple of four characters");
	for (size_t i = 0; i < text.len; i += 4) {
		char out[3];
		size_t count = decode_quad(text.data + i, i + 4 == text.len, out);
		if (count == 0)
			return bad(l, "name_base64: not base64 as in RFC 4648");
		if (len + count > sizeof(l->decoded))
			return bad(l, "the name is longer than %d bytes", NAME_LEN_MAX);
		memcpy(l->decoded + len, out, count);
		len += count;
	}
	*name = (struct slice){l->decoded, len};
	return JSON_LINE_OK;
}

int json_line_name(struct json_line *l, struct slice *name)
{
	const json_t *plain = json_object_get(l->root, "name");
	const json_t *coded = json_object_get(l->root, "name_base64");
	const json_t *found = plain ? plain : coded;
	if (plain && coded)
		return bad(l, "has both \"name\" and \"name_base64\"");
	if (!found)
		return bad(l, "has no \"name\"");
	if (!json_is_string(found))
		return bad(l, "\"%s\" is not a string", plain ? "name" : "name_base64");
	struct slice text = {json_string_value(found), json_string_length(found)};
	if (coded)
		return decode_name(l, text, name);
	*name = text;
	return JSON_LINE_OK;
}

int json_line_i64(struct json_line *l, const char *key, int64_t *value)
{
	const json_t *found = json_object_get(l->root, key);
	if (!found)
		return JSON_LINE_NONE;
	if (!json_is_integer(found))
		return bad(l, "\"%s\" is not a whole number (without quotes, fraction and exponent)", key);
	*value = json_integer_value(found);
	return JSON_LINE_OK;
}
