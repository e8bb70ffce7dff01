/* SPDX-License-Identifier: MIT */
/* api.c - see api.h. Spellings and replies are page/openapi.json's. */
#include "api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/num.h"
#include "exchange.h"
#include "input.h"
#include "loop.h"

static json_t *name_of(const struct exchange *x)
{
	return json_stringn(x->job.name, x->job.name_len);
}

/* ---- what is asked most is written as it stands: a json_t of it would be a third of the work of a request
 * ---- */

static void put(struct exchange *x, const char *text)
{
	buf_append(&x->text, text, strlen(text));
}

static void put_value(struct exchange *x)
{
	char digits[NUM_I64_CHARS_MAX];

	buf_append(&x->text, digits, num_format_i64(digits, x->job.value));
}

/* The end of each. */
static void put_data(struct exchange *x)
{
	put(x, ",\"data\":{\"counter_id\":\"");
	exchange_put_name(x);
	put(x, "\",\"value\":");
	put_value(x);
	put(x, "}}");
	x->status = MHD_HTTP_OK;
}

/* ---- additions ---- */

/* False: the opposite does not fit. */
static bool negate(struct exchange *x, int64_t *value)
{
	if (!__builtin_sub_overflow(0, *value, value))
		return true;
	exchange_fail(x, MHD_HTTP_UNPROCESSABLE_CONTENT,
		      "a decrement by the least number of 64 bits does not fit");
	return false;
}

static void ask_add(struct exchange *x, bool is_decrement)
{
	static const char *const keys[] = {"counter_id", "counterId", "value", "delta", NULL};
	json_t *body = input_body(x, keys);

	if (body && input_name(x, body) && input_integer(x, body, "value", "delta", 1, &x->job.delta) &&
	    input_token(x) && (!is_decrement || negate(x, &x->job.delta)))
		x->job.kind = JOB_ADD;
	json_decref(body);
}

void ask_increment(struct exchange *x)
{
	ask_add(x, false);
}

void ask_decrement(struct exchange *x)
{
	ask_add(x, true);
}

/* It is in, on one of several backends, and another cannot say what it has. */
static void tell_untold(struct exchange *x)
{
	char message[JOB_ERROR_SIZE + 64];

	(void)snprintf(message, sizeof(message), "it was added; the sum is not known now: %s", x->job.error);
	exchange_reply(x, MHD_HTTP_ACCEPTED,
		       json_pack("{s:b, s:o, s:n, s:{s:o, s:n}}", "success", 1, "message",
				 exchange_text(message), "new_value", "data", "counter_id", name_of(x),
				 "value"));
}

void tell_new_value(struct exchange *x)
{
	if (x->job.is_untold) {
		tell_untold(x);
		return;
	}
	put(x, "{\"success\":true,\"message\":\"");
	exchange_put_name(x);
	put(x, " is ");
	put_value(x);
	put(x, " now\",\"new_value\":");
	put_value(x);
	put_data(x);
}

/* ---- values ---- */

void ask_value(struct exchange *x)
{
	static const char *const names[] = {"counter_id", "counterId", NULL};

	if (input_has_only(x, names) && input_name_of_query(x))
		x->job.kind = JOB_GET;
}

void tell_value(struct exchange *x)
{
	put(x, "{\"success\":true,\"current_value\":");
	put_value(x);
	put_data(x);
}

void ask_create(struct exchange *x)
{
	static const char *const keys[] = {"name", "counter_name", NULL};
	json_t *body = input_body(x, keys);

	if (body && input_name_of_keys(x, body, "name", "counter_name"))
		x->job.kind = JOB_CREATE;
	json_decref(body);
}

void tell_create(struct exchange *x)
{
	exchange_reply(x, x->job.is_new ? MHD_HTTP_CREATED : MHD_HTTP_OK,
		       json_pack("{s:b, s:s, s:{s:o, s:o, s:i, s:I}}", "success", 1, "message",
				 x->job.is_new ? "the counter was made" : "the counter was there already",
				 "data", "counter_id", name_of(x), "counter_name", name_of(x), "shards",
				 (int)x->job.part_count, "value", (json_int_t)x->job.value));
}

/* ---- logs ---- */

void ask_logs(struct exchange *x)
{
	static const char *const names[] = {"counter_id", "counterId", "limit", "or_none", NULL};
	int64_t limit;

	if (!input_has_only(x, names) || !input_name_of_query(x) ||
	    !input_count(x, "limit", 100, JOB_LOG_MAX, &limit) ||
	    !input_flag(x, "or_none", &x->job.may_have_none))
		return;
	x->job.limit = (size_t)limit;
	x->job.kind = JOB_LOG;
}

static json_t *time_of(int64_t time_us)
{
	time_t seconds = (time_t)(time_us / 1000000);
	char text[64];
	struct tm tm;
	size_t len;

	gmtime_r(&seconds, &tm);
	len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(text + len, sizeof(text) - len, ".%06dZ", (int)(time_us % 1000000));
	return json_string(text);
}

/* As a request would say it, and the view counter_logs of the daemon's database does: what was added,
 * subtracted or set; what went with a counter that was deleted or has expired. */
static int64_t amount_of(const struct job_entry *e)
{
	if (strcmp(e->operation, "set") == 0)
		return e->value;
	if (strcmp(e->operation, "increment") == 0 || strcmp(e->operation, "flush") == 0 ||
	    e->delta == INT64_MIN)
		return e->delta;
	return -e->delta;
}

void tell_logs(struct exchange *x)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < x->job.log_count; i++) {
		const struct job_entry *e = &x->job.log[i];

		json_array_append_new(rows,
				      json_pack("{s:o, s:s, s:I, s:I, s:s}", "timestamp", time_of(e->time_us),
						"operation", e->operation, "value", (json_int_t)amount_of(e),
						"updated_value", (json_int_t)e->value, "peer", e->peer));
	}
	exchange_reply(x, MHD_HTTP_OK, rows);
}

/* ---- sharded ---- */

void ask_sharded(struct exchange *x)
{
	static const char *const keys[] = {"counter_id", "counterId", "operationType",
					   "delta",	 "value",     NULL};
	json_t *body = input_body(x, keys);
	const char *type = json_string_value(json_object_get(body, "operationType"));

	if (!body || !input_name(x, body) || !input_integer(x, body, "delta", "value", 1, &x->job.delta) ||
	    !input_token(x))
		type = NULL;
	else if (!type ||
		 (strcmp(type, "INCREMENT") && strcmp(type, "DECREMENT") && strcmp(type, "GET_TOTAL")))
		exchange_fail(x, MHD_HTTP_BAD_REQUEST,
			      "\"operationType\" must be \"INCREMENT\", \"DECREMENT\" or \"GET_TOTAL\"");
	else if (strcmp(type, "GET_TOTAL") == 0)
		x->job.kind = JOB_PARTS;
	else if (exchange_may(x, ROLE_WRITE) && (strcmp(type, "INCREMENT") == 0 || negate(x, &x->job.delta)))
		x->job.kind = JOB_ADD;
	x->job.wants_part = true;
	json_decref(body);
}

static json_t *parts_of(const struct exchange *x)
{
	const struct options *o = x->loop->gateway->options;
	json_t *parts = json_object();
	char key[32];

	for (size_t i = 0; i < x->job.part_count; i++) {
		if (x->job.is_sum && i < o->backend_count)
			(void)snprintf(key, sizeof(key), "backend-%zu", i);
		else if (i == 0)
			(void)snprintf(key, sizeof(key), "base");
		else if (x->job.is_redis)
			(void)snprintf(key, sizeof(key), "shard-%zu", i);
		else
			(void)snprintf(key, sizeof(key), "cell-%zu", i - 1);
		json_object_set_new(parts, key, json_integer(x->job.parts[i]));
	}
	return parts;
}

void tell_sharded(struct exchange *x)
{
	if (x->job.kind == JOB_PARTS)
		exchange_reply(x, MHD_HTTP_OK,
			       json_pack("{s:b, s:I, s:o}", "success", 1, "totalValue",
					 (json_int_t)x->job.value, "shardValues", parts_of(x)));
	else
		exchange_reply(x, MHD_HTTP_OK,
			       json_pack("{s:b, s:I}", "success", 1, "shardValue", (json_int_t)x->job.part));
}

/* ---- hits ---- */

void ask_hit(struct exchange *x)
{
	static const char *const keys[] = {"counter_id", "counterId", "value", NULL};
	json_t *body = input_body(x, keys);

	if (body && input_name(x, body) && input_integer(x, body, "value", NULL, 1, &x->job.delta) &&
	    input_no_token(x)) {
		if (x->job.delta > 0)
			x->job.kind = JOB_HIT;
		else
			exchange_fail(x, MHD_HTTP_BAD_REQUEST, "\"value\" must be at least 1");
	}
	json_decref(body);
}

void ask_hits(struct exchange *x)
{
	static const char *const names[] = {"counter_id", "counterId", "last", NULL};

	if (!input_has_only(x, names) || !input_name_of_query(x) ||
	    !input_duration(x, "last", "60s", &x->job.window_ms))
		return;
	if (x->job.window_ms <= SHC_WINDOW_MS_MAX)
		x->job.kind = JOB_HITS;
	else
		exchange_fail(x, MHD_HTTP_BAD_REQUEST, "\"last\" is at most 30d");
}

void tell_hits(struct exchange *x)
{
	exchange_reply(x, MHD_HTTP_OK,
		       json_pack("{s:b, s:I, s:{s:o, s:I, s:I, s:I}}", "success", 1, "hits",
				 (json_int_t)x->job.value, "data", "counter_id", name_of(x), "hits",
				 (json_int_t)x->job.value, "window_ms", (json_int_t)x->job.window_ms,
				 "resolution_ms", (json_int_t)x->job.resolution_ms));
}

/* ---- batches ---- */

static bool take_operation(struct exchange *x, json_t *operation, struct job_add *add)
{
	static const char *const keys[] = {"operation", "counter_id", "counterId", "value", "delta", NULL};
	const char *type;
	const json_t *given = json_object_get(operation, "operation");

	if (!json_is_object(operation)) {
		exchange_fail(x, MHD_HTTP_BAD_REQUEST, "an operation must be an object");
		return false;
	}
	if (!input_has_only_keys(x, operation, keys) || !input_name(x, operation) ||
	    !input_integer(x, operation, "value", "delta", 1, &add->delta))
		return false;
	type = given ? json_string_value(given) : "increment";
	if (!type || (strcmp(type, "increment") && strcmp(type, "decrement"))) {
		exchange_fail(x, MHD_HTTP_BAD_REQUEST,
			      "\"operation\" must be \"increment\" or \"decrement\"");
		return false;
	}
	if (strcmp(type, "decrement") == 0 && !negate(x, &add->delta))
		return false;
	add->name = strdup(x->job.name);
	add->name_len = x->job.name_len;
	if (!add->name)
		exchange_fail(x, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
	return add->name != NULL;
}

void ask_batch(struct exchange *x)
{
	static const char *const keys[] = {"operations", NULL};
	json_t *body = input_body(x, keys), *list = json_object_get(body, "operations");
	size_t count = json_array_size(list);

	if (body && (count == 0 || count > JOB_ADDS_MAX))
		exchange_fail(x, MHD_HTTP_BAD_REQUEST,
			      "\"operations\" must be an array of 1 to %d operations", JOB_ADDS_MAX);
	if (body && !x->status && input_token(x)) {
		x->job.adds = calloc(count, sizeof(*x->job.adds));
		x->job.add_count = x->job.adds ? count : 0;
		for (size_t i = 0; i < x->job.add_count; i++)
			if (!take_operation(x, json_array_get(list, i), &x->job.adds[i]))
				break;
		if (!x->job.adds)
			exchange_fail(x, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
	}
	if (body && !x->status)
		x->job.kind = JOB_BATCH;
	json_decref(body);
}

/* As after a single addition: 202 when all are in, and the sum of one could not be had. */
void tell_batch(struct exchange *x)
{
	json_t *rows = json_array();
	unsigned status = MHD_HTTP_OK;

	for (size_t i = 0; i < x->job.add_count; i++) {
		const struct job_add *a = &x->job.adds[i];
		json_t *value = a->is_untold ? json_null() : json_integer(a->value);

		if (a->is_untold)
			status = MHD_HTTP_ACCEPTED;
		json_array_append_new(rows, json_pack("{s:o, s:o}", "counter_id",
						      json_stringn(a->name, a->name_len), "value", value));
	}
	exchange_reply(x, status, json_pack("{s:b, s:o}", "success", 1, "data", rows));
}

/* ---- health ---- */

/* The page wants to know before it asks for anything. */
void ask_health(struct exchange *x)
{
	exchange_reply(x, MHD_HTTP_OK,
		       json_pack("{s:b, s:s, s:b}", "success", 1, "status", "ok", "needs_token",
				 x->loop->gateway->options->tokens != NULL));
}

void ask_ready(struct exchange *x)
{
	if (atomic_load(&x->loop->gateway->is_draining))
		exchange_fail(x, MHD_HTTP_SERVICE_UNAVAILABLE, "the gateway is stopping");
	else
		x->job.kind = JOB_READY;
}

void tell_ready(struct exchange *x)
{
	exchange_reply(x, MHD_HTTP_OK, json_pack("{s:b, s:s}", "success", 1, "status", "ready"));
}
