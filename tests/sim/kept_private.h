/* SPDX-License-Identifier: MIT */
/* kept_private.h - what kept.c has, for fake_store.c: the disk, and how it is written. */
#ifndef SHC_SIM_KEPT_PRIVATE_H
#define SHC_SIM_KEPT_PRIVATE_H

#include "../../daemon/journal.h"
#include "../../lib/buf.h"
#include "../../lib/slice.h"
#include "kept.h"

enum { EPOCHS_RESERVED = 50 };

struct kept_part {
	uint64_t epoch;
	char *data;
	size_t len;
};

/* By id. */
struct kept_entry {
	char name[KEPT_NAME_MAX];
	uint64_t value;
	bool is_deleted;
	struct kept_side side;
	struct journal_hit *hits; /* each second once */
	size_t hit_count;
};

/* What is on the disk. */
struct kept_disk {
	struct kept_part *parts;
	size_t part_count, part_cap;
	size_t pending_from; /* parts from here on are of a commit under way, */
	uint64_t pending;    /* ... which is of this epoch */
	uint64_t epoch_limit, epoch, commits, id_next;
	struct kept_entry *entries;
	size_t entry_cap;
	uint64_t floor_id;
	struct kept_session sessions[KEPT_SESSIONS_MAX];
	size_t session_count;
	struct kept_token *tokens;
	size_t token_count, token_cap;
};

extern struct kept_disk kept_disk;

/* Of this incarnation. */
extern struct kept_faulty {
	struct kept_faults faults;
	int64_t full_until_ns;
	bool has_failed;
} kept_faulty;

/* Of an id, made when it is missing. */
struct kept_entry *kept_entry_at(uint64_t id);
bool kept_is_live(uint64_t id);
/* Made when it is missing. */
struct kept_session *kept_session_at(struct slice id);

/* A part of the commit under way; and all of it is on disk now. */
void kept_stage(uint64_t epoch, const struct buf *body);
void kept_land(void);

#endif
