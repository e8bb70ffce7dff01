/* SPDX-License-Identifier: MIT */
/* calls.c - see calls.h. */
#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/num.h"
#include "../lib/redis.h"
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

/* ---- many ---- */

/* With a token each has its own, so that a half that was done is not done again. */
static enum shc_status add_one(struct shc *shc, struct job *job, size_t i)
{
	struct job_add *a = &job->adds[i];
	char token[JOB_TOKEN_MAX + 1];
	int len = snprintf(token, sizeof(token), "%.*s#%zu", (int)job->token_len, job->token, i);

	if (!job->token_len)
		return shc_incr(shc, a->name, a->name_len, a->delta, &a->value);
	return shc_once(shc, token, (size_t)len, a->name, a->name_len, a->delta, false, &a->value, NULL);
}

/* One that is refused holds up no other; a backend that is gone does. */
static enum shc_status add_each(struct shc *shc, struct job *job, char why[JOB_ERROR_SIZE])
{
	enum shc_status first = SHC_OK, status = SHC_OK;
	bool is_any = false;

	job->is_each = true;
	for (size_t i = 0; i < job->add_count; i++) {
		if (status != SHC_UNREACHABLE && status != SHC_IN_DOUBT && status != SHC_MEMORY)
			status = add_one(shc, job, i);
		job->adds[i].status = status;
		is_any |= status == SHC_OK;
		if (status && !first)
			(void)snprintf(why, JOB_ERROR_SIZE, "operation %zu: %s", i, shc_error(shc));
		first = first ? first : status;
	}
	job->is_partly = first && is_any;
	/* What says that nothing was done may not be said when something was. */
	return status == SHC_IN_DOUBT || (is_any && (status == SHC_UNREACHABLE || status == SHC_MEMORY))
		       ? SHC_IN_DOUBT
		       : first;
}

static bool append(struct shc *shc, const char *word, const struct job_add *a, bool is_write)
{
	const char *const argv[] = {word, a ? a->name : NULL};
	const size_t lens[] = {strlen(word), a ? a->name_len : 0};

	return shc_append(shc, a ? 2 : 1, argv, lens, is_write) == SHC_OK;
}

/* The additions as words of a request. */
struct words {
	size_t argc;
	const char **argv;		   /* owned */
	size_t *lens;			   /* owned */
	char (*digits)[NUM_I64_CHARS_MAX]; /* owned */
};

static void words_fini(struct words *w)
{
	free(w->argv);
	free(w->lens);
	free(w->digits);
}

static void words_put(struct words *w, const char *word, size_t len)
{
	w->argv[w->argc] = word;
	w->lens[w->argc++] = len;
}

/* Behind these ones, of which the second may be null. */
static bool words_init(struct words *w, const struct job *job, const char *command, const char *token)
{
	size_t count = 2 + 2 * (job->add_count + 1);

	*w = (struct words){.argv = calloc(count, sizeof(*w->argv)),
			    .lens = calloc(count, sizeof(*w->lens)),
			    .digits = calloc(job->add_count, sizeof(*w->digits))};
	if (!w->argv || !w->lens || !w->digits)
		return false;
	words_put(w, command, strlen(command));
	if (token)
		words_put(w, token, job->token_len);
	for (size_t i = 0; i < job->add_count; i++) {
		words_put(w, job->adds[i].name, job->adds[i].name_len);
		words_put(w, w->digits[i], num_format_i64(w->digits[i], job->adds[i].delta));
	}
	return true;
}

static bool append_adds(struct shc *shc, const struct job *job)
{
	struct words w;
	bool is_done = words_init(&w, job, "SHC.ADD", NULL) &&
		       shc_append(shc, w.argc, w.argv, w.lens, true) == SHC_OK;

	words_fini(&w);
	return is_done;
}

/* The reply to EXEC: that of SHC.ADD, then the values. */
static enum shc_status take_exec(struct job *job, const struct shc_reply *reply, char why[JOB_ERROR_SIZE])
{
	if (reply->type != SHC_T_ARRAY || reply->count != 1 + job->add_count)
		return SHC_IN_DOUBT;
	if (reply->elements[0].type == SHC_T_ERROR) {
		(void)snprintf(why, JOB_ERROR_SIZE, "%.*s", (int)reply->elements[0].len,
			       reply->elements[0].data);
		return SHC_REFUSED;
	}
	for (size_t i = 0; i < job->add_count; i++) {
		const struct shc_reply *e = &reply->elements[1 + i];

		if (e->type != SHC_T_STRING ||
		    !num_parse_i64((struct slice){e->data, e->len}, &job->adds[i].value))
			return SHC_IN_DOUBT;
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

/* The values, and whether it was done now. */
static enum shc_status take_once(struct job *job, const struct shc_reply *reply)
{
	if (reply->type != SHC_T_ARRAY || reply->count <= job->add_count)
		return SHC_IN_DOUBT;
	for (size_t i = 0; i < job->add_count; i++) {
		if (reply->elements[i].type != SHC_T_INT)
			return SHC_IN_DOUBT;
		job->adds[i].value = reply->elements[i].integer;
	}
	return SHC_OK;
}

/* All or none, and once: one token of a daemon's for all of them. */
static enum shc_status add_all_once(struct shc *shc, struct job *job)
{
	const struct shc_reply *reply;
	enum shc_status status = SHC_MEMORY;
	struct words w;

	if (words_init(&w, job, "SHC.ONCE", job->token)) {
		/* With one counter the token would be that counter's, and not know other batches. */
		if (job->add_count == 1) {
			words_put(&w, job->adds[0].name, job->adds[0].name_len);
			words_put(&w, "0", 1);
		}
		status = shc_command(shc, w.argc, w.argv, w.lens, true, &reply);
	}
	words_fini(&w);
	return status ? status : take_once(job, reply);
}

/* A Redis server does not know the ways of a daemon, and has not begun then. */
static enum shc_status add_many(struct shc *shc, struct job *job, char why[JOB_ERROR_SIZE])
{
	static const char unknown[] = "ERR unknown command";
	enum shc_status status;

	if (job->is_each)
		return add_each(shc, job, why);
	status = job->token_len ? add_all_once(shc, job) : add_all(shc, job, why);
	if (status == SHC_REFUSED && !why[0])
		(void)snprintf(why, JOB_ERROR_SIZE, "%s", shc_error(shc));
	if (status != SHC_REFUSED || strncmp(why, unknown, sizeof(unknown) - 1) != 0)
		return status;
	why[0] = '\0';
	return add_each(shc, job, why);
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
	case JOB_BATCH: return add_many(shc, job, why);
	case JOB_INFO: return info(shc, job);
	case JOB_READY: return ready(shc);
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
