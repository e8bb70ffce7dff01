/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wire.h"

enum { RECV_BYTES_MIN = 16 << 10, NS_PER_MS = 1000000, NS_PER_S = 1000000000 };
enum { PAUSE_MIN_MS = 2, PAUSE_MAX_MS = 200 }; /* a server that is being started again needs some ms */

void wire_init(struct wire *w, const struct url *url, int timeout_ms)
{
	*w = (struct wire){
		.url = *url,
		.conn = CONN_INIT,
		.timeout_ns = (int64_t)timeout_ms * NS_PER_MS,
	};
	resp_reader_init(&w->reader);
}

void wire_fini(struct wire *w)
{
	conn_close(&w->conn);
	tls_context_free(w->tls);
	buf_fini(&w->out);
	buf_fini(&w->in);
	resp_reader_fini(&w->reader);
	free(w->pending);
	url_fini(&w->url);
}

enum shc_status wire_begin_untimed(struct wire *w)
{
	if (w->is_unusable)
		return SHC_USAGE;
	w->error[0] = '\0';
	return SHC_OK;
}

void wire_begin_clock(struct wire *w)
{
	w->deadline_ns = conn_now_ns() + w->timeout_ns;
	w->pause_ns = 0;
}

enum shc_status wire_begin(struct wire *w)
{
	enum shc_status status = wire_begin_untimed(w);
	if (status == SHC_OK)
		wire_begin_clock(w);
	return status;
}

enum shc_status wire_say(struct wire *w, enum shc_status status, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(w->error, sizeof(w->error), fmt, ap);
	va_end(ap);
	return status;
}

static const char *peer_name(const struct wire *w, char *out, size_t size)
{
	if (w->url.kind == URL_UNIX)
		snprintf(out, size, "%s", w->url.path);
	else
		snprintf(out, size, "%s port %u", w->url.host, (unsigned)w->url.port);
	return out;
}

/* ---- what is unanswered ---- */

static bool grow_pending(struct wire *w)
{
	size_t cap = w->pending_cap ? w->pending_cap * 2 : 16;
	struct wire_pending *ring = reallocarray(NULL, cap, sizeof(*ring));
	if (!ring)
		return false;
	for (size_t i = 0; i < w->pending_count; i++)
		ring[i] = w->pending[(w->pending_head + i) & (w->pending_cap - 1)];
	free(w->pending);
	w->pending = ring;
	w->pending_head = 0;
	w->pending_cap = cap;
	return true;
}

enum shc_status wire_appended(struct wire *w, size_t out_len, uint32_t adds, bool is_write)
{
	bool has_room = w->pending_count < w->pending_cap || grow_pending(w);
	if (!has_room || w->out.failed) {
		w->out.tail = w->out.head + out_len; /* half a command must not leave */
		w->out.failed = false;
		return wire_say(w, SHC_MEMORY, "out of memory; nothing was sent");
	}
	w->pending[(w->pending_head + w->pending_count++) & (w->pending_cap - 1)] =
		(struct wire_pending){.begin = w->sent + out_len, .adds = adds, .is_write = is_write};
	return SHC_OK;
}

enum shc_status wire_append(struct wire *w, size_t argc, const struct slice *argv, bool is_write)
{
	size_t out_len = buf_len(&w->out);
	resp_put_request(&w->out, argc, argv);
	return wire_appended(w, out_len, 0, is_write);
}

/* Whether a byte of an unanswered command has left. */
static bool has_sent_pending(const struct wire *w)
{
	return w->pending_count > 0 && wire_oldest(w)->begin < w->sent;
}

/* Closes the connection and forgets what was under way. Returns whether a write of it is in doubt. */
static bool drop_all(struct wire *w)
{
	bool is_doubt = false;
	for (; w->pending_count > 0; w->pending_count--, w->pending_head++) {
		const struct wire_pending *p = wire_oldest(w);
		bool has_left = p->begin < w->sent;
		is_doubt |= has_left && p->is_write;
		if (has_left)
			w->adds_in_doubt += p->adds;
		else
			w->adds_unsent += p->adds;
	}
	conn_close(&w->conn);
	buf_consume(&w->out, buf_len(&w->out));
	buf_consume(&w->in, buf_len(&w->in));
	w->reply_bytes = 0;
	return is_doubt;
}

static enum shc_status lost_verdict(struct wire *w, enum shc_status status, bool is_write, const char *why)
{
	char peer[160];
	peer_name(w, peer, sizeof(peer));
	if (drop_all(w) || is_write)
		return wire_say(w, SHC_IN_DOUBT, "%s: %s; what was sent may or may not have been applied",
				peer, why);
	return wire_say(w, status, "%s: %s", peer, why);
}

enum shc_status wire_give_up(struct wire *w, enum shc_status status, bool is_write, const char *why)
{
	return lost_verdict(w, status, is_write, why);
}

enum { WHY_SIZE = 320 };

static bool is_plain_tcp(const struct wire *w)
{
	return w->url.kind == URL_TCP && !w->url.is_tls;
}

static void explain(const struct wire *w, int rc, char why[WHY_SIZE])
{
	const char *said = conn_why(&w->conn);
	if (said)
		snprintf(why, WHY_SIZE, "%s", said);
	else if (rc == -ETIMEDOUT)
		snprintf(why, WHY_SIZE, "no answer within %lld ms", (long long)(w->timeout_ns / NS_PER_MS));
	else if ((rc == -ECONNRESET || rc == -EPIPE) && is_plain_tcp(w) && !w->has_heard)
		snprintf(
			why, WHY_SIZE,
			"the server closed the connection without an answer, as one that speaks TLS (rediss://) does");
	else if (rc == -ECONNRESET || rc == -EPIPE)
		snprintf(why, WHY_SIZE, "the server closed the connection without an answer");
	else
		snprintf(why, WHY_SIZE, "the connection failed: %s", strerror(-rc));
}

/* The peer sent what is no reply: says what it may be. A TLS server answers plain text with an alert. */
static enum shc_status fail_bad(struct wire *w)
{
	static const char alert[] = {0x15, 0x03};
	bool is_tls = is_plain_tcp(w) && buf_len(&w->in) >= sizeof(alert) &&
		      memcmp(buf_head(&w->in), alert, sizeof(alert)) == 0;
	return lost_verdict(w, SHC_PROTOCOL, false,
			    is_tls ? "the server speaks TLS: rediss:// instead of redis:// is its URL"
				   : "the answer is not RESP: is that a shcounterd or Redis?");
}

/* The connection is gone: rc is -errno. */
static enum shc_status fail_lost(struct wire *w, int rc)
{
	char why[WHY_SIZE];
	explain(w, rc, why);
	return lost_verdict(w, SHC_UNREACHABLE, false, why);
}

/* ---- bytes in ---- */

/* 1: something came in; 0: end of the stream; -EAGAIN; -errno. */
static int receive_some(struct wire *w)
{
	size_t room = buf_len(&w->in) > RECV_BYTES_MIN ? buf_len(&w->in) : RECV_BYTES_MIN;
	char *to = buf_reserve(&w->in, room);
	if (!to) {
		w->in.failed = false;
		return -ENOMEM;
	}
	ssize_t n = conn_recv_some(&w->conn, to, room);
	if (n <= 0)
		return (int)n;
	buf_commit(&w->in, (size_t)n);
	w->has_heard = true;
	return 1;
}

/* One whole reply at the head of `in`: RESP_DONE with reply_bytes set, RESP_BAD, or -errno; -EAGAIN only
 * without `is_waiting`. */
static int read_reply(struct wire *w, bool is_waiting)
{
	buf_consume(&w->in, w->reply_bytes);
	w->reply_bytes = 0;
	for (;;) {
		size_t size_bytes = 0;
		int rc = buf_len(&w->in) == 0
				 ? RESP_MORE
				 : resp_read(&w->reader, buf_head(&w->in), buf_len(&w->in), &size_bytes);
		if (rc == RESP_DONE)
			w->reply_bytes = size_bytes;
		if (rc != RESP_MORE)
			return rc;
		rc = receive_some(w);
		if (rc == -EAGAIN && is_waiting)
			rc = conn_wait(&w->conn, POLLIN, w->deadline_ns);
		if (rc == 0)
			return -ECONNRESET;
		if (rc < 0)
			return rc;
	}
}

enum shc_status wire_next(struct wire *w, const struct resp_reply **reply, struct wire_pending *answered)
{
	int rc = read_reply(w, true);
	if (rc == RESP_BAD)
		return fail_bad(w);
	if (rc)
		return fail_lost(w, rc);
	*answered = *wire_oldest(w);
	w->pending_head++;
	w->pending_count--;
	*reply = &w->reader.reply;
	return SHC_OK;
}

/* ---- connecting ---- */

/* `why` may be null, or of the connection's. */
static enum shc_status connect_failed(struct wire *w, int rc, const char *why)
{
	char peer[160], words[WHY_SIZE];
	if (!why && rc == -ETIMEDOUT)
		why = "no connection within the time limit";
	snprintf(words, sizeof(words), "%s", why ? why : strerror(-rc));
	peer_name(w, peer, sizeof(peer));
	drop_all(w);
	w->is_hopeless = rc == -EKEYREJECTED || rc == -EPROTO;
	enum shc_status status = rc == -EACCES || rc == -EPERM ? SHC_DENIED : SHC_UNREACHABLE;
	return wire_say(w, status, "cannot connect to %s: %s", peer, words);
}

static int send_all(struct wire *w, struct buf *b)
{
	while (buf_len(b) > 0) {
		ssize_t n = conn_send_some(&w->conn, buf_head(b), buf_len(b));
		if (n >= 0)
			buf_consume(b, (size_t)n);
		else if (n != -EAGAIN)
			return (int)n;
		else if ((n = conn_wait(&w->conn, POLLOUT, w->deadline_ns)) < 0)
			return (int)n;
	}
	return 0;
}

/* Sends a request, wipes it, and takes its reply, which is w->reader's then: RESP_DONE, RESP_BAD or -errno. A
 * server that hung up before it took everything may have said why. */
static int exchange(struct wire *w, struct buf *request)
{
	int rc = request->failed ? -ENOMEM : send_all(w, request);
	if (request->data)
		explicit_bzero(request->data, request->cap);
	buf_fini(request);
	if (rc != 0 && rc != -EPIPE && rc != -ECONNRESET)
		return rc;
	int read = read_reply(w, rc == 0);
	return read == -EAGAIN ? rc : read;
}

static enum shc_status exchange_failed(struct wire *w, int rc)
{
	char why[WHY_SIZE];
	if (rc == RESP_BAD)
		return fail_bad(w);
	explain(w, rc, why);
	return connect_failed(w, rc, why);
}

/* AUTH is waited for before anything else leaves: a server that does not want one would execute the rest all
 * the same. */
static enum shc_status authenticate(struct wire *w)
{
	struct buf request = BUF_INIT;
	char why[GREETING_WHY_SIZE];
	greeting_put_auth(&request, &w->url);
	int rc = exchange(w, &request);
	if (rc)
		return exchange_failed(w, rc);
	if (greeting_is_in(&w->url, &w->reader.reply, why))
		return SHC_OK;
	wire_say(w, SHC_DENIED, "%s", why);
	drop_all(w);
	return SHC_DENIED;
}

/* With TLS any answer is worth waiting for: a server may take its client for connected and only then find
 * that it does not accept the certificate. */
static enum shc_status ping(struct wire *w)
{
	static const struct slice word = {"PING", 4};
	struct buf request = BUF_INIT;
	resp_put_request(&request, 1, &word);
	int rc = exchange(w, &request);
	return rc ? exchange_failed(w, rc) : SHC_OK;
}

static enum shc_status greet(struct wire *w)
{
	if (greeting_has_auth(&w->url))
		return authenticate(w);
	return w->url.is_tls ? ping(w) : SHC_OK;
}

static int open_conn(struct wire *w, const char **why)
{
	if (w->url.kind == URL_UNIX)
		return conn_open_unix(&w->conn, w->url.path, w->deadline_ns);
	return conn_open_tcp(&w->conn, w->url.host, w->url.port, w->deadline_ns, why);
}

/* Nobody listens, and somebody may be had who does. */
static bool is_revived(struct wire *w, int rc)
{
	if (!w->revive || w->is_given_up || (rc != -ECONNREFUSED && rc != -ENOENT))
		return false;
	w->is_given_up = !w->revive(w->revive_arg, w->url.path, w->deadline_ns);
	return !w->is_given_up;
}

/* Before there is a connection: what is wrong here need not be found out in the network. */
static enum shc_status prepare_tls(struct wire *w)
{
	if (!w->url.is_tls || w->tls)
		return SHC_OK;
	struct tls_config config;
	char why[WHY_SIZE];
	tls_config_environment(&config);
	int rc = tls_context_new(&w->tls, &config, why, sizeof(why));
	if (rc == 0)
		return SHC_OK;
	drop_all(w);
	return wire_say(w, rc == -ENOMEM ? SHC_MEMORY : SHC_USAGE, "%s", why);
}

/* The TLS handshake, to its end. */
static int secure(struct wire *w, char why[WHY_SIZE])
{
	int rc = conn_secure(&w->conn, w->tls, w->url.host);
	snprintf(why, WHY_SIZE, "%s",
		 rc == -EINVAL ? "no certificate can be for this host" : "no memory for TLS");
	while (rc == 0) {
		rc = conn_handshake(&w->conn, why, WHY_SIZE);
		if (rc != -EAGAIN)
			return rc;
		rc = conn_wait(&w->conn, conn_events(&w->conn, false), w->deadline_ns);
		rc = rc < 0 ? rc : 0;
	}
	if (rc == -ETIMEDOUT)
		snprintf(
			why, WHY_SIZE,
			"no answer to TLS within %lld ms; a server that speaks plain text (redis://) gives none",
			(long long)(w->timeout_ns / NS_PER_MS));
	return rc;
}

enum shc_status wire_connect(struct wire *w)
{
	if (conn_is_open(&w->conn))
		return SHC_OK;
	enum shc_status status = prepare_tls(w);
	if (status)
		return status;
	const char *why = NULL;
	int rc = open_conn(w, &why);
	if (rc && is_revived(w, rc))
		rc = open_conn(w, &why);
	if (rc)
		return connect_failed(w, rc, why);
	char tls_why[WHY_SIZE];
	rc = w->url.is_tls ? secure(w, tls_why) : 0;
	if (rc)
		return connect_failed(w, rc, tls_why);
	w->connections++;
	w->has_heard = false;
	w->is_given_up = false;
	return greet(w);
}

/* ---- bytes out ---- */

/* Whatever is pending has not begun to leave, so a connection that the server has closed meanwhile can be
 * replaced without harm. A Unix socket says so when sending; on TCP the first bytes would vanish. */
static enum shc_status connect_fresh(struct wire *w, bool *is_kept)
{
	*is_kept = conn_is_open(&w->conn) && !has_sent_pending(w);
	if (*is_kept && w->url.kind == URL_TCP && conn_is_stale(&w->conn)) {
		conn_close(&w->conn);
		*is_kept = false;
	}
	if (!conn_is_open(&w->conn)) {
		buf_consume(&w->in, buf_len(&w->in));
		w->reply_bytes = 0;
	}
	return wire_connect(w);
}

/* The socket's buffer is full. Takes replies meanwhile: a server whose replies nobody reads stops reading
 * too. */
static int wait_for_room(struct wire *w)
{
	int events = conn_wait(&w->conn, POLLIN | POLLOUT, w->deadline_ns);
	if (events < 0)
		return events;
	if (!(events & POLLIN))
		return 0;
	int rc = receive_some(w);
	if (rc == 0)
		return -ECONNRESET;
	return rc < 0 && rc != -EAGAIN ? rc : 0;
}

/* A new connection did not take the first byte. A server that wants none says why before it hangs up ("ERR
 * max number of clients reached"). */
static enum shc_status fail_unwanted(struct wire *w, int rc)
{
	size_t size_bytes;
	if (rc == -ETIMEDOUT || has_sent_pending(w) || receive_some(w) <= 0 ||
	    resp_read(&w->reader, buf_head(&w->in), buf_len(&w->in), &size_bytes) != RESP_DONE ||
	    w->reader.reply.type != RESP_ERROR)
		return fail_lost(w, rc);
	wire_say(w, SHC_REFUSED, "%.*s", (int)w->reader.reply.str.len, w->reader.reply.str.data);
	drop_all(w);
	return SHC_REFUSED;
}

enum shc_status wire_send(struct wire *w)
{
	if (buf_len(&w->out) == 0)
		return SHC_OK;
	bool is_kept;
	enum shc_status status = connect_fresh(w, &is_kept);
	if (status)
		return status;
	while (buf_len(&w->out) > 0) {
		ssize_t n = conn_send_some(&w->conn, buf_head(&w->out), buf_len(&w->out));
		if (n >= 0) {
			buf_consume(&w->out, (size_t)n);
			w->sent += (uint64_t)n;
			continue;
		}
		int rc = n == -EAGAIN ? wait_for_room(w) : (int)n;
		if (rc == 0)
			continue;
		if (!is_kept || rc == -ETIMEDOUT || has_sent_pending(w))
			return fail_unwanted(w, rc);
		conn_close(&w->conn);
		status = connect_fresh(w, &is_kept);
		if (status)
			return status;
	}
	return SHC_OK;
}

/* ---- for callers that send again ---- */

bool wire_pause(struct wire *w)
{
	const int64_t longest_ns = (int64_t)PAUSE_MAX_MS * NS_PER_MS;
	w->pause_ns = w->pause_ns ? w->pause_ns * 2 : (int64_t)PAUSE_MIN_MS * NS_PER_MS;
	if (w->pause_ns > longest_ns)
		w->pause_ns = longest_ns;
	int64_t left_ns = w->deadline_ns - conn_now_ns();
	int64_t pause_ns = left_ns < w->pause_ns ? left_ns : w->pause_ns;
	if (pause_ns <= 0)
		return false;
	struct timespec ts = {.tv_sec = pause_ns / NS_PER_S, .tv_nsec = pause_ns % NS_PER_S};
	nanosleep(&ts, NULL);
	return conn_now_ns() < w->deadline_ns;
}

enum shc_status wire_connect_patiently(struct wire *w)
{
	enum shc_status status;
	do {
		status = wire_connect(w);
	} while (status == SHC_UNREACHABLE && !w->is_hopeless && wire_pause(w));
	return status;
}

int wire_try_send(struct wire *w)
{
	while (buf_len(&w->out) > 0) {
		ssize_t n = conn_send_some(&w->conn, buf_head(&w->out), buf_len(&w->out));
		int rc = 0;
		if (n >= 0)
			buf_consume(&w->out, (size_t)n);
		else
			rc = n == -EAGAIN ? wait_for_room(w) : (int)n;
		if (rc)
			return rc;
	}
	return 0;
}

int wire_try_next(struct wire *w, bool is_waiting, const struct resp_reply **reply)
{
	int rc = read_reply(w, is_waiting);
	if (rc == RESP_DONE)
		*reply = &w->reader.reply;
	return rc;
}

void wire_drop(struct wire *w)
{
	(void)drop_all(w);
}

void wire_say_lost(struct wire *w, int rc)
{
	char peer[160], why[WHY_SIZE];
	explain(w, rc, why);
	wire_say(w, SHC_OK, "%s: %s", peer_name(w, peer, sizeof(peer)), why);
}
