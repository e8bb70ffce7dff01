/* SPDX-License-Identifier: MIT */
/* uplink_rule.c - see uplink_rule.h. */
#include "uplink_rule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/num.h"

static const struct slice retired = {"retired", 7}, tombstone = {"retired ", 8};

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

size_t uplink_put_record(char out[UPLINK_RECORD_CHARS_MAX], const struct uplink_mark *mark, bool is_claim)
{
	size_t len = is_claim ? tombstone.len : 0;

	memcpy(out, tombstone.data, len);
	return len + uplink_put_mark(out + len, mark);
}

size_t uplink_put_field(char out[UPLINK_FIELD_CHARS_MAX], const struct uplink_field *field)
{
	size_t len = uplink_put_mark(out, &field->mark);

	out[len++] = ' ';
	len += num_format_i64(out + len, field->value);
	out[len++] = ' ';
	len += num_format_i64(out + len, (int64_t)field->object);
	out[len++] = ' ';
	return len + num_format_i64(out + len, field->offset);
}

/* The next word, up to a blank or the end; what stands behind stays in *text. False: there is none. */
static bool next_word(struct slice *text, struct slice *word)
{
	const char *blank = text->len ? memchr(text->data, ' ', text->len) : NULL;
	size_t len;

	if (!text->data)
		return false;
	len = text->len;
	*word = *text;
	*text = (struct slice){NULL, 0};
	if (blank) {
		word->len = (size_t)(blank - word->data);
		*text = (struct slice){blank + 1, len - word->len - 1};
	}
	return true;
}

static bool next_i64(struct slice *text, int64_t *out)
{
	struct slice word;

	return next_word(text, &word) && num_parse_i64(word, out);
}

/* A number from 0 to 2^63 - 1. */
static bool next_u63(struct slice *text, uint64_t *out)
{
	int64_t n;

	if (!next_i64(text, &n) || n < 0)
		return false;
	*out = (uint64_t)n;
	return true;
}

static bool next_mark(struct slice *text, struct uplink_mark *mark)
{
	struct slice word;

	return next_word(text, &word) && uplink_parse_id(word, &mark->start) && next_u63(text, &mark->epoch);
}

bool uplink_parse_field(struct slice text, struct uplink_field *field)
{
	return next_mark(&text, &field->mark) && next_i64(&text, &field->value) &&
	       next_u63(&text, &field->object) && next_i64(&text, &field->offset) && !text.data;
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

static bool is_tombstone(struct slice there)
{
	return there.len >= tombstone.len && memcmp(there.data, tombstone.data, tombstone.len) == 0;
}

static enum uplink_verdict judge_tombstone(const struct uplink_lineage *l, struct slice there,
					   struct uplink_field *field)
{
	there = (struct slice){there.data + tombstone.len, there.len - tombstone.len};
	if (!uplink_parse_field(there, field))
		return UPLINK_SENSELESS;
	if (!has_been_at(l, &field->mark))
		*field = (struct uplink_field){.value = 0};
	return UPLINK_RETIRED;
}

enum uplink_verdict uplink_judge_field(const struct uplink_lineage *l, struct slice there,
				       struct uplink_field *field)
{
	if (there.len == 0)
		return UPLINK_NOTHING;
	if (is_tombstone(there))
		return judge_tombstone(l, there, field);
	if (!uplink_parse_field(there, field))
		return UPLINK_SENSELESS;
	return has_been_at(l, &field->mark) ? UPLINK_OURS : UPLINK_STRANGE;
}

enum uplink_verdict uplink_judge_record(const struct uplink_lineage *l, struct slice there)
{
	struct uplink_mark mark;
	bool is_claimed;

	if (there.len == 0)
		return UPLINK_NOTHING;
	if (there.len == retired.len && memcmp(there.data, retired.data, retired.len) == 0)
		return UPLINK_RETIRED;
	is_claimed = is_tombstone(there);
	if (is_claimed)
		there = (struct slice){there.data + tombstone.len, there.len - tombstone.len};
	if (!next_mark(&there, &mark) || there.data)
		return UPLINK_SENSELESS;
	if (!has_been_at(l, &mark))
		return UPLINK_STRANGE;
	return is_claimed ? UPLINK_RETIRED : UPLINK_OURS;
}

/* ---- the next push ---- */

bool uplink_is_right(const struct uplink_field *have, uint64_t object, int64_t wanted)
{
	if (have->value != wanted)
		return false;
	/* An offset must never be another object's. */
	return have->object == object || (wanted == 0 && have->offset == 0);
}

/* The value that a field is to have next, when it cannot have `wanted` at once: from one sign to the other
 * by way of 0; but the least number is farther from 0 than fits. */
static int64_t half_way(int64_t have, int64_t wanted, int64_t *delta)
{
	if (!__builtin_sub_overflow(wanted, have, delta))
		return wanted;
	wanted = have == INT64_MIN ? -1 : 0;
	*delta = wanted - have;
	return wanted;
}

struct uplink_step uplink_step(const struct uplink_field *have, uint64_t object, int64_t wanted,
			       const struct uplink_mark *now)
{
	struct uplink_step step = {
		.field = {.mark = *now, .value = wanted, .object = object, .offset = have->offset}};
	__int128 delta;

	if (have->object == object || have->offset == 0) {
		step.field.value = half_way(have->value, wanted, &step.delta);
		step.is_half = step.field.value != wanted;
		return step;
	}
	/* Another object: nothing of it was ever reset. */
	step.field.offset = 0;
	delta = (__int128)wanted - have->value + have->offset;
	step.delta = (int64_t)delta;
	if (step.delta == delta)
		return step;
	/* First the old one goes to where it contributes nothing. */
	step.field = *have;
	step.field.mark = *now;
	step.field.value = half_way(have->value, have->offset, &step.delta);
	step.is_half = true;
	return step;
}
