/* SPDX-License-Identifier: MIT */
/*
 * worker.h - one thread that owns an io, connections, the cells of its index, and an epoch slot.
 *
 * Its turn: wait for events; look at the epoch; take new connections from the inbox; hand events to peers,
 * which execute requests; resume peers whose wait is over; flush: one send a peer. It never blocks but in
 * io_wait.
 */
#ifndef SHC_WORKER_H
#define SHC_WORKER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "../lib/pulse.h"
#include "audit_sweep.h"
#include "batch.h"
#include "epoch.h"
#include "io.h"
#include "peer.h"
#include "peer_limit.h"
#include "txn.h"
#include "waker.h"

struct server;

/* Owner writes, anyone reads, relaxed; INFO adds them up. One table names them: stats.c. */
struct worker_stats {
	_Atomic uint64_t requests, errors, connections, bytes_in, bytes_out, transactions, parked, throttled,
		timed_out, denied_auth, denied_commands, denied_names;
	_Atomic int64_t peers;	       /* connections now; the acceptor adds those on their way */
	_Atomic int64_t waiting;       /* of them: parked now */
	_Atomic int64_t held_back_now; /* of them: held back for their source's budget */
	_Atomic uint64_t held_back,
		held_back_us;	 /* times that was so, and how long that was, when it was over */
	_Atomic int64_t busy_ns; /* time not asleep in io_wait */
};

/* A connection on its way from the acceptor. */
struct handoff {
	struct handoff *next;
	int fd;
	struct client_address address;
	struct source *source; /* it counts there; null: nowhere */
};

enum { WORKER_SPARES = 64 };

struct worker {
	struct server *server;
	uint32_t index;
	int cpu; /* pinned to; -1: not */
	pthread_t thread;
	struct io *io;
	struct waker waker;
	struct epoch_slot slot;
	struct txn txn;
	struct access *access; /* the rules, a reference; null: none */
	uint64_t access_generation;
	struct peer_list peers, waiting, flushing, held;
	struct source_queues held_back; /* sources whose budgets are used up (peer_limit.h), ... */
	int64_t release_ns;		/* ... steady: when to look at them; while there are some */
	bool is_holding;		/* durability = commit: replies wait for the disk */
	uint64_t want_epoch;		/* newest that a reply of this turn is held for; 0: none */
	uint64_t durable;		/* what held peers were told last, */
	bool was_stuck;			/* ... and whether the disk was full */
	/* scratch of the request being executed */
	struct slice *names;
	size_t name_cap;
	int64_t *deltas;
	size_t delta_cap;
	struct txn_key *undo;
	size_t undo_cap;
	struct batch batch;
	struct peer_use use;		  /* of the batch that is being executed */
	struct buf spares[WORKER_SPARES]; /* empty output buffers, so that idle connections hold none */
	size_t spare_count;
	int64_t now_ms; /* monotonic, of this turn */
	int64_t awake_since_ns;
	int64_t slow_checked_ms;
	int64_t room_wanted_ms;	    /* when it last asked for a commit because memory was full */
	int64_t sessions_looked_ms; /* through all of them, for room */
	int64_t stop_deadline_ms;   /* run_down has begun; 0: not */
	uint32_t sending_count;	    /* peers with a send in flight */
	bool has_events;	    /* the last turn had some, or new connections */
	uint64_t sweep_cursor;
	bool is_expiring;		/* the last slice of what has expired was not the last */
	struct audit_sweep audit_sweep; /* of the first worker */
	bool is_sweeping;		/* after FLUSHALL: takes the dead out of memory, a slice a turn */
	/* shared */
	_Atomic(struct handoff *) inbox; /* pushed by the acceptor, taken whole by the worker */
	_Atomic bool is_stopping;
	struct pulse pulse; /* answered at the end of a turn */
	sem_t started;
	int start_error; /* before `started` is posted */
	struct worker_stats stats;
};

int worker_init(struct worker *w, struct server *server, uint32_t index, int cpu);
void worker_fini(struct worker *w);
int worker_start(struct worker *w);	  /* 0 or -errno; returns when it is running or has failed */
void worker_stop_begin(struct worker *w); /* answer what was received, close, end */
void worker_join(struct worker *w);

/* Acceptor: takes the handoff. */
void worker_give(struct worker *w, struct handoff *h);

/* FLUSHALL has set the floor: begin to sweep. */
void worker_begin_sweep(struct worker *w);

/* An empty output buffer from the spares, and back. */
struct buf worker_take_spare(struct worker *w);
void worker_give_spare(struct worker *w, struct buf *b);

static inline void stat_add(_Atomic uint64_t *stat, uint64_t n)
{
	/* One writer: no locked instruction. */
	atomic_store_explicit(stat, atomic_load_explicit(stat, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

#endif
