/* SPDX-License-Identifier: MIT */
/*
 * url.c - cuts a copy of the text in place; the parts stay inside the copy, so there is one thing to free.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static int parse_unix(struct url *u, char *rest, char *error)
{
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

static int parse_port(const char *s, uint16_t *port, char *error)
{
	unsigned value = 0;
	size_t len = strspn(s, "0123456789");
	for (size_t i = 0; i < len && value <= UINT16_MAX; i++)
		value = value * 10 + (unsigned)(s[i] - '0');
	if (len == 0 || s[len] != '\0' || value == 0 || value > UINT16_MAX)
		return bad(error, "bad port \"%.16s\": a number from 1 to 65535 is expected behind the host",
			   s);
	*port = (uint16_t)value;
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

/* host, host:port, [v6] or [v6]:port */
static int parse_host(struct url *u, char *host, char *error)
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
			return bad(error, "an IPv6 address is written in brackets: redis://[::1]:6379");
		if (colon) {
			*colon = '\0';
			port = colon + 1;
		}
	}
	if (!percent_decode(host))
		return bad(error, "bad %% escape in the host name");
	if (host[0] == '\0')
		return bad(error, "the host is missing: redis://HOST:PORT");
	u->host = host;
	u->port = URL_PORT_DEFAULT;
	return port ? parse_port(port, &u->port, error) : URL_OK;
}

static int parse_redis(struct url *u, char *rest, char *error)
{
	char *end = rest + strcspn(rest, "/?#");
	if (strcmp(end, "") != 0 && strcmp(end, "/") != 0 && strcmp(end, "/0") != 0)
		return bad(error,
			   "nothing but /0 may stand behind the host: there is one database, and no options "
			   "(in a password, '/' is written %%2F, '?' %%3F and '#' %%23)");
	*end = '\0';
	u->kind = URL_TCP;
	char *at = strrchr(rest, '@');
	if (!at)
		return parse_host(u, rest, error);
	*at = '\0';
	int rc = parse_user(u, rest, error);
	return rc ? rc : parse_host(u, at + 1, error);
}

static int parse_scheme(struct url *u, char *error)
{
	static const char *const later[] = {"rediss", "redis+cluster", "rediss+cluster"};
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
	if (strcmp(u->text, "redis") == 0)
		return parse_redis(u, rest, error);
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		if (strcmp(u->text, later[i]) == 0)
			return bad(error, "%s:// is not supported by this version; unix:// and redis:// are",
				   later[i]);
	}
	return bad(error, "unknown scheme \"%.32s\": unix:///PATH or redis://HOST:PORT is expected", u->text);
}

int url_parse(struct url *out, const char *text, char error[URL_ERROR_SIZE])
{
	size_t size = strlen(text) + 1;
	if (size > UINT16_MAX)
		return bad(error, "the URL has more than 64 KiB");
	struct url u = {.text = malloc(size), .text_size = (uint32_t)size};
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

void url_fini(struct url *u)
{
	if (u->text)
		explicit_bzero(u->text, u->text_size);
	free(u->text);
	*u = (struct url){0};
}
