/* SPDX-License-Identifier: MIT */
/* hash_password.c - see hash_password.h. */
#include "hash_password.h"

#include <bsd/readpassphrase.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "../lib/secret.h"

enum { PASSWORD_MAX = 512 };

/* From a terminal, unseen; else the first line. Its length; -1: there is none, or it is too long. */
static int read_password(char out[PASSWORD_MAX + 2])
{
	size_t len;

	if (isatty(STDIN_FILENO))
		return readpassphrase("Password: ", out, PASSWORD_MAX + 1, RPP_ECHO_OFF | RPP_STDIN)
			       ? (int)strlen(out)
			       : -1;
	len = fread(out, 1, PASSWORD_MAX + 2, stdin);
	if (len > 0 && out[len - 1] == '\n')
		len--;
	return len > PASSWORD_MAX || memchr(out, '\n', len) ? -1 : (int)len;
}

int hash_password(void)
{
	char password[PASSWORD_MAX + 2], line[SECRET_LINE_SIZE];
	int len = read_password(password);

	if (len > 0 && password[len - 1] == '\r') {
		fputs("shcounterd: the password ends with a carriage return, which nobody types: remove it (a file "
		      "with CRLF: tr -d '\\r')\n",
		      stderr);
		explicit_bzero(password, sizeof(password));
		return EX_DATAERR;
	}
	if (len <= 0) {
		fprintf(stderr, "shcounterd: a password is one line of 1 to %d bytes\n", PASSWORD_MAX);
		return EX_DATAERR;
	}
	if (len < SECRET_SHORT_CHARS)
		fputs("shcounterd: this password can be guessed; `openssl rand -hex 32` prints one that cannot\n",
		      stderr);
	secret_line((struct slice){.data = password, .len = (size_t)len}, line);
	explicit_bzero(password, sizeof(password));
	return puts(line) < 0 || fflush(stdout) ? EX_IOERR : EX_OK;
}
