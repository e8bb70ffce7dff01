/* SPDX-License-Identifier: MIT */
/*
 * oracle.h - what must be true, whatever was scheduled. Numbers are those of the invariants in the design.
 *
 * Counters are kept apart by what is done to them, so that few words say what each may be worth:
 *
 *	sums      only ever grow by what is sent. Each addition is acknowledged, pending, lost (its connection
 *	          has ended) or refused: acknowledged <= value <= acknowledged + pending + lost (5). After a
 *	          crash: durable <= value (1). Tickets are sums that only INCR changes: its replies are unique
 *	          and grow (12).
 *	pair      two counters that only transactions change and let expire, both alike: equal in every reply
 *	          and on disk (4); twins, which SHC.ADD changes too: equal on disk.
 *	chain     `dst` is only set to what somebody was told that `src` is: dst <= src on disk (4).
 *	life      a ticket with an expiry: in commit mode no number is drawn twice in one life (12).
 *	bag       anything goes; memory and disk must be alike at rest (5).
 *
 * What is on disk is judged after each commit, as if the machine stopped there.
 */
#ifndef SHC_SIM_ORACLE_H
#define SHC_SIM_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SUM_TICKET, /* INCR; also `src` of the chain */
	SUM_TICKET_2,
	SUM_ADD, /* SHC.ADD; several, so that many additions are a counter's first of an epoch */
	SUM_COUNT = SUM_ADD + 6,
};

void oracle_init(bool is_flushing, bool is_expiring);
/* FLUSHALL comes in this seed: only what survives it is judged. */
bool oracle_is_flushing(void);
/* Expiries and hits come in this seed, and the wall clock only goes on. */
bool oracle_is_expiring(void);
const char *oracle_sum_name(uint32_t sum);

void oracle_note_low(int64_t *low);
void oracle_sum_sent(uint32_t sum, int64_t delta);
void oracle_sum_acked(uint32_t sum, int64_t delta);
void oracle_sum_refused(uint32_t sum, int64_t delta);
void oracle_sum_lost(uint32_t sum, int64_t delta);
/* A reply told this value; *low is as noted when it was asked for. Null: it fits, or what is wrong. */
const char *oracle_sum_read(uint32_t sum, int64_t value, int64_t low);
/* The disk has exactly this. */
const char *oracle_sum_stored(uint32_t sum, int64_t value);
const char *oracle_ticket(uint32_t sum, int64_t value, int64_t low);
/* In the life that ends then. */
const char *oracle_life(int64_t value, int64_t ends_ms);
/* A reply with this value, or the acknowledgement of an addition, leaves the daemon. */
const char *oracle_sum_leaves(uint32_t sum, int64_t value);
const char *oracle_sum_ack_leaves(uint32_t sum, int64_t delta);
/* A barrier has come: what was acknowledged when it was sent is durable. */
struct op;
void oracle_barrier(const struct op *op);
/* The newest value of src that anybody was told. */
int64_t oracle_told(void);

bool oracle_may_refuse(void);
void oracle_set_may_refuse(bool may_refuse);

/* After a commit; from the disk. */
void oracle_landed(void);
/* The daemon has recovered; nothing is under way. */
void oracle_recovered(void);
/* All sleep, nothing is owed: memory against disk. */
void oracle_at_rest(void);
/* Between any two slices. */
void oracle_step(void);

#endif
