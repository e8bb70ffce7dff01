/* SPDX-License-Identifier: MIT */
/*
 * uplink_table.h - by name: what is committed on this disk, what the cluster is believed to have, and which
 * names are due.
 *
 * Fed by main (recovery), then by the committer when an epoch is on disk; emptied by the uplink's thread. One
 * mutex, held for some names at a time. An entry stays where it is as long as a push of it is under way, and
 * its name as long as it is there.
 *
 * Every name is in at most one place: under way, in a queue, or at rest. So memory is bounded by the number
 * of names, however long nothing can be pushed: 140 bytes and the name.
 */
#ifndef SHC_UPLINK_TABLE_H
#define SHC_UPLINK_TABLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/slice.h"
#include "epoch_buffer.h"
#include "store.h"
#include "uplink_index.h"
#include "uplink_rule.h"

struct uplink_table {
	pthread_mutex_t mutex;
	/* under it */
	struct hash_key key;
	struct uplink_index by_name, by_id;
	struct uplink_queue due;   /* changed since the last round began */
	struct uplink_queue round; /* of the round that goes on */
	struct uplink_queue left;  /* of that, what was sent without an answer: for the next time */
	struct uplink_queue aside; /* what the cluster refuses, until it is tried again: the longest first */
	size_t due_count, round_count, left_count, under_way_count, aside_count;
	size_t refused_count; /* the last time; of those that are not aside one is being tried again */
	bool has_recovered;   /* one that was refused is not any more */
	bool is_looking;  /* only what is in doubt is sent, and only looked at; the uplink's thread writes it
			   */
	bool is_given_up; /* nobody adds to the fields of this incarnation any more; likewise */
	uint64_t epoch;	  /* newest one with content that is in here: what marks say */
	uint64_t fed;	  /* newest one that is in here */
	uint64_t round_epoch;	/* all that had changed up to it is of this round, or older */
	uint64_t synced_epoch;	/* ... is in the cluster, but for what it refuses */
	int64_t due_since_ms;	/* monotonic: the oldest change in `due`; 0: none */
	int64_t round_since_ms; /* the same of the round; 0: there is nothing in it */
	size_t sweep_at;	/* place in by_name */
	size_t gone_count;	/* names without an object, after the last tidying */
	uint64_t floor_id;	/* ids below are deleted */
};

int uplink_table_init(struct uplink_table *t); /* 0 or -ENOMEM */
void uplink_table_fini(struct uplink_table *t);

/* ---- recovery ---- */

/* 0 or -ENOMEM. May be called by several threads. */
int uplink_table_load(struct uplink_table *t, uint64_t id, struct slice name, int64_t value);
void uplink_table_load_baseline(struct uplink_table *t, uint64_t id, int64_t value);
/* Everything was loaded; `epoch` is the newest on disk. Nothing is due: a sweep looks at all names. */
void uplink_table_loaded(struct uplink_table *t, uint64_t epoch);

/* ---- the committer ---- */

/* Room for all that these buffers hold, so that the next call cannot fail. 0 or -ENOMEM: try again; may be
 * repeated. */
int uplink_table_reserve(struct uplink_table *t, struct epoch_buffer *const *buffers, size_t count);

/* They are on disk as `epoch`, if they have content. True: something is due, and nothing was before. */
bool uplink_table_end_epoch(struct uplink_table *t, struct epoch_buffer *const *buffers, size_t count,
			    uint64_t epoch, bool has_content, int64_t now_ms);

/* ---- the uplink's thread ---- */

/* What is due, and what is left, becomes part of the round. How many there are in it. */
size_t uplink_table_begin_round(struct uplink_table *t);

/* What to send. */
struct uplink_push {
	struct uplink_entry *entry;
	bool is_look;			     /* only to be compared with `before` */
	bool is_fence;			     /* changes nothing but the mark */
	char before[UPLINK_FIELD_CHARS_MAX]; /* what is believed to be there */
	uint8_t before_len;
	struct uplink_field after; /* to be written, not when it is a look; the mark is the present one */
	int64_t delta;
};

/* The next of the round that needs something; false: none. It is under way then. `start`: the present one. */
bool uplink_table_take(struct uplink_table *t, uint64_t start, struct uplink_push *out);

/* What came of it. */
enum uplink_outcome {
	UPLINK_PUSHED,	/* it was as believed, and is as it should be now */
	UPLINK_OTHER,	/* another field is there: `there`, one of ours, or none */
	UPLINK_LOST,	/* no answer; it may have been done when is_in_doubt */
	UPLINK_UNSENT,	/* surely not executed */
	UPLINK_BROKEN,	/* a field that is not this disk's any more is there, so it was not executed either */
	UPLINK_REFUSED, /* an error reply, or something that is for an operator to mend */
	UPLINK_KEPT,	/* it is for this daemon alone, so it is not sent; nothing of it is there */
};
enum { UPLINK_WHY_RANGE = 0 /* a contribution does not fit 64 bits; other reasons are the caller's */ };
struct uplink_answer {
	enum uplink_outcome outcome;
	bool has_field; /* UPLINK_OTHER */
	bool is_final;	/* it is a tombstone, and stays as it is */
	struct uplink_field field;
	uint8_t why; /* UPLINK_REFUSED */
};
/* True: the cluster had something else than was believed, which is to be repaired. */
bool uplink_table_answer(struct uplink_table *t, const struct uplink_push *push,
			 const struct uplink_answer *answer);

/* The round is through when nothing of it is left; then synced_epoch moves. */
bool uplink_table_end_round(struct uplink_table *t);

/* Puts so many of the names that are refused into the round, whether they have changed or not. */
void uplink_table_retry(struct uplink_table *t, size_t max);
/* Whether one of them was not refused any more, since this was asked last. */
bool uplink_table_has_recovered(struct uplink_table *t);

/* Puts some names into the round, to be looked at; forgets those that are nobody's any more. False: the sweep
 * is through, the next call begins anew. */
bool uplink_table_sweep(struct uplink_table *t, size_t max);

/* The next call of that begins with the first name. */
void uplink_table_sweep_again(struct uplink_table *t);

/* The cluster has a ledger of this name. One that this daemon does not know becomes an entry, to be looked
 * at; it is forgotten when nothing of this daemon is there, for the cluster may have many times the names
 * that this daemon has. 0 or -ENOMEM. */
int uplink_table_found(struct uplink_table *t, struct slice name);

/* ---- a new incarnation ---- the uplink's thread, with nothing under way */

/* From now on rounds only find out what is in doubt, which is all that `start`, the present one, has pushed,
 * or with `is_given_up` all names; all else waits. Again: what has been found out is in doubt once more. */
void uplink_table_doubt(struct uplink_table *t, uint64_t start, bool is_given_up);

/* What is in doubt will be of the next round. How many there are. */
size_t uplink_table_look(struct uplink_table *t);

/* Baselines of the next incarnation: what the fields of this one stand for. An array, by id, that the caller
 * frees; null when there is none, or no memory, then *count is SIZE_MAX. `start`: the present one. */
struct store_baseline *uplink_table_baselines(struct uplink_table *t, uint64_t start, size_t *count);

/* They are in force: the new incarnation has nothing in the cluster. Everything is due. */
void uplink_table_switch(struct uplink_table *t, uint64_t start);

/* ---- looking in from outside ---- */

/* What a name has, copied. */
struct uplink_state {
	int64_t committed, baseline;
	bool is_there; /* an object has the name */
	bool is_due;   /* changed, and not answered yet */
	bool is_refused;
	uint8_t why; /* it is */
	enum uplink_belief belief;
	struct uplink_field there;
	uint8_t name_len;
	char name[NAME_LEN_MAX];
};

/* About `max` of them, in an order that stays when others come and go. *cursor is 0 at first, and after the
 * last ones. */
size_t uplink_table_page(struct uplink_table *t, uint64_t *cursor, struct uplink_state *out, size_t max);

/* While nothing can be pushed: forgets names that have come and gone meanwhile, when they are many. So memory
 * is bounded by the names that there are, and those that the cluster knows. */
void uplink_table_tidy(struct uplink_table *t);

/* The name is looked at in the next round. */
void uplink_table_look_again(struct uplink_table *t, struct slice name);

/* The same for a name that somebody waits for, known or not: positive. 0: it is under way, ask again. Or
 * -ENOMEM. */
int uplink_table_await(struct uplink_table *t, struct slice name);
/* What came of that: what was committed before is in the cluster, or it is refused. */
enum uplink_presence { UPLINK_NOT_YET, UPLINK_IS_THERE, UPLINK_IS_REFUSED };
enum uplink_presence uplink_table_presence(struct uplink_table *t, struct slice name, uint8_t *why);

/* False: the name is not known. */
bool uplink_table_state(struct uplink_table *t, struct slice name, struct uplink_state *out);

/* The newest epoch with content that is in here, and the newest one. */
uint64_t uplink_table_epoch(struct uplink_table *t, uint64_t *fed);

struct uplink_counts {
	size_t names;
	size_t due, aside; /* aside: of those that are refused, what waits to be tried again */
	size_t refused;
	uint64_t synced_epoch;
};
struct uplink_counts uplink_table_counts(struct uplink_table *t);

/* Milliseconds since the oldest change that is not in the cluster was committed; 0: all is there. */
int64_t uplink_table_lag_ms(struct uplink_table *t, int64_t now_ms);

/* ---- between the files of the table ---- under the mutex */

/* The entry of the name, made when there is none. 0 or -ENOMEM. */
int uplink_table_get(struct uplink_table *t, struct slice name, struct uplink_entry **out);
/* It stands in no queue. */
void uplink_table_to_due(struct uplink_table *t, struct uplink_entry *e);
void uplink_table_to_round(struct uplink_table *t, struct uplink_entry *e);
void uplink_table_to_left(struct uplink_table *t, struct uplink_entry *e);
/* The cluster refuses it. */
void uplink_table_put_aside(struct uplink_table *t, struct uplink_entry *e, uint8_t why);
/* It is aside, and is to be looked at whatever is believed; it stands in no queue then. */
void uplink_table_fetch(struct uplink_table *t, struct uplink_entry *e);
/* What is committed of it has changed. */
void uplink_table_changed(struct uplink_table *t, struct uplink_entry *e, int64_t now_ms);
void uplink_table_note_refused(struct uplink_table *t, struct uplink_entry *e, bool is_refused);

#endif
