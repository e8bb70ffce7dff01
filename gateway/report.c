/* SPDX-License-Identifier: MIT */
/*
 * report.c - see report.h. What is told is the table of lib/metric_table.h, in its order; a metric that has
 * no sample is left out.
 */
#include "report.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/metric.h"
#include "../lib/metric_table.h"
#include "../lib/num.h"
#include "exchange.h"
#include "input.h"
#include "loop.h"
#include "route.h"

#define LOAD(field) atomic_load_explicit(&(field), memory_order_relaxed)

enum { LABEL_MAX = 2 * JOB_NAME_MAX + 1, SAMPLE_MAX = 256 };

/* The text, and the metric that it is about now. */
struct report {
	struct buf text;
	const struct job *job;
	const struct gateway *gateway;
	struct backend_state states[JOB_BACKENDS_MAX]; /* for their names, which all loops have alike */
	size_t backend_count;
	const char *name, *type, *help;
	bool is_begun; /* HELP and TYPE were put */
};

/* ---- text ---- */

static void put(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct report *r, const char *fmt, ...)
{
	char line[SAMPLE_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	assert(n >= 0 && n < SAMPLE_MAX);
	buf_append(&r->text, line, (size_t)n);
}

static void put_str(struct report *r, const char *text)
{
	buf_append(&r->text, text, strlen(text));
}

static void put_label(struct report *r, const char *label, const char *value, size_t len)
{
	put_str(r, label);
	put_str(r, "=\"");
	for (size_t i = 0; i < len; i++) {
		if (value[i] == '\\' || value[i] == '"')
			put_str(r, "\\");
		if (value[i] == '\n')
			put_str(r, "\\n");
		else
			buf_append(&r->text, &value[i], 1);
	}
	put_str(r, "\"");
}

static void begin(struct report *r, const char *name, const char *type, const char *help)
{
	r->name = name;
	r->type = type;
	r->help = help;
	r->is_begun = false;
}

/* The name of a sample, and the metric's head in front of its first one. */
static void put_name(struct report *r, const char *suffix)
{
	if (!r->is_begun) {
		const char *const parts[] = {"# HELP ", r->name, " ",	  r->help, "\n# TYPE ",
					     r->name,	" ",	 r->type, "\n"};

		for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
			put_str(r, parts[i]);
		r->is_begun = true;
	}
	put_str(r, r->name);
	put_str(r, suffix);
}

/* name{backend="..." */
static void put_of_backend(struct report *r, const char *suffix, size_t backend)
{
	put_name(r, suffix);
	put_label(r, "{backend", r->states[backend].shown, strlen(r->states[backend].shown));
}

/* ---- what INFO says ---- */

/* What stands behind "key:", up to the end of the line; "" when there is none. */
static struct slice find(const char *info, const char *key)
{
	size_t len = strlen(key);

	for (const char *line = info; line && *line; line = strchr(line, '\n'), line += line != NULL) {
		if (strncmp(line, key, len) != 0 || line[len] != ':')
			continue;
		line += len + 1;
		return (struct slice){line, strcspn(line, "\r\n")};
	}
	return (struct slice){"", 0};
}

/* Of "a=1,b=2" the number behind a. */
static bool find_part(struct slice parts, const char *key, int64_t *value)
{
	const char *at = parts.data, *end = parts.data + parts.len;
	size_t len = strlen(key);

	while (at < end) {
		const char *comma = memchr(at, ',', (size_t)(end - at)), *stop = comma ? comma : end;

		if ((size_t)(stop - at) > len && memcmp(at, key, len) == 0 && at[len] == '=')
			return num_parse_i64((struct slice){at + len + 1, (size_t)(stop - at) - len - 1},
					     value);
		at = stop + 1;
	}
	return false;
}

/* Null: it is away, or not a daemon of ours; Redis's INFO has other meanings. */
static const char *info_of(const struct report *r, size_t backend)
{
	const char *info = r->job->texts[backend];

	return info && find(info, "shcounterd_version").len ? info : NULL;
}

static void put_row(struct report *r, const struct metric *m)
{
	begin(r, m->name, metric_type(m->unit), m->help);
	for (size_t i = 0; i < r->backend_count; i++) {
		const char *info = info_of(r, i);
		char digits[METRIC_CHARS_MAX];
		int64_t value;

		if (!info || !num_parse_i64(find(info, m->key), &value))
			continue;
		metric_format(digits, m->unit, value);
		put_of_backend(r, "", i);
		put(r, "} %s\n", digits);
	}
}

static void put_workers(struct report *r, const struct metric *m)
{
	begin(r, m->name, metric_type(m->unit), m->help);
	for (size_t i = 0; i < r->backend_count; i++) {
		const char *info = info_of(r, i);
		char key[24], digits[METRIC_CHARS_MAX];
		struct slice parts;
		int64_t value;

		for (int n = 0; info; n++) {
			(void)snprintf(key, sizeof(key), "worker_%d", n);
			parts = find(info, key);
			if (!find_part(parts, m->key, &value))
				break;
			metric_format(digits, m->unit, value);
			put_of_backend(r, "", i);
			put(r, ",worker=\"%d\"} %s\n", n, digits);
		}
	}
}

static void put_times_of(struct report *r, size_t backend, struct slice parts)
{
	char key[32];
	int64_t count, sum_us;

	if (!find_part(parts, "le_inf", &count) || !find_part(parts, "sum_us", &sum_us))
		return;
	for (size_t i = 0; i < METRIC_TIMES_BOUNDS; i++) {
		int64_t up_to;

		(void)snprintf(key, sizeof(key), "le_%" PRId64, metric_times_bounds_us[i]);
		if (!find_part(parts, key, &up_to))
			continue;
		put_of_backend(r, "_bucket", backend);
		put(r, ",le=\"%g\"} %" PRId64 "\n", (double)metric_times_bounds_us[i] / 1e6, up_to);
	}
	put_of_backend(r, "_bucket", backend);
	put(r, ",le=\"+Inf\"} %" PRId64 "\n", count);
	put_of_backend(r, "_sum", backend);
	put(r, "} %" PRId64 ".%06" PRId64 "\n", sum_us / 1000000, sum_us % 1000000);
	put_of_backend(r, "_count", backend);
	put(r, "} %" PRId64 "\n", count);
}

static void put_times(struct report *r, const char *key, const char *name, const char *help)
{
	begin(r, name, "histogram", help);
	for (size_t i = 0; i < r->backend_count; i++)
		if (info_of(r, i))
			put_times_of(r, i, find(info_of(r, i), key));
}

/* What a daemon is, in words. */
static void put_words(struct report *r, const char *name, const char *help)
{
	begin(r, name, "gauge", help);
	for (size_t i = 0; i < r->backend_count; i++) {
		const char *info = info_of(r, i);
		struct slice version, io;

		if (!info)
			continue;
		version = find(info, "shcounterd_version");
		io = find(info, "io_backend");
		put_of_backend(r, "", i);
		put_label(r, ",version", version.data, version.len);
		put_label(r, ",io_backend", io.data, io.len);
		put(r, "} 1\n");
	}
}

#define PUT_TIMES(key, name, help) put_times(r, #key, name, help);
#define PUT_WORDS(name, help)	   put_words(r, name, help);

static void put_daemons(struct report *r)
{
	METRIC_WORDS(PUT_WORDS)
	for (size_t i = 0; i < metric_daemon_count; i++)
		if (metric_daemon[i].name)
			put_row(r, &metric_daemon[i]);
	for (size_t i = 0; i < metric_worker_count; i++)
		put_workers(r, &metric_worker[i]);
	METRIC_TIMES(PUT_TIMES)
}

/* ---- the gateway's own work: over all loops ---- */

#define OWN_ROW(name, type, help) {name, type, help},

static void begin_own(struct report *r, const char *name)
{
	static const struct {
		const char *name, *type, *help;
	} rows[] = {METRIC_GATEWAY(OWN_ROW)};
	size_t i = 0;

	while (strcmp(rows[i].name, name) != 0)
		i++;
	begin(r, rows[i].name, rows[i].type, rows[i].help);
}

static void put_own(struct report *r, const char *name, uint64_t value)
{
	begin_own(r, name);
	put_name(r, "");
	put(r, " %" PRIu64 "\n", value);
}

#define SUM(gateway, sum, field)                                                                             \
	do {                                                                                                 \
		size_t loops_ = atomic_load(&(gateway)->loop_count);                                         \
		sum = 0;                                                                                     \
		for (size_t l_ = 0; l_ < loops_; l_++)                                                       \
			sum += LOAD((gateway)->loops[l_].metrics.field);                                     \
	} while (0)

static void put_sums(struct report *r)
{
	uint64_t accepted, ended, sum;

	put_own(r, "shcount_gateway_threads", atomic_load(&r->gateway->loop_count));
	/* In this order, or one that comes meanwhile would be one that has gone before. */
	SUM(r->gateway, ended, ended);
	SUM(r->gateway, accepted, accepted);
	put_own(r, "shcount_gateway_connections", accepted > ended ? accepted - ended : 0);
	put_own(r, "shcount_gateway_connections_total", accepted);
	SUM(r->gateway, sum, subscribers);
	put_own(r, "shcount_gateway_subscribers", sum);
	SUM(r->gateway, sum, batches);
	put_own(r, "shcount_gateway_batches_total", sum);
	SUM(r->gateway, sum, jobs);
	put_own(r, "shcount_gateway_jobs_total", sum);
}

/* A path may have several rows in the table of routes. */
static uint64_t requests_of(const struct report *r, const char *path, size_t class)
{
	uint64_t sum, all = 0;

	for (size_t i = 0; i < route_count; i++)
		if (strcmp(routes[i].path, path) == 0) {
			SUM(r->gateway, sum, requests[i][class]);
			all += sum;
		}
	return all;
}

/* What an alert may be about is there from the beginning: its first one would be missed. */
static void put_requests_of(struct report *r, const char *path, size_t class, uint64_t count)
{
	if (count == 0 && class != 2 && class != 4 && class != 5)
		return;
	put_name(r, "");
	put_label(r, "{path", path, strlen(path));
	if (class)
		put(r, ",code=\"%zuxx\"} %" PRIu64 "\n", class, count);
	else
		put(r, ",code=\"none\"} %" PRIu64 "\n", count);
}

static void put_requests(struct report *r)
{
	uint64_t sum;

	static_assert(METRICS_CLASSES > 5, "5xx has a class");
	begin_own(r, "shcount_gateway_requests_total");
	for (size_t i = 0; i < route_count; i++) {
		size_t first = 0;

		while (strcmp(routes[first].path, routes[i].path) != 0)
			first++;
		for (size_t class = 0; class < METRICS_CLASSES && first == i; class ++)
			put_requests_of(r, routes[i].path, class, requests_of(r, routes[i].path, class));
	}
	for (size_t class = 0; class < METRICS_CLASSES; class ++) {
		SUM(r->gateway, sum, requests[route_count][class]);
		put_requests_of(r, "other", class, sum);
	}
}

static void put_durations(struct report *r)
{
	uint64_t sum, all = 0;

	begin_own(r, "shcount_gateway_request_duration_seconds");
	for (size_t i = 0; i < METRICS_BUCKETS; i++) {
		SUM(r->gateway, sum, latency[i]);
		all += sum;
		put_name(r, "_bucket");
		if (i < METRICS_BUCKETS - 1)
			put(r, "{le=\"%g\"} %" PRIu64 "\n", (double)metrics_bounds_us[i] / 1e6, all);
		else
			put(r, "{le=\"+Inf\"} %" PRIu64 "\n", all);
	}
	SUM(r->gateway, sum, latency_ns);
	put_name(r, "_sum");
	put(r, " %" PRIu64 ".%09" PRIu64 "\n", sum / 1000000000, sum % 1000000000);
	put_name(r, "_count");
	put(r, " %" PRIu64 "\n", all);
}

static void put_breakers(struct report *r)
{
	uint64_t open[JOB_BACKENDS_MAX] = {0}, opened[JOB_BACKENDS_MAX] = {0};
	size_t loops = atomic_load(&r->gateway->loop_count);

	for (size_t l = 0; l < loops; l++) {
		struct backend_state states[JOB_BACKENDS_MAX];
		size_t count = r->gateway->loops[l].backend
				       ? backend_states(r->gateway->loops[l].backend, states)
				       : 0;

		for (size_t i = 0; i < count; i++) {
			open[i] += states[i].breaker == BREAKER_OPEN;
			opened[i] += states[i].opened;
		}
	}
	begin_own(r, "shcount_gateway_breakers_open");
	for (size_t i = 0; i < r->backend_count; i++) {
		put_of_backend(r, "", i);
		put(r, "} %" PRIu64 "\n", open[i]);
	}
	begin_own(r, "shcount_gateway_breaker_openings_total");
	for (size_t i = 0; i < r->backend_count; i++) {
		put_of_backend(r, "", i);
		put(r, "} %" PRIu64 "\n", opened[i]);
	}
	begin_own(r, "shcounterd_up");
	for (size_t i = 0; i < r->backend_count; i++) {
		put_of_backend(r, "", i);
		put(r, "} %d\n", r->job->is_up[i]);
	}
}

static void put_gateway(struct report *r)
{
	begin_own(r, "shcount_gateway_build_info");
	put_name(r, "");
	put_label(r, "{version", SHC_VERSION, strlen(SHC_VERSION));
	put(r, "} 1\n");
	put_sums(r);
	put_requests(r);
	put_durations(r);
	put_breakers(r);
}

/* ---- counters ---- */

static void put_left_out(struct report *r, const char *reason, size_t count)
{
	put_name(r, "");
	put(r, "{reason=\"%s\"} %zu\n", reason, count);
}

/* A sum without a part of it would be a wrong value. */
static bool are_known(const struct report *r)
{
	bool are_all_up = true;

	for (size_t i = 0; i < r->backend_count; i++)
		are_all_up &= r->job->is_up[i];
	return are_all_up && !r->job->is_partial && (r->backend_count == 1 || !r->job->is_unseen);
}

static void put_values(struct report *r)
{
	size_t beyond = 0, not_utf8 = 0, count = are_known(r) ? r->job->value_count : 0;

	if (!r->job->prefix)
		return;
	begin_own(r, "shcount_value");
	for (size_t i = 0; i < count; i++) {
		const struct job_value *v = &r->job->values[i];
		bool is_text = input_is_utf8(v->name, v->len);

		beyond += v->is_beyond;
		not_utf8 += !is_text;
		if (!v->is_there || v->is_beyond || !is_text)
			continue;
		put_name(r, "");
		put_label(r, "{name", v->name, v->len);
		put(r, "} %" PRId64 "\n", v->value);
	}
	begin_own(r, "shcount_gateway_values_left_out");
	put_left_out(r, "cap", r->job->values_cut);
	put_left_out(r, "encoding", not_utf8);
	put_left_out(r, "overflow", beyond);
	put_own(r, "shcount_gateway_values_unseen", r->job->is_unseen || !are_known(r));
}

/* ---- the request ---- */

void ask_report(struct exchange *x)
{
	const struct options *o = x->loop->gateway->options;

	if (!input_has_only(x, (const char *const[]){NULL}))
		return;
	x->job.kind = JOB_INFO;
	x->job.prefix = o->metrics_prefix;
	x->job.value_max = (size_t)o->metrics_max;
}

void tell_report(struct exchange *x)
{
	x->status = MHD_HTTP_OK;
}

static enum MHD_Result queue(struct exchange *x, struct buf *text)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(buf_len(text), buf_head(text), MHD_RESPMEM_MUST_COPY);
	enum MHD_Result rc;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
	MHD_add_response_header(response, "Cache-Control", "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	rc = MHD_queue_response(x->connection, x->status, response);
	MHD_destroy_response(response);
	return rc;
}

enum MHD_Result report_send(struct exchange *x)
{
	struct report r = {.job = &x->job, .gateway = x->loop->gateway};
	enum MHD_Result rc;

	r.backend_count = backend_states(x->loop->backend, r.states);
	put_gateway(&r);
	put_daemons(&r);
	put_values(&r);
	rc = r.text.failed ? MHD_NO : queue(x, &r.text); /* no memory: the connection is closed */
	buf_fini(&r.text);
	return rc;
}
