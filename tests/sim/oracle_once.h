/* SPDX-License-Identifier: MIT */
/*
 * oracle_once.h - what must be true of sessions and tokens (invariants 1, 2, 3).
 *
 * What batch n of a session adds is a function of n, to a counter of its own and to one that all sessions
 * share; so the sequence on disk says what both are worth on disk, after each commit. A counter that only
 * tokens add to is worth the sum of the tokens on disk. Some tokens are of several additions: those add 1 to
 * a counter that they share, too.
 */
#ifndef SHC_SIM_ORACLE_ONCE_H
#define SHC_SIM_ORACLE_ONCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SESSIONS = 4, TOKENS_MAX = 4096, TOKEN_COUNTERS = 2, LOWS = SESSIONS + 1 };

void oracle_once_init(void);
/* What has been acknowledged: LOWS numbers, for the time when something is asked. */
void oracle_once_note(int64_t *low);
void oracle_once_barrier(const int64_t *low);
void oracle_once_landed(void);
void oracle_once_recovered(void);

/* ---- sessions ---- null, or what is wrong */

int64_t oracle_batch_own(uint64_t seq), oracle_batch_shared(uint64_t seq);
void oracle_apply_sent(uint32_t session, uint64_t seq);
/* 1 was the reply; `binding` is that of the connection. */
const char *oracle_applied(uint32_t session, uint64_t seq, uint64_t binding);
/* 0 was the reply: it is applied, maybe by a connection that has not heard so yet. */
void oracle_known(uint32_t session, uint64_t seq);
const char *oracle_apply_leaves(uint32_t session, uint64_t seq);
/* SHC.SESSION has answered; *binding is the new one. Null for a connection that was left alone before:
 * whether it asked before or after the next one is not known, and it sends no batch. */
const char *oracle_bound(uint32_t session, uint64_t last, uint64_t stored, int64_t low, uint64_t *binding);

/* ---- tokens ---- */

/* A new one, or one of those that were sent lately. */
uint32_t oracle_token_choose(void);
int64_t oracle_token_delta(uint32_t token);
bool oracle_token_is_of_several(uint32_t token);
/* Returns the least that its counter is worth now. */
int64_t oracle_token_sent(uint32_t token);
bool oracle_token_is_acked(uint32_t token);
const char *oracle_token_answered(uint32_t token, int64_t value, bool is_applied, int64_t low);
const char *oracle_token_leaves(uint32_t token, int64_t value);

#endif
