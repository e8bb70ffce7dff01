/* SPDX-License-Identifier: MIT */
/*
 * session.h - named sessions: how far a client's numbered batches have been applied, so that sending one
 * again changes nothing.
 *
 * A session holds the last sequence applied and the cursor that came with it, and belongs to the connection
 * that bound it last; what another one still has in its pipeline finds itself not the owner, under the lock.
 * The lock is held over an APPLY, so that sequence and deltas are recorded in one epoch; it comes before any
 * counter's. It and the table's are never held together.
 *
 * Like a counter it carries the epoch of its newest change: a worker that finds it newer than its own lets
 * go, seals, begins again.
 *
 * Any worker, but for what is said to be the owner's.
 */
#ifndef SHC_SESSION_H
#define SHC_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/hash.h"
#include "../lib/slice.h"
#include "journal.h"

enum { SESSION_CURSOR_MAX = JOURNAL_CURSOR_MAX };

/* A sequence and the epoch that brought it. */
struct session_point {
	uint64_t seq, epoch;
};

struct session {
	struct session *next;  /* in its bucket; under the table's lock */
	uint32_t refs;	       /* connections that point here; under the table's lock */
	_Atomic uint32_t lock; /* spin.h */
	/* under `lock` */
	uint64_t owner;		    /* id of the connection it is bound to; 0: none */
	struct session_point last;  /* newest */
	struct session_point older; /* the last one of the epoch before last.epoch that had one */
	uint64_t stored_seq;	    /* before that: durable for long */
	char *cursor;		    /* owned */
	size_t cursor_len;
	int64_t used_ms;     /* wall clock, last use */
	int64_t recorded_ms; /* wall clock, the last record */
	/* where the record of last.epoch stands, and in whose buffer */
	uint32_t record_worker;
	size_t record_at;
	/* constant */
	uint8_t id_len;
	char id[];
};

struct session_table {
	_Atomic uint32_t lock;
	struct hash_key key;
	struct session **buckets; /* owned */
	size_t mask;		  /* buckets less 1 */
	_Atomic uint64_t count;
	_Atomic int64_t *count_max; /* borrowed; the setting */
	_Atomic size_t *used_bytes; /* borrowed; counts towards max-memory */
};

int session_table_init(struct session_table *t, _Atomic int64_t *count_max, _Atomic size_t *used_bytes);
void session_table_fini(struct session_table *t);

/* Recovery, one thread: a session as it is on disk. 0 or -ENOMEM. */
int session_load(struct session_table *t, struct slice id, uint64_t seq, struct slice cursor,
		 int64_t used_ms);

/* The session of that id, made when there is none; *out counts one more reference. 0, -ENOMEM, or -EDQUOT: as
 * many as there may be. */
int session_get(struct session_table *t, struct slice id, struct session **out);

/* Gives the reference back. The binding ends when it is still `owner`'s. One that has applied nothing and is
 * nobody's is forgotten at once. Returns null. */
struct session *session_put(struct session_table *t, struct session *s, uint64_t owner);

/* Forgets those that nobody points to, that were used last before that moment, and whose last change is
 * durable. */
void session_expire(struct session_table *t, int64_t before_ms, uint64_t durable);

/* ---- lock held ---- */

void session_lock(struct session *s);
void session_unlock(struct session *s);

/* A change to `seq` in `epoch`, the caller's own; takes the cursor (heap, or null with 0 bytes). */
void session_advance(struct session_table *t, struct session *s, uint64_t seq, char *cursor,
		     size_t cursor_len, uint64_t epoch, int64_t now_ms);

/* It was recorded as it is, in `epoch`, the caller's own. */
void session_note_record(struct session *s, uint64_t epoch, int64_t now_ms);

/* The newest sequence that is on disk. */
uint64_t session_stored_seq(const struct session *s, uint64_t durable);

/* The epoch in which `seq` (at most the last one) was applied, or a later one; 0: durable for long. */
uint64_t session_epoch_of(const struct session *s, uint64_t seq);

static inline struct slice session_id(const struct session *s)
{
	return (struct slice){.data = s->id, .len = s->id_len};
}

#endif
