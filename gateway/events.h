/* SPDX-License-Identifier: MIT */
/*
 * events.h - GET /events: server-sent events, once a second, to whoever listens. What is told comes from
 * watch.h, and is the same for all. A listener that does not read loses events, and costs no memory but its
 * place: it gets the newest when it reads again. Its loop's thread.
 */
#ifndef SHC_GATEWAY_EVENTS_H
#define SHC_GATEWAY_EVENTS_H

#include <microhttpd.h>
#include <stdint.h>

struct events;
struct exchange;
struct loop;

/* Says 200; 503 when there are too many. */
void ask_events(struct exchange *x);

struct events *events_open(struct loop *l); /* null: no memory */
void events_close(struct events *e);	    /* behind the end of HTTP */

/* Queues the response that has no end; its connection is told from now on. */
enum MHD_Result events_send(struct exchange *x);

/* Wakes the listeners for which there is something; to be called when the loop was woken, and once a second.
 */
void events_tick(struct events *e, int64_t now_ms);

/* All streams end. */
void events_end(struct events *e);

#endif
