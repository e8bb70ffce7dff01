/* SPDX-License-Identifier: MIT */
/*
 * url.h - where a server is: "unix://[user[:password]@]/path", "redis://[user[:password]@]host[:port][/0]", a
 * cluster as "redis+cluster://[user[:password]@]host[:port][,host[:port]...]", and with TLS "rediss://" and
 * "rediss+cluster://".
 *
 * Every part may be percent-encoded. Text without "://" is a socket's path, taken as it stands. Pure; any
 * thread.
 */
#ifndef SHC_URL_H
#define SHC_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum url_kind { URL_UNIX, URL_TCP, URL_CLUSTER };

enum {
	URL_OK = 0,
	URL_BAD = 1, /* `error` says what is wrong and where, without any password in it */
};

enum {
	URL_ERROR_SIZE = 192,
	URL_PORT_DEFAULT = 6379,
	URL_HOSTS_MAX = 1000, /* as many nodes as a cluster can have */
	URL_PATH_MAX =
		107, /* bytes of a socket's path that the kernel takes: sizeof(sun_path) less the NUL */
};

struct url_host {
	const char *host; /* a name or an address, without brackets */
	uint16_t port;
};

struct url {
	enum url_kind kind;
	const char *path;	/* URL_UNIX */
	const char *host;	/* URL_TCP: a name or an address, without brackets */
	uint16_t port;		/* URL_TCP */
	struct url_host *hosts; /* URL_CLUSTER: owned; where to ask first, one at least */
	size_t hosts_count;
	bool is_tls;	      /* URL_TCP, URL_CLUSTER */
	const char *user;     /* null when not given */
	const char *password; /* null when not given */
	char *text;	      /* owned; the pointers above lead into it, or into `auth` */
	size_t text_size;     /* bytes of it */
	/* url_set_auth: */
	char *auth; /* owned; null when it was not called */
	size_t auth_size;
	bool is_spare_password; /* `password` is from there: a server that wants none is as good */
};

/* URL_OK, URL_BAD or -ENOMEM. `out` is untouched on failure. */
int url_parse(struct url *out, const char *text, char error[URL_ERROR_SIZE]);

/* Copies a user (null: none) and a password, and uses of them what the URL does not say itself. At most once.
 * 0 or -ENOMEM. */
int url_set_auth(struct url *u, const char *user, const char *password);

/* Wipes and frees. */
void url_fini(struct url *u);

#endif
