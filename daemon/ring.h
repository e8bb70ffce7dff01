/* SPDX-License-Identifier: MIT */
/*
 * ring.h - one io_uring with one ring of provided buffers: operations in, completions out.
 *
 * Knows descriptors and the 64 bits of user data, nothing of connections (io_uring.c does). One thread, which
 * made it, uses it. Operations are only queued; they reach the kernel, in order, at the next ring_enter() or
 * when the queue is full. Completions are made only inside such an entry.
 */
#ifndef SHC_RING_H
#define SHC_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_BUF_COUNT 256u
#define RING_BUF_NONE  (-1)
#define RING_SEND_MAX  (1u << 30) /* bytes a send asks for at once: below what the kernel cuts off (2 GiB) */

struct ring;

struct ring_completion {
	uint64_t data; /* as given with the operation */
	int res;       /* >= 0, or -errno */
	int buf;       /* a provided buffer, the taker's until ring_buf_return(), or RING_BUF_NONE */
	bool is_last;  /* the operation has ended */
};

/* A ring for about that many connections. 0 or -errno: ENOSYS, EPERM, EINVAL where io_uring is refused or too
 * old, ENOMEM, EMFILE where a limit is too low. */
int ring_new(struct ring **out, uint32_t conns_hint);
struct ring *ring_free(struct ring *ring); /* null */

/* This kernel loses an end of file that comes at once behind data (ring.c says when). */
bool ring_loses_eof(const struct ring *ring);

/* -- operations: false when the ring is broken, as ring_enter() will say -- */

bool ring_recv(struct ring *ring, int fd, uint64_t data); /* multishot, into provided buffers */

/* The whole of it or an error; a short one is still possible. is_try: does not wait for room, and posts no
 * completion when all has been taken. */
bool ring_send(struct ring *ring, int fd, const char *bytes, size_t len, bool is_try, uint64_t data);

bool ring_poll(struct ring *ring, int fd, unsigned events, uint64_t data); /* once */
bool ring_poll_every(struct ring *ring, int fd, unsigned events,
		     uint64_t data);				     /* a completion for each wake-up */
bool ring_cancel(struct ring *ring, uint64_t target, uint64_t data); /* the operation with that user data */

/* -- the kernel -- */

/* Submits what is queued and, when no completion is there, waits for one: timeout_ns, -1 for ever, 0 not at
 * all. 0 (also on timeout, signal, passing shortage) or -errno for what is broken for good. */
int ring_enter(struct ring *ring, int64_t timeout_ns);

/* -- completions -- */

bool ring_take(struct ring *ring, struct ring_completion *out); /* the next, or false */
unsigned ring_ready(const struct ring *ring);			/* how many ring_take() would give */
uint64_t ring_peek(const struct ring *ring, unsigned index);	/* the user data of one of them */

/* Completions that found the queue full; the next entry brings them once there is room. */
bool ring_has_overflow(const struct ring *ring);

/* All operations queued so far have been begun. */
bool ring_is_submitted(const struct ring *ring);

const char *ring_buf(const struct ring *ring, int buf);
void ring_buf_return(struct ring *ring, int buf);

#endif
