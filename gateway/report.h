/* SPDX-License-Identifier: MIT */
/* report.h - GET /metrics: what the gateway has counted of its own work, and what its backends say. */
#ifndef SHC_GATEWAY_REPORT_H
#define SHC_GATEWAY_REPORT_H

#include <microhttpd.h>

struct exchange;

void ask_report(struct exchange *x);
void tell_report(struct exchange *x);
enum MHD_Result report_send(struct exchange *x);

#endif
