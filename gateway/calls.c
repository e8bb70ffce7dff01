/* SPDX-License-Identifier: MIT */
/* calls.c - see calls.h. */
#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/num.h"

void calls_add(struct job *job, int64_t part)
{
	if (!__builtin_add_overflow(job->value, part, &job->value))
		return;
	job->status = SHC_REFUSED;
	(void)snprintf(job->error, sizeof(job->error), "ERR the sum over all backends does not fit 64 bits");
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
	if (status == SHC_OK) {
		job->part = value;
		calls_add(job, value);
	}
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

/* Of one daemon its cells; of several what each has. Redis has no cells. */
static enum shc_status parts(struct shc *shc, struct job *job, bool is_only)
{
	const char *const argv[] = {"SHC.SHARDS", job->name};
	const size_t lens[] = {10, job->name_len};
	const struct shc_reply *reply;
	int64_t before = job->value;
	enum shc_status status = get(shc, job);

	if (status)
		return status;
	if (is_only && shc_command(shc, 2, argv, lens, false, &reply) == SHC_OK &&
	    reply->type == SHC_T_ARRAY) {
		job->value = 0;
		for (size_t i = 0; i < reply->count; i++) {
			if (!put_part(job, reply->elements[i].integer))
				return SHC_MEMORY;
			calls_add(job, reply->elements[i].integer);
		}
		return SHC_OK;
	}
	return put_part(job, job->value - before) ? SHC_OK : SHC_MEMORY;
}

/* A counter of 0, if there is none. */
static enum shc_status create(struct shc *shc, struct job *job, bool is_only)
{
	enum shc_status status = shc_get(shc, job->name, job->name_len, NULL);

	if (status == SHC_MISSING) {
		job->is_new = true;
		status = shc_incr(shc, job->name, job->name_len, 0, NULL);
	}
	return status ? status : parts(shc, job, is_only);
}

/* ---- in time ---- */

static enum shc_status hit(struct shc *shc, struct job *job)
{
	int64_t value = 0;
	enum shc_status status = shc_hit(shc, job->name, job->name_len, job->delta, &value);

	if (status == SHC_OK) {
		job->part = value;
		calls_add(job, value);
	}
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
static enum shc_status read_log(struct shc *shc, struct job *job)
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

/* [name, value, rate, change] */
static bool take_top(struct job_top *row, const struct shc_reply *reply)
{
	const struct shc_reply *e = reply->elements;

	if (reply->type != SHC_T_ARRAY || reply->count != 4 || e[0].len > JOB_NAME_MAX)
		return false;
	*row = (struct job_top){.name_len = (uint8_t)e[0].len, .value = e[1].integer, .change = e[3].integer};
	memcpy(row->name, e[0].data, e[0].len);
	row->rate = strtod(e[2].data ? e[2].data : "0", NULL);
	return true;
}

/* Only a daemon knows what is busiest. */
static void top(struct shc *shc, struct job *job)
{
	char limit[24];
	const char *const argv[] = {"SHC.TOP", limit};
	const struct shc_reply *reply;

	(void)snprintf(limit, sizeof(limit), "%zu", job->limit);
	if (shc_command(shc, 2, argv, NULL, false, &reply) || reply->type != SHC_T_ARRAY || reply->count == 0)
		return;
	job->top = calloc(reply->count, sizeof(*job->top));
	for (size_t i = 0; job->top && i < reply->count; i++)
		job->top_count += take_top(&job->top[job->top_count], &reply->elements[i]);
}

static enum shc_status info(struct shc *shc, struct job *job, bool is_only)
{
	const char *const argv[] = {"INFO"};
	const struct shc_reply *reply;
	enum shc_status status = shc_command(shc, 1, argv, NULL, false, &reply);

	if (status == SHC_OK)
		job->texts[job->at] = copy_of(reply);
	if (status == SHC_OK && is_only && job->limit)
		top(shc, job);
	/* One that does not answer is told of by its absence. */
	return status == SHC_USAGE ? SHC_OK : status;
}

/* ---- many ---- */

/* With a token each has its own, so that a half that was done is not done again. */
static enum shc_status add_each(struct shc *shc, struct job *job)
{
	char token[JOB_TOKEN_MAX + 1];
	enum shc_status first = SHC_OK;

	for (size_t i = 0; i < job->add_count; i++) {
		struct job_add *a = &job->adds[i];
		int len = snprintf(token, sizeof(token), "%.*s#%zu", (int)job->token_len, job->token, i);

		a->status = job->token_len ? shc_once(shc, token, (size_t)len, a->name, a->name_len, a->delta,
						      false, &a->value, NULL)
					   : shc_incr(shc, a->name, a->name_len, a->delta, &a->value);
		first = first ? first : a->status;
		if (a->status == SHC_UNREACHABLE || a->status == SHC_IN_DOUBT)
			return a->status;
	}
	return first;
}

static bool append(struct shc *shc, const char *word, const struct job_add *a, bool is_write)
{
	const char *const argv[] = {word, a ? a->name : NULL};
	const size_t lens[] = {strlen(word), a ? a->name_len : 0};

	return shc_append(shc, a ? 2 : 1, argv, lens, is_write) == SHC_OK;
}

static bool append_adds(struct shc *shc, const struct job *job)
{
	size_t argc = 1 + 2 * job->add_count;
	const char **argv = calloc(argc, sizeof(*argv));
	size_t *lens = calloc(argc, sizeof(*lens));
	char(*digits)[NUM_I64_CHARS_MAX] = calloc(job->add_count, sizeof(*digits));
	bool is_done = argv && lens && digits;

	for (size_t i = 0; is_done && i < job->add_count; i++) {
		argv[1 + 2 * i] = job->adds[i].name;
		lens[1 + 2 * i] = job->adds[i].name_len;
		argv[2 + 2 * i] = digits[i];
		lens[2 + 2 * i] = num_format_i64(digits[i], job->adds[i].delta);
	}
	if (is_done) {
		argv[0] = "SHC.ADD";
		lens[0] = 7;
		is_done = shc_append(shc, argc, argv, lens, true) == SHC_OK;
	}
	free(argv);
	free(lens);
	free(digits);
	return is_done;
}

/* The reply to EXEC: that of SHC.ADD, then the values. */
static enum shc_status take_exec(struct job *job, const struct shc_reply *reply, char why[JOB_ERROR_SIZE])
{
	if (reply->type != SHC_T_ARRAY || reply->count != 1 + job->add_count)
		return SHC_PROTOCOL;
	if (reply->elements[0].type == SHC_T_ERROR) {
		(void)snprintf(why, JOB_ERROR_SIZE, "%.*s", (int)reply->elements[0].len,
			       reply->elements[0].data);
		return SHC_REFUSED;
	}
	for (size_t i = 0; i < job->add_count; i++) {
		const struct shc_reply *e = &reply->elements[1 + i];

		if (e->type != SHC_T_STRING ||
		    !num_parse_i64((struct slice){e->data, e->len}, &job->adds[i].value))
			return SHC_PROTOCOL;
	}
	return SHC_OK;
}

/* All or none, and their values behind it: one transaction of a daemon's. */
static enum shc_status add_all(struct shc *shc, struct job *job, char why[JOB_ERROR_SIZE])
{
	const struct shc_reply *reply = NULL;
	enum shc_status status = SHC_OK;
	bool is_put = append(shc, "MULTI", NULL, false) && append_adds(shc, job);

	for (size_t i = 0; is_put && i < job->add_count; i++)
		is_put = append(shc, "GET", &job->adds[i], false);
	is_put = is_put && append(shc, "EXEC", NULL, true);
	if (!is_put)
		return SHC_MEMORY;
	while (shc_pending(shc)) {
		status = shc_next(shc, &reply);
		if (status == SHC_REFUSED && !why[0])
			(void)snprintf(why, JOB_ERROR_SIZE, "%.*s", (int)reply->len, reply->data);
		else if (status)
			return status;
	}
	return status ? status : take_exec(job, reply, why);
}

/* A Redis server does not know the way of a daemon, and has not begun then. */
static enum shc_status add_many(struct shc *shc, struct job *job, char why[JOB_ERROR_SIZE])
{
	static const char unknown[] = "ERR unknown command";
	enum shc_status status;

	if (job->token_len || job->is_each)
		return add_each(shc, job);
	status = add_all(shc, job, why);
	if (status != SHC_REFUSED || strncmp(why, unknown, sizeof(unknown) - 1) != 0)
		return status;
	why[0] = '\0';
	job->is_each = true;
	return add_each(shc, job);
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
	case JOB_LOG: return read_log(shc, job);
	case JOB_BATCH: return add_many(shc, job, why);
	case JOB_INFO: return info(shc, job, is_only);
	case JOB_NONE: break;
	}
	return SHC_OK;
}

enum shc_status calls_run(struct shc *shc, struct job *job, bool is_only, char why[JOB_ERROR_SIZE])
{
	enum shc_status status = run(shc, job, is_only, why);

	if (status && !why[0])
		(void)snprintf(why, JOB_ERROR_SIZE, "%s",
			       status == SHC_MEMORY ? "out of memory" : shc_error(shc));
	return status;
}
