/* SPDX-License-Identifier: MIT */
/* uplink_answer.c - what the uplink's thread tells those who ask. */
#include <stdlib.h>
#include <string.h>

#include "../lib/cluster.h"
#include "../lib/num.h"
#include "../lib/resp.h"
#include "../lib/script.h"
#include "clock.h"
#include "commit.h"
#include "store.h"
#include "uplink.h"

enum { SYNC_PAUSE_MS = 100 /* between two looks whether replicas have it */ };

static struct slice name_of(const struct uplink_question *q)
{
	return (struct slice){q->name, q->name_len};
}

static bool fits_kind(void *arg, const struct uplink_question *q)
{
	return q->kind == *(const enum uplink_ask_kind *)arg;
}

static struct uplink_question *take(struct uplink *u, enum uplink_ask_kind kind)
{
	return uplink_take(&u->asks, fits_kind, &kind);
}

/* ---- totals ---- */

static struct uplink_total *total_of(struct uplink *u, struct slice name)
{
	return &u->totals[hash_bytes(&u->table.key, name.data, name.len) % UPLINK_TOTALS];
}

static bool is_total_of(const struct uplink_total *t, struct slice name)
{
	return t->at_ms && t->name_len == name.len && memcmp(t->name, name.data, name.len) == 0;
}

static void put_number(struct buf *out, const char *name, int64_t value)
{
	char digits[NUM_I64_CHARS_MAX];

	resp_put_bulk_str(out, name);
	resp_put_bulk(out, digits, num_format_i64(digits, value));
}

static void put_explanation(struct uplink_question *q, const struct uplink_total *t, int64_t age_ms)
{
	if (t->is_there) {
		put_number(&q->reply, "global", t->value);
	} else {
		resp_put_bulk_str(&q->reply, "global");
		resp_put_bulk_str(&q->reply, "");
	}
	put_number(&q->reply, "global_age_ms", age_ms);
}

static void put_total(struct uplink_question *q, const struct uplink_total *t, int64_t age_ms)
{
	if (q->kind == UPLINK_ASK_EXPLAIN) {
		put_explanation(q, t, age_ms);
		return;
	}
	resp_put_array(&q->reply, 2);
	if (t->is_there)
		resp_put_int(&q->reply, t->value);
	else
		resp_put_null(&q->reply, q->is_resp3 ? 3 : 2);
	resp_put_int(&q->reply, age_ms);
}

/* Whoever explains does without. */
static void put_failure(struct uplink_question *q, const char *code, struct slice why)
{
	if (q->kind != UPLINK_ASK_EXPLAIN)
		resp_put_errorf(&q->reply, "%s%.*s", code, (int)why.len, why.data);
}

static void remember_total(struct uplink *u, struct slice name, const struct uplink_total *t)
{
	struct uplink_total *kept = total_of(u, name);

	*kept = *t;
	kept->name_len = (uint8_t)name.len;
	memcpy(kept->name, name.data, name.len);
}

/* A question that is on its way to the cluster. */
struct asked {
	struct uplink *uplink;
	struct uplink_question *question;
};

/* The cluster cannot be asked: what it said the last time, with its age. */
static void put_old_total(struct uplink *u, struct uplink_question *q, int64_t now)
{
	const struct uplink_total *kept = total_of(u, name_of(q));

	if (is_total_of(kept, name_of(q)))
		put_total(q, kept, now - kept->at_ms);
	else
		put_failure(q, "UPLINKDOWN ", slice_str(cluster_error(u->cluster)));
}

static void read_total(struct uplink *u, struct uplink_question *q, enum shc_status status,
		       const struct resp_reply *reply)
{
	int64_t now = clock_ms(CLOCK_MONOTONIC);
	struct uplink_total t = {.at_ms = now};

	if (uplink_is_refusal(status, reply)) {
		put_failure(q, "", reply->str);
		return;
	}
	if (status) {
		put_old_total(u, q, now);
		return;
	}
	t.is_there = reply->type == RESP_BULK;
	if (t.is_there && !num_parse_i64(reply->str, &t.value)) {
		put_failure(q, "", slice_str("ERR value is not an integer or out of range"));
		return;
	}
	remember_total(u, name_of(q), &t);
	put_total(q, &t, 0);
}

static void take_total(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	struct asked *a = arg;

	(void)op;
	read_total(a->uplink, a->question, status, reply);
	uplink_answer(&a->uplink->asks, a->question);
	free(a);
}

static void put_total_question(struct uplink *u, struct uplink_question *q)
{
	struct asked *a = malloc(sizeof(*a));
	const struct cluster_way way = {
		.kind = OP_READ, .slot = slot_of(name_of(q)), .is_hasty = true, .done = take_total, .arg = a};
	const struct slice argv[] = {slice_str("GET"), name_of(q)};

	if (a) {
		*a = (struct asked){.uplink = u, .question = q};
		if (cluster_put(u->cluster, &way, 2, argv) == SHC_OK)
			return;
	}
	free(a);
	put_failure(q, "", slice_str("OOM out of memory"));
	uplink_answer(&u->asks, q);
}

static bool fits_total(void *arg, const struct uplink_question *q)
{
	(void)arg;
	return q->kind == UPLINK_ASK_GLOBAL || q->kind == UPLINK_ASK_EXPLAIN;
}

static void put_total_questions(struct uplink *u)
{
	struct uplink_question *q;

	while (cluster_left(u->cluster) < UPLINK_WINDOW && (q = uplink_take(&u->asks, fits_total, NULL)))
		put_total_question(u, q);
}

static void answer_totals(struct uplink *u)
{
	cluster_begin(u->cluster, UPLINK_CALL_MS, true);
	put_total_questions(u);
	cluster_run(u->cluster, 0);
}

/* ---- the status ---- */

static void put_text(struct buf *out, const char *name, const char *value)
{
	resp_put_bulk_str(out, name);
	resp_put_bulk_str(out, value);
}

static void put_node(struct buf *out, int proto, const struct uplink_node *n, int64_t now)
{
	resp_put_map(out, proto, 5);
	put_text(out, "name", n->name);
	put_number(out, "lag_ms", n->behind_ms ? now - n->behind_ms : 0);
	put_number(out, "pushes", (int64_t)n->pushes);
	put_number(out, "repairs", (int64_t)n->repairs);
	put_text(out, "last_error", n->error);
}

static void put_status(struct uplink *u, struct uplink_question *q)
{
	static const char *const conditions[] = {"starting", "up", "down"};
	const struct uplink_counts counts = uplink_table_counts(&u->table);
	int64_t now = clock_ms(CLOCK_MONOTONIC);
	int proto = q->is_resp3 ? 3 : 2;
	struct buf *out = &q->reply;
	char start[UPLINK_ID_SIZE];

	uplink_put_id(start, u->lineage.now.start);
	resp_put_map(out, proto, 16);
	put_text(out, "uplink", u->shown_url);
	put_text(out, "state", conditions[u->condition]);
	put_text(out, "incarnation", u->incarnation_id);
	put_text(out, "start", start);
	put_number(out, "restored", atomic_load(&u->is_restored));
	put_number(out, "names", (int64_t)counts.names);
	put_number(out, "due", (int64_t)(counts.due + counts.aside));
	put_number(out, "lag_ms", uplink_table_lag_ms(&u->table, now));
	put_number(out, "synced_epoch", (int64_t)counts.synced_epoch);
	put_number(out, "durable_epoch", (int64_t)epoch_durable(u->commit->clock));
	put_number(out, "pushes", (int64_t)u->pushes);
	put_number(out, "repairs", (int64_t)u->repairs);
	put_number(out, "refused", (int64_t)counts.refused);
	put_text(out, "last_error", u->error);
	put_number(out, "sweeps", (int64_t)u->sweeps);
	resp_put_bulk_str(out, "nodes");
	resp_put_array(out, u->node_count);
	for (size_t i = 0; i < u->node_count; i++)
		put_node(out, proto, &u->nodes[i], now);
}

/* ---- until it is in the cluster ---- */

/* A sweep at full speed looks for what was there, and may be lost. And what is refused is tried once more
 * first, for whoever asks may have mended it. */
static bool is_synced(struct uplink *u, const struct uplink_counts *counts, const struct uplink_question *q)
{
	if (counts->synced_epoch < q->number || u->sweeps == 0 || u->is_fast)
		return false;
	u->refusals.is_all_due |= counts->refused && q->serial > u->refusals.tried;
	return counts->refused == 0 || q->serial <= u->refusals.tried;
}

/* One name is looked at for whoever asks, whatever becomes of others. */
static bool is_name_through(struct uplink *u, const struct uplink_question *q)
{
	uint8_t why;

	return q->is_begun && !u->broken &&
	       uplink_table_presence(&u->table, name_of(q), &why) != UPLINK_NOT_YET;
}

struct sync_fit {
	struct uplink *uplink;
	struct uplink_counts counts;
	bool is_waiting; /* somebody does */
	bool has_ready;	 /* somebody waits for nothing but replicas: */
	uint32_t fewest; /* of those, for so many at least */
	int64_t there;	 /* what was pushed up to `counts` is on so many replicas; -1: nobody has asked */
};

/* Says yes to those whose replicas have it, and finds out who is to be served next. */
static bool fits_sync(void *arg, const struct uplink_question *q)
{
	struct sync_fit *f = arg;

	if (q->kind != UPLINK_ASK_SYNC)
		return false;
	if (q->name_len ? !is_name_through(f->uplink, q) : !is_synced(f->uplink, &f->counts, q)) {
		f->is_waiting = true;
		return false;
	}
	/* The master of a name has just answered. */
	if (q->replicas <= f->there || (q->name_len && q->replicas == 0))
		return true;
	if (!f->has_ready || q->replicas < f->fewest)
		f->fewest = q->replicas;
	f->has_ready = true;
	return false;
}

static void put_name_synced(struct uplink *u, struct uplink_question *q)
{
	struct uplink_state s;
	char text[UPLINK_ERROR_SIZE];

	if (uplink_table_state(&u->table, name_of(q), &s) && uplink_put_why(u, &s, text, sizeof(text)))
		resp_put_errorf(&q->reply, "ERR %s", text);
	else
		resp_put_int(&q->reply, 1);
}

/* What is refused is not there, and will not be. */
static void put_synced(struct uplink *u, struct uplink_question *q, const struct uplink_counts *counts)
{
	if (q->name_len)
		put_name_synced(u, q);
	else if (counts->refused)
		resp_put_errorf(&q->reply, "ERR the cluster refuses %zu counter%s, the last one: %s",
				counts->refused, counts->refused == 1 ? "" : "s", u->refusals.last);
	else
		resp_put_int(&q->reply, 1);
}

static void answer_fitting(struct uplink *u, struct sync_fit *f)
{
	struct uplink_question *q;

	f->has_ready = false;
	while ((q = uplink_take(&u->asks, fits_sync, f))) {
		put_synced(u, q, &f->counts);
		uplink_answer(&u->asks, q);
		f->has_ready = false;
	}
}

static bool fits_begin(void *arg, const struct uplink_question *q)
{
	return q->kind == UPLINK_ASK_SYNC && q->name_len && !q->is_begun && q->number <= *(uint64_t *)arg;
}

/* Names that somebody waits for are put into the round. */
static void begin_names(struct uplink *u)
{
	struct uplink_question *q;
	uint64_t fed;
	int rc = 1;

	(void)uplink_table_epoch(&u->table, &fed);
	while (rc > 0 && (q = uplink_take(&u->asks, fits_begin, &fed))) {
		rc = uplink_table_await(&u->table, name_of(q));
		q->is_begun = rc > 0;
		if (rc >= 0) {
			uplink_put_back(&u->asks, q);
		} else {
			resp_put_error(&q->reply, "OOM out of memory");
			uplink_answer(&u->asks, q);
		}
	}
}

static bool fits_name(void *arg, const struct uplink_question *q)
{
	return q->kind == UPLINK_ASK_SYNC && q->name_len && q->replicas == 0 && is_name_through(arg, q);
}

/* In a round, which may have to wait for others. */
static void answer_names(struct uplink *u)
{
	struct uplink_question *q;

	begin_names(u);
	while ((q = uplink_take(&u->asks, fits_name, u))) {
		put_name_synced(u, q);
		uplink_answer(&u->asks, q);
	}
}

/* Those who want fewer replicas come first: who wants more than there are holds up nobody else. */
static void answer_syncs(struct uplink *u)
{
	struct sync_fit f = {.uplink = u, .counts = uplink_table_counts(&u->table), .there = -1};

	begin_names(u);
	for (;;) {
		answer_fitting(u, &f);
		if (!f.has_ready)
			break;
		if (!uplink_wait_replicas(u, f.fewest)) {
			/* What a node has lost is looked for before it is asked again. */
			u->retry_ms = clock_ms(CLOCK_MONOTONIC) + SYNC_PAUSE_MS;
			f.is_waiting = true;
			break;
		}
		f.there = f.fewest;
	}
	u->is_wanted |= f.is_waiting;
}

/* ---- by operators ---- */

static void take_reset(void *arg, const struct op *op, enum shc_status status, const struct resp_reply *reply)
{
	const struct asked *r = arg;
	struct buf *out = &r->question->reply;
	int64_t before;

	(void)op;
	if (uplink_is_refusal(status, reply))
		resp_put_errorf(out, "%.*s", (int)reply->str.len, reply->str.data);
	else if (status == SHC_OK && reply->type == RESP_BULK && num_parse_i64(reply->str, &before))
		resp_put_int(out, before);
	else if (status == SHC_OK)
		resp_put_error(out, "UPLINKDOUBT the answer makes no sense; the total may have been reset");
	else if (status == SHC_IN_DOUBT || status == SHC_PROTOCOL)
		resp_put_errorf(out, "UPLINKDOUBT %s; the total may have been reset",
				cluster_error(r->uplink->cluster));
	else
		resp_put_errorf(out, "UPLINKDOWN %s", cluster_error(r->uplink->cluster));
}

static void reset(struct uplink *u, struct uplink_question *q)
{
	struct asked r = {.uplink = u, .question = q};
	struct cluster_way way = {.kind = OP_WRITE, .done = take_reset, .arg = &r};
	struct shard_key ledger;

	uplink_ledger_key(u, name_of(q), &ledger, &way.slot);
	const struct slice argv[] = {slice_str("2"), name_of(q), shard_slice(&ledger)};
	cluster_begin(u->cluster, UPLINK_CALL_MS, true);
	if (cluster_put_script(u->cluster, &way, &script_reset, 3, argv))
		resp_put_error(&q->reply, "OOM out of memory");
	cluster_run(u->cluster, 0);
}

static int write_accept(struct store *s, void *arg)
{
	(void)arg;
	return store_uplink_accept(s);
}

static void accept_state(struct uplink *u, struct uplink_question *q)
{
	int rc = commit_call(u->commit, write_accept, NULL);

	if (rc) {
		resp_put_errorf(&q->reply, "MISCONF this cannot be written to disk now: %s",
				rc < 0 ? strerror(-rc) : "the disk is full");
		return;
	}
	atomic_store(&u->is_restored, false);
	resp_put_simple(&q->reply, "OK");
}

/* ---- all of them ---- */

static void answer_all(struct uplink *u, enum uplink_ask_kind kind,
		       void (*fn)(struct uplink *u, struct uplink_question *q))
{
	struct uplink_question *q;

	while ((q = take(u, kind))) {
		fn(u, q);
		uplink_answer(&u->asks, q);
	}
}

/* Beside a sweep that is to find out what has been lost, a comparison would tell of it. But where somebody
 * does not answer, the sweep has no end, and neither has who asked. */
static bool can_verify(const struct uplink *u)
{
	return !u->is_fast || u->pause_ms > 0;
}

static bool note_kind(void *arg, const struct uplink_question *q)
{
	const enum uplink_ask_kind **kind = arg;

	if (*kind && q->kind == **kind)
		*kind = NULL;
	return false;
}

static bool is_asked(struct uplink *u, enum uplink_ask_kind kind)
{
	const enum uplink_ask_kind *sought = &kind;

	(void)uplink_take(&u->asks, note_kind, &sought);
	return !sought;
}

void uplink_answer_meanwhile(struct uplink *u)
{
	answer_all(u, UPLINK_ASK_STATUS, put_status);
	put_total_questions(u);
	answer_names(u);
}

void uplink_answer_questions(struct uplink *u)
{
	answer_all(u, UPLINK_ASK_STATUS, put_status);
	answer_totals(u);
	answer_all(u, UPLINK_ASK_RESET, reset);
	answer_all(u, UPLINK_ASK_ACCEPT, accept_state);
	uplink_retire_some(u);
	if (can_verify(u))
		answer_all(u, UPLINK_ASK_VERIFY, uplink_verify);
	u->is_wanted = is_asked(u, UPLINK_ASK_VERIFY);
	answer_syncs(u);
}
