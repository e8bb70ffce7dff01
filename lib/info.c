/* SPDX-License-Identifier: MIT */
/* info.c - see info.h. */
#include "info.h"

#include <string.h>

#include "num.h"

/* Up to that character, which is dropped, or to the end. */
static struct slice cut(struct slice *rest, char at)
{
	const char *end = rest->len ? memchr(rest->data, at, rest->len) : NULL;
	struct slice head = {rest->data, end ? (size_t)(end - rest->data) : rest->len};

	rest->data = end ? end + 1 : NULL;
	rest->len = end ? rest->len - head.len - 1 : 0;
	return head;
}

bool info_next(struct slice *text, struct slice *key, struct slice *value)
{
	while (text->len) {
		struct slice rest = cut(text, '\n'), name = cut(&rest, ':');

		if (!rest.data || (name.len && name.data[0] == '#'))
			continue;
		if (rest.len && rest.data[rest.len - 1] == '\r')
			rest.len--;
		*key = name;
		*value = rest;
		return true;
	}
	return false;
}

bool info_find(struct slice text, const char *key, struct slice *out)
{
	struct slice name, value;

	while (info_next(&text, &name, &value)) {
		if (!slice_equal(name, slice_str(key)))
			continue;
		*out = value;
		return true;
	}
	return false;
}

bool info_is(struct slice text, const char *key, const char *word)
{
	struct slice value;

	return info_find(text, key, &value) && slice_equal(value, slice_str(word));
}

int64_t info_number(struct slice text, const char *key, int64_t otherwise)
{
	struct slice value;
	int64_t number;

	return info_find(text, key, &value) && num_parse_i64(value, &number) ? number : otherwise;
}

int64_t info_part(struct slice value, const char *key, int64_t otherwise)
{
	int64_t number;

	while (value.len) {
		struct slice part = cut(&value, ','), name = cut(&part, '=');

		if (slice_equal(name, slice_str(key)) && num_parse_i64(part, &number))
			return number;
	}
	return otherwise;
}

int64_t info_quantile(struct slice value, double share)
{
	double wanted = share * (double)info_part(value, "le_inf", 0);

	if (wanted <= 0)
		return -1;
	while (value.len) {
		struct slice part = cut(&value, ','), name = cut(&part, '=');
		int64_t count, bound;

		if (name.len > 3 && memcmp(name.data, "le_", 3) == 0 && num_parse_i64(part, &count) &&
		    num_parse_i64((struct slice){name.data + 3, name.len - 3}, &bound) &&
		    (double)count >= wanted)
			return bound;
	}
	return INT64_MAX;
}
