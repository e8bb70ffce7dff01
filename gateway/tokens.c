/* SPDX-License-Identifier: MIT */
/* tokens.c - see tokens.h. */
#include "tokens.h"

#include <errno.h>
#include <fcntl.h>
#include <sha2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_SIZE_MAX = 1 << 20, WORDS = 3 };

static const char prefix[] = "sha256:";
static const char *const role_words[] = {"", "read", "write", "admin"};

struct tokens {
	size_t count;
	struct token list[TOKENS_MAX];
};

/* ---- tokens and hashes ---- */

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '.' || c == '_';
}

bool tokens_is_token(const char *token, size_t len)
{
	size_t at = 0;

	if (len > TOKEN_CHARS_MAX)
		return false;
	while (at < len && (is_plain(token[at]) || strchr("~+/", token[at])) && token[at] != '\0')
		at++;
	if (at == 0)
		return false;
	while (at < len && token[at] == '=')
		at++;
	return at == len;
}

static void hash_of(const char *token, size_t len, uint8_t out[TOKEN_HASH_SIZE])
{
	SHA2_CTX sha;

	SHA256Init(&sha);
	SHA256Update(&sha, (const uint8_t *)token, len);
	SHA256Final(out, &sha);
}

void tokens_write_hash(const char *token, size_t len, char out[TOKENS_LINE_SIZE])
{
	uint8_t hash[TOKEN_HASH_SIZE];

	hash_of(token, len, hash);
	out += sprintf(out, "%s", prefix);
	for (size_t i = 0; i < TOKEN_HASH_SIZE; i++)
		out += sprintf(out, "%02x", hash[i]);
}

const char *tokens_bearer(const char *authorization, size_t *len)
{
	const char *token;

	if (strncasecmp(authorization, "Bearer ", 7) != 0)
		return NULL;
	token = authorization + 7 + strspn(authorization + 7, " ");
	*len = strlen(token);
	while (*len > 0 && token[*len - 1] == ' ')
		--*len;
	return tokens_is_token(token, *len) ? token : NULL;
}

/* 1 or 0, without a jump. */
static size_t is_same(const uint8_t *a, const uint8_t *b)
{
	unsigned difference = 0;

	for (size_t i = 0; i < TOKEN_HASH_SIZE; i++)
		difference |= a[i] ^ b[i];
	return (difference - 1) >> (8 * sizeof(difference) - 1);
}

/* All are compared, and the place is chosen without a jump: how long it takes tells nothing of what is there.
 * 0.3 us for the hash and 3 ns an entry (AMD EPYC). */
const struct token *tokens_find(const struct tokens *t, const char *token, size_t len)
{
	uint8_t hash[TOKEN_HASH_SIZE];
	size_t at = 0, is_found = 0;

	hash_of(token, len, hash);
	for (size_t i = 0; i < t->count; i++) {
		size_t is_it = is_same(hash, t->list[i].hash);

		at |= i & (0 - is_it);
		is_found |= is_it;
	}
	return is_found ? &t->list[at] : NULL;
}

/* ---- a line ---- */

__attribute__((format(printf, 4, 5))) static int refuse(const char *path, size_t line,
							char why[OPTIONS_ERROR_SIZE], const char *fmt, ...)
{
	va_list ap;
	int len = snprintf(why, OPTIONS_ERROR_SIZE, "%.150s:%zu: ", path, line);

	va_start(ap, fmt);
	(void)vsnprintf(why + len, OPTIONS_ERROR_SIZE - (size_t)len, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

struct word {
	const char *at;
	size_t len;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* How many there are, a comment not counted; WORDS + 1: too many. */
static size_t split(const char *line, size_t len, struct word words[WORDS])
{
	size_t count = 0, at = 0;

	for (;;) {
		while (at < len && is_blank(line[at]))
			at++;
		if (at == len || line[at] == '#' || count == WORDS)
			return count + (at < len && line[at] != '#');
		words[count].at = line + at;
		while (at < len && !is_blank(line[at]))
			at++;
		words[count].len = (size_t)(line + at - words[count].at);
		count++;
	}
}

static bool take_name(const struct word *w, struct token *t)
{
	for (size_t i = 0; i < w->len; i++)
		if (!is_plain(w->at[i]))
			return false;
	if (w->len >= TOKEN_NAME_SIZE)
		return false;
	memcpy(t->name, w->at, w->len);
	t->name[w->len] = '\0';
	return true;
}

static bool take_role(const struct word *w, struct token *t)
{
	for (enum role r = ROLE_READ; r <= ROLE_ADMIN; r++)
		if (strlen(role_words[r]) == w->len && memcmp(role_words[r], w->at, w->len) == 0) {
			t->role = r;
			return true;
		}
	return false;
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool take_hash(const struct word *w, struct token *t)
{
	const size_t head = sizeof(prefix) - 1;

	if (w->len != head + 2 * TOKEN_HASH_SIZE || memcmp(w->at, prefix, head) != 0)
		return false;
	for (size_t i = 0; i < TOKEN_HASH_SIZE; i++) {
		int high = digit_of(w->at[head + 2 * i]), low = digit_of(w->at[head + 2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		t->hash[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* What it says is never repeated: somebody may have put the token itself there. */
static int take_words(struct tokens *t, const struct word words[WORDS], const char *path, size_t line,
		      char why[OPTIONS_ERROR_SIZE])
{
	struct token *new = &t->list[t->count];

	if (t->count == TOKENS_MAX)
		return refuse(path, line, why, "more than %d tokens", TOKENS_MAX);
	if (!take_name(&words[0], new))
		return refuse(path, line, why, "a name has at most %d letters, digits and -._",
			      TOKEN_NAME_SIZE - 1);
	if (!take_role(&words[1], new))
		return refuse(path, line, why, "the role must be read, write or admin");
	if (!take_hash(&words[2], new))
		return refuse(path, line, why,
			      "the third word must be sha256: and 64 hexadecimal digits, as "
			      "`shcount-gateway --hash-token` prints them");
	for (size_t i = 0; i < t->count; i++) {
		if (strcmp(t->list[i].name, new->name) == 0)
			return refuse(path, line, why, "there is a '%s' already", new->name);
		if (memcmp(t->list[i].hash, new->hash, TOKEN_HASH_SIZE) == 0)
			return refuse(path, line, why, "'%s' has this token already", t->list[i].name);
	}
	t->count++;
	return 0;
}

static int take_line(struct tokens *t, const char *line, size_t len, const char *path, size_t number,
		     char why[OPTIONS_ERROR_SIZE])
{
	struct word words[WORDS];
	size_t count = split(line, len, words);

	if (count == 0)
		return 0;
	if (count != WORDS)
		return refuse(path, number, why, "a line is NAME ROLE sha256:HEX");
	return take_words(t, words, path, number, why);
}

int tokens_parse(struct tokens **out, const char *text, size_t len, const char *path,
		 char why[OPTIONS_ERROR_SIZE])
{
	struct tokens *t = calloc(1, sizeof(*t));
	const char *end = text + len, *newline;
	int rc = 0;

	(void)snprintf(why, OPTIONS_ERROR_SIZE, "%.150s: out of memory", path);
	if (!t)
		return -ENOMEM;
	for (size_t number = 1; text < end && !rc; number++, text = newline + 1) {
		newline = memchr(text, '\n', (size_t)(end - text));
		if (!newline)
			newline = end;
		rc = take_line(t, text, (size_t)(newline - text), path, number, why);
	}
	/* Rather a file that was caught while it was written than one that lets nobody in. */
	if (!rc && t->count == 0) {
		(void)snprintf(why, OPTIONS_ERROR_SIZE, "%.150s: there is no token in it", path);
		rc = -EINVAL;
	}
	if (rc)
		t = tokens_free(t);
	else
		*out = t;
	return rc;
}

struct tokens *tokens_free(struct tokens *t)
{
	free(t);
	return NULL;
}

/* ---- the file ---- */

static int check_file(int fd, const char **what)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		*what = "it is no regular file";
	else if (st.st_uid != geteuid() && st.st_uid != 0)
		*what = "it belongs to somebody else: whoever can write it lets in whom they like";
	else if (st.st_mode & (S_IWGRP | S_IWOTH))
		*what = "others can write it, and let in whom they like: chmod go-w";
	else if (st.st_size > FILE_SIZE_MAX)
		*what = "it is too large";
	return *what ? -EINVAL : 0;
}

/* Its length, or -errno. It may be larger by now. */
static ssize_t read_all(int fd, char *out, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size && (n = read(fd, out + len, size - len)) != 0) {
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			len += (size_t)n;
	}
	return (ssize_t)len;
}

static int read_open(struct tokens **out, int fd, const char *path, char why[OPTIONS_ERROR_SIZE])
{
	const char *what = NULL;
	char *text = NULL;
	ssize_t len = 0;
	int rc = fd < 0 ? -errno : check_file(fd, &what);

	if (!rc && !(text = malloc(FILE_SIZE_MAX)))
		rc = -ENOMEM;
	if (!rc && (len = read_all(fd, text, FILE_SIZE_MAX)) < 0)
		rc = (int)len;
	if (rc)
		(void)snprintf(why, OPTIONS_ERROR_SIZE, "%.150s: %s", path, what ? what : strerror(-rc));
	else
		rc = tokens_parse(out, text, (size_t)len, path, why);
	free(text);
	return rc && rc != -ENOMEM ? -EINVAL : rc; /* a mistake in the configuration, whichever it is */
}

int tokens_read(struct tokens **out, const char *path, char why[OPTIONS_ERROR_SIZE])
{
	/* Not for a writer of a FIFO. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = read_open(out, fd, path, why);

	if (fd >= 0)
		close(fd);
	return rc;
}
