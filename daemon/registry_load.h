/* SPDX-License-Identifier: MIT */
/*
 * registry_load.h - filling the registry at a start, from several threads, while nobody else uses it.
 *
 * What makes it faster than registry_insert: the table has its size from the beginning, the names of a batch
 * are looked up side by side, and records come out of blocks that are a thread's own.
 */
#ifndef SHC_REGISTRY_LOAD_H
#define SHC_REGISTRY_LOAD_H

#include "registry.h"

/* One thread's part. */
struct registry_loader {
	char *next, *end;	     /* of a block of the arena */
	struct epoch_buffer retired; /* what splits have replaced: another loader may be in it */
};

/* For an empty registry: as many segments as `count` names will need at least. 0 or -ENOMEM. One thread. */
int registry_presize(struct registry *r, uint64_t count);

void registry_loader_init(struct registry_loader *l);
/* When all have ended. */
void registry_loader_fini(struct registry *r, struct registry_loader *l);

/* An object for the name, with what it has beside its value (`extra`, null: nothing), which is the registry's
 * when this is 0. `hash` is the name's. Any thread, each with a loader of its own. 0, -EEXIST when the name
 * has one, -ENOMEM, -EDQUOT. */
struct registry_object {
	uint64_t id;
	int64_t value;
	struct extra *extra;
};
int registry_load(struct registry *r, struct registry_loader *l, struct slice name, uint64_t hash,
		  const struct registry_object *object);

/* What registry_load will look at first. */
void registry_load_prefetch(struct registry *r, uint64_t hash);

#endif
