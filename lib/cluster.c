/* SPDX-License-Identifier: MIT */
/*
 * cluster.c - what callers see, and the turns of cluster_run.
 *
 * A request is in one list at a time: `loose` (no node yet, or a pause), `waiting` of a node, `unanswered` of
 * its link. Every turn looks where loose ones belong (cluster_ops.c), hands waiting ones to links that have
 * room (cluster_traffic.c over cluster_links.c), sleeps in poll(2) until something happens or is due, and
 * takes replies.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster_impl.h"

enum {
	/* A link on which nothing is heard is given up after a quarter of the time limit, so that there is
	 * time to ask somebody else. */
	PATIENCE_PART = 4,
	PATIENCE_MIN_MS = 100,
	PATIENCE_MAX_MS = 2000,
	/* From a stop on: enough for a node that answers. */
	STOP_MS = 250,
	STOP_LOOK_MS = 50, /* nobody wakes us for it */
	PAUSE_DOUBLINGS_MAX = 8,
	WORDS_KEPT_BYTES = 64 << 10,
};

void cluster_say(struct cluster *c, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(c->error, sizeof(c->error), fmt, ap);
	va_end(ap);
}

int64_t cluster_pause_ns(unsigned base_ms, unsigned times)
{
	unsigned doublings = times < PAUSE_DOUBLINGS_MAX ? times : PAUSE_DOUBLINGS_MAX;
	uint32_t ms = base_ms << doublings;
	uint32_t most_us = (ms < 1000 ? ms : 1000) * 1000;
	return (int64_t)(most_us / 2 + arc4random_uniform(most_us / 2 + 1)) * 1000;
}

/* ---- open, close ---- */

static bool add_seeds(struct cluster *c)
{
	const struct url_host single = {c->url->host, c->url->port};
	const struct url_host *hosts = c->is_cluster ? c->url->hosts : &single;
	size_t count = c->is_cluster ? c->url->hosts_count : 1;
	for (size_t i = 0; i < count; i++) {
		struct node *n = nodes_at(c, slice_str(hosts[i].host), hosts[i].port);
		if (!n)
			return false;
		n->is_seed = true;
	}
	c->wish.turn = arc4random_uniform((uint32_t)count);
	return true;
}

/* One server serves all slots. */
static void map_single(struct cluster *c)
{
	for (unsigned slot = 0; slot < SLOT_COUNT; slot++)
		c->masters[slot] = c->nodes[0];
	c->nodes[0]->slots = SLOT_COUNT;
	c->nodes[0]->is_listed = true;
	c->has_map = true;
}

struct cluster *cluster_open(const struct url *url)
{
	struct cluster *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->url = url;
	c->is_cluster = url->kind == URL_CLUSTER;
	STAILQ_INIT(&c->loose);
	if (!add_seeds(c)) {
		cluster_close(c);
		return NULL;
	}
	if (!c->is_cluster)
		map_single(c);
	return c;
}

static void free_all(struct op_list *list)
{
	struct op *op;
	while ((op = STAILQ_FIRST(list))) {
		STAILQ_REMOVE_HEAD(list, entry);
		free(op);
	}
}

void cluster_close(struct cluster *c)
{
	if (!c)
		return;
	free_all(&c->loose);
	for (size_t i = 0; i < c->nodes_count; i++) {
		free_all(&c->nodes[i]->waiting);
		free_all(&c->nodes[i]->link.unanswered);
	}
	nodes_fini(c);
	tls_context_free(c->tls);
	free(c->polls);
	buf_fini(&c->words);
	free(c);
}

void cluster_read_replicas(struct cluster *c, bool reads_replicas)
{
	c->reads_replicas = reads_replicas;
}

void cluster_begin(struct cluster *c, int timeout_ms, bool is_patient)
{
	c->now_ns = conn_now_ns();
	c->timeout_ms = timeout_ms;
	c->deadline_ns = c->now_ns + (int64_t)timeout_ms * NS_PER_MS;
	c->is_patient = is_patient;
	c->fatal = SHC_OK;
	c->error[0] = '\0';
	for (size_t i = 0; i < c->nodes_count; i++) /* nobody has listened since the last call */
		c->nodes[i]->link.quiet_from_ns = c->now_ns;
	if (c->left == 0 && STAILQ_EMPTY(&c->loose))
		nodes_sweep(c);
}

void cluster_stop_with(struct cluster *c, const _Atomic bool *is_stopping)
{
	c->is_stopping = is_stopping;
	c->stop_ns = 0;
}

void cluster_extend(struct cluster *c)
{
	c->deadline_ns = conn_now_ns() + (int64_t)c->timeout_ms * NS_PER_MS;
}

size_t cluster_left(const struct cluster *c)
{
	return c->left;
}

const char *cluster_error(const struct cluster *c)
{
	return c->error;
}

uint64_t cluster_losses(const struct cluster *c)
{
	return c->losses;
}

uint64_t cluster_partings(const struct cluster *c)
{
	return c->partings;
}

bool cluster_was_connected(const struct cluster *c)
{
	return c->connections > 0;
}

void cluster_refresh(struct cluster *c)
{
	map_want(c);
}

bool cluster_is_map_fresh(const struct cluster *c)
{
	return !c->is_cluster || map_is_fresh(c);
}

bool cluster_is_over(const struct cluster *c)
{
	return conn_now_ns() >= c->deadline_ns;
}

struct slice cluster_raw(const struct cluster *c)
{
	return c->raw;
}

bool cluster_is_cluster(const struct cluster *c)
{
	return c->is_cluster;
}

/* ---- requests ---- */

static struct op *op_of(const struct cluster_way *way, const struct buf *words)
{
	struct op *op = words->failed ? NULL : malloc(sizeof(*op) + buf_len(words));
	if (!op)
		return NULL;
	*op = (struct op){
		.done = way->done,
		.arg = way->arg,
		.tag = way->tag,
		.node = way->node,
		.generation = way->over,
		.slot = (uint16_t)way->slot,
		.kind = (uint8_t)way->kind,
		.is_once = way->is_once,
		.is_hasty = way->is_hasty,
		.len = buf_len(words),
	};
	memcpy(op->request, buf_head(words), op->len);
	return op;
}

/* A script's words are put behind EVALSHA and its SHA-1, or EVAL and its text, when it is sent. */
static struct op *op_new(struct cluster *c, const struct cluster_way *way, const struct script *script,
			 size_t argc, const struct slice *argv)
{
	struct buf *words = &c->words;
	if (!script)
		resp_put_array(words, argc);
	for (size_t i = 0; i < argc; i++)
		resp_put_bulk(words, argv[i].data, argv[i].len);
	struct op *op = op_of(way, words);
	words->failed = false;
	buf_consume(words, buf_len(words));
	buf_shrink(words, WORDS_KEPT_BYTES);
	if (op && script) {
		op->script = script;
		op->argc = (uint32_t)argc + 2;
	}
	return op;
}

static enum shc_status put(struct cluster *c, struct op *op)
{
	if (!op) {
		cluster_say(c, "out of memory; nothing was sent");
		return SHC_MEMORY;
	}
	STAILQ_INSERT_TAIL(&c->loose, op, entry);
	c->left += !op->is_own;
	return SHC_OK;
}

enum shc_status cluster_put(struct cluster *c, const struct cluster_way *way, size_t argc,
			    const struct slice *argv)
{
	return put(c, op_new(c, way, NULL, argc, argv));
}

enum shc_status cluster_put_script(struct cluster *c, const struct cluster_way *way,
				   const struct script *script, size_t argc, const struct slice *argv)
{
	return put(c, op_new(c, way, script, argc, argv));
}

enum shc_status cluster_put_own(struct cluster *c, struct node *node, size_t argc, const struct slice *argv,
				op_done_fn *done)
{
	/* Another node is asked when this one does not answer. */
	const struct cluster_way way = {
		.kind = OP_READ, .slot = OP_ANY_SLOT, .node = node, .is_once = true, .done = done, .arg = c};
	struct op *op = op_new(c, &way, NULL, argc, argv);
	if (op)
		op->is_own = true;
	return put(c, op);
}

/* ---- time ---- */

int64_t cluster_patience_ns(const struct cluster *c)
{
	int64_t ms = c->timeout_ms / PATIENCE_PART;
	ms = ms < PATIENCE_MIN_MS ? PATIENCE_MIN_MS : ms;
	return (ms < PATIENCE_MAX_MS ? ms : PATIENCE_MAX_MS) * NS_PER_MS;
}

/* When a link will have been silent for too long; INT64_MAX: never, for somebody would be in doubt. */
static int64_t silent_at(const struct cluster *c, const struct link *l)
{
	if (l->state == LINK_DOWN || !link_expects(l) || l->doubtful_count > 0)
		return INT64_MAX;
	return l->quiet_from_ns + cluster_patience_ns(c);
}

static void look_at_silence(struct cluster *c)
{
	for (size_t i = 0; i < c->nodes_count; i++) {
		struct node *n = c->nodes[i];
		if (silent_at(c, &n->link) <= c->now_ns)
			node_fail(c, n, -ETIMEDOUT, NULL);
	}
}

/* relaxed: it orders nothing, and comes soon enough. */
static void look_at_stop(struct cluster *c)
{
	if (!c->is_stopping)
		return;
	if (!c->stop_ns && atomic_load_explicit(c->is_stopping, memory_order_relaxed))
		c->stop_ns = c->now_ns + STOP_MS * (int64_t)NS_PER_MS;
	if (c->stop_ns && c->stop_ns < c->deadline_ns)
		c->deadline_ns = c->stop_ns;
}

/* Nobody was ever there. */
static bool is_hopeless(const struct cluster *c)
{
	if (c->is_patient || c->connections > 0)
		return false;
	for (size_t i = 0; i < c->nodes_count; i++) {
		if (c->nodes[i]->failures == 0)
			return false;
	}
	return true;
}

/* Ends all that waits, as not executed. */
static void end_unsent(struct cluster *c, enum shc_status status)
{
	struct op_list list = STAILQ_HEAD_INITIALIZER(list);
	STAILQ_CONCAT(&list, &c->loose);
	for (size_t i = 0; i < c->nodes_count; i++)
		op_take_waiting(c->nodes[i], &list);
	struct op *op;
	while ((op = STAILQ_FIRST(&list))) {
		STAILQ_REMOVE_HEAD(&list, entry);
		op_settle_unsent(c, op, status);
	}
}

/* The deadline has come: replies that come later would be taken for others'. */
static void expire(struct cluster *c)
{
	char why[sizeof(c->error)];
	memcpy(why, c->error, sizeof(why));
	static const char silent[] = "no answer"; /* which may have been said already */
	size_t len = strlen(why), silent_len = sizeof(silent) - 1;
	if (len >= silent_len && strcmp(why + len - silent_len, silent) == 0)
		why[len - silent_len] = '\0';
	else if (len > 0)
		(void)snprintf(why, sizeof(why), "%.240s; ", c->error);
	if (c->stop_ns)
		cluster_say(c, "%.240s%s before the stop", why, silent);
	else
		cluster_say(c, "%.240s%s within %d ms", why, silent, c->timeout_ms);
	for (size_t i = 0; i < c->nodes_count; i++) {
		struct link *l = &c->nodes[i]->link;
		struct op_list list = STAILQ_HEAD_INITIALIZER(list);
		STAILQ_CONCAT(&list, &l->unanswered);
		l->unanswered_count = l->doubtful_count = 0;
		struct op *op;
		while ((op = STAILQ_FIRST(&list))) {
			STAILQ_REMOVE_HEAD(&list, entry);
			op->may_be_done |= op->kind != OP_READ && link_has_sent(l, op);
			op_settle_unsent(c, op, SHC_UNREACHABLE);
			if (l->state != LINK_DOWN)
				cluster_part(c, l);
		}
	}
	while (c->left > 0)
		end_unsent(c, SHC_UNREACHABLE);
}

/* ---- a turn ---- */

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Sleeps until a link has something to do, or `until_ns`. */
static void sleep_in_poll(struct cluster *c, int64_t until_ns)
{
	nfds_t count = 0;
	for (size_t i = 0; i < c->nodes_count; i++) {
		struct node *n = c->nodes[i];
		bool is_dead = n->link.state == LINK_DOWN;
		c->polls[count++] = (struct pollfd){.fd = is_dead ? -1 : n->link.conn.fd,
						    .events = link_events(&n->link)};
		until_ns = earlier(until_ns, silent_at(c, &n->link));
		if (is_dead && n->waiting_count > 0)
			until_ns = earlier(until_ns, n->retry_ns);
	}
	int64_t left_ns = until_ns - conn_now_ns();
	left_ns = left_ns > 0 ? left_ns : 0;
	struct timespec ts = {.tv_sec = left_ns / (NS_PER_MS * 1000LL),
			      .tv_nsec = left_ns % (NS_PER_MS * 1000LL)};
	if (ppoll(c->polls, count, &ts, NULL) <= 0)
		for (nfds_t i = 0; i < count; i++)
			c->polls[i].revents = 0;
}

/* Nodes may be added while replies are taken; those have nothing to do yet. */
static void take_events(struct cluster *c, size_t polled_count)
{
	c->now_ns = conn_now_ns();
	for (size_t i = 0; i < polled_count; i++) {
		struct node *n = c->nodes[i];
		if (c->polls[i].revents == 0 || n->link.state == LINK_DOWN)
			continue;
		if (n->link.state < LINK_GREETING)
			node_go_on(c, n);
		else if (!link_expects(&n->link) && buf_len(&n->link.out) == 0) {
			if (conn_is_stale(&n->link.conn)) /* while nothing was under way; nobody is harmed */
				cluster_part(c, &n->link);
		} else {
			node_receive(c, n);
		}
	}
}

/* False: the deadline has come, or there is no hope; all have told their end. */
static bool turn(struct cluster *c, size_t left_max)
{
	int64_t next_ns;
	c->now_ns = conn_now_ns();
	look_at_stop(c);
	look_at_silence(c);
	next_ns = c->deadline_ns;
	if (c->is_stopping && !c->stop_ns)
		next_ns = earlier(next_ns, c->now_ns + STOP_LOOK_MS * (int64_t)NS_PER_MS);
	bool is_over = c->now_ns >= c->deadline_ns;
	if (is_over)
		expire(c);
	else if (!cluster_has_tls(c))
		end_unsent(c, c->fatal);
	else if (is_hopeless(c))
		end_unsent(c, SHC_UNREACHABLE);
	next_ns = earlier(next_ns, ops_dispatch(c));
	next_ns = earlier(next_ns, map_step(c));
	next_ns = earlier(next_ns, ops_dispatch(c)); /* the question for the map */
	for (size_t i = 0; i < c->nodes_count; i++)
		node_push(c, c->nodes[i]);
	if (is_over || c->left <= left_max)
		return !is_over;
	size_t count = c->nodes_count;
	sleep_in_poll(c, next_ns);
	take_events(c, count);
	return true;
}

void cluster_run(struct cluster *c, size_t left_max)
{
	while (c->left > left_max && turn(c, left_max))
		;
}

void cluster_drain(struct cluster *c)
{
	end_unsent(c, SHC_UNREACHABLE);
	cluster_run(c, 0);
}

static void take_status(void *arg, const struct op *op, enum shc_status status,
			const struct resp_reply *reply)
{
	(void)op;
	(void)reply;
	*(enum shc_status *)arg = status;
}

static enum shc_status run_single(struct cluster *c, unsigned slot)
{
	static const struct slice ping = {"PING", 4};
	enum shc_status status = SHC_OK;
	const struct cluster_way way = {.kind = OP_READ, .slot = slot, .done = take_status, .arg = &status};
	enum shc_status rc = cluster_put(c, &way, 1, &ping);
	if (rc)
		return rc;
	cluster_run(c, 0);
	return status;
}

enum shc_status cluster_connect(struct cluster *c)
{
	return run_single(c, c->is_cluster ? OP_MAP : 0);
}

enum shc_status cluster_renew_map(struct cluster *c)
{
	map_want(c);
	return c->is_cluster ? run_single(c, OP_NEW_MAP) : SHC_OK;
}
