/* SPDX-License-Identifier: MIT */
#include "statsd.h"

/* The bytes of *rest before the first of the two, or all. They leave *rest; what ended them is returned and
 * stays at its head, '\0' for the end. */
static char take_until(struct slice *rest, char end, char other_end, struct slice *out)
{
	size_t len = 0;
	while (len < rest->len && rest->data[len] != end && rest->data[len] != other_end)
		len++;
	*out = (struct slice){rest->data, len};
	*rest = (struct slice){rest->data + len, rest->len - len};
	return rest->len > 0 ? rest->data[0] : '\0';
}

static void drop_byte(struct slice *rest)
{
	*rest = (struct slice){rest->data + 1, rest->len - 1};
}

static bool begins_with(struct slice s, const char *with)
{
	size_t len = strlen(with);
	return s.len >= len && memcmp(s.data, with, len) == 0;
}

static int bad(const char **reason, const char *why)
{
	*reason = why;
	return STATSD_BAD;
}

static int read_rate(struct slice text, struct decimal *rate, const char **reason)
{
	drop_byte(&text);
	if (rate->mantissa != 0)
		return bad(reason, "has two rates");
	if (!decimal_parse(text, rate) || !decimal_is_rate(rate))
		return bad(reason, "the rate behind @ is not a number above 0 and up to 1");
	return STATSD_OK;
}

/* What DogStatsD adds: tags, container, time stamp, external data, cardinality. A tag may contain a ':'. */
static bool is_extension(struct slice section)
{
	return begins_with(section, "#") || begins_with(section, "c:") || begins_with(section, "T") ||
	       begins_with(section, "e:") || begins_with(section, "card:");
}

/* The sections behind a type, up to the ':' in front of the next value. */
static int take_sections(struct statsd_line *l, bool is_counter, const char **reason)
{
	struct slice section;
	l->rate = (struct decimal){0};
	while (l->rest.len > 0 && l->rest.data[0] == '|') {
		drop_byte(&l->rest);
		bool is_rate = begins_with(l->rest, "@");
		take_until(&l->rest, '|', is_rate ? ':' : '|', &section);
		int rc = STATSD_OK;
		if (is_counter && is_rate)
			rc = read_rate(section, &l->rate, reason);
		else if (is_counter && !is_extension(section))
			rc = bad(reason,
				 "behind the type stands neither a rate (@0.1) nor a tag (#NAME:VALUE)");
		if (rc)
			return rc;
	}
	if (l->rate.mantissa == 0)
		l->rate = (struct decimal){1, 0};
	return STATSD_OK;
}

/* The next "numbers|type|sections". STATSD_NONE: another type than c. */
static int take_part(struct statsd_line *l, const char **reason)
{
	struct slice numbers, type;
	if (take_until(&l->rest, '|', '|', &numbers) != '|')
		return bad(reason, "no type behind the value: NAME:VALUE|c is expected");
	drop_byte(&l->rest);
	take_until(&l->rest, '|', ':', &type);
	if (type.len == 0)
		return bad(reason, "no type behind the value: NAME:VALUE|c is expected");
	bool is_counter = slice_equal(type, slice_str("c"));
	int rc = take_sections(l, is_counter, reason);
	if (rc)
		return rc;
	if (l->rest.len > 0)
		drop_byte(&l->rest);
	else
		l->rest = (struct slice){0};
	if (is_counter)
		l->numbers = numbers;
	return is_counter ? STATSD_OK : STATSD_NONE;
}

static int take_number(struct statsd_line *l, struct fraction *value, const char **reason)
{
	struct slice text;
	struct decimal d;
	if (take_until(&l->numbers, ':', ':', &text) == ':')
		drop_byte(&l->numbers);
	else
		l->numbers = (struct slice){0};
	if (!decimal_parse(text, &d))
		return bad(reason, "the value is not a number, or has too many digits");
	if (!fraction_divide(&d, &l->rate, value))
		return bad(reason, "the value (divided by its rate) leaves 64 bits, or has too many digits");
	return STATSD_OK;
}

int statsd_next(struct statsd_line *l, struct fraction *value, const char **reason)
{
	while (!l->numbers.data) {
		if (!l->rest.data)
			return STATSD_NONE;
		int rc = take_part(l, reason);
		if (rc == STATSD_BAD)
			return rc;
	}
	return take_number(l, value, reason);
}

int statsd_open(struct statsd_line *l, struct slice line, const char **reason)
{
	*l = (struct statsd_line){.rest = line};
	if (line.len == 0 || begins_with(line, "_e{") || begins_with(line, "_sc|"))
		return STATSD_NONE;
	if (take_until(&l->rest, ':', ':', &l->name) != ':')
		return bad(reason, "no value: NAME:VALUE|c is expected");
	if (l->name.len == 0)
		return bad(reason, "no name: NAME:VALUE|c is expected");
	drop_byte(&l->rest);
	struct statsd_line look = *l;
	struct fraction ignored;
	bool is_counted = false;
	int rc;
	while ((rc = statsd_next(&look, &ignored, reason)) == STATSD_OK)
		is_counted = true;
	return rc == STATSD_BAD ? rc : is_counted ? STATSD_OK : STATSD_NONE;
}
