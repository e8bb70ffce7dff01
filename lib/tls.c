/* SPDX-License-Identifier: MIT */
/*
 * tls.c - one TLS connection.
 *
 * OpenSSL does no input or output here: it reads from a buffer in memory and writes into another (BIO_s_mem),
 * and this file moves bytes between those and the socket. So nothing raises SIGPIPE, waits, or is cancelled
 * in the middle of OpenSSL; and no callback of OpenSSL's has to find its way back here, which would need a
 * variable of the library's own, and it has none.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tls_impl.h"

enum { RECORD_BYTES_MAX = SSL3_RT_MAX_PLAIN_LENGTH, RECV_BYTES = 16 << 10 };

/* A name's last dot says that it is complete; certificates have none, and the server is asked without. */
static int set_host(struct tls *t)
{
	const struct tls_functions *call = &t->context->call;
	size_t len = strlen(t->host);
	char *zone = strchr(t->host, '%');
	if (zone && strchr(t->host, ':'))
		*zone = '\0'; /* an interface of this machine */
	else if (len > 1 && t->host[len - 1] == '.')
		t->host[len - 1] = '\0';
	X509_VERIFY_PARAM *param = call->SSL_get0_param(t->ssl);
	unsigned char address[sizeof(struct in6_addr)];
	if (inet_pton(AF_INET, t->host, address) == 1 || inet_pton(AF_INET6, t->host, address) == 1)
		return call->X509_VERIFY_PARAM_set1_ip_asc(param, t->host) == 1 ? 0 : -ENOMEM;
	call->X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (call->X509_VERIFY_PARAM_set1_host(param, t->host, 0) != 1 ||
	    call->SSL_ctrl(t->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, t->host) != 1)
		return -EINVAL; /* longer than 255 bytes */
	return 0;
}

static int set_up(struct tls *t)
{
	const struct tls_functions *call = &t->context->call;
	call->ERR_clear_error();
	t->ssl = call->SSL_new(t->context->ssl_ctx);
	if (!t->ssl)
		return -ENOMEM;
	t->received = call->BIO_new(call->BIO_s_mem());
	t->to_send = call->BIO_new(call->BIO_s_mem());
	if (!t->received || !t->to_send) {
		call->BIO_free(t->received);
		call->BIO_free(t->to_send);
		return -ENOMEM;
	}
	call->SSL_set_bio(t->ssl, t->received, t->to_send);
	if (call->SSL_set_ex_data(t->ssl, 0, t) != 1)
		return -ENOMEM;
	call->SSL_set_connect_state(t->ssl);
	return set_host(t);
}

int tls_new(struct tls **out, struct tls_context *context, int fd, const char *host)
{
	size_t size = strlen(host) + 1;
	struct tls *t = calloc(1, sizeof(*t) + size);
	if (!t)
		return -ENOMEM;
	t->context = context;
	t->fd = fd;
	memcpy(t->host, host, size);
	int rc = set_up(t);
	if (rc)
		tls_free(t);
	else
		*out = t;
	return rc;
}

struct tls *tls_free(struct tls *t)
{
	if (t && t->ssl)
		t->context->call.SSL_free(t->ssl);
	free(t);
	return NULL;
}

bool tls_is_established(const struct tls *t)
{
	return t->is_established;
}

const char *tls_why(const struct tls *t)
{
	return t->why[0] ? t->why : NULL;
}

bool tls_has_input(const struct tls *t)
{
	return t->may_have_input;
}

bool tls_has_output(const struct tls *t)
{
	return !t->failure && t->context->call.BIO_ctrl(t->to_send, BIO_CTRL_PENDING, 0, NULL) > 0;
}

static int fail(struct tls *t, int failure)
{
	t->failure = failure;
	t->may_have_input = false;
	return failure;
}

/* ---- between OpenSSL and the socket ---- */

enum step {
	STEP_ENDED, /* the peer says nothing more */
	STEP_DONE,
	STEP_AGAIN, /* OpenSSL has been given what it was waiting for */
};

/* Hands over what OpenSSL has written: 0: all of it; -EAGAIN: not yet; -errno. */
static int flush(struct tls *t)
{
	const struct tls_functions *call = &t->context->call;
	for (;;) {
		char *data;
		long len = call->BIO_ctrl(t->to_send, BIO_CTRL_INFO, 0, (void *)&data);
		if (len <= 0)
			return 0;
		ssize_t n = send(t->fd, data, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EINTR)
			return errno == EAGAIN || errno == EWOULDBLOCK ? -EAGAIN : -errno;
		char sink[RECV_BYTES];
		for (ssize_t left = n; left > 0;) {
			int taken =
				call->BIO_read(t->to_send, sink, left < RECV_BYTES ? (int)left : RECV_BYTES);
			if (taken <= 0)
				return -ENOMEM;
			left -= taken;
		}
	}
}

/* Gives OpenSSL what the socket has, be it the end: STEP_AGAIN; -EAGAIN: nothing is there; -errno. */
static int feed(struct tls *t)
{
	char data[RECV_BYTES];
	ssize_t n;
	do {
		n = recv(t->fd, data, sizeof(data), MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	t->has_ended = n == 0;
	/* Otherwise only OpenSSL's many words for "what is this?" would tell. */
	if (n > 0 && !t->has_heard && data[0] != SSL3_RT_HANDSHAKE && data[0] != SSL3_RT_ALERT) {
		snprintf(t->why, TLS_WHY_SIZE,
			 "the answer is not TLS: does the server speak plain text (redis://)?");
		return -EPROTO;
	}
	t->has_heard = true;
	return n == 0 || t->context->call.BIO_write(t->received, data, (int)n) == n ? STEP_AGAIN : -ENOMEM;
}

/* What comes of an operation of OpenSSL's that returned rc: a step; -EAGAIN: the socket has to be waited for;
 * -errno. What OpenSSL wrote on that occasion may be an alert, or an answer to a change of keys. That it
 * cannot be sent matters only when nothing is left that the peer has said before. */
static int after(struct tls *t, int rc)
{
	int error = rc > 0 ? SSL_ERROR_NONE : t->context->call.SSL_get_error(t->ssl, rc);
	int flushed = flush(t);
	if (error == SSL_ERROR_NONE)
		return STEP_DONE;
	if (error == SSL_ERROR_ZERO_RETURN)
		return STEP_ENDED;
	if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
		return fail(t, t->failure ? t->failure : tls_explain(t)); /* judge_chain has seen to it */
	if (t->has_ended)
		return STEP_ENDED;
	int fed = feed(t);
	if (fed == -EAGAIN && flushed && flushed != -EAGAIN)
		return fail(t, flushed);
	return fed == -EAGAIN || fed == STEP_AGAIN ? fed : fail(t, fed);
}

int tls_handshake(struct tls *t)
{
	const struct tls_functions *call = &t->context->call;
	int rc = t->failure;
	if (rc)
		return rc;
	do {
		call->ERR_clear_error();
		rc = after(t, call->SSL_do_handshake(t->ssl));
	} while (rc == STEP_AGAIN);
	if (rc == STEP_ENDED)
		return fail(t, -ECONNRESET);
	if (rc == STEP_DONE)
		rc = flush(t);
	if (rc)
		return rc == -EAGAIN ? rc : fail(t, rc);
	t->is_established = true;
	t->may_have_input = true;
	return 0;
}

static ssize_t receive(struct tls *t, void *data, size_t len, bool is_peek)
{
	const struct tls_functions *call = &t->context->call;
	int size = len < INT_MAX ? (int)len : INT_MAX, n, rc = t->failure;
	if (rc)
		return rc;
	do {
		call->ERR_clear_error();
		n = is_peek ? call->SSL_peek(t->ssl, data, size) : call->SSL_read(t->ssl, data, size);
		rc = after(t, n);
	} while (rc == STEP_AGAIN);
	t->may_have_input = rc >= 0;
	return rc == STEP_DONE ? n : rc;
}

ssize_t tls_recv_some(struct tls *t, void *data, size_t len)
{
	return receive(t, data, len, false);
}

bool tls_is_stale(struct tls *t)
{
	char byte;
	return receive(t, &byte, 1, true) != -EAGAIN;
}

/* One record at a time, and counted when the kernel has all of it: the peer understands none of a record
 * that is cut off, so whoever counts what has left is right. */
ssize_t tls_send_some(struct tls *t, const void *data, size_t len)
{
	const struct tls_functions *call = &t->context->call;
	int rc = t->failure ? t->failure : flush(t);
	assert(t->is_established);
	if (rc == 0 && t->accepted == 0) {
		call->ERR_clear_error();
		int n = call->SSL_write(t->ssl, data, len < RECORD_BYTES_MAX ? (int)len : RECORD_BYTES_MAX);
		if (n <= 0)
			return fail(t, tls_explain(t));
		t->accepted = (size_t)n;
		rc = flush(t);
	}
	if (rc)
		return rc; /* the peer's last words can still be received */
	ssize_t sent = (ssize_t)t->accepted;
	t->accepted = 0;
	return sent;
}
