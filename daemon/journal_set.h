/* SPDX-License-Identifier: MIT */
/*
 * journal_set.h - many journal bodies seen as one: what recovery, folding and merging run through.
 *
 * Bodies are kept packed. Their sections of deltas, states and hits are sorted already, so a heap over them
 * (journal_stream.h) gives all of a kind by ascending id, decoded only as they are asked for: memory is the
 * bodies, and the work is spread over the small transactions of a fold. All other records are decoded at once
 * and sorted. Pure; not shared between threads.
 */
#ifndef SHC_JOURNAL_SET_H
#define SHC_JOURNAL_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "journal.h"
#include "journal_stream.h"

struct journal_set_name {
	uint64_t id;
	struct slice name; /* points into a body of the set */
	int64_t time_ms;   /* of the body */
};

/* The newest record of a session, or of a token. Slices point into bodies of the set. */
struct journal_set_mark {
	struct slice name;   /* the session's id; the counter's name */
	struct slice detail; /* the cursor; the token */
	uint64_t number;     /* the sequence; the delta */
	uint64_t epoch;
	int64_t time_ms; /* of the body */
};

struct journal_marks {
	struct journal_set_mark *items; /* by key, each once; from journal_set_sort on */
	size_t count, cap;
};

struct journal_set {
	struct journal_set_name *names; /* by id, each once; from journal_set_sort on */
	size_t name_count;
	uint64_t *deletes; /* by id, each once */
	size_t delete_count;
	struct journal_marks sessions, tokens;
	uint64_t floor_id;   /* largest floor seen, or 0 */
	uint64_t id_max;     /* largest id of names and deletes, or 0 */
	int64_t time_max_ms; /* newest body */
	/* private */
	struct journal_stream deltas, states, hits;
	struct journal_hit *taken; /* what journal_set_take_hits has told */
	size_t taken_cap;
	char **bodies;
	size_t body_count;
	size_t name_cap, delete_cap, body_cap;
	bool is_shared; /* only `deltas` is its own */
};

/* Sum of the deltas of one id. */
struct journal_sum {
	uint64_t delta;	 /* modulo 2^64 */
	size_t count;	 /* deltas in it; 0: none */
	int64_t time_ms; /* newest body it came from; when count > 0 */
};

void journal_set_init(struct journal_set *set);
void journal_set_fini(struct journal_set *set);

/* Copies the body of `epoch`. 0; -EUCLEAN damaged; -ENOMEM. After an error: only fini. */
int journal_set_add(struct journal_set *set, uint64_t epoch, const void *body, size_t len);

/* After the last add. 0; -EUCLEAN when two names have one id; -ENOMEM. */
int journal_set_sort(struct journal_set *set);

/* After sorting, before a delta is taken: a second run through the same set, but for states and hits, by
 * another thread perhaps. `of` must stay, unchanged, until `set` has had its fini. 0; -ENOMEM. */
int journal_set_share(struct journal_set *set, const struct journal_set *of);

/* How many of the names have an id below `id`. */
size_t journal_set_names_below(const struct journal_set *set, uint64_t id);

/* The smallest id that has deltas left; false when none is. */
bool journal_set_peek(const struct journal_set *set, uint64_t *id);

/* Uses up the deltas of all ids up to `id`, and sums those of `id` itself of epochs above `epoch_above`. Ids
 * of successive calls ascend. 0 or -EUCLEAN. */
int journal_set_take(struct journal_set *set, uint64_t id, uint64_t epoch_above, struct journal_sum *out);

/* The same for states: the one of `id` with the largest version; its id is 0 when there is none. */
bool journal_set_peek_state(const struct journal_set *set, uint64_t *id);
int journal_set_take_state(struct journal_set *set, uint64_t id, struct journal_state *out);

/* And for hits: those of `id` of epochs above `epoch_above`, by ascending second, each second once. Until the
 * next call. Also -ENOMEM. */
struct journal_hits {
	const struct journal_hit *items;
	size_t count;
};
bool journal_set_peek_hits(const struct journal_set *set, uint64_t *id);
int journal_set_take_hits(struct journal_set *set, uint64_t id, uint64_t epoch_above,
			  struct journal_hits *out);

/* Is the session, or the token of the name, in the set? */
bool journal_set_has_session(const struct journal_set *set, struct slice id);
bool journal_set_has_token(const struct journal_set *set, struct slice name, struct slice token);

/* Deleted by the set, alone or by its floor. */
bool journal_set_is_dead(const struct journal_set *set, uint64_t id);

#endif
