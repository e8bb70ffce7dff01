/* SPDX-License-Identifier: MIT */
/* exchange.c - see exchange.h. */
#include "exchange.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/conn.h"
#include "events.h"
#include "head.h"
#include "loop.h"
#include "route.h"

enum { MESSAGE_SIZE = 512 };

/* ---- replies ---- */

void exchange_reply(struct exchange *x, unsigned status, json_t *json)
{
	json_decref(x->json);
	x->json = json;
	x->status = status;
	if (!json)
		x->status = MHD_HTTP_INTERNAL_SERVER_ERROR;
}

void exchange_put_name(struct exchange *x)
{
	const char *at = x->job.name, *end = at + x->job.name_len;

	/* A name has no control characters. */
	while (at < end) {
		size_t plain = strcspn(at, "\"\\");

		buf_append(&x->text, at, plain);
		at += plain;
		if (at < end) {
			buf_append(&x->text, "\\", 1);
			buf_append(&x->text, at++, 1);
		}
	}
}

static const char *word_of(unsigned status)
{
	switch (status) {
	case 400: return "bad request";
	case 401: return "unauthorized";
	case 403: return "forbidden";
	case 404: return "not found";
	case 405: return "method not allowed";
	case 409: return "conflict";
	case 413:
	case 431: return "too large";
	case 415: return "unsupported media type";
	case 422: return "cannot be done";
	case 429: return "too many requests";
	case 503: return "unavailable";
	case 504: return "in doubt";
	default: return "error";
	}
}

/* How many bytes of a character stand here, which is no ASCII; 0: none. */
static size_t utf8_len(const char *text)
{
	for (size_t len = 2; len <= 4 && text[len - 1]; len++) {
		json_t *one = json_stringn(text, len);

		json_decref(one);
		if (one)
			return len;
	}
	return 0;
}

json_t *exchange_text(const char *text)
{
	char clean[MESSAGE_SIZE];
	size_t at = 0;

	while (*text && at + 4 < sizeof(clean)) {
		size_t len = (unsigned char)*text < 0x80 ? 1 : utf8_len(text);

		if (len == 0) {
			clean[at++] = '?';
			text++;
			continue;
		}
		memcpy(clean + at, text, len);
		at += len;
		text += len;
	}
	return json_stringn(clean, at);
}

void exchange_fail(struct exchange *x, unsigned status, const char *fmt, ...)
{
	char text[MESSAGE_SIZE];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	exchange_reply(x, status,
		       json_pack("{s:b, s:s, s:{s:i, s:o}}", "success", 0, "message", word_of(status),
				 "error", "code", (int)status, "details", exchange_text(text)));
	if (status == MHD_HTTP_SERVICE_UNAVAILABLE && !x->retry_after_s)
		x->retry_after_s = 1;
}

bool exchange_may(struct exchange *x, enum role needs)
{
	struct verdict v = guard_judge_role(x->role, needs);

	if (v.status)
		exchange_fail(x, v.status, "%s", v.details);
	return !v.status;
}

/* ---- what has come of a job ---- */

static bool begins_with(const char *text, const char *word)
{
	return strncmp(text, word, strlen(word)) == 0;
}

/* Nothing has changed, for a reason that is the client's, the operator's or passes. */
static void tell_refusal(struct exchange *x)
{
	const char *why = x->job.error;
	unsigned status = MHD_HTTP_UNPROCESSABLE_CONTENT;

	if (begins_with(why, "ERR not audited") && x->job.may_have_none) {
		x->status = MHD_HTTP_NO_CONTENT;
		return;
	}
	if (begins_with(why, "ERR not audited"))
		status = MHD_HTTP_CONFLICT;
	else if (begins_with(why, "WRONGTYPE") || strstr(why, "not an integer") ||
		 strstr(why, "not a number") || strstr(why, "is not a counter"))
		status = MHD_HTTP_CONFLICT;
	else if (begins_with(why, "MISCONF") || begins_with(why, "OOM") || begins_with(why, "LOADING") ||
		 begins_with(why, "SESSIONRESTORED") || begins_with(why, "CLUSTERDOWN") ||
		 begins_with(why, "READONLY"))
		status = MHD_HTTP_SERVICE_UNAVAILABLE;
	exchange_fail(x, status, "%s", why);
}

/* By the backend: its rules for the login that the gateway has there stand until somebody changes them. A
 * password that is wrong, or missing, is the gateway's, and may be mended while the client waits. */
static void tell_denial(struct exchange *x)
{
	bool is_ruled = strstr(x->job.error, "NOPERM ");

	exchange_fail(x, is_ruled ? MHD_HTTP_FORBIDDEN : MHD_HTTP_SERVICE_UNAVAILABLE, "%s%s",
		      is_ruled ? "the backend does not allow it to this gateway: " : "", x->job.error);
}

/* What has become of each operation of a batch, where some are in and some are not. */
static void add_operations(struct exchange *x)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < x->job.add_count; i++) {
		const struct job_add *a = &x->job.adds[i];
		json_t *is_added =
			a->status == SHC_IN_DOUBT ? json_null() : json_boolean(a->status == SHC_OK);
		json_t *row = json_pack("{s:o, s:o}", "counter_id", json_stringn(a->name, a->name_len),
					"is_added", is_added);

		/* With several backends a part is not the value. */
		if (a->status == SHC_OK && !x->job.is_sum)
			json_object_set_new(row, "value", json_integer(a->value));
		json_array_append_new(rows, row);
	}
	json_object_set_new(json_object_get(x->json, "error"), "operations", rows);
}

/* Whether to ask again, and how. */
static void tell_doubt(struct exchange *x)
{
	const struct job *job = &x->job;

	if (job->token_len)
		exchange_fail(x, MHD_HTTP_SERVICE_UNAVAILABLE,
			      "%s; it may have been done: ask again with the same Idempotency-Key",
			      job->error);
	else if (job->kind == JOB_ADD || job->kind == JOB_BATCH)
		exchange_fail(x, MHD_HTTP_GATEWAY_TIMEOUT,
			      "%s; it may have been done: an Idempotency-Key makes asking again safe",
			      job->error);
	else if (job->kind == JOB_CREATE)
		exchange_fail(x, MHD_HTTP_SERVICE_UNAVAILABLE, "%s; asking again is safe", job->error);
	else
		exchange_fail(x, MHD_HTTP_GATEWAY_TIMEOUT, "%s; it may have been done", job->error);
}

static void tell(struct exchange *x)
{
	const struct job *job = &x->job;

	if (x->status)
		return;
	switch (job->status) {
	case SHC_OK: x->route->tell(x); break;
	case SHC_REFUSED: tell_refusal(x); break;
	case SHC_DENIED: tell_denial(x); break;
	case SHC_USAGE: exchange_fail(x, MHD_HTTP_BAD_REQUEST, "%s", job->error); break;
	case SHC_IN_DOUBT: tell_doubt(x); break;
	default: exchange_fail(x, MHD_HTTP_SERVICE_UNAVAILABLE, "%s", job->error);
	}
	if (job->is_partly)
		add_operations(x);
}

/* ---- sending ---- */

static void add_headers(struct exchange *x, struct MHD_Response *r)
{
	char digits[16];

	if (x->status != MHD_HTTP_NO_CONTENT)
		MHD_add_response_header(r, "Content-Type", "application/json");
	MHD_add_response_header(r, "Cache-Control", "no-store");
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	if (x->retry_after_s) {
		(void)snprintf(digits, sizeof(digits), "%u", x->retry_after_s);
		MHD_add_response_header(r, "Retry-After", digits);
	}
	if (x->status == MHD_HTTP_UNAUTHORIZED)
		MHD_add_response_header(r, "WWW-Authenticate", "Bearer");
	if (x->status == MHD_HTTP_METHOD_NOT_ALLOWED && x->route)
		MHD_add_response_header(r, "Allow", route_allow(x->route));
	if (x->is_closing)
		MHD_add_response_header(r, "Connection", "close");
}

static struct MHD_Response *make_response(struct exchange *x)
{
	struct MHD_Response *response;
	char *text;

	if (x->status == MHD_HTTP_NO_CONTENT)
		return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	if (!x->json)
		return buf_len(&x->text) && !x->text.failed
			       ? MHD_create_response_from_buffer(buf_len(&x->text), buf_head(&x->text),
								 MHD_RESPMEM_MUST_COPY)
			       : NULL;
	text = json_dumps(x->json, JSON_COMPACT);
	response = text ? MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE) : NULL;
	if (!response)
		free(text);
	return response;
}

static enum MHD_Result send_reply(struct exchange *x)
{
	struct MHD_Response *response;
	enum MHD_Result rc;

	if (x->route && x->route->send && x->status < 300)
		return x->route->send(x);
	response = make_response(x);
	if (!response)
		return MHD_NO; /* no memory: the connection is closed */
	add_headers(x, response);
	rc = MHD_queue_response(x->connection, x->status, response);
	MHD_destroy_response(response);
	return rc;
}

/* ---- MHD's callbacks ---- */

static struct exchange *begin(struct loop *l, struct MHD_Connection *connection)
{
	struct exchange *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->loop = l;
	x->connection = connection;
	x->begun_ns = conn_now_ns();
	return x;
}

static struct client *client_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

/* False: enough of that. */
static bool take_body(struct exchange *x, const char *data, size_t len)
{
	if (!x->status && buf_len(&x->body) + len > head_body_max(x))
		head_fail_too_large(x);
	if (x->status) {
		x->dropped += len;
		return x->dropped <= head_dropped_max(x);
	}
	buf_append(&x->body, data, len);
	return true;
}

/* It is whole. */
static void ask(struct exchange *x)
{
	x->state = EXCHANGE_DONE;
	if (x->status)
		return;
	if (!atomic_load_explicit(&x->loop->gateway->is_stopping, memory_order_relaxed)) {
		x->route->ask(x);
		return;
	}
	/* The connection is not closed for that: replies before this one may still be unread
	 * (clients_linger). */
	exchange_fail(x, MHD_HTTP_SERVICE_UNAVAILABLE, "the gateway is stopping");
}

enum MHD_Result exchange_handle(void *cls, struct MHD_Connection *connection, const char *url,
				const char *method, const char *version, const char *upload_data,
				size_t *upload_size, void **req_cls)
{
	struct exchange *x = *req_cls;

	if (!x) {
		x = *req_cls = begin(cls, connection);
		if (!x)
			return MHD_NO;
		head_look(x, url, method, version);
		/* Behind a reply that comes before the body libmicrohttpd closes. */
		return x->is_closing ? send_reply(x) : MHD_YES;
	}
	if (*upload_size) {
		if (!take_body(x, upload_data, *upload_size))
			return MHD_NO;
		*upload_size = 0;
		return MHD_YES;
	}
	if (x->state == EXCHANGE_RUNS)
		return MHD_YES; /* not yet */
	if (x->state == EXCHANGE_BODY) {
		clients_has_asked(&x->loop->clients, client_of(connection));
		ask(x);
		if (!x->status && x->job.kind != JOB_NONE) {
			x->state = EXCHANGE_RUNS;
			loop_put(x->loop, x);
			return MHD_YES;
		}
	}
	tell(x);
	return send_reply(x);
}

void exchange_end(void *cls, struct MHD_Connection *connection, void **req_cls,
		  enum MHD_RequestTerminationCode why)
{
	struct exchange *x = *req_cls;
	struct loop *l = cls;
	int64_t now_ns = conn_now_ns();

	(void)why;
	if (!x)
		return;
	if (x->state == EXCHANGE_RUNS)
		loop_drop(l, x);
	clients_has_reply(&l->clients, client_of(connection), now_ns / 1000000);
	metrics_request(&l->metrics, route_number(x->route), x->status,
			x->route && x->route->send == events_send ? -1 : now_ns - x->begun_ns);
	json_decref(x->json);
	job_fini(&x->job);
	buf_fini(&x->body);
	buf_fini(&x->text);
	free(x);
	*req_cls = NULL;
}
