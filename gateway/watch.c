/* SPDX-License-Identifier: MIT */
/* watch.c - see watch.h. What is below the lock is shared with the loops; the rest is the thread's own. */
#include "watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/conn.h"
#include "../lib/info.h"
#include "../lib/shcount.h"
#include "../lib/url.h"
#include "backend.h"
#include "loop.h"
#include "state.h"

enum {
	EVERY_MS = 1000,
	TIMEOUT_MS_MIN = 3000, /* SHC.TOP waits for a period to begin and to end */
	NEWS_MS = 5000,	       /* what SHC.TOP has said is worth telling for so long */
	TOP_ROWS = 20,
	LOOPS_MAX = 64,
};

/* The way to a backend, and what it has said. */
struct sight {
	struct shc *shc; /* owned */
	char name[BACKEND_NAME_SIZE];
	enum state_kind kind;
	bool answers;
	char error[JOB_ERROR_SIZE];
	char *info, *before; /* owned */
	int64_t info_ns, before_ns, answer_ns;
};

struct watch {
	pthread_t thread;
	size_t count;
	struct sight sights[JOB_BACKENDS_MAX];
	struct state_top *top; /* owned: of all backends, then of each name once */
	size_t top_count;
	bool has_top;
	int64_t made_ms; /* the newest news */
	uint64_t number;
	/* shared */
	pthread_mutex_t lock; /* a leaf */
	pthread_cond_t change;
	bool is_stopping;
	struct loop *loops[LOOPS_MAX]; /* who listens */
	size_t loop_count;
	struct news *newest; /* a reference */
};

static int64_t now_ms(void)
{
	return conn_now_ns() / 1000000;
}

/* ---- news ---- */

void news_unref(struct news *n)
{
	/* The last one sees what the others did with it before they let go. */
	if (!n || atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) != 1)
		return;
	free(n->text);
	free(n);
}

static void publish(struct watch *w, char *text)
{
	struct news *n = text ? calloc(1, sizeof(*n)) : NULL;

	if (!n) {
		free(text);
		return;
	}
	w->made_ms = now_ms();
	*n = (struct news){.number = ++w->number, .made_ms = w->made_ms, .len = strlen(text), .text = text};
	atomic_init(&n->refs, 1);
	pthread_mutex_lock(&w->lock);
	news_unref(w->newest);
	w->newest = n;
	for (size_t i = 0; i < w->loop_count; i++)
		loop_wake(w->loops[i]);
	pthread_mutex_unlock(&w->lock);
}

struct news *watch_newest(struct watch *w, uint64_t seen)
{
	struct news *n = NULL;

	pthread_mutex_lock(&w->lock);
	if (w->newest && w->newest->number > seen) {
		n = w->newest;
		atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
	}
	pthread_mutex_unlock(&w->lock);
	return n;
}

/* ---- how a backend is ---- */

static void forget(struct sight *s)
{
	free(s->before);
	free(s->info);
	s->before = s->info = NULL;
}

static void take_info(struct sight *s, const struct shc_reply *reply)
{
	struct slice version;

	free(s->before);
	s->before = s->info;
	s->before_ns = s->info_ns;
	s->info_ns = conn_now_ns();
	s->info = strndup(reply->data, reply->len);
	s->kind = info_find(slice_str(s->info ? s->info : ""), "shcounterd_version", &version) ? STATE_DAEMON
											       : STATE_SERVER;
}

/* A cluster has no INFO that stands for all of its nodes. */
static void look(struct sight *s)
{
	const char *const argv[] = {"INFO"};
	const struct shc_reply *reply = NULL;
	int64_t begin_ns = conn_now_ns();
	enum shc_status status = s->kind == STATE_CLUSTER ? shc_connect(s->shc)
							  : shc_command(s->shc, 1, argv, NULL, false, &reply);

	s->answer_ns = conn_now_ns() - begin_ns;
	s->answers = status == SHC_OK;
	if (!s->answers) {
		(void)snprintf(s->error, sizeof(s->error), "%s", shc_error(s->shc));
		forget(s);
	} else if (reply && (reply->type == SHC_T_STRING || reply->type == SHC_T_STATUS)) {
		take_info(s, reply);
	}
}

/* ---- what is busiest ---- */

/* [name, value, rate, change] */
static void take_row(struct watch *w, const struct shc_reply *row)
{
	const struct shc_reply *e = row->elements;
	struct state_top *t = &w->top[w->top_count];

	if (row->type != SHC_T_ARRAY || row->count != 4 || e[0].type != SHC_T_STRING ||
	    e[0].len > JOB_NAME_MAX || e[2].type != SHC_T_STRING)
		return;
	*t = (struct state_top){.name_len = (uint8_t)e[0].len, .value = e[1].integer, .change = e[3].integer};
	memcpy(t->name, e[0].data, e[0].len);
	t->rate = strtod(e[2].data, NULL);
	w->top_count++;
}

static void ask_top(struct watch *w, struct sight *s)
{
	char limit[16];
	const char *const argv[] = {"SHC.TOP", limit};
	const struct shc_reply *reply = NULL;

	(void)snprintf(limit, sizeof(limit), "%d", TOP_ROWS);
	if (shc_command(s->shc, 2, argv, NULL, false, &reply) || reply->type != SHC_T_ARRAY)
		return;
	w->has_top = true;
	for (size_t i = 0; i < reply->count && i < TOP_ROWS; i++)
		take_row(w, &reply->elements[i]);
}

static int by_name(const void *a, const void *b)
{
	const struct state_top *x = a, *y = b;
	int order = memcmp(x->name, y->name, x->name_len < y->name_len ? x->name_len : y->name_len);

	return order ? order : (int)x->name_len - (int)y->name_len;
}

static double size_of(const struct state_top *t)
{
	return t->rate < 0 ? -t->rate : t->rate;
}

static int by_rate(const void *a, const void *b)
{
	double x = size_of(a), y = size_of(b);

	return x != y ? (x < y) - (x > y) : by_name(a, b);
}

/* Each name once, with the changes of all. */
static void merge(struct watch *w)
{
	size_t kept = 0;

	qsort(w->top, w->top_count, sizeof(*w->top), by_name);
	for (size_t i = 0; i < w->top_count; i++) {
		struct state_top *last = kept ? &w->top[kept - 1] : NULL;

		if (last && by_name(last, &w->top[i]) == 0) {
			last->rate += w->top[i].rate;
			last->change = (int64_t)((uint64_t)last->change + (uint64_t)w->top[i].change);
		} else {
			w->top[kept++] = w->top[i];
		}
	}
	qsort(w->top, kept, sizeof(*w->top), by_rate);
	w->top_count = kept < TOP_ROWS ? kept : TOP_ROWS;
}

/* A value is the sum over all, also over those where it is not busy. */
static bool add_values(struct watch *w)
{
	const char *names[TOP_ROWS];
	size_t lens[TOP_ROWS];
	int64_t values[TOP_ROWS];

	for (size_t i = 0; i < w->top_count; i++) {
		names[i] = w->top[i].name;
		lens[i] = w->top[i].name_len;
		w->top[i].value = 0;
	}
	for (size_t k = 0; k < w->count; k++) {
		if (shc_mget(w->sights[k].shc, w->top_count, names, lens, values, NULL))
			return false;
		for (size_t i = 0; i < w->top_count; i++)
			if (__builtin_add_overflow(w->top[i].value, values[i], &w->top[i].value))
				return false;
	}
	return true;
}

static bool can_tell_top(const struct sight *s)
{
	return s->answers && s->kind == STATE_DAEMON;
}

/* All must answer: of what one has alone the sum is not known. */
static bool can_have_top(const struct watch *w)
{
	size_t able = 0;

	for (size_t i = 0; i < w->count; i++) {
		if (!w->sights[i].answers)
			return false;
		able += can_tell_top(&w->sights[i]);
	}
	return able > 0;
}

static void find_busiest(struct watch *w)
{
	w->top_count = 0;
	w->has_top = false;
	if (!can_have_top(w))
		return;
	for (size_t i = 0; i < w->count; i++)
		if (can_tell_top(&w->sights[i]))
			ask_top(w, &w->sights[i]);
	if (w->count == 1 || !w->top_count)
		return;
	merge(w);
	w->has_top = add_values(w);
}

/* ---- rounds ---- */

static bool is_stopping(struct watch *w)
{
	bool is;

	pthread_mutex_lock(&w->lock);
	is = w->is_stopping;
	pthread_mutex_unlock(&w->lock);
	return is;
}

static char *tell(struct watch *w)
{
	struct state_backend backends[JOB_BACKENDS_MAX];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	for (size_t i = 0; i < w->count; i++) {
		const struct sight *s = &w->sights[i];

		backends[i] = (struct state_backend){.name = s->name,
						     .kind = s->kind,
						     .answers = s->answers,
						     .error = s->error,
						     .info = s->info,
						     .before = s->before,
						     .since_before_ns = s->info_ns - s->before_ns,
						     .answer_ns = s->answer_ns};
	}
	return state_event(&(struct state){.time_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000,
					   .backends = backends,
					   .backend_count = w->count,
					   .has_top = w->has_top,
					   .top = w->top,
					   .top_count = w->top_count});
}

static void make_round(struct watch *w)
{
	for (size_t i = 0; i < w->count && !is_stopping(w); i++)
		look(&w->sights[i]);
	if (now_ms() - w->made_ms > NEWS_MS)
		w->has_top = false;
	/* When nobody has asked lately SHC.TOP will wait for a period to end: the rest is told before. */
	if (!w->has_top && can_have_top(w))
		publish(w, tell(w));
	if (is_stopping(w))
		return;
	find_busiest(w);
	publish(w, tell(w));
}

/* False: it is the end. */
static bool wait_until_wanted(struct watch *w, int64_t not_before_ms)
{
	const struct timespec until = {.tv_sec = not_before_ms / 1000,
				       .tv_nsec = not_before_ms % 1000 * 1000000};
	bool goes_on;

	pthread_mutex_lock(&w->lock);
	while (!w->is_stopping && !w->loop_count)
		pthread_cond_wait(&w->change, &w->lock);
	while (!w->is_stopping && now_ms() < not_before_ms)
		pthread_cond_timedwait(&w->change, &w->lock, &until);
	goes_on = !w->is_stopping;
	pthread_mutex_unlock(&w->lock);
	return goes_on;
}

static void *run(void *arg)
{
	struct watch *w = arg;
	int64_t due_ms = 0;

	pthread_setname_np(pthread_self(), "watch");
	while (wait_until_wanted(w, due_ms)) {
		due_ms = now_ms() + EVERY_MS;
		make_round(w);
	}
	return NULL;
}

/* ---- who listens ---- */

void watch_listen(struct watch *w, struct loop *l)
{
	pthread_mutex_lock(&w->lock);
	if (w->loop_count < LOOPS_MAX)
		w->loops[w->loop_count++] = l;
	pthread_cond_signal(&w->change);
	pthread_mutex_unlock(&w->lock);
}

void watch_leave(struct watch *w, struct loop *l)
{
	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < w->loop_count; i++) {
		if (w->loops[i] != l)
			continue;
		w->loops[i] = w->loops[--w->loop_count];
		break;
	}
	pthread_mutex_unlock(&w->lock);
}

/* ---- start and stop ---- */

static int open_sight(struct sight *s, const char *text, int timeout_ms, char why[OPTIONS_ERROR_SIZE])
{
	bool is_cluster;
	int rc = backend_reach(&s->shc, text, timeout_ms, s->name, &is_cluster, why);

	if (!rc)
		s->kind = is_cluster ? STATE_CLUSTER : STATE_DAEMON;
	return rc;
}

static void free_watch(struct watch *w)
{
	for (size_t i = 0; i < w->count; i++) {
		forget(&w->sights[i]);
		shc_close(w->sights[i].shc);
	}
	news_unref(w->newest);
	pthread_cond_destroy(&w->change);
	pthread_mutex_destroy(&w->lock);
	free(w->top);
	free(w);
}

int watch_start(struct watch **out, const struct options *options, char why[OPTIONS_ERROR_SIZE])
{
	struct watch *w = calloc(1, sizeof(*w));
	int timeout_ms = (int)options->backend_timeout_ms, rc = 0;
	pthread_condattr_t monotonic;

	if (!w)
		return -ENOMEM;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&w->change, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (timeout_ms < TIMEOUT_MS_MIN)
		timeout_ms = TIMEOUT_MS_MIN;
	for (; w->count < options->backend_count && !rc; w->count++)
		rc = open_sight(&w->sights[w->count], options->backends[w->count], timeout_ms, why);
	w->top = calloc(JOB_BACKENDS_MAX * (size_t)TOP_ROWS, sizeof(*w->top));
	if (!rc)
		rc = w->top ? -pthread_create(&w->thread, NULL, run, w) : -ENOMEM;
	if (rc) {
		free_watch(w);
		return rc;
	}
	*out = w;
	return 0;
}

void watch_stop(struct watch *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->is_stopping = true;
	pthread_cond_signal(&w->change);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	free_watch(w);
}
