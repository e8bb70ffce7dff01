/* SPDX-License-Identifier: MIT */
/*
 * credentials.h - passwords of the environment, for a URL without one: SHCOUNT_AUTH is PASSWORD or
 * USER:PASSWORD, REDISCLI_AUTH the password, as redis-cli has it. Not beside threads that change the
 * environment.
 */
#ifndef SHC_CREDENTIALS_H
#define SHC_CREDENTIALS_H

#include "shcount.h"
#include "url.h"

/* The variable that is for this server; null: there is none, or the URL has a password. A daemon on a Unix
 * socket is no Redis. */
const char *credentials_variable(const struct url *url);

/* Gives the handle what stands in that variable (null: nothing). SHC_OK, or SHC_MEMORY. */
enum shc_status credentials_set(struct shc *shc, const char *variable);

#endif
