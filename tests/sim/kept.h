/* SPDX-License-Identifier: MIT */
/*
 * kept.h - what a disk has kept: it outlives the daemon (fake_store.c). And what the clients' oracle asks it:
 * is the effect that a reply tells of on disk?
 *
 * The journal is kept as the bytes that came with store_commit. Beside it stands a fold of its records, made
 * here record by record and not by the shipped journal_set, so that the two are held against each other at
 * every recovery.
 */
#ifndef SHC_SIM_KEPT_H
#define SHC_SIM_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How the disk behaves in this incarnation; one in so many, 0: never. */
struct kept_faults {
	uint32_t full_one_in, slow_one_in, error_one_in;
};

/* Calls landed() after each commit: what is on disk then is what a crash at this point would leave. */
void kept_init(void (*landed)(void));
void kept_fini(void);
void kept_set_faults(struct kept_faults faults);
/* The daemon is gone in the middle of whatever it did: a commit under way is on disk, or is not. */
void kept_crash(void);

uint64_t kept_epoch(void);   /* the last with content */
uint64_t kept_commits(void); /* so far, of all incarnations */
bool kept_is_full(void);     /* now */
bool kept_has_failed(void);  /* with an error of this incarnation's, so that the daemon is about to end */

/* The live counter of a name: false when there is none, or it has expired by now. */
bool kept_counter(const char *name, int64_t *value);
uint64_t kept_counter_id(const char *name); /* 0: none */
size_t kept_counter_count(void);

/* What the live counter of a name has beside its value. */
struct kept_side {
	uint64_t version; /* 0: no state */
	int64_t expire_at_ms, tat_ns;
	uint64_t hits;
};
const struct kept_side *kept_side(const char *name);

enum { KEPT_SESSIONS_MAX = 32, KEPT_NAME_MAX = 32 };

struct kept_session {
	char id[KEPT_NAME_MAX], cursor[KEPT_NAME_MAX];
	uint64_t seq;	/* 0: not there */
	uint64_t epoch; /* of the record */
};

struct kept_token {
	char name[KEPT_NAME_MAX], token[KEPT_NAME_MAX];
	int64_t delta;
};

const struct kept_session *kept_session(const char *id);
/* Null: not there. */
const struct kept_token *kept_token(const char *token);
/* All of them, until something is folded. */
size_t kept_tokens(const struct kept_token **out);

#endif
