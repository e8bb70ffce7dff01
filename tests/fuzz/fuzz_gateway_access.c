/* SPDX-License-Identifier: MIT */
/*
 * Goal: no file of tokens, and no header, makes the gateway read or write where it must not; a line that is
 * as it must be is read as it was meant, and what is refused is told; a token is one when the grammar says
 * so; and no host is taken for ours that another reading of the same text does not find ours.
 *
 * Method: the first byte chooses. The rest is a file; or it is made into a line and what stands in front of
 * it; or it is an Authorization header; or a Host and an Origin, cut at the first newline.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../gateway/origin.h"
#include "../../gateway/tokens.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

/* ---- the file ---- */

/* A token of no line that was ever written finds nobody. */
static void read_file(const char *text, size_t size)
{
	char why[OPTIONS_ERROR_SIZE] = "";
	struct tokens *t = NULL;
	int rc = tokens_parse(&t, text, size, "file", why);

	expect((rc == 0) == (t != NULL));
	expect(rc == 0 || strncmp(why, "file:", 5) == 0);
	if (t)
		expect(!tokens_find(t, "0123456789abcdef", 16));
	tokens_free(t);
}

/* A line of which each part was made of the input is read as it was meant, whatever stands around it. */
static void read_made(const char *text, size_t size)
{
	static const char *const roles[] = {"read", "write", "admin"};
	char *file = malloc(size + 512), why[OPTIONS_ERROR_SIZE], hash[SECRET_LINE_SIZE], token[33];
	size_t at = 0, role = size % 3, len = size < 32 ? size : 32;
	const struct token *found;
	struct tokens *t = NULL;

	expect(file != NULL);
	for (size_t i = 0; i < len; i++)
		token[i] = (char)('a' + (unsigned char)text[i] % 26);
	token[len] = '\0';
	secret_line((struct slice){token, len}, hash);
	/* A comment in front of it. */
	for (; at < size; at++)
		file[at] = at == 0 || text[at] == '\n' ? '#' : text[at];
	at += (size_t)sprintf(file + at, "\n \t somebody\t%s   %s \r", roles[role], hash);
	expect(tokens_parse(&t, file, at, "file", why) == 0);
	found = tokens_find(t, token, len);
	expect(found && strcmp(found->name, "somebody") == 0 && found->role == (enum role)(role + 1));
	tokens_free(t);
	free(file);
}

/* ---- headers ---- */

static bool is_token_char(char c)
{
	return c != '\0' && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/", c);
}

static bool is_token(const char *text, size_t len)
{
	size_t plain = 0;

	while (plain < len && is_token_char(text[plain]))
		plain++;
	return plain > 0 && len <= TOKEN_CHARS_MAX && strspn(text + plain, "=") >= len - plain;
}

static void read_authorization(const char *text)
{
	size_t len = 0;
	const char *token = tokens_bearer(text, &len);

	expect(!token || (token >= text + 7 && token + len <= text + strlen(text)));
	expect(!token || (strncasecmp(text, "bearer ", 7) == 0 && is_token(token, len)));
	expect(token || strncasecmp(text, "bearer ", 7) != 0 || !is_token(text + 7, strlen(text + 7)));
}

/* Without its port, blanks behind it, and the dot of the root. */
static bool is_listed(const char *host)
{
	static const char *const ours[] = {"localhost", "counter.example.com"};
	size_t len = strcspn(host, ":");

	while (len && (host[len - 1] == ' ' || host[len - 1] == '\t'))
		len--;
	if (len && host[len - 1] == '.')
		len--;
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (strlen(ours[i]) == len && strncasecmp(ours[i], host, len) == 0)
			return true;
	/* An address: of loopback in four numbers, or in brackets ::1 or that of IPv4 in it. */
	if (host[0] == '[')
		return strspn(host + 1, "0123456789abcdefABCDEF:.") == strcspn(host, "]") - 1;
	return strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == len;
}

static void read_host(char *text)
{
	static const char *const given[] = {"counter.example.com"};
	const struct origin_self self = {"127.0.0.1:8480", given, 1, false};
	char *origin = strchr(text, '\n'), *made;

	if (origin)
		*origin++ = '\0';
	if (!origin_is_our_host(&self, text)) {
		expect(strcasecmp(text, "localhost") != 0 && strcmp(text, "[::1]:80") != 0);
		return;
	}
	expect(is_listed(text));
	/* Its own page is the same, another port's is not. */
	made = malloc(strlen(text) + 16);
	expect(made != NULL);
	sprintf(made, "http://%s", text);
	expect(origin_is_same(&self, made, text));
	free(made);
	if (origin && origin_is_same(&self, origin, text))
		expect(strncmp(origin, "http", 4) == 0 && is_listed(strstr(origin, "://") + 3));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size == 0)
		return 0;
	text = text_of(data + 1, size - 1);
	switch (data[0] % 4) {
	case 0: read_file(text, size - 1); break;
	case 1: read_made(text, size - 1); break;
	case 2: read_authorization(text); break;
	default: read_host(text);
	}
	free(text);
	return 0;
}
