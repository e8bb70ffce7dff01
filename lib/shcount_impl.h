/* SPDX-License-Identifier: MIT */
/*
 * shcount_impl.h - what shcount.c (a handle, pipelines), shcount_counter.c, shcount_add.c (batches of
 * additions), shcount_once.c, shcount_session.c and shcount_uplink.c share: the handle behind shcount.h.
 * Internal to libshcount.
 */
#ifndef SHC_SHCOUNT_IMPL_H
#define SHC_SHCOUNT_IMPL_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "resp.h"
#include "shcount.h"
#include "wire.h"

enum {
	ADD_PAIRS_MAX =
		512, /* a batch is one request, which the daemon handles without a pause: keep it short */
	ADD_BYTES_MAX = 32 << 10,   /* the same for long names */
	ADD_BATCHES_UNANSWERED = 8, /* enough to keep both sides busy */
};

/* Additions of one SHC.ADD, kept until its answer so that a refusal can name them. */
struct add_batch {
	struct buf body; /* each: one byte length of the name, the name, eight bytes delta */
	uint32_t count;
};

struct shc {
	struct wire wire;
	struct shc_reply reply;	 /* the one handed out */
	struct shc_reply *nodes; /* owned: its elements */
	size_t nodes_cap;
	/* shc_add: a ring; `batch_open` is being filled, the `batches_unanswered` before it have been sent */
	struct add_batch batches[ADD_BATCHES_UNANSWERED + 1];
	uint32_t batch_open, batches_unanswered;
	enum shc_status refusal;   /* what shc_flush has to tell */
	char refusal_text[256];	   /* the first refusal's words */
	uint64_t refused_in_flush; /* additions since the last shc_flush */
	struct shc_add_stats stats;
	shc_refused_fn *refused_fn;
	void *refused_arg;
	struct session *session; /* owned; null when none is open */
	bool is_identified;	 /* a server on TCP has said what it is */
	struct redis *redis;	 /* owned; where counters are in Redis. With a cluster the wire is not used */
	uint64_t unsynced_on;	 /* the connection that the oldest write was acknowledged on that no sync has
				    covered; 0: none */
};

/* SHC_DENIED for the codes that say so, else SHC_REFUSED; for an error reply. */
enum shc_status shcount_classify(struct slice error);

/* In one Redis server, single counters are changed as in shcounterd, over the wire. */
static inline bool shcount_on_cluster(const struct shc *shc)
{
	return shc->wire.url.kind == URL_CLUSTER;
}

/* Sends what is buffered and takes the next reply that is not a batch's, with the statuses of shc_next. */
enum shc_status shcount_next_reply(struct shc *shc, const struct shc_reply **reply);

/* The answer is of a kind that its command does not have: the connection is closed. */
enum shc_status shcount_unexpected(struct shc *shc, bool is_write);

/* Takes one answer of a batch off the wire's reply. SHC_OK, also for a refusal, which shc_flush will tell;
 * SHC_IN_DOUBT: it is none of SHC.ADD's, and the connection is closed. */
enum shc_status shcount_batch_answered(struct shc *shc, const struct resp_reply *reply);

/* A write was acknowledged. */
static inline void shcount_wrote(struct shc *shc)
{
	if (!shc->unsynced_on)
		shc->unsynced_on = shc->wire.connections;
}

/* Finds out who the server is, where that is not known. `is_patient`: until the deadline, when there is none.
 */
enum shc_status shcount_identify(struct shc *shc, bool is_patient);

/* Has a call on a counter, which has begun, know whether that is in Redis (shc->redis), and copies its name,
 * which may lie in a reply. SHC_USAGE: it is no name. */
enum shc_status shcount_locate(struct shc *shc, struct slice *name, char room[NAME_LEN_MAX]);

/* A command to the one server, and its reply, with the statuses of shc_next. */
enum shc_status shcount_ask(struct shc *shc, size_t argc, const struct slice *argv, bool is_write,
			    const struct shc_reply **reply);

/* SHC_REFUSED: the counter is `now`, and what was to be added would pass a bound. */
enum shc_status shcount_passes(struct shc *shc, int64_t now, int64_t delta, const struct shc_bounds *bounds);

/* Begins a call that needs the handle for itself: SHC_OK or SHC_USAGE. */
enum shc_status shcount_begin(struct shc *shc);

/* The same without the clock: see wire.h. */
enum shc_status shcount_begin_untimed(struct shc *shc);

/* Something that all that was acknowledged is to have got to. */
struct barrier {
	size_t argc; /* what the server is asked, with shcount_waiting_ms in it */
	const struct slice *argv;
	int (*is_reached)(const struct shc_reply *reply); /* negative: that is no answer to it */
	const char *where;				  /* as in "it is not WHERE" */
	const char *who_knows;				  /* more about it, for who waited in vain */
};

/* How long the server may wait for it: a little less than we do, so that its "not yet" still arrives and the
 * connection lives. */
int64_t shcount_waiting_ms(const struct shc *shc);

/* Asks for it, in a call that has begun. SHC_OK: everything that this handle was acknowledged is there.
 * SHC_IN_DOUBT: not in time, or the server that acknowledged it may be another one. */
enum shc_status shcount_wait_for(struct shc *shc, const struct barrier *b);

/* An error reply that will be another one soon: the server is loading, or has no room for one more. */
bool shcount_is_passing(const struct resp_reply *reply);

/* Puts WAITAOF for ever into `out`; what came before it on the connection is on disk when it is answered. */
void shcount_put_barrier(struct buf *out);

/* Whether the reply to it says so. */
bool shcount_is_on_disk(const struct resp_reply *reply);

/* The connection failed: no batch is on its way any more. */
void shcount_batches_lost(struct shc *shc);

#endif
