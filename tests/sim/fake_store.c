/* SPDX-License-Identifier: MIT */
/*
 * fake_store.c - in the place of store*.c: store.h in memory, see kept.h. By chance it is slow (others run
 * meanwhile), full for a while, or fails with an unknown outcome. Folding is only counted: the real one has
 * tests of its own (test_store_crash.c).
 */
#include <errno.h>
#include <string.h>

#include "../../daemon/journal_set.h"
#include "../../daemon/store.h"
#include "../../daemon/window.h"
#include "kept_audit.h"
#include "kept_private.h"
#include "replaced.h"
#include "sim.h"

enum { SLOW_NS_LOG_MAX = 26, FULL_NS_MAX = 2000000000 };

/* The daemon's handle. */
struct store {
	uint64_t journal_bytes, folding_bytes;
	uint64_t fold_epoch, folding_to;
	bool is_folding;
};

/* ---- store.h ---- */

static void take_time(void)
{
	sim_yield();
	if (kept_faulty.faults.slow_one_in && sim_one_in(kept_faulty.faults.slow_one_in))
		(void)sim_sleep(NULL, NULL, sim_now_ns() + (INT64_C(1) << sim_below(SLOW_NS_LOG_MAX + 1)));
}

static bool is_refused(void)
{
	if (!kept_is_full() && kept_faulty.faults.full_one_in && sim_one_in(kept_faulty.faults.full_one_in))
		kept_faulty.full_until_ns = sim_now_ns() + sim_below(FULL_NS_MAX);
	return kept_is_full();
}

int store_open(struct store **out, const char *path, unsigned flags)
{
	(void)path, (void)flags;
	*out = sim_calloc(1, sizeof(**out));
	return 0;
}

struct store *store_close(struct store *s)
{
	sim_free(s);
	return NULL;
}

const char *store_error(const struct store *s)
{
	(void)s;
	return "the simulated disk refuses";
}

/* What recovery tells must be what the records say. */
static int tell(const struct journal_set_name *n, int64_t value, const struct store_sink *sink)
{
	const struct kept_entry *e = kept_entry_at(n->id);

	sim_check(kept_is_live(n->id) && slice_equal(n->name, slice_str(e->name)),
		  "recovery tells id %llu, which is not there", (unsigned long long)n->id);
	sim_check((int64_t)e->value == value, "recovery tells %s = %lld, the records say %lld", e->name,
		  (long long)value, (long long)e->value);
	return sink->counters(sink->arg, 0, &(struct store_counter){n->id, value, n->name}, 1);
}

static void load_all(struct journal_set *set, struct store_state *state)
{
	for (size_t i = 0; i < kept_disk.part_count; i++) {
		sim_check(!journal_set_add(set, kept_disk.parts[i].epoch, kept_disk.parts[i].data,
					   kept_disk.parts[i].len),
			  "the journal is damaged");
		state->journal_bytes += kept_disk.parts[i].len;
		state->journal_rows++;
	}
	sim_check(!journal_set_sort(set), "the journal makes no sense");
}

static int tell_counters(struct journal_set *set, const struct store_sink *sink, struct store_state *state)
{
	int rc = 0;

	for (size_t i = 0; i < set->name_count && !rc; i++) {
		const struct journal_set_name *n = &set->names[i];
		struct journal_sum sum;

		if (n->id < set->floor_id || journal_set_is_dead(set, n->id))
			continue;
		sim_check(!journal_set_take(set, n->id, 0, &sum), "the journal is damaged");
		rc = tell(n, (int64_t)sum.delta, sink);
		state->counters++;
	}
	sim_check(rc || state->counters == kept_counter_count(), "recovery tells %llu counters of %zu",
		  (unsigned long long)state->counters, kept_counter_count());
	return rc;
}

/* In the daemon's memory. */
static struct window *window_of(const struct kept_entry *e)
{
	struct window *w = window_new();

	sim_check(w, "out of memory");
	for (size_t i = 0; i < e->hit_count; i++) {
		sim_check(!window_prepare(w, e->hits[i].second), "out of memory");
		window_add(w, e->hits[i].second, e->hits[i].count);
	}
	return w;
}

static int tell_sides(const struct store_sink *sink)
{
	int rc = 0;

	for (uint64_t id = 1; id < kept_disk.entry_cap && !rc; id++) {
		const struct kept_entry *e = &kept_disk.entries[id];
		const struct journal_state state = {
			.id = id,
			.version = e->side.version,
			.expire_at_ms = e->side.expire_at_ms,
			.tat_ns = e->side.tat_ns,
		};

		if (!kept_is_live(id))
			continue;
		if (e->side.version)
			rc = sink->state(sink->arg, &state);
		if (!rc && e->hit_count)
			rc = sink->window(sink->arg, id, window_of(e));
	}
	return rc;
}

static int tell_sessions(const struct journal_marks *marks, const struct store_sink *sink)
{
	int rc = 0;

	sim_check(marks->count == kept_disk.session_count, "recovery tells %zu sessions of %zu", marks->count,
		  kept_disk.session_count);
	for (size_t i = 0; i < marks->count && !rc; i++) {
		const struct journal_set_mark *m = &marks->items[i];
		const struct kept_session *s = kept_session_at(m->name);

		sim_check(s->seq == m->number && slice_equal(m->detail, slice_str(s->cursor)),
			  "recovery tells %s at %llu, the records say %llu", s->id,
			  (unsigned long long)m->number, (unsigned long long)s->seq);
		rc = sink->session(sink->arg, m->name, m->number, m->detail, m->time_ms);
	}
	return rc;
}

static int tell_tokens(const struct journal_marks *marks, const struct store_sink *sink)
{
	int rc = 0;

	sim_check(marks->count == kept_disk.token_count, "recovery tells %zu tokens of %zu", marks->count,
		  kept_disk.token_count);
	for (size_t i = 0; i < marks->count && !rc; i++) {
		const struct journal_set_mark *m = &marks->items[i];

		rc = sink->token(sink->arg, m->name, m->detail, (int64_t)m->number, m->time_ms);
	}
	return rc;
}

int store_load(struct store *s, const struct store_sink *sink, struct store_state *state)
{
	struct journal_set set;
	int rc;

	*state = (struct store_state){0};
	journal_set_init(&set);
	load_all(&set, state);
	rc = tell_sides(sink);
	if (!rc)
		rc = tell_counters(&set, sink, state);
	if (!rc)
		rc = tell_sessions(&set.sessions, sink);
	if (!rc)
		rc = tell_tokens(&set.tokens, sink);
	state->floor_id = set.floor_id;
	state->id_next = kept_disk.id_next > set.id_max ? kept_disk.id_next : set.id_max + 1;
	state->epoch_first = kept_disk.epoch_limit;
	kept_disk.epoch_limit += EPOCHS_RESERVED;
	s->journal_bytes = state->journal_bytes;
	journal_set_fini(&set);
	return rc;
}

/* There is no snapshot. */
size_t store_name_of(struct store *s, uint64_t id, char name[NAME_LEN_MAX])
{
	(void)s, (void)id, (void)name;
	return 0;
}

int store_reserve(struct store *s, uint64_t epoch)
{
	(void)s;
	if (epoch < kept_disk.epoch_limit)
		return STORE_OK;
	take_time();
	if (is_refused())
		return STORE_RETRY;
	kept_disk.epoch_limit = epoch + EPOCHS_RESERVED;
	return STORE_OK;
}

int store_commit(struct store *s, uint64_t epoch, const struct journal_writer *w,
		 const struct audit_entry *entries, size_t entry_count, uint64_t id_next)
{
	sim_check(epoch > kept_disk.epoch && kept_disk.pending_from == kept_disk.part_count,
		  "epoch %llu is committed after %llu", (unsigned long long)epoch,
		  (unsigned long long)kept_disk.epoch);
	take_time();
	if (is_refused())
		return STORE_RETRY;
	kept_disk.pending = epoch;
	kept_audit_stage(entries, entry_count);
	for (size_t i = 0; i < w->count; i++) {
		kept_stage(epoch, &w->parts[i]);
		s->journal_bytes += buf_len(&w->parts[i]);
	}
	take_time();
	kept_faulty.has_failed =
		kept_faulty.faults.error_one_in && sim_one_in(kept_faulty.faults.error_one_in);
	if (kept_faulty.has_failed)
		return -EIO; /* kept_crash decides what it was */
	kept_land();
	kept_disk.id_next = id_next;
	take_time();
	return STORE_OK;
}

/* ---- the audit log ---- */

int64_t store_audit_oldest_us(const struct store *s)
{
	(void)s;
	return INT64_MAX;
}

uint64_t store_audit_count(const struct store *s)
{
	(void)s;
	return 0;
}

/* No client of the simulation asks. */
struct store_audit_reader *store_audit_reader_close(struct store_audit_reader *r)
{
	(void)r;
	return NULL;
}

int store_audit_read(struct store_audit_reader **r, const char *path, struct slice name, int64_t after,
		     int64_t count, store_audit_fn *fn, void *arg, char *why, size_t why_size)
{
	(void)r;
	(void)path;
	(void)name;
	(void)after;
	(void)count;
	(void)fn;
	(void)arg;
	(void)why;
	(void)why_size;
	sim_check(false, "nobody asks for the audit log");
	return -EIO;
}

int store_forget_audit(struct store *s, int64_t before_us, uint64_t count_max, size_t rows_max)
{
	(void)s;
	(void)before_us;
	(void)count_max;
	(void)rows_max;
	sim_check(false, "nothing is in the audit log");
	return STORE_OK;
}

/* ---- the snapshot ---- */

uint64_t store_journal_bytes(const struct store *s)
{
	return s->journal_bytes;
}

void store_release_memory(struct store *s)
{
	(void)s;
}

size_t store_journal_epochs(const struct store *s)
{
	return s->journal_bytes ? 1 : 0;
}

int store_fold_begin(struct store *s)
{
	if (!s->is_folding && !s->journal_bytes)
		return STORE_OK;
	if (!s->is_folding) {
		s->is_folding = true;
		s->folding_bytes = s->journal_bytes;
		s->folding_to = kept_disk.epoch;
	}
	return STORE_AGAIN;
}

int store_fold_step(struct store *s, size_t rows_max)
{
	(void)rows_max;
	take_time();
	if (is_refused())
		return STORE_RETRY;
	if (sim_one_in(2))
		return STORE_AGAIN;
	s->is_folding = false;
	s->journal_bytes -= s->folding_bytes;
	s->fold_epoch = s->folding_to;
	return STORE_OK;
}

bool store_is_folding(const struct store *s)
{
	return s->is_folding;
}

bool store_is_folded(const struct store *s, uint64_t epoch)
{
	return s->fold_epoch >= epoch || (!s->is_folding && s->journal_bytes == 0);
}

/* Nothing gets that old here. */
int store_forget(struct store *s, int64_t sessions_before_ms, int64_t tokens_before_ms, size_t rows_max)
{
	(void)s, (void)sessions_before_ms, (void)tokens_before_ms, (void)rows_max;
	take_time();
	return is_refused() ? STORE_RETRY : STORE_OK;
}

int store_forget_baselines(struct store *s, size_t rows_max)
{
	(void)s, (void)rows_max;
	return STORE_OK;
}

int store_journal_merge(struct store *s, uint64_t bytes_max)
{
	(void)s, (void)bytes_max;
	return STORE_OK;
}

int store_look_at_place(struct store *s)
{
	(void)s;
	return STORE_OK;
}

bool store_is_log_held(const struct store *s, int64_t *bytes)
{
	(void)s, (void)bytes;
	return false;
}

int store_checkpoint(struct store *s, unsigned frames_min)
{
	(void)s, (void)frames_min;
	take_time();
	return STORE_OK;
}

void store_stats(const struct store *s, struct store_stats *out)
{
	(void)s;
	*out = (struct store_stats){0};
}

int store_backup(const char *path, const char *target, const _Atomic bool *is_cancelled, char *why,
		 size_t why_size)
{
	(void)path, (void)target, (void)is_cancelled, (void)why, (void)why_size;
	return -EIO;
}

int store_check(const char *path, void (*say)(void *arg, const char *line), void *arg)
{
	(void)path, (void)say, (void)arg;
	return 0;
}
