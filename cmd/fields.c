/* SPDX-License-Identifier: MIT */
#include "../lib/num.h"
#include "csv.h"
#include "fields.h"
#include "scan.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The first field of runs of blanks in `rest`, which it moves behind it. */
static inline bool next_blank_field(struct slice *rest, struct slice *field)
{
	size_t begin = 0;
	while (begin < rest->len && is_blank(rest->data[begin]))
		begin++;
	if (begin == rest->len)
		return false;
	size_t end = begin + scan_to_blank(rest->data + begin, rest->len - begin);
	*field = (struct slice){rest->data + begin, end - begin};
	*rest = (struct slice){rest->data + end, rest->len - end};
	return true;
}

/* `rest` has null data behind the last field: "a:" has two of them. */
static bool next_separated_field(struct slice *rest, char separator, struct slice *field)
{
	if (!rest->data)
		return false;
	const char *end = rest->len ? memchr(rest->data, separator, rest->len) : NULL;
	if (!end) {
		*field = *rest;
		*rest = (struct slice){0};
		return true;
	}
	size_t len = (size_t)(end - rest->data);
	*field = (struct slice){rest->data, len};
	*rest = (struct slice){end + 1, rest->len - len - 1};
	return true;
}

const char *fields_name_fault(struct slice name, size_t name_max)
{
	if (name.len > name_max)
		return name_max == NAME_LEN_MAX ? "the name is longer than 255 bytes"
						: "the name with its prefix is longer than 255 bytes";
	if (!slice_is_name(name))
		return "the name contains a control character";
	return NULL;
}

static int take_delta(struct slice text, int64_t *delta, const char **reason)
{
	if (text.len == 0)
		return FIELDS_SKIP;
	if (num_parse_i64_loose(text, delta))
		return FIELDS_OK;
	*reason = "the delta is not a whole number of 64 bits";
	return FIELDS_BAD;
}

static int last_field(const struct fields_rule *rule)
{
	return rule->name_field > rule->delta_field ? rule->name_field : rule->delta_field;
}

/* False when the line has not so many. What is not asked for stays as it is. */
static bool find_fields(const struct fields_rule *rule, struct slice line, struct slice *name,
			struct slice *worth)
{
	struct slice rest = line, field;
	for (int i = 1, last = last_field(rule); i <= last; i++) {
		if (rule->separator ? !next_separated_field(&rest, rule->separator, &field)
				    : !next_blank_field(&rest, &field))
			return false;
		if (i == rule->name_field)
			*name = field;
		if (i == rule->delta_field)
			*worth = field;
	}
	return true;
}

static bool find_csv_fields(const struct fields_rule *rule, struct slice record, char *room,
			    struct slice *name, struct slice *worth)
{
	struct csv_field field;
	for (int i = 1, last = last_field(rule); i <= last; i++) {
		if (!csv_next(&record, rule->separator, &field))
			return false;
		if (i == rule->delta_field)
			*worth = field.text;
		if (i != rule->name_field)
			continue;
		*name = field.text;
		if (field.has_pairs && name->len <= FIELDS_ROOM) /* a longer one is too long in any case */
			*name = (struct slice){room, csv_unpair(field.text, room)};
	}
	return true;
}

int fields_take(const struct fields_rule *rule, struct slice line, char *room, struct slice *name,
		int64_t *delta, const char **reason)
{
	struct slice found = line, worth = {0};
	if (rule->is_csv ? !find_csv_fields(rule, line, room, &found, &worth)
			 : !find_fields(rule, line, &found, &worth))
		return FIELDS_SKIP;
	if (found.len == 0)
		return FIELDS_SKIP;
	*reason = fields_name_fault(found, rule->name_max);
	if (*reason)
		return FIELDS_BAD;
	int64_t value = 1;
	int rc = rule->delta_field ? take_delta(worth, &value, reason) : FIELDS_OK;
	if (rc)
		return rc;
	*name = found;
	*delta = value;
	return FIELDS_OK;
}

int fields_take_uniq(const struct fields_rule *rule, struct slice line, struct slice *name, int64_t *delta,
		     const char **reason)
{
	struct slice count, rest = line;
	if (!next_blank_field(&rest, &count))
		return FIELDS_SKIP;
	int64_t value;
	if (count.data[0] < '0' || count.data[0] > '9' || !num_parse_i64_loose(count, &value)) {
		*reason = "no count in front of the name, as `uniq -c` writes it";
		return FIELDS_BAD;
	}
	if (rest.len <= 1) /* it has counted empty lines */
		return FIELDS_SKIP;
	struct slice found = {rest.data + 1, rest.len - 1};
	*reason = fields_name_fault(found, rule->name_max);
	if (*reason)
		return FIELDS_BAD;
	*name = found;
	*delta = value;
	return FIELDS_OK;
}
