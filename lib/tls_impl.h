/* SPDX-License-Identifier: MIT */
/*
 * tls_impl.h - what tls.c (connections), tls_context.c (OpenSSL itself, and files) and tls_why.c (what is
 * wrong) share. Only these three know OpenSSL, whose functions they call through a table filled by dlsym(3).
 */
#ifndef SHC_TLS_IMPL_H
#define SHC_TLS_IMPL_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "tls.h"

#if OPENSSL_VERSION_MAJOR < 3
#error "OpenSSL 3 or later is needed"
#endif

#define TLS_FUNCTIONS(X)                                                                                     \
	X(ASN1_STRING_get0_data)                                                                             \
	X(ASN1_STRING_length)                                                                                \
	X(BIO_ctrl)                                                                                          \
	X(BIO_free)                                                                                          \
	X(BIO_new)                                                                                           \
	X(BIO_read)                                                                                          \
	X(BIO_s_mem)                                                                                         \
	X(BIO_write)                                                                                         \
	X(ERR_clear_error)                                                                                   \
	X(ERR_peek_error)                                                                                    \
	X(ERR_reason_error_string)                                                                           \
	X(GENERAL_NAMES_free)                                                                                \
	X(OPENSSL_sk_num)                                                                                    \
	X(OPENSSL_sk_value)                                                                                  \
	X(SSL_CTX_check_private_key)                                                                         \
	X(SSL_CTX_ctrl)                                                                                      \
	X(SSL_CTX_free)                                                                                      \
	X(SSL_CTX_load_verify_dir)                                                                           \
	X(SSL_CTX_load_verify_file)                                                                          \
	X(SSL_CTX_new)                                                                                       \
	X(SSL_CTX_set_cert_verify_callback)                                                                  \
	X(SSL_CTX_set_default_passwd_cb)                                                                     \
	X(SSL_CTX_set_default_verify_paths)                                                                  \
	X(SSL_CTX_set_options)                                                                               \
	X(SSL_CTX_set_verify)                                                                                \
	X(SSL_CTX_use_PrivateKey_file)                                                                       \
	X(SSL_CTX_use_certificate_chain_file)                                                                \
	X(SSL_ctrl)                                                                                          \
	X(SSL_do_handshake)                                                                                  \
	X(SSL_free)                                                                                          \
	X(SSL_get0_param)                                                                                    \
	X(SSL_get_error)                                                                                     \
	X(SSL_get_ex_data)                                                                                   \
	X(SSL_get_ex_data_X509_STORE_CTX_idx)                                                                \
	X(SSL_new)                                                                                           \
	X(SSL_peek)                                                                                          \
	X(SSL_read)                                                                                          \
	X(SSL_set_bio)                                                                                       \
	X(SSL_set_connect_state)                                                                             \
	X(SSL_set_ex_data)                                                                                   \
	X(SSL_write)                                                                                         \
	X(TLS_client_method)                                                                                 \
	X(X509_STORE_CTX_get_current_cert)                                                                   \
	X(X509_STORE_CTX_get_error)                                                                          \
	X(X509_STORE_CTX_get_error_depth)                                                                    \
	X(X509_STORE_CTX_get_ex_data)                                                                        \
	X(X509_VERIFY_PARAM_set1_host)                                                                       \
	X(X509_VERIFY_PARAM_set1_ip_asc)                                                                     \
	X(X509_VERIFY_PARAM_set_hostflags)                                                                   \
	X(X509_get_ext_d2i)                                                                                  \
	X(X509_verify_cert)                                                                                  \
	X(X509_verify_cert_error_string)

struct tls_functions {
#define MEMBER(name) __typeof__(name) *name;
	TLS_FUNCTIONS(MEMBER)
#undef MEMBER
};

struct tls_context {
	struct tls_functions call;
	void *library;
	SSL_CTX *ssl_ctx;
	bool has_cert;
};

enum { TLS_WHY_SIZE = 320 };

struct tls {
	struct tls_context *context; /* borrowed */
	SSL *ssl;
	BIO *received, *to_send; /* ciphertext; the SSL's */
	int fd;			 /* borrowed */
	int failure;		 /* -errno that ended it; 0: none */
	bool is_established;
	bool has_heard;	     /* the peer has said something */
	bool has_ended;	     /* and nothing more comes behind what was received */
	bool may_have_input; /* nothing has said yet that all is handed out */
	size_t accepted;     /* bytes of the caller's in the record in to_send, not yet counted */
	char why[TLS_WHY_SIZE];
	char host[]; /* as the certificate must have it */
};

/* What the oldest error in the thread's queue is about. */
const char *tls_reason(const struct tls_context *c);

/* Says what is wrong with the chain of certificates in the peer's hand, at which `t` has failed. */
void tls_explain_chain(struct tls *t, X509_STORE_CTX *chain);

/* Says what is wrong when an operation of OpenSSL's has failed for good: -EKEYREJECTED or -EPROTO. */
int tls_explain(struct tls *t);

#endif
