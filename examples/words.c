/* SPDX-License-Identifier: MIT */
/*
 * words.c - counts the words of standard input, each exactly once.
 *
 *   cc -o words words.c $(pkg-config --cflags --libs shcount)
 *   ./words /run/shcounterd/shcounterd.sock book-1 < book.txt
 *
 * Killed at whatever moment, or its server: run again with the same
 * session and input, it goes on behind the last word that is in. The
 * counters are word:WORD.
 */
#include <inttypes.h>
#include <shcount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	LIMIT_MS = 5000,     /* of each call */
	PATIENCE_CALLS = 12, /* for a server that is away */
	BATCH_WORDS = 1000,
};

/* Says what went wrong, and by the exit status what to do about it. */
static int fail(const struct shc *shc, enum shc_status status)
{
	fprintf(stderr, "words: %s\n", shc_error(shc));
	switch (status) {
	case SHC_UNREACHABLE: /* nothing has changed */
	case SHC_IN_DOUBT:    /* the session knows what is in */
		fputs("words: run me again to go on\n", stderr);
		return EX_TEMPFAIL;
	case SHC_LOST: /* another one counts this input now */
		return EX_UNAVAILABLE;
	case SHC_DENIED: return EX_NOPERM;
	case SHC_USAGE: return EX_USAGE;
	case SHC_PROTOCOL: return EX_PROTOCOL;
	case SHC_MEMORY: return EX_OSERR;
	default: return EXIT_FAILURE; /* SHC_REFUSED */
	}
}

/* Waits until all is on the server's disk. */
static enum shc_status settle(struct shc *shc)
{
	enum shc_status status;
	int calls = 0;

	do
		status = shc_session_flush(shc);
	while ((status == SHC_IN_DOUBT || status == SHC_UNREACHABLE) &&
	       ++calls < PATIENCE_CALLS);
	return status;
}

/* Ends a batch. Its words, and how many there were so far, are stored
 * together or not at all. */
static enum shc_status apply(struct shc *shc, uint64_t words)
{
	char cursor[24];
	int len = snprintf(cursor, sizeof(cursor), "%" PRIu64, words);
	enum shc_status status =
		shc_session_apply(shc, cursor, (size_t)len);

	/* The batch is kept then, and must not be applied again. */
	if (status == SHC_IN_DOUBT || status == SHC_UNREACHABLE)
		status = settle(shc);
	return status;
}

/* Counts the words behind the first `before`. *words is how many the
 * input has. */
static enum shc_status count(struct shc *shc, uint64_t before,
			     uint64_t *words)
{
	char name[256] = "word:"; /* a longer word becomes several */
	enum shc_status status = SHC_OK;

	*words = 0;
	while (status == SHC_OK && scanf("%250s", name + 5) == 1) {
		if (++*words <= before)
			continue;
		status = shc_session_add(shc, name, strlen(name), 1);
		if (status == SHC_USAGE) { /* control characters */
			fprintf(stderr, "words: word %" PRIu64 ": %s\n",
				*words, shc_error(shc));
			status = SHC_OK;
		}
		if (status == SHC_OK && *words % BATCH_WORDS == 0)
			status = apply(shc, *words);
	}
	if (status == SHC_OK && *words > before)
		status = apply(shc, *words);
	return status == SHC_OK ? settle(shc) : status;
}

/* How many words the session has counted: its cursor, as a number. */
static bool read_cursor(const struct shc_session *at, uint64_t *words)
{
	*words = 0;
	for (size_t i = 0; i < at->cursor_len; i++) {
		if (at->cursor[i] < '0' || at->cursor[i] > '9')
			return false;
		*words = *words * 10 + (uint64_t)(at->cursor[i] - '0');
	}
	return true;
}

static int run(struct shc *shc, const char *id)
{
	struct shc_session at;
	uint64_t before, words;
	enum shc_status status =
		shc_session_open(shc, id, strlen(id), &at);

	if (status != SHC_OK)
		return fail(shc, status);
	if (!read_cursor(&at, &before)) {
		fprintf(stderr, "words: %s: not my session\n", id);
		return EX_DATAERR;
	}
	status = count(shc, before, &words);
	if (status != SHC_OK)
		return fail(shc, status);
	if (ferror(stdin)) {
		perror("words: standard input");
		return EX_IOERR;
	}
	if (words < before) {
		fputs("words: there were more words before\n", stderr);
		return EX_DATAERR;
	}
	printf("%" PRIu64 " words, %" PRIu64 " of them new\n", words,
	       words - before);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct shc *shc;
	enum shc_status status;
	int result;

	if (argc != 3) {
		fputs("usage: words URL SESSION < FILE\n", stderr);
		return EX_USAGE;
	}
	status = shc_open(&shc, argv[1], LIMIT_MS);
	result = status == SHC_OK ? run(shc, argv[2])
				  : fail(shc, status);
	shc_close(shc);
	return result;
}
