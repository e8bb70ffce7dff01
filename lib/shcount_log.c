/* SPDX-License-Identifier: MIT */
/*
 * shcount_log.c - the audit log of one counter, some entries in one round trip.
 */
#include "num.h"
#include "shcount_impl.h"

enum { ENTRY_WORDS = 6 };

static bool is_text(const struct shc_reply *reply)
{
	return reply->type == SHC_T_STRING;
}

/* False: it is none. */
static bool read_entry(const struct shc_reply *reply, struct shc_log_entry *entry)
{
	const struct shc_reply *word = reply->elements;
	if (reply->type != SHC_T_ARRAY || reply->count < ENTRY_WORDS)
		return false;
	if (word[0].type != SHC_T_INT || word[1].type != SHC_T_INT || !is_text(&word[2]) ||
	    word[3].type != SHC_T_INT || word[4].type != SHC_T_INT || !is_text(&word[5]))
		return false;
	*entry = (struct shc_log_entry){
		.id = word[0].integer,
		.time_us = word[1].integer,
		.delta = word[3].integer,
		.value = word[4].integer,
		.operation = word[2].data,
		.operation_len = word[2].len,
		.peer = word[5].data,
		.peer_len = word[5].len,
	};
	return true;
}

/* Looks at all before it writes any, so that the outputs are untouched on failure. */
static enum shc_status take_entries(struct shc *shc, const struct shc_reply *reply, size_t entries_max,
				    struct shc_log_entry *entries, size_t *count)
{
	struct shc_log_entry entry;
	if (reply->type != SHC_T_ARRAY || reply->count > entries_max)
		return shcount_unexpected(shc, false);
	for (size_t i = 0; i < reply->count; i++)
		if (!read_entry(&reply->elements[i], &entry))
			return shcount_unexpected(shc, false);
	for (size_t i = 0; i < reply->count; i++)
		(void)read_entry(&reply->elements[i], &entries[i]);
	*count = reply->count;
	return SHC_OK;
}

static enum shc_status check(struct shc *shc, struct slice name, size_t entries_max)
{
	if (shcount_on_cluster(shc))
		return wire_say(&shc->wire, SHC_USAGE, "a Redis Cluster has no audit log: a shcounterd has");
	if (!slice_is_name(name))
		return wire_say(&shc->wire, SHC_USAGE,
				"bad name: 1 to %d bytes without control characters are expected",
				NAME_LEN_MAX);
	if (entries_max < 1 || entries_max > SHC_LOG_MAX)
		return wire_say(&shc->wire, SHC_USAGE, "1 to %d entries at a time", SHC_LOG_MAX);
	return SHC_OK;
}

enum shc_status shc_log(struct shc *shc, const char *name, size_t name_len, int64_t after, size_t entries_max,
			struct shc_log_entry *entries, size_t *count)
{
	char digits[2][NUM_I64_CHARS_MAX];
	struct slice argv[] = {
		slice_str("SHC.LOG"), {name, name_len}, {digits[0], 0}, slice_str("AFTER"), {digits[1], 0},
	};
	const struct shc_reply *reply;
	enum shc_status status = shcount_begin(shc);
	if (status == SHC_OK)
		status = check(shc, argv[1], entries_max);
	if (status)
		return status;
	argv[2].len = num_format_i64(digits[0], (int64_t)entries_max);
	argv[4].len = num_format_i64(digits[1], after);
	status = wire_append(&shc->wire, after < 0 ? 3 : 5, argv, false);
	if (status == SHC_OK)
		status = shcount_next_reply(shc, &reply);
	return status ? status : take_entries(shc, reply, entries_max, entries, count);
}
