/* SPDX-License-Identifier: MIT */
/*
 * head.h - the head of a request: which route it is for, whether who asks may, and how long a body it
 * announces. All of it is judged before any body is read. The loop's thread.
 */
#ifndef SHC_GATEWAY_HEAD_H
#define SHC_GATEWAY_HEAD_H

#include "exchange.h"

/* Finds the route. x->status: it is refused; x->is_closing: the reply is to be sent without waiting for the
 * body, and the connection is of no use behind it. */
void head_look(struct exchange *x, const char *path, const char *method, const char *version);

/* Bytes of a body that are taken, and of one that nobody wants that are dropped before the connection is. */
uint64_t head_body_max(const struct exchange *x);
uint64_t head_dropped_max(const struct exchange *x);
void head_fail_too_large(struct exchange *x);

#endif
