/* SPDX-License-Identifier: MIT */
/* certificate.c - see certificate.h. libmicrohttpd speaks TLS by gnutls; here is what it is given for that.
 */
#include "certificate.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pair {
	gnutls_x509_crt_t *chain; /* ours first; gnutls' memory */
	unsigned length;
	gnutls_x509_privkey_t key;
};

/* The lock is held for the time of a copy, which is short beside a handshake. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct pair in_force; /* under `lock` */

static void pair_fini(struct pair *p)
{
	for (unsigned i = 0; i < p->length; i++)
		gnutls_x509_crt_deinit(p->chain[i]);
	gnutls_free(p->chain);
	if (p->key)
		gnutls_x509_privkey_deinit(p->key);
}

/* ---- reading ---- */

/* Owned by the caller. -errno. */
static int read_text(const char *path, gnutls_datum_t *out)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t size = 0;
	ssize_t len = -1;
	int rc = f ? 0 : -errno;

	if (f && (len = getdelim(&text, &size, '\0', f)) < 0)
		rc = ferror(f) ? -errno : -ENODATA;
	if (f)
		fclose(f);
	if (rc) {
		free(text);
		return rc;
	}
	*out = (gnutls_datum_t){(unsigned char *)text, (unsigned)len};
	return 0;
}

static void forget_text(gnutls_datum_t *text)
{
	explicit_bzero(text->data, text->size);
	free(text->data);
}

static int refuse(const char *path, const char *what, const char *reason, char why[OPTIONS_ERROR_SIZE])
{
	(void)snprintf(why, OPTIONS_ERROR_SIZE, "%.150s: %s%s", path, what, reason);
	return -EINVAL;
}

static int read_chain(struct pair *p, const char *path, char why[OPTIONS_ERROR_SIZE])
{
	gnutls_datum_t text;
	int rc = read_text(path, &text);

	if (rc)
		return refuse(path, "", strerror(-rc), why);
	rc = gnutls_x509_crt_list_import2(&p->chain, &p->length, &text, GNUTLS_X509_FMT_PEM,
					  GNUTLS_X509_CRT_LIST_SORT);
	free(text.data);
	return rc < 0 ? refuse(path, "no certificate in PEM: ", gnutls_strerror(rc), why) : 0;
}

static int read_key(struct pair *p, const char *path, char why[OPTIONS_ERROR_SIZE])
{
	gnutls_datum_t text;
	int rc = read_text(path, &text);

	if (rc)
		return refuse(path, "", strerror(-rc), why);
	rc = gnutls_x509_privkey_init(&p->key);
	if (rc == 0)
		rc = gnutls_x509_privkey_import2(p->key, &text, GNUTLS_X509_FMT_PEM, NULL, 0);
	forget_text(&text);
	return rc < 0 ? refuse(path, "no key in PEM: ", gnutls_strerror(rc), why) : 0;
}

static bool is_match(const struct pair *p)
{
	unsigned char a[64], b[64];
	size_t a_size = sizeof(a), b_size = sizeof(b);

	return gnutls_x509_crt_get_key_id(p->chain[0], GNUTLS_KEYID_USE_SHA256, a, &a_size) == 0 &&
	       gnutls_x509_privkey_get_key_id(p->key, GNUTLS_KEYID_USE_SHA256, b, &b_size) == 0 &&
	       a_size == b_size && memcmp(a, b, a_size) == 0;
}

static struct pair swap(struct pair fresh)
{
	struct pair old;

	pthread_mutex_lock(&lock);
	old = in_force;
	in_force = fresh;
	pthread_mutex_unlock(&lock);
	return old;
}

int certificate_read(const char *chain_path, const char *key_path, time_t *until,
		     char why[OPTIONS_ERROR_SIZE])
{
	struct pair p = {.length = 0};
	int rc = read_chain(&p, chain_path, why);

	if (!rc)
		rc = read_key(&p, key_path, why);
	if (!rc && !is_match(&p))
		rc = refuse(key_path, "not the key of ", chain_path, why);
	if (!rc) {
		*until = gnutls_x509_crt_get_expiration_time(p.chain[0]);
		p = swap(p);
	}
	pair_fini(&p);
	return rc;
}

void certificate_forget(void)
{
	struct pair old = swap((struct pair){.length = 0});

	pair_fini(&old);
}

/* ---- a handshake ---- */

static int copy_key(gnutls_privkey_t *out, gnutls_x509_privkey_t key)
{
	int rc = gnutls_privkey_init(out);

	if (rc == 0 && (rc = gnutls_privkey_import_x509(*out, key, GNUTLS_PRIVKEY_IMPORT_COPY)) < 0)
		gnutls_privkey_deinit(*out);
	return rc;
}

static int copy_chain(gnutls_pcert_st *out, const struct pair *p)
{
	for (unsigned i = 0; i < p->length; i++)
		if (gnutls_pcert_import_x509(&out[i], p->chain[i], 0) < 0) {
			while (i-- > 0)
				gnutls_pcert_deinit(&out[i]);
			return -1;
		}
	return 0;
}

/* Negative: no memory. */
static int copy(const struct pair *p, gnutls_pcert_st **chain, unsigned *length, gnutls_privkey_t *key)
{
	gnutls_pcert_st *copies = gnutls_calloc(p->length, sizeof(*copies));

	if (!copies || copy_key(key, p->key) < 0) {
		gnutls_free(copies);
		return -1;
	}
	if (copy_chain(copies, p) < 0) {
		gnutls_privkey_deinit(*key);
		gnutls_free(copies);
		return -1;
	}
	*chain = copies;
	*length = p->length;
	return 0;
}

/* Copies, which are the session's: a handshake goes on while others are taken into force. */
int certificate_choose(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
		       gnutls_pcert_st **chain, unsigned *length, gnutls_ocsp_data_st **ocsp,
		       unsigned *ocsp_length, gnutls_privkey_t *key, unsigned *flags)
{
	int rc;

	(void)session, (void)info;
	*ocsp = NULL;
	*ocsp_length = 0;
	*flags = GNUTLS_CERT_RETR_DEINIT_ALL;
	pthread_mutex_lock(&lock);
	rc = copy(&in_force, chain, length, key);
	pthread_mutex_unlock(&lock);
	return rc;
}
