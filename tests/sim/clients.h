/* SPDX-License-Identifier: MIT */
/*
 * clients.h - what the daemon's clients have in common: connections with requests in their pipelines, and
 * replies that are held against them in order (invariant 7).
 *
 * An actor (actors.c) is a client with a script. It sends ops; each op knows what its reply may be, both when
 * the daemon lets go of it (then, with durability = commit, what it tells must be on disk) and when it has
 * been received (then it is acknowledged).
 */
#ifndef SHC_SIM_CLIENTS_H
#define SHC_SIM_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../lib/resp.h"
#include "oracle_once.h"

enum { OPS_MAX = 64, SUMS_MAX = 8, ACTORS_MAX = 20 };

struct actor;
struct link;
struct op;

struct op_kind {
	const char *name;
	/* durability = commit: the reply leaves. May be null. */
	void (*leaves)(const struct op *op, const struct resp_reply *reply);
	void (*arrives)(struct op *op, const struct resp_reply *reply);
	/* No reply will come: the fate is unknown. May be null. */
	void (*is_lost)(const struct op *op);
	/* -MISCONF: surely not done. Null: never refused. */
	void (*is_refused)(const struct op *op);
};

struct op {
	const struct op_kind *kind;
	struct link *link;
	uint32_t what;	       /* which counter, token, ... */
	int64_t number;	       /* delta, value, sequence */
	int64_t low[SUMS_MAX]; /* what had been acknowledged when it was sent */
	int64_t low_once[LOWS];
	bool was_acked; /* a token */
};

struct link {
	struct actor *actor; /* null: left alone, its replies still count */
	struct net_conn *net;
	struct op ops[OPS_MAX]; /* a ring */
	uint64_t sent, left, arrived;
	struct buf out, left_bytes;
	struct resp_reader left_reader, reader;
	uint64_t memo;	  /* the script's own */
	bool is_mute;	  /* nothing more is sent on it */
	uint64_t binding; /* of a session */
	uint64_t asked;	  /* requests up to the last SHC.SESSION */
	bool is_unbound;  /* ... has ended by a refusal */
	bool is_shut;	  /* the daemon has been told so */
};

struct script {
	const char *name;
	/* Sends something on the link, or nothing. */
	void (*send)(struct actor *a, struct link *l);
	/* The connection is new. May be null. */
	void (*begin)(struct actor *a, struct link *l);
	bool may_take_over; /* leaves a link alone with requests in its pipeline, and opens another */
};

struct actor {
	const struct script *script;
	struct link *link;
	uint32_t index; /* among those of its script */
	uint64_t memo;	/* the script's own */
};

void clients_init(bool is_commit_mode);
void clients_fini(void);
struct actor *clients_add(const struct script *script, uint32_t index);
/* One client does one thing. */
void clients_step(void);
/* They send nothing more, and only take their replies. */
void clients_set_quiet(bool is_quiet);
uint64_t clients_owed(void);   /* replies */
uint64_t clients_coming(void); /* of these, those that have left the daemon */
/* After net_crash: what has come is taken, the rest is lost. */
void clients_crash(void);
bool clients_is_commit_mode(void);
uint64_t clients_arrived(void); /* replies, ever */

/* For scripts. printf-like for a request of words parted by blanks. */
struct op *link_send(struct link *l, const struct op_kind *kind, uint32_t what, int64_t number,
		     const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* A request that is not answered. */
void link_send_silent(struct link *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool link_has_room(const struct link *l, size_t count);

bool reply_is(const struct resp_reply *reply, const char *text); /* +text or $text */
bool reply_has_error(const struct resp_reply *reply, const char *code);
_Noreturn void op_fail(const struct op *op, const struct resp_reply *reply, const char *why);
#define op_check(op, reply, condition, why)                                                                  \
	do {                                                                                                 \
		if (!(condition))                                                                            \
			op_fail(op, reply, why);                                                             \
	} while (0)

#endif
