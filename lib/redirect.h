/* SPDX-License-Identifier: MIT */
/*
 * redirect.h - what the reply of a Redis node means for the request it answers: the next step. Pure; any
 * thread.
 *
 * Source: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/, "Redirection and
 * resharding", and the error replies in redis 7.0's src/server.c and src/cluster.c.
 */
#ifndef SHC_REDIRECT_H
#define SHC_REDIRECT_H

#include <stdbool.h>
#include <stdint.h>

#include "resp.h"
#include "slice.h"

/* All but REDIRECT_DONE say that the request was surely not executed. */
enum redirect_step {
	REDIRECT_DONE,	  /* the reply is the answer, be it an error */
	REDIRECT_MOVED,	  /* `slot` lives at the address from now on */
	REDIRECT_ASK,	  /* this once, at the address, behind ASKING */
	REDIRECT_PAUSE,	  /* the same again, in a while */
	REDIRECT_REFRESH, /* the same again, in a while: somebody else may serve the slot by then */
	REDIRECT_TEXT,	  /* the node does not know the script by its SHA-1: send its text */
};

struct redirect {
	enum redirect_step step;
	unsigned slot;	   /* MOVED, ASK: below SLOT_COUNT */
	struct slice host; /* MOVED, ASK: into the reply; empty: the host that answered */
	uint16_t port;	   /* MOVED, ASK */
};

/* A MOVED or ASK that makes no sense is REDIRECT_DONE: an error for whoever asked. */
struct redirect redirect_of(const struct resp_reply *reply);

/* How a request may be treated when its connection is lost. */
enum op_kind {
	OP_READ,       /* changes nothing */
	OP_WRITE,      /* must not be sent again once a byte has left */
	OP_REPEATABLE, /* changes something once, however often it is sent: by a token, or a number compared
			*/
};

enum redirect_loss {
	LOSS_AGAIN,	  /* surely not executed, or harmless to repeat */
	LOSS_AGAIN_DOUBT, /* the same, but if it cannot be repeated in time nobody knows */
	LOSS_DOUBT,	  /* it may or may not have been executed */
};

/* What becomes of a request whose connection is lost before its reply; `has_left`: a byte of it may have
 * reached the node. */
enum redirect_loss redirect_of_loss(enum op_kind kind, bool has_left);

#endif
