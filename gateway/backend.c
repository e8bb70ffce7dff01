/* SPDX-License-Identifier: MIT */
/*
 * backend.c - see backend.h. What is short and can be answered in order goes in one pipeline to each backend
 * (additions, reads); the rest is one call of libshcount behind another.
 */
#include "backend.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/conn.h"
#include "../lib/hash.h"
#include "../lib/num.h"
#include "../lib/url.h"
#include "backend_calls.h"
#include "log.h"

enum { PAUSE_MS_MIN = 100, PAUSE_MS_MAX = 2000 };

struct lane {
	struct shc *shc; /* owned */
	const char *url;
	bool is_cluster;
	bool is_tried; /* by this batch, and has failed */
	int64_t pause_ms, retry_ns;
	char error[JOB_ERROR_SIZE]; /* why it was given up */
	_Atomic int breaker;
	_Atomic uint64_t opened;
};

struct backend {
	size_t count;
	unsigned turn;
	struct lane lanes[];
};

/* ---- open, close ---- */

/* For people: without user and password. */
static void open_lane(struct lane *l, const char *text, int timeout_ms, int *rc, char why[JOB_ERROR_SIZE])
{
	char sentence[URL_ERROR_SIZE];
	struct url url;

	l->url = text;
	*rc = url_parse(&url, text, sentence);
	if (*rc != URL_OK) {
		(void)snprintf(why, JOB_ERROR_SIZE, "backend %s: %s", text, sentence);
		*rc = -EINVAL;
		return;
	}
	l->is_cluster = url.kind == URL_CLUSTER;
	url_fini(&url);
	*rc = shc_open(&l->shc, text, timeout_ms) == SHC_OK ? 0 : -EINVAL;
	if (*rc)
		(void)snprintf(why, JOB_ERROR_SIZE, "backend %s: %s", text, shc_error(l->shc));
}

int backend_open(struct backend **out, const char *const *urls, size_t count, int timeout_ms, unsigned turn,
		 char why[JOB_ERROR_SIZE])
{
	struct backend *b = calloc(1, sizeof(*b) + count * sizeof(b->lanes[0]));
	int rc = b ? 0 : -ENOMEM;

	(void)snprintf(why, JOB_ERROR_SIZE, "out of memory");
	for (size_t i = 0; i < count && !rc; i++) {
		b->count++;
		open_lane(&b->lanes[i], urls[i], timeout_ms, &rc, why);
	}
	if (rc) {
		backend_close(b);
		return rc;
	}
	b->turn = turn;
	*out = b;
	return 0;
}

void backend_close(struct backend *b)
{
	for (size_t i = 0; b && i < b->count; i++)
		shc_close(b->lanes[i].shc);
	free(b);
}

/* ---- breakers ---- */

static bool is_away(enum shc_status status)
{
	return status == SHC_UNREACHABLE || status == SHC_IN_DOUBT || status == SHC_PROTOCOL;
}

/* Whether it is tried now. */
static bool is_usable(const struct lane *l)
{
	return !l->is_tried && (!l->pause_ms || conn_now_ns() >= l->retry_ns);
}

static void note_failure(struct lane *l)
{
	(void)snprintf(l->error, sizeof(l->error), "%s", shc_error(l->shc));
	l->is_tried = true;
	l->pause_ms = l->pause_ms ? 2 * l->pause_ms : PAUSE_MS_MIN;
	if (l->pause_ms > PAUSE_MS_MAX)
		l->pause_ms = PAUSE_MS_MAX;
	l->retry_ns = conn_now_ns() + l->pause_ms * 1000000;
	if (atomic_exchange_explicit(&l->breaker, BREAKER_OPEN, memory_order_relaxed) == BREAKER_OPEN)
		return;
	atomic_fetch_add_explicit(&l->opened, 1, memory_order_relaxed);
	log_say(LOG_WARNING, "backend %s: %s; requests are refused until it answers", log_url(l->url), l->error);
}

static void note_success(struct lane *l)
{
	if (!l->pause_ms)
		return;
	l->pause_ms = 0;
	atomic_store_explicit(&l->breaker, BREAKER_CLOSED, memory_order_relaxed);
	log_say(LOG_INFO, "backend %s answers again", log_url(l->url));
}

static void note(struct lane *l, enum shc_status status)
{
	if (is_away(status))
		note_failure(l);
	else
		note_success(l);
}

void backend_states(const struct backend *b, struct backend_state out[JOB_BACKENDS_MAX])
{
	for (size_t i = 0; i < b->count; i++)
		out[i] = (struct backend_state){
			.breaker = (enum breaker_state)atomic_load_explicit(&b->lanes[i].breaker,
									    memory_order_relaxed),
			.opened = atomic_load_explicit(&b->lanes[i].opened, memory_order_relaxed)};
}

/* ---- where to ---- */

/* A token is its backend's, whoever of us is asked to do it again. */
static struct lane *lane_of_token(struct backend *b, const struct job *job)
{
	static const struct hash_key fixed = {{0x736863, 0x746f6b656e}};

	return &b->lanes[hash_bytes(&fixed, job->token, job->token_len) % b->count];
}

/* Who is away is passed over: the next one is as good. */
static struct lane *lane_to_add(struct backend *b, const struct job *job)
{
	if (job->token_len)
		return lane_of_token(b, job);
	for (size_t i = 0; i < b->count; i++) {
		struct lane *l = &b->lanes[(b->turn + i) % b->count];

		if (is_usable(l))
			return l;
	}
	return &b->lanes[b->turn % b->count];
}

static void fail(struct job *job, enum shc_status status, const char *why)
{
	if (job->status == SHC_OK || status == SHC_IN_DOUBT) {
		job->status = status;
		(void)snprintf(job->error, sizeof(job->error), "%s", why);
	}
}

/* ---- in a pipeline ---- */

static bool is_short(const struct job *job)
{
	return (job->kind == JOB_ADD && !job->token_len) || job->kind == JOB_GET;
}

static enum shc_status append(struct lane *l, const struct job *job)
{
	char digits[NUM_I64_CHARS_MAX];
	const char *const add[] = {"INCRBY", job->name, digits}, *const get[] = {"GET", job->name};
	const size_t add_lens[] = {6, job->name_len, job->kind == JOB_ADD ? num_format_i64(digits, job->delta) : 0},
		     get_lens[] = {3, job->name_len};

	return job->kind == JOB_ADD ? shc_append(l->shc, 3, add, add_lens, true)
				    : shc_append(l->shc, 2, get, get_lens, false);
}

static void add_to_value(struct job *job, int64_t part)
{
	if (__builtin_add_overflow(job->value, part, &job->value))
		fail(job, SHC_REFUSED, "the sum over all backends does not fit 64 bits");
}

/* Of one pipelined request. */
static void take_reply(struct job *job, enum shc_status status, const struct shc_reply *reply)
{
	int64_t value = 0;

	if (status) {
		fail(job, status, reply ? "" : "no answer");
		if (reply)
			(void)snprintf(job->error, sizeof(job->error), "%.*s", (int)reply->len, reply->data);
		return;
	}
	if (reply->type == SHC_T_INT)
		value = reply->integer;
	else if (reply->type == SHC_T_STRING && !num_parse_i64((struct slice){reply->data, reply->len}, &value))
		fail(job, SHC_REFUSED, "ERR value is not an integer or out of range");
	job->is_there |= reply->type != SHC_T_NIL;
	job->part = value;
	add_to_value(job, value);
}

/* Those in `jobs` for which `belongs` says yes. The connection is lost for all of them at once. */
typedef bool belongs_fn(struct backend *b, const struct lane *l, const struct job *job);

static void run_pipeline(struct backend *b, struct lane *l, struct job *jobs, belongs_fn *belongs)
{
	enum shc_status lost = SHC_OK;
	const struct shc_reply *reply;
	size_t count = 0;

	for (struct job *j = jobs; j; j = j->next) {
		if (!belongs(b, l, j))
			continue;
		if (!is_usable(l))
			fail(j, SHC_UNREACHABLE, l->error);
		else if (append(l, j) != SHC_OK)
			fail(j, SHC_MEMORY, "out of memory");
		else
			count++, j->is_sent = true;
	}
	for (struct job *j = jobs; j && count; j = j->next) {
		enum shc_status status;

		if (!belongs(b, l, j) || !j->is_sent)
			continue;
		j->is_sent = false;
		count--;
		reply = NULL;
		status = lost ? lost : shc_next(l->shc, &reply);
		if (lost || (is_away(status)) || (status == SHC_DENIED && !reply)) {
			if (!lost)
				note(l, status);
			lost = status == SHC_IN_DOUBT ? SHC_IN_DOUBT : SHC_UNREACHABLE;
			fail(j, j->kind == JOB_ADD ? lost : SHC_UNREACHABLE, l->error);
			continue;
		}
		note_success(l);
		take_reply(j, status, reply);
	}
}

static bool adds_here(struct backend *b, const struct lane *l, const struct job *job)
{
	return job->kind == JOB_ADD && is_short(job) && !l->is_cluster && job->lane == l - b->lanes;
}

static bool reads_here(struct backend *b, const struct lane *l, const struct job *job)
{
	(void)b;
	return job->kind == JOB_GET && !l->is_cluster;
}

