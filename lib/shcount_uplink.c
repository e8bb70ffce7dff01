/* SPDX-License-Identifier: MIT */
/*
 * shcount_uplink.c - what a daemon knows of the cluster that it brings its counters to (docs/design.md 7b).
 */
#include "num.h"
#include "redis.h"
#include "shcount_impl.h"

/* ---- a total ---- */

/* Of the reply to SHC.GLOBAL: [total or nil, age]. SHC_OK, SHC_MISSING with *value 0, or SHC_PROTOCOL. */
static enum shc_status read_total(const struct shc_reply *reply, int64_t *value, int64_t *age_ms)
{
	const struct shc_reply *total = reply->elements;
	if (reply->type != SHC_T_ARRAY || reply->count != 2 || total[1].type != SHC_T_INT ||
	    total[1].integer < 0)
		return SHC_PROTOCOL;
	if (total->type != SHC_T_INT && total->type != SHC_T_NIL)
		return SHC_PROTOCOL;
	*value = total->type == SHC_T_INT ? total->integer : 0;
	*age_ms = total[1].integer;
	return total->type == SHC_T_INT ? SHC_OK : SHC_MISSING;
}

static enum shc_status ask_total(struct shc *shc, struct slice name, int64_t *value, int64_t *age_ms)
{
	const struct slice argv[] = {slice_str("SHC.GLOBAL"), name};
	const struct shc_reply *reply;
	enum shc_status status = shcount_ask(shc, 2, argv, false, &reply);
	if (status)
		return status;
	status = read_total(reply, value, age_ms);
	return status == SHC_PROTOCOL ? shcount_unexpected(shc, false) : status;
}

enum shc_status shc_global(struct shc *shc, const char *name, size_t name_len, int64_t *value,
			   int64_t *age_ms)
{
	struct slice s = {name, name_len};
	char room[NAME_LEN_MAX];
	int64_t total, age = 0;
	enum shc_status status = shcount_begin(shc);
	if (status == SHC_OK)
		status = shcount_locate(shc, &s, room);
	if (status)
		return status;
	status = shc->redis ? shc_get(shc, s.data, s.len, &total) : ask_total(shc, s, &total, &age);
	if (status != SHC_OK && status != SHC_MISSING)
		return status;
	if (value)
		*value = total;
	if (age_ms)
		*age_ms = age;
	return status;
}

/* ---- the barrier ---- */

static int is_in_cluster(const struct shc_reply *reply)
{
	if (reply->type != SHC_T_INT || (reply->integer != 0 && reply->integer != 1))
		return -1;
	return (int)reply->integer;
}

/* Null: all names. */
static enum shc_status sync_uplink(struct shc *shc, const struct slice *name, unsigned replicas)
{
	char digits[2][NUM_I64_CHARS_MAX];
	const struct slice argv[] = {
		slice_str("SHC.UPLINK"),
		slice_str("SYNC"),
		{digits[0], num_format_i64(digits[0], replicas)},
		{digits[1], num_format_i64(digits[1], shcount_waiting_ms(shc))},
		name ? *name : slice_str(""),
	};
	const struct barrier cluster = {name ? 5 : 4, argv, is_in_cluster,
					replicas ? "in the cluster and on the replicas" : "in the cluster",
					"`shcount uplink status` has what is due"};

	if (shc->redis)
		return wire_say(&shc->wire, SHC_USAGE, "a Redis has no uplink: a shcounterd has");
	return shcount_wait_for(shc, &cluster);
}

enum shc_status shc_sync_uplink(struct shc *shc, unsigned replicas)
{
	enum shc_status status = shcount_begin(shc);
	if (status == SHC_OK)
		status = shcount_identify(shc, false);
	return status ? status : sync_uplink(shc, NULL, replicas);
}

enum shc_status shc_sync_uplink_name(struct shc *shc, const char *name, size_t name_len, unsigned replicas)
{
	struct slice s = {name, name_len};
	char room[NAME_LEN_MAX];
	enum shc_status status = shcount_begin(shc);
	if (status == SHC_OK)
		status = shcount_locate(shc, &s, room);
	return status ? status : sync_uplink(shc, &s, replicas);
}
