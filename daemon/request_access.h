/* SPDX-License-Identifier: MIT */
/*
 * request_access.h - may this peer do this request? From the tables of commands and subcommands, which say
 * what each needs, and the peer's rights. Free peers are not asked. Worker.
 */
#ifndef SHC_REQUEST_ACCESS_H
#define SHC_REQUEST_ACCESS_H

#include <stdbool.h>

#include "request.h"

/* False: an error in Redis's words was put, the refusal is counted and logged. Unknown subcommands are
 * refused here, too, as Redis does before it asks for rights. The request has as many words as its command
 * needs. */
bool request_may(struct request *r);

/* The same of a request that was queued, when EXEC comes to it: rules may have changed. */
bool request_may_still(struct request *r);

/* A single counter's, by its command alone: for the short way of requests. */
bool request_may_quickly(const struct peer *p, const struct command *c, struct slice name);

#endif
