/* SPDX-License-Identifier: MIT */
/*
 * recover.h - at start: what the store tells goes into the registry and into the tables of sessions and
 * tokens.
 *
 * Before there are workers.
 */
#ifndef SHC_RECOVER_H
#define SHC_RECOVER_H

#include "once.h"
#include "registry.h"
#include "session.h"
#include "store.h"
#include "uplink_table.h"

/* All of them initialised and empty; borrowed. */
struct recover {
	struct registry *registry;
	struct session_table *sessions;
	struct once_table *tokens;
	struct uplink_table *uplink; /* null: none */
	/* what has expired by then is left out: used before these moments (wall clock) */
	int64_t sessions_before_ms, tokens_before_ms;
	uint32_t workers; /* there will be: who ends what expires */
	unsigned threads; /* to load counters on, when there are many; at most STORE_LOADERS_MAX are used */
};

/* Loads everything and sets the registry's ids, floor and count. 0, or as store_load (-EDQUOT: more counters
 * than max-memory allows); store_error says why, or that memory is out. */
int recover_load(const struct recover *r, struct store *store, struct store_state *state);

#endif
