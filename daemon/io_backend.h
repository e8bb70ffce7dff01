/* SPDX-License-Identifier: MIT */
/*
 * io_backend.h - what the two backends of io.h share: the table of operations that io.c dispatches through,
 * and the slots, which tie a completion to its connection.
 *
 * Private to io.c, io_uring.c and io_epoll.c.
 */
#ifndef SHC_IO_BACKEND_H
#define SHC_IO_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io.h"

/* The functions of io.h, same contracts. */
struct io_ops {
	struct io *(*free)(struct io *io);
	int (*conn_start)(struct io *io, struct io_conn *conn, int fd);
	void (*recv_pause)(struct io *io, struct io_conn *conn);
	void (*recv_resume)(struct io *io, struct io_conn *conn);
	void (*send)(struct io *io, struct io_conn *conn, bool is_quiet); /* conn->send_* are filled in */
	void (*conn_close)(struct io *io, struct io_conn *conn);
	int (*wait)(struct io *io, int64_t timeout_ns);
	bool (*next)(struct io *io, struct io_event *out);
};

/* Every backend's own struct begins with this. */
struct io {
	const struct io_ops *ops;
};

int uring_new(struct io **out, const struct io_options *options);
int epoll_new(struct io **out, const struct io_options *options);

/*
 * Slots. The kernel gives back 64 bits with each completion: a slot and its generation, not a pointer. The
 * generation grows when the slot is given back, so that a late word about the last tenant finds nobody.
 */
#define IO_SLOT_NONE	   UINT32_MAX
#define IO_GENERATION_MASK 0xffffffu /* 24 bits: 8 more name the operation */

/* A slot can stand in one list of each kind at a time. */
enum io_link { IO_LINK_READY, IO_LINK_TRY, IO_LINK_STARVED, IO_LINK_COUNT };

struct io_slot {
	struct io_conn *conn; /* null: free */
	uint32_t generation;
	uint32_t next[IO_LINK_COUNT]; /* the free ones use IO_LINK_READY */
};

struct io_slots {
	struct io_slot *table;
	uint32_t size;
	uint32_t free_first;
};

/* First in, first out; linked through the slots, so that nothing needs memory at a bad moment. */
struct io_list {
	enum io_link link;
	uint32_t first;
	uint32_t last;
};

void io_slots_init(struct io_slots *slots);
void io_slots_fini(struct io_slots *slots);

/* Gives conn a slot (conn->slot, conn->generation). 0 or -ENOMEM. */
int io_slots_take(struct io_slots *slots, struct io_conn *conn);
void io_slots_put(struct io_slots *slots, const struct io_conn *conn);

/* The tenant, or null when that generation has moved out. */
struct io_conn *io_slots_find(const struct io_slots *slots, uint32_t slot, uint32_t generation);

void io_list_init(struct io_list *list, enum io_link link);
void io_list_push(struct io_list *list, struct io_slots *slots, const struct io_conn *conn);
struct io_conn *io_list_pop(struct io_list *list, struct io_slots *slots); /* null when empty */

static inline bool io_list_is_empty(const struct io_list *list)
{
	return list->first == IO_SLOT_NONE;
}

/* An event of conn, all else empty. Always true, for `return io_event(...)`. */
static inline bool io_event(struct io_event *out, enum io_event_type type, struct io_conn *conn)
{
	*out = (struct io_event){.type = type, .conn = conn};
	return true;
}

#endif
