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
#include "../lib/credentials.h"
#include "../lib/hash.h"
#include "../lib/log.h"
#include "../lib/num.h"
#include "../lib/shard.h"
#include "../lib/url.h"
#include "batch.h"
#include "calls.h"

enum { PAUSE_MS_MIN = 100, PAUSE_MS_MAX = 2000 };

struct lane {
	struct shc *shc; /* owned */
	char shown[BACKEND_NAME_SIZE];
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

/* For people. */
static void show(char out[BACKEND_NAME_SIZE], const struct url *url)
{
	if (url->kind == URL_UNIX)
		(void)snprintf(out, BACKEND_NAME_SIZE, "%s", url->path);
	else
		(void)snprintf(out, BACKEND_NAME_SIZE, "%s:%u",
			       url->kind == URL_CLUSTER ? url->hosts[0].host : url->host,
			       url->kind == URL_CLUSTER ? url->hosts[0].port : url->port);
}

int backend_reach(struct shc **out, const char *text, int timeout_ms, char name[BACKEND_NAME_SIZE],
		  bool *is_cluster, char why[JOB_ERROR_SIZE])
{
	char sentence[URL_ERROR_SIZE];
	struct url url;
	enum shc_status status;

	if (url_parse(&url, text, sentence) != URL_OK) {
		(void)snprintf(why, JOB_ERROR_SIZE, "backend: %s", sentence);
		return -EINVAL;
	}
	*is_cluster = url.kind == URL_CLUSTER;
	show(name, &url);
	status = shc_open(out, text, timeout_ms);
	if (status == SHC_OK)
		status = credentials_set(*out, credentials_variable(&url));
	url_fini(&url);
	if (status)
		(void)snprintf(why, JOB_ERROR_SIZE, "backend %s: %s", name, shc_error(*out));
	return status ? -EINVAL : 0;
}

/* What is shown of a backend is a name of it in /metrics. */
static void tell_apart(struct backend *b)
{
	for (size_t i = 1; i < b->count; i++)
		for (size_t k = 0; k < i; k++) {
			struct lane *l = &b->lanes[i];
			size_t len = strlen(l->shown);

			if (strcmp(b->lanes[k].shown, l->shown) != 0)
				continue;
			len = len < sizeof(l->shown) - 8 ? len : sizeof(l->shown) - 8;
			(void)snprintf(l->shown + len, sizeof(l->shown) - len, "#%zu", i + 1);
			k = i;
		}
}

int backend_open(struct backend **out, const char *const *urls, size_t count, int timeout_ms, unsigned turn,
		 char why[JOB_ERROR_SIZE])
{
	struct backend *b = calloc(1, sizeof(*b) + count * sizeof(b->lanes[0]));
	int rc = b ? 0 : -ENOMEM;

	(void)snprintf(why, JOB_ERROR_SIZE, "out of memory");
	for (size_t i = 0; i < count && !rc; i++) {
		struct lane *l = &b->lanes[i];

		rc = backend_reach(&l->shc, urls[i], timeout_ms, l->shown, &l->is_cluster, why);
		b->count++;
	}
	if (rc) {
		backend_close(b);
		return rc;
	}
	tell_apart(b);
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
	log_warning("backend %s: %s; requests are refused until it answers", l->shown, l->error);
}

static void note_success(struct lane *l)
{
	if (!l->pause_ms)
		return;
	l->pause_ms = 0;
	atomic_store_explicit(&l->breaker, BREAKER_CLOSED, memory_order_relaxed);
	log_info("backend %s answers again", l->shown);
}

static void note(struct lane *l, enum shc_status status)
{
	if (is_away(status))
		note_failure(l);
	else
		note_success(l);
}

/* A breaker that is open lets a question through before anything that would change something: what is sent
 * to a backend that hangs is in doubt. */
static bool probe(struct lane *l)
{
	static const char *const ping[] = {"PING"};
	const struct shc_reply *reply;

	note(l, l->is_cluster ? shc_connect(l->shc) : shc_command(l->shc, 1, ping, NULL, false, &reply));
	return !l->is_tried;
}

/* Whether it is tried now. Not while replies are pending, unless it was asked before them. */
static bool is_usable(struct lane *l)
{
	if (l->is_tried || !l->pause_ms)
		return !l->is_tried;
	return conn_now_ns() >= l->retry_ns && probe(l);
}

size_t backend_states(const struct backend *b, struct backend_state out[JOB_BACKENDS_MAX])
{
	for (size_t i = 0; i < b->count; i++)
		out[i] = (struct backend_state){
			.breaker = (enum breaker_state)atomic_load_explicit(&b->lanes[i].breaker,
									    memory_order_relaxed),
			.opened = atomic_load_explicit(&b->lanes[i].opened, memory_order_relaxed),
			.shown = b->lanes[i].shown};
	return b->count;
}

/* ---- where to ---- */

/* A token is its backend's, whoever of us is asked to do it again. */
static struct lane *lane_of_token(struct backend *b, const struct job *job)
{
	static const struct hash_key fixed = {0x736863, 0x746f6b656e};

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
	if (job->is_added) {
		job->is_untold = true;
		(void)snprintf(job->error, sizeof(job->error), "%s", why);
	} else if (job->status == SHC_OK || status == SHC_IN_DOUBT) {
		job->status = status;
		(void)snprintf(job->error, sizeof(job->error), "%s", why);
	}
}

/* ---- in a pipeline ---- */

static enum shc_status append(struct shc *shc, const struct job *job, bool is_add)
{
	char digits[NUM_I64_CHARS_MAX];
	const char *const add[] = {"INCRBY", job->name, digits}, *const get[] = {"GET", job->name};
	const size_t add_lens[] = {6, job->name_len, num_format_i64(digits, job->delta)},
		     get_lens[] = {3, job->name_len};

	return is_add ? shc_append(shc, 3, add, add_lens, true) : shc_append(shc, 2, get, get_lens, false);
}

/* Of one pipelined request. */
static void take_reply(struct job *job, enum shc_status status, const struct shc_reply *reply, bool is_add)
{
	int64_t value = 0;
	char why[JOB_ERROR_SIZE];

	if (status) {
		(void)snprintf(why, sizeof(why), "%.*s", (int)reply->len, reply->data);
		fail(job, status, why);
		return;
	}
	if (reply->type == SHC_T_INT)
		value = reply->integer;
	else if (reply->type == SHC_T_STRING &&
		 !num_parse_i64((struct slice){reply->data, reply->len}, &value))
		fail(job, SHC_REFUSED, "ERR value is not an integer or out of range");
	job->is_there |= reply->type != SHC_T_NIL;
	if (is_add)
		calls_added(job, value);
	else
		calls_add(job, value);
}

static void send_all(struct lane *l, struct job *jobs, bool (*is_here)(const struct job *, size_t),
		     size_t lane, bool is_add)
{
	for (struct job *j = jobs; j; j = j->next) {
		j->is_sent = false;
		if (!is_here(j, lane))
			continue;
		if (!is_usable(l))
			fail(j, SHC_UNREACHABLE, l->error);
		else if (append(l->shc, j, is_add))
			fail(j, SHC_MEMORY, "out of memory");
		else
			j->is_sent = true;
	}
}

/* When the connection is lost all that are behind are lost with it. */
static void receive_all(struct lane *l, struct job *jobs, bool is_add)
{
	const struct shc_reply *reply;
	enum shc_status lost = SHC_OK;

	for (struct job *j = jobs; j; j = j->next) {
		enum shc_status status = lost;

		if (!j->is_sent)
			continue;
		reply = NULL;
		if (!lost)
			status = shc_next(l->shc, &reply);
		if (!lost && !reply) {
			note_failure(l);
			lost = status;
		}
		if (reply) {
			note_success(l);
			take_reply(j, status, reply, is_add);
		} else {
			fail(j, lost == SHC_IN_DOUBT && is_add ? SHC_IN_DOUBT : SHC_UNREACHABLE, l->error);
		}
	}
}

/* One that begins with shc: has to be looked at. */
static bool has_short_way(const struct job *job)
{
	return (job->kind == JOB_GET || (job->kind == JOB_ADD && !job->token_len)) &&
	       !shard_is_own((struct slice){job->name, job->name_len});
}

static bool adds_here(const struct job *job, size_t lane)
{
	return job->kind == JOB_ADD && job->lane == lane && !job->is_added && job->status == SHC_OK &&
	       has_short_way(job);
}

static bool reads_here(const struct job *job, size_t lane)
{
	(void)lane;
	return job->kind == JOB_GET && has_short_way(job);
}

/* What it is now on the others. */
static bool sums_here(const struct job *job, size_t lane)
{
	return job->is_added && !job->wants_part && job->lane != lane;
}

static void run_short(struct backend *b, struct job *jobs, bool (*is_here)(const struct job *, size_t),
		      bool is_add)
{
	for (size_t i = 0; i < b->count; i++) {
		struct lane *l = &b->lanes[i];

		if (l->is_cluster)
			continue;
		send_all(l, jobs, is_here, i, is_add);
		receive_all(l, jobs, is_add);
	}
}

/* ---- one after the other ---- */

static bool is_pipelined(const struct lane *l, const struct job *job)
{
	return !l->is_cluster && has_short_way(job);
}

/* Whether all are ready is asked of all: whose answer it is must be said. */
static void fail_here(const struct lane *l, struct job *job, enum shc_status status, const char *why)
{
	char text[JOB_ERROR_SIZE];

	/* What a backend is like is a question that has an answer when it is away, too. */
	if (job->kind == JOB_INFO && status != SHC_MEMORY)
		return;
	if (job->kind != JOB_READY) {
		fail(job, status, why);
		return;
	}
	(void)snprintf(text, sizeof(text), "backend %s: %.140s", l->shown, why);
	fail(job, status, text);
}

static void call(struct lane *l, size_t at, struct job *job, bool is_only)
{
	enum shc_status status;
	char why[JOB_ERROR_SIZE];

	if (!is_usable(l)) {
		fail_here(l, job, SHC_UNREACHABLE, l->error);
		return;
	}
	why[0] = '\0';
	job->is_each |= l->is_cluster;
	job->at = at;
	status = calls_run(l->shc, job, is_only, why);
	note(l, status);
	if (status)
		fail_here(l, job, status == SHC_PROTOCOL ? SHC_UNREACHABLE : status, why[0] ? why : l->error);
}

static bool is_for_all(const struct job *job)
{
	return job->kind == JOB_GET || job->kind == JOB_PARTS || job->kind == JOB_HITS ||
	       job->kind == JOB_LOG || job->kind == JOB_CREATE || job->kind == JOB_READY ||
	       job->kind == JOB_INFO;
}

static void run_calls(struct backend *b, struct job *job)
{
	for (size_t i = 0; i < b->count; i++) {
		struct lane *l = &b->lanes[i];

		if (job->kind != JOB_NONE && !is_pipelined(l, job) && (is_for_all(job) || job->lane == i))
			call(l, i, job, b->count == 1);
	}
}

/* What was surely not done by one that is away is for the next one. False: there is none. */
static bool pass_on(struct backend *b, struct job *jobs)
{
	bool is_any = false;

	for (struct job *j = jobs; j; j = j->next) {
		struct lane *next;

		if (j->kind != JOB_ADD || j->token_len || j->status != SHC_UNREACHABLE)
			continue;
		next = lane_to_add(b, j);
		if (next->is_cluster || !is_usable(next))
			continue;
		j->lane = (size_t)(next - b->lanes);
		j->status = SHC_OK;
		is_any = true;
	}
	return is_any;
}

static void sum_on_cluster(struct lane *l, struct job *job)
{
	int64_t value = 0;
	enum shc_status status;

	if (!is_usable(l)) {
		fail(job, SHC_UNREACHABLE, l->error);
		return;
	}
	status = shc_get(l->shc, job->name, job->name_len, &value);
	note(l, status);
	if (status == SHC_OK || status == SHC_MISSING)
		calls_add(job, value);
	else
		fail(job, status, shc_error(l->shc));
}

static void sum_batch(struct lane *l, struct job *job)
{
	enum shc_status status = SHC_UNREACHABLE;

	if (is_usable(l)) {
		status = batch_sum(l->shc, job);
		note(l, status);
	}
	for (size_t i = 0; status && i < job->add_count; i++)
		job->adds[i].is_untold = true;
}

static void run_sums(struct backend *b, struct job *jobs)
{
	run_short(b, jobs, sums_here, false);
	for (struct job *j = jobs; j; j = j->next)
		for (size_t i = 0; j->kind == JOB_BATCH && j->status == SHC_OK && i < b->count; i++)
			if (j->lane != i)
				sum_batch(&b->lanes[i], j);
	for (size_t i = 0; i < b->count; i++)
		for (struct job *j = jobs; b->lanes[i].is_cluster && j; j = j->next)
			if (sums_here(j, i))
				sum_on_cluster(&b->lanes[i], j);
}

void backend_run(struct backend *b, struct job *jobs)
{
	for (size_t i = 0; i < b->count; i++)
		b->lanes[i].is_tried = false;
	for (struct job *j = jobs; j; j = j->next) {
		j->status = SHC_OK;
		j->lane = (size_t)(lane_to_add(b, j) - b->lanes);
		j->is_sum = b->count > 1;
	}
	do
		run_short(b, jobs, adds_here, true);
	while (pass_on(b, jobs));
	run_short(b, jobs, reads_here, false);
	for (struct job *j = jobs; j; j = j->next)
		run_calls(b, j);
	if (b->count > 1)
		run_sums(b, jobs);
}
