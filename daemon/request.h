/* SPDX-License-Identifier: MIT */
/*
 * request.h - one request: from its words to its reply. One table (request.c) names every command once:
 * handler, arity, which arguments are counters, what it does to them, and its documentation (COMMAND, COMMAND
 * DOCS).
 *
 * A handler computes: it sees the counters of its request opened (request_key), changes the staged copies,
 * and puts exactly one reply into `out`. It does not lock, commit, park or send: request_execute does, from
 * the table. So the same handler serves alone and inside EXEC. Thread: the worker of the connection.
 */
#ifndef SHC_REQUEST_H
#define SHC_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/buf.h"
#include "../lib/role.h"
#include "../lib/slice.h"
#include "txn.h"

/* Whose commands these are: clients choose by it what they ask for. */
#define REDIS_VERSION "7.0.15"

struct peer;
struct worker;
struct request;

/* What becomes of the connection after a handler. */
enum request_result {
	REQUEST_DONE = 0, /* the reply stands in out (or CLIENT REPLY says none is wanted) */
	REQUEST_PARK,	  /* no reply yet: peer->wait says until when; the request is then done again */
	REQUEST_CLOSE,	  /* close when what stands in out is sent */
};

typedef enum request_result request_fn(struct request *r);

enum command_flags {
	COMMAND_WRITE = 1 << 0,	   /* changes counters */
	COMMAND_CREATE = 1 << 1,   /* and makes missing ones */
	COMMAND_WHOLE = 1 << 2,	   /* must see all cells still (more than adding) */
	COMMAND_SHARDED = 1 << 3,  /* opens its counters itself (txn_add) unless inside EXEC */
	COMMAND_IN_MULTI = 1 << 4, /* done at once even after MULTI: EXEC, DISCARD, ... */
	COMMAND_NO_MULTI = 1 << 5, /* refused after MULTI */
	COMMAND_ADMIN = 1 << 6,
	COMMAND_FAST = 1 << 7,	   /* for COMMAND's flags only */
	COMMAND_BLOCKING = 1 << 8, /* for COMMAND's flags only */
	COMMAND_LOCKED = 1 << 13,  /* reads what is beside the value (TXN_LOCKED) */
	COMMAND_REPEATED = 1 << 9, /* may have been done before: looks for that first, then for a full disk */
	/* who may (request_access.c), where it does not follow from the above */
	COMMAND_ANYBODY = 1 << 14,  /* even who has no rights at all */
	COMMAND_AS_WRITE = 1 << 15, /* changes something, if not counters */
	COMMAND_ALL = 1 << 16,	    /* is about all counters: he needs the role on all names */
	COMMAND_NAMED = 1 << 17,    /* its second word is a name, though no counter is opened */
	/* has a short way (request_quick.c), and which */
	COMMAND_QUICK_INCR = 1 << 10,
	COMMAND_QUICK_DECR = 2 << 10,
	COMMAND_QUICK_ADD = 3 << 10,
	COMMAND_QUICK_GET = 4 << 10,
	COMMAND_QUICK = 7 << 10,
};

struct command {
	const char *name; /* lower case */
	int arity;	  /* words with the name; negative: at least */
	unsigned flags;
	int key_first, key_last,
		key_step; /* as in COMMAND; 0: none; last -1: the last word, -2: the last but one */
	request_fn *handler;
	const char *group;   /* COMMAND DOCS */
	const char *since;   /* version of Redis, or ours for SHC.* */
	const char *summary; /* one sentence */
	const char *syntax;  /* arguments, for people */
};

struct request {
	const struct command *command;
	const struct slice *argv; /* argv[0] is the name */
	size_t argc;
	struct peer *peer;
	struct worker *worker;
	struct txn *txn;
	struct buf *out;
	int proto;	  /* 2 or 3 */
	bool is_in_exec;  /* counters are opened and committed by EXEC */
	size_t key_index; /* of this request's first counter in the txn */
};

/* The i-th counter of the request, in the order of its words. */
static inline struct txn_key *request_key(const struct request *r, size_t i)
{
	return txn_key(r->txn, r->key_index + i);
}

/* How many counters the words of a request name; -1 for a number of words that does not fit (MSET a 1 b). */
static inline long command_key_count(const struct command *c, size_t argc)
{
	long last = c->key_last < 0 ? (long)argc + c->key_last : c->key_last;

	if (!c->key_first || last == c->key_first - c->key_step)
		return 0;
	if (last < c->key_first || (c->key_last < 0 && (last - c->key_first) % c->key_step))
		return c->key_last < 0 ? -1 : 0;
	return (last - c->key_first) / c->key_step + 1;
}

/* What a request needs: a role on its names, or on all. */
struct command_need {
	enum role role;
	bool is_all;
	size_t name_at; /* a word that is a name, beside the table's keys; 0: none */
};

/* What is for admins is about the daemon, and so about all names. */
static inline struct command_need command_need(const struct command *c)
{
	bool is_write = c->flags & (COMMAND_WRITE | COMMAND_AS_WRITE);

	return (struct command_need){
		.role = c->flags & COMMAND_ANYBODY ? ROLE_NOBODY
			: c->flags & COMMAND_ADMIN ? ROLE_ADMIN
			: is_write		   ? ROLE_WRITE
						   : ROLE_READ,
		.is_all = c->flags & (COMMAND_ADMIN | COMMAND_ALL),
		.name_at = c->flags & COMMAND_NAMED ? 1 : 0,
	};
}

/* The table. */
const struct command *command_find(struct slice name); /* case does not matter; null: unknown */
size_t command_count(void);
const struct command *command_at(size_t i);

/* Executes one request of the peer, or queues it after MULTI: puts the reply into peer's out, or parks.
 * `command` is what command_find says of argv[0]. */
enum request_result request_execute(struct peer *peer, const struct command *command,
				    const struct slice *argv, size_t argc);

/* TXN_WAIT: parks until the cells have come to rest. False: do it again at once. While the disk is full no
 * epoch ends, so nothing comes to rest: then *result is REQUEST_DONE and MISCONF the reply. */
bool request_park_for_cells(struct request *r, enum request_result *result);

/* What -EDQUOT or -ENOMEM of a transaction is answered with, `before` standing before the reason. At
 * max-memory what waits to be freed is freed soon. */
enum request_result reply_no_memory(struct request *r, int rc, const char *before);

/* Puts MISCONF and says true when a change cannot be taken on: the disk is full, and either replies wait for
 * it, or as much waits already as may. */
bool request_refuse_stuck(struct request *r);

/* Before a change: parks, and says true, when there are so many entries of the audit log in the open epoch
 * that the committer is to have them first. Rows take it longer than they take us. */
bool request_wait_for_audit(struct request *r);

/* ---- patterns, and what takes long for other reasons ---- nobody else is served by this worker meanwhile */

/* Is it short enough to be compared with many words? False: an error was put. */
bool request_is_pattern(struct request *r, struct slice pattern);

/* May so many steps (of some ns each) be made? Always, where the caller bounds them; in EXEC, which cannot be
 * left and come back to, until all its commands have made EXEC_STEPS_MAX. False: the caller puts an error. */
bool request_may_look(struct request *r, uint64_t steps);

/* Bytes of replies that a connection may buffer. */
int64_t request_output_limit(const struct request *r);

/* Runs one handler on counters that stand open already. For EXEC. */
enum request_result request_run(struct request *r);

/* Names and deltas in turn, `count` pairs from argv[first] on, into the worker's scratch (names, deltas). 0,
 * or an error was put. */
int request_parse_adds(struct request *r, size_t first, size_t count);

/* ---- moments ---- request_expire.c */

/* How a moment is given: EX, PX, EXAT, PXAT. */
struct moment_unit {
	bool is_seconds, is_absolute;
};

/* Is this one of those words? */
bool request_is_moment(struct slice word, struct moment_unit *out);

/* As an option: the word and its number. */
struct moment_option {
	struct moment_unit unit;
	struct slice number; /* data null: not given */
};

/* The option at argv[*i]; *i moves onto its number. Given again with the same word it counts again, as in
 * Redis. False: there is none here, or with another word than before. */
bool request_take_moment(const struct request *r, size_t *i, struct moment_option *m);

/* The number as wall clock in ms; in the past is allowed when it is absolute. False: an error in Redis's
 * words was put. */
bool request_parse_moment(struct request *r, struct slice number, struct moment_unit unit, int64_t *at_ms);

/* ---- replies that many handlers give ---- in Redis's words; all return REQUEST_DONE */
enum request_result reply_ok(struct request *r);
enum request_result reply_error(struct request *r, const char *text); /* "ERR ..." */
enum request_result reply_not_integer(struct request *r);
enum request_result reply_syntax(struct request *r);
enum request_result reply_overflow(struct request *r);
enum request_result reply_stuck(struct request *r); /* MISCONF: the store has refused */
enum request_result reply_arity(struct request *r);
enum request_result reply_bad_name(struct request *r);
enum request_result reply_int(struct request *r, int64_t v);
enum request_result reply_unknown_subcommand(struct request *r);

/* ---- handlers, by file ---- */
/* request_counter.c */
request_fn request_get, request_set, request_getset, request_getdel, request_setnx, request_mget,
	request_mset, request_incr, request_decr, request_incrby, request_decrby, request_del, request_exists,
	request_type, request_shc_add, request_shc_shards;
/* request_expire.c */
request_fn request_expire, request_pexpire, request_expireat, request_pexpireat, request_ttl, request_pttl,
	request_expiretime, request_pexpiretime, request_persist, request_getex, request_setex,
	request_psetex;
/* request_bound.c */
request_fn request_increx, request_shc_incr;
/* request_window.c */
request_fn request_shc_hit, request_shc_hits, request_shc_allow;
/* request_explain.c */
request_fn request_shc_explain;
/* request_top.c */
request_fn request_shc_top;
/* request_keys.c: the whole table */
request_fn request_scan, request_keys, request_dbsize, request_randomkey, request_flush;
/* request_once.c */
request_fn request_shc_once;
/* request_session.c */
request_fn request_shc_session, request_shc_apply;
void request_session_end(struct peer *peer); /* RESET, and the end of a connection */
/* Puts an error and says true when the state is a copy of an older one, which may know less of sessions and
 * tokens than clients were told. */
bool request_refuse_restored(struct request *r);
/* request_log.c */
request_fn request_shc_log;
request_fn request_shc_global, request_shc_uplink;

/* What the cluster says of a name, for SHC.EXPLAIN: two pairs of a map go to `pairs`, or nothing. True:
 * *result is what the handler is to return now. */
bool request_ask_uplink(struct request *r, struct slice name, struct buf *pairs, enum request_result *result);
/* request_backup.c */
request_fn request_shc_backup;
/* request_multi.c */
request_fn request_multi, request_exec, request_discard, request_watch;
/* EXEC that is refused ends the transaction, too; `why` is Redis's. */
enum request_result request_exec_refused(struct request *r, const char *why);
void request_queue(struct peer *peer, const struct command *command, const struct slice *argv, size_t argc);
void request_multi_reset(struct peer *peer); /* as DISCARD; RESET, and the end of a connection */
/* request_durable.c: barriers and the snapshot */
request_fn request_wait, request_waitaof, request_save, request_bgsave, request_lastsave, request_shutdown;
/* request_auth.c */
request_fn request_auth, request_hello, request_reset;
/* request_server.c, request_command.c, request_config.c */
request_fn request_ping, request_echo, request_select, request_quit, request_time, request_function;
request_fn request_command;
request_fn request_config;
/* request_info.c */
request_fn request_info;
/* request_client.c */
request_fn request_client;

#endif
