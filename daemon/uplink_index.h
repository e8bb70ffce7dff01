/* SPDX-License-Identifier: MIT */
/*
 * uplink_index.h - what the uplink knows of a name, and how it is found: by name, or by the id of its object.
 * Not locked: the table's mutex does that.
 */
#ifndef SHC_UPLINK_INDEX_H
#define SHC_UPLINK_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "../lib/hash.h"
#include "../lib/slice.h"
#include "uplink_rule.h"

enum uplink_belief {
	UPLINK_UNKNOWN, /* nobody has looked yet */
	UPLINK_ABSENT,	/* there is no field */
	UPLINK_PRESENT, /* `there` */
};

enum uplink_place {
	UPLINK_AT_REST,
	UPLINK_IN_QUEUE,
	UPLINK_UNDER_WAY,
	UPLINK_ASIDE, /* the cluster refuses it: in a queue of its own, until it is tried again */
};

struct uplink_entry {
	/* What the committer needs comes first: it is in one line of the cache, mostly. */
	uint64_t id;	   /* the object that has the name; 0: none */
	int64_t committed; /* its value as is on disk; 0: none */
	TAILQ_ENTRY(uplink_entry) link;
	uint8_t belief, place;
	bool is_changed : 1;	 /* while it was under way */
	bool is_looked_at : 1;	 /* sent also when it is what is believed: a sweep */
	bool is_in_doubt : 1;	 /* a push of it may have been done since `there` */
	bool is_lost : 1;	 /* ... or may be done yet: its request is somewhere */
	bool is_refused : 1;	 /* by the cluster, the last time */
	bool is_new : 1;	 /* made by this start, so nothing is expected to be there */
	bool is_reserved : 1;	 /* an epoch that is being written gives it an object */
	bool is_found : 1;	 /* nobody here has ever had the name: only the cluster has told of it */
	bool is_only_marked : 1; /* `there` has this start's mark, and what another one has brought */
	uint8_t name_len;
	uint8_t why;		   /* it is refused */
	int64_t baseline;	   /* of the value, what is in fields of other incarnations */
	int64_t at_start;	   /* the value that this start has found */
	struct uplink_field there; /* what the cluster is believed to have; all 0 if not UPLINK_PRESENT */
	char name[];
};
TAILQ_HEAD(uplink_queue, uplink_entry);

/* Entries by a key, open addressing; they are the table's. */
struct uplink_index {
	struct uplink_entry **slots; /* owned */
	size_t mask, count;
	unsigned shift;		    /* of a hash, to its place */
	const struct hash_key *key; /* of names; null: by id */
};

/* 0 or -ENOMEM. `key` (null: by id) is borrowed. */
int uplink_index_init(struct uplink_index *x, const struct hash_key *key);
void uplink_index_fini(struct uplink_index *x);

static inline struct slice uplink_name_of(const struct uplink_entry *e)
{
	return (struct slice){e->name, e->name_len};
}

/* Where an id is looked for first: to prefetch. */
struct uplink_entry **uplink_index_place(const struct uplink_index *x, uint64_t id);

/* Null: none. */
struct uplink_entry *uplink_index_id(const struct uplink_index *x, uint64_t id);
struct uplink_entry *uplink_index_name(const struct uplink_index *x, struct slice name);

/* For `more`: 0, -ENOMEM, or UPLINK_INDEX_MOVED: all have other places now. */
enum { UPLINK_INDEX_MOVED = 1 };
int uplink_index_reserve(struct uplink_index *x, size_t more);
/* There is room. */
void uplink_index_put(struct uplink_index *x, struct uplink_entry *e);
/* Others may stand elsewhere then, also in its place. */
void uplink_index_take(struct uplink_index *x, const struct uplink_entry *e);

/* The place where it is looked for first. By the top bits of a hash, so an index that grows keeps the order
 * of its entries, but for neighbours. */
static inline size_t uplink_index_home(const struct uplink_index *x, uint64_t hash)
{
	return (size_t)(hash >> x->shift);
}
size_t uplink_index_home_of(const struct uplink_index *x, const struct uplink_entry *e);

#endif
