/* SPDX-License-Identifier: MIT */
/*
 * journal.h - the bytes of one epoch on disk: what the committer packs into journal bodies and recovery reads
 * back.
 *
 * Pure: no files, no SQLite, no threads. A body is self-describing and checksummed (SQLite does not protect a
 * page's content), so a damaged one is found, not applied. The offset table stands in journal.c.
 *
 * Order inside an epoch does not matter: ids are never used again, deltas commute, a deleted id stays
 * deleted, of one session the largest sequence counts and of one state the largest version, and hits add up.
 * Of several epochs the newest record of a session or token counts.
 */
#ifndef SHC_JOURNAL_H
#define SHC_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/buf.h"
#include "../lib/slice.h"

enum {
	JOURNAL_PART_BYTES_MAX = 16 << 20
}; /* a writer cuts before; SQLite's blob limit is 1 GB, memory is ours */

/* Ids are at most 2^63-1: SQLite's rowids are signed. */
#define JOURNAL_ID_MAX ((uint64_t)INT64_MAX)

enum { JOURNAL_CURSOR_MAX = 4096 }; /* bytes of a session's cursor */

enum journal_type {
	JOURNAL_NAME = 1,
	JOURNAL_DELTA,
	JOURNAL_DELETE,
	JOURNAL_FLOOR,
	JOURNAL_SESSION,
	JOURNAL_TOKEN,
	JOURNAL_STATE,
	JOURNAL_HIT,
};

struct journal_delta {
	uint64_t id;
	uint64_t delta; /* two's complement, modulo 2^64: only the sum over all workers is known to fit */
};

/* What a counter has beside its value and is replaced as a whole: of one id the largest version counts,
 * whichever epoch or worker it comes from. */
struct journal_state {
	uint64_t id, version; /* at most 2^63-1 each */
	int64_t expire_at_ms; /* wall clock; 0: never */
	int64_t tat_ns;	      /* of a limit, steady clock; 0: none */
};

/* Hits of one second (steady clock). They add up, modulo 2^64. */
struct journal_hit {
	uint64_t id;
	int64_t second;
	uint64_t count;
};

/* ---- writing ---- parts of one epoch; every part stands alone. */
struct journal_writer {
	struct buf *parts; /* owned: `count` finished bodies */
	size_t count;
	size_t cap;
	struct buf open; /* being written */
	/* private */
	int64_t time_ms;
	uint64_t last_id;
	int64_t last_second;
	size_t section_at; /* where the open section begins in `open`; 0: none is open */
	uint32_t section_count;
	enum journal_type section_type;
	bool failed;
};

/* time_ms: wall clock of the commit, becomes updated_at of what it changed. */
void journal_writer_init(struct journal_writer *w, int64_t time_ms);
void journal_writer_fini(struct journal_writer *w);

/* A counter came into being. Any order of ids; sorted ones are smaller. */
void journal_put_name(struct journal_writer *w, uint64_t id, struct slice name);
/* `count` deltas, sorted by id, each id once per call. Packed as differences. */
void journal_put_deltas(struct journal_writer *w, const struct journal_delta *deltas, size_t count);
void journal_put_delete(struct journal_writer *w, uint64_t id);
/* FLUSHALL: every id below is deleted. */
void journal_put_floor(struct journal_writer *w, uint64_t floor_id);

/* A session has come to `seq` (at most 2^63-1), with its cursor. */
void journal_put_session(struct journal_writer *w, struct slice id, uint64_t seq, struct slice cursor);
/* A token was used, for `delta` on the counter `name`. */
void journal_put_token(struct journal_writer *w, struct slice name, struct slice token, int64_t delta);

/* Any order; sorted by id, and of one id by second, is smaller. */
void journal_put_state(struct journal_writer *w, const struct journal_state *state);
void journal_put_hit(struct journal_writer *w, const struct journal_hit *hit);

/* Closes the last part. Returns 0, or -ENOMEM when any put failed. An epoch of nothing has no parts. */
int journal_writer_finish(struct journal_writer *w);

/* ---- reading ---- */
struct journal_record {
	enum journal_type type;
	uint64_t id;	/* or the floor; a session's sequence; 0 for a token */
	uint64_t delta; /* JOURNAL_DELTA, _TOKEN */
	union {
		struct {
			struct slice name;   /* JOURNAL_NAME, _TOKEN: the counter's; _SESSION: its id */
			struct slice detail; /* JOURNAL_SESSION: the cursor; _TOKEN: the token */
		};			     /* both point into the body */
		struct journal_state state;  /* JOURNAL_STATE; its id is `id`, too */
		struct journal_hit hit;	     /* JOURNAL_HIT; the same */
	};
};

struct journal_reader {
	int64_t time_ms;
	/* private */
	const unsigned char *data, *section_end, *end;
	uint64_t last_id;
	int64_t last_second;
	uint32_t left; /* records of the section not read yet */
	enum journal_type section_type;
};

enum {
	JOURNAL_OK = 0,
	JOURNAL_END = 1,
	JOURNAL_DAMAGED = 2, /* wrong magic, version, length or checksum, or a record that makes no sense */
};

/* Checks the checksum of the whole body. The body must stay where it is while the reader is in use. */
int journal_reader_init(struct journal_reader *r, const void *body, size_t len);
/* The next record. After JOURNAL_END or JOURNAL_DAMAGED it says the same for ever. */
int journal_next(struct journal_reader *r, struct journal_record *out);
/* The next section as a reader of its own, skipped in `r`: for merging sections (ids ascend within one of
 * JOURNAL_DELTA, _STATE and _HIT). Call it only where a section begins: before the first journal_next. */
int journal_next_section(struct journal_reader *r, struct journal_reader *section);
static inline enum journal_type journal_section_type(const struct journal_reader *section)
{
	return section->section_type;
}

/* ---- sealing ---- for the writer and for tests that make bodies by hand. */

/* CRC-32C of the bytes. */
uint32_t journal_checksum(const void *data, size_t len);

enum { JOURNAL_HEAD_BYTES = 20, JOURNAL_TAIL_BYTES = 4 };

/* Sets magic, version, length and checksum of a body of `len` bytes (at least head + tail), so that only its
 * content can be wrong. */
void journal_seal(void *body, size_t len);

#endif
