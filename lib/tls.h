/* SPDX-License-Identifier: MIT */
/*
 * tls.h - TLS over a connected socket that never blocks, by OpenSSL.
 *
 * OpenSSL is loaded with dlopen(3) when the first context is made, so that whoever counts over a Unix socket
 * pays nothing for it and need not have it. For conn.c, whose calls hand on to these; others make a context
 * and give it to conn_secure. Whom the server is, is always verified, and there is no way to turn that off. A
 * context and what was made with it belong to one thread at a time.
 */
#ifndef SHC_TLS_H
#define SHC_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Files in PEM format; null: not given. */
struct tls_config {
	const char
		*ca; /* whom we believe: a file, or a directory as of `openssl rehash`; else the system's */
	const char *cert; /* ours, with the chain behind it */
	const char *key;  /* its key; else in the same file */
};

/* From $SHCOUNT_TLS_CA, $SHCOUNT_TLS_CERT and $SHCOUNT_TLS_KEY; an empty one is as good as none, and a
 * program with more rights than its user has none. The strings are the environment's. */
void tls_config_environment(struct tls_config *out);

struct tls_context;

/* Loads OpenSSL and the files. 0; -ENOMEM; -ENOPKG: there is no OpenSSL; -EINVAL: a file is not what it
 * should be. With a sentence in `why` unless it is 0. */
int tls_context_new(struct tls_context **out, const struct tls_config *config, char *why, size_t why_size);

/* Behind the last tls_free. Null is allowed; returns null. */
struct tls_context *tls_context_free(struct tls_context *context);

/* ---- one connection ---- see conn.h for what these mean */

struct tls;

/* Borrows the context and the descriptor. 0; -ENOMEM; -EINVAL: no certificate can be for that host. */
int tls_new(struct tls **out, struct tls_context *context, int fd, const char *host);
struct tls *tls_free(struct tls *t); /* null is allowed; returns null */

int tls_handshake(struct tls *t);
bool tls_is_established(const struct tls *t);
ssize_t tls_send_some(struct tls *t, const void *data, size_t len);
ssize_t tls_recv_some(struct tls *t, void *data, size_t len);
bool tls_is_stale(struct tls *t);
const char *tls_why(const struct tls *t);

/* Whether received bytes may wait inside, or bytes that the kernel has not taken yet. */
bool tls_has_input(const struct tls *t);
bool tls_has_output(const struct tls *t);

#endif
