/* SPDX-License-Identifier: MIT */
/*
 * pack.h - the sealed buffers of all workers, made into the journal parts of one epoch.
 *
 * Deltas of one counter from several workers become one record, sorted by id (the order of the rows on disk);
 * so do its states, and its hits of one second.
 * Committer only; keeps its scratch memory between epochs.
 */
#ifndef SHC_PACK_H
#define SHC_PACK_H

#include "audit_entry.h"
#include "epoch_buffer.h"
#include "journal.h"

enum { PACK_RANGES = 64 };

enum pack_kind { PACK_DELTAS, PACK_STATES, PACK_HITS };

struct pack {
	size_t run_max; /* deltas to sort at once; more are taken in ranges of ids */
	struct journal_delta
		*deltas; /* owned scratch; of states and hits: where they are, in place of delta */
	struct journal_delta *spare; /* the other half of the radix sort */
	size_t count, cap;
	enum pack_kind kind;	    /* what is being packed */
	struct audit_entries audit; /* of the epoch; the buffers have its bytes */
	/* of the epoch being packed: ranges of 2^shift ids from id_min on */
	uint64_t id_min, id_max;
	unsigned shift;
	size_t counts[PACK_RANGES];	/* deltas in each */
	size_t range_first, range_next; /* those that are being collected */
};

void pack_init(struct pack *p);
void pack_fini(struct pack *p);

/* Puts the content of `buffers` into w (initialised by the caller, not finished). 0 or -ENOMEM. */
int pack_epoch(struct pack *p, struct epoch_buffer *const *buffers, size_t count, struct journal_writer *w);

/* Collects their entries of the audit log into p->audit, sorted. 0 or -ENOMEM. To be cleared before the
 * buffers are. */
int pack_audit(struct pack *p, struct epoch_buffer *const *buffers, size_t count);

#endif
