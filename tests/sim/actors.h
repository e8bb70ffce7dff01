/* SPDX-License-Identifier: MIT */
/* actors.h - the scripts that clients follow; oracle.h says what each is good for. */
#ifndef SHC_SIM_ACTORS_H
#define SHC_SIM_ACTORS_H

#include "clients.h"

/* Additions and reads of the sums, barriers, the whole table. */
extern const struct script script_counter;
/* Only looks at what others add to. */
extern const struct script script_reader;
/* Pairs, in transactions. */
extern const struct script script_pair;
/* src is looked at, dst is set. */
extern const struct script script_chain;
/* A counter that expires and comes again. */
extern const struct script script_life;
/* Everything else on names that nobody judges by value. */
extern const struct script script_bag;
/* Batches of a session, with take-overs and repetitions. */
extern const struct script script_session;
/* Additions that carry a token, retried. */
extern const struct script script_token;

#endif
