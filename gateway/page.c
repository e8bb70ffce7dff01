/* SPDX-License-Identifier: MIT */
/* page.c - see page.h. */
#include "page.h"

#include "exchange.h"

void ask_page(struct exchange *x)
{
	exchange_fail(x, 503, "not yet");
}
enum MHD_Result page_send(struct exchange *x)
{
	(void)x;
	return MHD_NO;
}
