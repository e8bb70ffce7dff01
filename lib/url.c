/* SPDX-License-Identifier: MIT */
/*
 * url.c - cuts a copy of the text in place; the parts stay inside the copy, so there is one thing to free.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "url.h"

__attribute__((format(printf, 2, 3))) static int bad(char *error, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(error, URL_ERROR_SIZE, fmt, ap);
	va_end(ap);
	return URL_BAD;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Undoes %XX in place. False for half an escape and for %00, which would cut the string short unseen. */
static bool percent_decode(char *s)
{
	char *to = s;
	for (; *s; s++) {
		if (*s != '%') {
			*to++ = *s;
			continue;
		}
		int high = hex_digit(s[1]);
		int low = high < 0 ? -1 : hex_digit(s[2]);
		if (low < 0 || (high == 0 && low == 0))
			return false;
		*to++ = (char)(high * 16 + low);
		s += 2;
	}
	*to = '\0';
	return true;
}

static int check_path(const char *path, char *error)
{
	if (path[0] == '\0')
		return bad(error, "the socket's path is empty");
	if (strlen(path) > URL_PATH_MAX)
		return bad(error, "the socket's path has %zu bytes, the system takes at most %d",
			   strlen(path), URL_PATH_MAX);
	return URL_OK;
}

/* What stands there instead of a number is not shown: it may be a password whose '@' is missing. */
static int parse_port(const char *s, struct url_host *h, char *error)
{
	unsigned value = 0;
	size_t len = strspn(s, "0123456789");
	for (size_t i = 0; i < len && value <= UINT16_MAX; i++)
		value = value * 10 + (unsigned)(s[i] - '0');
	if (len == 0 || s[len] != '\0' || value == 0 || value > UINT16_MAX)
		return bad(error, "bad port behind \"%.64s\": a number from 1 to 65535 is expected", h->host);
	h->port = (uint16_t)value;
	return URL_OK;
}

static int parse_user(struct url *u, char *info, char *error)
{
	char *colon = strchr(info, ':');
	if (colon) {
		*colon = '\0';
		u->password = colon + 1;
		if (!percent_decode(colon + 1))
			return bad(error,
				   "bad %% escape in the password (a percent sign itself is written %%25)");
	}
	if (!percent_decode(info))
		return bad(error, "bad %% escape in the user name (a percent sign itself is written %%25)");
	u->user = info[0] ? info : NULL;
	return URL_OK;
}

/* [user[:password]@]/path */
static int parse_unix(struct url *u, char *rest, char *error)
{
	char *slash = strchr(rest, '/');
	if (slash && slash > rest && slash[-1] == '@') {
		slash[-1] = '\0';
		int rc = parse_user(u, rest, error);
		if (rc)
			return rc;
		rest = slash;
	}
	if (rest[0] != '/')
		return bad(error, "unix:// wants an absolute path: unix:///run/shcounterd/shcounterd.sock");
	if (strpbrk(rest, "?#"))
		return bad(error,
			   "unix:// takes a path only; '?' and '#' in a path are written %%3F and %%23");
	if (!percent_decode(rest))
		return bad(error, "bad %% escape in the path (a percent sign itself is written %%25)");
	u->kind = URL_UNIX;
	u->path = rest;
	return check_path(rest, error);
}

/* host, host:port, [v6] or [v6]:port. `scheme`: for what should have stood there. */
static int parse_host(struct url_host *h, char *host, const char *scheme, char *error)
{
	char *port = NULL;
	if (host[0] == '[') {
		char *close = strchr(host, ']');
		if (!close || (close[1] != '\0' && close[1] != ':'))
			return bad(error, "bad IPv6 address: [ADDRESS] or [ADDRESS]:PORT is expected");
		port = close[1] == ':' ? close + 2 : NULL;
		*close = '\0';
		host++;
	} else {
		char *colon = strchr(host, ':');
		if (colon && strchr(colon + 1, ':'))
			return bad(error, "an IPv6 address is written in brackets: %s://[::1]:6379", scheme);
		if (colon) {
			*colon = '\0';
			port = colon + 1;
		}
	}
	if (!percent_decode(host))
		return bad(error, "bad %% escape in the host name");
	if (host[0] == '\0')
		return bad(error, "the host is missing: %s://HOST:PORT", scheme);
	*h = (struct url_host){host, URL_PORT_DEFAULT};
	return port ? parse_port(port, h, error) : URL_OK;
}

static int check_new_host(const struct url *u, const struct url_host *h, char *error)
{
	for (size_t i = 0; i < u->hosts_count; i++) {
		if (u->hosts[i].port == h->port && strcasecmp(u->hosts[i].host, h->host) == 0)
			return bad(error, "%.64s with port %u stands there twice", h->host,
				   (unsigned)h->port);
	}
	return URL_OK;
}

static size_t count_of(const char *s, char c)
{
	size_t n = 0;
	for (; *s; s++)
		n += *s == c;
	return n;
}

/* host[:port],... */
static int parse_hosts(struct url *u, char *rest, char *error)
{
	size_t count = 1 + count_of(rest, ',');
	if (count > URL_HOSTS_MAX)
		return bad(error,
			   "%zu hosts are more than a cluster has (%d): a few to begin with are enough",
			   count, URL_HOSTS_MAX);
	u->hosts = calloc(count, sizeof(*u->hosts));
	if (!u->hosts)
		return -ENOMEM;
	while (rest) {
		char *host = strsep(&rest, ",");
		struct url_host *h = &u->hosts[u->hosts_count];
		if (host[0] == '\0' && count > 1)
			return bad(error, "host %zu of %zu is empty: HOST:PORT,HOST:PORT is expected",
				   u->hosts_count + 1, count);
		int rc = parse_host(h, host, u->text, error);
		rc = rc ? rc : check_new_host(u, h, error);
		if (rc)
			return rc;
		u->hosts_count++;
	}
	return URL_OK;
}

static int parse_one_host(struct url *u, char *rest, char *error)
{
	struct url_host h;
	if (strchr(rest, ','))
		return bad(error, "one host is expected; the nodes of a cluster go into %s+cluster://",
			   u->is_tls ? "rediss" : "redis");
	int rc = parse_host(&h, rest, u->text, error);
	if (rc)
		return rc;
	u->host = h.host;
	u->port = h.port;
	return URL_OK;
}

static int parse_redis(struct url *u, char *rest, char *error)
{
	char *end = rest + strcspn(rest, "/?#");
	if (strcmp(end, "") != 0 && strcmp(end, "/") != 0 && strcmp(end, "/0") != 0)
		return bad(error,
			   "nothing but /0 may stand behind the host: there is one database, and no options "
			   "(in a password, '/' is written %%2F, '?' %%3F and '#' %%23)");
	*end = '\0';
	char *at = strrchr(rest, '@');
	if (at) {
		*at = '\0';
		int rc = parse_user(u, rest, error);
		if (rc)
			return rc;
		rest = at + 1;
	}
	return u->kind == URL_CLUSTER ? parse_hosts(u, rest, error) : parse_one_host(u, rest, error);
}

static int parse_scheme(struct url *u, char *error)
{
	static const struct {
		const char *scheme;
		enum url_kind kind;
		bool is_tls;
	} known[] = {
		{"redis", URL_TCP, false},
		{"rediss", URL_TCP, true},
		{"redis+cluster", URL_CLUSTER, false},
		{"rediss+cluster", URL_CLUSTER, true},
	};
	char *rest = strstr(u->text, "://");
	if (!rest) {
		u->kind = URL_UNIX;
		u->path = u->text;
		return check_path(u->path, error);
	}
	*rest = '\0';
	rest += 3;
	if (strcmp(u->text, "unix") == 0)
		return parse_unix(u, rest, error);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(u->text, known[i].scheme) != 0)
			continue;
		u->kind = known[i].kind;
		u->is_tls = known[i].is_tls;
		return parse_redis(u, rest, error);
	}
	return bad(error,
		   "unknown scheme \"%.32s\": unix:///PATH, redis://HOST:PORT or "
		   "redis+cluster://HOST:PORT,HOST:PORT is expected",
		   u->text);
}

int url_parse(struct url *out, const char *text, char error[URL_ERROR_SIZE])
{
	size_t size = strlen(text) + 1;
	if (size > UINT16_MAX)
		return bad(error, "the URL has more than 64 KiB");
	struct url u = {.text = malloc(size), .text_size = size};
	if (!u.text)
		return -ENOMEM;
	memcpy(u.text, text, size);
	int rc = parse_scheme(&u, error);
	if (rc) {
		url_fini(&u);
		return rc;
	}
	*out = u;
	return URL_OK;
}

int url_set_auth(struct url *u, const char *user, const char *password)
{
	size_t user_size = user ? strlen(user) + 1 : 0, password_size = strlen(password) + 1;
	assert(!u->auth);
	u->auth = malloc(user_size + password_size);
	if (!u->auth)
		return -ENOMEM;
	u->auth_size = user_size + password_size;
	memcpy(u->auth + user_size, password, password_size);
	if (user)
		memcpy(u->auth, user, user_size);
	if (!u->user && !u->password && user)
		u->user = u->auth;
	u->is_spare_password = !u->password;
	if (!u->password)
		u->password = u->auth + user_size;
	return 0;
}

static void wipe(char *secret, size_t size)
{
	if (secret)
		explicit_bzero(secret, size);
	free(secret);
}

void url_fini(struct url *u)
{
	wipe(u->text, u->text_size);
	wipe(u->auth, u->auth_size);
	free(u->hosts);
	*u = (struct url){0};
}
