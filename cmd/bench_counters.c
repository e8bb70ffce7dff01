/* SPDX-License-Identifier: MIT */
/*
 * bench_counters.c - the counters that a load generator works on: a prefix and digits. They are told one by
 * one, never by a pattern, so that no other is touched.
 */
#include <stdio.h>
#include <string.h>

#include "../lib/redis.h"
#include "bench.h"
#include "bench_memcached.h"

enum { CHUNK = 1000 /* names of one request */ };

/* Some of the names that follow each other. */
struct chunk {
	unsigned count;
	const char *names[CHUNK];
	char text[CHUNK][BENCH_NAME_SIZE];
};

void bench_name(const struct bench_plan *plan, unsigned key, char out[BENCH_NAME_SIZE])
{
	size_t len = strlen(plan->prefix);
	memcpy(out, plan->prefix, len);
	bench_put_digits(out + len, plan->digits, key);
	out[len + plan->digits] = '\0';
}

void bench_tell_counters(const struct bench_plan *plan, char *out, size_t size)
{
	char first[BENCH_NAME_SIZE], last[BENCH_NAME_SIZE];
	bench_name(plan, 0, first);
	bench_name(plan, plan->keys - 1, last);
	if (plan->keys == 1)
		snprintf(out, size, "the counter %s", first);
	else
		snprintf(out, size, "%u counters, %s to %s", plan->keys, first, last);
}

static void take_chunk(const struct bench_plan *plan, unsigned from, struct chunk *c)
{
	c->count = plan->keys - from < CHUNK ? plan->keys - from : CHUNK;
	for (unsigned i = 0; i < c->count; i++) {
		bench_name(plan, from + i, c->text[i]);
		c->names[i] = c->text[i];
	}
}

/* ---- reading ---- */

/* `found`: the name of one that is there, or "". */
static enum shc_status read_counters(const struct bench_plan *plan, struct shc *shc,
				     struct bench_worth *worth, char found[BENCH_NAME_SIZE])
{
	struct chunk c;
	int64_t values[CHUNK];
	bool is_there[CHUNK];
	*worth = BENCH_WORTH_NONE;
	found[0] = '\0';
	for (unsigned from = 0; from < plan->keys; from += CHUNK) {
		take_chunk(plan, from, &c);
		enum shc_status status = shc_mget(shc, c.count, c.names, NULL, values, is_there);
		if (status)
			return status;
		for (unsigned i = 0; i < c.count; i++) {
			bench_worth_add(worth, values[i]);
			if (is_there[i] && !found[0])
				memcpy(found, c.text[i], BENCH_NAME_SIZE);
		}
	}
	return SHC_OK;
}

static int read_all(const struct bench_plan *plan, struct bench_link *link, struct bench_worth *worth,
		    char found[BENCH_NAME_SIZE])
{
	if (plan->memcached)
		return memcached_read(plan, &link->own, worth, found);
	enum shc_status status = read_counters(plan, link->shc, worth, found);
	return status ? command_status(link->shc, status) : EX_OK;
}

int bench_sum_counters(const struct bench_plan *plan, struct bench_link *link, struct bench_worth *worth)
{
	char found[BENCH_NAME_SIZE];
	return read_all(plan, link, worth, found);
}

/* ---- making ---- */

/* Adding nothing makes a counter; and a cluster learns of how many parts it is. */
static enum shc_status add_nothing(const struct bench_plan *plan, struct shc *shc)
{
	char name[BENCH_NAME_SIZE];
	enum shc_status status = SHC_OK;
	for (unsigned key = 0; key < plan->keys && status == SHC_OK; key++) {
		bench_name(plan, key, name);
		status = shc_add(shc, name, strlen(name), 0);
	}
	return status ? status : shc_flush(shc, NULL);
}

/* The same on a single Redis: on a Unix socket the library takes every server for a shcounterd. */
static enum shc_status add_nothing_in_redis(const struct bench_plan *plan, struct shc *shc)
{
	struct chunk c;
	const struct shc_reply *reply;
	enum shc_status status = SHC_OK;
	for (unsigned from = 0; from < plan->keys && status == SHC_OK; from += CHUNK) {
		take_chunk(plan, from, &c);
		for (unsigned i = 0; i < c.count && status == SHC_OK; i++) {
			const char *argv[] = {"INCRBY", c.names[i], "0"};
			status = shc_append(shc, 3, argv, NULL, true);
		}
		for (unsigned i = 0; i < c.count && status == SHC_OK; i++)
			status = shc_next(shc, &reply);
	}
	return status;
}

static int make(const struct bench_plan *plan, struct bench_link *link)
{
	if (plan->memcached)
		return memcached_make(plan, &link->own);
	bool is_one_redis = plan->is_redis && !plan->is_cluster;
	enum shc_status status = (is_one_redis ? add_nothing_in_redis : add_nothing)(plan, link->shc);
	return status ? command_status(link->shc, status) : EX_OK;
}

int bench_make_counters(const struct bench_plan *plan, struct bench_link *link, struct bench_worth *worth)
{
	char found[BENCH_NAME_SIZE];
	int rc = read_all(plan, link, worth, found);
	if (rc)
		return rc;
	if (found[0] && !plan->is_kept)
		return command_fail(
			EXIT_NO,
			"there is a counter %s: as all of bench's are deleted at the end, only new ones are "
			"taken; nothing was changed. Give another --prefix, or --keep to leave them",
			found);
	rc = make(plan, link);
	if (rc && !plan->is_kept)
		(void)bench_delete_counters(plan, link);
	return rc;
}

/* ---- deleting ---- */

static enum shc_status delete_chunk(struct shc *shc, const struct chunk *c)
{
	const char *argv[1 + CHUNK] = {"DEL"};
	const struct shc_reply *reply;
	if (redis_is(shc))
		return redis_erase(shc, c->count, c->names);
	memcpy(argv + 1, c->names, c->count * sizeof(argv[0]));
	return shc_command(shc, 1 + c->count, argv, NULL, true, &reply);
}

static int delete_all(const struct bench_plan *plan, struct bench_link *link)
{
	struct chunk c;
	if (plan->memcached)
		return memcached_delete(plan, &link->own);
	for (unsigned from = 0; from < plan->keys; from += CHUNK) {
		take_chunk(plan, from, &c);
		enum shc_status status = delete_chunk(link->shc, &c);
		if (status)
			return command_status(link->shc, status);
	}
	return EX_OK;
}

int bench_delete_counters(const struct bench_plan *plan, struct bench_link *link)
{
	char told[2 * BENCH_NAME_SIZE + 64];
	int rc = delete_all(plan, link);
	if (rc == EX_OK)
		return EX_OK;
	bench_tell_counters(plan, told, sizeof(told));
	return command_fail(rc, "not all of bench's counters are deleted: %s", told);
}
