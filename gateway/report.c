/* SPDX-License-Identifier: MIT */
/* report.c - see report.h. */
#include "report.h"

#include "exchange.h"

void ask_report(struct exchange *x)
{
	exchange_fail(x, 503, "not yet");
}
void tell_report(struct exchange *x)
{
	(void)x;
}
enum MHD_Result report_send(struct exchange *x)
{
	(void)x;
	return MHD_NO;
}
