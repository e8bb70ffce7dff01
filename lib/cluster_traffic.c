/* SPDX-License-Identifier: MIT */
/*
 * cluster_traffic.c - requests out and replies in, and what replies make of requests.
 */
#include <errno.h>
#include <string.h>

#include "cluster_impl.h"
#include "greeting.h"
#include "shcount_impl.h"

enum {
	HASTY_ATTEMPTS = 2,    /* of a request that does not wait for its slot */
	UNANSWERED_MAX = 8192, /* requests on one link */
	OUT_BYTES_MAX = 256 << 10,
	QUICK_REDIRECTS = 3, /* so many are followed at once; a circle of them must not become a storm */
};

/* ---- replies ---- */

static void redirect_to(struct cluster *c, struct op *op, const struct redirect *r, struct node *from)
{
	struct slice host = r->host.len > 0 ? r->host : slice_str(from->host);
	struct node *to = nodes_at(c, host, r->port);
	bool is_quick = op->attempts < QUICK_REDIRECTS;
	if (!to) {
		op_again(c, op);
		return;
	}
	int64_t at_ns = op_next_attempt_ns(c, op);
	op_loosen(c, op, is_quick ? 0 : at_ns);
	if (r->step == REDIRECT_ASK) { /* nobody else can tell where it is, also after a pause */
		op->is_asking = true;
		op->node = to;
	}
}

static void learn(struct cluster *c, struct op *op, const struct redirect *r, struct node *from)
{
	struct slice host = r->host.len > 0 ? r->host : slice_str(from->host);
	struct node *to = nodes_at(c, host, r->port);
	if (to)
		nodes_move_slot(c, r->slot, to);
	if (op->slot != OP_ANY_SLOT)
		op->slot = (uint16_t)r->slot;
	map_want(c);
}

static void take_error(struct cluster *c, struct op *op, const struct resp_reply *reply)
{
	/* "... script: SHA-1, on @user_script:9." is for whoever wrote the script. */
	static const char origin[] = " script: ";
	const char *end =
		op->script ? memmem(reply->str.data, reply->str.len, origin, sizeof(origin) - 1) : NULL;
	struct resp_reply shown = *reply;
	if (end)
		shown.str.len = (size_t)(end - reply->str.data);
	cluster_say(c, "%.*s", (int)shown.str.len, shown.str.data);
	op_settle(c, op, shcount_classify(shown.str), &shown);
}

/* Whoever refused has nothing that a replica would have to know. */
static void take_done(struct cluster *c, struct node *n, struct op *op, const struct resp_reply *reply)
{
	if (op->kind != OP_READ && n->wrote_over == 0)
		n->wrote_over = n->link.generation;
	op_settle(c, op, SHC_OK, reply);
}

/* "ERR max number of clients reached", then the connection is closed, whatever was sent over it. */
static bool is_unwanted(const struct resp_reply *reply)
{
	static const char text[] = "ERR max number of clients";
	return reply->type == RESP_ERROR && reply->str.len >= sizeof(text) - 1 &&
	       memcmp(reply->str.data, text, sizeof(text) - 1) == 0;
}

static void take_answer(struct cluster *c, struct node *n, struct op *op, const struct resp_reply *reply)
{
	struct redirect r = redirect_of(reply);
	c->raw = (struct slice){buf_head(&n->link.in), n->link.reply_bytes};
	if (r.step != REDIRECT_DONE && r.step != REDIRECT_TEXT)
		cluster_say(c, "%s: %.*s", n->name, (int)reply->str.len, reply->str.data);
	bool is_here = op->slot == OP_ANY_SLOT || !c->is_cluster;
	if (r.step == REDIRECT_TEXT && (!op->script || op->is_text))
		r.step = REDIRECT_DONE;
	if (is_here && (r.step == REDIRECT_MOVED || r.step == REDIRECT_ASK))
		r.step = REDIRECT_DONE;
	switch (r.step) {
	case REDIRECT_DONE:
		if (reply->type == RESP_ERROR)
			take_error(c, op, reply);
		else
			take_done(c, n, op, reply);
		return;
	case REDIRECT_TEXT:
		op->is_text = true;
		op_wait_for(n, op);
		return;
	case REDIRECT_MOVED: learn(c, op, &r, n); /* fall through */
	case REDIRECT_ASK: redirect_to(c, op, &r, n); return;
	case REDIRECT_REFRESH: map_want(c); /* fall through */
	case REDIRECT_PAUSE:
		if (op->is_hasty && op->attempts >= HASTY_ATTEMPTS)
			op_settle_unsent(c, op, SHC_UNREACHABLE);
		else
			op_again(c, op);
		return;
	}
}

static void drop_unwanted(struct cluster *c, struct node *n, const struct resp_reply *reply)
{
	cluster_say(c, "%s: %.*s", n->name, (int)reply->str.len, reply->str.data);
	node_drop(c, n, SHC_UNREACHABLE, true);
}

/* False: the link is gone. */
static bool take_greeting(struct cluster *c, struct node *n, const struct resp_reply *reply)
{
	if (reply->type != RESP_ERROR)
		return true;
	if (redirect_of(reply).step != REDIRECT_DONE) { /* loading, or too many clients */
		drop_unwanted(c, n, reply);
		return false;
	}
	char why[GREETING_WHY_SIZE];
	if (!greeting_has_auth(c->url) || greeting_is_in(c->url, reply, why))
		return true; /* else whoever asks for something is told the same */
	cluster_say(c, "%s: %s", n->name, why);
	node_drop(c, n, SHC_DENIED, true);
	return false;
}

/* False: the link is gone. */
static bool take_reply(struct cluster *c, struct node *n, const struct resp_reply *reply)
{
	if (n->link.greetings_left == 0 && n->link.unanswered_count == 0) {
		if (is_unwanted(reply))
			drop_unwanted(c, n, reply);
		else
			node_fail(c, n, -EPROTO, "sent what nobody had asked for");
		return false;
	}
	bool is_greeting = n->link.greetings_left > 0;
	struct op *op = link_answered(&n->link);
	if (!op)
		return !is_greeting || take_greeting(c, n, reply);
	bool is_refused = is_unwanted(reply);
	n->failures = is_refused ? n->failures : 0;
	double took_ns = (double)(c->now_ns - op->sent_ns);
	n->reply_ns += (took_ns - n->reply_ns) / 8;
	take_answer(c, n, op, reply);
	if (is_refused)
		node_drop(c, n, SHC_UNREACHABLE, true);
	return !is_refused;
}

void node_receive(struct cluster *c, struct node *n)
{
	ssize_t got;
	while (n->link.state >= LINK_GREETING && (got = link_receive(&n->link, c->now_ns)) != 0) {
		const struct resp_reply *reply;
		int rc = got < 0 ? (int)got : RESP_DONE;
		while (rc == RESP_DONE && (rc = link_next(&n->link, &reply)) == RESP_DONE) {
			if (!take_reply(c, n, reply))
				return;
		}
		if (rc == RESP_BAD)
			node_fail(c, n, -EPROTO, "the answer is not RESP: is that a Redis server?");
		else if (rc < 0)
			node_fail(c, n, rc, NULL);
	}
}

/* ---- requests, out ---- */

static void fill(struct cluster *c, struct node *n)
{
	struct link *l = &n->link;
	struct op *op;
	while ((op = STAILQ_FIRST(&n->waiting)) && l->unanswered_count < UNANSWERED_MAX &&
	       buf_len(&l->out) < OUT_BYTES_MAX) {
		STAILQ_REMOVE_HEAD(&n->waiting, entry);
		n->waiting_count--;
		if (op_is_cut_off(op))
			op_settle_unsent(c, op, SHC_UNREACHABLE);
		else if (!link_put(l, op, c->now_ns))
			op_again(c, op);
	}
}

/* Hands over what waits, and sends. */
void node_push(struct cluster *c, struct node *n)
{
	struct link *l = &n->link;
	bool is_idle = l->state == LINK_UP && l->unanswered_count == 0 && buf_len(&l->out) == 0;
	if (n->waiting_count > 0 && is_idle && conn_is_stale(&l->conn)) {
		if (l->has_answered)
			cluster_part(c, l); /* closed meanwhile; nobody is harmed */
		else
			node_receive(c, n); /* why */
	}
	if (n->waiting_count > 0 && l->state == LINK_DOWN && n->retry_ns <= c->now_ns)
		node_open(c, n);
	if (l->state == LINK_UP)
		fill(c, n);
	if (l->state < LINK_GREETING)
		return;
	int rc = link_send(l);
	if (rc)
		node_receive(c, n); /* what was answered before it was closed */
	if (rc && l->state != LINK_DOWN)
		node_fail(c, n, rc, NULL);
}
