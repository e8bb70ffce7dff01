/* SPDX-License-Identifier: MIT */
/* hash_password.h - shcounterd --hash-password: what stands for a password in the rules of access. */
#ifndef SHC_HASH_PASSWORD_H
#define SHC_HASH_PASSWORD_H

/* Reads a password from stdin, prints its hash; the exit status. A password on the command line would be seen
 * by everybody on this machine. */
int hash_password(void);

#endif
