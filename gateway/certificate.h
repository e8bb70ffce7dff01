/* SPDX-License-Identifier: MIT */
/*
 * certificate.h - the certificate of our TLS and its key, which can be read again while clients come: a
 * connection has those that were in force at its handshake. One pair for the process: gnutls, which asks for
 * it, hands on nothing of ours.
 *
 * Any thread.
 */
#ifndef SHC_GATEWAY_CERTIFICATE_H
#define SHC_GATEWAY_CERTIFICATE_H

#include <gnutls/abstract.h>
#include <time.h>

#include "options.h"

/* Takes what is in these files now; *until is when the certificate ends. What was in force stays when that
 * fails: -EINVAL, -ENOMEM with a sentence. */
int certificate_read(const char *chain_path, const char *key_path, time_t *until,
		     char why[OPTIONS_ERROR_SIZE]);
/* Behind the last connection. */
void certificate_forget(void);

/* For MHD_OPTION_HTTPS_CERT_CALLBACK2. */
int certificate_choose(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
		       gnutls_pcert_st **chain, unsigned *length, gnutls_ocsp_data_st **ocsp,
		       unsigned *ocsp_length, gnutls_privkey_t *key, unsigned *flags);

#endif
