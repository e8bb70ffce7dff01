/* SPDX-License-Identifier: MIT */
/*
 * exchange.h - one HTTP request in its life: its head is judged, its body collected, a job made of it, and
 * of what came of that the reply. The thread whose loop has the connection.
 */
#ifndef SHC_GATEWAY_EXCHANGE_H
#define SHC_GATEWAY_EXCHANGE_H

#include <jansson.h>
#include <microhttpd.h>
#include <stdbool.h>

#include "../lib/buf.h"
#include "job.h"
#include "tokens.h"

struct loop;
struct route;

enum exchange_state {
	EXCHANGE_HEAD, /* nothing was looked at yet */
	EXCHANGE_BODY, /* is coming */
	EXCHANGE_RUNS, /* the job is with the backend */
	EXCHANGE_DONE, /* there is a reply, or it is to be made of the job */
};

struct exchange {
	struct job job; /* first: a job is its exchange */
	enum exchange_state state;
	struct loop *loop;
	struct MHD_Connection *connection;
	const struct route *route;
	enum role role; /* of who asks: at least the route's */
	struct buf body;
	uint64_t dropped; /* bytes of a body that nobody wants any more */
	int64_t begun_ns;
	/* the reply */
	unsigned status; /* HTTP; 0: none yet */
	json_t *json;	 /* owned; null: `text`, or the route's own */
	struct buf text; /* JSON, where making it of a json_t would take long */
	unsigned retry_after_s;
	bool is_closing; /* the connection is of no use behind it */
	bool is_head;	 /* HEAD */
};

/* {"success":false,...}. */
void exchange_fail(struct exchange *x, unsigned status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* What the body asks for needs this role, more than the route does. False: who asks has it not, and it is
 * said. */
bool exchange_may(struct exchange *x, enum role needs);

/* A JSON string of what may hold any bytes: those that are not UTF-8 become "?". Null: no memory. */
json_t *exchange_text(const char *text);

/* Likewise, as the content of a string: appended to x->text. */
void exchange_put_name(struct exchange *x);

/* Takes over `json`; null: no memory. */
void exchange_reply(struct exchange *x, unsigned status, json_t *json);

/* MHD's callbacks; `cls` is the loop. */
enum MHD_Result exchange_handle(void *cls, struct MHD_Connection *connection, const char *url,
				const char *method, const char *version, const char *upload_data,
				size_t *upload_size, void **req_cls);
void exchange_end(void *cls, struct MHD_Connection *connection, void **req_cls,
		  enum MHD_RequestTerminationCode why);

#endif
