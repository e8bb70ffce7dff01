/* SPDX-License-Identifier: MIT */
#include "num.h"

#include <string.h>

/* 1 to 19 digits cannot leave 64 unsigned bits, so one comparison at the end is enough. */
enum { U64_DIGITS_SAFE = 19 };

static bool digits_to_u64(const char *s, size_t len, uint64_t *out)
{
	if (len == 0 || len > U64_DIGITS_SAFE)
		return false;
	uint64_t v = 0;
	for (size_t i = 0; i < len; i++) {
		unsigned digit = (unsigned)(unsigned char)s[i] - '0';
		if (digit > 9)
			return false;
		v = v * 10 + digit;
	}
	*out = v;
	return true;
}

static bool signed_value(uint64_t magnitude, bool negative, int64_t *out)
{
	if (magnitude > (uint64_t)INT64_MAX + negative)
		return false;
	*out = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	return true;
}

bool num_parse_i64(struct slice s, int64_t *out)
{
	if (s.len == 0)
		return false;
	bool negative = s.data[0] == '-';
	const char *digits = s.data + negative;
	size_t len = s.len - negative;
	uint64_t magnitude;
	if (!digits_to_u64(digits, len, &magnitude))
		return false;
	if (digits[0] == '0' && (len > 1 || negative))
		return false;
	return signed_value(magnitude, negative, out);
}

static struct slice without_leading_zeros(struct slice s)
{
	while (s.len > 1 && s.data[0] == '0') {
		s.data++;
		s.len--;
	}
	return s;
}

bool num_parse_i64_loose(struct slice s, int64_t *out)
{
	bool negative = s.len > 0 && s.data[0] == '-';
	if (negative || (s.len > 0 && s.data[0] == '+')) {
		s.data++;
		s.len--;
	}
	s = without_leading_zeros(s);
	uint64_t magnitude;
	return digits_to_u64(s.data, s.len, &magnitude) && signed_value(magnitude, negative, out);
}

/* 1 for 0. By the number of bits, and a comparison. Source: Anderson, "Bit Twiddling Hacks", integer log
 * base 10. */
static inline unsigned digit_count(uint64_t v)
{
	static const uint64_t POWERS[] = {
		0,
		10,
		100,
		1000,
		10000,
		100000,
		1000000,
		10000000,
		100000000,
		1000000000,
		10000000000,
		100000000000,
		1000000000000,
		10000000000000,
		100000000000000,
		1000000000000000,
		10000000000000000,
		100000000000000000,
		1000000000000000000,
		UINT64_C(10000000000000000000),
	};
	unsigned bits = 64 - (unsigned)__builtin_clzll(v | 1);
	unsigned guess = bits * 1233 >> 12; /* log 2 / log 10 */
	return guess + (v >= POWERS[guess]);
}

static const char PAIRS[] = "00010203040506070809101112131415161718192021222324"
			    "25262728293031323334353637383940414243444546474849"
			    "50515253545556575859606162636465666768697071727374"
			    "75767778798081828384858687888990919293949596979899";

static inline void put_pair(char *out, uint32_t v)
{
	memcpy(out, PAIRS + (size_t)v * 2, 2);
}

size_t num_format_i64(char *out, int64_t v)
{
	size_t sign = v < 0;
	uint64_t rest = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	out[0] = '-'; /* overwritten by the first digit when there is no sign */
	size_t len = sign + digit_count(rest);
	char *p = out + len;
	/* Four digits a division of 64 bits. */
	for (; rest >= 10000; rest /= 10000) {
		uint32_t low = (uint32_t)(rest % 10000);
		p -= 4;
		put_pair(p, low / 100);
		put_pair(p + 2, low % 100);
	}
	uint32_t top = (uint32_t)rest;
	if (top >= 100) {
		p -= 2;
		put_pair(p, top % 100);
		top /= 100;
	}
	if (top >= 10)
		put_pair(p - 2, top);
	else
		p[-1] = (char)('0' + top);
	return len;
}

/* Milliseconds of the unit, or 0 when it is none. */
static int64_t unit_ms(struct slice unit)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} UNITS[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
	for (size_t i = 0; i < sizeof(UNITS) / sizeof(UNITS[0]); i++) {
		if (slice_equal(unit, slice_str(UNITS[i].unit)))
			return UNITS[i].ms;
	}
	return 0;
}

bool num_parse_duration_ms(struct slice s, int64_t *out)
{
	size_t digits = 0;
	while (digits < s.len && s.data[digits] >= '0' && s.data[digits] <= '9')
		digits++;
	int64_t count, ms;
	if (digits == 0 || !num_parse_i64_loose((struct slice){s.data, digits}, &count))
		return false;
	struct slice unit = {s.data + digits, s.len - digits};
	int64_t per_unit = unit.len == 0 && count == 0 ? 1 : unit_ms(unit);
	if (per_unit == 0 || __builtin_mul_overflow(count, per_unit, &ms))
		return false;
	*out = ms;
	return true;
}
