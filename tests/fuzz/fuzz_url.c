/* SPDX-License-Identifier: MIT */
/*
 * Goal: no text makes url_parse read or write where it must not; a host list holds what a URL of it was made
 * of; and no message shows a password.
 *
 * Method: the first byte chooses. Either the rest is parsed as it stands, and what comes out is looked at. Or
 * it is cut at newlines into user, password and hosts; a URL is made of them with everything but letters and
 * digits percent-encoded, and must come apart into the same. With the end of that URL spoilt, the message
 * must not have the password.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MARK "zq0qz" /* begins every password; no message has it by itself */

enum { PARTS_MAX = 12 };

static void expect(bool is_so)
{
	if (!is_so)
		abort();
}

static char *text_of(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	expect(text != NULL);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

static bool is_inside(const struct url *u, const char *part)
{
	return !part || (part >= u->text && part + strlen(part) < u->text + u->text_size);
}

static void check_parts(const struct url *u)
{
	expect((u->kind == URL_UNIX) == (u->path != NULL));
	expect((u->kind == URL_TCP) == (u->host != NULL && u->port != 0));
	expect((u->kind == URL_CLUSTER) == (u->hosts_count > 0));
	expect(is_inside(u, u->path) && is_inside(u, u->host) && is_inside(u, u->user) &&
	       is_inside(u, u->password));
	for (size_t i = 0; i < u->hosts_count; i++)
		expect(u->hosts[i].port != 0 && u->hosts[i].host[0] && is_inside(u, u->hosts[i].host));
}

static void parse_as_it_stands(const uint8_t *data, size_t size)
{
	char *text = text_of(data, size), error[URL_ERROR_SIZE] = "";
	struct url u;
	int rc = url_parse(&u, text, error);
	free(text);
	expect(rc == URL_OK || (rc == URL_BAD && error[0] != '\0'));
	if (rc != URL_OK)
		return;
	check_parts(&u);
	expect(url_set_auth(&u, "user", "password") == 0);
	expect(u.password != NULL);
	url_fini(&u);
}

static char *put_encoded(char *to, const char *part)
{
	for (; *part; part++) {
		bool is_plain = (*part >= 'a' && *part <= 'z') || (*part >= '0' && *part <= '9');
		to += is_plain ? sprintf(to, "%c", *part) : sprintf(to, "%%%02X", (unsigned char)*part);
	}
	return to;
}

/* Each host with a port of its own, so that none stands there twice. */
static void make_url(char *to, char *const *parts, size_t count)
{
	to += sprintf(to, "rediss+cluster://");
	to = put_encoded(to, parts[0]);
	to += sprintf(to, ":" MARK);
	to = put_encoded(to, parts[1]);
	*to++ = '@';
	for (size_t i = 2; i < count; i++) {
		to = put_encoded(to, parts[i]);
		to += sprintf(to, ":%zu%s", i, i + 1 < count ? "," : "");
	}
}

static void compare(const struct url *u, char *const *parts, size_t count)
{
	check_parts(u);
	expect(u->kind == URL_CLUSTER && u->is_tls && u->hosts_count == count - 2);
	expect(strcmp(u->user ? u->user : "", parts[0]) == 0 &&
	       strncmp(u->password, MARK, strlen(MARK)) == 0);
	expect(strcmp(u->password + strlen(MARK), parts[1]) == 0);
	for (size_t i = 2; i < count; i++)
		expect(strcmp(u->hosts[i - 2].host, parts[i]) == 0 && u->hosts[i - 2].port == i);
}

/* Hosts are shown. */
static bool is_mark_in_hosts(char *const *parts, size_t count)
{
	for (size_t i = 2; i < count; i++)
		if (strstr(parts[i], MARK))
			return true;
	return false;
}

static void parse_made(char *text, char *const *parts, size_t count)
{
	static const char *const spoilt[] = {",", ":x", "/7", ",%"};
	char error[URL_ERROR_SIZE] = "", *end = text + strlen(text);
	struct url u;
	expect(url_parse(&u, text, error) == URL_OK);
	compare(&u, parts, count);
	url_fini(&u);
	for (size_t i = 0; i < sizeof(spoilt) / sizeof(spoilt[0]); i++) {
		strcpy(end, spoilt[i]);
		expect(url_parse(&u, text, error) == URL_BAD);
		expect(!strstr(error, MARK) || is_mark_in_hosts(parts, count));
	}
}

static void take_apart(const uint8_t *data, size_t size)
{
	char *copy = text_of(data, size), *rest = copy, *parts[PARTS_MAX];
	size_t count = 0;
	bool is_whole = true;
	while (rest && count < PARTS_MAX)
		parts[count++] = strsep(&rest, "\n");
	for (size_t i = 2; i < count; i++)
		is_whole &= parts[i][0] != '\0';
	if (count > 2 && is_whole && size < UINT16_MAX / 4) {
		char *text = malloc(3 * size + 256);
		expect(text != NULL);
		make_url(text, parts, count);
		parse_made(text, parts, count);
		free(text);
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] % 2)
		parse_as_it_stands(data + 1, size - 1);
	else
		take_apart(data + 1, size - 1);
	return 0;
}
