/* SPDX-License-Identifier: MIT */
/*
 * redis_impl.h - what the files of lib/redis*.c share.
 */
#ifndef SHC_REDIS_IMPL_H
#define SHC_REDIS_IMPL_H

#include "adds.h"
#include "buf.h"
#include "hash.h"
#include "redis.h"
#include "shcount_impl.h"

enum {
	LEFT_MAX = 16 << 10,	   /* requests under way in one call, or left under way by redis_add */
	LOAD_KNOWN_AFTER = 64,	   /* additions: then the handle knows which node is slow */
	COUNTS_AGE_MAX_MS = 30000, /* how old a slot's table of parts may be for redis_add */
};

#define REDIS_LIMIT_MAX INT64_C(1000000000000000) /* what scripts calculate with must be exact as doubles */

/* A name with parts. */
struct count_entry {
	struct shard_count count;
	uint8_t len;
	char name[NAME_LEN_MAX];
};

/* What redis_add knows of parts: a slot's table is read once in a while. */
struct counts {
	int64_t *read_ns;	     /* owned: by slot, when; 0: never. Null: none was */
	struct count_entry *entries; /* owned */
	size_t entries_count, entries_cap;
	uint32_t *index;   /* owned: where in `entries` a name is, from 1 on; 0: free. A hash table */
	size_t index_size; /* a power of two, at least twice entries_cap */
	struct hash_key key;
};

struct redis {
	struct cluster *cluster;
	unsigned shards;	      /* into how many parts whatever is added to must go; 0: as it is */
	char (*tags)[SHARD_TAG_SIZE]; /* owned: by slot, "" where not looked up yet; null: none was */
	unsigned tags_found;
	struct counts counts;
	struct buf reply_bytes;	   /* the reply that redis_ask has given, and */
	struct resp_reader reader; /* its form */
	struct buf adds;	   /* of redis_add, not sent yet: length of the name, name, delta */
	uint32_t adds_count;
	enum shc_status failed; /* of an addition; told by the call that finds it */
	char failed_text[320];
	uint64_t added;
	struct stream *stream; /* owned; null when none is open */
};

/* ---- what one call has put ---- */

/* The first failure of its requests. */
struct round {
	struct shc *shc;
	enum shc_status status;
};

/* Begins a public call. */
void redis_begin(struct shc *shc, bool is_patient);

/* Notes what became of a request; for an op_done_fn that has nothing else to do with failures. True: it was
 * answered, and not with an error. */
bool round_took(struct round *round, enum shc_status status);

/* Puts a command, or a script, that belongs to a slot. False: no memory, which is noted. */
bool round_put(struct round *round, enum op_kind kind, unsigned slot, op_done_fn *done, void *arg,
	       uint64_t tag, size_t argc, const struct slice *argv);
bool round_put_script(struct round *round, enum op_kind kind, unsigned slot, const struct script *script,
		      op_done_fn *done, void *arg, uint64_t tag, size_t argc, const struct slice *argv);

/* Runs all to their end, and returns the first failure. */
enum shc_status round_run(struct round *round);

/* One request and its reply, which lasts until the next one: SHC_OK, or the failure. */
enum shc_status redis_ask(struct shc *shc, enum op_kind kind, unsigned slot, size_t argc,
			  const struct slice *argv, const struct resp_reply **reply);
enum shc_status redis_ask_script(struct shc *shc, enum op_kind kind, unsigned slot,
				 const struct script *script, size_t argc, const struct slice *argv,
				 const struct resp_reply **reply);

/* The reply is of a kind that the request does not have. */
enum shc_status redis_senseless(struct shc *shc, bool is_write);

/* ---- names ---- */

/* A slot's tag; null: no memory. */
const char *redis_tag(struct redis *r, unsigned slot);

/* ---- parts (redis_parts.c) ---- */

/* Begins a call on a counter: looks up into how many parts it goes. The name is copied to `room`: it may lie
 * in the reply that the handle gave, which requests overwrite. */
enum shc_status redis_begin_counter(struct shc *shc, struct slice *name, char room[NAME_LEN_MAX],
				    bool is_patient, struct shard_count *count);

/* The same for an addition: has it go into r->shards parts, when that is wanted and not so. Never
 * SHC_IN_DOUBT: nothing is added yet. */
enum shc_status redis_begin_addition(struct shc *shc, struct slice *name, char room[NAME_LEN_MAX],
				     bool is_patient, struct shard_count *count);

/* SHC_REFUSED when the counter has parts: there is no `what` for it. */
enum shc_status redis_in_one_place(struct shc *shc, const struct shard_count *count, const char *what);

/* The same status. When a user may not see the table, which all of a cluster's counters need, it says so. */
enum shc_status redis_denied_table(struct shc *shc, enum shc_status status);

/* Which part the next addition goes to. */
unsigned redis_choose(struct redis *r, struct slice name, const struct shard_count *count);

/* The sum of all parts, after an addition: SHC_IN_DOUBT, and it says that it is counted, when that cannot be
 * read. `own` is what NAME itself is known to have; null: it is read as well. */
enum shc_status redis_sum(struct shc *shc, struct slice name, const struct shard_count *count,
			  const int64_t *own, __int128 *sum);

/* False: it leaves 64 bits. */
bool redis_to_i64(__int128 sum, int64_t *out);

/* Has the tables of these slots read, if they are not fresh; then what is known of a name. */
enum shc_status counts_want(struct shc *shc, const uint16_t *slots, size_t count);
struct shard_count counts_find(const struct redis *r, struct slice name);
void counts_fini(struct counts *c);

/* Has all names that are to be added to go into r->shards parts; their tables are known. */
enum shc_status counts_set(struct shc *shc, const struct buf *adds);

/* One replica of each node that was written to has it, where it has any: cluster_wait. */
enum shc_status redis_wait(struct shc *shc, bool *is_lost);

#endif
