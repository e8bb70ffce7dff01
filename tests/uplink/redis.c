/* SPDX-License-Identifier: MIT */
/* redis.c - see fleet.h: what the uplink's scripts (lib/script_uplink.c) do, on a picture of a master. */
#include <stdio.h>
#include <string.h>

#include "../../lib/num.h"
#include "../../lib/script.h"
#include "fleet.h"

const char *const names[NAMES] = {"a", "hits", "{x}y", "shop:visits", "z{}"};

int name_number(const char *name)
{
	for (int i = 0; i < NAMES; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

static struct slice slice_of(const char *text)
{
	return (struct slice){text, strlen(text)};
}

static void copy(char *to, size_t size, const char *text)
{
	size_t len = strlen(text);

	sim_check(len < size, "%s is too long", text);
	memcpy(to, text, len + 1);
}

/* ---- answers ---- */

static void put_error(struct answer *out, const char *text)
{
	out->status = SHC_REFUSED;
	out->reply = (struct resp_reply){.type = RESP_ERROR, .str = slice_of(text)};
}

static void put_pair(struct answer *out, int64_t number, const char *text)
{
	copy(out->texts[0], WORD_SIZE, text);
	out->status = SHC_OK;
	out->elements[0] = (struct resp_reply){.type = RESP_INT, .i64 = number};
	out->elements[1] = (struct resp_reply){.type = RESP_BULK, .str = slice_of(out->texts[0])};
	out->reply = (struct resp_reply){.type = RESP_ARRAY, .count = 2, .elements = out->elements};
}

/* ---- keys ---- */

static struct ledger *ledger_of(struct redis *r, const char *key)
{
	struct slice name;
	char text[WORD_SIZE];
	int n;

	sim_check(shard_of_ledger(slice_of(key), &name), "%s is no ledger", key);
	(void)snprintf(text, sizeof(text), "%.*s", (int)name.len, name.data);
	n = name_number(text);
	sim_check(n >= 0, "a ledger of %s", text);
	return &r->ledgers[n];
}

static struct row *find_row(struct ledger *l, const char *id)
{
	for (size_t i = 0; i < l->count; i++)
		if (strcmp(l->rows[i].id, id) == 0)
			return &l->rows[i];
	return NULL;
}

const struct row *redis_row(const struct ledger *l, const char *id)
{
	for (size_t i = 0; i < l->count; i++)
		if (strcmp(l->rows[i].id, id) == 0)
			return &l->rows[i];
	return NULL;
}

struct slice redis_field(const struct row *row)
{
	return slice_of(row->text + (row->is_retired ? strlen("retired ") : 0));
}

static struct row *make_row(struct ledger *l, const char *id)
{
	struct row *row = find_row(l, id);

	if (row)
		return row;
	sim_check(l->count < FIELDS_MAX, "too many fields");
	row = &l->rows[l->count++];
	*row = (struct row){.is_murky = false};
	copy(row->id, sizeof(row->id), id);
	return row;
}

static struct record *record_of(struct redis *r, const char *key)
{
	const char *id = key + strlen("shc:uplink:");

	sim_check(strncmp(key, "shc:uplink:", strlen("shc:uplink:")) == 0, "%s is no record", key);
	for (size_t i = 0; i < r->record_count; i++)
		if (strcmp(r->records[i].id, id) == 0)
			return &r->records[i];
	sim_check(r->record_count < RECORDS_MAX, "too many records");
	r->records[r->record_count] = (struct record){.at = ""};
	copy(r->records[r->record_count].id, UPLINK_ID_SIZE, id);
	return &r->records[r->record_count++];
}

static int64_t number_of(const char *text)
{
	int64_t n;

	sim_check(num_parse_i64(slice_of(text), &n), "%s is no number", text);
	return n;
}

bool redis_incrby(struct ledger *l, int64_t delta)
{
	int64_t sum;

	if (__builtin_add_overflow(l->total, delta, &sum))
		return false;
	l->total = sum;
	l->has_total = true;
	return true;
}

/* ---- scripts ---- */

/* What a reset took out of a counter stays out as long as that is the same one. */
static void check_offset(const struct row *row, const char *after, bool is_murky)
{
	struct uplink_field old = {.value = 0}, new;

	sim_check(uplink_parse_field(slice_of(after), &new), "%s is pushed", after);
	if (row)
		sim_check(uplink_parse_field(slice_of(row->text), &old), "a field is %s", row->text);
	sim_check(is_murky || new.offset == (old.object == new.object ? old.offset : 0),
		  "'%s' is replaced by '%s'", row ? row->text : "", after);
}

static void push(struct redis *r, const struct request *q, struct answer *out)
{
	const char *id = q->words[3], *before = q->words[4], *after = q->words[5];
	int64_t delta = number_of(q->words[6]);
	struct ledger *l = ledger_of(r, q->words[2]);
	struct row *row = find_row(l, id);

	sim_check(l == &r->ledgers[name_number(q->words[1])], "%s and the ledger of another name",
		  q->words[1]);
	if (strcmp(row ? row->text : "", before) != 0) {
		put_pair(out, 0, row ? row->text : "");
		return;
	}
	if (strcmp(after, before) != 0) {
		if (delta != 0 && !redis_incrby(l, delta)) {
			put_error(out, "ERR increment or decrement would overflow");
			return;
		}
		check_offset(row, after, q->is_murky);
		row = make_row(l, id);
		copy(row->text, sizeof(row->text), after);
		if (!q->is_fence) {
			row->atoms = q->atoms;
			row->minus = q->minus;
			row->is_murky = q->is_murky;
		}
		totals.pushes++;
	}
	put_pair(out, 1, "");
}

static void retire(struct redis *r, const struct request *q, struct answer *out)
{
	struct ledger *l = ledger_of(r, q->words[1]);
	struct row *row = find_row(l, q->words[2]);
	struct uplink_field field;
	int64_t sum, left;
	__int128 exact;

	if (!row || row->is_retired) {
		put_pair(out, 0, row ? row->text : "");
		return;
	}
	sim_check(uplink_parse_field(slice_of(row->text), &field), "a field is %s", row->text);
	exact = (__int128)l->retired + field.value - field.offset;
	sum = (int64_t)exact;
	if (sum != exact || __builtin_add_overflow(l->retired, field.value, &left)) {
		put_error(out, "ERR increment or decrement would overflow");
		return;
	}
	l->retired = sum;
	l->has_retired = true;
	for (unsigned i = 0; i < ATOMS; i++)
		l->retired_atoms[i] =
			(int8_t)(l->retired_atoms[i] + atoms_has(&row->atoms, i) - atoms_has(&row->minus, i));
	l->is_murky |= row->is_murky;
	row->is_retired = true;
	memmove(row->text + strlen("retired "), row->text, strlen(row->text) + 1);
	memcpy(row->text, "retired ", strlen("retired "));
	put_pair(out, 1, "");
}

static void reset(struct redis *r, const struct request *q, struct answer *out)
{
	struct ledger *l = ledger_of(r, q->words[2]);
	struct uplink_field field;

	for (size_t i = 0; i < l->count; i++) {
		struct row *row = &l->rows[i];

		if (!uplink_parse_field(slice_of(row->text), &field))
			continue;
		field.offset = field.value;
		row->text[uplink_put_field(row->text, &field)] = '\0';
	}
	l->has_total |= l->count > 0 || l->has_retired;
	l->total = l->retired = 0;
	l->foreign = 0;
	l->has_retired = false;
	put_pair(out, 0, "0");
}

static void enrol(struct redis *r, const struct request *q, struct answer *out)
{
	struct record *record = record_of(r, q->words[1]);

	if (strcmp(record->at, q->words[2]) != 0) {
		put_pair(out, 0, record->at);
		return;
	}
	copy(record->at, sizeof(record->at), q->words[3]);
	put_pair(out, 1, "");
}

static void give_up(struct redis *r, const struct request *q, struct answer *out)
{
	struct record *record = record_of(r, q->words[1]);

	if (strncmp(record->at, "retired", strlen("retired")) != 0)
		copy(record->at, sizeof(record->at), "retired");
	out->status = SHC_OK;
	out->reply = (struct resp_reply){.type = RESP_INT, .i64 = 0};
}

/* ---- commands ---- */

/* Pages of two keys. */
static void scan(const struct redis *r, const struct request *q, struct answer *out)
{
	int at = (int)number_of(q->words[1]), end = at + 2;
	size_t count = 0;
	char tag[SHARD_TAG_SIZE];
	struct shard_key key;

	for (; at < end && at < NAMES; at++) {
		const struct ledger *l = &r->ledgers[at];

		if (l->count == 0 && !l->has_retired)
			continue;
		shard_tag(slot_of(slice_of(names[at])), tag);
		shard_ledger(&key, tag, slice_of(names[at]));
		memcpy(out->texts[1 + count], key.data, key.len);
		out->keys[count] =
			(struct resp_reply){.type = RESP_BULK, .str = {out->texts[1 + count], key.len}};
		count++;
	}
	(void)snprintf(out->texts[0], WORD_SIZE, "%d", at < NAMES ? at : 0);
	out->status = SHC_OK;
	out->elements[0] = (struct resp_reply){.type = RESP_BULK, .str = slice_of(out->texts[0])};
	out->elements[1] = (struct resp_reply){.type = RESP_ARRAY, .count = count, .elements = out->keys};
	out->reply = (struct resp_reply){.type = RESP_ARRAY, .count = 2, .elements = out->elements};
}

static void command(struct redis *r, const struct request *q, struct answer *out)
{
	if (strcmp(q->words[0], "SCAN") == 0) {
		scan(r, q, out);
		return;
	}
	if (strcmp(q->words[0], "SET") == 0) { /* the mark of a wait */
		out->status = SHC_OK;
		out->reply = (struct resp_reply){.type = RESP_SIMPLE, .str = slice_of("OK")};
		return;
	}
	if (strcmp(q->words[0], "INFO") == 0) {
		put_error(out, "NOPERM");
		return;
	}
	sim_check(false, "%s was not expected", q->words[0]);
}

void redis_execute(struct redis *r, const struct request *q, struct answer *out)
{
	if (q->script == &script_push)
		push(r, q, out);
	else if (q->script == &script_retire)
		retire(r, q, out);
	else if (q->script == &script_reset)
		reset(r, q, out);
	else if (q->script == &script_give_up)
		give_up(r, q, out);
	else if (q->script == &script_register)
		enrol(r, q, out);
	else if (!q->script)
		command(r, q, out);
	else
		sim_fail("a script that was not expected");
}
