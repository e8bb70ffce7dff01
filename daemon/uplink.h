/* SPDX-License-Identifier: MIT */
/*
 * uplink.h - brings what is counted here to a Redis Cluster, where it adds up with what other daemons bring.
 * docs/design.md 7b.
 *
 * One thread, which may block; workers ask it (uplink_ask.h), the committer feeds its table
 * (uplink_table.h). Started behind the committer, ended before it, so that it can have things written to disk
 * as long as it lives; then main lets it push what the last commit brought.
 */
#ifndef SHC_UPLINK_H
#define SHC_UPLINK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/shard.h"
#include "../lib/shcount.h"
#include "../lib/url.h"
#include "config.h"
#include "uplink_ask.h"
#include "uplink_rule.h"
#include "uplink_table.h"
#include "waker.h"

struct cluster;
struct commit;
struct op;
struct resp_reply;
struct store;

enum { UPLINK_NODES_MAX = 64, UPLINK_WINDOW = 2048, UPLINK_ERROR_SIZE = 256, UPLINK_NODE_SIZE = 96 };

/* What is known of a master. */
struct uplink_node {
	char name[UPLINK_NODE_SIZE];
	uint64_t pushes, repairs;
	size_t left;		       /* of this round, without an answer */
	int64_t behind_ms;	       /* monotonic: since when something has been left; 0: nothing is */
	char error[UPLINK_ERROR_SIZE]; /* the last */
	bool is_there;		       /* it answered when it was last looked at */
};

/* Why a new incarnation is needed. */
enum uplink_break {
	UPLINK_WHOLE,	 /* it is not */
	UPLINK_GIVEN_UP, /* an operator has retired this one */
	UPLINK_COPIED,	 /* another disk goes on with it, or another one has */
};

/* A switch asks so often whether a replica of each master has what is there, then it goes on: about a minute,
 * in which an old master that lives on behind a partition has noticed. */
enum { UPLINK_WAITS = 20 };

enum uplink_condition { UPLINK_STARTING, UPLINK_UP, UPLINK_DOWN };

/* How far the ledgers of a master were looked through. */
struct uplink_scan {
	char node[UPLINK_NODE_SIZE];
	char cursor[24]; /* "0": from the beginning */
	bool is_through;
};

/* Through all ledgers of the cluster. `fn` says false when it cannot go on now. */
struct uplink;
typedef bool uplink_ledger_fn(struct uplink *u, void *arg, struct slice name);
struct uplink_walk {
	uplink_ledger_fn *fn;
	void *arg;
	struct uplink_scan *scans; /* owned */
	size_t count;
};

/* An incarnation that is being given up. */
struct uplink_retirement {
	struct uplink_question *question; /* who asked; null: nobody */
	struct uplink_walk walk;
	bool is_recorded;	     /* its record says so */
	int64_t count;		     /* ledgers that had a field of it */
	int64_t refused;	     /* ledgers where that cannot be done, */
	char why[UPLINK_ERROR_SIZE]; /* ... the first of them */
};

/* A total that was asked for, for when the cluster cannot be asked. */
enum { UPLINK_TOTALS = 1024 };
struct uplink_total {
	int64_t at_ms; /* monotonic; 0: none */
	int64_t value;
	bool is_there;
	uint8_t name_len;
	char name[NAME_LEN_MAX];
};

/* What the cluster refuses. Why, by the numbers that entries have: each reason once, the last one stands for
 * all for which there was no room. */
enum { UPLINK_WHYS = 16, UPLINK_WHY_SIZE = 160 };
struct uplink_refusals {
	char why[UPLINK_WHYS][UPLINK_WHY_SIZE];
	uint8_t why_count;
	char last[UPLINK_ERROR_SIZE]; /* a name, and why */
	size_t said_count;	      /* so many are said to be refused in the log; 0: nothing is said */
	int64_t said_ms;	      /* monotonic: of that line */
	bool is_kept_said;	      /* that names that begin with shc: stay here */
	int64_t due_ms;		      /* monotonic: some are tried again then, */
	bool is_all_due, is_all;      /* ... all at once, in the next round; in this one */
	uint64_t trying, tried;	      /* whoever asked before: of the round that goes on, and of one that is
				       * through */
};

/* A push that is under way. */
struct uplink_flight {
	struct uplink *uplink;
	struct uplink_push push;
	struct uplink_flight *next_free;
};

struct uplink {
	/* set before the start */
	const struct config *config;
	struct commit *commit;
	struct url url;
	char shown_url[256]; /* without a password */
	char host[256];	     /* this machine's name */
	struct cluster *cluster;
	char (*tags)[SHARD_TAG_SIZE]; /* owned, by slot */
	/* shared */
	struct uplink_table table;
	struct uplink_asks asks;
	struct waker waker;
	_Atomic bool is_stopping;
	_Atomic bool is_restored; /* this state is a copy: sessions and tokens are refused */
	/* written by the thread, read by any; relaxed, each for itself */
	_Atomic uint64_t pushes, repairs;
	_Atomic(enum uplink_condition) condition;
	/* the thread's own */
	pthread_t thread;
	bool has_thread;
	uint64_t incarnation;
	char incarnation_id[UPLINK_ID_SIZE];
	struct uplink_lineage lineage;
	bool is_registered;		      /* the record is this start's */
	bool is_record_due;		      /* ... or was: it is to be looked at */
	char record[UPLINK_RECORD_CHARS_MAX]; /* what is believed to be in it */
	size_t record_len;
	uint64_t record_epoch; /* of it */
	int64_t registered_ms; /* monotonic */
	enum uplink_break broken;
	uint64_t switch_topology;   /* when a switch began to look at what is there */
	unsigned wait_count;	    /* ... and how often it has asked replicas since */
	int64_t round_ms;	    /* monotonic: when the last round began */
	int64_t retry_ms, pause_ms; /* monotonic: not before; 0: at once */
	bool is_wanted;		    /* somebody waits for a round */
	bool is_scanning;	    /* the cluster's ledgers are being looked at, not this daemon's names */
	bool is_fast;		    /* some in each round */
	int64_t sweep_due_ms;	    /* monotonic: some more then */
	struct uplink_walk scan;
	struct uplink_retirement retirement;
	struct uplink_total *totals; /* owned: UPLINK_TOTALS of them, by hash */
	uint64_t topology;	     /* what it was when a sweep began: lost connections, who serves what */
	uint64_t answers, sweeps;
	char error[UPLINK_ERROR_SIZE];
	struct uplink_refusals refusals;
	int64_t until_ms;	  /* monotonic: of a stop, which waits for nobody beyond; 0: it is none */
	int64_t check_due_ms;	  /* monotonic: masters are looked at then */
	bool is_somebody_missing; /* one did not answer */
	struct uplink_node nodes[UPLINK_NODES_MAX];
	size_t node_count;
	struct uplink_flight *flights; /* owned: UPLINK_WINDOW of them */
	struct uplink_flight *free_flights;
};

/* Before the state is loaded: takes the URL of the configuration. 0 or negative; -EINVAL with the sentence
 * for it in `why`. */
int uplink_init(struct uplink *u, const struct config *config, struct commit *commit,
		char why[URL_ERROR_SIZE]);
void uplink_fini(struct uplink *u);

/* Main, when the table was loaded: finds out who this is, and has this start written down. 0 or negative:
 * store_error says why. */
int uplink_load(struct uplink *u, struct store *store);

int uplink_start(struct uplink *u);
/* Ends the thread; whoever waits for an answer is told so. */
void uplink_stop(struct uplink *u);
/* Main, behind the last commit: pushes what that brought to those masters that answer, for a short time. */
void uplink_finish(struct uplink *u);

/* The committer, before `epoch` is written: 0 or -ENOMEM; and when it is on disk. */
static inline int uplink_reserve(struct uplink *u, struct epoch_buffer *const *buffers, size_t count)
{
	return uplink_table_reserve(&u->table, buffers, count);
}
void uplink_end_epoch(struct uplink *u, struct epoch_buffer *const *buffers, size_t count, uint64_t epoch,
		      bool has_content);

/* ---- between the files of the uplink ---- the thread */

enum {
	UPLINK_CALL_MS =
		1000, /* a call of the cluster: as long as one that is silent may hold up the others */
	/* A round, and what must come before it, gives nobody up as soon as that would: a node with many
	 * daemons answers each of them now and then. What is given up there is done all the same, is sent
	 * again, and has all names looked at; so it would have more to do than before. */
	UPLINK_ROUND_MS = 4 * UPLINK_CALL_MS,
};

/* Whether it was answered, with an error reply; whom a server does not let in gets none. */
static inline bool uplink_is_refusal(enum shc_status status, const struct resp_reply *reply)
{
	return reply && (status == SHC_REFUSED || status == SHC_DENIED);
}

/* Keeps a sentence for the status: that a node is not there, for which there is a line in the log when it is
 * noticed. */
void uplink_note(struct uplink *u, const char *text);
/* The same, and logs it when it is another one than before. */
void uplink_say(struct uplink *u, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Begins a call of the cluster, of so many milliseconds; less when a stop has no more. */
void uplink_begin(struct uplink *u, int timeout_ms);
/* The master that a request was for; null: not known. uplink_nodes.c */
struct uplink_node *uplink_node_of(struct uplink *u, const struct op *op);
/* Whether all masters answer; and what they say of eviction, for they are to keep what they get. */
bool uplink_check_nodes(struct uplink *u);
/* Whether the master of a slot, and whether any master, answered then. */
bool uplink_is_slot_there(struct uplink *u, unsigned slot);
bool uplink_is_anybody_there(const struct uplink *u);
void uplink_ledger_key(const struct uplink *u, struct slice name, struct shard_key *out, unsigned *slot);

/* Why an incarnation is left. Where others go on with it, it does not matter any more that it was given up.
 */
void uplink_break_off(struct uplink *u, enum uplink_break why);
/* The newest epoch that is on disk, for what is compared with it. */
void uplink_see_epoch(struct uplink *u);
/* An array whose first element is a number, and the second a string. */
bool uplink_read_pair(const struct resp_reply *reply, bool *is_done, struct slice *text);
extern const char uplink_senseless[];

/* Whether this start is the record's; asks for it when it is time. False: not now, or broken.
 * uplink_record.c */
bool uplink_register(struct uplink *u);
/* Of an incarnation that was given up: this disk is the one that goes on from there. False: not now, or
 * another one does, which uplink_break_off was told. uplink_record.c */
bool uplink_claim(struct uplink *u);
/* One round: everything that is due, once. True: it is through. uplink_push.c */
bool uplink_round(struct uplink *u);

/* The cluster refuses this, and that is said; the number of the reason. `n`: the node, null: not known.
 * uplink_refused.c */
uint8_t uplink_refuse(struct uplink *u, struct uplink_node *n, const struct uplink_push *p, struct slice why);
/* A name that begins with shc:, which is this daemon's own affair. True: there is no more to do about it. */
bool uplink_keep(struct uplink *u, const struct uplink_push *p);
/* Before a round: what is refused is tried again, in turn, or all of it. Behind the round: what came of it.
 */
void uplink_retry_some(struct uplink *u);
void uplink_retry_end(struct uplink *u, bool is_through);
/* When that is to be done, monotonic. */
int64_t uplink_retry_ms(struct uplink *u);
/* Why a name is not in the cluster, and will not be as things are; false: it is, or may come there. */
bool uplink_put_why(const struct uplink *u, const struct uplink_state *s, char *out, size_t size);

/* A random number for a start, or for an incarnation: not 0, and below 2^63. */
uint64_t uplink_draw_id(void);

/* Who this is from now on: nothing is known of what the cluster has of it. */
void uplink_become(struct uplink *u, uint64_t incarnation);

/* A page of each master. uplink_sweep.c */
enum uplink_progress { UPLINK_NOT_NOW, UPLINK_MORE, UPLINK_THROUGH };
enum uplink_progress uplink_walk_some(struct uplink *u, struct uplink_walk *w);

/* Begins a sweep when a node may have been rolled back since the last time. */
void uplink_look_at_topology(struct uplink *u);

/* Puts some names into the round. False: a node does not answer. uplink_sweep.c */
bool uplink_sweep_some(struct uplink *u);
void uplink_sweep_begin(struct uplink *u, bool is_fast);

/* A new incarnation, because of u->broken. False: not now. uplink_switch.c */
bool uplink_switch(struct uplink *u);

/* Answers what can be answered now; with u->is_wanted some wait for a round. uplink_answer.c */
void uplink_answer_questions(struct uplink *u);
/* In a round that goes on: what needs none of its own. Requests may be put into the cluster. */
void uplink_answer_meanwhile(struct uplink *u);
/* One of them: fills its reply. uplink_verify.c */
void uplink_verify(struct uplink *u, struct uplink_question *q);
/* Some of what somebody wants to be retired; u->retirement.question: there is more. uplink_retire.c */
void uplink_retire_some(struct uplink *u);
/* Whoever asked for it waits as all others do. */
void uplink_retire_stop(struct uplink *u);
/* Whether so many replicas of each master have all that is there (0: the masters themselves; WHERE_ANY: one,
 * of those that have some); false: not within UPLINK_CALL_MS. */
enum { UPLINK_REPLICA_WHERE_ANY = -1 };
bool uplink_ask_replicas(struct uplink *u, int64_t replicas);
/* Whether so many replicas of each master (0: the masters themselves) have what was pushed there; false: not
 * now. uplink_wait.c */
bool uplink_wait_replicas(struct uplink *u, unsigned replicas);

#endif
