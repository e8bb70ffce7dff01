/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "fraction.h"

typedef unsigned __int128 u128;

/* ---- numbers ---- */

enum { EXPONENT_MAX = 1000 }; /* what is written; nothing near it fits */

static const __int128 MANTISSA_MAX = (__int128)1 << 63;

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool read_exponent(struct slice text, int *out)
{
	bool is_negative = text.len > 0 && text.data[0] == '-';
	size_t i = is_negative || (text.len > 0 && text.data[0] == '+');
	int value = 0;
	if (i == text.len)
		return false;
	for (; i < text.len; i++) {
		if (!is_digit(text.data[i]) || value > EXPONENT_MAX)
			return false;
		value = value * 10 + (text.data[i] - '0');
	}
	*out = is_negative ? -value : value;
	return true;
}

/* Digits and a point from *at on. Zeros are held back until a digit follows them: those at the end are the
 * exponent's. */
static bool read_digits(struct slice text, size_t *at, struct decimal *out)
{
	bool has_point = false, has_digit = false;
	int zeros = 0;
	for (; *at < text.len && (is_digit(text.data[*at]) || (text.data[*at] == '.' && !has_point)); ++*at) {
		if (text.data[*at] == '.') {
			has_point = true;
			continue;
		}
		has_digit = true;
		out->exponent -= has_point;
		zeros++;
		if (text.data[*at] == '0')
			continue;
		for (; zeros > 0 && out->mantissa <= MANTISSA_MAX; zeros--)
			out->mantissa *= 10;
		out->mantissa += text.data[*at] - '0';
		if (zeros > 0 || out->mantissa > MANTISSA_MAX)
			return false;
	}
	out->exponent = out->mantissa == 0 ? 0 : out->exponent + zeros;
	return has_digit;
}

bool decimal_parse(struct slice text, struct decimal *out)
{
	struct decimal d = {0};
	int exponent = 0;
	bool is_negative = text.len > 0 && text.data[0] == '-';
	size_t at = is_negative || (text.len > 0 && text.data[0] == '+');
	if (!read_digits(text, &at, &d))
		return false;
	if (at < text.len && (text.data[at] | 0x20) == 'e') {
		if (!read_exponent((struct slice){text.data + at + 1, text.len - at - 1}, &exponent))
			return false;
		at = text.len;
	}
	if (at < text.len)
		return false;
	out->mantissa = is_negative ? -d.mantissa : d.mantissa;
	out->exponent = d.mantissa == 0 ? 0 : d.exponent + exponent;
	return true;
}

/* *value * 10^exponent, exponent >= 0. */
static bool scale(__int128 *value, int exponent)
{
	for (; *value != 0 && exponent > 0; exponent--) {
		if (__builtin_mul_overflow(*value, (__int128)10, value))
			return false;
	}
	return true;
}

bool decimal_is_rate(const struct decimal *d)
{
	__int128 one = 1;
	if (d->mantissa <= 0 || d->exponent > 0)
		return false;
	return !scale(&one, -d->exponent) || d->mantissa <= one;
}

static u128 common_divisor(u128 a, u128 b)
{
	while (b != 0) {
		u128 rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

bool fraction_divide(const struct decimal *value, const struct decimal *rate, struct fraction *out)
{
	__int128 above = value->mantissa, below = rate->mantissa;
	int exponent = value->exponent - rate->exponent;
	if (!scale(&above, exponent) || !scale(&below, -exponent))
		return false;
	__int128 whole = above / below, rest = above % below;
	if (rest < 0) {
		whole--;
		rest += below;
	}
	if (whole < INT64_MIN || whole > INT64_MAX)
		return false;
	u128 divisor = common_divisor((u128)below, (u128)rest);
	*out = (struct fraction){(int64_t)whole, (u128)rest / divisor, (u128)below / divisor};
	return true;
}

/* ---- lots ---- */

/* Uniform below `bound`: as many bits as it has, drawn again while they are not below it. */
static u128 draw_wide(u128 bound)
{
	u128 mask = bound, drawn;
	for (int shift = 1; shift < 128; shift *= 2)
		mask |= mask >> shift;
	do {
		arc4random_buf(&drawn, sizeof(drawn));
		drawn &= mask;
	} while (drawn >= bound);
	return drawn;
}

/* True with the probability rest / parts. */
static bool is_drawn(u128 rest, u128 parts)
{
	if (rest == 0)
		return false;
	return (parts <= UINT32_MAX ? arc4random_uniform((uint32_t)parts) : draw_wide(parts)) < rest;
}

/* ---- sums ---- */

void fraction_fini(struct fraction_sums *s)
{
	for (size_t i = 0; i < s->count; i++)
		table_fini(&s->of[i].rests);
	s->count = 0;
}

/* The table of this denominator, a new one if need be; null when there can be none. */
static struct table *table_of(struct fraction_sums *s, u128 parts)
{
	for (size_t i = 0; i < s->count; i++) {
		if ((u128)s->of[i].parts == parts)
			return &s->of[i].rests;
	}
	if (parts > INT64_MAX || s->count == FRACTION_TABLES_MAX || table_init(&s->of[s->count].rests))
		return NULL;
	s->of[s->count].parts = (int64_t)parts;
	return &s->of[s->count++].rests;
}

int64_t fraction_add(struct fraction_sums *s, struct slice name, const struct fraction *f)
{
	if (f->rest == 0)
		return 0;
	struct table *rests = table_of(s, f->parts);
	struct table_entry *e = rests ? table_find(rests, name) : NULL;
	if (e) {
		u128 sum = (u128)e->sum + f->rest;
		e->sum = (int64_t)(sum >= f->parts ? sum - f->parts : sum);
		return sum >= f->parts;
	}
	if (rests && table_add(rests, name, (int64_t)f->rest) == TABLE_OK)
		return 0;
	return is_drawn(f->rest, f->parts);
}

bool fraction_round(const struct fraction_sums *s, struct fraction_walk *at, struct slice *name)
{
	for (; at->table < s->count; *at = (struct fraction_walk){at->table + 1, 0}) {
		const struct table_entry *e;
		while ((e = table_next(&s->of[at->table].rests, &at->pos))) {
			if (!is_drawn((u128)e->sum, (u128)s->of[at->table].parts))
				continue;
			*name = table_entry_name(e);
			return true;
		}
	}
	return false;
}

void fraction_clear(struct fraction_sums *s)
{
	for (size_t i = 0; i < s->count; i++) {
		if (s->of[i].rests.count > 0)
			table_clear(&s->of[i].rests);
	}
}

size_t fraction_bytes(const struct fraction_sums *s)
{
	size_t bytes = 0;
	for (size_t i = 0; i < s->count; i++)
		bytes += table_bytes(&s->of[i].rests);
	return bytes;
}
