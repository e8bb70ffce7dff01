/* SPDX-License-Identifier: MIT */
/*
 * store_join.c - recovery of the counters: what each is worth after any crash.
 *
 * Four streams ordered by id run side by side: rows of `name`, names in the journal, rows of `value`, deltas
 * of the journal. So memory is the (packed) journal, however large the tables are, and each table is read
 * once, from beginning to end.
 *
 *	value = value of the row (0 without one) + deltas of epochs above its as_of
 *
 * without the ids that the journal deletes or that lie below the floor. What has no name is nobody's: a delta
 * that came behind its counter's delete, or half of a delete that was being folded.
 *
 * Any thread, each with a join and a connection of its own.
 */
#include "store_private.h"

#include <errno.h>
#include <string.h>

/* ---- the sink ---- */

static int flush(struct store_join *join)
{
	size_t count = join->batch_count;
	int r;

	join->batch_count = join->batch_bytes = 0;
	if (count == 0)
		return 0;
	r = join->sink->counters(join->sink->arg, join->loader, join->batch, count);
	if (r == -EEXIST)
		return store_damaged(join->s, "two counters have one name");
	if (r < 0)
		store_say(join->s, -r, "loading was stopped: %s", strerror(-r));
	join->counters += count;
	return r;
}

/* In batches, so that the sink can look ahead. The name is the row's, and gone with the next step. */
static int put(struct store_join *join, uint64_t id, struct slice name, uint64_t value)
{
	char *copy = join->names + join->batch_bytes;

	memcpy(copy, name.data, name.len);
	join->batch_bytes += name.len;
	join->batch[join->batch_count++] = (struct store_counter){
		.id = id,
		.value = (int64_t)value,
		.name = {.data = copy, .len = name.len},
	};
	return join->batch_count == STORE_BATCH_MAX ? flush(join) : 0;
}

/* ---- tables ---- */

/* The next row and its id; *has is false behind the last one of the range. Where that is, is for us to see:
 * for SQLite it would be two more steps of its machine a row, a twelfth of the instructions of a load
 * (callgrind). */
static int step_table(struct store_join *join, enum store_sql which, bool *has, uint64_t *id)
{
	sqlite3_stmt *stmt = join->s->sql[which];
	uint64_t before = *id;
	bool is_first = !*has;
	int rc = sqlite3_step(stmt);

	*has = rc == SQLITE_ROW;
	if (rc == SQLITE_DONE)
		return 0;
	if (rc != SQLITE_ROW)
		return store_fail(join->s, rc, "reading the counters");
	*id = (uint64_t)sqlite3_column_int64(stmt, 0);
	if (*id > JOURNAL_ID_MAX)
		return store_damaged(join->s, "a row has the id %lld", (long long)*id);
	if (!is_first && *id <= before)
		return store_damaged(join->s, "a row has the id %llu behind %llu", (unsigned long long)*id,
				     (unsigned long long)before);
	*has = *id <= join->last;
	return 0;
}

static int step_name(struct store_join *join)
{
	int r = step_table(join, SQL_NAME_FROM, &join->has_name, &join->name_id);

	if (r == 0 && join->has_name && join->name_id > join->id_max)
		join->id_max = join->name_id;
	return r;
}

static int step_value(struct store_join *join)
{
	sqlite3_stmt *stmt = join->s->sql[SQL_VALUE_FROM];
	int r = step_table(join, SQL_VALUE_FROM, &join->has_value, &join->value_id);

	if (r != 0 || !join->has_value)
		return r;
	join->value = (uint64_t)sqlite3_column_int64(stmt, 1);
	join->as_of = (uint64_t)sqlite3_column_int64(stmt, 2);
	if (join->as_of > join->s->fold_epoch)
		return store_damaged(join->s, "the value of id %llu is of epoch %llu, which was never folded",
				     (unsigned long long)join->value_id, (unsigned long long)join->as_of);
	return 0;
}

/* ---- joining ---- */

static int orphaned(struct store_join *join)
{
	return store_damaged(join->s, "the value of id %llu has no name", (unsigned long long)join->value_id);
}

/* What the row of id says, where there is one. Rows leave together with their name or before it. */
static int take_value(struct store_join *join, uint64_t id, uint64_t *value, uint64_t *as_of)
{
	*value = *as_of = 0;
	if (join->has_value && join->value_id < id)
		return orphaned(join);
	if (!join->has_value || join->value_id > id)
		return 0;
	*value = join->value;
	*as_of = join->as_of;
	return step_value(join);
}

static int tell(struct store_join *join, uint64_t id, struct slice name)
{
	struct journal_sum sum;
	uint64_t value, as_of;
	int r;

	if (!slice_is_name(name))
		return store_damaged(join->s, "id %llu has a name that is none", (unsigned long long)id);
	r = take_value(join, id, &value, &as_of);
	if (r != 0)
		return r;
	if (id < join->floor_id || journal_set_is_dead(&join->set, id))
		return 0;
	if (journal_set_take(&join->set, id, as_of, &sum) < 0)
		return store_damaged(join->s, "a journal row has records that make no sense");
	return put(join, id, name, value + sum.delta);
}

/* The row's name is the one in the journal when both are there: a pass that was interrupted, or two counters
 * with one id. */
static int tell_row(struct store_join *join, const struct journal_set_name *also)
{
	sqlite3_stmt *stmt = join->s->sql[SQL_NAME_FROM];
	struct slice name = {.data = sqlite3_column_blob(stmt, 1),
			     .len = (size_t)sqlite3_column_bytes(stmt, 1)};
	int r;

	if (also && !slice_equal(name, also->name))
		return store_damaged(join->s, "id %llu has two names", (unsigned long long)join->name_id);
	r = tell(join, join->name_id, name);
	return r == 0 ? step_name(join) : r;
}

/* The names of the journal from `next` up to `end` beside those of the table. */
static int tell_all(struct store_join *join, size_t next, size_t end)
{
	int r = 0;

	while (r == 0 && (join->has_name || next < end)) {
		const struct journal_set_name *fresh = next < end ? &join->set.names[next] : NULL;

		if (fresh && join->has_name && fresh->id > join->name_id)
			fresh = NULL;
		if (fresh)
			next++;
		if (join->has_name && (!fresh || fresh->id == join->name_id))
			r = tell_row(join, fresh);
		else
			r = tell(join, fresh->id, fresh->name);
		/* Of a damaged file SQLite may find no end. */
		if (join->batch_count == 0 && atomic_load_explicit(join->is_stopped, memory_order_relaxed))
			return -ECANCELED;
	}
	if (r == 0 && join->has_value)
		r = orphaned(join);
	return r == 0 ? flush(join) : r;
}

int store_join_range(struct store_join *join, uint64_t first, uint64_t last)
{
	struct store *s = join->s;
	/* Ids below 0, which make no sense, are to be seen. */
	uint64_t begin = first ? first : (uint64_t)INT64_MIN;
	int r;

	join->last = last;
	store_bind(s, SQL_NAME_FROM, 1, begin);
	store_bind(s, SQL_VALUE_FROM, 1, begin);
	join->has_name = join->has_value = false;
	r = step_name(join);
	if (r == 0)
		r = step_value(join);
	if (r == 0)
		r = tell_all(join, journal_set_names_below(&join->set, first),
			     journal_set_names_below(&join->set, last + 1));
	sqlite3_reset(s->sql[SQL_NAME_FROM]);
	sqlite3_reset(s->sql[SQL_VALUE_FROM]);
	return r;
}
