/* SPDX-License-Identifier: MIT */
/*
 * bench_report.c - what a load generator has found, and whether that is as it should be.
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "bench.h"
#include "output.h"

enum { LABEL_COLUMNS = 25, DECIMAL_SIZE = 32, LATE_PER_MILLE = 990 };

static const struct {
	unsigned per_mille;
	const char *label, *key_ms, *key_us;
} percentiles[] = {
	{500, "p50, ms", "p50_ms", "p50_us"},  {900, "p90, ms", "p90_ms", "p90_us"},
	{990, "p99, ms", "p99_ms", "p99_us"},  {999, "p99.9, ms", "p99_9_ms", "p99_9_us"},
	{1000, "max, ms", "max_ms", "max_us"},
};

enum { PERCENTILES = sizeof(percentiles) / sizeof(percentiles[0]) };

/* Acknowledged. */
static uint64_t requests(const struct bench_result *r)
{
	return r->tally->latency_ns.count;
}

/* What was done to counters: each name of a request is one. */
static uint64_t operations(const struct bench_plan *plan, const struct bench_result *r)
{
	return requests(r) * plan->names;
}

static uint64_t per_second(const struct bench_result *r, uint64_t count)
{
	return r->seconds > 0 ? (uint64_t)((double)count / r->seconds + 0.5) : 0;
}

static double latency_ns(const struct bench_result *r, size_t i)
{
	return (double)histogram_at(&r->tally->latency_ns, percentiles[i].per_mille);
}

/* CPU time of an operation, one that was refused included; "null" when it is not known. */
static const char *show_cpu(char out[DECIMAL_SIZE], int64_t ns, const struct bench_plan *plan,
			    const struct bench_result *r)
{
	double count = ((double)requests(r) + (double)r->tally->refused) * plan->names;
	if (ns < 0 || count == 0)
		return "null";
	snprintf(out, DECIMAL_SIZE, "%.1f", (double)ns / count);
	return out;
}

/* ---- for people ---- */

static void row(struct output *out, const char *label, const char *value)
{
	output_label(out, slice_str(label), LABEL_COLUMNS);
	output_text(out, slice_str(value));
	output_line(out);
}

static void row_number(struct output *out, const char *label, uint64_t value)
{
	char text[DECIMAL_SIZE];
	snprintf(text, sizeof(text), "%" PRIu64, value);
	row(out, label, text);
}

static void row_cpu(struct output *out, const char *label, int64_t ns, const struct bench_plan *plan,
		    const struct bench_result *r)
{
	char text[DECIMAL_SIZE];
	if (ns >= 0)
		row(out, label, show_cpu(text, ns, plan, r));
}

static void show_people(struct output *out, const struct bench_plan *plan, const struct bench_result *r)
{
	const struct bench_tally *t = r->tally;
	char text[DECIMAL_SIZE];
	row_number(out, "requests", requests(r));
	if (plan->names > 1)
		row_number(out, "additions", operations(plan, r));
	snprintf(text, sizeof(text), "%.3f", r->seconds);
	row(out, "seconds", text);
	row_number(out, "requests per second", per_second(r, requests(r)));
	if (plan->names > 1)
		row_number(out, "additions per second", per_second(r, operations(plan, r)));
	for (size_t i = 0; i < PERCENTILES; i++) {
		snprintf(text, sizeof(text), "%.3f", latency_ns(r, i) / 1e6);
		row(out, percentiles[i].label, text);
	}
	if (plan->rate) {
		snprintf(text, sizeof(text), "%.3f", (double)histogram_at(&t->late_ns, LATE_PER_MILLE) / 1e6);
		row(out, "own lateness, p99, ms", text);
	}
	row_cpu(out, plan->names > 1 ? "server CPU, ns/addition" : "server CPU, ns/request", r->server_cpu_ns,
		plan, r);
	row_cpu(out, plan->names > 1 ? "own CPU, ns/addition" : "own CPU, ns/request", r->client_cpu_ns, plan,
		r);
	if (t->refused)
		row_number(out, "refused", t->refused);
	if (t->in_doubt)
		row_number(out, "in doubt", t->in_doubt);
	if (t->unanswered)
		row_number(out, "not executed", t->unanswered);
	if (t->overdue)
		row_number(out, "due, not sent", t->overdue);
}

/* ---- JSON ---- */

static void show_plan_json(struct output *out, const struct bench_plan *plan)
{
	json_text(out, slice_str("do"), slice_str(plan->kind_word));
	json_text(out, slice_str("server"),
		  slice_str(plan->memcached  ? "memcached"
			    : plan->is_redis ? "redis"
					     : "shcounterd"));
	json_i64(out, "connections", plan->connections);
	json_i64(out, "pipeline", plan->pipeline);
	json_i64(out, "threads", plan->threads);
	json_i64(out, "keys", plan->keys);
	json_text(out, slice_str("spread"), slice_str(plan->spread_word));
	json_i64(out, "names", plan->names);
	if (plan->rate)
		json_i64(out, "rate", plan->rate);
	if (plan->is_cluster)
		json_i64(out, "shards", plan->parts);
}

static void show_latencies_json(struct output *out, const struct bench_result *r)
{
	char text[DECIMAL_SIZE];
	for (size_t i = 0; i < PERCENTILES; i++) {
		snprintf(text, sizeof(text), "%.3f", latency_ns(r, i) / 1e6);
		json_raw(out, slice_str(percentiles[i].key_ms), slice_str(text));
	}
	for (size_t i = 0; i < PERCENTILES; i++) {
		snprintf(text, sizeof(text), "%.1f", latency_ns(r, i) / 1e3);
		json_raw(out, slice_str(percentiles[i].key_us), slice_str(text));
	}
}

static void show_json(struct output *out, const struct bench_plan *plan, const struct bench_result *r)
{
	const struct bench_tally *t = r->tally;
	char text[DECIMAL_SIZE];
	json_open(out);
	show_plan_json(out, plan);
	json_i64(out, "requests", (int64_t)requests(r));
	json_i64(out, "ops", (int64_t)operations(plan, r));
	snprintf(text, sizeof(text), "%.3f", r->seconds);
	json_raw(out, slice_str("seconds"), slice_str(text));
	json_i64(out, "requests_per_second", (int64_t)per_second(r, requests(r)));
	json_i64(out, "ops_per_second", (int64_t)per_second(r, operations(plan, r)));
	show_latencies_json(out, r);
	json_raw(out, slice_str("server_cpu_ns_per_op"),
		 slice_str(show_cpu(text, r->server_cpu_ns, plan, r)));
	json_raw(out, slice_str("client_cpu_ns_per_op"),
		 slice_str(show_cpu(text, r->client_cpu_ns, plan, r)));
	json_i64(out, "refused", (int64_t)t->refused);
	json_i64(out, "in_doubt", (int64_t)t->in_doubt);
	json_i64(out, "not_executed", (int64_t)t->unanswered);
	if (plan->rate) {
		snprintf(text, sizeof(text), "%.1f", (double)histogram_at(&t->late_ns, LATE_PER_MILLE) / 1e3);
		json_raw(out, slice_str("own_late_p99_us"), slice_str(text));
		json_i64(out, "overdue", (int64_t)t->overdue);
	}
	if (r->has_grown)
		json_i64(out, "grown", (int64_t)r->grown);
	json_close(out);
}

int bench_show(const struct invocation *inv, const struct bench_plan *plan, const struct bench_result *r)
{
	struct output out;
	output_init(&out, STDOUT_FILENO, false);
	if (inv->is_json && !inv->is_quiet)
		show_json(&out, plan, r);
	else if (!inv->is_quiet)
		show_people(&out, plan, r);
	return output_finish(&out);
}

/* ---- the verdict ---- */

static uint64_t additions(const struct bench_plan *plan, const struct bench_result *r)
{
	return bench_is_write(plan) ? operations(plan, r) : 0;
}

/* What is in doubt may or may not be in. */
static bool is_sum_right(const struct bench_plan *plan, const struct bench_result *r)
{
	uint64_t least = additions(plan, r);
	return !r->has_grown || (r->grown >= least && r->grown - least <= r->tally->in_doubt * plan->names);
}

/* Not where the sum is told to be wrong already, for whatever reason; a part of a counter has no value that
 * is known here. */
static bool has_right_values(const struct bench_plan *plan, const struct bench_result *r)
{
	return r->has_grown && r->tally->in_doubt == 0 && r->grown == additions(plan, r) &&
	       bench_tells_values(plan) && plan->parts == 1 && (bench_is_write(plan) || !plan->reads_replica);
}

static int judge_values(const struct bench_plan *plan, const struct bench_result *r)
{
	static const char who[] = "somebody else changes them, or the server answers what is not so";
	const struct reply_values *v = &r->tally->values;
	if (!has_right_values(plan, r))
		return EX_OK;
	switch (bench_worth_judge(&r->before, &r->after, v, bench_is_write(plan))) {
	case WORTH_ABSENT:
		return command_fail(EXIT_NO, "%" PRIu64 " answers say that there is no such counter: %s",
				    v->absent, who);
	case WORTH_OUTSIDE:
		return command_fail(EXIT_NO,
				    "the answers have values from %" PRId64 " to %" PRId64
				    ", the counters had such from %" PRId64 " to %" PRId64 ": %s",
				    v->least, v->most, r->before.least + bench_is_write(plan), r->after.most,
				    who);
	case WORTH_OTHER:
		return command_fail(EXIT_NO,
				    "the values in the answers add up to %" PRId64
				    ", those that the counters have gone through to %" PRId64 ": %s",
				    (int64_t)v->sum, (int64_t)(r->after.passed - r->before.passed), who);
	default: return EX_OK;
	}
}

static int judge_losses(const struct bench_tally *t)
{
	if (!t->loss[0])
		return EX_OK;
	if (t->in_doubt)
		return command_fail(
			EX_TEMPFAIL,
			"%s; %" PRIu64 " %s sent without an answer, and may or may not be counted", t->loss,
			t->in_doubt, command_noun(t->in_doubt, "request was", "requests were"));
	return command_fail(t->is_wrong ? EXIT_NO : EX_UNAVAILABLE, "%s", t->loss);
}

int bench_judge(const struct bench_plan *plan, const struct bench_result *r)
{
	const struct bench_tally *t = r->tally;
	int exit_status = judge_losses(t);
	if (t->refused) {
		int status = t->is_denied ? EX_NOPERM : EXIT_NO;
		command_fail(status, "%" PRIu64 " %s refused: %s", t->refused,
			     command_noun(t->refused, "request was", "requests were"), t->refusal);
		exit_status = exit_status ? exit_status : status;
	}
	if (is_sum_right(plan, r)) {
		int status = judge_values(plan, r);
		return exit_status ? exit_status : status;
	}
	return command_fail(
		exit_status ? exit_status : EXIT_NO,
		"the counters have grown by %" PRId64 " after %" PRIu64
		" acknowledged additions: somebody else changes them, or the server has lost some",
		(int64_t)r->grown, additions(plan, r));
}
