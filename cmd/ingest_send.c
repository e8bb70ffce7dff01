/* SPDX-License-Identifier: MIT */
/*
 * ingest_send.c - the table's sums on their way to the server, and what became of them.
 */
#include <stdio.h>
#include <string.h>

#include "../lib/conn.h"
#include "../lib/num.h"
#include "../lib/redis.h"
#include "command.h"
#include "ingest.h"
#include "inputs.h"
#include "signals.h"
#include "stream.h"

enum {
	NS_PER_MS = 1000000,
	RETRY_PAUSE_NS = 20 * NS_PER_MS, /* between two looks for a server that has gone */
};

enum { SKETCH_SIZE = 1 << SKETCH_BITS, REFUSALS_TOLD_MAX = 10, SINGLES_UNANSWERED = 64 };
enum { WHY_SIZE = 320, WHYS_BYTES_MAX = 4096 /* more than is told of them */ };

/* The whole name; `room` serves for any. */
static struct slice with_prefix(const struct ingest *in, struct slice name, char room[NAME_LEN_MAX])
{
	if (in->prefix.len == 0)
		return name;
	memcpy(room, in->prefix.data, in->prefix.len);
	memcpy(room + in->prefix.len, name.data, name.len);
	return (struct slice){room, in->prefix.len + name.len};
}

/* ---- the connection is lost ---- */

/* Whether sums of lines behind lines_in may be with the server: after a failure that leaves none of ours
 * unanswered. */
static bool has_left(const struct ingest *in)
{
	struct shc_add_stats now;
	const struct shc_add_stats *begin = &in->stats_begin;
	shc_add_stats(in->shc, &now);
	return in->is_ahead || now.acknowledged != begin->acknowledged || now.refused != begin->refused ||
	       now.in_doubt != begin->in_doubt;
}

static void tell_acknowledged(const struct ingest *in)
{
	char lines[40] = "line";
	if (in->lines_in != 1)
		snprintf(lines, sizeof(lines), "%llu lines", (unsigned long long)in->lines_in);
	command_fail(0,
		     "acknowledged: the first %s, up to %s:%llu; if the server was killed, what it "
		     "took in its last commit interval may be missing, but with durability = commit; "
		     "--stream is exact",
		     lines, in->file_in, (unsigned long long)in->file_lines_in);
}

static void tell_names(const struct ingest *in, const struct shc_add_stats *now)
{
	unsigned long long acknowledged = now->acknowledged - in->stats_begin.acknowledged,
			   in_doubt = now->in_doubt - in->stats_begin.in_doubt;
	command_fail(0,
		     "of the %zu %s counted %s: %llu %s acknowledged, %llu %s in doubt, the others are "
		     "not in",
		     in->table.count, command_noun(in->table.count, "name", "names"),
		     in->lines_in > 0 ? "behind that" : "so far", acknowledged,
		     command_noun(acknowledged, "is", "are"), in_doubt, command_noun(in_doubt, "is", "are"));
}

/* As long as nothing of the table has left, a line number tells where to go on; then no more: in doubt. */
static int lost(struct ingest *in, enum shc_status status)
{
	if (in->stream)
		return stream_lost(in, status);
	progress_wipe(&in->progress);
	in->lost = command_status(in->shc, status);
	struct shc_add_stats now;
	shc_add_stats(in->shc, &now);
	if (now.acknowledged + now.in_doubt == 0)
		return command_fail(in->lost, "nothing was added");
	if (in->lines_in > 0)
		tell_acknowledged(in);
	if (status != SHC_MEMORY && !has_left(in) && in->lines_in > 0) {
		inputs_tell_how_on("ingest", "nothing behind that has left; go on", in->file_in,
				   in->files_left_in, in->file_lines_in + 1);
		return in->lost;
	}
	tell_names(in, &now);
	if (in->lost == EX_UNAVAILABLE)
		in->lost = EX_TEMPFAIL;
	return in->lost;
}

/* ---- additions the server refused ---- */

/* In Redis each addition is refused for itself. */
static void keep_why(struct ingest *in)
{
	const char *why = shc_error(in->shc);
	if (redis_is(in->shc) && buf_len(&in->refused_why) < WHYS_BYTES_MAX)
		buf_append(&in->refused_why, why, strlen(why) + 1);
	in->refused_why.failed = false;
}

/* The next one, or what was said last. */
static const char *take_why(struct ingest *in, char room[WHY_SIZE])
{
	if (buf_len(&in->refused_why) == 0)
		return shc_error(in->shc);
	size_t size = strlen(buf_head(&in->refused_why)) + 1;
	memcpy(room, buf_head(&in->refused_why), size < WHY_SIZE ? size : WHY_SIZE);
	room[WHY_SIZE - 1] = '\0';
	buf_consume(&in->refused_why, size);
	return room;
}

/* Not added up: two sums of a name may fit one after the other though not together. */
void ingest_on_refused(void *arg, const char *name, size_t name_len, int64_t delta)
{
	struct ingest *in = arg;
	size_t size = sizeof(delta) + 1 + name_len;
	char *to = buf_reserve(&in->refused, size);
	if (!to) {
		in->refused.failed = false;
		in->sums_refused++;
		return;
	}
	memcpy(to, &delta, sizeof(delta));
	to[sizeof(delta)] = (char)name_len;
	memcpy(to + sizeof(delta) + 1, name, name_len);
	buf_commit(&in->refused, size);
	keep_why(in);
}

bool ingest_next_refused(const struct ingest *in, size_t *pos, struct slice *name, int64_t *delta)
{
	if (*pos >= buf_len(&in->refused))
		return false;
	const char *from = buf_head(&in->refused) + *pos;
	memcpy(delta, from, sizeof(*delta));
	from += sizeof(*delta);
	*name = (struct slice){from + 1, (unsigned char)from[0]};
	*pos += sizeof(*delta) + 1 + name->len;
	return true;
}

static void tell_refused(struct ingest *in, struct slice name, int64_t delta, const char *why)
{
	in->sums_refused++;
	progress_wipe(&in->progress);
	if (in->sums_refused <= REFUSALS_TOLD_MAX)
		command_fail(0, "%.*s: not added: %lld (%s)", (int)name.len, name.data, (long long)delta,
			     why);
	if (in->sums_refused == REFUSALS_TOLD_MAX + 1)
		command_fail(0, "more names were refused; they are not shown");
}

static enum shc_status append_single(struct shc *shc, struct slice name, int64_t delta)
{
	char digits[NUM_I64_CHARS_MAX];
	const char *argv[] = {"SHC.ADD", name.data, digits};
	size_t argv_len[] = {7, name.len, num_format_i64(digits, delta)};
	return shc_append(shc, 3, argv, argv_len, true);
}

/* The answers to all single additions that are under way, the first of which is the one at *pos. */
static enum shc_status take_singles(struct ingest *in, size_t *pos)
{
	struct slice name;
	int64_t delta;
	while (shc_pending(in->shc) > 0 && ingest_next_refused(in, pos, &name, &delta)) {
		const struct shc_reply *reply;
		enum shc_status status = shc_next(in->shc, &reply);
		if (status == SHC_REFUSED || status == SHC_DENIED)
			tell_refused(in, name, delta, shc_error(in->shc));
		else if (status)
			return status;
	}
	return SHC_OK;
}

/* One addition that cannot be made has refused its whole batch: sends all of them again, one by one. In Redis
 * each was refused alone. */
static enum shc_status send_refused(struct ingest *in)
{
	size_t sent_pos = 0, taken_pos = 0;
	enum shc_status status = SHC_OK;
	struct slice name;
	int64_t delta;
	char why[WHY_SIZE];
	while (redis_is(in->shc) && ingest_next_refused(in, &sent_pos, &name, &delta))
		tell_refused(in, name, delta, take_why(in, why));
	while (status == SHC_OK && ingest_next_refused(in, &sent_pos, &name, &delta)) {
		status = append_single(in->shc, name, delta);
		if (status == SHC_OK && shc_pending(in->shc) >= SINGLES_UNANSWERED)
			status = take_singles(in, &taken_pos);
	}
	if (status == SHC_OK)
		status = take_singles(in, &taken_pos);
	buf_consume(&in->refused, buf_len(&in->refused));
	buf_consume(&in->refused_why, buf_len(&in->refused_why));
	return status;
}

/* ---- names, counted ---- */

/* HyperLogLog (Flajolet et al. 2007) over the hashes that the table has anyway. */
static void sketch_names(struct ingest *in)
{
	for (size_t i = 0; i <= in->table.mask; i++) {
		const struct table_slot *slot = &in->table.slots[i];
		if (slot->place == 0)
			continue;
		uint32_t rest = slot->hash >> SKETCH_BITS | UINT32_C(1) << (32 - SKETCH_BITS);
		uint8_t rank = (uint8_t)(__builtin_ctz(rest) + 1);
		uint8_t *cell = &in->sketch[slot->hash % SKETCH_SIZE];
		*cell = rank > *cell ? rank : *cell;
	}
}

/* Remembers the names of the table, as long as they are few. */
static void know_names(struct ingest *in)
{
	const struct table_entry *e;
	struct table *known = &in->known;
	in->is_known = in->is_known && in->table.count <= INGEST_KNOWN_MAX;
	if (in->is_known && !known->slots)
		in->is_known = table_init(known) == 0;
	for (size_t pos = 0; in->is_known && (e = table_next(&in->table, &pos));)
		in->is_known = known->count < INGEST_KNOWN_MAX &&
			       table_bytes(known) < INGEST_KNOWN_BYTES_MAX &&
			       table_add(known, table_entry_name(e), 0) == TABLE_OK;
	if (!in->is_known)
		table_fini(known);
}

/* The paper's linear counting, size * ln(size / empty), with the logarithm as a sum of 1/k: no libm. */
static double few_names(size_t empty)
{
	double sum = 0;
	for (size_t k = SKETCH_SIZE; k > empty; k--)
		sum += 1.0 / (double)k;
	return SKETCH_SIZE * sum + 0.5;
}

uint64_t ingest_names(const struct ingest *in, bool *is_estimate)
{
	*is_estimate = in->tables_sent > 1 && !in->is_known;
	if (!*is_estimate)
		return in->is_known ? in->known.count : in->names_sent;
	double sum = 0;
	size_t empty = 0;
	for (size_t i = 0; i < SKETCH_SIZE; i++) {
		sum += 1.0 / (double)(UINT64_C(1) << in->sketch[i]);
		empty += in->sketch[i] == 0;
	}
	const double alpha = 0.7213 / (1 + 1.079 / SKETCH_SIZE);
	double estimate = alpha * SKETCH_SIZE * SKETCH_SIZE / sum;
	return (uint64_t)(estimate <= 2.5 * SKETCH_SIZE && empty > 0 ? few_names(empty) : estimate);
}

/* ---- sending ---- */

static enum shc_status add(const struct ingest *in, struct slice name, int64_t delta)
{
	char room[NAME_LEN_MAX];
	name = with_prefix(in, name, room);
	return in->stream ? shc_session_add(in->shc, name.data, name.len, delta)
			  : shc_add(in->shc, name.data, name.len, delta);
}

/* Beside what the table has of that name. */
static enum shc_status add_apart(struct ingest *in, struct slice name, int64_t delta)
{
	enum shc_status status = add(in, name, delta);
	in->is_ahead = true;
	if (status == SHC_OK && in->stream)
		in->stream->adds_open++;
	return status;
}

/* What is left of fractions becomes whole. */
static enum shc_status settle_fractions(struct ingest *in)
{
	struct fraction_walk at = {0};
	struct slice name;
	enum shc_status status = SHC_OK;
	while (status == SHC_OK && fraction_round(&in->fractions, &at, &name)) {
		if (table_add(&in->table, name, 1) != TABLE_OK) /* the sum is full, or the memory */
			status = add_apart(in, name, 1);
	}
	fraction_clear(&in->fractions);
	return status;
}

static enum shc_status add_entries(struct ingest *in)
{
	enum shc_status status = settle_fractions(in);
	const struct table_entry *e;
	for (size_t pos = 0; status == SHC_OK && (e = table_next(&in->table, &pos));)
		status = add(in, table_entry_name(e), e->sum);
	return status;
}

int ingest_send_entry(struct ingest *in, const struct table_entry *entry)
{
	shc_on_refused(in->shc, ingest_on_refused, in);
	enum shc_status status = add_apart(in, table_entry_name(entry), entry->sum);
	return status ? lost(in, status) : EX_OK;
}

int ingest_add_table(struct ingest *in)
{
	enum shc_status status = add_entries(in);
	return status ? lost(in, status) : EX_OK;
}

void ingest_table_sent(struct ingest *in)
{
	sketch_names(in);
	if (in->is_known && in->table.count > 0)
		know_names(in);
	in->names_sent += in->table.count;
	in->tables_sent += in->table.count > 0;
	table_clear(&in->table);
	in->batch_begin_ns = 0;
}

static enum shc_status send_table(struct ingest *in)
{
	enum shc_status status = add_entries(in);
	if (status == SHC_OK)
		status = shc_flush(in->shc, NULL);
	struct shc_add_stats now;
	shc_add_stats(in->shc, &now);
	bool is_refused = status == SHC_REFUSED || status == SHC_DENIED;
	/* In Redis nothing was added by a user who may not; shcounterd lets in or not. */
	if (status == SHC_DENIED && redis_is(in->shc) && now.acknowledged == in->stats_begin.acknowledged)
		return status;
	/* Without an addition that was refused it is about a new connection. */
	return is_refused && now.refused != in->stats_begin.refused ? send_refused(in) : status;
}

/* A pause, unless there is none to be made any more. */
static bool await_server(struct ingest *in, int64_t deadline_ns)
{
	if (signals_stop() || conn_now_ns() >= deadline_ns)
		return false;
	(void)signals_wait_readable(-1, RETRY_PAUSE_NS);
	progress_update(&in->progress, &in->seen);
	return true;
}

/* A server that is restarted is gone for a while. The library has forgotten what it could not send, the table
 * has not. */
int ingest_send(struct ingest *in)
{
	int64_t deadline_ns = conn_now_ns() + (int64_t)in->timeout_ms * NS_PER_MS;
	shc_on_refused(in->shc, ingest_on_refused, in);
	enum shc_status status = send_table(in);
	while (status == SHC_UNREACHABLE && !has_left(in) && await_server(in, deadline_ns))
		status = send_table(in);
	if (status)
		return lost(in, status);
	ingest_table_sent(in);
	shc_add_stats(in->shc, &in->stats_begin);
	in->is_ahead = true; /* unless ingest_send_gathered knows better */
	return EX_OK;
}

int ingest_send_gathered(struct ingest *in)
{
	int rc = ingest_send(in);
	if (rc)
		return rc;
	in->lines_in = in->seen.lines;
	in->file_in = in->file;
	in->file_lines_in = in->file_lines;
	in->files_left_in = in->files_left;
	in->is_ahead = false;
	return EX_OK;
}

bool ingest_has_gathered(const struct ingest *in)
{
	return in->table.count > 0 || (in->stream && in->stream->adds_open > 0);
}
