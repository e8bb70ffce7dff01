/* SPDX-License-Identifier: MIT */
/*
 * bench_report.c - what a load generator has found, and whether that is as it should be.
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "bench.h"
#include "output.h"

enum { LABEL_COLUMNS = 21, DECIMAL_SIZE = 32 };

static const struct {
	unsigned per_mille;
	const char *label, *key;
} percentiles[] = {
	{500, "p50, ms", "p50_ms"},	{900, "p90, ms", "p90_ms"},  {990, "p99, ms", "p99_ms"},
	{999, "p99.9, ms", "p99_9_ms"}, {1000, "max, ms", "max_ms"},
};

enum { PERCENTILES = sizeof(percentiles) / sizeof(percentiles[0]) };

static uint64_t per_second(const struct bench_result *r)
{
	return r->seconds > 0 ? (uint64_t)((double)r->tally->latency_ns.count / r->seconds + 0.5) : 0;
}

static const char *show_ms(char out[DECIMAL_SIZE], const struct bench_tally *t, size_t i)
{
	double ns = (double)histogram_at(&t->latency_ns, percentiles[i].per_mille);
	snprintf(out, DECIMAL_SIZE, "%.3f", ns / 1e6);
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

static void show_people(struct output *out, const struct bench_result *r)
{
	const struct bench_tally *t = r->tally;
	char text[DECIMAL_SIZE];
	row_number(out, "requests", t->latency_ns.count);
	snprintf(text, sizeof(text), "%.3f", r->seconds);
	row(out, "seconds", text);
	row_number(out, "requests per second", per_second(r));
	for (size_t i = 0; i < PERCENTILES; i++)
		row(out, percentiles[i].label, show_ms(text, t, i));
	if (t->refused)
		row_number(out, "refused", t->refused);
	if (t->in_doubt)
		row_number(out, "in doubt", t->in_doubt);
	if (t->unanswered)
		row_number(out, "not executed", t->unanswered);
}

/* ---- JSON ---- */

static void show_plan_json(struct output *out, const struct bench_plan *plan)
{
	json_text(out, slice_str("do"), slice_str(plan->kind_word));
	json_i64(out, "connections", plan->connections);
	json_i64(out, "pipeline", plan->pipeline);
	json_i64(out, "threads", plan->threads);
	json_i64(out, "keys", plan->keys);
	if (plan->is_cluster)
		json_i64(out, "shards", plan->parts);
}

static void show_json(struct output *out, const struct bench_plan *plan, const struct bench_result *r)
{
	const struct bench_tally *t = r->tally;
	char text[DECIMAL_SIZE];
	json_open(out);
	show_plan_json(out, plan);
	json_i64(out, "requests", (int64_t)t->latency_ns.count);
	snprintf(text, sizeof(text), "%.3f", r->seconds);
	json_raw(out, slice_str("seconds"), slice_str(text));
	json_i64(out, "requests_per_second", (int64_t)per_second(r));
	for (size_t i = 0; i < PERCENTILES; i++)
		json_raw(out, slice_str(percentiles[i].key), slice_str(show_ms(text, t, i)));
	json_i64(out, "refused", (int64_t)t->refused);
	json_i64(out, "in_doubt", (int64_t)t->in_doubt);
	json_i64(out, "not_executed", (int64_t)t->unanswered);
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
		show_people(&out, r);
	return output_finish(&out);
}

/* ---- the verdict ---- */

static uint64_t additions(const struct bench_plan *plan, const struct bench_result *r)
{
	return bench_is_write(plan) ? r->tally->latency_ns.count : 0;
}

/* What is in doubt may or may not be in. */
static bool is_sum_right(const struct bench_plan *plan, const struct bench_result *r)
{
	uint64_t least = additions(plan, r);
	return !r->has_grown || (r->grown >= least && r->grown - least <= r->tally->in_doubt);
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
	return command_fail(EX_UNAVAILABLE, "%s", t->loss);
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
	if (is_sum_right(plan, r))
		return exit_status;
	return command_fail(
		exit_status ? exit_status : EXIT_NO,
		"the counters have grown by %" PRId64 " after %" PRIu64
		" acknowledged additions: somebody else changes them, or the server has lost some",
		(int64_t)r->grown, additions(plan, r));
}
