/* SPDX-License-Identifier: MIT */
/*
 * link.h - one connection to one Redis node that never blocks: requests out, replies in, in order.
 *
 * cluster.c decides what is sent over it and what its loss means; this knows how far each request has got.
 * Internal to libshcount; one thread at a time.
 */
#ifndef SHC_LINK_H
#define SHC_LINK_H

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "buf.h"
#include "conn.h"
#include "redirect.h"
#include "resp.h"
#include "script.h"
#include "shcount.h"
#include "slot.h"

struct op;
struct node;

/* Tells what became of a request, once. `reply` is null unless the node answered, and lasts as long as the
 * call: SHC_OK; SHC_REFUSED, SHC_DENIED: an error reply; SHC_UNREACHABLE: not executed; SHC_IN_DOUBT. May put
 * other requests; may not run the cluster. */
typedef void op_done_fn(void *arg, const struct op *op, enum shc_status status,
			const struct resp_reply *reply);

enum {
	OP_ANY_SLOT = SLOT_COUNT, /* for a certain node, whatever that serves */
	OP_MAP,			  /* for nobody: its end is when there is a map */
	OP_NEW_MAP,		  /* the same, and nothing speaks against that map */
};

/* A request on its way. In one list at a time. */
struct op {
	STAILQ_ENTRY(op) entry;
	op_done_fn *done;
	void *arg;
	uint64_t tag;		     /* the caller's */
	const struct script *script; /* null: none */
	struct node *node;	     /* whom it was sent to, or must be sent to */
	uint64_t generation;	     /* OP_ANY_SLOT: only over this connection of the node; 0: over any */
	int64_t not_before_ns;	     /* a pause */
	int64_t sent_ns;
	uint64_t begin; /* offset of its first byte among all that were put into its connection */
	uint16_t slot;
	uint8_t kind;	  /* enum op_kind */
	uint8_t attempts; /* made so far, up to 255 */
	bool may_be_done; /* repeatable, and was sent over a connection that was lost */
	bool is_asking;	  /* behind ASKING */
	bool is_text;	  /* the script's text, not its SHA-1 */
	bool is_once;	  /* is not sent again */
	bool is_hasty;	  /* has better to do than to wait for its slot */
	bool is_own;	  /* the cluster's own: nobody waits for it */
	uint32_t argc;	  /* a script's words, EVALSHA and its SHA-1 included */
	size_t len;
	char request[]; /* a script's: behind those two words */
};
STAILQ_HEAD(op_list, op);

enum link_state { LINK_DOWN, LINK_CONNECTING, LINK_SECURING, LINK_GREETING, LINK_UP };

struct link {
	enum link_state state;
	struct conn conn;
	struct addrinfo *addresses;	/* owned; while connecting */
	const struct addrinfo *address; /* the one that is being tried */
	struct buf out, in;
	struct resp_reader reader;
	size_t reply_bytes; /* of the reply that was handed out */
	bool has_part;	    /* of a reply: the reader goes on */
	uint64_t put_bytes, sent_bytes;
	struct op_list unanswered;
	size_t unanswered_count;
	size_t doubtful_count; /* of those: OP_WRITE */
	unsigned greetings_left;
	bool has_answered;     /* a request, on this connection */
	bool has_asked;	       /* the reply to the oldest one's ASKING has come */
	uint64_t generation;   /* counts connections */
	int64_t quiet_from_ns; /* since then nothing was heard, though something was to come */
};

void link_init(struct link *l);
void link_fini(struct link *l); /* nothing may be unanswered */

/* Begins to connect: 0 or -errno, with *why set (static) when the resolver has a word for it. `turn` says
 * with which of the host's addresses, so that one that keeps silent does not hide the others. */
int link_open(struct link *l, const char *host, uint16_t port, unsigned turn, int64_t now_ns,
	      const char **why);

/* How a connection begins. */
struct link_setup {
	struct tls_context *tls; /* null: plain */
	const char *host;	 /* whom the certificate must be for */
	const struct buf *greeting;
	unsigned count; /* whole requests in it; they are sent first, and their replies awaited */
};

/* Goes on after poll(2), or without: 0: connected, the greeting is under way; -EAGAIN; or failed: as of
 * conn_handshake, with a sentence in `why`, or "" where the errno says it. */
enum { LINK_WHY_SIZE = 320 };
int link_connect(struct link *l, const struct link_setup *setup, int64_t now_ns, char why[LINK_WHY_SIZE]);

/* What poll(2) must wait for. */
short link_events(const struct link *l);

/* Hands over a request; in LINK_UP. False: no memory, and nothing has happened. */
bool link_put(struct link *l, struct op *op, int64_t now_ns);

/* Sends what the kernel takes: 0 or -errno. */
int link_send(struct link *l);

/* Takes what is there: bytes, 0: nothing for now, or -errno (-ECONNRESET at the end of the stream). */
ssize_t link_receive(struct link *l, int64_t now_ns);

/* The next whole reply: RESP_DONE, RESP_MORE, RESP_BAD, -ENOMEM. It lasts until the next call here. */
int link_next(struct link *l, const struct resp_reply **reply);

/* Which request that reply answers, and takes it out of the list; null: one of the link's own (greeting,
 * ASKING). */
struct op *link_answered(struct link *l);

/* Whether a byte of an unanswered request may have left. */
static inline bool link_has_sent(const struct link *l, const struct op *op)
{
	return op->begin < l->sent_bytes;
}

/* Closes; what is unanswered stays in the list, for the caller to take. */
void link_close(struct link *l);

static inline bool link_expects(const struct link *l)
{
	bool is_new = l->state == LINK_CONNECTING || l->state == LINK_SECURING;
	return is_new || l->greetings_left > 0 || l->unanswered_count > 0;
}

#endif
