/* SPDX-License-Identifier: MIT */
/*
 * shcount.h - libshcount: the C client of shcounterd. The manual is libshcount(3), with whole programs.
 *
 * A handle is one connection, made at the first call that needs it and closed by shc_close. It belongs to one
 * thread at a time: there are no locks inside, and no globals, so different handles need none either. No
 * function prints, exits, raises a signal or touches how signals are handled; a signal that is handled
 * interrupts no call. After fork(2) a child may do nothing with a handle but shc_close it, which the parent
 * does not notice, and opens its own. Calls are cancellation points: a handle whose call was cancelled is
 * good for shc_close alone.
 *
 * Results: SHC_OK (0) and the other positive values of enum shc_status; never errno, which calls may change.
 * Later versions may add values: what is not known is a failure. shc_error() has the sentence. After
 * SHC_IN_DOUBT, SHC_UNREACHABLE or SHC_PROTOCOL the connection is closed, and what was pending or buffered is
 * forgotten, a session's batches excepted; the next call makes a new connection. A kept connection that the
 * server closed meanwhile is replaced unseen, once a call, as long as no byte of the call has left.
 *
 * Arguments are borrowed for the call, and may lie in the reply that the handle gave before. Every call waits
 * up to the handle's time limit, and there is none that waits for nothing: an event loop gives a thread to
 * its handle.
 */
#ifndef SHCOUNT_H
#define SHCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct shc;

enum shc_status {
	SHC_OK = 0,
	SHC_MISSING,	 /* the counter was never touched; the value reads 0 */
	SHC_REFUSED,	 /* an error reply of the server: overflow, wrong number, full disk, ...; nothing has
			    changed */
	SHC_UNREACHABLE, /* no connection, or no answer to a read within the time limit; nothing has changed
			  */
	SHC_IN_DOUBT,	 /* a change was sent and no answer came: it may or may not have been applied */
	SHC_DENIED,	 /* not permitted: NOAUTH, WRONGPASS, NOPERM, or the socket's mode */
	SHC_USAGE, /* an argument makes no sense (name, URL, time limit), or the call now, or TLS is not set
		      up here; nothing was sent */
	SHC_PROTOCOL, /* the server's bytes are not RESP, or make no sense; for a change that is SHC_IN_DOUBT
		       */
	SHC_MEMORY,   /* out of memory; nothing was sent */
	SHC_LOST      /* the session is another connection's now; see shc_session_open */
};

/* One reply as the server gave it, for shc_command. */
enum shc_type { SHC_T_NIL, SHC_T_INT, SHC_T_STRING, SHC_T_STATUS, SHC_T_ERROR, SHC_T_ARRAY };
struct shc_reply {
	enum shc_type type;
	int64_t integer;
	const char *data; /* STRING STATUS ERROR: `len` bytes, not NUL-terminated; the handle's until its next
			     call */
	size_t len;
	size_t count;			  /* ARRAY (maps and sets too) */
	const struct shc_reply *elements; /* null when there are none */
};

/* ---- a handle ---- */

/* Connects at the first use. `url`: "unix://[user[:password]@]/path", or a socket's path as it stands
 * (anything without "://"); "redis://[user[:password]@]host[:port]", with TLS "rediss://"; a Redis Cluster as
 * "redis+cluster://[user[:password]@]host[:port][,host[:port]...]", with TLS "rediss+cluster://". timeout_ms
 * bounds every call below as a whole, connecting included, but for the resolver's work on a host name (5000
 * is a good value). SHC_OK, SHC_USAGE or SHC_MEMORY. With SHC_USAGE *out is a handle whose shc_error says
 * what is wrong with the URL or the time limit, and keeps saying it: every call on it that returns a status
 * answers SHC_USAGE. With SHC_MEMORY it is null, which shc_error and shc_close take, and nothing else. */
enum shc_status shc_open(struct shc **out, const char *url, int timeout_ms);

/* Another limit from the next call on, at least 1. */
void shc_set_timeout(struct shc *shc, int timeout_ms);

/* Who to log in as, where the URL does not say it: a password in the URL is used alone, a user in it with
 * this password. `user` may be null. Both are copied, and wiped by shc_close. A server that wants no password
 * is not refused for this one's sake. SHC_OK, SHC_MEMORY, or SHC_USAGE: it was called before, or there has
 * been a connection. */
enum shc_status shc_set_auth(struct shc *shc, const char *user, const char *password);

/* ---- a Redis Cluster ----
 *
 * The calls below do the same on a cluster, over a connection to each node that is needed; redirections,
 * failovers and lost nodes are their business until the time limit ends. What differs: names that begin with
 * "shc:" are SHC_USAGE. A counter with sub-counters is read and removed part by part, and shc_incr gives the
 * sum that it reads behind its own addition. shc_once, shc_hit and shc_session_add add to the counter's own
 * key; shc_incr_within, shc_set_ttl and shc_allow are SHC_REFUSED for a counter that has any other. shc_sync
 * and `is_durable` wait until a replica of each node that was written to has it, where there are replicas; so
 * does a session before it takes the next batch, and it is slower for that. Of a refused batch of a session
 * what lies on other nodes may be in, and is not added again. A command of shc_command goes where its second
 * word lies, and shc_append is SHC_USAGE. With one Redis server (redis://) shc_add, shc_once and sessions
 * work in the same way, the others as with shcounterd. docs/design.md has the reasons, shcount(1) what a
 * failover can lose.
 *
 * These are SHC_USAGE on the handle of another server. */

enum { SHC_SHARDS_MAX = 1000 };

/* Over how many sub-counters additions to one counter are spread from now on, 1 to SHC_SHARDS_MAX; 1: over
 * none, the counter is one key. The cluster remembers it for each counter that is added to. What was ever
 * added to is read. */
enum shc_status shc_set_shards(struct shc *shc, unsigned shards);

/* Whether reading asks replicas, which may be behind their masters. */
enum shc_status shc_set_read_replica(struct shc *shc, bool reads_replica);

/* Connects (and authenticates) now, to find out early; does nothing while there is a connection. SHC_OK;
 * SHC_UNREACHABLE, SHC_DENIED, SHC_PROTOCOL, SHC_USAGE (no OpenSSL, or a file of $SHCOUNT_TLS_* that cannot
 * be used): what was buffered or pending is forgotten; nothing of it had
 * left. */
enum shc_status shc_connect(struct shc *shc);

/* How many connections it has made so far: whoever relies on something the server keeps for a connection, or
 * on talking to the same server process as before, compares. On a cluster it counts up when a node was lost
 * that had been talked to. */
uint64_t shc_connections(const struct shc *shc);

/* Sends nothing that is still buffered (see shc_flush), and waits for nothing. Null is allowed. */
void shc_close(struct shc *shc);

/* What the last call on this handle failed with, as a sentence without a newline; "" after success. It may
 * hold bytes of the server's, also such as a terminal acts on. The handle's, until its next call. Null is
 * allowed: shc_open had no memory. */
const char *shc_error(const struct shc *shc);

/* ---- one counter, one round trip ----
 *
 * Names: 1 to 255 bytes, no control characters. Outputs are untouched on failure. Each returns SHC_OK, or any
 * failure of enum shc_status but SHC_LOST: SHC_IN_DOUBT from those that change something, SHC_UNREACHABLE
 * also from those that do not and got no answer. What shc_add has buffered is not sent by them, and not seen.
 */

/* Adds and returns the new value (exact: unique and linearizable as long as only such calls change the
 * counter), which may be null. To subtract, add a negative delta. */
enum shc_status shc_incr(struct shc *shc, const char *name, size_t name_len, int64_t delta, int64_t *value);

/* What an addition must keep to: begin with SHC_BOUNDS_INIT. */
struct shc_bounds {
	int64_t min, max; /* of the new value */
	int64_t ttl_ms;	  /* when this addition makes the counter, it expires after so long; 0: never */
};
#define SHC_BOUNDS_INIT                                                                                      \
	{                                                                                                    \
		INT64_MIN, INT64_MAX, 0                                                                      \
	}

/* The same unless the new value would be less than `min` or greater than `max`: then SHC_REFUSED, and nothing
 * has changed. A counter that is there keeps the expiry that it has, or has not: nobody can come between
 * making it and giving it one. */
enum shc_status shc_incr_within(struct shc *shc, const char *name, size_t name_len, int64_t delta,
				const struct shc_bounds *bounds, int64_t *value);

/* SHC_OK, or SHC_MISSING with *value 0; SHC_REFUSED also when a Redis server keeps something else than a
 * number there. `value` may be null. */
enum shc_status shc_get(struct shc *shc, const char *name, size_t name_len, int64_t *value);

/* The same for up to 1048575 counters in one round trip; they are not read at one moment. `name_lens` may be
 * null: the names end with a NUL then. values[i] and is_there[i] (which may be null) are names[i]'s: 0 and
 * false when it was never touched. That is SHC_OK too. */
enum shc_status shc_mget(struct shc *shc, size_t count, const char *const *names, const size_t *name_lens,
			 int64_t *values, bool *is_there);

/* Gives the counter this value, whatever it had. */
enum shc_status shc_set(struct shc *shc, const char *name, size_t name_len, int64_t value);

/* The same, and it expires ttl_ms (at least 1) from now. */
enum shc_status shc_set_ttl(struct shc *shc, const char *name, size_t name_len, int64_t value,
			    int64_t ttl_ms);

/* Removes the counter. SHC_OK, or SHC_MISSING: there was none. */
enum shc_status shc_del(struct shc *shc, const char *name, size_t name_len);

/* One change of a counter that is audited (`audit` in the daemon's configuration). */
struct shc_log_entry {
	int64_t id;	       /* grows, and is never used again */
	int64_t time_us;       /* wall clock, microseconds since 1970 */
	int64_t delta;	       /* by how much the value changed, modulo 2^64 */
	int64_t value;	       /* after it */
	const char *operation; /* `operation_len` bytes, not NUL-terminated: "increment", "decrement", "set",
				  "delete", "expire", "flush" (all counters were deleted), or what later
				  versions add; the handle's until its next call */
	size_t operation_len;
	const char *peer; /* the same: who did it */
	size_t peer_len;
};

enum { SHC_LOG_MAX = 10000 };

/* The last `entries_max` (1 to SHC_LOG_MAX) entries of the counter's audit log, oldest first; when `after` is
 * not negative the first ones behind that id. `entries` has room for them; *count is how many there are.
 * Everything that was acknowledged before the call is among them. SHC_OK, also when there are none;
 * SHC_REFUSED: it is not audited, and has no entries; SHC_USAGE also on a Redis Cluster. */
enum shc_status shc_log(struct shc *shc, const char *name, size_t name_len, int64_t after, size_t entries_max,
			struct shc_log_entry *entries, size_t *count);

/* Returns SHC_OK when everything that was acknowledged to anybody so far is on disk. What shc_add has
 * buffered is not acknowledged: shc_flush first. SHC_IN_DOUBT: not within the time limit, or the connection
 * was lost since this handle wrote something, so that the server may have been killed in between: what this
 * handle had acknowledged before may or may not be there. */
enum shc_status shc_sync(struct shc *shc);

/* The total of a counter over all daemons that bring it to the same cluster, as the daemon's uplink knows it:
 * age_ms ago it was that, or what this daemon had pushed by then was in it. More than a few seconds: the
 * cluster is out of the daemon's reach. SHC_OK, or SHC_MISSING, with 0: the cluster has no such counter.
 * SHC_REFUSED: the daemon has no uplink; or, when the sentence begins with UPLINKDOWN, it neither reaches the
 * cluster nor has it known a total. With a Redis Cluster or server the same as shc_get, with an age of 0.
 * Both outputs may be null. */
enum shc_status shc_global(struct shc *shc, const char *name, size_t name_len, int64_t *value,
			   int64_t *age_ms);

/* As shc_sync, for the cluster of the daemon's uplink: SHC_OK when everything that was acknowledged to
 * anybody so far is in it, and so on this daemon's disk; with `replicas`, when so many replicas of each
 * master that was written to have it, too. SHC_REFUSED: the daemon has no uplink. SHC_USAGE also on a Redis
 * Cluster or server: what was acknowledged there is there. */
enum shc_status shc_sync_uplink(struct shc *shc, unsigned replicas);

/* The same for what was acknowledged of one counter: others that the cluster does not take, or whose part of
 * it is out of reach, do not matter to it. SHC_REFUSED also when the cluster does not take this one.
 * `replicas` are waited for at each master, so other than 0 it does depend on them all. */
enum shc_status shc_sync_uplink_name(struct shc *shc, const char *name, size_t name_len, unsigned replicas);

/* Adds once, however often it is asked for: `token` (1 to 255 bytes, no control characters) names this
 * addition to this counter, and the server remembers it for a time (24 h, unless it was told otherwise). So
 * this call may be repeated after any failure, and repeats itself: a lost connection is made anew and the
 * request resent until the handle's time limit ends. The same token with another counter is another token:
 * it adds there. With `is_durable` it also waits until the addition is on disk.
 *
 * SHC_OK: it is in, exactly once. *value is the counter's value now, *is_applied (both may be null) whether
 * it was added by the request that was answered, and not by an earlier one, be it one of this call.
 * SHC_IN_DOUBT: the time limit ended without an answer (or, with is_durable, without the disk), or the server
 * let nobody in when it was asked again; asking again with the same token is safe. SHC_REFUSED: not added
 * (overflow, full disk, too many tokens), or the token was used with another delta for this counter.
 * SHC_UNREACHABLE, SHC_DENIED, SHC_USAGE (also: shc_flush first), SHC_MEMORY: not added. */
enum shc_status shc_once(struct shc *shc, const char *token, size_t token_len, const char *name,
			 size_t name_len, int64_t delta, bool is_durable, int64_t *value, bool *is_applied);

/* ---- hits in time, and limits ----
 *
 * The server's clock is what counts; it is no matter when it is set back. */

/* Adds `n`, at least 1, to the counter and to the hits of this second. The value may be null. */
enum shc_status shc_hit(struct shc *shc, const char *name, size_t name_len, int64_t n, int64_t *value);

#define SHC_WINDOW_MS_MAX INT64_C(2592000000) /* the longest window: 30 days */

/* What a window had of hits. */
struct shc_hits {
	int64_t hits;	       /* INT64_MAX: as many, or more */
	int64_t resolution_ms; /* 1000, 60000 or 3600000: what the window was rounded up to multiples of */
};

/* The hits of the last window_ms (1 to SHC_WINDOW_MS_MAX), the running second included. They are kept by the
 * second for 5 minutes, by the minute for 24 hours, by the hour for 30 days: a longer window is counted in
 * minutes, or hours, with the one that is running. SHC_OK, also when there were none. */
enum shc_status shc_hits(struct shc *shc, const char *name, size_t name_len, int64_t window_ms,
			 struct shc_hits *out);

#define SHC_LIMIT_MS_MAX INT64_C(315619200000) /* the longest window of a limit: 10 years */

/* So many in each window: at once, or evenly, as in the generic cell rate algorithm (ITU-T I.371). What was
 * allowed comes back bit by bit, all of it within a window. */
struct shc_limit {
	int64_t count;	   /* at least 1, at most 10^15, and one a nanosecond of the window */
	int64_t window_ms; /* 1 to SHC_LIMIT_MS_MAX */
};

struct shc_allowance {
	bool is_allowed;
	int64_t remaining;	/* as many would be allowed now */
	int64_t retry_after_ms; /* until it would be allowed if nobody else asks; 0 when it is allowed */
};

/* Whether `n` (1 to limit->count) more keep to the limit; then they are added to the counter, in the same
 * step. Nothing changes when they do not, which is SHC_OK, too. A counter that this call makes expires when
 * its limit has recovered, and one that expires not before that. Another limit for the same counter may be
 * given at any time: what was used of the one before keeps its time, but not more than the window of this
 * one. */
enum shc_status shc_allow(struct shc *shc, const char *name, size_t name_len, const struct shc_limit *limit,
			  int64_t n, struct shc_allowance *out);

/* ---- many additions, no values: the scalable path ---- */

/* Adds to a buffer, and sends a batch when it is full, without waiting for its answer (at most a few batches
 * are unanswered). Per batch all or none. Names may repeat. A lost connection is told here or by shc_flush:
 * then all that was not acknowledged is forgotten, this addition too. Refused batches are told by shc_flush.
 */
enum shc_status shc_add(struct shc *shc, const char *name, size_t name_len, int64_t delta);

/* Sends what is left and waits for all answers. SHC_OK: every shc_add since the last shc_flush or failure is
 * acknowledged. SHC_REFUSED (SHC_DENIED): some batches were refused whole, the others are in; *refused (may
 * be null) counts their additions, shc_error has the first refusal. */
enum shc_status shc_flush(struct shc *shc, uint64_t *refused);

/* Has `fn` called, from inside the calls above, for each addition of a refused batch. It must not use the
 * handle. One addition that cannot be made refuses its whole batch: sending the others again, one by one, is
 * safe. */
typedef void shc_refused_fn(void *arg, const char *name, size_t name_len, int64_t delta);
void shc_on_refused(struct shc *shc, shc_refused_fn *fn, void *arg);

/* What became of all additions that shc_add took since shc_open. Together with what is buffered or unanswered
 * now they are all of them. */
struct shc_add_stats {
	uint64_t acknowledged;
	uint64_t refused;
	uint64_t in_doubt; /* sent, and no answer came that makes sense */
	uint64_t unsent;   /* forgotten with a lost connection before a byte had left */
};
void shc_add_stats(const struct shc *shc, struct shc_add_stats *out);

/* ---- a session: many additions, each exactly once ----
 *
 * A session is a name at the server with the number of the last batch that was applied and the cursor that
 * came with it: any bytes of the caller's that say where in its input the batch ended. Number, cursor and
 * additions are stored together or not at all. So whoever opens the session, after whatever crash, is told
 * where to go on, and nothing counts twice or is left out.
 *
 * Batches are sent without waiting, and kept here until they are known to be on the server's disk. A
 * connection that is lost, be it because the server was killed and started again, is made anew inside the
 * calls, with short pauses, until the handle's time limit for the call ends; the server is asked for its last
 * number, and the batches behind that are sent again.
 *
 * A handle has one session at a time, and then serves no other call but shc_close, shc_error,
 * shc_set_timeout, shc_on_refused, shc_add_stats and the ones below; others answer SHC_USAGE. */

enum {
	SHC_BATCH_ADDS_MAX = 262144,	/* additions of one batch */
	SHC_BATCH_BYTES_MAX = 32 << 20, /* the same, as bytes of the request */
	SHC_CURSOR_MAX = 4096,		/* bytes of a cursor */
	/* What is kept here until it is on the server's disk: so many batches or bytes, and one batch more.
	 */
	SHC_KEPT_BATCHES_MAX = 64,
	SHC_KEPT_BYTES_MAX = 32 << 20
};

/* Where the session stands. */
struct shc_session {
	int64_t last_seq;   /* the number of its last batch; 0: new */
	const char *cursor; /* `cursor_len` bytes, that batch's; the handle's, until the session is closed */
	size_t cursor_len;
};

/* Opens the session `id` (1 to 255 bytes, no control characters) and takes it over from any other connection.
 * Returns when what it tells is on disk. An open session of this handle is closed first. Retries as the calls
 * below. SHC_OK; SHC_UNREACHABLE: no answer, or not from the disk, within the time limit; SHC_REFUSED,
 * SHC_DENIED, SHC_PROTOCOL, SHC_USAGE (also: shc_flush, or shc_next, first), SHC_MEMORY. In all cases nothing
 * was added. */
enum shc_status shc_session_open(struct shc *shc, const char *id, size_t id_len, struct shc_session *out);

/* Puts an addition into the open batch; nothing is sent. Names may repeat. SHC_OK; SHC_USAGE: the batch is
 * full (the limits above) or the name no name; SHC_MEMORY; or what has ended the session, see below. */
enum shc_status shc_session_add(struct shc *shc, const char *name, size_t name_len, int64_t delta);

/* Closes the open batch, which may be empty (then only the cursor moves), numbers and sends it. Waits only
 * while too much is kept. `cursor` may be null when cursor_len is 0.
 * SHC_OK: the batch is on its way.
 * SHC_IN_DOUBT, SHC_UNREACHABLE: the time limit ended; the batch is kept like those before it, and nothing is
 * forgotten: call shc_session_flush until that returns SHC_OK, before anything else is added. (IN_DOUBT: some
 * of what is kept may have been applied. UNREACHABLE: nothing of it has left.) Or give up: whoever opens the
 * session next finds out what is in.
 * SHC_USAGE (a cursor of more than SHC_CURSOR_MAX bytes; or a flush is needed first), SHC_MEMORY: the batch
 * stays open.
 * These end the session, and every call then answers the same until it is closed or opened again:
 * SHC_LOST: another connection has taken it over, or has applied batches under our numbers. Nothing is
 * resent: that would be a fight. SHC_REFUSED: a batch was refused (overflow, full disk, memory): that one and
 * all behind it are not in, those before it are. shc_on_refused has the additions of that one. Or the server
 * knows less than was on its disk before: a backup has been restored. shc_error says which. SHC_DENIED,
 * SHC_PROTOCOL. */
enum shc_status shc_session_apply(struct shc *shc, const char *cursor, size_t cursor_len);

/* Waits until every batch is applied and on disk. The open batch is not part of it. Statuses as of
 * shc_session_apply; after SHC_IN_DOUBT or SHC_UNREACHABLE, calling it again goes on. */
enum shc_status shc_session_flush(struct shc *shc);

/* Ends the session on this side and forgets what is kept. Harmless without one. */
void shc_session_close(struct shc *shc);

struct shc_session_stats {
	int64_t given_seq;    /* of the last batch that shc_session_apply took */
	int64_t applied_seq;  /* up to here the server has said that it applied them */
	int64_t stored_seq;   /* up to here they are on its disk */
	size_t kept_batches;  /* given, not stored */
	size_t kept_bytes;    /* their requests */
	uint64_t connections; /* times the session was bound anew after a loss */
	uint64_t resent;      /* batches sent more than once */
};
void shc_session_stats(const struct shc *shc, struct shc_session_stats *out);

/* ---- any command ---- */

/* One command of `argc` words (1 to 1048576) and its reply, which belongs to the handle until the next call.
 * `argv_len` may be null: the words end with a NUL then. `is_write` decides between SHC_IN_DOUBT and
 * SHC_UNREACHABLE when no answer comes. An error reply gives SHC_REFUSED or SHC_DENIED and *reply with type
 * SHC_T_ERROR; with every other failure *reply is untouched. For commands with one reply each: not SUBSCRIBE,
 * MONITOR or CLIENT REPLY. What a command does to its connection (SELECT, HELLO, MULTI) ends with it unseen:
 * send MULTI to EXEC as one pipeline. */
enum shc_status shc_command(struct shc *shc, size_t argc, const char *const *argv, const size_t *argv_len,
			    bool is_write, const struct shc_reply **reply);

/* Pipelining: shc_append puts a command into the outgoing buffer, which grows as needed, and sends nothing:
 * SHC_OK, SHC_USAGE or SHC_MEMORY. shc_next sends what is buffered and returns the next reply in order, with
 * the statuses of shc_command; SHC_USAGE: none is pending. After SHC_REFUSED and SHC_DENIED the others go on,
 * unless shc_pending is 0: the server wanted no connection. shc_pending is the number of replies not taken
 * yet. While some are pending only these three, shc_error, shc_close and shc_set_timeout may be used; others
 * answer SHC_USAGE. */
enum shc_status shc_append(struct shc *shc, size_t argc, const char *const *argv, const size_t *argv_len,
			   bool is_write);
enum shc_status shc_next(struct shc *shc, const struct shc_reply **reply);
size_t shc_pending(const struct shc *shc);

/* Of the library that runs, as "0.1.0". Static. */
const char *shc_version(void);

#ifdef __cplusplus
}
#endif
#endif
