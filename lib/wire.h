/* SPDX-License-Identifier: MIT */
/*
 * wire.h - the client's end of one connection: commands out, replies in, in order, under one deadline a call.
 *
 * Knows which commands are unanswered and whether a byte of theirs has left, and so decides what a lost
 * connection means: SHC_IN_DOUBT or SHC_UNREACHABLE. Internal to libshcount; shcount.h is the face. One
 * thread at a time.
 */
#ifndef SHC_WIRE_H
#define SHC_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "conn.h"
#include "resp.h"
#include "greeting.h"
#include "revive.h"
#include "shcount.h"
#include "slice.h"
#include "tls.h"
#include "url.h"

/* A command whose reply has not been taken. */
struct wire_pending {
	uint64_t begin; /* offset of its first byte among all bytes ever sent */
	uint32_t adds;	/* additions in it, when it is a batch of shc_add; 0: a command of the caller's */
	bool is_write;
};

struct wire {
	struct url url;
	struct conn conn;
	struct tls_context *tls; /* owned; made by the first connection of a URL that wants TLS */
	int64_t timeout_ns;
	int64_t deadline_ns; /* of the running call */
	struct buf out;	     /* whole commands, less what the kernel has taken already */
	struct buf in;
	struct resp_reader reader;
	size_t reply_bytes;	      /* of the reply that was handed out; consumed by the next call */
	uint64_t sent;		      /* bytes the kernel took; grows for ever, over reconnections too */
	struct wire_pending *pending; /* ring */
	size_t pending_head, pending_count, pending_cap;
	uint64_t adds_in_doubt, adds_unsent; /* lost with connections, all told */
	uint64_t connections;		     /* made so far */
	int64_t pause_ns;		     /* the next one before trying again; grows */
	bool is_unusable;  /* opened with arguments that made no sense: `error` says which */
	revive_fn *revive; /* null: nobody can start the server */
	void *revive_arg;
	bool has_heard;	  /* something has come over this connection */
	bool is_hopeless; /* the last connection failed for a reason that trying again does not take away */
	bool is_given_up; /* revive said that it is no use, and there was no connection since */
	char error[320];
};

/* Takes the URL. */
void wire_init(struct wire *w, const struct url *url, int timeout_ms);
void wire_fini(struct wire *w);

/* Begins a public call: sets its deadline, forgets the last error. SHC_OK; SHC_USAGE, with the sentence kept,
 * when it is unusable: there is nowhere to connect to. */
enum shc_status wire_begin(struct wire *w);

/* The same in two: without the clock, for a call that may not need the server; and what it needs when it
 * does. */
enum shc_status wire_begin_untimed(struct wire *w);
void wire_begin_clock(struct wire *w);

/* Sets the error's sentence and returns `status`. */
enum shc_status wire_say(struct wire *w, enum shc_status status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Connects, makes that secure and authenticates if that is not done. On failure nothing is pending any more.
 * SHC_USAGE: TLS is not set up here. */
enum shc_status wire_connect(struct wire *w);

/* Puts a command into the outgoing buffer. SHC_OK or SHC_MEMORY, then nothing has changed. */
enum shc_status wire_append(struct wire *w, size_t argc, const struct slice *argv, bool is_write);

/* The same for bytes that the caller put into `out` himself, from `out_len` (buf_len before) on. */
enum shc_status wire_appended(struct wire *w, size_t out_len, uint32_t adds, bool is_write);

/* Sends all of the outgoing buffer. On failure the connection is closed and nothing is pending any more. */
enum shc_status wire_send(struct wire *w);

/* Takes the next reply, which must be pending and sent, and what it answers. The reply lasts until the next
 * call here. Fails as wire_send does. */
enum shc_status wire_next(struct wire *w, const struct resp_reply **reply, struct wire_pending *answered);

/* Closes the connection because the reply to a command made no sense, or could not be kept: SHC_IN_DOUBT if
 * that command or another sent one is a write, else `status`. */
enum shc_status wire_give_up(struct wire *w, enum shc_status status, bool is_write, const char *why);

/* ---- for callers that keep what they send and may send it again: sessions, tokens ----
 *
 * They put bytes into `out` themselves, and nothing is pending here. A deadline leaves everything as it was.
 */

/* As wire_connect, trying again while there is no server, with pauses, until the deadline; not while there is
 * one that is not trusted. */
enum shc_status wire_connect_patiently(struct wire *w);

/* Sleeps a little, longer each time in a call; false when the deadline has come. */
bool wire_pause(struct wire *w);

/* Sends all of `out`: 0, -ETIMEDOUT, or -errno when the connection is gone. */
int wire_try_send(struct wire *w);

/* The next reply: RESP_DONE, RESP_BAD, -ETIMEDOUT (-EAGAIN without `is_waiting`), or -errno when the
 * connection is gone. */
int wire_try_next(struct wire *w, bool is_waiting, const struct resp_reply **reply);

/* Closes the connection, forgets what is in `out`, and leaves the sentence as it is. */
void wire_drop(struct wire *w);

/* Sets the sentence for a -errno of the above. */
void wire_say_lost(struct wire *w, int rc);

/* The oldest unanswered command; some must be pending. */
static inline const struct wire_pending *wire_oldest(const struct wire *w)
{
	return &w->pending[w->pending_head & (w->pending_cap - 1)];
}

#endif
