/* SPDX-License-Identifier: MIT */
/* uplink_rule.c - see uplink_rule.h. */
#include "uplink_rule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/num.h"

/* ---- texts ---- */

void uplink_put_id(char out[UPLINK_ID_SIZE], uint64_t id)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = UPLINK_ID_CHARS - 1; i >= 0; i--, id >>= 4)
		out[i] = digits[id & 15];
	out[UPLINK_ID_CHARS] = '\0';
}

bool uplink_parse_id(struct slice text, uint64_t *id)
{
	uint64_t n = 0;

	if (text.len != UPLINK_ID_CHARS)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (c >= '0' && c <= '9')
			n = n << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			n = n << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	*id = n;
	return true;
}

/* Epochs are below 2^63. */
size_t uplink_put_mark(char out[UPLINK_MARK_CHARS_MAX], const struct uplink_mark *mark)
{
	char id[UPLINK_ID_SIZE];

	uplink_put_id(id, mark->start);
	memcpy(out, id, UPLINK_ID_CHARS);
	out[UPLINK_ID_CHARS] = ' ';
	return UPLINK_ID_CHARS + 1 + num_format_i64(out + UPLINK_ID_CHARS + 1, (int64_t)mark->epoch);
}

size_t uplink_put_field(char out[UPLINK_FIELD_CHARS_MAX], const struct uplink_field *field)
{
	size_t len = uplink_put_mark(out, &field->mark);

	out[len++] = ' ';
	return len + num_format_i64(out + len, field->value);
}

/* "START EPOCH"; *rest is what stands behind. */
static bool parse_mark(struct slice text, struct uplink_mark *mark, struct slice *rest)
{
	struct slice digits;
	const char *blank;
	int64_t epoch;

	if (text.len <= UPLINK_ID_CHARS + 1 || text.data[UPLINK_ID_CHARS] != ' ' ||
	    !uplink_parse_id((struct slice){text.data, UPLINK_ID_CHARS}, &mark->start))
		return false;
	digits = (struct slice){text.data + UPLINK_ID_CHARS + 1, text.len - UPLINK_ID_CHARS - 1};
	blank = memchr(digits.data, ' ', digits.len);
	*rest = (struct slice){NULL, 0};
	if (blank) {
		size_t len = (size_t)(blank - digits.data);

		*rest = (struct slice){blank + 1, digits.len - len - 1};
		digits.len = len;
	}
	if (!num_parse_i64(digits, &epoch) || epoch < 0)
		return false;
	mark->epoch = (uint64_t)epoch;
	return true;
}

bool uplink_parse_field(struct slice text, struct uplink_field *field)
{
	struct slice rest;

	return parse_mark(text, &field->mark, &rest) && num_parse_i64(rest, &field->value);
}

/* ---- lineage ---- */

static int by_start(const void *a, const void *b)
{
	const struct uplink_known *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

int uplink_lineage_init(struct uplink_lineage *l, const struct uplink_mark *marks, size_t count)
{
	*l = (struct uplink_lineage){.known = calloc(count, sizeof(*l->known)), .count = count};
	if (!l->known)
		return -ENOMEM;
	/* Of each start but the last, what the next one has found. */
	for (size_t i = 0; i < count; i++) {
		l->known[i].start = marks[i].start;
		l->known[i].epoch_max = i + 1 < count ? marks[i + 1].epoch : 0;
	}
	l->now = marks[count - 1];
	qsort(l->known, count, sizeof(*l->known), by_start);
	return 0;
}

void uplink_lineage_fini(struct uplink_lineage *l)
{
	free(l->known);
	l->known = NULL;
}

/* Whether this disk was ever there. */
static bool has_been_at(const struct uplink_lineage *l, const struct uplink_mark *mark)
{
	const struct uplink_known key = {.start = mark->start}, *known;

	if (mark->start == l->now.start)
		return mark->epoch <= l->now.epoch;
	known = bsearch(&key, l->known, l->count, sizeof(key), by_start);
	return known && mark->epoch <= known->epoch_max;
}

/* ---- judgement ---- */

static const struct slice retired = {"retired", 7};

static bool is_retired(struct slice there)
{
	return there.len == retired.len && memcmp(there.data, retired.data, retired.len) == 0;
}

enum uplink_verdict uplink_judge_field(const struct uplink_lineage *l, struct slice there,
				       struct uplink_field *field)
{
	if (there.len == 0)
		return UPLINK_NOTHING;
	if (is_retired(there))
		return UPLINK_RETIRED;
	if (!uplink_parse_field(there, field))
		return UPLINK_SENSELESS;
	return has_been_at(l, &field->mark) ? UPLINK_OURS : UPLINK_STRANGE;
}

enum uplink_verdict uplink_judge_record(const struct uplink_lineage *l, struct slice there)
{
	struct uplink_mark mark;
	struct slice rest;

	if (there.len == 0)
		return UPLINK_NOTHING;
	if (is_retired(there))
		return UPLINK_RETIRED;
	if (!parse_mark(there, &mark, &rest) || rest.data)
		return UPLINK_SENSELESS;
	return has_been_at(l, &mark) ? UPLINK_OURS : UPLINK_STRANGE;
}

/* ---- the next push ---- */

struct uplink_step uplink_step(int64_t have, int64_t wanted, const struct uplink_mark *now)
{
	struct uplink_step step = {.field = {.mark = *now, .value = wanted}};

	/* From one sign to the other, by way of 0; but the least number is farther from 0 than fits. */
	if (__builtin_sub_overflow(wanted, have, &step.delta)) {
		step.is_half = true;
		step.field.value = have == INT64_MIN ? -1 : 0;
		step.delta = step.field.value - have;
	}
	return step;
}
