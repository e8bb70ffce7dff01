/* SPDX-License-Identifier: MIT */
/*
 * kept_audit.h - the audit log of fake_store.c, as what it makes of each counter: every entry must begin with
 * the value that the one before has left, and after each commit what the entries make of a counter is what
 * the deltas make of it. So there is neither an entry too many nor one missing, and all are in order.
 */
#ifndef SHC_SIM_KEPT_AUDIT_H
#define SHC_SIM_KEPT_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../daemon/audit_entry.h"

/* Counters that are audited in this world, as `audit` has it; null: none. */
void kept_audit_init(const char *pattern);
void kept_audit_fini(void);
const char *kept_audit_pattern(void);

/* Of a commit under way. */
void kept_audit_stage(const struct audit_entry *entries, size_t count);
/* It is on disk, or is not. */
void kept_audit_land(void);
void kept_audit_drop(void);

/* What the entries make of the counter; 0 also when there are none. */
uint64_t kept_audit_value(const char *name);
bool kept_audit_has(const char *name);

#endif
