/* SPDX-License-Identifier: MIT */
/*
 * events.h - GET /events: once a second what has changed, as server-sent events, to whoever listens. A loop
 * asks its backend for all of its listeners together, and only while it has some. Its thread.
 */
#ifndef SHC_GATEWAY_EVENTS_H
#define SHC_GATEWAY_EVENTS_H

#include <microhttpd.h>
#include <stdint.h>

struct events;
struct exchange;
struct job;
struct loop;

/* Says 200. */
void ask_events(struct exchange *x);

struct events *events_open(struct loop *l); /* null: no memory */
void events_close(struct events *e);

/* Queues the response that has no end; its connection is told from now on. */
enum MHD_Result events_send(struct exchange *x);

/* Asks the backend when it is time, with loop_put_job. */
void events_tick(struct events *e, int64_t now_ms);
/* What it said. */
void events_answer(struct events *e, struct job *job);
/* Milliseconds until a tick is due; -1: nobody listens. */
int64_t events_due_ms(const struct events *e, int64_t now_ms);
/* All streams end. */
void events_end(struct events *e);

#endif
