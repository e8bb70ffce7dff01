/* SPDX-License-Identifier: MIT */
/*
 * fake_store.c - in the place of store*.c: store.h in memory, see kept.h. By chance it is slow (others run
 * meanwhile), full for a while, or fails with an unknown outcome. Folding is only counted: the real one has
 * tests of its own (test_store_crash.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../daemon/journal_set.h"
#include "../../daemon/store.h"
#include "../../daemon/window.h"
#include "kept.h"
#include "kept_audit.h"
#include "replaced.h"
#include "sim.h"

enum { EPOCHS_RESERVED = 50, NAME_BYTES_MAX = 32, SLOW_NS_LOG_MAX = 26, FULL_NS_MAX = 2000000000 };

struct part {
	uint64_t epoch;
	char *data;
	size_t len;
};

/* By id. */
struct entry {
	char name[NAME_BYTES_MAX];
	uint64_t value;
	bool is_deleted;
	struct kept_side side;
	struct journal_hit *hits; /* each second once */
	size_t hit_count;
};

/* What is on the disk. */
static struct {
	struct part *parts;
	size_t part_count, part_cap;
	size_t pending_from; /* parts from here on are of a commit under way, */
	uint64_t pending;    /* ... which is of this epoch */
	uint64_t epoch_limit, epoch, commits, id_next;
	struct entry *entries;
	size_t entry_cap;
	uint64_t floor_id;
	struct kept_session sessions[KEPT_SESSIONS_MAX];
	size_t session_count;
	struct kept_token *tokens;
	size_t token_count, token_cap;
} disk;

static struct kept_faults faults;
static int64_t full_until_ns;
static bool has_failed;
static void (*on_landed)(void);

/* The daemon's handle. */
struct store {
	uint64_t journal_bytes, folding_bytes;
	uint64_t fold_epoch, folding_to;
	bool is_folding;
};

/* ---- the disk ---- */

void kept_init(void (*landed)(void))
{
	on_landed = landed;
	has_failed = false;
	disk.epoch_limit = 1;
	disk.id_next = 1;
}

void kept_fini(void)
{
	for (size_t i = 0; i < disk.part_count; i++)
		free(disk.parts[i].data);
	free(disk.parts);
	for (size_t i = 0; i < disk.entry_cap; i++)
		free(disk.entries[i].hits);
	free(disk.entries);
	free(disk.tokens);
	kept_audit_fini();
	memset(&disk, 0, sizeof(disk));
	full_until_ns = 0;
}

bool kept_has_failed(void)
{
	return has_failed;
}

void kept_set_faults(struct kept_faults f)
{
	faults = f;
	full_until_ns = 0;
}

uint64_t kept_epoch(void)
{
	return disk.epoch;
}

uint64_t kept_commits(void)
{
	return disk.commits;
}

bool kept_is_full(void)
{
	return full_until_ns > sim_now_ns();
}

static struct entry *entry_at(uint64_t id)
{
	if (id >= disk.entry_cap) {
		size_t cap = (id + 64) * 2;

		disk.entries = reallocarray(disk.entries, cap, sizeof(*disk.entries));
		sim_check(disk.entries, "out of memory");
		memset(disk.entries + disk.entry_cap, 0, (cap - disk.entry_cap) * sizeof(*disk.entries));
		disk.entry_cap = cap;
	}
	return &disk.entries[id];
}

static bool is_live(uint64_t id)
{
	const struct entry *e = entry_at(id);

	return e->name[0] && !e->is_deleted && id >= disk.floor_id;
}

uint64_t kept_counter_id(const char *name)
{
	uint64_t found = 0;

	for (uint64_t id = disk.floor_id ? disk.floor_id : 1; id < disk.entry_cap; id++) {
		if (!is_live(id) || strcmp(disk.entries[id].name, name) != 0)
			continue;
		sim_check(!found, "%s is on disk twice, as %llu and %llu", name, (unsigned long long)found,
			  (unsigned long long)id);
		found = id;
	}
	return found;
}

const struct kept_side *kept_side(const char *name)
{
	static const struct kept_side none;
	uint64_t id = kept_counter_id(name);

	return id ? &entry_at(id)->side : &none;
}

bool kept_counter(const char *name, int64_t *value)
{
	uint64_t id = kept_counter_id(name);
	int64_t at_ms = id ? entry_at(id)->side.expire_at_ms : 0;

	if (at_ms && at_ms <= sim_wall_ns() / 1000000)
		id = 0;
	*value = id ? (int64_t)entry_at(id)->value : 0;
	return id != 0;
}

size_t kept_counter_count(void)
{
	size_t count = 0;

	for (uint64_t id = 1; id < disk.entry_cap; id++)
		count += is_live(id);
	return count;
}

/* ---- sessions and tokens ---- */

static void copy_text(char *to, size_t size, struct slice from)
{
	sim_check(from.len < size, "%zu bytes of text", from.len);
	memcpy(to, from.data, from.len);
	to[from.len] = '\0';
}

static struct kept_session *session_find(struct slice id)
{
	for (size_t i = 0; i < disk.session_count; i++)
		if (slice_equal(id, slice_str(disk.sessions[i].id)))
			return &disk.sessions[i];
	return NULL;
}

/* Made when it is missing. */
static struct kept_session *session_at(struct slice id)
{
	struct kept_session *s = session_find(id);

	if (s)
		return s;
	sim_check(disk.session_count < KEPT_SESSIONS_MAX, "too many sessions");
	copy_text(disk.sessions[disk.session_count].id, sizeof(disk.sessions[0].id), id);
	return &disk.sessions[disk.session_count++];
}

const struct kept_session *kept_session(const char *id)
{
	static const struct kept_session none;
	const struct kept_session *s = session_find(slice_str(id));

	return s ? s : &none;
}

const struct kept_token *kept_token(const char *token)
{
	for (size_t i = 0; i < disk.token_count; i++)
		if (strcmp(disk.tokens[i].token, token) == 0)
			return &disk.tokens[i];
	return NULL;
}

size_t kept_tokens(const struct kept_token **out)
{
	*out = disk.tokens;
	return disk.token_count;
}

/* Of an epoch in which two workers had it, the larger counts. */
static void fold_session(const struct journal_record *rec, uint64_t epoch)
{
	struct kept_session *s = session_at(rec->name);

	if (rec->id < s->seq && s->epoch == epoch)
		return;
	sim_check(rec->id >= s->seq, "session %s goes back to %llu", s->id, (unsigned long long)rec->id);
	s->seq = rec->id;
	s->epoch = epoch;
	copy_text(s->cursor, sizeof(s->cursor), rec->detail);
}

static void fold_token(const struct journal_record *rec)
{
	struct kept_token *t;

	if (disk.token_count == disk.token_cap) {
		disk.token_cap = disk.token_cap * 2 + 64;
		disk.tokens = reallocarray(disk.tokens, disk.token_cap, sizeof(*disk.tokens));
		sim_check(disk.tokens, "out of memory");
	}
	t = &disk.tokens[disk.token_count++];
	copy_text(t->name, sizeof(t->name), rec->name);
	copy_text(t->token, sizeof(t->token), rec->detail);
	t->delta = (int64_t)rec->delta;
	sim_check(kept_token(t->token) == t, "token %s is used twice", t->token);
}

/* The largest version counts; the same one comes with the same content. */
static void fold_state(struct entry *e, const struct journal_state *s)
{
	sim_check(s->version > 0, "a state has no version");
	sim_check(s->version != e->side.version ||
			  (s->expire_at_ms == e->side.expire_at_ms && s->tat_ns == e->side.tat_ns),
		  "version %llu of a state is two states", (unsigned long long)s->version);
	if (s->version <= e->side.version)
		return;
	e->side.version = s->version;
	e->side.expire_at_ms = s->expire_at_ms;
	e->side.tat_ns = s->tat_ns;
}

static void fold_hit(struct entry *e, const struct journal_hit *hit)
{
	size_t i = 0;

	e->side.hits += hit->count;
	while (i < e->hit_count && e->hits[i].second != hit->second)
		i++;
	if (i == e->hit_count) {
		e->hits = reallocarray(e->hits, ++e->hit_count, sizeof(*e->hits));
		sim_check(e->hits, "out of memory");
		e->hits[i] = *hit;
	} else {
		e->hits[i].count += hit->count;
	}
}

static void fold_record(const struct journal_record *rec, uint64_t epoch)
{
	struct entry *e =
		rec->type != JOURNAL_SESSION && rec->type != JOURNAL_TOKEN && rec->type != JOURNAL_FLOOR
			? entry_at(rec->id)
			: NULL;

	switch (rec->type) {
	case JOURNAL_SESSION: fold_session(rec, epoch); break;
	case JOURNAL_TOKEN: fold_token(rec); break;
	case JOURNAL_STATE: fold_state(e, &rec->state); break;
	case JOURNAL_HIT: fold_hit(e, &rec->hit); break;
	case JOURNAL_NAME:
		sim_check(!e->name[0], "id %llu is given twice", (unsigned long long)rec->id);
		sim_check(rec->name.len < sizeof(e->name), "a long name");
		memcpy(e->name, rec->name.data, rec->name.len);
		break;
	case JOURNAL_DELTA: e->value += rec->delta; break;
	case JOURNAL_DELETE: e->is_deleted = true; break;
	case JOURNAL_FLOOR:
		if (rec->id > disk.floor_id)
			disk.floor_id = rec->id;
		break;
	}
}

static void fold_part(const struct part *part)
{
	struct journal_reader reader;
	struct journal_record rec;
	int rc = journal_reader_init(&reader, part->data, part->len);

	while (rc == JOURNAL_OK && (rc = journal_next(&reader, &rec)) == JOURNAL_OK)
		fold_record(&rec, part->epoch);
	sim_check(rc == JOURNAL_END, "a body of epoch %llu cannot be read", (unsigned long long)part->epoch);
}

/* What entries of the audit log make of a counter, and what its deltas do. */
static void check_audit(void)
{
	for (uint64_t id = 1; id < disk.entry_cap; id++) {
		const struct entry *e = &disk.entries[id];
		uint64_t live = e->name[0] && kept_audit_has(e->name) ? kept_counter_id(e->name) : 0;

		/* Any id of a name will do, the live one or, when it has none, each that was. */
		if (!e->name[0] || !kept_audit_has(e->name) || (live && live != id))
			continue;
		sim_check(kept_audit_value(e->name) == (live ? e->value : 0),
			  "%s is worth %lld by the audit log, and %lld", e->name,
			  (long long)kept_audit_value(e->name), (long long)(live ? e->value : 0));
	}
}

/* The commit under way is on disk now. */
static void land(void)
{
	int fiber = sim_step_out();

	for (size_t i = disk.pending_from; i < disk.part_count; i++) {
		fold_part(&disk.parts[i]);
	}
	disk.epoch = disk.pending;
	disk.commits++;
	disk.pending_from = disk.part_count;
	kept_audit_land();
	check_audit();
	if (disk.epoch >= disk.epoch_limit)
		disk.epoch_limit = disk.epoch + EPOCHS_RESERVED;
	on_landed();
	sim_step_in(fiber);
}

void kept_crash(void)
{
	has_failed = false;
	if (disk.pending > disk.epoch && sim_one_in(2))
		land();
	disk.pending = disk.epoch;
	kept_audit_drop();
	while (disk.part_count > disk.pending_from)
		free(disk.parts[--disk.part_count].data);
}

static void stage(uint64_t epoch, const struct buf *body)
{
	struct part *part;

	if (disk.part_count == disk.part_cap) {
		disk.part_cap = disk.part_cap * 2 + 64;
		disk.parts = reallocarray(disk.parts, disk.part_cap, sizeof(*disk.parts));
		sim_check(disk.parts, "out of memory");
	}
	part = &disk.parts[disk.part_count++];
	*part = (struct part){.epoch = epoch, .data = malloc(buf_len(body)), .len = buf_len(body)};
	sim_check(part->data, "out of memory");
	memcpy(part->data, buf_head(body), part->len);
}

/* ---- store.h ---- */

static void take_time(void)
{
	sim_yield();
	if (faults.slow_one_in && sim_one_in(faults.slow_one_in))
		(void)sim_sleep(NULL, NULL, sim_now_ns() + (INT64_C(1) << sim_below(SLOW_NS_LOG_MAX + 1)));
}

static bool is_refused(void)
{
	if (!kept_is_full() && faults.full_one_in && sim_one_in(faults.full_one_in))
		full_until_ns = sim_now_ns() + sim_below(FULL_NS_MAX);
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
	const struct entry *e = entry_at(n->id);

	sim_check(is_live(n->id) && slice_equal(n->name, slice_str(e->name)),
		  "recovery tells id %llu, which is not there", (unsigned long long)n->id);
	sim_check((int64_t)e->value == value, "recovery tells %s = %lld, the records say %lld", e->name,
		  (long long)value, (long long)e->value);
	return sink->counters(sink->arg, 0, &(struct store_counter){n->id, value, n->name}, 1);
}

static void load_all(struct journal_set *set, struct store_state *state)
{
	for (size_t i = 0; i < disk.part_count; i++) {
		sim_check(!journal_set_add(set, disk.parts[i].epoch, disk.parts[i].data, disk.parts[i].len),
			  "the journal is damaged");
		state->journal_bytes += disk.parts[i].len;
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
static struct window *window_of(const struct entry *e)
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

	for (uint64_t id = 1; id < disk.entry_cap && !rc; id++) {
		const struct entry *e = &disk.entries[id];
		const struct journal_state state = {
			.id = id,
			.version = e->side.version,
			.expire_at_ms = e->side.expire_at_ms,
			.tat_ns = e->side.tat_ns,
		};

		if (!is_live(id))
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

	sim_check(marks->count == disk.session_count, "recovery tells %zu sessions of %zu", marks->count,
		  disk.session_count);
	for (size_t i = 0; i < marks->count && !rc; i++) {
		const struct journal_set_mark *m = &marks->items[i];
		const struct kept_session *s = session_at(m->name);

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

	sim_check(marks->count == disk.token_count, "recovery tells %zu tokens of %zu", marks->count,
		  disk.token_count);
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
	state->id_next = disk.id_next > set.id_max ? disk.id_next : set.id_max + 1;
	state->epoch_first = disk.epoch_limit;
	disk.epoch_limit += EPOCHS_RESERVED;
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
	if (epoch < disk.epoch_limit)
		return STORE_OK;
	take_time();
	if (is_refused())
		return STORE_RETRY;
	disk.epoch_limit = epoch + EPOCHS_RESERVED;
	return STORE_OK;
}

int store_commit(struct store *s, uint64_t epoch, const struct journal_writer *w,
		 const struct audit_entry *entries, size_t entry_count, uint64_t id_next)
{
	sim_check(epoch > disk.epoch && disk.pending_from == disk.part_count,
		  "epoch %llu is committed after %llu", (unsigned long long)epoch,
		  (unsigned long long)disk.epoch);
	take_time();
	if (is_refused())
		return STORE_RETRY;
	disk.pending = epoch;
	kept_audit_stage(entries, entry_count);
	for (size_t i = 0; i < w->count; i++) {
		stage(epoch, &w->parts[i]);
		s->journal_bytes += buf_len(&w->parts[i]);
	}
	take_time();
	has_failed = faults.error_one_in && sim_one_in(faults.error_one_in);
	if (has_failed)
		return -EIO; /* kept_crash decides what it was */
	land();
	disk.id_next = id_next;
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
		s->folding_to = disk.epoch;
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
