/* SPDX-License-Identifier: MIT */
/* origin.c - see origin.h. */
#include "origin.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "../lib/loopback.h"

enum { NAME_MAX_CHARS = 253, PORT_HTTP = 80, PORT_HTTPS = 443 };

/* ---- HOST[:PORT] ---- */

enum host_kind { HOST_NAME, HOST_V4, HOST_V6 };

struct host {
	enum host_kind kind;
	char name[NAME_MAX_CHARS + 1]; /* as it was written, without brackets */
	union {
		struct in_addr v4;
		struct in6_addr v6;
	};
	int port; /* 0: not said */
};

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '.' || c == '_';
}

/* An IPv4 address in an IPv6 one is what it stands for. */
static void unwrap(struct host *h)
{
	struct in_addr v4;

	if (!IN6_IS_ADDR_V4MAPPED(&h->v6))
		return;
	memcpy(&v4, &h->v6.s6_addr[12], sizeof(v4));
	h->v4 = v4;
	h->kind = HOST_V4;
}

/* The part in front of the port. */
static bool take_name(struct host *h, const char *text, size_t len)
{
	bool is_v6 = len > 2 && text[0] == '[' && text[len - 1] == ']';

	if (is_v6)
		text++, len -= 2;
	if (len == 0 || len > NAME_MAX_CHARS || memchr(text, '\0', len))
		return false;
	memcpy(h->name, text, len);
	h->name[len] = '\0';
	if (is_v6) {
		h->kind = HOST_V6;
		if (inet_pton(AF_INET6, h->name, &h->v6) != 1)
			return false;
		unwrap(h);
		return true;
	}
	for (size_t i = 0; i < len; i++)
		if (!is_name_char(text[i]))
			return false;
	h->kind = inet_pton(AF_INET, h->name, &h->v4) == 1 ? HOST_V4 : HOST_NAME;
	/* The root of all names may be written or not. */
	if (h->kind == HOST_NAME && len > 1 && h->name[len - 1] == '.')
		h->name[len - 1] = '\0';
	return true;
}

/* "", or ":" and perhaps digits: RFC 3986 allows none. */
static bool take_port(struct host *h, const char *text, size_t len)
{
	h->port = 0;
	if (len == 0)
		return true;
	if (text[0] != ':' || len > 6)
		return false;
	for (size_t i = 1; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		h->port = h->port * 10 + (text[i] - '0');
	}
	return h->port <= 65535;
}

/* Blanks behind a header's value are none of it; libmicrohttpd leaves them there. */
static bool parse(struct host *h, const char *text)
{
	size_t len = strlen(text), name;

	while (len && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		len--;
	name = strcspn(text, text[0] == '[' ? "]" : ":");
	if (text[0] == '[')
		name++;
	if (name > len)
		name = len;
	return take_name(h, text, name) && take_port(h, text + name, len - name);
}

static bool is_same_host(const struct host *a, const struct host *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == HOST_V4)
		return a->v4.s_addr == b->v4.s_addr;
	if (a->kind == HOST_V6)
		return memcmp(&a->v6, &b->v6, sizeof(a->v6)) == 0;
	return strcasecmp(a->name, b->name) == 0;
}

/* ---- who we are ---- */

static bool is_loopback(const struct host *h)
{
	if (h->kind == HOST_V4)
		return loopback_is_v4(h->v4);
	if (h->kind == HOST_V6)
		return loopback_is_v6(&h->v6);
	return strcasecmp(h->name, "localhost") == 0;
}

/* 0.0.0.0, [::]: browsers take that for this machine, but do not say whose page asks. */
static bool is_unspecified(const struct host *h)
{
	return (h->kind == HOST_V4 && h->v4.s_addr == 0) ||
	       (h->kind == HOST_V6 && IN6_IS_ADDR_UNSPECIFIED(&h->v6));
}

/* As listen.c takes it apart: the last colon is in front of the port, brackets may be missing. */
static bool parse_listen(struct host *h, const char *where)
{
	const char *colon = strrchr(where, ':');
	size_t len = colon ? (size_t)(colon - where) : strlen(where);

	if (len > 0 && len <= NAME_MAX_CHARS && where[0] != '[') {
		memcpy(h->name, where, len);
		h->name[len] = '\0';
		h->kind = HOST_V6;
		if (inet_pton(AF_INET6, h->name, &h->v6) == 1) {
			unwrap(h);
			return true;
		}
	}
	return take_name(h, where, len);
}

static bool is_what_we_listen_on(const char *listen, const struct host *h)
{
	struct host own;
	/* "*" is no name. */
	bool is_parsed = parse_listen(&own, listen);

	if (is_parsed && is_same_host(&own, h))
		return true;
	return h->kind != HOST_NAME &&
	       (!is_parsed || is_unspecified(&own) || (own.kind == HOST_NAME && !is_loopback(&own)));
}

static bool is_given(const struct origin_self *self, const struct host *h)
{
	struct host given;

	for (size_t i = 0; i < self->host_count; i++)
		if (parse(&given, self->hosts[i]) && is_same_host(&given, h))
			return true;
	return false;
}

bool origin_is_host(const char *name)
{
	struct host h;

	return parse(&h, name);
}

bool origin_is_our_host(const struct origin_self *self, const char *host)
{
	struct host h;

	if (!parse(&h, host) || is_unspecified(&h))
		return false;
	return is_loopback(&h) || is_what_we_listen_on(self->listen, &h) || is_given(self, &h);
}

/* ---- whose page ---- */

bool origin_is_same(const struct origin_self *self, const char *origin, const char *host)
{
	bool is_https = strncmp(origin, "https://", 8) == 0;
	int port = is_https ? PORT_HTTPS : PORT_HTTP;
	struct host page, own;

	if (!is_https && (self->is_tls || strncmp(origin, "http://", 7) != 0))
		return false;
	if (!parse(&page, origin + (is_https ? 8 : 7)) || !parse(&own, host))
		return false;
	return is_same_host(&page, &own) && (page.port ? page.port : port) == (own.port ? own.port : port);
}

bool origin_may_fetch(const char *site, const char *mode, const char *dest, bool is_page)
{
	if (!site || strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0)
		return true;
	return is_page && mode && strcmp(mode, "navigate") == 0 && dest && strcmp(dest, "document") == 0;
}
