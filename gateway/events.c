/* SPDX-License-Identifier: MIT */
/* events.c - see events.h. */
#include "events.h"

#include <stdlib.h>

#include "exchange.h"
#include "loop.h"

struct events {
	struct loop *loop;
};

struct events *events_open(struct loop *l)
{
	struct events *e = calloc(1, sizeof(*e));

	if (e)
		e->loop = l;
	return e;
}
void events_close(struct events *e)
{
	free(e);
}
void ask_events(struct exchange *x)
{
	exchange_fail(x, 503, "not yet");
}
enum MHD_Result events_send(struct exchange *x)
{
	(void)x;
	return MHD_NO;
}
void events_tick(struct events *e, int64_t now_ms)
{
	(void)e, (void)now_ms;
}
void events_answer(struct events *e, struct job *job)
{
	(void)e, (void)job;
}
int64_t events_due_ms(const struct events *e, int64_t now_ms)
{
	(void)e, (void)now_ms;
	return -1;
}
void events_end(struct events *e)
{
	(void)e;
}
