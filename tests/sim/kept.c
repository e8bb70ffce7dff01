/* SPDX-License-Identifier: MIT */
/* kept.c - see kept.h: the disk, and a fold of the records that are on it. */
#include <stdlib.h>
#include <string.h>

#include "kept_audit.h"
#include "kept_private.h"
#include "sim.h"

struct kept_disk kept_disk;
struct kept_faulty kept_faulty;
static void (*on_landed)(void);

/* ---- the disk ---- */

void kept_init(void (*landed)(void))
{
	on_landed = landed;
	kept_faulty.has_failed = false;
	kept_disk.epoch_limit = 1;
	kept_disk.id_next = 1;
}

void kept_fini(void)
{
	for (size_t i = 0; i < kept_disk.part_count; i++)
		free(kept_disk.parts[i].data);
	free(kept_disk.parts);
	for (size_t i = 0; i < kept_disk.entry_cap; i++)
		free(kept_disk.entries[i].hits);
	free(kept_disk.entries);
	free(kept_disk.tokens);
	kept_audit_fini();
	memset(&kept_disk, 0, sizeof(kept_disk));
	kept_faulty.full_until_ns = 0;
}

bool kept_has_failed(void)
{
	return kept_faulty.has_failed;
}

void kept_set_faults(struct kept_faults f)
{
	kept_faulty.faults = f;
	kept_faulty.full_until_ns = 0;
}

uint64_t kept_epoch(void)
{
	return kept_disk.epoch;
}

uint64_t kept_commits(void)
{
	return kept_disk.commits;
}

bool kept_is_full(void)
{
	return kept_faulty.full_until_ns > sim_now_ns();
}

struct kept_entry *kept_entry_at(uint64_t id)
{
	if (id >= kept_disk.entry_cap) {
		size_t cap = (id + 64) * 2;

		kept_disk.entries = reallocarray(kept_disk.entries, cap, sizeof(*kept_disk.entries));
		sim_check(kept_disk.entries, "out of memory");
		memset(kept_disk.entries + kept_disk.entry_cap, 0,
		       (cap - kept_disk.entry_cap) * sizeof(*kept_disk.entries));
		kept_disk.entry_cap = cap;
	}
	return &kept_disk.entries[id];
}

bool kept_is_live(uint64_t id)
{
	const struct kept_entry *e = kept_entry_at(id);

	return e->name[0] && !e->is_deleted && id >= kept_disk.floor_id;
}

uint64_t kept_counter_id(const char *name)
{
	uint64_t found = 0;

	for (uint64_t id = kept_disk.floor_id ? kept_disk.floor_id : 1; id < kept_disk.entry_cap; id++) {
		if (!kept_is_live(id) || strcmp(kept_disk.entries[id].name, name) != 0)
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

	return id ? &kept_entry_at(id)->side : &none;
}

bool kept_counter(const char *name, int64_t *value)
{
	uint64_t id = kept_counter_id(name);
	int64_t at_ms = id ? kept_entry_at(id)->side.expire_at_ms : 0;

	if (at_ms && at_ms <= sim_wall_ns() / 1000000)
		id = 0;
	*value = id ? (int64_t)kept_entry_at(id)->value : 0;
	return id != 0;
}

size_t kept_counter_count(void)
{
	size_t count = 0;

	for (uint64_t id = 1; id < kept_disk.entry_cap; id++)
		count += kept_is_live(id);
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
	for (size_t i = 0; i < kept_disk.session_count; i++)
		if (slice_equal(id, slice_str(kept_disk.sessions[i].id)))
			return &kept_disk.sessions[i];
	return NULL;
}

/* Made when it is missing. */
struct kept_session *kept_session_at(struct slice id)
{
	struct kept_session *s = session_find(id);

	if (s)
		return s;
	sim_check(kept_disk.session_count < KEPT_SESSIONS_MAX, "too many sessions");
	copy_text(kept_disk.sessions[kept_disk.session_count].id, sizeof(kept_disk.sessions[0].id), id);
	return &kept_disk.sessions[kept_disk.session_count++];
}

const struct kept_session *kept_session(const char *id)
{
	static const struct kept_session none;
	const struct kept_session *s = session_find(slice_str(id));

	return s ? s : &none;
}

const struct kept_token *kept_token(const char *token)
{
	for (size_t i = 0; i < kept_disk.token_count; i++)
		if (strcmp(kept_disk.tokens[i].token, token) == 0)
			return &kept_disk.tokens[i];
	return NULL;
}

size_t kept_tokens(const struct kept_token **out)
{
	*out = kept_disk.tokens;
	return kept_disk.token_count;
}

/* Of an epoch in which two workers had it, the larger counts. */
static void fold_session(const struct journal_record *rec, uint64_t epoch)
{
	struct kept_session *s = kept_session_at(rec->name);

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

	if (kept_disk.token_count == kept_disk.token_cap) {
		kept_disk.token_cap = kept_disk.token_cap * 2 + 64;
		kept_disk.tokens =
			reallocarray(kept_disk.tokens, kept_disk.token_cap, sizeof(*kept_disk.tokens));
		sim_check(kept_disk.tokens, "out of memory");
	}
	t = &kept_disk.tokens[kept_disk.token_count++];
	copy_text(t->name, sizeof(t->name), rec->name);
	copy_text(t->token, sizeof(t->token), rec->detail);
	t->delta = (int64_t)rec->delta;
	sim_check(kept_token(t->token) == t, "token %s is used twice", t->token);
}

/* The largest version counts; the same one comes with the same content. */
static void fold_state(struct kept_entry *e, const struct journal_state *s)
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

static void fold_hit(struct kept_entry *e, const struct journal_hit *hit)
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
	struct kept_entry *e =
		rec->type != JOURNAL_SESSION && rec->type != JOURNAL_TOKEN && rec->type != JOURNAL_FLOOR
			? kept_entry_at(rec->id)
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
		if (rec->id > kept_disk.floor_id)
			kept_disk.floor_id = rec->id;
		break;
	}
}

static void fold_part(const struct kept_part *part)
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
	for (uint64_t id = 1; id < kept_disk.entry_cap; id++) {
		const struct kept_entry *e = &kept_disk.entries[id];
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
void kept_land(void)
{
	int fiber = sim_step_out();

	for (size_t i = kept_disk.pending_from; i < kept_disk.part_count; i++) {
		fold_part(&kept_disk.parts[i]);
	}
	kept_disk.epoch = kept_disk.pending;
	kept_disk.commits++;
	kept_disk.pending_from = kept_disk.part_count;
	kept_audit_land();
	check_audit();
	if (kept_disk.epoch >= kept_disk.epoch_limit)
		kept_disk.epoch_limit = kept_disk.epoch + EPOCHS_RESERVED;
	on_landed();
	sim_step_in(fiber);
}

void kept_crash(void)
{
	kept_faulty.has_failed = false;
	if (kept_disk.pending > kept_disk.epoch && sim_one_in(2))
		kept_land();
	kept_disk.pending = kept_disk.epoch;
	kept_audit_drop();
	while (kept_disk.part_count > kept_disk.pending_from)
		free(kept_disk.parts[--kept_disk.part_count].data);
}

void kept_stage(uint64_t epoch, const struct buf *body)
{
	struct kept_part *part;

	if (kept_disk.part_count == kept_disk.part_cap) {
		kept_disk.part_cap = kept_disk.part_cap * 2 + 64;
		kept_disk.parts = reallocarray(kept_disk.parts, kept_disk.part_cap, sizeof(*kept_disk.parts));
		sim_check(kept_disk.parts, "out of memory");
	}
	part = &kept_disk.parts[kept_disk.part_count++];
	*part = (struct kept_part){.epoch = epoch, .data = malloc(buf_len(body)), .len = buf_len(body)};
	sim_check(part->data, "out of memory");
	memcpy(part->data, buf_head(body), part->len);
}
