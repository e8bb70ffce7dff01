/* SPDX-License-Identifier: MIT */
/* hash_token.c - see hash_token.h. */
#include "hash_token.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "tokens.h"

int hash_token(void)
{
	char token[TOKEN_CHARS_MAX + 3], line[SECRET_LINE_SIZE];
	size_t len = fread(token, 1, sizeof(token), stdin);

	if (len > 0 && token[len - 1] == '\n')
		len--;
	if (len > 0 && token[len - 1] == '\r')
		len--;
	if (!tokens_is_token(token, len)) {
		fputs("shcount-gateway: a token is one line of letters, digits and -._~+/, perhaps with = at its end\n",
		      stderr);
		return EX_DATAERR;
	}
	if (len < SECRET_SHORT_CHARS)
		fputs("shcount-gateway: this token can be guessed; `openssl rand -hex 32` prints one that cannot\n",
		      stderr);
	secret_line((struct slice){.data = token, .len = len}, line);
	explicit_bzero(token, sizeof(token));
	return puts(line) < 0 || fflush(stdout) ? EX_IOERR : EX_OK;
}
