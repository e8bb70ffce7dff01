/* SPDX-License-Identifier: MIT */
/*
 * api.h - what each request of the API wants (ask_*), and how it is told what came of it (tell_*). See
 * route.h; the thread of the exchange.
 */
#ifndef SHC_GATEWAY_API_H
#define SHC_GATEWAY_API_H

struct exchange;

void ask_increment(struct exchange *x);
void ask_decrement(struct exchange *x);
void tell_new_value(struct exchange *x);

void ask_value(struct exchange *x);
void tell_value(struct exchange *x);

void ask_create(struct exchange *x);
void tell_create(struct exchange *x);

void ask_logs(struct exchange *x);
void tell_logs(struct exchange *x);

void ask_sharded(struct exchange *x);
void tell_sharded(struct exchange *x);

void ask_hit(struct exchange *x);
void ask_hits(struct exchange *x);
void tell_hits(struct exchange *x);

void ask_batch(struct exchange *x);
void tell_batch(struct exchange *x);

void ask_health(struct exchange *x);
void ask_ready(struct exchange *x);
void tell_ready(struct exchange *x);

#endif
