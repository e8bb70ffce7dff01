/* SPDX-License-Identifier: MIT */
/*
 * request.c - see request.h. The table of commands, and the way of one request: find it, check it, queue it
 * or open its counters, let the handler compute, commit, or park.
 */
#include "request.h"

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "../lib/resp.h"
#include "peer.h"
#include "peer_access.h"
#include "request_access.h"
#include "request_sub.h"
#include "server.h"
#include "worker.h"

#define R	 0
#define W	 COMMAND_WRITE
#define WC	 (COMMAND_WRITE | COMMAND_CREATE)
#define WW	 (COMMAND_WRITE | COMMAND_WHOLE)
#define WCW	 (COMMAND_WRITE | COMMAND_CREATE | COMMAND_WHOLE)
#define FAST	 COMMAND_FAST
#define QUICK(x) (COMMAND_FAST | COMMAND_QUICK_##x)
#define LOCKED	 COMMAND_LOCKED
#define NOMULTI	 COMMAND_NO_MULTI
#define INMULTI	 COMMAND_IN_MULTI
#define ADMIN	 COMMAND_ADMIN
#define BLOCKING COMMAND_BLOCKING
#define ANYBODY	 COMMAND_ANYBODY
#define ASWRITE	 COMMAND_AS_WRITE
#define ALL	 COMMAND_ALL
#define NAMED	 COMMAND_NAMED

/* Sorted by name. `since` is the version of Redis that the behaviour follows. */
static const struct command table[] = {
	/* name, arity, flags, keys, handler, group, since, summary, syntax */
	{"auth", -2, FAST | ANYBODY, 0, 0, 0, request_auth, "connection", "1.0.0",
	 "Authenticates the connection.", "[username] password"},
	{"bgsave", -1, ADMIN, 0, 0, 0, request_bgsave, "server", "1.0.0",
	 "Begins to fold the journal into the snapshot.", "[SCHEDULE]"},
	{"client", -2, R, 0, 0, 0, request_client, "connection", "2.4.0",
	 "A container for connection commands.", "subcommand [argument ...]"},
	{"command", -1, R, 0, 0, 0, request_command, "server", "2.8.13", "Describes the commands.",
	 "[COUNT | INFO | DOCS | LIST | HELP] [name ...]"},
	{"config", -2, ADMIN, 0, 0, 0, request_config, "server", "2.0.0", "Shows the settings.",
	 "GET pattern [pattern ...]"},
	{"dbsize", 1, FAST | ALL, 0, 0, 0, request_dbsize, "server", "1.0.0",
	 "Returns the number of counters.", ""},
	{"decr", 2, WC | QUICK(DECR), 1, 1, 1, request_decr, "string", "1.0.0",
	 "Subtracts one, returns the new value.", "name"},
	{"decrby", 3, WC | QUICK(DECR), 1, 1, 1, request_decrby, "string", "1.0.0",
	 "Subtracts a number, returns the new value.", "name decrement"},
	{"del", -2, WW, 1, -1, 1, request_del, "generic", "1.0.0",
	 "Deletes counters, returns how many there were.", "name [name ...]"},
	{"discard", 1, FAST | INMULTI, 0, 0, 0, request_discard, "transactions", "2.0.0",
	 "Forgets the commands queued since MULTI.", ""},
	{"echo", 2, FAST, 0, 0, 0, request_echo, "connection", "1.0.0", "Returns its argument.", "message"},
	{"exec", 1, INMULTI, 0, 0, 0, request_exec, "transactions", "1.2.0",
	 "Executes the commands queued since MULTI, isolated.", ""},
	{"exists", -2, FAST, 1, -1, 1, request_exists, "generic", "1.0.0",
	 "Returns how many of the names exist.", "name [name ...]"},
	{"expire", -3, WW | FAST, 1, 1, 1, request_expire, "generic", "1.0.0",
	 "Lets the counter expire in some seconds.", "name seconds [NX | XX | GT | LT]"},
	{"expireat", -3, WW | FAST, 1, 1, 1, request_expireat, "generic", "1.2.0",
	 "Lets the counter expire at a Unix time.", "name unix-time-seconds [NX | XX | GT | LT]"},
	{"expiretime", 2, FAST, 1, 1, 1, request_expiretime, "generic", "7.0.0",
	 "Returns the Unix time at which the counter expires.", "name"},
	{"flushall", -1, WCW | ALL, 0, 0, 0, request_flush, "server", "1.0.0", "Deletes all counters.",
	 "[ASYNC | SYNC]"},
	{"flushdb", -1, WCW | ALL, 0, 0, 0, request_flush, "server", "1.0.0", "Deletes all counters.",
	 "[ASYNC | SYNC]"},
	{"function", -2, ADMIN, 0, 0, 0, request_function, "scripting", "7.0.0",
	 "There are no functions: FLUSH has nothing to do.", "FLUSH [ASYNC | SYNC]"},
	{"get", 2, QUICK(GET), 1, 1, 1, request_get, "string", "1.0.0", "Returns the value.", "name"},
	{"getdel", 2, WW | FAST, 1, 1, 1, request_getdel, "string", "6.2.0",
	 "Returns the value and deletes the counter.", "name"},
	{"getex", -2, WW | FAST, 1, 1, 1, request_getex, "string", "6.2.0",
	 "Returns the value, and changes when the counter expires.",
	 "name [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]"},
	{"getset", 3, WCW | FAST, 1, 1, 1, request_getset, "string", "1.0.0",
	 "Sets the value, returns the one before.", "name value"},
	{"hello", -1, FAST | ANYBODY, 0, 0, 0, request_hello, "connection", "6.0.0",
	 "Greets the server and chooses the protocol.", "[protover [AUTH username password] [SETNAME name]]"},
	{"incr", 2, WC | QUICK(INCR), 1, 1, 1, request_incr, "string", "1.0.0",
	 "Adds one, returns the new value.", "name"},
	{"incrby", 3, WC | QUICK(INCR), 1, 1, 1, request_incrby, "string", "1.0.0",
	 "Adds a number, returns the new value.", "name increment"},
	{"increx", -2, WCW | FAST, 1, 1, 1, request_increx, "string", "8.8.0",
	 "Adds within bounds, and sets when the counter expires; returns the new value and what was added.",
	 "name [BYINT increment] [LBOUND lowerbound] [UBOUND upperbound] [SATURATE] [EX seconds | PX milliseconds | "
	 "EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] [ENX]"},
	{"info", -1, R, 0, 0, 0, request_info, "server", "1.0.0", "Returns facts and figures of the server.",
	 "[section ...]"},
	{"keys", 2, ALL, 0, 0, 0, request_keys, "generic", "1.0.0", "Returns all names that match a pattern.",
	 "pattern"},
	{"lastsave", 1, FAST, 0, 0, 0, request_lastsave, "server", "1.0.0",
	 "Returns the Unix time of the last complete snapshot.", ""},
	{"mget", -2, FAST, 1, -1, 1, request_mget, "string", "1.0.0",
	 "Returns several values, of one moment.", "name [name ...]"},
	{"mset", -3, WCW, 1, -2, 2, request_mset, "string", "1.0.1", "Sets several values at once.",
	 "name value [name value ...]"},
	{"multi", 1, FAST | INMULTI, 0, 0, 0, request_multi, "transactions", "1.2.0", "Begins a transaction.",
	 ""},
	{"persist", 2, WW | FAST, 1, 1, 1, request_persist, "generic", "2.2.0",
	 "Lets the counter never expire.", "name"},
	{"pexpire", -3, WW | FAST, 1, 1, 1, request_pexpire, "generic", "2.6.0",
	 "Lets the counter expire in some milliseconds.", "name milliseconds [NX | XX | GT | LT]"},
	{"pexpireat", -3, WW | FAST, 1, 1, 1, request_pexpireat, "generic", "2.6.0",
	 "Lets the counter expire at a Unix time in milliseconds.",
	 "name unix-time-milliseconds [NX | XX | GT | LT]"},
	{"pexpiretime", 2, FAST, 1, 1, 1, request_pexpiretime, "generic", "7.0.0",
	 "Returns the Unix time in milliseconds at which the counter expires.", "name"},
	{"ping", -1, FAST, 0, 0, 0, request_ping, "connection", "1.0.0", "Returns PONG, or its argument.",
	 "[message]"},
	{"psetex", 4, WCW, 1, 1, 1, request_psetex, "string", "2.6.0",
	 "Sets the value, and lets the counter expire in some milliseconds.", "name milliseconds value"},
	{"pttl", 2, FAST, 1, 1, 1, request_pttl, "generic", "2.6.0",
	 "Returns in how many milliseconds the counter expires.", "name"},
	{"quit", -1, FAST | INMULTI | ANYBODY, 0, 0, 0, request_quit, "connection", "1.0.0",
	 "Closes the connection.", ""},
	{"randomkey", 1, ALL, 0, 0, 0, request_randomkey, "generic", "1.0.0", "Returns a name at random.",
	 ""},
	{"reset", 1, FAST | INMULTI | ANYBODY, 0, 0, 0, request_reset, "connection", "6.2.0",
	 "Puts the connection back to its beginning.", ""},
	{"save", 1, ADMIN | NOMULTI | BLOCKING, 0, 0, 0, request_save, "server", "1.0.0",
	 "Folds the journal into the snapshot, returns when it is on disk.", ""},
	{"scan", -2, ALL, 0, 0, 0, request_scan, "generic", "2.8.0", "Walks over the names, some at a time.",
	 "cursor [MATCH pattern] [COUNT count] [TYPE type]"},
	{"select", 2, FAST, 0, 0, 0, request_select, "connection", "1.0.0", "There is one database: 0.",
	 "index"},
	{"set", -3, WCW, 1, 1, 1, request_set, "string", "1.0.0", "Sets the value, an integer.",
	 "name value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT "
	 "unix-time-milliseconds | KEEPTTL]"},
	{"setex", 4, WCW, 1, 1, 1, request_setex, "string", "2.0.0",
	 "Sets the value, and lets the counter expire in some seconds.", "name seconds value"},
	{"setnx", 3, WC | FAST, 1, 1, 1, request_setnx, "string", "1.0.0",
	 "Sets the value if the name is new.", "name value"},
	{"shc.add", -3, WC | COMMAND_SHARDED | QUICK(ADD), 1, -2, 2, request_shc_add, "string", "0.1.0",
	 "Adds to counters without returning values, on the scalable path; all or none.",
	 "name delta [name delta ...]"},
	{"shc.allow", -4, WCW | FAST, 1, 1, 1, request_shc_allow, "string", "0.2.0",
	 "Counts if a rate limit allows it; returns whether, how many more it allows, and when to try again.",
	 "name limit window-milliseconds [n]"},
	{"shc.apply", -3, WC | COMMAND_SHARDED | NOMULTI | COMMAND_REPEATED, 3, -2, 2, request_shc_apply,
	 "string", "0.2.0",
	 "Adds, as the next batch of the connection's session, what was not added before under that number.",
	 "sequence cursor [name delta ...]"},
	{"shc.backup", -2, ADMIN | NOMULTI | BLOCKING, 0, 0, 0, request_shc_backup, "server", "0.2.0",
	 "Copies the state of the running daemon.", "BEGIN | READ offset count | END | HELP"},
	{"shc.explain", 2, COMMAND_SHARDED | FAST | NOMULTI, 1, 1, 1, request_shc_explain, "string", "0.2.0",
	 "Returns what is known about one counter: its parts, and whether all of it is on disk.", "name"},
	{"shc.global", 2, NOMULTI | BLOCKING | NAMED, 0, 0, 0, request_shc_global, "string", "0.2.0",
	 "Returns a name's total over all daemons of the uplink, and how old that is in milliseconds.",
	 "name"},
	{"shc.hit", -2, WCW | FAST, 1, 1, 1, request_shc_hit, "string", "0.2.0",
	 "Counts in the present second, and adds to the value, which is returned.", "name [n]"},
	{"shc.hits", 3, LOCKED | FAST, 1, 1, 1, request_shc_hits, "string", "0.2.0",
	 "Returns the hits of a window of time up to now, and its resolution.", "name window-milliseconds"},
	{"shc.incr", -3, WCW | FAST, 1, 1, 1, request_shc_incr, "string", "0.2.0",
	 "Adds within bounds, with an expiry if that makes the counter; returns the new value and what was added.",
	 "name delta [PX milliseconds] [LBOUND lowerbound] [UBOUND upperbound]"},
	{"shc.log", -2, COMMAND_SHARDED | NOMULTI | BLOCKING, 1, 1, 1, request_shc_log, "string", "0.2.0",
	 "Returns entries of a counter's audit log, oldest first: the last ones, or the first behind a log_id.",
	 "name [count] [AFTER log_id]"},
	{"shc.once", -4, WC | COMMAND_SHARDED | NOMULTI | COMMAND_REPEATED, 2, -2, 2, request_shc_once,
	 "string", "0.2.0",
	 "Adds, all or none, unless that was done before with this token; returns the values.",
	 "token name delta [name delta ...]"},
	{"shc.session", 2, NOMULTI | ASWRITE, 0, 0, 0, request_shc_session, "connection", "0.2.0",
	 "Binds the connection to a session; returns how far it has come.", "id"},
	{"shc.shards", 2, COMMAND_SHARDED | FAST, 1, 1, 1, request_shc_shards, "string", "0.1.0",
	 "Returns what base and each cell of a counter hold.", "name"},
	{"shc.top", -1, NOMULTI | BLOCKING | ALL, 0, 0, 0, request_shc_top, "generic", "0.2.0",
	 "Returns the counters that change fastest, with their rates.", "[count]"},
	{"shc.uplink", -2, ADMIN | NOMULTI | BLOCKING, 0, 0, 0, request_shc_uplink, "server", "0.2.0",
	 "The uplink: how far it is, whether it is right.",
	 "STATUS | SYNC numreplicas timeout | VERIFY cursor [REPAIR] | RESET name | RETIRE incarnation | ACCEPT | HELP"},
	{"shutdown", -1, ADMIN | NOMULTI, 0, 0, 0, request_shutdown, "server", "1.0.0",
	 "Commits, folds and ends the daemon.", "[NOSAVE | SAVE] [NOW] [FORCE]"},
	{"time", 1, FAST, 0, 0, 0, request_time, "server", "2.6.0", "Returns the server's time.", ""},
	{"ttl", 2, FAST, 1, 1, 1, request_ttl, "generic", "1.0.0",
	 "Returns in how many seconds the counter expires.", "name"},
	{"type", 2, FAST, 1, 1, 1, request_type, "generic", "1.0.0", "Returns string, or none.", "name"},
	{"unlink", -2, WW | FAST, 1, -1, 1, request_del, "generic", "4.0.0",
	 "Deletes counters, returns how many there were.", "name [name ...]"},
	{"wait", 3, BLOCKING, 0, 0, 0, request_wait, "generic", "3.0.0", "There are no replicas: returns 0.",
	 "numreplicas timeout"},
	{"waitaof", 4, BLOCKING | ASWRITE, 0, 0, 0, request_waitaof, "generic", "7.2.0",
	 "Returns when everything acknowledged so far is on disk.", "numlocal numreplicas timeout"},
	{"watch", -2, FAST | INMULTI, 0, 0, 0, request_watch, "transactions", "2.2.0",
	 "Refused: there is no optimistic locking.", "name [name ...]"},
};

#undef R
#undef W
#undef WC
#undef WW
#undef WCW
#undef FAST
#undef QUICK
#undef LOCKED
#undef NOMULTI
#undef INMULTI
#undef ADMIN
#undef BLOCKING
#undef ANYBODY
#undef ASWRITE
#undef ALL
#undef NAMED

enum {
	COMMANDS = sizeof(table) / sizeof(table[0]),
	HASH_BITS = 8,
	ROOM_MS = 20,		    /* between two commits for the sake of memory */
	STUCK_BYTES_MAX = 64 << 20, /* what a worker may have uncommitted while the disk is full */
	AUDIT_BYTES_MAX =
		1 << 20, /* entries of the audit log, some 10000, before changes wait for the committer */
};

size_t command_count(void)
{
	return COMMANDS;
}

const struct command *command_at(size_t i)
{
	return &table[i];
}

/* ---- finding ---- a hash table over the first eight letters, made at start, before any thread. */

struct place {
	uint64_t word; /* name_word of the name */
	uint8_t len;
	bool is_letters;	     /* at most eight, all letters: the word says it all */
	const struct command *found; /* null: empty */
};

static struct place places[1 << HASH_BITS];

/* Up to eight bytes, without the bit that tells capitals: equal words are equal names as long as they are
 * letters. */
static uint64_t name_word(const char *name, size_t len)
{
	uint64_t word = 0;
	uint32_t low, high;

	if (len >= 8) {
		memcpy(&word, name, 8);
	} else if (len >= 4) {
		memcpy(&low, name, 4);
		memcpy(&high, name + len - 4, 4);
		word = low | (uint64_t)high << 8 * (len - 4);
	} else {
		for (size_t i = 0; i < len; i++)
			word |= (uint64_t)(unsigned char)name[i] << 8 * i;
	}
	return word & UINT64_C(0xdfdfdfdfdfdfdfdf);
}

static uint32_t place_of(uint64_t word, size_t len)
{
	return (uint32_t)((word + len) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - HASH_BITS));
}

__attribute__((constructor)) static void places_fill(void)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		size_t len = strlen(table[i].name);
		uint64_t word = name_word(table[i].name, len);
		uint32_t at = place_of(word, len);

		while (places[at].found)
			at = (at + 1) & ((1 << HASH_BITS) - 1);
		places[at] = (struct place){.word = word, .len = (uint8_t)len, .found = &table[i]};
		places[at].is_letters = len <= 8 && !strchr(table[i].name, '.');
	}
}

const struct command *command_find(struct slice name)
{
	uint64_t word = name_word(name.data, name.len);
	uint32_t at = place_of(word, name.len);

	for (; places[at].found; at = (at + 1) & ((1 << HASH_BITS) - 1)) {
		const struct place *p = &places[at];

		if (p->word == word && p->len == name.len &&
		    (p->is_letters || slice_is_word(name, p->found->name)))
			return p->found;
	}
	return NULL;
}

/* ---- errors before a handler ---- */

static bool is_printable(char c)
{
	return c >= ' ' && c <= '~';
}

static void put_printable(char *out, size_t out_size, struct slice s, size_t max)
{
	size_t n = 0;

	for (; n < s.len && n < max && n + 1 < out_size; n++)
		out[n] = is_printable(s.data[n]) ? s.data[n] : '?';
	out[n] = '\0';
}

/* In Redis's words, with at most 128 bytes of the arguments. */
static void put_unknown(struct buf *out, const struct slice *argv, size_t argc)
{
	char name[130], args[200] = "", word[130];
	size_t len = 0;

	put_printable(name, sizeof(name), argv[0], 128);
	for (size_t i = 1; i < argc && len < 128; i++) {
		put_printable(word, sizeof(word), argv[i], 128 - len);
		len += (size_t)snprintf(args + len, sizeof(args) - len, "'%s' ", word);
	}
	resp_put_errorf(out, "ERR unknown command '%s', with args beginning with: %s", name, args);
}

/* What was deleted takes its memory until two epochs have ended. Whoever needs it does not wait for two
 * commit intervals; nor is there a commit for each request that is refused. */
static void want_room(struct request *r)
{
	struct worker *w = r->worker;

	if (w->now_ms - w->room_wanted_ms < ROOM_MS)
		return;
	w->room_wanted_ms = w->now_ms;
	epoch_want(r->txn->epoch->clock, r->txn->epoch->own);
}

enum request_result reply_no_memory(struct request *r, int rc, const char *before)
{
	if (rc == -EDQUOT)
		want_room(r);
	resp_put_errorf(r->out, "%s%s", before,
			rc == -EDQUOT ? "OOM command not allowed when used memory > 'max-memory'."
				      : "OOM out of memory: nothing has changed");
	return REQUEST_DONE;
}

static void put_stuck(struct buf *out)
{
	resp_put_error(
		out, "MISCONF the state cannot be written to disk, and this change must wait for it; see the "
		     "daemon's log");
}

/* ---- executing ---- */

/* The names of a request as one array: its words, or copies when values stand between them. */
static const struct slice *names_of(struct request *r, size_t count)
{
	const struct command *c = r->command;
	struct worker *w = r->worker;

	if (c->key_step == 1)
		return &r->argv[c->key_first];
	if (txn_grow(&w->names, &w->name_cap, count, sizeof(*w->names)))
		return NULL;
	for (size_t i = 0; i < count; i++)
		w->names[i] = r->argv[(size_t)c->key_first + i * (size_t)c->key_step];
	return w->names;
}

static unsigned txn_mode_of(unsigned flags)
{
	return (flags & COMMAND_WRITE ? TXN_WRITE : 0u) | (flags & COMMAND_CREATE ? TXN_CREATE : 0u) |
	       (flags & COMMAND_WHOLE ? TXN_WHOLE : 0u) | (flags & COMMAND_LOCKED ? TXN_LOCKED : 0u);
}

enum request_result request_run(struct request *r)
{
	return r->command->handler(r);
}

bool request_park_for_cells(struct request *r, enum request_result *result)
{
	uint64_t epoch = r->txn->wait_epoch;

	if (epoch == 0)
		return false;
	if (commit_is_stuck(&r->worker->server->commit)) {
		put_stuck(r->out);
		*result = REQUEST_DONE;
		return true;
	}
	epoch_want(r->txn->epoch->clock, epoch);
	*result = peer_park(r->peer, WAIT_SEALED, epoch, -1);
	return true;
}

/* Counters open, handler, commit. TXN_WAIT: the reply is taken back. */
static int run_on_counters(struct request *r, const struct slice *names, size_t count,
			   enum request_result *result)
{
	size_t mark = buf_len(r->out);
	int rc = txn_open(r->txn, names, count, txn_mode_of(r->command->flags));

	if (rc)
		return rc;
	*result = request_run(r);
	rc = txn_commit(r->txn);
	if (rc)
		r->out->tail = r->out->head + mark;
	return rc;
}

static enum request_result execute_on_counters(struct request *r, size_t count)
{
	const struct slice *names = names_of(r, count);
	enum request_result result = REQUEST_DONE;
	int rc = names ? TXN_WAIT : -ENOMEM;

	for (size_t i = 0; i < count && names; i++) {
		if (!slice_is_name(names[i]))
			return reply_bad_name(r);
	}
	while (rc == TXN_WAIT) {
		rc = run_on_counters(r, names, count, &result);
		if (rc == TXN_WAIT && request_park_for_cells(r, &result))
			return result;
	}
	if (rc)
		reply_no_memory(r, rc, "");
	return result;
}

bool request_refuse_stuck(struct request *r)
{
	const struct worker *w = r->worker;

	if (!commit_is_stuck(&w->server->commit))
		return false;
	if (!w->is_holding && epoch_buffer_bytes(w->slot.open) <= STUCK_BYTES_MAX)
		return false;
	put_stuck(r->out);
	return true;
}

static inline bool has_piled_up(const struct request *r)
{
	return buf_len(&r->txn->epoch->open->audit) > AUDIT_BYTES_MAX;
}

bool request_wait_for_audit(struct request *r)
{
	struct worker *w = r->worker;

	if (!has_piled_up(r) || commit_is_stuck(&w->server->commit))
		return false;
	epoch_want(r->txn->epoch->clock, w->slot.own);
	(void)peer_park(r->peer, WAIT_SEALED, w->slot.own, -1);
	return true;
}

static enum request_result execute(struct request *r)
{
	const struct command *c = r->command;
	long count = command_key_count(c, r->argc);

	if ((c->flags & COMMAND_WRITE) && has_piled_up(r) && request_wait_for_audit(r))
		return REQUEST_PARK;
	if ((c->flags & COMMAND_WRITE) && !(c->flags & COMMAND_REPEATED) && request_refuse_stuck(r))
		return REQUEST_DONE;
	if (count == 0 || (c->flags & COMMAND_SHARDED))
		return request_run(r);
	return execute_on_counters(r, (size_t)count);
}

/* Redis closes such connections too: a browser was made to talk to us. */
static bool is_http(const struct slice *argv)
{
	return slice_is_word(argv[0], "post") || slice_is_word(argv[0], "host:");
}

static enum request_result refuse(struct peer *peer)
{
	/* A transaction that misses one of its commands must not be executed. */
	if (peer->multi.is_open)
		peer->multi.is_broken = true;
	return REQUEST_DONE;
}

static enum request_result refuse_unknown(struct peer *peer, const struct slice *argv, size_t argc)
{
	if (is_http(argv)) {
		peer_log_http(peer);
		return REQUEST_CLOSE;
	}
	put_unknown(&peer->out, argv, argc);
	return refuse(peer);
}

static bool is_arity_right(const struct command *c, size_t argc)
{
	return c->arity < 0 ? argc >= (size_t)-c->arity : argc == (size_t)c->arity;
}

static enum request_result dispatch(struct peer *peer, const struct command *c, const struct slice *argv,
				    size_t argc)
{
	struct request r = {
		.command = c,
		.argv = argv,
		.argc = argc,
		.peer = peer,
		.worker = peer->worker,
		.txn = &peer->worker->txn,
		.out = &peer->out,
		.proto = peer->proto,
	};

	if (!c)
		return refuse_unknown(peer, argv, argc);
	atomic_store_explicit(&peer->client.command, c->name, memory_order_relaxed);
	if (!is_arity_right(c, argc)) {
		if (c->handler == request_exec)
			return request_exec_refused(&r, "wrong number of arguments for 'exec' command");
		reply_arity(&r);
		return refuse(peer);
	}
	if (!peer->rights.is_free && !request_may(&r))
		return refuse(peer);
	if (peer->multi.is_open && !(c->flags & COMMAND_IN_MULTI)) {
		if (c->flags & COMMAND_NO_MULTI) {
			reply_error(&r, "ERR Command not allowed inside a transaction");
			return refuse(peer);
		}
		if (!subcommand_is_right(&r))
			return refuse(peer);
		request_queue(peer, c, argv, argc);
		return REQUEST_DONE;
	}
	/* In MULTI, EXEC says it, as in Redis. */
	if (command_key_count(c, argc) < 0)
		return reply_arity(&r);
	return execute(&r);
}

enum request_result request_execute(struct peer *peer, const struct command *command,
				    const struct slice *argv, size_t argc)
{
	size_t mark = buf_len(&peer->out);
	struct txn *txn = &peer->worker->txn;
	enum request_result result;

	txn_begin(txn);
	txn->client = &peer->client;
	result = dispatch(peer, command, argv, argc);
	if (result == REQUEST_PARK)
		return result;
	if (txn->told && peer->worker->is_holding && peer->reply_mode == REPLY_ON)
		peer_hold(peer, txn->told, mark);
	if (buf_len(&peer->out) > mark && buf_head(&peer->out)[mark] == '-')
		stat_add(&peer->worker->stats.errors, 1);
	if (peer->reply_mode == REPLY_ON)
		return result;
	/* CLIENT REPLY: OFF, SKIP itself, or the one that it skips. Only ON answers. */
	peer->out.tail = peer->out.head + mark;
	if (peer->reply_mode == REPLY_SKIP_NEXT)
		peer->reply_mode = REPLY_SKIP;
	else if (peer->reply_mode == REPLY_SKIP)
		peer->reply_mode = REPLY_ON;
	return result;
}
