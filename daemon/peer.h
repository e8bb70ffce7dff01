/* SPDX-License-Identifier: MIT */
/*
 * peer.h - one connection: bytes in, requests in order, replies in the same order, bytes out.
 *
 * Lives on one worker for its life. Replies are appended to `out` while requests are executed; at the end of
 * the worker's turn one send takes them all (`sending`), the next waits for it. A peer whose replies pile up
 * is not read from, and closed when it takes nothing for output-timeout.
 *
 * A request that must wait (a barrier, cells that must come to rest) is parked: its bytes stay at the head of
 * `in`, nothing behind it is looked at, and it is executed again from the start when what it waits for has
 * come.
 *
 * With durability = commit, a reply that tells what is not on disk yet is held, with all behind it (hold.h):
 * the peer stands in the worker's list of those that wait for the committer.
 *
 * `info` is what CLIENT LIST of another worker may read: relaxed atomics, and strings under the directory's
 * mutex.
 */
#ifndef SHC_PEER_H
#define SHC_PEER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "../lib/buf.h"
#include "../lib/resp.h"
#include "client.h"
#include "hold.h"
#include "io.h"
#include "limits.h"
#include "request.h"
#include "rights.h"
#include "session.h"
#include "peer_source.h"

enum peer_wait_kind {
	WAIT_NONE,
	WAIT_SEALED,	/* until every worker has sealed `target` */
	WAIT_DURABLE,	/* until `target` is on disk */
	WAIT_COMMITTED, /* the same, or the store has refused */
	WAIT_FOLDED,	/* until snapshot number `target` is complete, or the store has refused */
	WAIT_TOP,	/* until SHC.TOP has had more than `target` periods, or the store refuses */
	WAIT_BACKUP,	/* until its backup has ended, one way or another */
	WAIT_LOG,	/* until its question is answered */
	WAIT_UPLINK,	/* the same of the uplink's */
	WAIT_TIME,	/* until the deadline */
	WAIT_TURN,	/* until the worker's next turn: a long request in slices */
	WAIT_BUDGET,	/* no request waits: the next ones do, until the source has budget (peer_limit.h) */
};

struct peer_wait {
	enum peer_wait_kind kind;
	uint64_t target;
	int64_t deadline_ms; /* monotonic; -1: none */
	uint64_t refusals;   /* the store's, when it began to wait */
	bool is_resumed;     /* the request is being executed again ... */
	bool is_timed_out;   /* ... because its time is over */
};

/* MULTI: the requests until EXEC. */
struct queued {
	const struct command *command;
	size_t argc;
	size_t arg_first; /* in peer_multi.args */
};
struct queued_arg {
	size_t offset, len; /* in peer_multi.bytes */
};
struct peer_multi {
	bool is_open;
	bool is_broken; /* a request could not be queued: EXEC will refuse */
	struct queued *queue;
	size_t count, cap;
	struct queued_arg *args;
	size_t arg_count, arg_cap;
	struct buf bytes;
	uint64_t steps; /* of EXEC, so far: request_may_look */
};

enum peer_reply_mode { REPLY_ON, REPLY_OFF, REPLY_SKIP_NEXT, REPLY_SKIP };

struct peer {
	struct io_conn io; /* first */
	struct worker *worker;
	TAILQ_ENTRY(peer) all;	   /* of the worker */
	TAILQ_ENTRY(peer) waiting; /* while parked: of the worker; while held back: of its source's queue */
	TAILQ_ENTRY(peer) flush;   /* while it has output to send at the end of the turn */
	TAILQ_ENTRY(peer) held;	   /* while it has output that waits for the disk */
	struct client client;
	struct resp_parser parser;
	struct buf in;	    /* bytes of requests not executed yet; empty in steady state */
	struct buf out;	    /* replies not handed to io yet ... */
	struct hold hold;   /* ... and which of them wait for the disk */
	struct buf sending; /* with io until IO_SENT */
	struct peer_wait wait;
	struct peer_multi multi;
	struct session *session;		 /* a reference; null: none */
	struct audit_question *question;	 /* SHC.LOG's; owned; null: none */
	struct uplink_question *uplink_question; /* SHC.UPLINK's; the same */
	bool is_session_lost;			 /* bound to somebody else by now, or ended by a refusal */
	struct rights rights;			 /* borrow the worker's rules */
	bool is_logged_in;			 /* as ... */
	char login[ACCESS_LOGIN_SIZE];
	uint8_t login_hash[SECRET_HASH_SIZE]; /* ... with this password's */
	struct source *source;		      /* counts in it; null: none, and no limits */
	struct limits limits;		      /* of the source, for this one */
	int64_t held_back_ns;		      /* steady: since when */
	unsigned failures;		      /* of AUTH, since the last success */
	int proto;			      /* 2 or 3 */
	enum peer_reply_mode reply_mode;
	/* a long KEYS, in slices */
	struct buf keys_body;
	uint64_t keys_cursor, keys_count, keys_told;
	bool is_in_flush;
	bool is_in_held;
	bool is_closing; /* no more requests; close when sent (or at once) */
	bool is_closed;	 /* io_conn_close was called */
	bool is_eof;
	bool is_paused; /* not read from */
	bool has_stale_parser;
	bool is_limited;      /* operations or bytes of its source */
	int64_t memory_bytes; /* as peer_memory.h counts it; 0: too little to count */
	int64_t progress_ms;  /* monotonic: when it last took output; while it has some unsent */
};
TAILQ_HEAD(peer_list, peer);

/* Takes the descriptor, and its place in the source (null: none). Null: no memory; the descriptor is closed,
 * the place is still the caller's. */
struct peer *peer_new(struct worker *w, int fd, struct client_address *address, struct source *source);
/* After IO_CLOSED. Returns null. */
struct peer *peer_free(struct peer *p);

/* From io: bytes, end of file, sent, failure. */
void peer_on_recv(struct peer *p, const char *data, size_t len);
void peer_on_eof(struct peer *p);
void peer_on_sent(struct peer *p);
void peer_on_failed(struct peer *p, int error);

/* What it waited for has come (or its time is over): goes on with its requests. */
void peer_resume(struct peer *p, bool is_timed_out);

/* Goes on with its requests: it was held back, and is not any more. */
void peer_go_on(struct peer *p);

/* Hands what may leave of `out` to io when no send is in flight. End of turn. */
void peer_flush(struct peer *p);

/* The reply that begins at `start` of `out` tells of `epoch`: it does not leave before that is on disk. */
void peer_hold(struct peer *p, uint64_t epoch, size_t start);

/* `durable` has moved (or the disk is stuck): what may leave now does. */
void peer_release(struct peer *p, uint64_t durable);

/* No more requests. Politely: when the replies are sent. */
void peer_close(struct peer *p, bool is_polite);

/* Parks the present request. Returns REQUEST_PARK. */
enum request_result peer_park(struct peer *p, enum peer_wait_kind kind, uint64_t target, int64_t timeout_ms);

/* A request of its waits for something. */
static inline bool peer_is_parked(const struct peer *p)
{
	return p->wait.kind != WAIT_NONE && p->wait.kind != WAIT_BUDGET;
}

/* Bytes of replies the peer has not taken. */
static inline size_t peer_unsent(const struct peer *p)
{
	return buf_len(&p->out) + buf_len(&p->sending);
}

#endif
