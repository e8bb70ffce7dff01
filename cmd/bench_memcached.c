/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "../lib/buf.h"
#include "../lib/num.h"
#include "bench_memcached.h"
#include "bench_reply.h"

enum {
	CHUNK_BYTES = 64 << 10, /* requests sent before their replies are read, which have as many: a socket's
				   buffer holds them */
	BYTES_BESIDE = 16,	/* a name, in each of them */
	HOST_SIZE = 256,
	RECEIVE_BYTES = 16 << 10,
};

/* ---- where it is ---- */

/* HOST:PORT, [ADDRESS]:PORT. */
static bool take_apart(const char *where, char host[HOST_SIZE], uint16_t *port)
{
	const char *colon = strrchr(where, ':');
	int64_t number;
	if (!colon || !num_parse_i64_loose(slice_str(colon + 1), &number) || number < 1 ||
	    number > UINT16_MAX)
		return false;
	size_t len = (size_t)(colon - where);
	if (len > 2 && where[0] == '[' && where[len - 1] == ']') {
		where++;
		len -= 2;
	} else if (memchr(where, ':', len)) {
		return false;
	}
	if (len == 0 || len >= HOST_SIZE)
		return false;
	memcpy(host, where, len);
	host[len] = '\0';
	*port = (uint16_t)number;
	return true;
}

bool memcached_is_place(const char *where)
{
	char host[HOST_SIZE];
	uint16_t port;
	return strchr(where, '/') || take_apart(where, host, &port);
}

static const char *explain(int rc)
{
	return rc == -ETIMEDOUT ? "no answer in time" : strerror(-rc);
}

int memcached_open(const struct bench_plan *plan, struct conn *out)
{
	char host[HOST_SIZE];
	uint16_t port;
	const char *why = NULL;
	int64_t deadline_ns = conn_now_ns() + plan->timeout_ns;
	int rc = -EINVAL;
	*out = (struct conn)CONN_INIT;
	if (strchr(plan->memcached, '/'))
		rc = conn_open_unix(out, plan->memcached, deadline_ns);
	else if (take_apart(plan->memcached, host, &port))
		rc = conn_open_tcp(out, host, port, deadline_ns, &why);
	if (rc == 0)
		return EX_OK;
	return command_fail(EX_UNAVAILABLE, "cannot connect to memcached at %s: %s", plan->memcached,
			    why ? why : explain(rc));
}

/* ---- requests and replies ---- */

typedef void reply_fn(void *arg, unsigned i, const struct reply *reply);

/* So many replies of a kind to what is in `out`. */
struct exchange {
	struct buf out, in;
	enum reply_kind kind;
	unsigned count;
	reply_fn *take; /* null: they are only checked */
	void *arg;
};

/* The requests that were put are sent. 0 or -errno. */
static int send_all(struct conn *c, struct buf *out, int64_t deadline_ns)
{
	if (out->failed)
		return -ENOMEM;
	while (buf_len(out) > 0) {
		ssize_t n = conn_send_some(c, buf_head(out), buf_len(out));
		if (n == -EAGAIN)
			n = conn_wait(c, POLLOUT, deadline_ns);
		else if (n > 0)
			buf_consume(out, (size_t)n);
		if (n < 0)
			return (int)n;
	}
	return 0;
}

/* More bytes. 0 or -errno. */
static int receive(struct conn *c, struct buf *in, int64_t deadline_ns)
{
	char *to = buf_reserve(in, RECEIVE_BYTES);
	if (!to)
		return -ENOMEM;
	ssize_t n = conn_recv_some(c, to, RECEIVE_BYTES);
	if (n == -EAGAIN)
		return conn_wait(c, POLLIN, deadline_ns) < 0 ? -ETIMEDOUT : 0;
	if (n > 0)
		buf_commit(in, (size_t)n);
	return n > 0 ? 0 : n == 0 ? -ECONNRESET : (int)n;
}

/* 0, -errno, or -EPROTO after a complaint about what the server said. */
static int take_replies(struct exchange *x, struct conn *c, int64_t deadline_ns)
{
	struct reply reply;
	for (unsigned i = 0; i < x->count;) {
		int rc =
			reply_read(x->kind, buf_len(&x->in) ? buf_head(&x->in) : "", buf_len(&x->in), &reply);
		if (rc == REPLY_MORE) {
			rc = receive(c, &x->in, deadline_ns);
			if (rc)
				return rc;
			continue;
		}
		if (rc == REPLY_BAD)
			return -EPROTO;
		if (rc == REPLY_REFUSED) {
			command_fail(EXIT_NO, "memcached says: %.*s", (int)reply.words.len, reply.words.data);
			return -EPROTO;
		}
		if (x->take)
			x->take(x->arg, i, &reply);
		buf_consume(&x->in, reply.size);
		i++;
	}
	return 0;
}

static int exchange(const struct bench_plan *plan, struct conn *c, struct exchange *x)
{
	int64_t deadline_ns = conn_now_ns() + plan->timeout_ns;
	int opened = conn_is_open(c) ? EX_OK : memcached_open(plan, c); /* it was lost */
	int rc = opened ? 0 : send_all(c, &x->out, deadline_ns);
	rc = rc || opened ? rc : take_replies(x, c, deadline_ns);
	buf_fini(&x->out);
	buf_fini(&x->in);
	if (rc == 0)
		return opened;
	conn_close(c);
	return command_fail(EX_UNAVAILABLE, "memcached at %s: %s", plan->memcached, explain(rc));
}

/* ---- counters ---- */

struct visit {
	const struct bench_plan *plan;
	unsigned from;
	struct bench_worth *worth;
	char *found;
};

/* A request is a name with this before and behind it. */
static int for_all(struct visit *v, struct conn *c, const char *before, const char *behind,
		   enum reply_kind kind, reply_fn *take)
{
	const struct bench_plan *plan = v->plan;
	unsigned chunk = CHUNK_BYTES / (unsigned)(strlen(plan->prefix) + plan->digits + BYTES_BESIDE);
	int rc = EX_OK;
	for (v->from = 0; v->from < plan->keys && rc == EX_OK; v->from += chunk) {
		struct exchange x = {.kind = kind, .take = take, .arg = v};
		for (; x.count < chunk && v->from + x.count < plan->keys; x.count++) {
			char name[BENCH_NAME_SIZE];
			bench_name(plan, v->from + x.count, name);
			buf_append(&x.out, before, strlen(before));
			buf_append(&x.out, name, strlen(name));
			buf_append(&x.out, behind, strlen(behind));
		}
		rc = exchange(plan, c, &x);
	}
	return rc;
}

static void take_value(void *arg, unsigned i, const struct reply *reply)
{
	struct visit *v = arg;
	bench_worth_add(v->worth, reply->value);
	if (reply->is_there && !v->found[0])
		bench_name(v->plan, v->from + i, v->found);
}

int memcached_read(const struct bench_plan *plan, struct conn *c, struct bench_worth *worth,
		   char found[BENCH_NAME_SIZE])
{
	struct visit v = {.plan = plan, .worth = worth, .found = found};
	*worth = BENCH_WORTH_NONE;
	found[0] = '\0';
	return for_all(&v, c, "get ", "\r\n", REPLY_VALUE, take_value);
}

int memcached_make(const struct bench_plan *plan, struct conn *c)
{
	struct visit v = {.plan = plan};
	return for_all(&v, c, "add ", " 0 0 1\r\n0\r\n", REPLY_STORED, NULL);
}

int memcached_delete(const struct bench_plan *plan, struct conn *c)
{
	struct visit v = {.plan = plan};
	return for_all(&v, c, "delete ", "\r\n", REPLY_DELETED, NULL);
}

/* ---- the process ---- */

static void take_pid(void *arg, unsigned i, const struct reply *reply)
{
	(void)i;
	*(pid_t *)arg = (pid_t)reply->value;
}

int memcached_pid(const struct bench_plan *plan, struct conn *c, pid_t *pid)
{
	struct exchange x = {.kind = REPLY_STATS, .count = 1, .take = take_pid, .arg = pid};
	buf_append(&x.out, "stats\r\n", strlen("stats\r\n"));
	return exchange(plan, c, &x);
}
