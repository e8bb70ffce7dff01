/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "link.h"

enum { RECV_BYTES = 64 << 10 };

void link_init(struct link *l)
{
	*l = (struct link){.conn = CONN_INIT};
	resp_reader_init(&l->reader);
	STAILQ_INIT(&l->unanswered);
}

static void forget_addresses(struct link *l)
{
	if (l->addresses)
		freeaddrinfo(l->addresses);
	l->addresses = NULL;
	l->address = NULL;
}

void link_fini(struct link *l)
{
	link_close(l);
	buf_fini(&l->out);
	buf_fini(&l->in);
	resp_reader_fini(&l->reader);
}

void link_close(struct link *l)
{
	forget_addresses(l);
	conn_close(&l->conn);
	buf_consume(&l->out, buf_len(&l->out));
	buf_consume(&l->in, buf_len(&l->in));
	l->state = LINK_DOWN;
	l->reply_bytes = 0;
	l->has_part = false;
	l->greetings_left = 0;
	l->has_answered = false;
	l->has_asked = false;
}

/* ---- connecting ---- */

/* Begins with the next address that can be begun with. */
static int begin_next(struct link *l)
{
	int rc = -EHOSTUNREACH;
	for (; l->address; l->address = l->address->ai_next) {
		rc = conn_begin(&l->conn, l->address->ai_addr, l->address->ai_addrlen);
		if (rc == 0)
			return 0;
	}
	return rc;
}

static const struct addrinfo *address_at(const struct addrinfo *list, unsigned turn)
{
	unsigned count = 0;
	for (const struct addrinfo *ai = list; ai; ai = ai->ai_next)
		count++;
	for (turn %= count; turn > 0; turn--)
		list = list->ai_next;
	return list;
}

int link_open(struct link *l, const char *host, uint16_t port, unsigned turn, int64_t now_ns,
	      const char **why)
{
	int rc = conn_resolve(host, port, &l->addresses, why);
	if (rc)
		return rc;
	l->address = address_at(l->addresses, turn);
	l->generation++;
	l->put_bytes = l->sent_bytes = 0;
	l->quiet_from_ns = now_ns;
	l->state = LINK_CONNECTING;
	rc = begin_next(l);
	if (rc)
		link_close(l);
	return rc;
}

/* One address has failed: the next one is tried. */
static int try_next(struct link *l, int rc)
{
	conn_close(&l->conn);
	l->address = l->address->ai_next;
	int next = l->address ? begin_next(l) : rc;
	return next ? next : -EAGAIN;
}

static int secure(struct link *l, const struct link_setup *setup, char why[LINK_WHY_SIZE])
{
	int rc = 0;
	if (l->state == LINK_CONNECTING)
		rc = conn_secure(&l->conn, setup->tls, setup->host);
	if (rc == -EINVAL)
		snprintf(why, LINK_WHY_SIZE, "no certificate can be for this host");
	l->state = LINK_SECURING;
	return rc ? rc : conn_handshake(&l->conn, why, LINK_WHY_SIZE);
}

int link_connect(struct link *l, const struct link_setup *setup, int64_t now_ns, char why[LINK_WHY_SIZE])
{
	why[0] = '\0';
	int rc = l->state == LINK_CONNECTING ? conn_finish(&l->conn) : 0;
	if (rc)
		return rc == -EAGAIN ? rc : try_next(l, rc);
	if (setup->tls)
		rc = secure(l, setup, why);
	if (rc)
		return rc;
	forget_addresses(l);
	l->state = setup->count > 0 ? LINK_GREETING : LINK_UP;
	l->greetings_left = setup->count;
	l->quiet_from_ns = now_ns;
	buf_append(&l->out, buf_head(setup->greeting), buf_len(setup->greeting));
	l->put_bytes += buf_len(setup->greeting);
	return l->out.failed ? -ENOMEM : 0;
}

short link_events(const struct link *l)
{
	return l->state == LINK_CONNECTING ? POLLOUT : conn_events(&l->conn, buf_len(&l->out) > 0);
}

/* ---- out ---- */

static void put_header(struct buf *out, const struct op *op)
{
	char header[64];
	const char *word = op->is_text ? "EVAL" : "EVALSHA";
	const char *body = op->is_text ? op->script->text : op->script->sha1;
	int len = snprintf(header, sizeof(header), "*%u\r\n$%zu\r\n%s\r\n$%zu\r\n", op->argc, strlen(word),
			   word, strlen(body));
	buf_append(out, header, (size_t)len);
	buf_append(out, body, strlen(body));
	buf_append(out, "\r\n", 2);
}

bool link_put(struct link *l, struct op *op, int64_t now_ns)
{
	static const char asking[] = "*1\r\n$6\r\nASKING\r\n";
	size_t before = buf_len(&l->out);
	if (op->is_asking)
		buf_append(&l->out, asking, sizeof(asking) - 1);
	if (op->script)
		put_header(&l->out, op);
	buf_append(&l->out, op->request, op->len);
	if (l->out.failed) {
		l->out.tail = l->out.head + before; /* half a request must not leave */
		l->out.failed = false;
		return false;
	}
	op->begin = l->put_bytes;
	op->sent_ns = now_ns;
	l->put_bytes += buf_len(&l->out) - before;
	if (!link_expects(l))
		l->quiet_from_ns = now_ns;
	STAILQ_INSERT_TAIL(&l->unanswered, op, entry);
	l->unanswered_count++;
	l->doubtful_count += op->kind == OP_WRITE;
	return true;
}

int link_send(struct link *l)
{
	while (buf_len(&l->out) > 0) {
		ssize_t n = conn_send_some(&l->conn, buf_head(&l->out), buf_len(&l->out));
		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return (int)n;
		buf_consume(&l->out, (size_t)n);
		l->sent_bytes += (uint64_t)n;
	}
	return 0;
}

/* ---- in ---- */

/* What lies behind the last reply moves to the front when there is no room: never while a reply is out. */
static void drop_reply(struct link *l)
{
	buf_consume(&l->in, l->reply_bytes);
	l->reply_bytes = 0;
}

ssize_t link_receive(struct link *l, int64_t now_ns)
{
	drop_reply(l);
	char *to = buf_reserve(&l->in, RECV_BYTES);
	if (!to) {
		l->in.failed = false;
		return -ENOMEM;
	}
	ssize_t n = conn_recv_some(&l->conn, to, RECV_BYTES);
	if (n == -EAGAIN)
		return 0;
	if (n == 0)
		return -ECONNRESET;
	if (n < 0)
		return n;
	buf_commit(&l->in, (size_t)n);
	l->quiet_from_ns = now_ns;
	return n;
}

int link_next(struct link *l, const struct resp_reply **reply)
{
	drop_reply(l);
	if (buf_len(&l->in) == 0)
		return RESP_MORE;
	size_t size_bytes = 0;
	int rc = (l->has_part ? resp_read_more : resp_read)(&l->reader, buf_head(&l->in), buf_len(&l->in),
							    &size_bytes);
	l->has_part = rc == RESP_MORE;
	if (rc == RESP_DONE) {
		l->reply_bytes = size_bytes;
		*reply = &l->reader.reply;
	}
	return rc;
}

struct op *link_answered(struct link *l)
{
	if (l->greetings_left > 0) {
		if (--l->greetings_left == 0)
			l->state = LINK_UP;
		return NULL;
	}
	struct op *op = STAILQ_FIRST(&l->unanswered);
	if (op->is_asking && !l->has_asked) {
		l->has_asked = true;
		return NULL;
	}
	l->has_asked = false;
	l->has_answered = true;
	STAILQ_REMOVE_HEAD(&l->unanswered, entry);
	l->unanswered_count--;
	l->doubtful_count -= op->kind == OP_WRITE;
	return op;
}
