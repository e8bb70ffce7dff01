/* SPDX-License-Identifier: MIT */
/*
 * cluster_links.c - connections to nodes: how they begin, and what their loss means for requests.
 */
#include <errno.h>
#include <string.h>

#include "cluster_impl.h"
#include "greeting.h"

enum { NODE_PAUSE_BASE_MS = 20 };

/* ---- a node's connection ---- */

/* What waits for a node that will be left alone for a while stays where it is: the map may say that it
 * belongs elsewhere. But what was to be asked of that node alone has its end. */
static void end_waiting(struct cluster *c, struct node *n, enum shc_status status)
{
	struct op_list waiting = STAILQ_HEAD_INITIALIZER(waiting);
	op_take_waiting(n, &waiting);
	struct op *op;
	while ((op = STAILQ_FIRST(&waiting))) {
		STAILQ_REMOVE_HEAD(&waiting, entry);
		if (status == SHC_DENIED || op->is_once || op->generation)
			op_settle_unsent(c, op, status);
		else if (op->is_asking || (op->kind == OP_READ && n->master))
			op_again(c, op);
		else
			op_wait_for(n, op);
	}
}

static void settle_lost(struct cluster *c, const struct link *l, struct op *op, bool is_unread)
{
	enum redirect_loss loss =
		redirect_of_loss((enum op_kind)op->kind, !is_unread && link_has_sent(l, op));
	op->may_be_done |= loss == LOSS_AGAIN_DOUBT;
	if (loss == LOSS_DOUBT)
		op_settle(c, op, SHC_IN_DOUBT, NULL);
	else if (op->slot == OP_ANY_SLOT && (op->is_once || op->generation))
		op_settle_unsent(c, op, SHC_UNREACHABLE);
	else
		op_again(c, op);
}

/* The node is left alone for a while. `is_unread`: it has surely not looked at what was sent. */
void node_drop(struct cluster *c, struct node *n, enum shc_status status, bool is_unread)
{
	struct link *l = &n->link;
	struct op_list unanswered = STAILQ_HEAD_INITIALIZER(unanswered);
	STAILQ_CONCAT(&unanswered, &l->unanswered);
	l->unanswered_count = l->doubtful_count = 0;
	c->losses += l->state == LINK_UP;
	cluster_part(c, l);
	n->retry_ns = c->now_ns + cluster_pause_ns(NODE_PAUSE_BASE_MS, n->failures);
	n->failures++;
	map_want(c);
	struct op *op;
	while ((op = STAILQ_FIRST(&unanswered))) {
		STAILQ_REMOVE_HEAD(&unanswered, entry);
		settle_lost(c, l, op, is_unread);
	}
	end_waiting(c, n, status);
}

static const char *closed(const struct cluster *c)
{
	if (c->has_map || c->url->is_tls)
		return "the server closed the connection";
	return c->is_cluster ? "the server closed the connection without an answer, as one that speaks TLS "
			       "(rediss+cluster://) does"
			     : "the server closed the connection without an answer, as one that speaks TLS "
			       "(rediss://) does";
}

void node_fail(struct cluster *c, struct node *n, int rc, const char *why)
{
	bool is_new = n->link.state < LINK_GREETING;
	if (!why || why[0] == '\0')
		why = conn_why(&n->link.conn);
	if (!why && rc == -ETIMEDOUT && n->link.state == LINK_SECURING)
		why = "no answer to TLS in time; a server that speaks plain text gives none";
	else if (!why && rc == -ETIMEDOUT)
		why = is_new ? "no connection in time" : "no answer";
	else if (!why && !is_new && (rc == -ECONNRESET || rc == -EPIPE))
		why = closed(c);
	else if (!why)
		why = strerror(-rc);
	cluster_say(c, is_new ? "cannot connect to %s: %s" : "%s: %s", n->name, why);
	node_drop(c, n, SHC_UNREACHABLE, false);
}

/* AUTH where there are credentials; READONLY, which a master does not mind. With TLS there is always
 * something: a server may find only behind the handshake that it does not accept our certificate. */
static unsigned put_greeting(const struct cluster *c, struct buf *out)
{
	static const struct slice readonly = {"READONLY", 8}, ping = {"PING", 4};
	unsigned count = 0;
	if (greeting_has_auth(c->url)) {
		greeting_put_auth(out, c->url);
		count++;
	}
	if (c->reads_replicas && c->is_cluster) {
		resp_put_request(out, 1, &readonly);
		count++;
	}
	if (c->tls && count == 0) {
		resp_put_request(out, 1, &ping);
		count++;
	}
	return count;
}

void node_go_on(struct cluster *c, struct node *n)
{
	struct buf greeting = BUF_INIT;
	char why[LINK_WHY_SIZE];
	struct link_setup setup = {.tls = c->tls, .host = n->host, .greeting = &greeting};
	setup.count = put_greeting(c, &greeting);
	int rc = greeting.failed ? -ENOMEM : link_connect(&n->link, &setup, c->now_ns, why);
	if (greeting.data)
		explicit_bzero(greeting.data, greeting.cap);
	buf_fini(&greeting);
	if (rc == 0)
		c->connections++;
	else if (rc != -EAGAIN)
		node_fail(c, n, rc, why);
}

/* Before there is a connection: what is wrong here need not be found out in the network. */
bool cluster_has_tls(struct cluster *c)
{
	struct tls_config config;
	char why[LINK_WHY_SIZE];
	if (!c->url->is_tls || c->tls)
		return true;
	tls_config_environment(&config);
	int rc = tls_context_new(&c->tls, &config, why, sizeof(why));
	if (rc == 0)
		return true;
	c->fatal = rc == -ENOMEM ? SHC_MEMORY : SHC_USAGE;
	cluster_say(c, "%s", why);
	return false;
}

void node_open(struct cluster *c, struct node *n)
{
	const char *why = NULL;
	int rc = link_open(&n->link, n->host, n->port, n->failures, c->now_ns, &why);
	if (rc)
		node_fail(c, n, rc, why);
}
