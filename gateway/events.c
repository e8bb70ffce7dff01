/* SPDX-License-Identifier: MIT */
/*
 * events.c - see events.h. A listener's connection is suspended while there is nothing for it: then, and only
 * then, is_waiting is true, and libmicrohttpd neither calls us for it nor closes it until it is resumed. So
 * each that waits must be resumed before the server of HTTP ends: events_end.
 */
#include "events.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/conn.h"
#include "exchange.h"
#include "input.h"
#include "loop.h"
#include "watch.h"

enum {
	LISTENERS_MAX = 256,	/* of a loop */
	FRESH_MS = 3000,	/* who has just come is told of nothing older */
	QUIET_MS = 15000,	/* then a comment keeps proxies from closing the connection */
	STREAM_MS_MAX = 600000, /* the client asks again, and is looked at again: its token may be gone */
	BLOCK_SIZE = 1024,	/* HTTP/1.0, which has no chunks */
};

struct listener {
	struct events *events;
	struct listener *next, *before;
	struct MHD_Connection *connection;
	bool is_waiting;
	/* what is being sent */
	struct news *news; /* a reference; null: `left` is static */
	const char *left;
	size_t left_len;
	uint64_t seen; /* the number of the last news */
	int64_t begun_ms, told_ms;
};

struct events {
	struct loop *loop;
	struct listener *first;
	size_t count;
	struct news *newest; /* a reference */
	bool is_ending;
};

static int64_t now(void)
{
	return conn_now_ns() / 1000000;
}

struct events *events_open(struct loop *l)
{
	struct events *e = calloc(1, sizeof(*e));

	if (e)
		e->loop = l;
	return e;
}

void events_close(struct events *e)
{
	if (e)
		news_unref(e->newest);
	free(e);
}

/* ---- a stream ---- */

static void set(struct listener *l, struct news *news, const char *text, size_t len)
{
	news_unref(l->news);
	l->news = news;
	l->left = text;
	l->left_len = len;
}

static void set_word(struct listener *l, const char *word)
{
	set(l, NULL, word, strlen(word));
}

static bool has_news(const struct listener *l)
{
	const struct news *n = l->events->newest;

	return n && n->number > l->seen && (l->seen || l->begun_ms - n->made_ms < FRESH_MS);
}

static bool is_over(const struct listener *l, int64_t now_ms)
{
	return l->events->is_ending || now_ms - l->begun_ms >= STREAM_MS_MAX;
}

static bool is_due(const struct listener *l, int64_t now_ms)
{
	return has_news(l) || is_over(l, now_ms) || now_ms - l->told_ms >= QUIET_MS;
}

/* The next thing to send; false: there is none now. */
static bool find_next(struct listener *l, int64_t now_ms)
{
	if (has_news(l)) {
		struct news *n = l->events->newest;

		atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
		set(l, n, n->text, n->len);
		l->seen = n->number;
	} else if (now_ms - l->told_ms >= QUIET_MS) {
		set_word(l, ":\n\n");
	} else {
		return false;
	}
	l->told_ms = now_ms;
	return true;
}

/* MHD's: what goes out next; 0: nothing now. */
static ssize_t take(void *cls, uint64_t at, char *out, size_t max)
{
	struct listener *l = cls;
	int64_t now_ms = now();

	(void)at;
	if (!l->left_len) {
		/* Only between events: half of one is never left behind. */
		if (is_over(l, now_ms))
			return MHD_CONTENT_READER_END_OF_STREAM;
		if (!find_next(l, now_ms)) {
			l->is_waiting = true;
			MHD_suspend_connection(l->connection);
			return 0;
		}
	}
	if (max > l->left_len)
		max = l->left_len;
	memcpy(out, l->left, max);
	l->left += max;
	l->left_len -= max;
	return (ssize_t)max;
}

/* MHD's: the connection is gone, or the stream has ended. */
static void leave(void *cls)
{
	struct listener *l = cls;
	struct events *e = l->events;

	if (l->before)
		l->before->next = l->next;
	else
		e->first = l->next;
	if (l->next)
		l->next->before = l->before;
	metrics_add(&e->loop->metrics.subscribers, (uint64_t)-1);
	if (--e->count == 0)
		watch_leave(e->loop->gateway->watch, e->loop);
	news_unref(l->news);
	free(l);
}

static struct listener *join(struct events *e, struct MHD_Connection *connection)
{
	struct listener *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->events = e;
	l->connection = connection;
	l->begun_ms = l->told_ms = now();
	set_word(l, "retry: 2000\n\n");
	l->next = e->first;
	if (l->next)
		l->next->before = l;
	e->first = l;
	metrics_add(&e->loop->metrics.subscribers, 1);
	if (e->count++ == 0)
		watch_listen(e->loop->gateway->watch, e->loop);
	return l;
}

/* ---- requests ---- */

/* Streams must leave connections for the others. */
static size_t listeners_max(const struct loop *l)
{
	const struct options *o = l->gateway->options;
	size_t half = (size_t)(o->max_connections / o->threads + 1) / 2;

	return half < LISTENERS_MAX ? half : LISTENERS_MAX;
}

void ask_events(struct exchange *x)
{
	if (!input_has_only(x, (const char *const[]){NULL}))
		return;
	if (x->loop->events->count >= listeners_max(x->loop))
		exchange_fail(x, MHD_HTTP_SERVICE_UNAVAILABLE, "too many listen to events already");
	else
		x->status = MHD_HTTP_OK;
}

enum MHD_Result events_send(struct exchange *x)
{
	struct listener *l = join(x->loop->events, x->connection);
	struct MHD_Response *response;
	enum MHD_Result rc;

	if (!l)
		return MHD_NO;
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE, take, l, leave);
	if (!response) {
		leave(l);
		return MHD_NO;
	}
	MHD_add_response_header(response, "Content-Type", "text/event-stream");
	MHD_add_response_header(response, "Cache-Control", "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	/* nginx would collect what it gets. */
	MHD_add_response_header(response, "X-Accel-Buffering", "no");
	/* In chunks, 0.9.75 ends even the body that HEAD does not have; the next reply would begin behind
	 * that. */
	if (x->is_head)
		MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
	rc = MHD_queue_response(x->connection, MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return rc;
}

/* ---- the loop's ---- */

static void wake(struct events *e, int64_t now_ms)
{
	for (struct listener *l = e->first; l; l = l->next) {
		if (!l->is_waiting || !is_due(l, now_ms))
			continue;
		l->is_waiting = false;
		MHD_resume_connection(l->connection);
	}
}

void events_tick(struct events *e, int64_t now_ms)
{
	struct news *n;

	if (!e->count)
		return;
	n = watch_newest(e->loop->gateway->watch, e->newest ? e->newest->number : 0);
	if (n) {
		news_unref(e->newest);
		e->newest = n;
	}
	wake(e, now_ms);
}

void events_end(struct events *e)
{
	e->is_ending = true;
	wake(e, now());
}
