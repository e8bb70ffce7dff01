/* SPDX-License-Identifier: MIT */
/*
 * url.h - where a server is: "unix:///path" and "redis://[user[:password]@]host[:port][/0]".
 *
 * Every part may be percent-encoded. Text without "://" is a socket's path, taken as it stands. Pure; any
 * thread.
 */
#ifndef SHC_URL_H
#define SHC_URL_H

#include <stdint.h>

enum url_kind { URL_UNIX, URL_TCP };

enum {
	URL_OK = 0,
	URL_BAD = 1, /* `error` says what is wrong and where, without any password in it */
};

enum {
	URL_ERROR_SIZE = 192,
	URL_PORT_DEFAULT = 6379,
	URL_PATH_MAX =
		107, /* bytes of a socket's path that the kernel takes: sizeof(sun_path) less the NUL */
};

struct url {
	enum url_kind kind;
	const char *path;     /* URL_UNIX */
	const char *host;     /* URL_TCP: a name or an address, without brackets */
	uint16_t port;	      /* URL_TCP */
	const char *user;     /* null when not given */
	const char *password; /* null when not given */
	char *text;	      /* owned; the pointers above lead into it */
	uint32_t text_size;   /* bytes of it */
};

/* URL_OK, URL_BAD or -ENOMEM. `out` is untouched on failure. */
int url_parse(struct url *out, const char *text, char error[URL_ERROR_SIZE]);

/* Wipes and frees. */
void url_fini(struct url *u);

#endif
