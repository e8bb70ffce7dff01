/* SPDX-License-Identifier: MIT */
#include <endian.h>
#include <string.h>

#include "bench_reply.h"

/* ---- pieces ---- each at `*at`, which is moved behind what was read: GOOD, MORE or BAD */

/* These very bytes. */
static int read_text(const char **at, const char *end, const char *text, size_t len)
{
	size_t left = (size_t)(end - *at);
	if (left >= len) {
		if (memcmp(*at, text, len) != 0)
			return REPLY_BAD;
		*at += len;
		return REPLY_GOOD;
	}
	return memcmp(*at, text, left) == 0 ? REPLY_MORE : REPLY_BAD;
}

#define READ(at, end, text) read_text(at, end, text, sizeof(text) - 1)

/* The digits that a word of eight bytes begins with, the first byte lowest: how many (0 to 8), and their
 * number. Pairs, then fours, then all eight, side by side. Source: Daniel Lemire, "Quickly parsing eight
 * digits" (2018). The loop below needs 26 ns for a reply of seven digits with all around it, this 15: the
 * next reply does not wait for the number of this one. */
static inline unsigned leading_digits(uint64_t word, uint64_t *number)
{
	const uint64_t ones = 0x0101010101010101;
	word ^= '0' * ones;
	uint64_t others = ((word + (0x80 - 10) * ones) | word) & 0x80 * ones;
	unsigned count = others ? (unsigned)__builtin_ctzll(others) / 8 : 8;
	if (count == 0)
		return 0;
	word <<= 64 - 8 * count; /* leading zeros, so to speak */
	word = word * 10 + (word >> 8);
	word = ((word & 0x000000ff000000ff) * (100 + (UINT64_C(1000000) << 32)) +
		(word >> 16 & 0x000000ff000000ff) * (1 + (UINT64_C(10000) << 32))) >>
	       32;
	*number = (uint32_t)word;
	return count;
}

/* 1 to 20 digits, perhaps after a minus sign, and what ends the line. */
static inline int read_number(const char **at, const char *end, int64_t *value)
{
	const char *p = *at;
	uint64_t word, v = 0;
	bool is_negative = p < end && *p == '-';
	p += is_negative;
	const char *digits = p;
	if (end - p >= (ptrdiff_t)sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		p += leading_digits(le64toh(word), &v);
	}
	while (p < end && (unsigned)(*p - '0') < 10)
		v = v * 10 + (unsigned)(*p++ - '0');
	if (p - digits > 20 || (p == digits && p < end))
		return REPLY_BAD;
	if (end - p < 2)
		return p == end || *p == '\r' ? REPLY_MORE : REPLY_BAD;
	if (p[0] != '\r' || p[1] != '\n')
		return REPLY_BAD;
	*value = (int64_t)(is_negative ? 0 - v : v);
	*at = p + 2;
	return REPLY_GOOD;
}

/* Any bytes up to the end of the line. */
static int read_line(const char **at, const char *end, struct slice *line)
{
	const char *lf = memchr(*at, '\n', (size_t)(end - *at));
	if (!lf)
		return REPLY_MORE;
	if (lf == *at || lf[-1] != '\r')
		return REPLY_BAD;
	*line = (struct slice){*at, (size_t)(lf - 1 - *at)};
	*at = lf + 1;
	return REPLY_GOOD;
}

static bool begins(struct slice line, const char *word)
{
	size_t len = strlen(word);
	return line.len >= len && memcmp(line.data, word, len) == 0;
}

/* ---- good ones ---- */

static int read_bulk(const char **at, const char *end, struct reply *out)
{
	int64_t len;
	int rc = READ(at, end, "$");
	rc = rc ? rc : read_number(at, end, &len);
	if (rc)
		return rc;
	out->is_there = len >= 0;
	if (len < 0)
		return len == -1 ? REPLY_GOOD : REPLY_BAD;
	const char *value = *at;
	rc = read_number(at, end, &out->value);
	return rc == REPLY_GOOD && *at - value != len + 2 ? REPLY_BAD : rc;
}

/* One of two words. */
static int read_either(const char **at, const char *end, const char *is, const char *is_not,
		       struct reply *out)
{
	const char *begin = *at;
	int rc = read_text(at, end, is, strlen(is));
	if (rc != REPLY_BAD)
		return rc;
	out->is_there = false;
	*at = begin;
	return read_text(at, end, is_not, strlen(is_not));
}

/* VALUE NAME FLAGS BYTES, the bytes, END. A number that has become shorter is filled up with blanks. */
static int read_value(const char **at, const char *end, struct reply *out)
{
	const char *begin = *at;
	struct slice line;
	int rc = READ(at, end, "END\r\n");
	if (rc != REPLY_BAD) {
		out->is_there = false;
		return rc;
	}
	*at = begin;
	rc = READ(at, end, "VALUE ");
	rc = rc ? rc : read_line(at, end, &line);
	rc = rc ? rc : read_number(at, end, &out->value);
	return rc ? rc : READ(at, end, "END\r\n");
}

static int read_stats(const char **at, const char *end, struct reply *out)
{
	struct slice line = {0};
	for (;;) {
		int rc = read_line(at, end, &line);
		if (rc)
			return rc;
		if (slice_equal(line, slice_str("END")))
			return REPLY_GOOD;
		if (!begins(line, "STAT "))
			return REPLY_BAD;
		const char *number = line.data + strlen("STAT pid ");
		if (begins(line, "STAT pid ") && read_number(&number, *at, &out->value))
			return REPLY_BAD;
	}
}

static inline int read_good(enum reply_kind kind, const char **at, const char *end, struct reply *out)
{
	switch (kind) {
	case REPLY_INT:
		if (*at == end || **at != ':')
			return *at == end ? REPLY_MORE : REPLY_BAD;
		++*at;
		return read_number(at, end, &out->value);
	case REPLY_DECIMAL:
		if (*at < end && **at == '-')
			return REPLY_BAD;
		return read_number(at, end, &out->value);
	case REPLY_OK: return READ(at, end, "+OK\r\n");
	case REPLY_HD: return READ(at, end, "HD\r\n");
	case REPLY_BULK: return read_bulk(at, end, out);
	case REPLY_VALUE: return read_value(at, end, out);
	case REPLY_STORED: return read_either(at, end, "STORED\r\n", "NOT_STORED\r\n", out);
	case REPLY_DELETED: return read_either(at, end, "DELETED\r\n", "NOT_FOUND\r\n", out);
	case REPLY_STATS: return read_stats(at, end, out);
	}
	return REPLY_BAD;
}

/* ---- errors ---- */

static bool is_refusal(enum reply_kind kind, struct slice line)
{
	static const char *const words[] = {"ERROR", "CLIENT_ERROR", "SERVER_ERROR", "NOT_FOUND", "NF"};
	if (kind <= REPLY_BULK)
		return begins(line, "-");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (begins(line, words[i]))
			return true;
	return false;
}

static int read_refusal(enum reply_kind kind, const char *data, size_t len, struct reply *out)
{
	const char *at = data;
	struct slice line;
	int rc = read_line(&at, data + len, &line);
	if (rc == REPLY_MORE) /* of what has come nothing may speak against it */
		return kind > REPLY_BULK || len == 0 || data[0] == '-' ? REPLY_MORE : REPLY_BAD;
	if (rc || !is_refusal(kind, line))
		return REPLY_BAD;
	out->size = (size_t)(at - data);
	out->words = kind <= REPLY_BULK ? (struct slice){line.data + 1, line.len - 1} : line;
	return REPLY_REFUSED;
}

static int judge_not_good(enum reply_kind kind, const char *data, size_t len, int rc, struct reply *out)
{
	if (rc == REPLY_BAD)
		rc = read_refusal(kind, data, len, out);
	return rc == REPLY_MORE && len >= REPLY_BYTES_MAX ? REPLY_BAD : rc;
}

int reply_read(enum reply_kind kind, const char *data, size_t len, struct reply *out)
{
	const char *at = data;
	*out = (struct reply){.is_there = true};
	int rc = read_good(kind, &at, data + len, out);
	if (rc)
		return judge_not_good(kind, data, len, rc, out);
	out->size = (size_t)(at - data);
	return REPLY_GOOD;
}

/* ---- runs ---- */

static inline __attribute__((always_inline)) int run_of(enum reply_kind kind, const char *data, size_t len,
							unsigned count_max, struct reply_run *run,
							struct reply *next)
{
	const char *at = data, *end = data + len;
	struct reply_values values = REPLY_VALUES_NONE;
	int64_t last = run->last;
	bool is_rising = true;
	unsigned count = 0;
	int rc = REPLY_GOOD;
	for (; count < count_max; count++) {
		const char *begin = at;
		next->value = 0;
		next->is_there = true;
		rc = read_good(kind, &at, end, next);
		if (rc) {
			at = begin;
			break;
		}
		is_rising &= next->value > last;
		last = next->value;
		values.sum += (uint64_t)last;
		values.least = last < values.least ? last : values.least;
		values.most = last > values.most ? last : values.most;
		values.absent += !next->is_there;
	}
	*run = (struct reply_run){(size_t)(at - data), count, is_rising, last, values};
	return rc ? reply_read(kind, at, (size_t)(end - at), next) : REPLY_GOOD;
}

int reply_read_run(enum reply_kind kind, const char *data, size_t len, unsigned count_max,
		   struct reply_run *run, struct reply *next)
{
	/* The busiest kinds with a loop of their own. */
	switch (kind) {
	case REPLY_INT: return run_of(REPLY_INT, data, len, count_max, run, next);
	case REPLY_OK: return run_of(REPLY_OK, data, len, count_max, run, next);
	case REPLY_DECIMAL: return run_of(REPLY_DECIMAL, data, len, count_max, run, next);
	default: return run_of(kind, data, len, count_max, run, next);
	}
}
