/* SPDX-License-Identifier: MIT */
/*
 * tls_why.c - sentences for what goes wrong with TLS, and what to do then.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tls_impl.h"

enum { NAMES_SIZE = 160, NAME_SIZE = 256 };

const char *tls_reason(const struct tls_context *c)
{
	const char *text = c->call.ERR_reason_error_string(c->call.ERR_peek_error());
	return text ? text : "no reason was given";
}

/* ---- the server's certificate ---- */

/* Of one subject alternative name; "" for the kinds that no host is looked for in. */
static void name_text(const struct tls_functions *call, const GENERAL_NAME *name, char out[NAME_SIZE])
{
	out[0] = '\0';
	if (name->type != GEN_DNS && name->type != GEN_IPADD)
		return;
	const unsigned char *data = call->ASN1_STRING_get0_data(name->d.ia5);
	int len = call->ASN1_STRING_length(name->d.ia5);
	if (name->type == GEN_IPADD && (len == 4 || len == 16))
		inet_ntop(len == 4 ? AF_INET : AF_INET6, data, out, NAME_SIZE);
	else if (name->type == GEN_DNS && len > 0)
		snprintf(out, NAME_SIZE, "%.*s", len, (const char *)data);
	if (out[strspn(out, "-.*_:0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")])
		out[0] = '\0';
}

static void list_names(const struct tls_functions *call, const X509 *cert, char out[NAMES_SIZE])
{
	GENERAL_NAMES *names = call->X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	size_t len = 0;
	out[0] = '\0';
	for (int i = 0; names && i < call->OPENSSL_sk_num((const OPENSSL_STACK *)names); i++) {
		char text[NAME_SIZE];
		name_text(call, call->OPENSSL_sk_value((const OPENSSL_STACK *)names, i), text);
		if (!text[0])
			continue;
		if (len + strlen(text) + sizeof(", ...") > NAMES_SIZE) {
			len += (size_t)snprintf(out + len, NAMES_SIZE - len, "%s...", len ? ", " : "");
			break;
		}
		len += (size_t)snprintf(out + len, NAMES_SIZE - len, "%s%s", len ? ", " : "", text);
	}
	call->GENERAL_NAMES_free(names);
	if (len == 0)
		snprintf(out, NAMES_SIZE, "nobody");
}

void tls_explain_chain(struct tls *t, X509_STORE_CTX *chain)
{
	const struct tls_functions *call = &t->context->call;
	int error = call->X509_STORE_CTX_get_error(chain);
	bool is_server = call->X509_STORE_CTX_get_error_depth(chain) == 0;
	const X509 *cert = call->X509_STORE_CTX_get_current_cert(chain);
	const char *whose = is_server ? "the server's certificate" : "the certificate of the server's CA";
	char names[NAMES_SIZE];
	switch (error) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		list_names(call, cert, names);
		snprintf(t->why, TLS_WHY_SIZE, "the server's certificate is not for %s: it names %s", t->host,
			 names);
		return;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		snprintf(
			t->why, TLS_WHY_SIZE,
			"the server's certificate is from a CA that is not trusted (%s): $SHCOUNT_TLS_CA names the "
			"file of the right one",
			call->X509_verify_cert_error_string(error));
		return;
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		snprintf(
			t->why, TLS_WHY_SIZE,
			"%s %s: give the server another one, unless it is this machine's clock that is wrong",
			whose, error == X509_V_ERR_CERT_HAS_EXPIRED ? "has expired" : "is not valid yet");
		return;
	default:
		snprintf(t->why, TLS_WHY_SIZE, "%s is not accepted: %s", whose,
			 call->X509_verify_cert_error_string(error));
	}
}

/* ---- our certificate, and the rest ---- */

/* The server's word about our certificate, or about there being none. */
static bool is_about_us(int reason_code)
{
	switch (reason_code) {
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
	case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED: return true;
	default: return false;
	}
}

int tls_explain(struct tls *t)
{
	const struct tls_context *c = t->context;
	unsigned long error = c->call.ERR_peek_error();
	int code = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
	bool is_bare_refusal = code == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE; /* TLS 1.2 has no better word */
	if (!c->has_cert && (is_about_us(code) || is_bare_refusal)) {
		snprintf(t->why, TLS_WHY_SIZE, "%s: $SHCOUNT_TLS_CERT and $SHCOUNT_TLS_KEY name one (%s)",
			 is_bare_refusal ? "the server refuses, perhaps for want of a client certificate"
					 : "the server wants a client certificate",
			 tls_reason(c));
		return -EKEYREJECTED;
	}
	if (is_about_us(code)) {
		snprintf(t->why, TLS_WHY_SIZE,
			 "the server does not accept the certificate in $SHCOUNT_TLS_CERT (%s)",
			 tls_reason(c));
		return -EKEYREJECTED;
	}
	snprintf(t->why, TLS_WHY_SIZE, "TLS failed: %s", tls_reason(c));
	return -EPROTO;
}
