/* SPDX-License-Identifier: MIT */
/* head.c - see head.h. */
#include "head.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../lib/conn.h"
#include "loop.h"
#include "route.h"

enum {
	DROPPED_TIMES_MAX = 4,			      /* the largest body */
	HEAD_SIZE_MAX = LOOP_MEMORY_EACH - (2 << 10), /* the rest is for the head of the reply */
	HEAD_ENTRY_SIZE = 64, /* what libmicrohttpd notes of each header, argument and cookie */
};

static unsigned method_of(struct exchange *x, const char *method)
{
	x->is_head = strcmp(method, "HEAD") == 0;
	if (x->is_head || strcmp(method, "GET") == 0)
		return METHOD_GET;
	if (strcmp(method, "POST") == 0)
		return METHOD_POST;
	return strcmp(method, "PUT") == 0 ? METHOD_PUT : 0;
}

/* What is looked at before anything is done; one way through the headers. */
struct head {
	struct guard_request guard;
	const char *length, *encoding, *expect, *key;
	unsigned lengths; /* headers that say how long the body is */
	bool is_endless;  /* a body of which nobody says how long it is */
	bool is_bad;	  /* a header's name that is none: others may read it otherwise than we do */
};

/* A token of RFC 9110. libmicrohttpd takes what stands before the colon, blanks and all. */
static bool is_header_name(const char *name)
{
	for (const char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("!#$%&'*+-.^_`|~", *c))
			return false;
	return *name;
}

static enum MHD_Result take_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct head *h = cls;
	const struct {
		const char *name, **at;
		bool is_guards;
	} wanted[] = {{"Host", &h->guard.host, true},
		      {"Origin", &h->guard.origin, true},
		      {"Sec-Fetch-Site", &h->guard.fetch_site, true},
		      {"Sec-Fetch-Mode", &h->guard.fetch_mode, true},
		      {"Sec-Fetch-Dest", &h->guard.fetch_dest, true},
		      {"Authorization", &h->guard.authorization, true},
		      {"Content-Length", &h->length, false},
		      {"Transfer-Encoding", &h->encoding, false},
		      {"Idempotency-Key", &h->key, true},
		      {"Expect", &h->expect, false}};
	size_t i = 0;

	(void)kind;
	h->is_bad |= !is_header_name(name);
	while (i < sizeof(wanted) / sizeof(wanted[0]) && strcasecmp(wanted[i].name, name) != 0)
		i++;
	if (i == sizeof(wanted) / sizeof(wanted[0]))
		return MHD_YES;
	h->guard.is_twice |= wanted[i].is_guards && *wanted[i].at;
	h->lengths += wanted[i].at == &h->length || wanted[i].at == &h->encoding;
	*wanted[i].at = value ? value : "";
	return MHD_YES;
}

/* So much of the connection's memory is gone; cookies are there twice. */
static size_t head_size(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	const char *cookies = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Cookie");
	int entries = MHD_get_connection_values(
		connection, MHD_HEADER_KIND | MHD_COOKIE_KIND | MHD_GET_ARGUMENT_KIND, NULL, NULL);

	return (info ? info->header_size : 0) + (size_t)entries * HEAD_ENTRY_SIZE +
	       (cookies ? strlen(cookies) : 0);
}

/* A head that left no room for a reply would have libmicrohttpd close the connection without a word, behind a
 * request that was carried out. */
static void judge(struct exchange *x, struct head *h, unsigned method)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	struct verdict v;

	h->guard.peer = info ? info->client_addr : NULL;
	h->guard.is_get = method == METHOD_GET;
	h->guard.role = x->route ? x->route->role : ROLE_READ;
	v = guard_judge(x->loop->gateway->guard, &h->guard, conn_now_ns() / 1000000);
	x->retry_after_s = v.retry_after_s;
	x->role = v.has;
	if (h->is_bad)
		exchange_fail(x, MHD_HTTP_BAD_REQUEST,
			      "a header's name ends at its colon, and has no blanks in it");
	else if (v.status)
		exchange_fail(x, v.status, "%s", v.details);
	else if (head_size(x->connection) > HEAD_SIZE_MAX)
		exchange_fail(x, MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE,
			      "a head has at most %d bytes; each header, argument and cookie is %d more",
			      HEAD_SIZE_MAX, HEAD_ENTRY_SIZE);
}

uint64_t head_body_max(const struct exchange *x)
{
	return (uint64_t)x->loop->gateway->options->max_body_bytes;
}

static uint64_t announced(const struct head *h)
{
	return h->length ? strtoull(h->length, NULL, 10) : 0;
}

uint64_t head_dropped_max(const struct exchange *x)
{
	return DROPPED_TIMES_MAX * head_body_max(x);
}

void head_fail_too_large(struct exchange *x)
{
	exchange_fail(x, MHD_HTTP_CONTENT_TOO_LARGE, "a body has at most %lld bytes",
		      (long long)head_body_max(x));
}

/* With two lengths a proxy may have believed the other one, and taken what is left for somebody else's
 * request. */
static bool is_length_clear(const struct head *h)
{
	return !h->is_bad && h->lengths <= 1 && (!h->encoding || strcasecmp(h->encoding, "chunked") == 0);
}

static void judge_length(struct exchange *x, const struct head *h)
{
	if (!is_length_clear(h) || h->is_endless)
		exchange_fail(x, MHD_HTTP_BAD_REQUEST,
			      "a body has one Content-Length, or Transfer-Encoding: chunked");
	else if (announced(h) > head_body_max(x))
		head_fail_too_large(x);
}

/* Many clients send all of a body before they look for a reply, and would find the connection gone: so what
 * is not too much is read and dropped. Who waits for 100 Continue hears no at once. */
static bool is_worth_dropping(const struct exchange *x, const struct head *h)
{
	return is_length_clear(h) && !h->expect && announced(h) <= head_dropped_max(x);
}

void head_look(struct exchange *x, const char *path, const char *method, const char *version)
{
	unsigned m = method_of(x, method);
	struct head head = {.lengths = 0};
	bool is_other;

	MHD_get_connection_values(x->connection, MHD_HEADER_KIND, take_header, &head);
	/* HTTP/1.0 had bodies that end with the connection; not those of requests. */
	head.is_endless = m != METHOD_GET && strcmp(version, "HTTP/1.0") == 0 && head.lengths == 0;
	x->route = route_find(path, m, &is_other);
	judge(x, &head, m);
	if (!x->status && !x->route)
		exchange_fail(x, MHD_HTTP_NOT_FOUND, "there is no %s; /openapi.json says what there is",
			      path);
	else if (!x->status && is_other)
		exchange_fail(x, MHD_HTTP_METHOD_NOT_ALLOWED, "%s takes %s", path, route_allow(x->route));
	if (!x->status)
		judge_length(x, &head);
	x->state = EXCHANGE_BODY;
	/* What follows of the body is nobody's. */
	x->is_closing = x->status && !is_worth_dropping(x, &head);
}
