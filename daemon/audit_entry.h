/* SPDX-License-Identifier: MIT */
/*
 * audit_entry.h - an entry of the audit log, from the transaction that makes it to the disk: in the open
 * buffer of a worker, and sorted among those of all workers when the epoch is sealed.
 *
 * No state of its own.
 */
#ifndef SHC_AUDIT_ENTRY_H
#define SHC_AUDIT_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/buf.h"
#include "../lib/slice.h"

/* On disk as these numbers: they stay. */
enum audit_operation {
	AUDIT_INCREMENT = 1,
	AUDIT_DECREMENT = 2,
	AUDIT_SET = 3,
	AUDIT_DELETE = 4,
	AUDIT_EXPIRE = 5,
	AUDIT_FLUSH = 6, /* all counters; the name is empty */
};

enum { AUDIT_PEER_MAX = 200 };

/* Who ends what has expired. */
#define AUDIT_PEER_EXPIRY "expiry"

struct audit_entry {
	uint64_t id;	   /* of the object; with AUDIT_FLUSH: objects below are deleted */
	int64_t time_us;   /* of audit_stamp */
	int64_t delta;	   /* how the value changed, modulo 2^64 */
	int64_t value;	   /* after it */
	struct slice name; /* borrowed, as peer */
	struct slice peer; /* who; at most AUDIT_PEER_MAX bytes */
	uint8_t operation; /* enum audit_operation */
};

/* "increment", ...; null for a number that is none. Static. */
const char *audit_operation_name(unsigned operation);

/* What an addition is called. */
static inline enum audit_operation audit_operation_of(int64_t delta)
{
	return delta < 0 ? AUDIT_DECREMENT : AUDIT_INCREMENT;
}

/* ---- in a buffer ---- */

/* Bytes of an entry. */
size_t audit_entry_bytes(size_t name_len, size_t peer_len);

/* Into room that was reserved (buf_reserve): cannot fail. */
void audit_entry_put(struct buf *b, const struct audit_entry *entry);

/* One after the other; *pos starts at 0. False at the end. */
bool audit_entry_next(const struct buf *b, size_t *pos, struct audit_entry *entry);

/* ---- of an epoch ---- */

struct audit_entries {
	struct audit_entry *items; /* owned; their bytes are the buffers', or of `flushed` */
	size_t count, cap;	   /* there is room for one more */
	struct {		   /* the last FLUSHALL of all epochs so far */
		uint64_t floor;
		char peer[AUDIT_PEER_MAX];
		size_t peer_len;
	} flushed;
};

void audit_entries_fini(struct audit_entries *e);

/* Adds what stands in a buffer. 0 or -ENOMEM. */
int audit_entries_add(struct audit_entries *e, const struct buf *b);

/* By time; but entries of objects that a FLUSHALL deleted stand before it, and those of later ones behind it,
 * which were stamped while it happened. Of a worker that was an epoch behind it has been told already: then
 * it is told once more, behind them. */
void audit_entries_sort(struct audit_entries *e);

/* Forgets them; keeps small memory. */
void audit_entries_clear(struct audit_entries *e);

#endif
