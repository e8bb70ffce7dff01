/* SPDX-License-Identifier: MIT */
/* session.c - see session.h. Owns the sessions. */
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "spin.h"

enum { BUCKETS_MIN = 64 };

/* ---- the table ---- */

int session_table_init(struct session_table *t, _Atomic int64_t *count_max, _Atomic size_t *used_bytes)
{
	*t = (struct session_table){
		.mask = BUCKETS_MIN - 1,
		.count_max = count_max,
		.used_bytes = used_bytes,
	};
	hash_key_init(&t->key);
	t->buckets = calloc(BUCKETS_MIN, sizeof(struct session *));
	return t->buckets ? 0 : -ENOMEM;
}

static size_t bytes_of(const struct session *s)
{
	return sizeof(*s) + s->id_len;
}

static void session_free(struct session_table *t, struct session *s)
{
	atomic_fetch_sub_explicit(t->used_bytes, bytes_of(s) + s->cursor_len, memory_order_relaxed);
	free(s->cursor);
	free(s);
}

void session_table_fini(struct session_table *t)
{
	for (size_t i = 0; t->buckets && i <= t->mask; i++) {
		for (struct session *s = t->buckets[i], *next; s; s = next) {
			next = s->next;
			session_free(t, s);
		}
	}
	free(t->buckets);
	t->buckets = NULL;
}

static struct session **bucket_of(const struct session_table *t, struct session **buckets, size_t mask,
				  struct slice id)
{
	return &buckets[hash_bytes(&t->key, id.data, id.len) & mask];
}

/* Without memory for it the chains grow longer. */
static void grow(struct session_table *t)
{
	size_t mask = t->mask * 2 + 1;
	struct session **buckets = calloc(mask + 1, sizeof(struct session *));

	if (!buckets)
		return;
	for (size_t i = 0; i <= t->mask; i++) {
		for (struct session *s = t->buckets[i], *next; s; s = next) {
			struct session **bucket = bucket_of(t, buckets, mask, session_id(s));

			next = s->next;
			s->next = *bucket;
			*bucket = s;
		}
	}
	free(t->buckets);
	t->buckets = buckets;
	t->mask = mask;
}

static struct session *find(const struct session_table *t, struct slice id)
{
	struct session *s = *bucket_of(t, t->buckets, t->mask, id);

	while (s && !slice_equal(session_id(s), id))
		s = s->next;
	return s;
}

static struct session *add(struct session_table *t, struct slice id)
{
	struct session *s = calloc(1, sizeof(*s) + id.len);
	struct session **bucket;

	if (!s)
		return NULL;
	s->id_len = (uint8_t)id.len;
	memcpy(s->id, id.data, id.len);
	s->record_at = SIZE_MAX;
	if (atomic_load_explicit(&t->count, memory_order_relaxed) > t->mask)
		grow(t);
	bucket = bucket_of(t, t->buckets, t->mask, id);
	s->next = *bucket;
	*bucket = s;
	atomic_fetch_add_explicit(&t->count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(t->used_bytes, bytes_of(s), memory_order_relaxed);
	return s;
}

static void take_out(struct session_table *t, struct session **at)
{
	struct session *s = *at;

	*at = s->next;
	session_free(t, s);
	atomic_fetch_sub_explicit(&t->count, 1, memory_order_relaxed);
}

int session_load(struct session_table *t, struct slice id, uint64_t seq, struct slice cursor, int64_t used_ms)
{
	struct session *s = add(t, id);

	if (!s)
		return -ENOMEM;
	s->last.seq = s->older.seq = s->stored_seq = seq;
	s->used_ms = s->recorded_ms = used_ms;
	if (cursor.len == 0)
		return 0;
	s->cursor = malloc(cursor.len);
	if (!s->cursor)
		return -ENOMEM;
	memcpy(s->cursor, cursor.data, cursor.len);
	s->cursor_len = cursor.len;
	atomic_fetch_add_explicit(t->used_bytes, cursor.len, memory_order_relaxed);
	return 0;
}

static bool is_full(const struct session_table *t)
{
	return (int64_t)atomic_load_explicit(&t->count, memory_order_relaxed) >=
	       atomic_load_explicit(t->count_max, memory_order_relaxed);
}

int session_get(struct session_table *t, struct slice id, struct session **out)
{
	struct session *s;
	int rc = 0;

	spin_lock(&t->lock);
	s = find(t, id);
	if (!s && is_full(t))
		rc = -EDQUOT;
	else if (!s)
		s = add(t, id);
	if (s) {
		s->refs++;
		*out = s;
	} else if (rc == 0) {
		rc = -ENOMEM;
	}
	spin_unlock(&t->lock);
	return rc;
}

static bool is_empty(const struct session *s)
{
	return s->last.seq == 0 && s->cursor_len == 0 && s->last.epoch == 0;
}

struct session *session_put(struct session_table *t, struct session *s, uint64_t owner)
{
	session_lock(s);
	if (s->owner == owner)
		s->owner = 0;
	session_unlock(s);
	spin_lock(&t->lock);
	/* Without references nobody else changes it. */
	if (--s->refs == 0 && is_empty(s)) {
		struct session **at = bucket_of(t, t->buckets, t->mask, session_id(s));

		while (*at != s)
			at = &(*at)->next;
		take_out(t, at);
	}
	spin_unlock(&t->lock);
	return NULL;
}

void session_expire(struct session_table *t, int64_t before_ms, uint64_t durable)
{
	spin_lock(&t->lock);
	for (size_t i = 0; i <= t->mask; i++) {
		for (struct session **at = &t->buckets[i]; *at;) {
			const struct session *s = *at;

			/* A record that is not durable yet may meet one of the same epoch, of a session that
			 * begins anew: then nothing would tell which is the newer. */
			if (s->refs == 0 && s->used_ms < before_ms && s->last.epoch <= durable)
				take_out(t, at);
			else
				at = &(*at)->next;
		}
	}
	spin_unlock(&t->lock);
}

/* ---- one session ---- */

void session_lock(struct session *s)
{
	spin_lock(&s->lock);
}

void session_unlock(struct session *s)
{
	spin_unlock(&s->lock);
}

/* The newest point moves to `epoch`. */
static void move_on(struct session *s, uint64_t seq, uint64_t epoch)
{
	if (s->last.epoch != epoch) {
		/* While `epoch` is open, the last but one that has something of ours is durable: at most two
		 * epochs are not. */
		s->stored_seq = s->older.seq;
		s->older = s->last;
	}
	s->last = (struct session_point){.seq = seq, .epoch = epoch};
}

void session_note_record(struct session *s, uint64_t epoch, int64_t now_ms)
{
	move_on(s, s->last.seq, epoch);
	s->recorded_ms = now_ms;
}

void session_advance(struct session_table *t, struct session *s, uint64_t seq, char *cursor,
		     size_t cursor_len, uint64_t epoch, int64_t now_ms)
{
	move_on(s, seq, epoch);
	free(s->cursor);
	atomic_fetch_add_explicit(t->used_bytes, cursor_len - s->cursor_len, memory_order_relaxed);
	s->cursor = cursor;
	s->cursor_len = cursor_len;
	s->used_ms = s->recorded_ms = now_ms;
}

uint64_t session_stored_seq(const struct session *s, uint64_t durable)
{
	if (s->last.epoch <= durable)
		return s->last.seq;
	return s->older.epoch <= durable ? s->older.seq : s->stored_seq;
}

uint64_t session_epoch_of(const struct session *s, uint64_t seq)
{
	if (seq > s->older.seq)
		return s->last.epoch;
	return seq > s->stored_seq ? s->older.epoch : 0;
}
