/* SPDX-License-Identifier: MIT */
/*
 * uplink_rule.h - what a field of a ledger means to the daemon that reads it, and what is pushed next.
 * docs/design.md 7b. Pure; any thread.
 */
#ifndef SHC_UPLINK_RULE_H
#define SHC_UPLINK_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/slice.h"

enum {
	UPLINK_ID_CHARS = 16,					       /* of a start, of an incarnation */
	UPLINK_MARK_CHARS_MAX = UPLINK_ID_CHARS + 1 + 20,	       /* START EPOCH: a record */
	UPLINK_RECORD_CHARS_MAX = 8 + UPLINK_MARK_CHARS_MAX,	       /* also "retired MARK" */
	UPLINK_FIELD_CHARS_MAX = UPLINK_MARK_CHARS_MAX + 3 * (1 + 20), /* START EPOCH VALUE OBJECT OFFSET */
	UPLINK_TEXT_CHARS_MAX =
		8 + UPLINK_FIELD_CHARS_MAX, /* what may be in a ledger: also "retired FIELD" */
	UPLINK_ID_SIZE = UPLINK_ID_CHARS + 1,
};

/* A point in the life of a daemon's state: this start of it, this epoch. */
struct uplink_mark {
	uint64_t start, epoch;
};

/* What an incarnation has brought to the cluster of one counter, as of `mark`. In the total is value -
 * offset: a reset makes them alike, and what is brought later counts from there, until the object ends. */
struct uplink_field {
	struct uplink_mark mark;
	int64_t value;	 /* all there is of the object's */
	uint64_t object; /* the id of the counter; 0: it was deleted */
	int64_t offset;
};

static inline uint64_t uplink_field_sum(const struct uplink_field *f)
{
	return (uint64_t)f->value - (uint64_t)f->offset;
}

/* Writes 16 hexadecimal digits and a NUL. */
void uplink_put_id(char out[UPLINK_ID_SIZE], uint64_t id);
bool uplink_parse_id(struct slice text, uint64_t *id);

/* Bytes written; no NUL. */
size_t uplink_put_mark(char out[UPLINK_MARK_CHARS_MAX], const struct uplink_mark *mark);
size_t uplink_put_field(char out[UPLINK_FIELD_CHARS_MAX], const struct uplink_field *field);
/* Only what these write. */
bool uplink_parse_field(struct slice text, struct uplink_field *field);

/* ---- lineage ---- */

/* A start that this disk remembers, and the newest epoch that it has of it. */
struct uplink_known {
	uint64_t start, epoch_max;
};

/* All starts of this disk. */
struct uplink_lineage {
	struct uplink_known *known; /* owned; sorted by start */
	size_t count;
	struct uplink_mark now; /* this start, and the newest epoch that is on disk; moves */
};

/* A copy of `marks`: the starts, oldest first, each with the newest epoch that was on disk when it began. The
 * last one is the present. 0 or -ENOMEM. */
int uplink_lineage_init(struct uplink_lineage *l, const struct uplink_mark *marks, size_t count);
void uplink_lineage_fini(struct uplink_lineage *l);

/* ---- judgement ---- */

enum uplink_verdict {
	UPLINK_NOTHING,	  /* there is none */
	UPLINK_OURS,	  /* a state of this disk, perhaps an older one */
	UPLINK_STRANGE,	  /* of a start, or an epoch, that this disk never had: one of two copies wrote it */
	UPLINK_RETIRED,	  /* an operator has given the incarnation up; nothing is added to it any more */
	UPLINK_SENSELESS, /* nothing that a daemon writes */
};

/* Of a ledger's field, as the cluster has it; *field for UPLINK_OURS, and for UPLINK_RETIRED what it was
 * then: its mark is 0 when this disk was never there. */
enum uplink_verdict uplink_judge_field(const struct uplink_lineage *l, struct slice there,
				       struct uplink_field *field);
/* A record: of a start that pushes, or of the one that goes on where an incarnation was given up. */
size_t uplink_put_record(char out[UPLINK_RECORD_CHARS_MAX], const struct uplink_mark *mark, bool is_claim);

/* The same of a record; UPLINK_STRANGE also for one that was given up, and from which another disk goes on.
 */
enum uplink_verdict uplink_judge_record(const struct uplink_lineage *l, struct slice there);

/* ---- the next push ---- */

struct uplink_step {
	struct uplink_field field; /* to write, */
	int64_t delta;		   /* and what the total is to be changed by */
	bool is_half;		   /* the difference does not fit 64 bits: another one is to follow */
};

/* From what is there (all 0 when there is no field) to what the object has. */
struct uplink_step uplink_step(const struct uplink_field *have, uint64_t object, int64_t wanted,
			       const struct uplink_mark *now);

/* Whether there is nothing to push. */
bool uplink_is_right(const struct uplink_field *have, uint64_t object, int64_t wanted);

/* What a counter contributes: its value less its baseline. False: that does not fit. */
static inline bool uplink_contribution(int64_t value, int64_t baseline, int64_t *out)
{
	return !__builtin_sub_overflow(value, baseline, out);
}

#endif
