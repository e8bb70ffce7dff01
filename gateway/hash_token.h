/* SPDX-License-Identifier: MIT */
/* hash_token.h - shcount-gateway --hash-token: the third word of a line of the tokens' file. */
#ifndef SHC_GATEWAY_HASH_TOKEN_H
#define SHC_GATEWAY_HASH_TOKEN_H

/* Reads a token from stdin, prints its hash; the exit status. A token on the command line would be seen by
 * everybody on this machine. */
int hash_token(void);

#endif
