/* SPDX-License-Identifier: MIT */
/* state.c - see state.h. */
#include "state.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "../lib/info.h"
#include "../lib/num.h"

enum { BASE64_SIZE = (JOB_NAME_MAX + 2) / 3 * 4 + 1 };

/* ---- pieces ---- */

static json_t *exact(int64_t value)
{
	char digits[NUM_I64_CHARS_MAX];

	return json_stringn(digits, num_format_i64(digits, value));
}

static void encode_base64(char out[BASE64_SIZE], const unsigned char *data, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		unsigned bits = (unsigned)data[i] << 16 | (i + 1 < len ? (unsigned)data[i + 1] << 8 : 0) |
				(i + 2 < len ? (unsigned)data[i + 2] : 0);

		*out++ = digits[bits >> 18];
		*out++ = digits[bits >> 12 & 63];
		*out++ = i + 1 < len ? digits[bits >> 6 & 63] : '=';
		*out++ = i + 2 < len ? digits[bits & 63] : '=';
	}
	*out = '\0';
}

/* Names are bytes; JSON's strings are UTF-8. */
static void put_name(json_t *row, const char *name, size_t len)
{
	json_t *text = json_stringn(name, len);
	char base64[BASE64_SIZE];

	if (text) {
		json_object_set_new(row, "name", text);
		return;
	}
	encode_base64(base64, (const unsigned char *)name, len);
	json_object_set_new(row, "name_base64", json_string(base64));
}

/* Left out when it is no UTF-8. */
static void put_text(json_t *to, const char *key, struct slice value)
{
	json_object_set_new(to, key, json_stringn(value.data ? value.data : "", value.len));
}

static void put_number(json_t *to, const char *key, int64_t value)
{
	json_object_set_new(to, key, json_integer(value));
}

/* Of a backend that has never answered there is none. */
static struct slice text_of(const char *info)
{
	return slice_str(info ? info : "");
}

/* ---- health ---- */

static void copy_number(json_t *to, const char *key, const char *info, const char *line)
{
	int64_t value = info_number(text_of(info), line, INT64_MIN);

	if (value != INT64_MIN)
		put_number(to, key, value);
}

static void copy_text(json_t *to, const char *key, const char *info, const char *line)
{
	struct slice value;

	if (info_find(text_of(info), line, &value))
		put_text(to, key, value);
}

/* One that was started anew counts from 0. */
static void put_rate(json_t *to, const char *key, const struct state_backend *b, const char *line)
{
	int64_t now = info_number(text_of(b->info), line, -1),
		then = info_number(text_of(b->before), line, -1);

	if (then >= 0 && now >= then && b->since_before_ns > 0)
		json_object_set_new(to, key,
				    json_real((double)(now - then) * 1e9 / (double)b->since_before_ns));
}

static double milliseconds(int64_t us)
{
	return (double)us / 1000;
}

/* How long a commit takes: most of them ever, and those since the time before. */
static void put_commits(json_t *to, const struct state_backend *b)
{
	struct slice now, then;
	int64_t p99, count, sum;

	if (!info_find(text_of(b->info), "commit_times", &now))
		return;
	p99 = info_quantile(now, 0.99);
	if (p99 >= 0 && p99 < INT64_MAX)
		json_object_set_new(to, "commit_ms_p99", json_real(milliseconds(p99)));
	if (!info_find(text_of(b->before), "commit_times", &then))
		return;
	count = info_part(now, "le_inf", 0) - info_part(then, "le_inf", 0);
	sum = info_part(now, "sum_us", 0) - info_part(then, "sum_us", 0);
	if (count > 0 && sum >= 0)
		json_object_set_new(to, "commit_ms", json_real(milliseconds(sum) / (double)count));
}

static void put_keys(json_t *to, const char *info)
{
	struct slice value;

	if (info_find(text_of(info), "db0", &value))
		put_number(to, "counters", info_part(value, "keys", 0));
	else
		put_number(to, "counters", 0);
}

static void put_uplink(json_t *to, const char *info)
{
	json_t *uplink;

	if (info_number(text_of(info), "uplink_up", -1) < 0)
		return;
	uplink = json_object();
	json_object_set_new(uplink, "up", json_boolean(info_number(text_of(info), "uplink_up", 0)));
	copy_number(uplink, "lag_ms", info, "uplink_lag_ms");
	copy_number(uplink, "due", info, "uplink_due");
	copy_number(uplink, "refused", info, "uplink_refused");
	copy_number(uplink, "restored", info, "uplink_restored");
	json_object_set_new(to, "uplink", uplink);
}

static json_t *health_of(const struct state_backend *b)
{
	json_t *to = json_object();
	const char *version = b->kind == STATE_DAEMON ? "shcounterd_version" : "redis_version";

	copy_text(to, "version", b->info, version);
	copy_number(to, "uptime_s", b->info, "uptime_in_seconds");
	copy_number(to, "connections", b->info, "connected_clients");
	copy_number(to, "workers", b->info, "workers");
	copy_number(to, "memory_bytes", b->info, "used_memory_rss");
	put_rate(to, "requests_per_s", b, "total_commands_processed");
	put_rate(to, "commits_per_s", b, "commits");
	put_commits(to, b);
	copy_number(to, "durable_epoch", b->info, "durable_epoch");
	copy_number(to, "open_epoch", b->info, "open_epoch");
	copy_number(to, "journal_bytes", b->info, "journal_bytes");
	copy_text(to, "durability", b->info, "durability");
	copy_text(to, "store", b->info, "store_status");
	put_keys(to, b->info);
	put_uplink(to, b->info);
	return to;
}

static json_t *backend_of(const struct state_backend *b)
{
	static const char *const kinds[] = {"daemon", "server", "cluster"};
	json_t *to = json_object();

	put_text(to, "name", slice_str(b->name));
	json_object_set_new(to, "kind", json_string(kinds[b->kind]));
	json_object_set_new(to, "answers", json_boolean(b->answers));
	if (!b->answers) {
		put_text(to, "error", slice_str(b->error));
		return to;
	}
	if (!b->info)
		return to;
	json_object_set_new(to, "answer_ms", json_real((double)b->answer_ns / 1e6));
	json_object_set_new(to, "info", health_of(b));
	return to;
}

/* ---- all of it ---- */

static json_t *rows_of(const struct state *s)
{
	json_t *rows;

	if (!s->has_top)
		return json_null();
	rows = json_array();
	for (size_t i = 0; i < s->top_count; i++) {
		const struct state_top *t = &s->top[i];
		json_t *row = json_object();

		put_name(row, t->name, t->name_len);
		json_object_set_new(row, "value", exact(t->value));
		json_object_set_new(row, "rate", json_real(t->rate));
		json_object_set_new(row, "change", exact(t->change));
		json_array_append_new(rows, row);
	}
	return rows;
}

char *state_event(const struct state *s)
{
	json_t *backends = json_array(), *all;
	char *text, *event = NULL;

	for (size_t i = 0; i < s->backend_count; i++)
		json_array_append_new(backends, backend_of(&s->backends[i]));
	all = json_pack("{s:I, s:o, s:o}", "time", (json_int_t)s->time_ms, "backends", backends, "top",
			rows_of(s));
	/* Nine digits: what a rate is written with need not be what it is. */
	text = all ? json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
	json_decref(all);
	if (text && asprintf(&event, "event: state\ndata: %s\n\n", text) < 0)
		event = NULL;
	free(text);
	return event;
}
