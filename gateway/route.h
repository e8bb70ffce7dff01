/* SPDX-License-Identifier: MIT */
/* route.h - which request is what: one table, which the description of the API is held against. */
#ifndef SHC_GATEWAY_ROUTE_H
#define SHC_GATEWAY_ROUTE_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

#include "guard.h"

struct exchange;

enum { METHOD_GET = 1, METHOD_POST = 2, METHOD_PUT = 4 }; /* HEAD is GET's */

struct route {
	const char *path;
	unsigned methods;
	enum role role; /* the least that it may need: a body may ask for more, see exchange_may */
	/* Makes a job of the request; or the reply, then exchange->status is set. */
	void (*ask)(struct exchange *x);
	/* Makes the reply of what came of the job; it was a success. */
	void (*tell)(struct exchange *x);
	/* Queues a response of its own (a page, a stream of events); null: the JSON of the exchange. */
	enum MHD_Result (*send)(struct exchange *x);
};

/* Null: there is no such path. *is_other: there is, for other methods: `methods` of what is returned. */
const struct route *route_find(const char *path, unsigned method, bool *is_other);

/* "GET, HEAD, POST". Static. */
const char *route_allow(const struct route *r);

/* Its place in the table; behind the last one when it is null. */
size_t route_number(const struct route *r);

/* All of them. */
extern const struct route routes[];
extern const size_t route_count;

#endif
