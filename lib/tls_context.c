/* SPDX-License-Identifier: MIT */
/*
 * tls_context.c - OpenSSL, loaded when it is wanted; whom we believe, and who we are.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tls_impl.h"

#define TEXT_OF(x)  #x
#define TEXT(x)	    TEXT_OF(x)
#define TLS_LIBRARY "libssl.so." TEXT(OPENSSL_SHLIB_VERSION)
#define TLS_PACKAGE "libssl" TEXT(OPENSSL_SHLIB_VERSION)

/* ---- the library ---- */

/* What OpenSSL needs of libcrypto is found through it, too. It is never unloaded: it has handlers for the end
 * of threads and of the program. */
static int load_library(struct tls_context *c, char *why, size_t why_size)
{
	static const struct {
		const char *name;
		size_t offset;
	} functions[] = {
#define ENTRY(name) {#name, offsetof(struct tls_functions, name)},
		TLS_FUNCTIONS(ENTRY)
#undef ENTRY
	};
	c->library = dlopen(TLS_LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	bool is_complete = c->library;
	for (size_t i = 0; is_complete && i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *found = dlsym(c->library, functions[i].name);
		is_complete = found;
		memcpy((char *)&c->call + functions[i].offset, &found, sizeof(found));
	}
	if (is_complete)
		return 0;
	const char *said = dlerror();
	snprintf(why, why_size, "rediss:// needs OpenSSL, Debian's package " TLS_PACKAGE ": %s",
		 said ? said : "it is too old");
	return -ENOPKG;
}

/* ---- whom we believe, and who we are ---- */

static const char *environment(const char *name)
{
	const char *value = secure_getenv(name);
	return value && value[0] ? value : NULL;
}

void tls_config_environment(struct tls_config *out)
{
	*out = (struct tls_config){
		.ca = environment("SHCOUNT_TLS_CA"),
		.cert = environment("SHCOUNT_TLS_CERT"),
		.key = environment("SHCOUNT_TLS_KEY"),
	};
}

/* OpenSSL's reason would be less clear. */
static int check_readable(const char *variable, const char *path, bool *is_directory, char *why,
			  size_t why_size)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st)) {
		snprintf(why, why_size, "$%s: %s: %s", variable, path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -EINVAL;
	}
	close(fd);
	*is_directory = S_ISDIR(st.st_mode);
	return 0;
}

static int load_ca(struct tls_context *c, const char *path, char *why, size_t why_size)
{
	if (!path)
		return c->call.SSL_CTX_set_default_verify_paths(c->ssl_ctx) ? 0 : -ENOMEM;
	bool is_directory;
	int rc = check_readable("SHCOUNT_TLS_CA", path, &is_directory, why, why_size);
	if (rc)
		return rc;
	rc = is_directory ? c->call.SSL_CTX_load_verify_dir(c->ssl_ctx, path)
			  : c->call.SSL_CTX_load_verify_file(c->ssl_ctx, path);
	if (rc == 1)
		return 0;
	snprintf(why, why_size, "$SHCOUNT_TLS_CA: %s: no certificates in PEM format there (%s)", path,
		 tls_reason(c));
	return -EINVAL;
}

/* Instead of OpenSSL's own, which would ask at the terminal. */
static int no_passphrase(char *to, int size, int is_writing, void *arg)
{
	(void)to, (void)size, (void)is_writing, (void)arg;
	return -1;
}

static int load_own(struct tls_context *c, const struct tls_config *config, char *why, size_t why_size)
{
	if (!config->cert && !config->key)
		return 0;
	if (!config->cert) {
		snprintf(why, why_size, "$SHCOUNT_TLS_KEY is nothing without $SHCOUNT_TLS_CERT");
		return -EINVAL;
	}
	const char *key_variable = config->key ? "SHCOUNT_TLS_KEY" : "SHCOUNT_TLS_CERT";
	const char *key = config->key ? config->key : config->cert;
	bool is_directory;
	int rc = check_readable("SHCOUNT_TLS_CERT", config->cert, &is_directory, why, why_size);
	if (rc == 0)
		rc = check_readable(key_variable, key, &is_directory, why, why_size);
	if (rc)
		return rc;
	if (c->call.SSL_CTX_use_certificate_chain_file(c->ssl_ctx, config->cert) != 1) {
		snprintf(why, why_size, "$SHCOUNT_TLS_CERT: %s: no certificate in PEM format (%s)",
			 config->cert, tls_reason(c));
		return -EINVAL;
	}
	c->call.SSL_CTX_set_default_passwd_cb(c->ssl_ctx, no_passphrase);
	if (c->call.SSL_CTX_use_PrivateKey_file(c->ssl_ctx, key, SSL_FILETYPE_PEM) != 1 ||
	    c->call.SSL_CTX_check_private_key(c->ssl_ctx) != 1) {
		snprintf(
			why, why_size,
			"$%s: %s: no key in PEM format without a passphrase that fits $SHCOUNT_TLS_CERT (%s)",
			key_variable, key, tls_reason(c));
		return -EINVAL;
	}
	c->has_cert = true;
	return 0;
}

/* Called by OpenSSL in the middle of the handshake: 1 to go on. It has no way to tell more. */
static int judge_chain(X509_STORE_CTX *chain, void *context)
{
	const struct tls_functions *call = &((struct tls_context *)context)->call;
	SSL *ssl = call->X509_STORE_CTX_get_ex_data(chain, call->SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *t = call->SSL_get_ex_data(ssl, 0);
	if (call->X509_verify_cert(chain) == 1)
		return 1;
	tls_explain_chain(t, chain);
	t->failure = -EKEYREJECTED;
	return 0;
}

static int fill_context(struct tls_context *c, const struct tls_config *config, char *why, size_t why_size)
{
	int rc = load_library(c, why, why_size);
	if (rc)
		return rc;
	c->call.ERR_clear_error();
	c->ssl_ctx = c->call.SSL_CTX_new(c->call.TLS_client_method());
	if (!c->ssl_ctx ||
	    !c->call.SSL_CTX_ctrl(c->ssl_ctx, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL)) {
		snprintf(why, why_size, "OpenSSL cannot be used: %s", tls_reason(c));
		return -EINVAL; /* its own configuration is broken */
	}
	/* Without renegotiation, nothing but the handshake waits to receive in order to send. */
	c->call.SSL_CTX_set_options(c->ssl_ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	c->call.SSL_CTX_set_verify(c->ssl_ctx, SSL_VERIFY_PEER, NULL);
	c->call.SSL_CTX_set_cert_verify_callback(c->ssl_ctx, judge_chain, c);
	rc = load_ca(c, config->ca, why, why_size);
	return rc ? rc : load_own(c, config, why, why_size);
}

int tls_context_new(struct tls_context **out, const struct tls_config *config, char *why, size_t why_size)
{
	snprintf(why, why_size, "out of memory");
	struct tls_context *c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	/* Files are read inside OpenSSL, which may hold a lock of the whole process. */
	int cancel;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	int rc = fill_context(c, config, why, why_size);
	if (rc)
		tls_context_free(c);
	else
		*out = c;
	pthread_setcancelstate(cancel, &cancel);
	return rc;
}

struct tls_context *tls_context_free(struct tls_context *c)
{
	if (!c)
		return NULL;
	if (c->ssl_ctx)
		c->call.SSL_CTX_free(c->ssl_ctx);
	if (c->library)
		dlclose(c->library);
	free(c);
	return NULL;
}
