/* SPDX-License-Identifier: MIT */
/* calls.c - see calls.h. */
#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/redis.h"
#include "../lib/shard.h"
#include "batch.h"
#include "values.h"

void calls_add(struct job *job, int64_t part)
{
	if (!__builtin_add_overflow(job->value, part, &job->value))
		return;
	if (job->is_added)
		job->is_untold = true;
	else
		job->status = SHC_REFUSED;
	(void)snprintf(job->error, sizeof(job->error), "ERR the sum over all backends does not fit 64 bits");
}

void calls_added(struct job *job, int64_t value)
{
	job->is_added = true;
	job->part = value;
	calls_add(job, value);
}

/* ---- one counter ---- */

static enum shc_status add(struct shc *shc, struct job *job)
{
	enum shc_status status;
	int64_t value = 0;

	if (job->token_len)
		status = shc_once(shc, job->token, job->token_len, job->name, job->name_len, job->delta,
				  false, &value, NULL);
	else
		status = shc_incr(shc, job->name, job->name_len, job->delta, &value);
	if (status == SHC_OK)
		calls_added(job, value);
	return status;
}

static enum shc_status get(struct shc *shc, struct job *job)
{
	int64_t value = 0;
	enum shc_status status = shc_get(shc, job->name, job->name_len, &value);

	if (status == SHC_OK || status == SHC_MISSING) {
		job->is_there |= status == SHC_OK;
		calls_add(job, value);
		return SHC_OK;
	}
	return status;
}

static bool put_part(struct job *job, int64_t value)
{
	int64_t *more = reallocarray(job->parts, job->part_count + 1, sizeof(*more));

	if (!more)
		return false;
	job->parts = more;
	job->parts[job->part_count++] = value;
	return true;
}

/* The base first, then each cell. On the way a sum may leave 64 bits: modulo 2^64 it comes back. */
static enum shc_status cells(struct shc *shc, struct job *job)
{
	const char *const argv[] = {"SHC.SHARDS", job->name};
	const size_t lens[] = {10, job->name_len};
	const struct shc_reply *reply;
	uint64_t sum = 0;
	enum shc_status status = shc_command(shc, 2, argv, lens, false, &reply);

	if (status)
		return status;
	for (size_t i = 0; reply->type == SHC_T_ARRAY && i < reply->count; i++) {
		if (!put_part(job, reply->elements[i].integer))
			return SHC_MEMORY;
		sum += (uint64_t)reply->elements[i].integer;
	}
	job->value = (int64_t)sum;
	return job->part_count || put_part(job, 0) ? SHC_OK : SHC_MEMORY;
}

/* The counter's own key first, then those that additions were spread over. */
static enum shc_status sub_counters(struct shc *shc, struct job *job)
{
	const struct slice name = {job->name, job->name_len};
	struct redis_part *rows;
	size_t count;
	bool is_put = true;
	enum shc_status status = redis_parts(shc, name, &rows, &count);

	if (status)
		return status;
	job->is_redis = true;
	for (size_t i = 0; is_put && i < count; i++) {
		is_put = put_part(job, rows[i].value);
		calls_add(job, rows[i].value);
	}
	free(rows);
	return is_put ? SHC_OK : SHC_MEMORY;
}

/* Of one daemon or Redis its parts; of several backends what each has. */
static enum shc_status parts(struct shc *shc, struct job *job, bool is_only)
{
	enum shc_status status = redis_identify(shc);
	int64_t before = job->value;

	if (status)
		return status;
	if (is_only)
		return redis_is(shc) ? sub_counters(shc, job) : cells(shc, job);
	status = get(shc, job);
	if (status || job->status)
		return status;
	return put_part(job, job->value - before) ? SHC_OK : SHC_MEMORY;
}

/* A counter of 0, if there is none: on each, so that it is there whoever is asked. */
static enum shc_status create(struct shc *shc, struct job *job, bool is_only)
{
	enum shc_status status = shc_get(shc, job->name, job->name_len, NULL);
	bool was_there = status == SHC_OK;

	if (status == SHC_MISSING)
		status = shc_incr(shc, job->name, job->name_len, 0, NULL);
	job->is_new = !was_there && (job->at == 0 || job->is_new);
	return status ? status : parts(shc, job, is_only);
}

/* ---- in time ---- */

static enum shc_status hit(struct shc *shc, struct job *job)
{
	int64_t value = 0;
	enum shc_status status = shc_hit(shc, job->name, job->name_len, job->delta, &value);

	if (status == SHC_OK)
		calls_added(job, value);
	return status;
}

static enum shc_status hits(struct shc *shc, struct job *job)
{
	struct shc_hits found;
	enum shc_status status = shc_hits(shc, job->name, job->name_len, job->window_ms, &found);

	if (status == SHC_OK) {
		job->resolution_ms = found.resolution_ms;
		calls_add(job, found.hits);
	}
	return status;
}

static int by_time(const void *a, const void *b)
{
	const struct job_entry *x = a, *y = b;

	return x->time_us < y->time_us ? -1 : x->time_us > y->time_us;
}

/* Of several backends the newest of all. */
static enum shc_status read_log(struct shc *shc, struct job *job, char why[JOB_ERROR_SIZE])
{
	struct shc_log_entry *entries = calloc(job->limit, sizeof(*entries));
	struct job_entry *more;
	enum shc_status status;
	size_t count = 0;

	if (!entries)
		return SHC_MEMORY;
	status = shc_log(shc, job->name, job->name_len, -1, job->limit, entries, &count);
	more = reallocarray(job->log, job->log_count + count + 1, sizeof(*more));
	if (!more) {
		free(entries);
		return SHC_MEMORY;
	}
	job->log = more;
	for (size_t i = 0; status == SHC_OK && i < count; i++) {
		struct job_entry *e = &job->log[job->log_count++];

		*e = (struct job_entry){
			.time_us = entries[i].time_us, .delta = entries[i].delta, .value = entries[i].value};
		(void)snprintf(e->operation, sizeof(e->operation), "%.*s", (int)entries[i].operation_len,
			       entries[i].operation);
		(void)snprintf(e->peer, sizeof(e->peer), "%.*s", (int)entries[i].peer_len, entries[i].peer);
	}
	free(entries);
	if (status == SHC_USAGE || (status == SHC_REFUSED && strstr(shc_error(shc), "unknown command"))) {
		(void)snprintf(why, JOB_ERROR_SIZE,
			       "ERR not audited: Redis keeps no log of changes, shcounterd does");
		status = SHC_REFUSED;
	}
	qsort(job->log, job->log_count, sizeof(*job->log), by_time);
	if (job->log_count > job->limit) {
		memmove(job->log, job->log + (job->log_count - job->limit), job->limit * sizeof(*job->log));
		job->log_count = job->limit;
	}
	return status;
}

/* ---- how it is ---- */

static char *copy_of(const struct shc_reply *reply)
{
	return reply->type == SHC_T_STRING || reply->type == SHC_T_STATUS ? strndup(reply->data, reply->len)
									  : NULL;
}

static enum shc_status info(struct shc *shc, struct job *job)
{
	const char *const argv[] = {"INFO"};
	const struct shc_reply *reply;
	enum shc_status status = shc_command(shc, 1, argv, NULL, false, &reply);

	if (status == SHC_OK)
		job->texts[job->at] = copy_of(reply);
	/* A cluster is not one server, and has nothing to say of itself. */
	if (status == SHC_USAGE)
		status = shc_connect(shc);
	job->is_up[job->at] = status == SHC_OK;
	if (status == SHC_OK && job->prefix) {
		status = values_read(shc, job);
		job->is_partial |= status != SHC_OK;
	}
	return status;
}

static void count_answer(void *arg, const struct node *node, enum shc_status status,
			 const struct resp_reply *reply, const char *error)
{
	unsigned *count = arg;

	(void)node, (void)reply, (void)error;
	*count += status == SHC_OK;
}

/* Of a cluster one master does: that another is away must not take the gateway from all the rest. */
static enum shc_status ready(struct shc *shc)
{
	static const char *const ping[] = {"PING"};
	const struct slice word = slice_str(ping[0]);
	const struct shc_reply *reply;
	enum shc_status status;
	unsigned count = 0;

	if (!redis_is(shc) || !redis_is_cluster(shc))
		return shc_command(shc, 1, ping, NULL, false, &reply);
	status = redis_each(shc, false, 1, &word, count_answer, &count);
	return status || count ? status : SHC_UNREACHABLE;
}

/* ---- which ---- */

static enum shc_status run(struct shc *shc, struct job *job, bool is_only, char why[JOB_ERROR_SIZE])
{
	switch (job->kind) {
	case JOB_ADD: return add(shc, job);
	case JOB_GET: return get(shc, job);
	case JOB_PARTS: return parts(shc, job, is_only);
	case JOB_CREATE: return create(shc, job, is_only);
	case JOB_HIT: return hit(shc, job);
	case JOB_HITS: return hits(shc, job);
	case JOB_LOG: return read_log(shc, job, why);
	case JOB_BATCH: return batch_add(shc, job, why);
	case JOB_INFO: return info(shc, job);
	case JOB_READY: return ready(shc);
	case JOB_NONE: break;
	}
	return SHC_OK;
}

/* Redis keeps what belongs to counters under names that are not for clients. */
static enum shc_status check_name(struct shc *shc, const char *name, size_t len)
{
	enum shc_status status;

	if (!shard_is_own((struct slice){name, len}))
		return SHC_OK;
	status = redis_identify(shc);
	if (status || !redis_is(shc))
		return status;
	return redis_check_name(shc, (struct slice){name, len});
}

static enum shc_status check_names(struct shc *shc, const struct job *job)
{
	enum shc_status status = check_name(shc, job->name, job->name_len);

	for (size_t i = 0; i < job->add_count && !status; i++)
		status = check_name(shc, job->adds[i].name, job->adds[i].name_len);
	return status;
}

enum shc_status calls_run(struct shc *shc, struct job *job, bool is_only, char why[JOB_ERROR_SIZE])
{
	enum shc_status status = check_names(shc, job);

	if (!status)
		status = run(shc, job, is_only, why);
	if (status && !why[0])
		(void)snprintf(why, JOB_ERROR_SIZE, "%s",
			       status == SHC_MEMORY ? "out of memory" : shc_error(shc));
	return status;
}
